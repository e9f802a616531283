"""Whether a job runs: from its sign in the home, its sessions in the database and its heartbeat.

Each source gives what it knows as a `Job`, and `most_alive` puts them together. If a job has another home, or runs on
another machine or a cluster, the database and the heartbeat show it.
"""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from streaming.errors import StockETLError
from streaming.home import sign
from streaming.settings import EMBEDDED

if TYPE_CHECKING:
    from pathlib import Path

    from psycopg2.extensions import cursor

    from streaming.settings import Settings

SILENT_SECONDS = 60.0
"""A job gives a sign every few seconds. If it has given none for this long, it is frozen, cut off or gone."""
_CLOCK_SECONDS = 5.0  # by how much the clocks of the database and of this machine may differ
_BEATS = 4

_WRITER = """
    SELECT w.epoch, w.host, w.process_id, w.started_at, b.committed_at, clock_timestamp()
    FROM stocketl.writer w LEFT JOIN LATERAL (
        SELECT committed_at FROM stocketl.batches
        WHERE epoch = w.epoch AND committed_at IS NOT NULL ORDER BY batch_id DESC LIMIT 1
    ) b ON true
    WHERE w.process_id IS NOT NULL
"""
# of another role's sessions only the name is shown to everybody
_SESSIONS = """
    SELECT count(*), coalesce(min(CASE WHEN state = 'active' OR state IS NULL THEN 0
                                       ELSE extract(epoch FROM clock_timestamp() - state_change) END), 0)::float8,
           pg_is_in_recovery()
    FROM pg_stat_activity WHERE datname = current_database() AND right(application_name, length(%s)) = %s
"""


@dataclass(frozen=True)
class Job:
    """What is known of the newest job. alive: None if nobody can tell; `why` says why.

    seen_at: its last sign of life, seen_seconds ago; waits: what it waits for, as `waiting.HeldUp` has it; options: how
    it was started, None if that is not known.
    """

    alive: bool | None
    why: str
    process_id: int | None = None
    host: str | None = None
    home: str | None = None
    database: str | None = None
    started_at: datetime | None = None
    seen_at: datetime | None = None
    seen_seconds: float | None = None
    ended: bool = False
    epoch: int | None = None
    waits: list[dict[str, object]] = field(default_factory=list)
    options: list[str] | None = None

    @property
    def where(self) -> str:
        """`process 12 on host`, as far as it is known."""
        process = "a process" if self.process_id is None else f"process {self.process_id}"
        return f"{process} on {self.host}" if self.host else process

    def fills(self, settings: Settings) -> bool:
        """Whether it is a job of this database, as far as it is known; a home may have been moved with its own."""
        shown = settings.shown_database if self.database is None else self.database
        return shown == settings.shown_database or (settings.embedded and shown.startswith(EMBEDDED))

    @property
    def silent(self) -> bool:
        """Whether it should have been heard of since."""
        return self.alive is True and self.seen_seconds is not None and self.seen_seconds > SILENT_SECONDS


def of_home(home: Path) -> Job | None:
    """The job of this home by its sign of life; None if no job has left one. Works without the database."""
    try:
        document, locked = sign.read_document(home), sign.is_locked(home)
    except OSError as error:
        return Job(None, f"its sign of life in {home} cannot be read: {error.strerror or error}")
    if document is None:
        return Job(alive=True, why=f"{home / sign.LOCK} is locked", home=str(home)) if locked else None
    seen = _time(document.get("seen_at"))
    job = Job(
        alive=locked,
        why=f"{home / sign.LOCK} is {'locked' if locked else 'free'}",
        process_id=document.get("process_id"),
        host=document.get("host"),
        home=document.get("home"),
        database=document.get("database"),
        started_at=_time(document.get("started_at")),
        seen_at=seen,
        seen_seconds=None if seen is None else max((datetime.now(UTC) - seen).total_seconds(), 0.0),
        ended="ended_at" in document,
        waits=document.get("waits") or [],
        options=document.get("options"),
    )
    if locked is None:
        job = _without_locks(job)
    return job if job.alive else replace(job, waits=[])


def of_ledger(cur: cursor) -> Job | None:
    """The newest writer of the database, by its sessions, or by its process if it is on this machine.

    None if no job has taken the database over yet. Reads only.
    """
    cur.execute(_WRITER)
    row = next(iter(cur.fetchall()), None)
    if row is None:
        return None
    epoch, host, process_id, started_at, committed_at, now = row
    name = sign.name_of(process_id, host)
    cur.execute(_SESSIONS, (name, name))
    (sessions, idle_seconds, standby), *_ = cur.fetchall()
    seen = max(filter(None, (started_at, committed_at)))
    here = host == socket.gethostname()
    job = Job(
        alive=False,
        why="it has no session in the database",
        process_id=process_id,
        host=host,
        started_at=started_at,
        seen_at=seen,
        seen_seconds=max((now - seen).total_seconds(), 0.0),
        epoch=epoch,
    )
    if sessions and idle_seconds <= SILENT_SECONDS:
        return replace(job, alive=True, why="it uses its sessions in the database", seen_at=now, seen_seconds=0.0)
    if here:
        alive = _is_alive(process_id, started_at)
        return replace(job, alive=alive, why=f"its process {'is' if alive else 'is not'} on this machine")
    if standby:
        return replace(job, alive=None, why="this is a standby; the job's sessions are on the server that writes")
    if sessions:
        why = f"its sessions are open in the database, but it has not used them for {idle_seconds:.0f} s"
        return replace(job, alive=None, why=why)
    return job


def of_heartbeat(settings: Settings) -> Job | None:
    """The job by its heartbeat.json; None if no place of heartbeats is set or none is there."""
    if settings.heartbeat is None:
        return None
    from streaming.storage.locations import open_place  # noqa: PLC0415 (as above)
    from streaming.telemetry.heartbeat import HEARTBEAT  # noqa: PLC0415 (a command without a heartbeat needs none of it)

    try:
        data = open_place(settings.heartbeat).get(HEARTBEAT)
        document = json.loads(data) if data is not None else None
        seen = None if document is None else _time(document["time"])
    except (StockETLError, ValueError, KeyError, TypeError) as error:
        return Job(None, f"the heartbeat in {settings.heartbeat} cannot be read: {error}")
    if document is None or seen is None:
        return None
    age = (datetime.now(UTC) - seen).total_seconds()
    limit = max(SILENT_SECONDS, _BEATS * settings.heartbeat_every)
    ahead = f"its heartbeat is {-age:.0f} s ahead of this machine's clock: one of the two clocks is wrong"
    return Job(
        alive=None if age < -limit else age <= limit,
        why=ahead if age < -limit else f"its heartbeat is {max(age, 0.0):.0f} s old",
        process_id=document.get("process_id"),
        host=document.get("host") or document.get("step"),
        seen_at=seen,
        seen_seconds=max(age, 0.0),
        epoch=document.get("epoch"),
    )


def most_alive(*jobs: Job | None) -> Job | None:
    """The running job, if a source sees one; else a job of which nobody can tell; else the one seen last.

    If several sources see it running, the first one counts, with the newest sign of life of all.
    """
    known = [job for job in jobs if job is not None]
    if not known:
        return None
    alive = [job for job in known if job.alive]
    options = next((job.options for job in known if job.options is not None), None)
    if not alive:
        return replace(min(known, key=lambda job: (job.alive is False, _age(job))), options=options)
    newest = min(alive, key=_age)
    epoch = next((job.epoch for job in alive if job.epoch is not None), None)
    return replace(alive[0], epoch=epoch, seen_at=newest.seen_at, seen_seconds=newest.seen_seconds, options=options)


def _age(job: Job) -> float:
    return float("inf") if job.seen_seconds is None else job.seen_seconds


def _without_locks(job: Job) -> Job:
    """A file system without locks: the process on this machine, else how old the sign is."""
    if job.ended:
        return replace(job, alive=False, why="it has ended")
    if job.host == socket.gethostname() and job.process_id is not None and job.started_at is not None:
        alive = _is_alive(job.process_id, job.started_at)
        return replace(job, alive=alive, why=f"its process {'is' if alive else 'is not'} on this machine")
    fresh = job.seen_seconds is not None and job.seen_seconds <= SILENT_SECONDS
    return replace(job, alive=True if fresh else None, why=f"its sign of life is {_age(job):.0f} s old")


def _is_alive(process_id: int, started_at: datetime) -> bool:
    """Whether the process of that time is still there: by now another program may have its number."""
    import psutil  # noqa: PLC0415 (0.1 s to load, and `--help` needs none of it)

    try:
        process = psutil.Process(process_id)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        is_ours = any("stocketl" in word or "python" in word for word in (process.name(), *process.cmdline()))
        return is_ours and process.create_time() <= started_at.timestamp() + _CLOCK_SECONDS
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def _time(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
