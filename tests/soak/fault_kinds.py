"""What goes wrong around a job, by name: what happens at once, and what lasts until it is ended."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

import psycopg2
from psycopg2 import sql

if TYPE_CHECKING:
    from collections.abc import Callable

    from world import World

_TABLES = [("public", name) for name in ("prices", "returns", "volume")]
_TABLES += [("stocketl", name) for name in ("drops", "batches", "receipts", "tickers", "writer")]
_END_SESSIONS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


def at_once(world: World) -> dict[str, Callable[[World], object]]:
    """By name; each returns False if there was nothing to do it to."""
    del world
    return {
        "kill the command": _kill_command,
        "kill java": _kill_java,
        "kill everything": _kill_everything,
        "kill a python worker": lambda world: world.signal("workers", signal.SIGKILL),
        "kill the reader of the input": lambda world: world.signal("source", signal.SIGKILL),
        "stop with SIGTERM": _terminate,
        "stop with Ctrl-C": _interrupt,
        "start a second job": _start_second,
        "end all sessions": _end_sessions,
        "cut the connections": lambda world: world.proxy.cut(),
        "lose the answer of a COMMIT": lambda world: world.proxy.lose_commit(b"stocketl"),
    }


def lasting(world: World) -> dict[str, Callable[[World], Callable[[], None] | None]]:
    """By name; each begins a fault and returns what ends it, or None if there was nothing to do it to."""
    kinds = {
        "PostgreSQL stopped at once": lambda world: _stop_server(world, signal.SIGQUIT),
        "PostgreSQL stopped": lambda world: _stop_server(world, signal.SIGINT),
        "no way to PostgreSQL": _refuse,
        "frozen way to PostgreSQL": _pause,
        "a locked table": _lock,
        "the job frozen": _freeze,
        "java frozen": lambda world: _freeze_one(world, "java"),
        "a python worker frozen": lambda world: _freeze_one(world, "workers"),
    }
    if world.disk is not None:
        kinds["a full disk"] = _fill
    return kinds


def _kill_command(world: World) -> object:
    world.excuse(world.job)
    return world.signal("driver", signal.SIGKILL)


def _kill_java(world: World) -> object:
    if not world.signal("java", signal.SIGKILL):
        return False
    world.excuse(world.job)
    return True


def _kill_everything(world: World) -> object:
    world.excuse(world.job)
    world.job.kill()
    return True


def _terminate(world: World) -> object:
    world.excuse(world.job)
    world.job.terminate()
    return True


def _interrupt(world: World) -> object:
    world.excuse(world.job)
    world.job.interrupt()
    return True


def _start_second(world: World) -> object:
    world.excuse(world.job)
    world.start_job()
    return True


def _end_sessions(world: World) -> object:
    """As an administrator does, of everybody in this database."""
    with (
        contextlib.suppress(psycopg2.Error),
        contextlib.closing(_connect(world)) as connection,
        connection.cursor() as cur,
    ):
        cur.execute(_END_SESSIONS)
        return cur.rowcount > 0
    return False


def _stop_server(world: World, number: signal.Signals) -> Callable[[], None] | None:
    if {"PostgreSQL stopped", "PostgreSQL stopped at once"} & set(world.held):
        return None
    world.stop_server(number)
    return world.start_server


def _refuse(world: World) -> Callable[[], None]:
    world.proxy.refuse()
    return world.proxy.accept


def _pause(world: World) -> Callable[[], None]:
    world.proxy.pause()
    return world.proxy.resume


def _lock(world: World) -> Callable[[], None] | None:
    """As somebody does who forgets to commit."""
    schema, table = world.chance.choice(_TABLES)
    with contextlib.suppress(psycopg2.Error):
        connection = _connect(world)
        try:
            with connection.cursor() as cur:
                cur.execute("SET lock_timeout = '5s'")
                cur.execute(sql.SQL("LOCK TABLE {}").format(sql.Identifier(schema, table)))
        except psycopg2.Error:
            connection.close()
            raise
        return connection.close
    return None


def _freeze(world: World) -> Callable[[], None]:
    job = world.job
    job.freeze()
    return job.wake


def _freeze_one(world: World, who: str) -> Callable[[], None] | None:
    found = world.processes(who)
    if not found:
        return None
    process = world.chance.choice(found)
    process.suspend()

    def go_on() -> None:
        if process.is_running():
            process.resume()

    return go_on


def _fill(world: World) -> Callable[[], None]:
    world.fill_disk()
    return world.empty_disk


def _connect(world: World) -> psycopg2.extensions.connection:
    """Past the proxy. Raises psycopg2.Error while the server is stopped."""
    return psycopg2.connect(world.database, connect_timeout=5)
