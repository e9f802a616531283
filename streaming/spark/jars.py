"""The jars that pip's Spark lacks, fetched once into a cache folder of the user and checked by their SHA-256.

What fetches them is loaded only if one is missing: that takes as long as a third of Python's own start.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from streaming.errors import SettingsError
from streaming.spark.maven import MIRROR, Jar, local_repository, locked, repository
from streaming.spark.wrappers import cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DELTA = "io.delta:delta-spark_4.1_2.13:4.4.0"
FOLDERS = "com.globalmentor:hadoop-bare-naked-local-fs:0.1.0"  # see `properties`
S3A = "org.apache.hadoop:hadoop-aws:3.4.2"

# Once a jar is checked, it gets this time. If something writes into it, the time changes and it is checked again.
_CHECKED_AT = 1_000_000_000


def jars(*, lake: bool, s3: bool, folders: bool) -> list[Path]:
    """The jars for Delta, S3 and a quicker Hadoop in folders. Raises SettingsError if they cannot be fetched."""
    return [jar for package in _packages(lake=lake, s3=s3, folders=folders) for jar in _cached(package)]


def fetched_before(*, lake: bool, s3: bool, folders: bool) -> bool:
    """Whether `jars` has them all at hand."""
    wanted = [(jar, package) for package in _packages(lake=lake, s3=s3, folders=folders) for jar in locked(package)]
    return all(_is_good(_cache_of(package) / jar.name, jar) for jar, package in wanted)


def _packages(*, lake: bool, s3: bool, folders: bool) -> list[str]:
    return [package for wanted, package in ((lake, DELTA), (s3, S3A), (folders, FOLDERS)) if wanted]


def _cache_of(package: str) -> Path:
    return cache_folder() / package.replace(":", "_") / "jars"


def _cached(package: str) -> list[Path]:
    wanted = locked(package)
    cache = _cache_of(package)
    try:
        if any(not _is_good(cache / jar.name, jar) for jar in wanted):
            cache.mkdir(parents=True, exist_ok=True)
            with _alone(cache):
                _fetch(package, [jar for jar in wanted if not _is_good(cache / jar.name, jar)], cache)
    except OSError as error:
        raise SettingsError(_trouble_of(cache, wanted, error)) from error
    return [cache / jar.name for jar in wanted]


def _is_good(path: Path, jar: Jar) -> bool:
    """Whether the jar is there and right. Its content is read only if it may have changed since the last look."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    if found.st_size != jar.size:
        return False
    if found.st_mtime_ns == _CHECKED_AT * 10**9:
        return True
    from streaming.spark.download import sha256_of

    if sha256_of(path) != jar.sha256:
        return False
    with contextlib.suppress(OSError):  # if we may not write to the cache, it is read again the next time
        os.utime(path, (_CHECKED_AT, _CHECKED_AT))
    return True


def _fetch(package: str, missing: list[Jar], cache: Path) -> None:
    if not missing:  # another process was quicker
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    source, whole = repository(), sum(jar.size for jar in missing)
    title = f"fetching {package.split(':')[1]}"
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=8), DownloadColumn())  # fits 60 columns
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task, before = progress.add_task(title, total=whole), 0
        for jar in missing:

            def told(there: int, before: int = before) -> None:
                progress.update(task, completed=before + there)

            _bring(jar, source, cache / jar.name, told)
            before += jar.size


def _bring(jar: Jar, source: str, target: Path, told: Callable[[int], object]) -> None:
    """From a folder that has it, else from the repository."""
    from streaming.spark.download import DownloadError, download, sha256_of, shown

    folders = [local_repository(), *([Path(source)] if source.startswith("/") else [])]
    for folder in folders:
        found = folder / jar.path
        with contextlib.suppress(OSError):  # if it may not be read, it counts as missing
            if found.stat().st_size == jar.size and sha256_of(found) == jar.sha256:
                _copy(found, target)
                return
    if source.startswith("/"):
        expected = f"{source}/{jar.path} with {jar.size:,} bytes and the SHA-256 {jar.sha256}"
        msg = f"could not find {jar}: {MIRROR} names a folder; expected {expected}"
        raise SettingsError(msg)
    url = f"{source}/{jar.path}"
    try:
        download(url, target, jar.size, jar.sha256, told)
    except DownloadError as error:
        msg = (
            f"could not fetch {jar} from {shown(url)}: {error}. A mirror of Maven Central: export {MIRROR}=https://… "
            f"Without any network: copy {cache_folder()} from a machine that has it"
        )
        raise SettingsError(msg) from error


def _copy(found: Path, target: Path) -> None:
    unfinished = target.with_name(f"{target.name}.copy")
    try:
        shutil.copyfile(found, unfinished)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


@contextlib.contextmanager
def _alone(cache: Path) -> Iterator[None]:
    """While this process fetches, others wait for it, and then find the jars."""
    with (cache / ".fetching").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.stderr.write(f"another process fetches jars into {cache}: waiting for it\n")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _trouble_of(cache: Path, wanted: list[Jar], error: OSError) -> str:
    whole = sum(jar.size for jar in wanted) / 1e6
    advice = {
        errno.ENOSPC: f"free some space, {whole:,.0f} MB are needed",
        errno.EDQUOT: f"free some space, {whole:,.0f} MB are needed",
    }.get(error.errno or 0, "make it readable and writable")
    return (
        f"the cache of jars {cache}: {error.strerror or error}; {advice}, or name another place: "
        "export XDG_CACHE_HOME=/path"
    )
