"""A YARN cluster on this machine: Hadoop's own resource manager and node managers, in one Java process."""

from __future__ import annotations

import os
import subprocess
import urllib.request
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Self

import process_session

from streaming.spark.java import java_home
from streaming.spark.maven import local_repository, repository

if TYPE_CHECKING:
    from types import TracebackType

PIP_JARS = Path(str(resources.files("pyspark"))) / "jars"
_ARTIFACTS = (
    "org/apache/hadoop/hadoop-client-minicluster/3.4.2/hadoop-client-minicluster-3.4.2.jar",
    "org/bouncycastle/bcprov-jdk18on/1.78.1/bcprov-jdk18on-1.78.1.jar",
    "org/bouncycastle/bcpkix-jdk18on/1.78.1/bcpkix-jdk18on-1.78.1.jar",
    "org/bouncycastle/bcutil-jdk18on/1.78.1/bcutil-jdk18on-1.78.1.jar",
    "javax/xml/bind/jaxb-api/2.3.1/jaxb-api-2.3.1.jar",
    "javax/activation/activation/1.1.1/activation-1.1.1.jar",
    "com/sun/xml/bind/jaxb-impl/2.3.3/jaxb-impl-2.3.3.jar",
    "com/sun/xml/bind/jaxb-core/2.3.0.1/jaxb-core-2.3.0.1.jar",
    "junit/junit/4.13.2/junit-4.13.2.jar",
    "org/hamcrest/hamcrest-core/1.3/hamcrest-core-1.3.jar",
    "org/mockito/mockito-core/2.28.2/mockito-core-2.28.2.jar",
)
"""Of the Hadoop that pip's Spark has, and what its test classes load."""


_OF_ALL = {
    "yarn.nm.liveness-monitor.expiry-interval-ms": "10000",
    "yarn.nodemanager.disk-health-checker.enable": "false",  # a disk that is full for others is none of its business
    "yarn.nodemanager.vmem-check-enabled": "false",  # as on EMR: Java reserves far more than it uses
    "yarn.scheduler.minimum-allocation-mb": "128",
    "yarn.scheduler.capacity.root.queues": "default",
    "yarn.scheduler.capacity.root.default.capacity": "100",
}


class MiniYarn:
    """The cluster while the context lasts. conf: the folder with its configuration, for HADOOP_CONF_DIR.

    properties: of YARN, over what is quick to notice a lost node.
    """

    def __init__(self, folder: Path, nodes: int, properties: dict[str, str]) -> None:
        self.conf = folder / "hadoop"
        self._folder, self._nodes = folder, nodes
        self._properties = _OF_ALL | properties

    def __enter__(self) -> Self:
        self.conf.mkdir(parents=True)
        (self.conf / "core-site.xml").write_text(_xml({"fs.defaultFS": "file:///"}))
        given = [f"{name}={value}" for name, value in self._properties.items()]
        source = Path(__file__).with_name("MiniYarn.java")
        with (self._folder / "yarn.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    java_home() / "bin" / "java", "-Xmx600m", "--add-opens=java.base/java.lang=ALL-UNNAMED",
                    "-cp", os.pathsep.join([f"{PIP_JARS}/*", *map(str, jars())]),
                    source, self.conf / "yarn-site.xml", str(self._nodes), *given,
                ],
                cwd=self._folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                start_new_session=True,
            )  # fmt: skip
        self._until("ready")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process_session.kill(self._process.pid)
        with self._process:  # also closes its pipes
            self._process.wait(30)

    def lose(self, node: int) -> None:
        """The node manager of this number ends, and all its containers with it."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{node}\n")
        self._process.stdin.flush()
        self._until(f"stopped {node}")

    def _until(self, said: str) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.strip() == said:
                return
        log = (self._folder / "yarn.log").read_text(errors="replace")
        msg = f"YARN ended before it was {said!r}:\n{log[-3000:]}"
        raise AssertionError(msg)


def jars() -> list[Path]:
    """The mini cluster's own, fetched from Maven when they are not there yet."""
    found = [local_repository() / artifact for artifact in _ARTIFACTS]
    for artifact, path in zip(_ARTIFACTS, found, strict=True):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(".part")
            urllib.request.urlretrieve(f"{repository()}/{artifact}", part)  # noqa: S310 - a Maven repository
            part.rename(path)
    return found


def _xml(properties: dict[str, str]) -> str:
    rows = (f"<property><name>{name}</name><value>{value}</value></property>" for name, value in properties.items())
    return f"<configuration>{''.join(rows)}</configuration>\n"
