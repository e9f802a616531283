"""Java with Spark in it, started without Spark's own scripts.

`bin/spark-submit` is a shell script that starts a Java to work out how to start Java: half a second of CPU. Here its
answer is known. It also asks for a module that only linear algebra needs. Wherever a setting of Spark's own may change
the answer (`SPARK_CONF_DIR` and the like), the scripts are left to it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shlex
import shutil
import signal
import struct
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from streaming.spark.class_sharing import SharedClasses

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SCRIPTS_READ = (
    "HADOOP_CONF_DIR",
    "PYSPARK_SUBMIT_ARGS",
    "SPARK_CONF_DIR",
    "SPARK_DIST_CLASSPATH",
    "SPARK_HOME",
    "SPARK_PREPEND_CLASSES",
    "SPARK_SUBMIT_OPTS",
    "YARN_CONF_DIR",
)
_OPENED = (
    *(f"java.base/java.{name}" for name in ("lang", "lang.invoke", "lang.reflect", "io", "net", "nio", "util")),
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/jdk.internal.ref",
    "java.base/sun.nio.ch",
    "java.base/sun.nio.cs",
    "java.base/sun.security.action",
    "java.base/sun.util.calendar",
    "java.security.jgss/sun.security.krb5",
)
OPTIONS = (
    "-XX:+IgnoreUnrecognizedVMOptions",
    *(f"--add-opens={name}=ALL-UNNAMED" for name in _OPENED),
    "-Djdk.reflect.useDirectMethodHandle=false",
    "-Dio.netty.tryReflectionSetAccessible=true",
    "-Dio.netty.allocator.type=pooled",
    "-Dio.netty.handler.ssl.defaultEndpointVerificationAlgorithm=NONE",
    "--enable-native-access=ALL-UNNAMED",
)
"""What Spark's scripts give every Java, but for what only linear algebra and Hive's metastore need."""
MAIN = "org.apache.spark.deploy.SparkSubmit"
_LOOK_SECONDS = 0.02
_END_SECONDS = 10
# Spark would start a Python process to look for data sources that other packages bring; it does so only if it finds
# the Python that this variable names, and the job registers the one that it has
_NO_PYTHON = "stocketl-has-its-own-data-source"


class Java:
    """A Java that waits until this process connects to it. shared: its archive of classes."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path, shared: SharedClasses) -> None:
        self.process = process
        self.shared = shared
        self._folder = folder
        self._asked = False

    def address(self) -> tuple[int, str] | None:
        """Port and secret of its gateway, once it listens; None if it has ended before."""
        told = self._folder / "address"
        self._asked = True
        try:
            while self.process.poll() is None:
                if told.exists():
                    port, length = struct.unpack_from(">ii", content := told.read_bytes())
                    return port, content[8 : 8 + length].decode()
                time.sleep(_LOOK_SECONDS)
            return None
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def end(self) -> None:
        """As `end`; at once if nobody has asked for it, so that a start that is refused waits for nothing."""
        if not self._asked:
            self.process.kill()
        end(self.process)
        self.shared.forget()
        shutil.rmtree(self._folder, ignore_errors=True)


def launch(properties: Mapping[str, str], java_home: Path, told: Path) -> Java | None:
    """Java, begun with these properties of Spark; None where Spark's own scripts must do it.

    told: the file for what Java and the Python workers print.
    """
    spark = _spark_home()
    if spark is None or any(os.environ.get(name) for name in _SCRIPTS_READ):
        return None
    extra = properties.get("spark.driver.extraClassPath", "")
    class_path = [*filter(None, extra.split(":")), f"{spark}/jars/*"]
    shared = SharedClasses(java_home, class_path)
    folder = Path(tempfile.mkdtemp(prefix="stocketl-java-"))
    environment = os.environ | {
        "SPARK_HOME": str(spark),
        "PYTHONHASHSEED": "0",
        "SPARK_CONNECT_MODE": "0",
        "SPARK_SCALA_VERSION": "2.13",
        "PYSPARK_DRIVER_PYTHON": _NO_PYTHON,
        "_PYSPARK_DRIVER_CONN_INFO_PATH": str(folder / "address"),
    }
    try:
        with told.open("ab") as sink:
            process = subprocess.Popen(  # noqa: S603 (the Java that was found)
                [str(java_home / "bin" / "java"), *options(properties, class_path, shared.options)],
                stdin=subprocess.PIPE,
                stdout=sink,
                stderr=sink,
                env=environment,
                preexec_fn=_without_ctrl_c,  # noqa: PLW1509 (as pyspark does it; no thread holds a lock that it needs)
                process_group=0,
            )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Java(process, folder, shared)


def options(properties: Mapping[str, str], class_path: Sequence[str], more: Sequence[str] = ()) -> list[str]:
    """What Spark's scripts would give to Java, and more."""
    given = [part for name, value in properties.items() for part in ("--conf", f"{name}={value}")]
    return [
        "-cp",
        ":".join(class_path),
        f"-Xmx{properties['spark.driver.memory']}",
        *shlex.split(properties.get("spark.driver.extraJavaOptions", "")),
        *OPTIONS,
        *more,
        MAIN,
        *given,
        "pyspark-shell",
    ]


def end(process: subprocess.Popen[bytes]) -> None:
    """Java ends when its standard input does; waited for, so that the command leaves nothing behind."""
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
    try:
        process.wait(timeout=_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _spark_home() -> Path | None:
    """The folder of pip's pyspark; None if somebody has put a configuration into it, which only the scripts read."""
    spec = importlib.util.find_spec("pyspark")
    places = [Path(place) for place in (spec.submodule_search_locations or [])] if spec else []
    return next((place for place in places if (place / "jars").is_dir() and not (place / "conf").exists()), None)


def _without_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
