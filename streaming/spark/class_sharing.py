"""Java's classes, loaded and checked once and then mapped into memory at each start (class data sharing).

A start of Spark loads twenty thousand classes from three hundred jars; from an archive that takes a part of the time.
The first job notes which classes it loads. Once it is calm, a process of low priority makes the archive, in the cache
folder of the user, for this Java and these jars. Later jobs find it there.

Nothing depends on it. If no archive can be made, if it is of another Java or of other jars, or if something has
written into it, Java starts as without.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from streaming.follower import Follower
from streaming.spark.wrappers import cache_folder

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence

log = logging.getLogger(__name__)

# A whole archive carries this time of modification; whatever writes into it changes that. Its time of access is that
# of the last start that used it.
_MADE_AT = 1_100_000_000
_KEPT = 3  # archives: of this Java and these jars, and of a few others that the user goes back to
SHARING = (
    "-Xshare:auto",
    "-XX:+VerifySharedSpaces",
    "-XX:+UnlockDiagnosticVMOptions",
    "-XX:ArchiveRelocationMode=0",
    "-Xlog:cds=off",
    "-Xlog:cds+dynamic=off",
    "-Xlog:class+path=off",
)
"""Options for Java: an archive that is damaged (0.1 s of CPU to see) or does not fit is left aside without a word.

If its address is free, it is used as it is. At an address of Java's choice 140 MB of it are rewritten: 0.1 s.
"""
_LEAST_CLASSES = 5_000  # fewer are those of a start that has failed
_CALM_SECONDS, _LOOK_SECONDS = 20.0, 0.5
_LOWEST = 19


class SharedClasses:
    """The archive of one Java and one class path. options: for Java, to use the archive or to note what belongs in it.

    Of `class_path` an entry may end in `/*`, as Java knows it.
    """

    def __init__(self, java_home: Path, class_path: Sequence[str]) -> None:
        self._java = java_home / "bin" / "java"
        self._class_path = ":".join(class_path)
        self.noted: Path | None = None
        self.options: list[str] = []
        # a cache that may not be read or written, a Java that is laid out in another way: a start as without
        with contextlib.suppress(OSError):
            self.archive = cache_folder() / "classes" / f"{_digest(java_home, class_path)}.jsa"
            self.options = self._options()

    def _options(self) -> list[str]:
        if is_whole(self.archive):
            with contextlib.suppress(OSError):  # another user's
                os.utime(self.archive, (time.time(), _MADE_AT))
            return [f"-XX:SharedArchiveFile={self.archive}", *SHARING]
        self.archive.parent.mkdir(parents=True, exist_ok=True)
        _remove_lists_of_the_dead(self.archive.parent)
        noted = self.archive.with_suffix(f".{os.getpid()}.classes")
        noted.write_bytes(b"")
        self.noted = noted
        return [f"-XX:DumpLoadedClassList={noted}", *SHARING]

    def make(self, stop: threading.Event) -> bool:
        """Makes the archive of the classes that were noted; whether it is there now. Gives up once `stop` is set."""
        if self.noted is None:
            return is_whole(self.archive)
        try:
            with _alone(self.archive) as alone:
                return alone and (is_whole(self.archive) or self._made(self.noted, stop))
        except OSError:  # no room, no right: the next job tries it again
            return False
        finally:
            self.forget()

    def forget(self) -> None:
        """Removes what was noted."""
        if self.noted is not None:
            with contextlib.suppress(OSError):
                self.noted.unlink(missing_ok=True)
            self.noted = None

    def _made(self, noted: Path, stop: threading.Event) -> bool:
        for left in self.archive.parent.glob("*.new"):  # by a process that was killed
            left.unlink(missing_ok=True)
        new = self.archive.with_suffix(".new")
        classes = noted.read_bytes()
        whole = classes[: classes.rfind(b"\n") + 1]  # Java may be in the middle of the last line
        if whole.count(b"\n") < _LEAST_CLASSES:
            return False
        noted.write_bytes(whole)
        try:
            dumped = self._run(stop, "-Xshare:dump", f"-XX:SharedClassListFile={noted}", new)
            if not dumped or not self._run(stop, "-Xshare:on", new):
                return False
            with new.open("rb") as file:
                os.fsync(file.fileno())
            os.utime(new, (time.time(), _MADE_AT))
            new.replace(self.archive)
        finally:
            new.unlink(missing_ok=True)
        _remove_oldest(self.archive.parent)
        return True

    def _run(self, stop: threading.Event, *options: str | Path) -> bool:
        """Whether Java does it, at the lowest priority. The last option is the archive."""
        *others, archive = options
        process = subprocess.Popen(  # noqa: S603 (the Java that was found)
            [
                str(self._java),
                *map(str, others),
                f"-XX:SharedArchiveFile={archive}",
                *SHARING[1:],
                "-cp",
                self._class_path,
                *(() if others[0] == "-Xshare:dump" else ("-version",)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C is for the job
        )
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, process.pid, _LOWEST)
        try:
            while process.poll() is None and not stop.wait(_LOOK_SECONDS):
                pass
            return process.poll() == 0
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


class ClassSharing(Follower):
    """Makes the archive once the job has been calm for a while, if there is none yet.

    calm: whether the job has loaded something, and has nothing to do; after: so many seconds of that.
    """

    def __init__(
        self,
        shared: SharedClasses,
        calm: Callable[[], bool],
        stop: threading.Event,
        *,
        after: float = _CALM_SECONDS,
    ) -> None:
        super().__init__("class-sharing", stop, daemon=True)
        self._shared = shared
        self._calm = calm
        self._after = after

    def follow(self) -> None:
        """Until it is made, or the stop event."""
        if self._shared.noted is None:
            return
        calm_since = time.monotonic()
        while not self._stop_event.wait(_LOOK_SECONDS):
            if not self._calm():
                calm_since = time.monotonic()
            elif time.monotonic() - calm_since >= self._after:
                if self._shared.make(self._stop_event):
                    log.info(
                        "the next start is quicker: Java's classes are in an archive now (%s)", self._shared.archive
                    )
                return
        self._shared.forget()


def is_whole(archive: Path) -> bool:
    """Whether it is there, and nothing has written into it since it was made."""
    try:
        return archive.stat().st_mtime_ns == _MADE_AT * 10**9
    except OSError:  # not there, or not for this user
        return False


def _digest(java_home: Path, class_path: Sequence[str]) -> str:
    """Of what an archive is made for: the Java, and each jar in the order in which Java finds it."""
    told = hashlib.sha256()
    files = [java_home / "release", java_home / "lib" / "server" / "libjvm.so", java_home / "bin" / "java"]
    for entry in class_path:
        files += Path(entry[:-2]).iterdir() if entry.endswith("/*") else [Path(entry)]
    for file in files:
        with contextlib.suppress(FileNotFoundError):  # a Java may be laid out in another way
            found = file.resolve().stat()
            told.update(f"{file} {found.st_size} {found.st_mtime_ns}\n".encode())
    return told.hexdigest()[:16]


@contextlib.contextmanager
def _alone(archive: Path) -> Iterator[bool]:
    """Whether no other process makes an archive; while the context lasts, no other one begins."""
    with archive.with_name(".making").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _remove_oldest(folder: Path) -> None:
    """A Java that has one open keeps it."""
    archives = sorted(folder.glob("*.jsa"), key=lambda path: path.stat().st_atime, reverse=True)
    for archive in archives[_KEPT:]:
        archive.unlink(missing_ok=True)


def _remove_lists_of_the_dead(folder: Path) -> None:
    for noted in folder.glob("*.classes"):
        number = noted.suffixes[0][1:]
        if number.isdecimal() and not Path("/proc", number).exists():
            noted.unlink(missing_ok=True)
