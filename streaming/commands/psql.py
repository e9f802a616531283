"""`stocketl psql`: the embedded psql on the database of the home, whichever it is."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

from psycopg2 import ProgrammingError
from psycopg2.extensions import make_dsn, parse_dsn

from streaming.database.embedded import psql_path
from streaming.errors import SettingsError
from streaming.home.database import database, refuse_missing_database

if TYPE_CHECKING:
    from streaming.settings import Settings


def run(settings: Settings, arguments: list[str]) -> int:
    """Opens psql with the arguments and returns its exit code. The server stays up until psql ends."""
    refuse_missing_database(settings)
    with database(settings) as login:
        try:
            parts = parse_dsn(login.uri())
        except ProgrammingError:
            msg = f"database: expected a PostgreSQL URI, got {settings.shown_database!r}; correct --database"
            raise SettingsError(msg) from None
        password = parts.pop("password", None)  # not as an argument: every user of the machine could read it
        environment = os.environ | ({"PGPASSWORD": password} if password else {})
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C cancels a query of psql, not us
        try:
            command = [str(psql_path()), "--dbname", make_dsn(**parts), *arguments]
            return subprocess.run(  # noqa: S603 (the wheel's own program, arguments as a list)
                command,
                env=environment,
                check=False,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            ).returncode
        finally:
            signal.signal(signal.SIGINT, before)
