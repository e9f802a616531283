"""The jars that pip's Spark lacks, fetched once into a cache folder of the user."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import resources
from pathlib import Path

from rich.console import Console
from rich.progress import DownloadColumn, Progress

from streaming.errors import SettingsError
from streaming.java import java_home
from streaming.wrappers import cache_folder

DELTA = "io.delta:delta-spark_4.1_2.13:4.4.0"
FOLDERS = "com.globalmentor:hadoop-bare-naked-local-fs:0.1.0"  # see `spark`
S3A = "org.apache.hadoop:hadoop-aws:3.4.2"
_SHIPPED_WITH_SPARK = (
    "org.apache.hadoop:hadoop-client-api",
    "org.apache.hadoop:hadoop-client-runtime",
    "org.apache.parquet:*",
    "com.fasterxml.jackson.*:*",
    "com.github.luben:*",
    "org.apache.logging.log4j:*",
    "org.slf4j:*",
    "org.xerial.snappy:*",
    "org.roaringbitmap:*",
)
_MEGABYTES = {FOLDERS: 0.01, DELTA: 12, S3A: 645}


def jars(*, lake: bool, s3: bool, folders: bool) -> list[Path]:
    """For Delta, S3 and a quicker Hadoop in folders, as wanted. Raises SettingsError where they cannot be fetched."""
    packages = ((lake, DELTA), (s3, S3A), (folders, FOLDERS))
    return [jar for wanted, package in packages if wanted for jar in _fetched(package)]


def _fetched(package: str) -> list[Path]:
    cache = cache_folder() / package.replace(":", "_")
    complete = cache / "complete"
    if not complete.exists():
        cache.mkdir(parents=True, exist_ok=True)
        _fetch(package, cache)
        complete.touch()
    return sorted((cache / "jars").glob("*.jar"))


def _fetch(package: str, cache: Path) -> None:
    """Spark's own resolver (Ivy) does the work; what it says goes to a log, how far it is to the terminal."""
    script, output = cache / "nothing.py", cache / "fetch.log"
    script.write_text("")
    submit = Path(str(resources.files("pyspark"))) / "bin" / "spark-submit"
    command = [
        str(submit), "--master", "local[1]", "--conf", f"spark.jars.ivy={cache}", "--packages", package,
        "--exclude-packages", ",".join(_SHIPPED_WITH_SPARK), str(script),
    ]  # fmt: skip
    environment = os.environ | {"JAVA_HOME": str(java_home()), "PYSPARK_PYTHON": sys.executable}
    title = f"fetching {package} (once, about {_MEGABYTES[package]} MB)"
    with (
        output.open("wb") as sink,
        Progress(*Progress.get_default_columns(), DownloadColumn(), console=Console(stderr=True)) as progress,
    ):
        task = progress.add_task(title, total=_MEGABYTES[package] * 1_000_000)
        process = subprocess.Popen(command, env=environment, stdout=sink, stderr=sink)  # noqa: S603 (no shell)
        while (code := _ended(process)) is None:
            progress.update(task, completed=_bytes_below(cache))
    if code:
        last_lines = "\n".join(output.read_text(errors="replace").splitlines()[-5:])
        msg = f"could not fetch {package} (exit code {code}); {output} says:\n{last_lines}"
        raise SettingsError(msg)


def _ended(process: subprocess.Popen[bytes]) -> int | None:
    try:
        return process.wait(timeout=0.3)
    except subprocess.TimeoutExpired:
        return None


def _bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "cache").rglob("*.jar*") if path.is_file())
