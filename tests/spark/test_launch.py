"""Java is started as Spark's own scripts would start it."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pyspark
import pytest

from streaming.spark.java import found_java
from streaming.spark.launch import Java, launch, options

SPARK = Path(pyspark.__file__).parent
PROPERTIES = {
    "spark.driver.memory": "1g",
    "spark.driver.extraJavaOptions": '"-Dstocketl.logs=/a home/logs" -XX:+UseSerialGC',
    "spark.driver.extraClassPath": "/cache/a.jar:/cache/b.jar",
    "spark.sql.session.timeZone": "UTC",
}
# of linear algebra, and of Hive's metastore, which the job does without
LEFT_OUT = {"--add-modules=jdk.incubator.vector", "-Dderby.connection.requireAuthentication=false"}


def test_java_gets_what_sparks_scripts_would_give_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer pyspark that gives it something else makes this fail; what the job does without is left out."""
    for name in [name for name in os.environ if name.startswith("SPARK_")]:
        monkeypatch.delenv(name)
    home = found_java()
    given = [part for name, value in PROPERTIES.items() for part in ("--conf", f"{name}={value}")]
    launcher = ["org.apache.spark.launcher.Main", "org.apache.spark.deploy.SparkSubmit"]
    told = subprocess.run(
        [home / "bin" / "java", "-cp", f"{SPARK}/jars/*", *launcher, *given, "pyspark-shell"],
        env=os.environ | {"SPARK_HOME": str(SPARK), "SPARK_SCALA_VERSION": "2.13", "JAVA_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    theirs = [part.strip() for part in told.split("\0") if part.strip()]
    ours = options(PROPERTIES, ["/cache/a.jar", "/cache/b.jar", f"{SPARK}/jars/*"])
    # a folder that is not there, and a jar that is named before the others, which have it too
    twice = next(SPARK.glob("jars/slf4j-api-*.jar"))
    theirs[2] = theirs[2].replace(f":{SPARK}/conf:{twice}:", ":")
    assert theirs[0] == str(home / "bin" / "java")
    assert sorted(theirs[1:]) == sorted([*ours, *LEFT_OUT])


@pytest.mark.parametrize("name", ["SPARK_CONF_DIR", "SPARK_HOME", "PYSPARK_SUBMIT_ARGS"])
def test_where_spark_has_settings_of_its_own_its_scripts_start_java(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """They alone know what such a setting means."""
    monkeypatch.setenv(name, str(tmp_path))
    assert launch(PROPERTIES, tmp_path, tmp_path / "spark.log") is None


def test_a_java_that_ends_before_it_is_ready_has_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And its last words are in the log."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho no memory; exit 1\n")
    java.chmod(0o755)
    begun = launch(PROPERTIES, tmp_path, tmp_path / "spark.log")
    assert isinstance(begun, Java)
    assert begun.address() is None
    begun.end()
    assert (tmp_path / "spark.log").read_text() == "no memory\n"


def test_the_options_of_java_are_split_as_a_shell_does() -> None:
    """A home may have blanks in its name."""
    assert shlex.split(PROPERTIES["spark.driver.extraJavaOptions"])[0] == "-Dstocketl.logs=/a home/logs"
    assert "-Dstocketl.logs=/a home/logs" in options(PROPERTIES, ["/cache/a.jar"])
