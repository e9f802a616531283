"""The jars come in Python: with the system's trust, through proxies, whole or not at all, once for all processes."""

from __future__ import annotations

import hashlib
import importlib.metadata
import multiprocessing
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from jar_server import jar_server

from streaming.errors import SettingsError
from streaming.settings import load
from streaming.spark import download, jars, maven

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jar_server import JarServer

PACKAGE = jars.FOLDERS
CONTENT = b"PK\x03\x04" + bytes(range(256)) * 4096
OTHER = b"PK\x03\x04" + bytes(len(CONTENT) - 4)
JAR = maven.Jar("org.example", "thing_2.13", "1.0", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
TRUST = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT", "AWS_CA_BUNDLE")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[JarServer]:
    with jar_server(tmp_path) as running:
        running.files[f"/maven2/{JAR.path}"] = CONTENT
        yield running


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of this machine's user, a cache and a home of the test's own, one small jar, no pauses."""
    for name in (*PROXIES, *TRUST, "PIP_CONFIG_FILE", maven.MIRROR):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr(jars, "locked", lambda _: [JAR])
    monkeypatch.setattr(download, "_FIRST_PAUSE_SECONDS", 0.01)


@pytest.fixture
def _way(server: JarServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that a user behind the proxy has to set."""
    monkeypatch.setenv(maven.MIRROR, server.url)
    monkeypatch.setenv("HTTPS_PROXY", server.proxy)
    monkeypatch.setenv("SSL_CERT_FILE", server.ca)


def fetched() -> bytes:
    (path,) = jars.jars(lake=False, s3=False, folders=True)
    return path.read_bytes()


def refused() -> str:
    with pytest.raises(SettingsError) as caught:
        fetched()
    return str(caught.value)


def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "stocketl" / PACKAGE.replace(":", "_") / "jars"


@pytest.mark.parametrize("named", [*(name for name in TRUST if name != "SSL_CERT_DIR"), "pip.conf"])
def test_behind_a_proxy_with_an_authority_of_its_own_a_jar_comes(
    server: JarServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    """The authority may be named to any of the tools that know one, the proxy may want a login."""
    server.proxy_login = "user:pass"
    monkeypatch.setenv(maven.MIRROR, server.url)
    if named == "pip.conf":
        conf = tmp_path / "home" / ".config" / "pip" / "pip.conf"
        conf.parent.mkdir(parents=True)
        conf.write_text(f"[global]\ncert = {server.ca}\nproxy = {server.proxy}\n")
    else:
        monkeypatch.setenv("https_proxy", server.proxy)
        monkeypatch.setenv(named, server.ca)
    assert fetched() == CONTENT


def test_an_authority_that_nobody_named_is_told_with_what_to_do(
    server: JarServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One plain message without a stack: the address, the reason, the variable."""
    monkeypatch.setenv(maven.MIRROR, server.url)
    monkeypatch.setenv("HTTPS_PROXY", server.proxy)
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such/file.pem")
    said = refused()
    assert f"could not fetch {JAR} from {server.url}/{JAR.path}: the certificate is not trusted" in said
    assert "SSL_CERT_FILE names /no/such/file.pem" in said
    assert "export SSL_CERT_FILE=" in said
    assert "\n" not in said


@pytest.mark.usefixtures("_way")
def test_a_proxy_that_wants_a_login_is_told_with_what_to_do(server: JarServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, not after tries."""
    server.proxy_login = "user:pass"
    monkeypatch.setenv("HTTPS_PROXY", server.proxy.replace("user:pass@", ""))
    said = refused()
    assert "407" in said
    assert "user:password@" in said


@pytest.mark.usefixtures("_way")
def test_no_password_of_a_mirror_or_proxy_is_shown(server: JarServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in the address nor in the reason."""
    monkeypatch.setenv(maven.MIRROR, server.url.replace("https://", "https://me:secret@"))
    monkeypatch.setenv("HTTPS_PROXY", "http://me:secret@127.0.0.1:9")
    said = refused()
    assert "secret" not in said
    assert "the proxy" in said


@pytest.mark.usefixtures("_way")
def test_a_transfer_that_breaks_goes_on_where_it_ended(server: JarServer) -> None:
    """Each break costs a request, no byte is fetched twice."""
    server.faults[:] = ["truncated", 503, "truncated"]
    assert fetched() == CONTENT
    assert len(server.asked) == 4
    assert server.asked[0][1] is None
    assert all(asked for _, asked in server.asked[1:])


@pytest.mark.usefixtures("_way")
def test_what_a_killed_process_left_is_used_if_it_is_of_the_jar_and_fetched_anew_if_not(
    server: JarServer, tmp_path: Path
) -> None:
    """The SHA-256 of the whole decides."""
    part = cache(tmp_path) / f"{JAR.name}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT[:1000])
    assert fetched() == CONTENT
    assert server.asked == [(f"/maven2/{JAR.path}", "bytes=1000-")]
    (cache(tmp_path) / JAR.name).unlink()
    part.write_bytes(OTHER[:1000])
    assert fetched() == CONTENT
    part.write_bytes(CONTENT * 2)
    (cache(tmp_path) / JAR.name).unlink()
    assert fetched() == CONTENT
    assert not part.exists()


@pytest.mark.usefixtures("_way")
@pytest.mark.parametrize(
    ("fault", "content", "reason"),
    [
        ("page", CONTENT, "is not a jar: it begins with b'<!DOCTYPE html>"),
        ("endless", CONTENT, "longer than"),
        (None, OTHER, "has other content: expected"),
        (404, CONTENT, "HTTP 404"),
        (403, CONTENT, "HTTP 403"),
    ],
)
def test_what_is_not_the_jar_is_refused_and_leaves_nothing(
    server: JarServer, fault: str | int | None, content: bytes, reason: str
) -> None:
    """A page of a proxy, a mirror with something else: told at the first answer, and the next start begins anew."""
    server.files[f"/maven2/{JAR.path}"] = content
    server.faults[:] = [fault] if fault else []
    assert reason in refused()
    assert len(server.asked) == 1
    server.files[f"/maven2/{JAR.path}"] = CONTENT
    assert fetched() == CONTENT


@pytest.mark.usefixtures("_way")
def test_a_redirect_is_followed(server: JarServer) -> None:
    """Mirrors send to where the files are."""
    server.redirect_to = "/elsewhere"
    assert fetched() == CONTENT


def test_a_host_that_nobody_knows_is_told_with_the_proxy_the_mirror_and_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Offline for the first time: three ways out."""
    monkeypatch.setenv(maven.MIRROR, "https://repository.invalid/maven2")
    said = refused()
    for hint in ("HTTPS_PROXY", maven.MIRROR, str(tmp_path / "cache" / "stocketl")):
        assert hint in said


@pytest.mark.usefixtures("_way")
def test_a_full_cache_needs_no_network_and_no_right_to_write(
    server: JarServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where another user has filled it and the times of the files are others."""
    fetched()
    monkeypatch.setenv(maven.MIRROR, "https://repository.invalid/maven2")
    os.utime(cache(tmp_path) / JAR.name)

    def not_ours(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "utime", not_ours)
    monkeypatch.setattr(type(tmp_path), "mkdir", not_ours)
    assert fetched() == CONTENT
    assert len(server.asked) == 1


@pytest.mark.usefixtures("_way")
@pytest.mark.parametrize("damage", [b"", CONTENT[:-1], OTHER])
def test_a_damaged_jar_of_the_cache_is_fetched_again(tmp_path: Path, damage: bytes) -> None:
    """Emptied, cut, or with other bytes of the same length."""
    fetched()
    (cache(tmp_path) / JAR.name).write_bytes(damage)
    assert fetched() == CONTENT


def test_a_cache_that_may_not_be_written_is_told_with_another_place(tmp_path: Path) -> None:
    """Here a file stands where the folder should be."""
    (tmp_path / "cache").write_text("")
    said = refused()
    assert f"the cache of jars {cache(tmp_path)}" in said
    assert "XDG_CACHE_HOME" in said


@pytest.mark.usefixtures("_way")
def test_a_full_disk_is_told_with_what_is_needed_and_leaves_no_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written until then is given back."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    said = refused()
    assert "No space left on device; free some space, 1 MB are needed" in said
    assert [path.name for path in cache(tmp_path).iterdir()] == [".fetching"]


@pytest.mark.usefixtures("_way")
def test_of_two_processes_at_once_one_fetches_and_both_have_it(server: JarServer) -> None:
    """Two jobs started together on a new machine."""
    server.faults[:] = ["truncated"]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(_fetched, range(2), chunksize=1) == [CONTENT, CONTENT]
    assert len(server.asked) == 2


def _fetched(_: int) -> bytes:
    return fetched()


@pytest.mark.parametrize("place", ["home/.m2/repository", "folder", "file"])
def test_a_folder_that_is_laid_out_like_a_repository_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """What Maven has fetched for this user, or a folder that the variable names."""
    folder = tmp_path / place
    (folder / JAR.path).parent.mkdir(parents=True)
    (folder / JAR.path).write_bytes(CONTENT)
    if place != "home/.m2/repository":
        monkeypatch.setenv(maven.MIRROR, f"file://{folder}" if place == "file" else str(folder))
    assert fetched() == CONTENT
    (cache(tmp_path) / JAR.name).unlink()
    (folder / JAR.path).write_bytes(OTHER)
    monkeypatch.setenv(maven.MIRROR, str(folder))
    assert f"expected {folder}/{JAR.path} with" in refused()


def test_a_mirror_is_the_variable_or_one_of_mavens_settings_or_what_spark_would_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this order; the job knows the variable."""
    assert maven.repository().startswith("https://")
    (tmp_path / "home" / ".m2").mkdir(parents=True)
    (tmp_path / "home" / ".m2" / "settings.xml").write_text(
        '<settings xmlns="http://maven.apache.org/SETTINGS/1.0.0"><mirrors>'
        "<mirror><mirrorOf>*,!central</mirrorOf><url>https://no.example</url></mirror>"
        "<mirror><mirrorOf>central</mirrorOf><url>https://mirror.example/all/</url></mirror></mirrors></settings>"
    )
    assert maven.repository() == "https://mirror.example/all"
    monkeypatch.setenv(maven.MIRROR, "https://other.example/")
    assert maven.repository() == "https://other.example"
    load(home=str(tmp_path))
    monkeypatch.setenv(maven.MIRROR, "other.example")
    with pytest.raises(SettingsError, match=f"{maven.MIRROR}: expected the address of a Maven repository"):
        maven.repository()


def test_the_list_fits_the_versions_that_are_installed() -> None:
    """Whoever raises one of them makes the list anew."""
    assert str(maven.locked(jars.DELTA)[4]) == jars.DELTA
    assert jars.DELTA.endswith(f":{importlib.metadata.version('delta-spark')}")
    for package in (jars.DELTA, jars.S3A, jars.FOLDERS):
        found = maven.locked(package)
        assert package in map(str, found)
        assert all(len(jar.sha256) == 64 for jar in found)


def test_fetching_starts_no_java(tmp_path: Path) -> None:
    """The trust store of a Java from PyPI knows no proxy of this machine."""
    names = "print([name for name in sys.modules if name.startswith('pyspark')])"
    script = f"from streaming.spark import jars; import sys; {names}"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert out.stdout.strip() == "[]"
