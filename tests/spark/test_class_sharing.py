"""The archive of Java's classes: made once, used while it fits, never in the way."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from streaming.spark import class_sharing
from streaming.spark.class_sharing import SHARING, ClassSharing, SharedClasses, is_whole
from streaming.spark.java import found_java

if TYPE_CHECKING:
    from pathlib import Path

NOTED = "".join(f"org/example/Class{number}\n" for number in range(6_000))
MAKES = 'for option do case $option in -XX:SharedArchiveFile=*) echo classes > "${option#*=}";; esac; done'


def java(home: Path, script: str) -> Path:
    """A Java home whose `java` does as the script says."""
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return home


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Java that makes archives, with one jar and a cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(class_sharing, "_LOOK_SECONDS", 0.01)
    (tmp_path / "jars").mkdir()
    (tmp_path / "jars" / "a.jar").write_bytes(b"PK")
    return java(tmp_path / "java", MAKES)


def shared(home: Path) -> SharedClasses:
    return SharedClasses(home, [f"{home.parent}/jars/*"])


def after_a_job(home: Path) -> SharedClasses:
    """That of a job whose Java has noted its classes, and is in the middle of the last line."""
    found = shared(home)
    assert found.noted is not None
    found.noted.write_text(f"{NOTED}org/exa")
    return found


def made(home: Path) -> Path:
    job = after_a_job(home)
    assert job.make(threading.Event())
    return job.archive


def left(home: Path) -> list[str]:
    return sorted(path.name for path in (home.parent / "cache" / "stocketl" / "classes").iterdir())


def test_the_first_job_notes_its_classes_and_later_ones_use_the_archive(home: Path) -> None:
    """What was noted is gone then, and nothing else is left."""
    first = shared(home)
    assert f"-XX:DumpLoadedClassList={first.noted}" in first.options
    archive = made(home)
    later = shared(home)
    assert f"-XX:SharedArchiveFile={archive}" in later.options
    assert later.noted is None
    assert later.make(threading.Event())
    first.forget()
    assert left(home) == [".making", archive.name]


def test_only_whole_lines_are_taken(home: Path) -> None:
    """Java writes the list as it goes, and refuses a list with half a name."""
    java(home, f'for option do case $option in -XX:SharedClassListFile=*) cp "${{option#*=}}" {home}/got;; esac; done')
    after_a_job(home).make(threading.Event())
    assert (home / "got").read_text() == NOTED


@pytest.mark.parametrize("change", ["written", "cut", "gone", "other jar", "more jars", "other Java"])
def test_an_archive_that_does_not_fit_is_not_used(home: Path, change: str) -> None:
    """Java itself would look at no more than its head: so what was written into is not given to it."""
    archive = made(home)
    jars = home.parent / "jars"
    match change:
        case "written":
            archive.write_bytes(b"x" * archive.stat().st_size)
        case "cut":
            os.truncate(archive, 1)
        case "gone":
            archive.unlink()
        case "other jar":
            (jars / "a.jar").write_bytes(b"PK2")
        case "more jars":
            (jars / "b.jar").write_bytes(b"PK")
        case "other Java":
            java(home, f"# a newer one\n{MAKES}")
    job = after_a_job(home)
    assert not any("SharedArchiveFile" in option for option in job.options)
    assert job.make(threading.Event())
    assert is_whole(job.archive)


@pytest.mark.parametrize("script", ["exit 1", "kill -9 $$", f"{MAKES}; exit 1", "exec /nowhere/java"])
def test_a_java_that_makes_no_archive_leaves_nothing(home: Path, script: str) -> None:
    """Neither an error nor a half."""
    java(home, script)
    job = after_a_job(home)
    assert not job.make(threading.Event())
    assert left(home) == [".making"]


def test_the_classes_of_a_start_that_failed_make_no_archive(home: Path) -> None:
    """An archive of a few would be taken for the whole one for ever."""
    job = shared(home)
    assert not job.make(threading.Event())
    assert left(home) == [".making"]


def test_where_the_cache_cannot_be_written_java_starts_as_without(home: Path) -> None:
    """Here a file stands where the folder should be."""
    (home.parent / "cache").write_text("")
    job = shared(home)
    assert [job.options, job.make(threading.Event())] == [[], False]


def test_of_two_jobs_at_once_one_makes_it_and_the_other_gives_up(home: Path) -> None:
    """And the archive is whole under its name from the first moment."""
    java(home, f"touch {home}/begun; while [ ! -e {home}/go ]; do sleep 0.02; done; {MAKES}")
    jobs = [shared(home), shared(home)]
    noted = jobs[0].noted
    assert noted is not None
    noted.write_text(NOTED)
    jobs[1].noted = noted.with_name("other.classes")
    jobs[1].noted.write_text(NOTED)
    maker = threading.Thread(target=jobs[0].make, args=[threading.Event()])
    maker.start()
    while not (home / "begun").exists():
        time.sleep(0.01)
    assert not jobs[1].make(threading.Event())
    (home / "go").touch()
    maker.join()
    assert is_whole(jobs[0].archive)


def test_a_job_that_is_stopped_ends_the_java_that_makes_it(home: Path) -> None:
    """At once, and nothing is left of it."""
    java(home, f"echo $$ > {home}/pid; exec sleep 600")
    stop = threading.Event()
    sharing = ClassSharing(after_a_job(home), lambda: True, stop, after=0)
    sharing.start()
    while not (home / "pid").exists() or not (home / "pid").read_text():
        time.sleep(0.01)
    stop.set()
    sharing.join()
    with pytest.raises(ProcessLookupError):
        os.kill(int((home / "pid").read_text()), 0)
    assert left(home) == [".making"]


def test_a_job_that_is_never_calm_removes_what_it_noted(home: Path) -> None:
    """The next job tries it again."""
    job, stop = after_a_job(home), threading.Event()
    sharing = ClassSharing(job, lambda: False, stop)
    sharing.start()
    stop.set()
    sharing.join()
    assert left(home) == []


def test_what_killed_jobs_have_left_is_removed_and_three_archives_are_kept(home: Path) -> None:
    """The ones that were used last."""
    folder = home.parent / "cache" / "stocketl" / "classes"
    folder.mkdir(parents=True)
    (folder / "0123.4999999.classes").write_text("")
    (folder / "0123.new").write_text("")
    for number in range(4):
        (folder / f"{number}.jsa").write_text("")
        os.utime(folder / f"{number}.jsa", (number, number))
    archive = made(home)
    assert left(home) == sorted([".making", "2.jsa", "3.jsa", archive.name])


def test_the_real_java_starts_whatever_the_archive_holds(tmp_path: Path) -> None:
    """An archive of another Java, or none at all, is left aside without a word."""
    archive = tmp_path / "broken.jsa"
    for content in (b"", b"no archive" * 10_000):
        archive.write_bytes(content)
        told = subprocess.run(
            [found_java() / "bin" / "java", f"-XX:SharedArchiveFile={archive}", *SHARING, "-version"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert told.stdout == ""
        assert "warning" not in told.stderr
