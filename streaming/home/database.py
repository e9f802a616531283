"""The database of a home for as long as a command needs it.

If a command has started the embedded server, the last command that uses it stops it. If the server was up before, or
if `stocketl database` was asked for it, it stays up.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from streaming.database.login import Login
from streaming.errors import DatabaseError, SettingsError
from streaming.home.rights import as_plain_errors
from streaming.home.running import of_home, of_ledger
from streaming.home.sign import DOCUMENT, read_document
from streaming.settings import EMBEDDED
from streaming.storage.locations import is_s3

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import connection

    from streaming.database.listening import Address
    from streaming.home.running import Job
    from streaming.settings import Settings

log = logging.getLogger(__name__)


class NoDatabaseError(DatabaseError):
    """No job has run here yet: there is no database, or nothing of StockETL in it."""


@contextlib.contextmanager
def database(settings: Settings) -> Iterator[Login]:
    """How to log in to the database. If need be, makes and starts the embedded server. Raises DatabaseError."""
    if settings.database is not None or settings.database_secret is not None:
        yield Login(settings.database, settings.database_secret)
        return
    from streaming.database import embedded  # noqa: PLC0415 (psutil, which a command with another database does not need)

    data = settings.postgres_data
    with contextlib.ExitStack() as stack:
        with as_plain_errors(data):
            users = stack.enter_context(_user_of(data))
            was_up = embedded.running(data) is not None
            uri = embedded.start(data)
            if not was_up:
                _users(data).write_text(_identity(data))
        try:
            yield Login(uri, before=partial(_start_again, data))
        finally:
            with as_plain_errors(data):
                if _alone(users) and _users(data).read_text() == _identity(data) != "":
                    embedded.stop(data)


def refuse_missing_database(settings: Settings) -> None:
    """Raises NoDatabaseError if there is no embedded server yet."""
    if not settings.embedded:
        return
    with as_plain_errors(settings.postgres_data):
        try:
            (settings.postgres_data / "PG_VERSION").stat()
        except FileNotFoundError:
            raise NoDatabaseError(_no_database(settings)) from None


@contextlib.contextmanager
def reading(settings: Settings) -> Iterator[connection]:
    """A read-only connection that sees the database as it is at one moment.

    Raises NoDatabaseError if no job has run yet, DatabaseError if PostgreSQL cannot be reached.
    """
    refuse_missing_database(settings)
    import psycopg2  # noqa: PLC0415 (`--help` needs none of it)

    from streaming.database.connect import TimeLimits, begin, connect  # noqa: PLC0415 (as above)
    from streaming.database.sqlstates import plain  # noqa: PLC0415 (as above)

    try:
        with database(settings) as login, contextlib.closing(connect(login.uri(), read_only=True)) as connected:
            connected.set_session(isolation_level="REPEATABLE READ", readonly=True)
            with connected.cursor() as cur:
                # a person reads as long as it takes
                begin(cur, TimeLimits(idle_in_transaction_session_timeout=0, statement_timeout=0), read_only=True)
                cur.execute("SELECT to_regclass('stocketl.receipts') IS NOT NULL")
                if cur.fetchall() != [(True,)]:
                    msg = f"no job has used this database yet ({settings.shown_database}); `stocketl run` begins"
                    raise NoDatabaseError(msg)
            yield connected
    except psycopg2.Error as error:
        raise plain(error) from None


def refuse_forgotten_database(settings: Settings) -> None:
    """Raises SettingsError if no database is given and the last job of the home used another than the home's own."""
    used = (read_document(settings.home) or {}).get("database", EMBEDDED)
    if settings.embedded and not used.startswith(EMBEDDED):
        msg = (
            f"the job of {settings.home} uses the database {used}: give it with --database. If a database in the home "
            f"should take its place, remove {settings.home / DOCUMENT} first"
        )
        raise SettingsError(msg)


def start_and_leave_up(settings: Settings) -> tuple[str, bool]:
    """The URI of the embedded server, and whether it was made now. From now on only `stop` ends it."""
    from streaming.database import embedded  # noqa: PLC0415 (as above)

    data = settings.postgres_data
    with as_plain_errors(data), _user_of(data) as users:
        new = not (data / "PG_VERSION").exists()
        uri = embedded.start(data)
        users.truncate(0)
    return uri, new


def listen(settings: Settings, address: str | None) -> tuple[str, Address]:
    """The URI by which clients on TCP reach the embedded server, with its password, and where it listens.

    address: None: where it did, or the first free port; `none` is for `listen_no_more`. If the server is up and listens
    elsewhere, it is started again: open sessions are cut, and a job waits for it. Raises SettingsError, DatabaseError.
    """
    from streaming.database import embedded, listening  # noqa: PLC0415 (as above)

    data = settings.postgres_data
    with as_plain_errors(data), _user_of(data) as users:
        before = listening.kept(data)
        wanted = before or listening.first_free() if address is None else listening.Address.parse(address)
        if wanted != before or embedded.port(data) != wanted.port:
            if embedded.port(data) != wanted.port and not wanted.free:
                msg = f"--listen: {wanted} is taken by another program; give another port"
                raise DatabaseError(msg)
            listening.keep(data, wanted)
            embedded.stop(data)
        uri = embedded.start(data)
        users.truncate(0)
        return wanted.uri(listening.give_password(data, uri)), wanted


def listen_no_more(settings: Settings) -> bool:
    """The embedded server listens on its socket only. False: it did so already."""
    from streaming.database import embedded, listening  # noqa: PLC0415 (as above)

    data = settings.postgres_data
    with as_plain_errors(data), _user_of(data):
        if listening.kept(data) is None:
            return False
        listening.keep(data, None)
        if embedded.running(data) is not None:
            embedded.stop(data)
            embedded.start(data)
        return True


def stop(settings: Settings, *, force: bool = False) -> bool:
    """Stops the embedded server; False if it was not up.

    Raises DatabaseError if a job uses it, unless forced: the job would wait for it and could not go on.
    """
    from streaming.database import embedded  # noqa: PLC0415 (as above)

    data = settings.postgres_data
    with as_plain_errors(data):
        if embedded.running(data) is None:
            return False
        if not force and (job := _job(settings)) is not None:
            msg = f"the job ({job.where}) uses this server; end the job first (kill {job.process_id}), or give --force"
            raise DatabaseError(msg)
        embedded.stop(data)
    return True


def tell_new_input(settings: Settings) -> None:
    """If the input is a new folder, says so: the name may be misspelt.

    Raises SettingsError if the home is not a folder. Also with `once`, which would load nothing and call that a
    success, unless the input is that of a home that was just made.
    """
    if settings.home.exists() and not settings.home.is_dir():
        msg = f"home: {settings.home} is not a folder; correct --home"
        raise SettingsError(msg)
    if is_s3(settings.input) or Path(settings.input).exists():
        return
    new = settings.home.is_dir() and settings.input == str(settings.home / "input")
    if settings.once and not new:
        msg = f"input: there is no folder {settings.input}, so --once has nothing to load; make it, or correct --input"
        raise SettingsError(msg)
    log.warning(
        "there was no folder %s: it is made now and watched; if you meant another one, correct --input", settings.input
    )


def _job(settings: Settings) -> Job | None:
    """The job that runs on the embedded server, whatever its home."""
    at_home = of_home(settings.home)
    if at_home is not None and at_home.alive and at_home.fills(settings):
        return at_home
    try:
        with reading(settings) as connected, connected.cursor() as cur:
            job = of_ledger(cur)
    except DatabaseError:
        return None
    return job if job is not None and job.alive else None


def _no_database(settings: Settings) -> str:
    used = (read_document(settings.home) or {}).get("database", EMBEDDED)
    if not used.startswith(EMBEDDED):
        return f"the job of {settings.home} uses the database {used}; give it with --database"
    return f"there is no database in {settings.postgres_data} yet; `stocketl run --home {settings.home}` makes it"


def _start_again(data: Path) -> None:
    """Starts a server that has ended though nobody stopped it. If that fails, the next login tries again."""
    from streaming.database import embedded  # noqa: PLC0415 (as above)

    with contextlib.suppress(DatabaseError, OSError):
        if embedded.has_broken_down(data):
            of_a_command = _users(data).read_text() != ""
            embedded.start(data)
            if of_a_command:
                _users(data).write_text(_identity(data))
            log.warning("the embedded PostgreSQL had ended though nobody stopped it: it is up again")


def _users(data: Path) -> Path:
    """A file on which each user of the server holds a shared lock. It says which server a command has started."""
    return data.with_name(f".{data.name}.users")


@contextlib.contextmanager
def _user_of(data: Path) -> Iterator[IO[str]]:
    """One more user of the server of this directory. Waits while an earlier user stops it."""
    data.parent.mkdir(parents=True, exist_ok=True)
    with _users(data).open("a+") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        yield users


def _alone(users: object) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)  # type: ignore[arg-type]  # an open file
    except BlockingIOError:
        return False
    return True


def _identity(data: Path) -> str:
    """Process id and start time of the server that is up; empty if none is."""
    try:
        lines = (data / "postmaster.pid").read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return f"{lines[0]}\n{lines[2]}" if len(lines) > 2 else ""
