"""One file by HTTPS, whole or not at all: through proxies, behind foreign authorities, resumed after a break.

Delivery: the target appears under its name once its size and SHA-256 are right. What a break leaves is a `.part` file
beside it, and the next call goes on there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import urllib.request
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit, urlunsplit

import tenacity
import urllib3
from urllib3.exceptions import HTTPError, LocationValueError, MaxRetryError, ProxyError, ProxySchemeUnknown, SSLError

from streaming.errors import StockETLError
from streaming.spark.trust import pip_says, trusted, unusable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_CHUNK = 1 << 18
_TRIES = 4  # in a row that bring no byte
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 8.0
_TIMEOUT = urllib3.Timeout(connect=20, read=60)
_REDIRECTS_ONLY = urllib3.Retry(total=None, connect=0, read=0, status=0, other=0, redirect=10)
_WHERE = re.compile(r"^<?[\w.]*(?:Connection|Pool)\w*\(host=.*?\)>?: ")  # how urllib3 begins its sentences
_ZIP = b"PK\x03\x04"
_SHOWN_BYTES = 60
_TRUST = (
    "A proxy with a certificate authority of its own? Name the file with its certificate: "
    "export SSL_CERT_FILE=/path/to/ca.pem"
)
_NO_WAY = (
    "Is there a way to the internet? Through a proxy: export HTTPS_PROXY=http://host:port (user:password@ before the "
    "host if the proxy asks for a login)"
)

_PAGE = "Is it a page of a proxy, or does the mirror hold something else? Open the address in a browser"


class DownloadError(StockETLError):
    """A file cannot be fetched. The text says what happened and what to do."""


class _PassingError(DownloadError):
    """An error that may be over at the next try."""


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(url: str, target: Path, size: int, sha256: str, told: Callable[[int], object] = int) -> None:
    """Fetches a jar. `told` hears how many bytes are there. One caller at a time for a target.

    Raises DownloadError, OSError (the disk).
    """
    part = target.with_name(f"{target.name}.part")
    resumed = part.exists()
    try:
        _fetch_all(url, part, size, told)
        if not _is(part, size, sha256) and resumed:  # what an earlier call has left was of something else
            part.unlink(missing_ok=True)
            _fetch_all(url, part, size, told)
        _check(url, part, size, sha256)
    except OSError:
        part.unlink(missing_ok=True)  # of a full disk: give back what there is
        raise
    part.replace(target)


def shown(url: str) -> str:
    """An address without user and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _fetch_all(url: str, part: Path, size: int, told: Callable[[int], object]) -> None:
    """Tries until the file is whole, or until several tries in a row have brought no byte."""
    progress = [_bytes(part), 0]  # at the last try, tries since then

    def stuck(_: tenacity.RetryCallState) -> bool:
        now = _bytes(part)
        progress[:] = [now, 0 if now > progress[0] else progress[1] + 1]
        return progress[1] >= _TRIES

    tries = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(_PassingError),
        wait=tenacity.wait_exponential(_FIRST_PAUSE_SECONDS, max=_LONGEST_PAUSE_SECONDS),
        stop=stuck,
        reraise=True,
    )
    with contextlib.closing(_Client(url)) as client:
        tries(client.fetch, part, size, told)


class _Client:
    """A connection to the host of an address."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._url = shown(url)
        self._headers = {"Accept-Encoding": "identity", "User-Agent": "stocketl"} | _login("authorization", url)
        options: dict[str, Any] = {"ssl_context": trusted(), "timeout": _TIMEOUT, "retries": _REDIRECTS_ONLY}
        proxy = _proxy(parts.scheme, parts.hostname or "")
        try:
            self._pool: urllib3.PoolManager = (
                urllib3.ProxyManager(
                    shown(proxy),
                    proxy_ssl_context=trusted(),
                    proxy_headers=_login("proxy-authorization", proxy),
                    **options,
                )
                if proxy
                else urllib3.PoolManager(**options)
            )
        except (ProxySchemeUnknown, LocationValueError) as error:
            msg = f"the proxy {shown(proxy or '')!r} cannot be used: expected http://host:port"
            raise DownloadError(msg) from error

    def close(self) -> None:
        self._pool.clear()

    def fetch(self, part: Path, size: int, told: Callable[[int], object]) -> None:
        """Fetches the rest of the file, from the end of the part."""
        begun = _bytes(part)
        if begun >= size:
            begun = 0
        headers = self._headers | ({"Range": f"bytes={begun}-"} if begun else {})
        try:
            response = self._pool.request("GET", self._url, headers=headers, preload_content=False)
        except HTTPError as error:
            raise _told(error) from error
        with contextlib.closing(response):
            _refuse(response.status, part)
            goes_on = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {begun}-")
            with part.open("r+b" if goes_on else "wb") as sink:
                there = sink.seek(begun if goes_on else 0)
                _copy(response, sink, there, size, told)
                os.fsync(sink.fileno())


def _copy(
    response: urllib3.BaseHTTPResponse, sink: IO[bytes], there: int, size: int, told: Callable[[int], object]
) -> None:
    try:
        for chunk in response.stream(_CHUNK):
            if there == 0 and chunk[: len(_ZIP)] != _ZIP[: len(chunk)]:
                msg = f"the answer is not a jar: it begins with {chunk[:_SHOWN_BYTES]!r}. {_PAGE}"
                raise DownloadError(msg)
            there += len(chunk)
            if there > size:
                msg = f"the answer is longer than the {size:,} bytes of the jar. {_PAGE}"
                raise DownloadError(msg)
            sink.write(chunk)
            told(there)
    except HTTPError as error:
        raise _told(error) from error
    if there < size:
        msg = f"the transfer ended after {there:,} of {size:,} bytes. {_NO_WAY}"
        raise _PassingError(msg)


def _refuse(status: int, part: Path) -> None:
    if status in {200, 206}:
        return
    if status == 416:
        part.unlink(missing_ok=True)
    passing = status in {408, 416, 425, 429} or status >= 500
    advice = {
        401: "It wants a login: put user:password@ before the mirror's host",
        403: "It refuses: another mirror, or a login (user:password@ before the mirror's host)",
        404: "The mirror does not have this jar: another one",
        407: _NO_WAY,
    }.get(status, "Try again later, or another mirror")
    msg = f"HTTP {status}. {advice}"
    raise (_PassingError if passing else DownloadError)(msg)


def _told(error: HTTPError) -> DownloadError:
    """The error of urllib3 in one sentence, with what to do."""
    met: BaseException = error.reason if isinstance(error, MaxRetryError) and error.reason else error
    if isinstance(met, ProxyError):
        inner = met.original_error
        passing = "407" not in str(inner)
        return (_PassingError if passing else DownloadError)(f"no way through the proxy: {_plain(inner)}. {_NO_WAY}")
    if isinstance(met, SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(met):
        because = "; ".join([_plain(met), *unusable()])
        return DownloadError(f"the certificate is not trusted: {because}. {_TRUST}")
    return _PassingError(f"{_plain(met)}. {_NO_WAY}")


def _plain(error: BaseException) -> str:
    return _WHERE.sub("", str(error)).strip().rstrip(".") or type(error).__name__


def _check(url: str, part: Path, size: int, sha256: str) -> None:
    if _is(part, size, sha256):
        return
    found = f"{_bytes(part):,} bytes with the SHA-256 {sha256_of(part)}"
    part.unlink()
    msg = f"{shown(url)} has other content: expected {size:,} bytes with the SHA-256 {sha256}, got {found}. {_PAGE}"
    raise DownloadError(msg)


def _is(part: Path, size: int, sha256: str) -> bool:
    return _bytes(part) == size and sha256_of(part) == sha256


def _bytes(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _proxy(scheme: str, host: str) -> str | None:
    """By the environment, else by pip's configuration."""
    proxies = urllib.request.getproxies()
    proxy = proxies.get(scheme) or proxies.get("all") or pip_says("proxy")
    if not proxy or urllib.request.proxy_bypass(host):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _login(header: str, url: str) -> dict[str, str]:
    """The header for a user and password in an address."""
    parts = urlsplit(url)
    if parts.username is None:
        return {}
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {header: urllib3.make_headers(basic_auth=login)["authorization"]}
