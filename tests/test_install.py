"""`make setup` with a pip that fails, is cut off, or finds no network; the real one needs a network and minutes."""

from __future__ import annotations

import ast
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]

PIP = """
import os, pathlib, sys, time
told = pathlib.Path("pip.log")
if "--version" in sys.argv:
    sys.exit(0)
with told.open("a") as log:
    log.write(" ".join(sys.argv[1:]) + "\\n")
exec(os.environ.get("PIP_DOES", ""))
"""
"""A pip that notes what it was asked for and then does what the variable PIP_DOES says."""

JAVA = "def java_home():\n    return '/opt/java'\n"

FAILS_UNREACHED = """
print("WARNING: Retrying after connection broken by 'NewConnectionError(...)'")
sys.exit("ERROR: No matching distribution found for setuptools>=77")
"""
FAILS_HALFWAY = """
print("Installing collected packages: numpy")
sys.exit("ERROR: No space left on device")
"""
IS_STOPPED = """
print("Downloading pyspark", flush=True)
pathlib.Path("waiting").touch()
time.sleep(600)
"""


class Clone:
    """A folder with a Makefile, install.py and a `python -m venv` that puts the pip above into .venv."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "streaming" / "spark").mkdir(parents=True)
        for name in ("Makefile", "install.py", "pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, folder / name)
        (folder / "streaming" / "spark" / "java.py").write_text(JAVA)
        tools = folder / "tools"
        (tools / "venv").mkdir(parents=True)
        (tools / "pip.py").write_text(PIP)
        (tools / "venv" / "__init__.py").touch()
        (tools / "venv" / "__main__.py").write_text(
            "import pathlib, sys\n"
            "place = pathlib.Path(sys.argv[1], 'bin')\nplace.mkdir(parents=True)\n"
            "(place / 'python').symlink_to(sys.executable)\n"
            "pathlib.Path('pip.log').open('a').write('venv\\n')\n"
        )

    def start(self, *words: str, pip: str = "", python: str | Path = sys.executable) -> subprocess.Popen[str]:
        environment = os.environ | {"PYTHONPATH": str(self.folder / "tools"), "PIP_DOES": pip}
        return subprocess.Popen(
            ["/usr/bin/env", "make", *words, f"PYTHON={python}"],
            cwd=self.folder,
            env={name: value for name, value in environment.items() if not name.startswith("MAKE")},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def make(self, *words: str, pip: str = "", python: str | Path = sys.executable) -> tuple[int, str]:
        with self.start(*words, pip=pip, python=python) as made:
            told = made.communicate()[0]
        return made.returncode, told

    def asked(self) -> list[str]:
        """What venv and pip were asked for since the last look: `venv`, `.[calendar,page]` or `.[dev]`."""
        log = self.folder / "pip.log"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return [line.rpartition(" ")[2] for line in lines]


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """A clone in a folder with a blank and a quote in its name."""
    return Clone(tmp_path / "new comer's clone")


def test_a_setup_installs_what_the_job_needs_once(clone: Clone) -> None:
    """The second `make setup` does nothing, and a newer list of packages is installed into the same .venv."""
    code, told = clone.make("setup")
    assert (code, clone.asked()) == (0, ["venv", ".[calendar,page]"]), told
    assert told.splitlines()[-1] == "Java: /opt/java"
    assert len(told.splitlines()) <= 5
    assert clone.make("setup")[0] == 0
    assert clone.asked() == []
    (clone.folder / "constraints.txt").touch()
    assert clone.make("setup")[0] == 0
    assert clone.asked() == [".[calendar,page]"]


def test_a_target_that_needs_more_installs_more_once(clone: Clone) -> None:
    """`make dev` stands for tests, lint, bench and deployment; the job's own packages are not asked for again."""
    assert clone.make("dev")[0] == 0
    assert clone.asked() == ["venv", ".[calendar,page]", ".[dev]"]
    assert clone.make("dev", "setup")[0] == 0
    assert clone.asked() == []


def test_an_error_of_pip_shows_its_last_lines_and_the_log(clone: Clone) -> None:
    """A reader sees what pip said and where the whole is; if there is no network, what to do about it."""
    code, told = clone.make("setup", pip=FAILS_UNREACHED)
    assert code != 0
    assert "  ERROR: No matching distribution found for setuptools>=77\n" in told
    assert "The package registry cannot be reached." in told
    assert str(clone.folder / ".venv" / "setup.log") in told


def test_what_is_whole_survives_a_pip_that_finds_no_network(clone: Clone) -> None:
    """If pip could not fetch the rest, the job goes on with what it has."""
    assert clone.make("setup")[0] == 0
    assert clone.make("dev", pip=FAILS_UNREACHED)[0] != 0
    clone.asked()
    assert clone.make("setup")[0] == 0
    assert clone.asked() == []


def test_a_pip_that_fails_halfway_leaves_nothing_that_is_used(clone: Clone) -> None:
    """If pip had begun to install, the next setup makes .venv anew."""
    assert clone.make("setup")[0] == 0
    code, told = clone.make("dev", pip=FAILS_HALFWAY)
    assert (code != 0, "No space left on device" in told) == (True, True)
    clone.asked()
    assert clone.make("setup")[0] == 0
    assert clone.asked() == ["venv", ".[calendar,page]"]


def test_a_setup_that_was_stopped_begins_anew(clone: Clone) -> None:
    """Ctrl-C ends pip too, and half a .venv is not used."""
    with clone.start("setup", pip=IS_STOPPED) as made:
        while not (clone.folder / "waiting").exists():
            assert made.poll() is None
        os.killpg(made.pid, signal.SIGINT)
        told = made.communicate()[0]
    assert made.returncode != 0
    assert "The setup was stopped." in told
    assert "Traceback" not in told
    clone.asked()
    assert clone.make("setup")[0] == 0
    assert clone.asked() == ["venv", ".[calendar,page]"]


def test_a_clone_that_was_moved_is_set_up_anew(clone: Clone) -> None:
    """The commands in .venv name the folder that they were made in."""
    assert clone.make("setup")[0] == 0
    clone.asked()
    clone.folder = clone.folder.rename(clone.folder.with_name("moved"))
    assert clone.make("setup")[0] == 0
    assert clone.asked() == ["venv", ".[calendar,page]"]


def test_an_older_python_is_refused(clone: Clone) -> None:
    """The message names the Python, its version and what to type."""
    old = clone.folder / "old"
    old.write_text('#!/bin/sh\n[ "$1" != --version ] || { echo Python 3.9.18; exit 0; }\nexit 1\n')
    old.chmod(0o755)
    code, told = clone.make("demo", python=old)
    assert code != 0
    assert f"expected Python 3.11 or newer, got '{old}': Python 3.9.18." in told
    assert "make demo PYTHON=/path/to/python3.11" in told
    assert not (clone.folder / ".venv").exists()


COMES_WITH = {"botocore": "boto3", "s3transfer": "boto3", "py4j": "pyspark"}
"""What the job imports and another package brings along, at the version that it needs."""
OF_READERS = {"polars"}
"""What `streaming.client` imports for those who ask for such frames, and says so if it is not there."""


def test_all_that_the_job_imports_is_in_the_plain_install() -> None:
    """`make demo` needs no package of an extra but those that `make setup` installs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["calendar"], *extras["page"]]
    asked = {re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-") for requirement in wanted}
    own = set(sys.stdlib_module_names) | {"streaming", "__future__"}
    sources = (path for folder in ("streaming", "stocks") for path in (ROOT / folder).rglob("*.py"))
    imported = {name for path in sources for name in imports(ast.parse(path.read_text()))} - own - OF_READERS
    distributions = packages_distributions()
    names = {name: COMES_WITH.get(name, distributions.get(name, [name])[0]).lower() for name in imported}
    assert {name: package for name, package in names.items() if package.replace("_", "-") not in asked} == {}


def imports(node: ast.AST) -> Iterator[str]:
    """The first names of all modules that are imported when the code runs."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    if isinstance(node, ast.Import):
        yield from (name.name.split(".")[0] for name in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield str(node.module).split(".")[0]
    for child in ast.iter_child_nodes(node):
        yield from imports(child)
