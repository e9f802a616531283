"""Where the jars that pip's Spark lacks come from, and what each must be: `jars.lock` has their SHA-256."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree as ET

from streaming.errors import SettingsError

MIRROR = "STOCKETL_MAVEN_MIRROR"

_IVYS_SETTINGS = "org/apache/ivy/core/settings/repository.properties"
_IVYS_ROOT = "ivy.ibiblio.default.artifact.root"
_OF_EVERYTHING = {"*", "external:*", "central"}  # what a mirror's `mirrorOf` says if it stands for Maven Central


@dataclass(frozen=True)
class Jar:
    """A jar by its Maven coordinates, and its content."""

    group: str
    artifact: str
    version: str
    sha256: str
    size: int

    def __str__(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"

    @property
    def name(self) -> str:
        """Its name in the cache."""
        return f"{self.group}_{self.artifact}-{self.version}.jar"

    @property
    def path(self) -> str:
        """Its path in every Maven repository."""
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/{self.artifact}-{self.version}.jar"


def locked(package: str) -> list[Jar]:
    """What `jars.lock` lists for a package: its jar, and all that it needs beyond Spark's own jars."""
    text = (resources.files("streaming.spark") / "jars.lock").read_text(encoding="utf-8")
    rows = (line.split() for line in text.splitlines() if line and not line.startswith("#"))
    found: list[Jar] = []
    for of, name, sha256, size in rows:
        if of == package:
            group, artifact, version = name.split(":")
            found.append(Jar(group, artifact, version, sha256, int(size)))
    return found


def repository() -> str:
    """The address of a Maven repository, without a slash at its end, or a folder that is laid out like one.

    By the variable, else by a mirror in Maven's settings, else the one that Spark's own resolver, Ivy, would take.
    Raises SettingsError for a variable that is no address.
    """
    if given := os.environ.get(MIRROR, "").strip():
        return _checked(given)
    return (_mirror_of_maven() or _known_to_spark()).rstrip("/")


def local_repository() -> Path:
    """The folder in which Maven keeps what it has fetched for this user."""
    return Path.home() / ".m2" / "repository"


def _checked(given: str) -> str:
    parts = urlsplit(given)
    if parts.scheme == "file":
        given = unquote(parts.path)
    if Path(given).is_absolute() and Path(given).is_dir():
        return given.rstrip("/")
    if parts.scheme in {"http", "https"} and parts.hostname:
        return given.rstrip("/")
    msg = f"{MIRROR}: expected the address of a Maven repository (https://…) or an existing folder, got {given!r}"
    raise SettingsError(msg)


def _mirror_of_maven() -> str | None:
    """The mirror of Maven Central that `~/.m2/settings.xml` names, if its address is written out there."""
    try:
        root = ET.parse(Path.home() / ".m2" / "settings.xml").getroot()  # noqa: S314 (the user's own file)
    except (OSError, ET.ParseError):
        return None
    for mirror in root.iterfind("{*}mirrors/{*}mirror"):
        of = {part.strip() for part in (mirror.findtext("{*}mirrorOf") or "").split(",")}
        url = (mirror.findtext("{*}url") or "").strip()
        if of & _OF_EVERYTHING and "!central" not in of and url.startswith(("https://", "http://")) and "${" not in url:
            return url
    return None


def _known_to_spark() -> str:
    for jar in sorted((Path(str(resources.files("pyspark"))) / "jars").glob("ivy-*.jar")):
        with zipfile.ZipFile(jar) as archive:
            text = archive.read(_IVYS_SETTINGS).decode()
        for line in text.splitlines():
            name, equals, value = line.partition("=")
            if equals and name.strip() == _IVYS_ROOT:
                return value.strip()
    msg = f"this Spark names no Maven repository: set {MIRROR} to the address of one"
    raise SettingsError(msg)
