"""deploy/bootstrap.sh in a folder of the test's own, with an `aws` that copies from a folder instead of S3."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "bootstrap.sh"
BASH = str(shutil.which("bash"))
ARTIFACT = "s3://artifacts/stocketl/1.2.3"
AWS = """#!/bin/sh
# aws s3 cp --only-show-errors [--recursive] FROM TO
echo "$*" >> {log}
for last do from=$before before=$last; done
from="{bucket}/${{from#s3://artifacts/}}"
[ ! -d "$from" ] || from="$from/."
cp -r "$from" "$last" 2>/dev/null || {{ echo "fatal error: 404" >&2; exit 1; }}
"""
WHEEL = "greeting-1.0-py3-none-any.whl"


@dataclass(frozen=True)
class Node:
    """A node of a cluster: what its bootstrap finds and makes lies under `root`."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / "opt"

    @property
    def artifact(self) -> Path:
        return self.root / "bucket" / "stocketl" / "1.2.3"

    @property
    def copied(self) -> list[str]:
        """What was asked of S3."""
        return (self.root / "aws.log").read_text().splitlines()

    def bootstrap(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.root / 'bin'}:{os.environ['PATH']}"
        known = {"PATH": path, "HOME": str(self.root), "STOCKETL_PYTHON": sys.executable, "PIP_CONFIG_FILE": os.devnull}
        command = [BASH, str(SCRIPT), *(arguments or (ARTIFACT, str(self.home)))]
        return subprocess.run(command, env=known | environment, capture_output=True, text=True, check=False)

    def greets(self) -> str:
        """What the installed package says."""
        command = [self.home / "venv/bin/python", "-c", "import greeting; print(greeting.TEXT)"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def publish(self, text: str, digest: str | None = None) -> None:
        """Puts a wheel and its requirements into the bucket."""
        wheel = self.artifact / "wheels" / WHEEL
        wheel.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(wheel, "w") as packed:
            packed.writestr("greeting.py", f"TEXT = {text!r}\n")
            packed.writestr("greeting-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n")
            packed.writestr("greeting-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            packed.writestr("greeting-1.0.dist-info/RECORD", "")
        digest = digest or hashlib.sha256(wheel.read_bytes()).hexdigest()
        (self.artifact / "rds-ca.pem").write_text("certificates")
        (self.artifact / "requirements.txt").write_text(f"greeting==1.0 --hash=sha256:{digest}\n")


@pytest.fixture
def node(tmp_path: Path) -> Node:
    made = Node(tmp_path)
    aws = tmp_path / "bin" / "aws"
    aws.parent.mkdir()
    aws.write_text(AWS.format(log=tmp_path / "aws.log", bucket=tmp_path / "bucket"))
    aws.chmod(0o755)
    (tmp_path / "aws.log").touch()
    made.publish("hello")
    return made


@pytest.mark.spark  # it makes environments with pip, which takes as long as a start of Spark
def test_the_environment_is_made_once_and_of_exactly_what_was_built(node: Node) -> None:
    """A second run fetches the list only; another list makes it anew, but not with a wheel of another hash."""
    first = node.bootstrap()
    assert (first.returncode, node.greets()) == (0, "hello"), first.stderr
    assert len(node.copied) == 3
    assert (node.home / "rds-ca.pem").read_text() == "certificates"
    again = node.bootstrap()
    assert (again.returncode, len(node.copied)) == (0, 5)
    assert "already" in again.stdout
    node.publish("good morning", digest="0" * 64)
    refused = node.bootstrap()
    assert refused.returncode == 1
    assert "DO NOT MATCH THE HASHES" in refused.stderr
    assert refused.stderr.splitlines()[-1] == (
        f"bootstrap.sh: pip could not install the wheels of {ARTIFACT}; what it says stands above"
    )
    assert not (node.home / "venv" / "requirements.txt").exists()


def test_errors_are_plain(node: Node) -> None:
    """Each says what is missing, on the last line of the log that EMR keeps."""
    shutil.rmtree(node.artifact)
    assert node.bootstrap().stderr.splitlines()[-1].startswith(f"bootstrap.sh: cannot read {ARTIFACT}/requirements.txt")
    assert "expected the artifact's place" in node.bootstrap("artifacts/1.2.3").stderr
    assert "there is no /nowhere/python" in node.bootstrap(STOCKETL_PYTHON="/nowhere/python").stderr
    assert "there is no aws command" in node.bootstrap(PATH=str(node.root / "empty")).stderr
