"""The files' part of `stocketl rebuild`: sets folders aside, makes each loaded file input again, in the old order.

Nothing is deleted, and if a link will do, nothing is copied. Each function may be called again after a crash.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from streaming.errors import StorageError
from streaming.home.rebuild_journal import folder_aside, input_again
from streaming.receipts.names import numbered
from streaming.storage import crash_safe
from streaming.storage.entries import key_of, path_of, walk
from streaming.storage.place import is_drop_name

if TYPE_CHECKING:
    from streaming.rebuild.database import LoadedDrop
    from streaming.settings import Settings

_CLAIMS = ".claims"


@dataclass(frozen=True)
class Asides:
    """Where things go: what is in the home goes below `HOME/old-<stamp>`, what is not stays beside its old place."""

    settings: Settings
    stamp: str

    @property
    def folder(self) -> Path:
        """The folder of this rebuild in the home."""
        return folder_aside(self.settings, self.stamp)

    @property
    def again(self) -> Path:
        """The input of the rebuild. It is not the real one, where producers go on."""
        return input_again(self.settings, self.stamp)

    def of(self, place: str, name: str) -> Path:
        """Where a place is kept. name: what it holds."""
        inside = Path(place).is_relative_to(self.settings.home)
        return self.folder / name if inside else Path(f"{place}-old-{self.stamp}")

    def moves(self) -> list[tuple[Path, Path]]:
        """(from, to) of each folder, in the order of the moves."""
        settings = self.settings
        made = [
            (Path(settings.success), self.success),
            (Path(settings.receipts), self.of(settings.receipts, "receipts")),
        ]
        if settings.lake is not None:
            made.append((Path(settings.lake), self.of(settings.lake, "lake")))
        made.append((Path(settings.input) / _CLAIMS, self.claims))
        # last: until it is moved no job starts on the rest
        return [*made, (Path(settings.checkpoint), self.of(settings.checkpoint, "checkpoint"))]

    @property
    def success(self) -> Path:
        """The loaded files, once they are set aside."""
        return self.of(self.settings.success, "success")

    @property
    def readings(self) -> Path:
        """How each file was read the first time, and is read again."""
        return self.folder / "readings.json"

    @property
    def claims(self) -> Path:
        """Copies of files that were just being loaded."""
        return self.of(f"{self.settings.input}/{_CLAIMS}", "claims")

    @property
    def input(self) -> Path:
        """Loaded files that still lay in the input."""
        return self.of(self.settings.input, "input")


@dataclass
class Order:
    """What is loaded again: (name, file), in this order.

    names: by the seq that a drop had; readings: by name, how a drop was read; missing: drops whose file is gone; extra:
    files that the ledger does not know, loaded last; in_part: failed drops of which rows had been loaded.
    """

    files: list[tuple[str, Path]] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    readings: dict[str, str] = field(default_factory=dict)
    missing: list[LoadedDrop] = field(default_factory=list)
    extra: int = 0
    in_part: list[LoadedDrop] = field(default_factory=list)


def order(asides: Asides, drops: list[LoadedDrop] | None) -> Order:
    """By the ledger. If there is none, by the files' times. Looks at the files where they are now."""
    success = asides.success if asides.success.exists() else Path(asides.settings.success)
    found = _files(success)
    made = Order(in_part=[drop for drop in drops or () if drop.fate == "failed" and drop.rows_loaded])
    names: set[str] = set()
    for drop in drops or ():
        if drop.fate != "success":
            continue
        name, path = drop.moved_to or drop.key, _file_of(drop, asides, found)
        if path is None:
            made.missing.append(drop)
            continue
        if name in names or (not drop.moved and name in found and found[name] != path):
            name = numbered(name, drop.seq)
        names.add(name)
        made.files.append((name, path))
        made.names[drop.seq] = name
        made.readings[name] = drop.reading
    known = {path for _, path in made.files}
    others = sorted((path.stat().st_mtime_ns, name) for name, path in found.items() if path not in known)
    made.files += [(name, found[name]) for _, name in others]
    made.extra = len(others) if drops is not None else 0
    return made


def move(asides: Asides) -> None:
    """Sets the folders aside, each by one rename. Raises StorageError."""
    for source, target in asides.moves():
        if target.exists() or not source.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            source.rename(target)
        except OSError as error:
            msg = (
                f"cannot move {source} to {target}: {error.strerror}. Make that possible (a mount point cannot be "
                "renamed: move what is in it), then run `stocketl rebuild` again: it goes on from here."
            )
            raise StorageError(msg) from error


def fill(asides: Asides, made: Order, profiles: dict[str, str]) -> None:
    """Links the files into `again` with times that are in their order. profiles: as JSON, by digest."""
    asides.folder.mkdir(parents=True, exist_ok=True)
    asides.readings.write_text(json.dumps({"readings": made.readings, "profiles": profiles}), encoding="utf-8")
    shutil.rmtree(asides.again, ignore_errors=True)
    asides.again.mkdir(parents=True)
    times = _times(made.files)
    for (name, path), microseconds in zip(made.files, times, strict=True):
        target = Path(path_of(str(asides.again), name))
        target.parent.mkdir(parents=True, exist_ok=True)
        crash_safe.link_or_copy(str(path), str(target))
        if target.stat().st_mtime_ns // 1000 != microseconds:
            os.utime(target, ns=(microseconds * 1000,) * 2)


def settle_input(asides: Asides, drops: list[LoadedDrop] | None) -> None:
    """Takes out of the input what is loaded again. If only a claim still holds a file, puts it back."""
    source = Path(asides.settings.input)
    waiting = {_stamp(path): path for path in _files(source).values()}
    loaded = {drop.seq: drop for drop in drops or () if drop.fate == "success"}
    for drop in loaded.values():
        path = waiting.get(_stamp_of(drop))
        if not drop.moved and path == Path(path_of(str(source), drop.key)):
            target = Path(path_of(str(asides.input), drop.key))
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
    ended = {drop.seq for drop in drops or () if drop.moved} | loaded.keys()
    keys = {drop.seq: drop.key for drop in drops or ()}
    kept = {_stamp(path) for path in _files(asides.success).values()} | set(waiting)
    for claim in sorted(asides.claims.glob("[0-9]*")) if asides.claims.is_dir() else ():
        if claim.name.isdecimal() and int(claim.name) not in ended and _stamp(claim) not in kept:
            key = keys.get(int(claim.name), f"claim-{claim.name}{_suffix(claim)}")
            target = Path(path_of(str(source), key))
            target = Path(path_of(str(source), numbered(key, claim.name))) if target.exists() else target
            target.parent.mkdir(parents=True, exist_ok=True)
            crash_safe.link_or_copy(str(claim), str(target))


def _file_of(drop: LoadedDrop, asides: Asides, found: dict[str, Path]) -> Path | None:
    if drop.moved_to is not None and drop.moved_to in found:
        return found[drop.moved_to]
    if drop.moved:
        return None
    source = Path(asides.settings.input)
    claims = [asides.claims / str(drop.seq), source / _CLAIMS / str(drop.seq)]
    places = [*claims, *(Path(path_of(str(folder), drop.key)) for folder in (asides.input, source))]
    exact = [path for path in places if path.is_file() and _stamp(path) == _stamp_of(drop)]
    # if a home was copied without its times: only the job writes claims
    alike = [path for path in claims if path.is_file() and _stamp(path)[1] == _stamp_of(drop)[1]]
    return next(iter([*exact, *alike]), None)


def _files(folder: Path) -> dict[str, Path]:
    """Key -> path of every file, as producers and the job see it."""
    if not folder.is_dir():
        return {}
    return {key_of(path): folder / path for path, _ in walk(str(folder), is_drop_name, _unlistable)}


def _unlistable(path: str, error: OSError) -> None:
    msg = (
        f"cannot read {path}: {error.strerror}; give this user the right to read it, then run `stocketl rebuild` again"
    )
    raise StorageError(msg)


def _times(ordered: list[tuple[str, Path]]) -> list[int]:
    """Microseconds: each file's own if these are in order, else a little more; all in the past."""
    times: list[int] = []
    before: tuple[int, str] | None = None
    for name, path in ordered:
        own = path.stat().st_mtime_ns // 1000
        if before is not None and (own, name) <= before:
            own = before[0] + 1
        before = own, name
        times.append(own)
    now = time.time_ns() // 1000
    if times and times[-1] >= now:  # a clock was wrong: a file from the future would be admitted late
        return [now - 10_000_000 - len(times) + number for number in range(len(times))]
    return times


def _stamp(path: Path) -> tuple[int, int]:
    """What a claim shares with its file."""
    status = path.lstat()
    return status.st_mtime_ns, status.st_size


def _stamp_of(drop: LoadedDrop) -> tuple[int, int]:
    modified, size, *_ = (int(part) for part in drop.etag.split("."))
    return modified, size


def _suffix(claim: Path) -> str:
    with claim.open("rb") as file:
        return ".csv.gz" if file.read(2) == b"\x1f\x8b" else ".csv"
