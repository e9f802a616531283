"""Archives of Java's classes for the jobs of the tests, made beside the first tests: each later start is quicker.

They lie where those of users lie, in the cache folder. Nothing depends on them.
"""

from __future__ import annotations

import contextlib
import fcntl
import threading
from typing import TYPE_CHECKING

import psutil
import pytest
from job_process import Job, drop

from streaming.spark.wrappers import cache_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from databases import Databases

# most jobs of the tests have one of these two class paths
_LAKES = (("--lake", "none"), ())
_LOOK_SECONDS = 0.5
_ONE_ROW = b"date,id,price,trade_volume\n2024-01-02,A,10,100\n"


@pytest.fixture(autouse=True, scope="session")
def _archives_of_classes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    if not any(item.get_closest_marker("spark") for item in request.session.items):
        yield
        return
    databases: Databases = request.getfixturevalue("databases")
    over = threading.Event()
    folder = tmp_path_factory.mktemp("classes")
    maker = threading.Thread(target=_make, args=(folder, databases, over), daemon=True)
    maker.start()
    yield
    over.set()
    maker.join()


def _make(folder: Path, databases: Databases, over: threading.Event) -> None:
    """One process of the tests does it, until the tests are over."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    with (cache_folder() / ".tests").open("w") as lock, contextlib.suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for number, lake in enumerate(_LAKES):
            home = folder / str(number)
            drop(home / "input", "a.csv", _ONE_ROW)
            with Job(home, databases.create(f"classes_{number}"), *lake) as job:
                while job.running and not _has_archive(job) and not over.wait(_LOOK_SECONDS):
                    _hurry(job)


def _has_archive(job: Job) -> bool:
    words: list[str] = []
    for java in job.processes("java"):
        with contextlib.suppress(psutil.NoSuchProcess):
            words += java.cmdline()
    used = [word for word in words if word.startswith("-XX:SharedArchiveFile=") and word.endswith(".jsa")]
    return bool(used) or "archive" in job.output


def _hurry(job: Job) -> None:
    """Archives are made at the lowest priority, so beside busy tests they would be done when the tests are over."""
    for java in job.processes("java"):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if "-Xshare:dump" in java.cmdline():
                java.nice(0)
