"""How the job logs in: a URI. If a secret is named, user and password come from AWS Secrets Manager.

A rotated password does not stop the job: if a login is refused, the secret is read again
(docs.aws.amazon.com/secretsmanager/latest/userguide/rotating-secrets.html).
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit, urlunsplit

from streaming.errors import SettingsError, StockETLError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

ROTATION_SECONDS = 600.0
"""The job gives up after a login was refused for this long. For some time only PostgreSQL or only AWS may have the new
password."""


class SecretUnavailableError(StockETLError):
    """Secrets Manager does not answer for the moment."""


class Login:
    """A URI that may be renewed. With a secret, its user and password replace those of the URI.

    read: gives the secret's text by its id; before: called before each login; clock: seconds. Not for several threads
    at once.
    """

    def __init__(
        self,
        uri: str | None,
        secret: str | None = None,
        *,
        read: Callable[[str], str] | None = None,
        before: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._given = uri
        self._secret = secret
        self._read = read or _read_secret
        self._before = before
        self._clock = clock
        self._uri = uri if secret is None else None
        self._refused_since: float | None = None

    def uri(self) -> str:
        """The URI to connect with.

        Raises SettingsError for a secret that is of no use, SecretUnavailableError if waiting may mend it.
        """
        self._before()
        if self._uri is None:
            try:
                self._uri = filled(self._given, self._read(str(self._secret)))
            except StorageError as error:
                raise SecretUnavailableError(str(error)) from error
        return self._uri

    def copy(self) -> Login:
        """One for another thread."""
        return Login(self._given, self._secret, read=self._read, before=self._before, clock=self._clock)

    def accepted(self) -> None:
        """The database took it."""
        self._refused_since = None

    def renew(self) -> bool:
        """The database refused it. True: another try is worth it, with the secret read again."""
        if self._secret is None:
            return False
        self._uri = None
        self._refused_since = self._clock() if self._refused_since is None else self._refused_since
        return self._clock() - self._refused_since < ROTATION_SECONDS


def filled(uri: str | None, secret: str) -> str:
    """The URI with user and password of a secret. If it lacks host, port or database, these come from the secret too.

    secret: JSON as RDS and Secrets Manager write it (`username`, `password`, and maybe `host`, `port`, `dbname`).
    """
    try:
        known = json.loads(secret)
        user, password = str(known["username"]), str(known["password"])
    except (ValueError, KeyError, TypeError):
        msg = "database_secret: expected a secret in JSON with username and password, as RDS makes them"
        raise SettingsError(msg) from None
    parts = urlsplit(uri or "postgresql://")
    address = parts.netloc.rpartition("@")[2]
    if not address and "host=" not in parts.query:
        if not known.get("host"):
            msg = "database: the secret names no host; give --database postgresql://host:5432/database too"
            raise SettingsError(msg)
        address = f"{known['host']}:{known.get('port', 5432)}"
    path = parts.path if parts.path.strip("/") else f"/{quote(str(known.get('dbname', 'postgres')), safe='')}"
    who = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return urlunsplit((parts.scheme, f"{who}@{address}", path, parts.query, parts.fragment))


def _read_secret(secret: str) -> str:
    from streaming.aws import client_of, plain_errors  # noqa: PLC0415 (boto3 takes 0.3 s to load)

    with plain_errors(f"read the secret {secret}"):
        return str(client_of("secretsmanager").get_secret_value(SecretId=secret)["SecretString"])
