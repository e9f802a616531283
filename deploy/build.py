"""Builds what a deployment uploads: `python -m deploy.build` makes `build/stocketl/<version>/`.

    main.py stocketl.zip      the job, for spark-submit and its --py-files
    wheels/ requirements.txt  the packages of its environment, each pinned with the hash of its wheel
    lambda.zip                both Lambdas with their packages
    bootstrap.sh rds-ca.pem cluster.json step.json template.yaml   as they are in this folder

The version is the project's and eight digits of what was built, so the same sources give the same version.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from deploy.packages import lambda_packages, step_packages
from deploy.sources import job_sources, lambda_sources
from streaming import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from deploy.packages import Package

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("main.py", "bootstrap.sh", "rds-ca.pem", "cluster.json", "step.json", "template.yaml")
# Amazon Linux 2023, of EMR and of Lambda alike, has glibc 2.34.
_PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in range(34, 16, -1)] + ["manylinux2014_x86_64"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def build(out: Path, say: Console) -> Path:
    """The folder of the new version below `out`. Raises CalledProcessError if a wheel cannot be had."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".building-") as folder:
        made = Path(folder)
        for name in COPIED:
            shutil.copy(ROOT / "deploy" / name, made / name)
        archive(made / "stocketl.zip", {name: path.read_bytes() for name, path in job_sources(ROOT).items()})
        say.print("wheels of the job's environment", style="dim")
        wheels = download(step_packages(), made / "wheels", python="3.11")
        (made / "requirements.txt").write_text(requirements(wheels))
        say.print("packages of the Lambdas", style="dim")
        with tempfile.TemporaryDirectory() as scratch:
            unpacked = _unpacked(download(lambda_packages(), Path(scratch), python="3.13"))
        own = {name: path.read_bytes() for name, path in lambda_sources(ROOT).items()}
        archive(made / "lambda.zip", unpacked | own)
        target = out / version(made)
        if not target.exists():
            made.rename(target)
            made.mkdir()  # for the end of the temporary folder
    say.print(f"{target}: {_megabytes(target):.0f} MB", highlight=False)
    return target


def archive(path: Path, files: Mapping[str, bytes]) -> None:
    """A zip whose bytes depend on names and contents alone."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.external_attr, entry.compress_type = 0o644 << 16, zipfile.ZIP_DEFLATED
            packed.writestr(entry, files[name])


def download(packages: Iterable[Package], into: Path, *, python: str) -> list[Path]:
    """The wheels of exactly these packages, for the platform of EMR and Lambda instead of this machine."""
    pins = [str(package) for package in packages]
    options = [part for platform in _PLATFORMS for part in ("--platform", platform)]
    subprocess.run(
        [
            sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
            "--only-binary=:all:", "--python-version", python, "--implementation", "cp", *options, "--dest", str(into),
            *pins,
        ],
        check=True,
    )  # fmt: skip
    return sorted(into.glob("*.whl"))


def requirements(wheels: Iterable[Path]) -> str:
    """A line a wheel, for `pip install --require-hashes`."""
    return "".join(
        f"{name}=={number} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"
        for wheel in wheels
        for name, number in [wheel.name.split("-")[:2]]
    )


def version(made: Path) -> str:
    """The project's version and a digest of all files below a folder."""
    digest = hashlib.sha256()
    for path in sorted(path for path in made.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(made)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return f"{__version__}-{digest.hexdigest()[:8]}"


def _unpacked(wheels: Iterable[Path]) -> dict[str, bytes]:
    """What is in the wheels; all are of pure Python."""
    files: dict[str, bytes] = {}
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as packed:
            files |= {name: packed.read(name) for name in packed.namelist() if not name.endswith("/")}
    return files


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


@app.command()
def main(
    out: Annotated[Path, typer.Option(help="Folder of the versions.")] = ROOT / "build" / "stocketl",
) -> None:
    """Builds a version and prints its folder."""
    print(build(out, Console(stderr=True)))  # noqa: T201 (the command's answer, for scripts)


if __name__ == "__main__":
    app()
