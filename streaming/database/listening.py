"""The embedded server on TCP, for clients that cannot use its socket: with a password, for a role that can only read.

The address is kept beside the data, so that each start of the server listens again. The server is told a digest of the
password (SCRAM), never the password itself. That is in a file that only its owner can read, and in no log.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import socket
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Self

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import encrypt_password

from streaming.errors import DatabaseError, SettingsError

if TYPE_CHECKING:
    import pathlib
    import pwd

    from psycopg2.extensions import cursor

log = logging.getLogger(__name__)

ROLE = "stocketl_reader"
HOST, FIRST_PORT = "127.0.0.1", 5433

# The superuser comes in by the socket only, whose folder nobody else can enter.
_RULES = f"""\
# Written by stocketl at each start.
local all all trust
local replication all trust
host all {ROLE} all scram-sha-256
"""

_HAS_RIGHTS = """
    SELECT EXISTS (SELECT FROM pg_roles
                    WHERE rolname = %s AND pg_has_role(oid, 'pg_read_all_data', 'MEMBER')
                      AND pg_has_role(oid, 'pg_read_all_stats', 'MEMBER'))
"""
_MAKE_ROLE = f"""
    SELECT pg_advisory_xact_lock(hashtext('{ROLE}'));
    DO $$
    BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}') THEN
            CREATE ROLE {ROLE} NOLOGIN;
        END IF;
        GRANT pg_read_all_data, pg_read_all_stats TO {ROLE};
    END
    $$
"""  # noqa: S608 (a constant)


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server listens."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """`127.0.0.1:5433`, `0.0.0.0:5433`, `[::1]:5433`; raises SettingsError."""
        found = re.fullmatch(r"(?:\[([0-9a-fA-F:]+)\]|([0-9.]+)):(\d{1,5})", text.strip())
        with contextlib.suppress(ValueError):
            if found is not None and 0 < int(found[3]) < 1 << 16:
                return cls(str(ip_address(found[1] or found[2])), int(found[3]))
        msg = f"--listen: expected an IP address and a port such as {HOST}:{FIRST_PORT}, got {text!r}"
        raise SettingsError(msg)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return ip_address(self.host).is_loopback

    @property
    def free(self) -> bool:
        """Whether a server can listen there now."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            socket.create_server((self.host, self.port), family=family).close()
        except OSError:
            return False
        return True

    def uri(self, password: str) -> str:
        """What every client takes. A server that listens everywhere is named by the loopback."""
        host = {"0.0.0.0": HOST, "::": "::1"}.get(self.host, self.host)  # noqa: S104 (what a person has asked for)
        return f"postgresql://{ROLE}:{password}@{Address(host, self.port)}/postgres"


def first_free() -> Address:
    """The usual port, or one that the system gives."""
    usual = Address(HOST, FIRST_PORT)
    if usual.free:
        return usual
    with socket.create_server((HOST, 0)) as other:
        return Address(HOST, other.getsockname()[1])


def kept(data: pathlib.Path) -> Address | None:
    """Where the server of this directory listens once it is started."""
    try:
        return Address.parse(_address_file(data).read_text())
    except FileNotFoundError:
        return None


def keep(data: pathlib.Path, address: Address | None) -> None:
    """Notes it for the next start; None: it listens no more."""
    if address is None:
        _address_file(data).unlink(missing_ok=True)
    else:
        _address_file(data).write_text(f"{address}\n")


def options(data: pathlib.Path, port: int, account: pwd.struct_passwd | None) -> tuple[list[str], int]:
    """The server's options for a start, and its port. `port` without an address, or if it is taken by now."""
    address = kept(data)
    if address is not None and not address.free:
        log.warning("%s is taken by another program: the embedded server does not listen there this time", address)
        address = None
    if address is None:
        return ["-c", "listen_addresses=", "-c", f"port={port}"], port
    rules = data / "stocketl_hba.conf"
    rules.write_text(_RULES)
    if account is not None:
        os.chown(rules, account.pw_uid, account.pw_gid)
    named = (f"listen_addresses={address.host}", f"port={address.port}", f"hba_file={rules}")
    return [part for setting in named for part in ("-c", setting)], address.port


def make_role(cur: cursor) -> None:
    """Makes the role that only reads, with all its rights or not at all; by several at once it is made once.

    cur: of a superuser. If the role is there and lacks a right, it gets it.
    """
    cur.execute(_HAS_RIGHTS, (ROLE,))
    if cur.fetchall() == [(False,)]:
        cur.execute(_MAKE_ROLE)


def give_password(data: pathlib.Path, uri: str) -> str:
    """The password of the role, which it makes if need be. uri: that of the superuser."""
    file = data.with_name(f".{data.name}.password")
    if not file.exists():
        made = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(made, "w") as handle:
            handle.write(secrets.token_urlsafe(24))
    password = file.read_text().strip()
    try:
        with contextlib.closing(psycopg2.connect(uri)) as connection, connection, connection.cursor() as cur:
            digest = encrypt_password(password, ROLE, scope=connection, algorithm="scram-sha-256")
            make_role(cur)
            readable = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}")
            cur.execute(readable.format(sql.Identifier(ROLE), sql.Literal(digest)))
    except psycopg2.Error as error:
        msg = f"the role {ROLE} could not be made: {error}"
        raise DatabaseError(msg) from None
    return password


def _address_file(data: pathlib.Path) -> pathlib.Path:
    return data.with_name(f".{data.name}.listen")
