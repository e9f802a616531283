"""The database's side of the live page: its sessions, which of them listens, and the processor time that they use."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Self

import psycopg2

if TYPE_CHECKING:
    from types import TracebackType

_SESSIONS = """
    SELECT pid, query ILIKE 'LISTEN %%' FROM pg_stat_activity
     WHERE datname = current_database() AND application_name LIKE %s
"""


class Backends:
    """The sessions on one database whose application_name ends like this; the server runs on this machine."""

    def __init__(self, uri: str, ending: str = " page") -> None:
        self._connection = psycopg2.connect(uri)
        self._connection.autocommit = True
        self._ending = ending

    def sessions(self) -> dict[int, bool]:
        """Their process ids, and whether each one listens."""
        with self._connection.cursor() as cur:
            cur.execute(_SESSIONS, (f"%{self._ending}",))
            return dict(cur.fetchall())

    def seconds(self) -> dict[int, float]:
        """The processor seconds of each one so far."""
        found = {}
        for pid in self.sessions():
            with contextlib.suppress(FileNotFoundError):  # it has ended meanwhile
                found[pid] = int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9  # psutil counts in 10 ms
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()


def spent(before: dict[int, float], after: dict[int, float]) -> float:
    """The processor seconds between two looks, with those of sessions that are new."""
    return sum(seconds - before.get(pid, 0.0) for pid, seconds in after.items())
