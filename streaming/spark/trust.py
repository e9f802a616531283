"""Which certificate authorities a download trusts: the system's, and each one that the user has named to a tool."""

from __future__ import annotations

import configparser
import contextlib
import functools
import os
import ssl
import sys
from importlib import resources
from pathlib import Path

_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT", "AWS_CA_BUNDLE")
_SYSTEMS = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Red Hat
    "/etc/ssl/ca-bundle.pem",  # SUSE
)


def trusted() -> ssl.SSLContext:
    """A context that trusts the system's authorities, and those in the variables and files that other tools know.

    That is more than any one of them would trust: what is fetched is known by its SHA-256 anyway.
    """
    botocores = Path(str(resources.files("botocore") / "cacert.pem"))
    return _trusting((*_named().values(), *map(Path, _SYSTEMS), botocores))


def unusable() -> list[str]:
    """The files that the user has named but that cannot be used, each with the reason."""
    found: list[str] = []
    for name, path in _named().items():
        try:
            _trust(ssl.create_default_context(), path)
        except OSError as error:
            found.append(f"{name} names {path}, but it holds no certificate: {error.strerror or error}")
    return found


def pip_says(option: str) -> str | None:
    """A global option of pip's configuration files, the nearest first."""
    home, given = Path.home(), os.environ.get("PIP_CONFIG_FILE")
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    files = [Path(sys.prefix, "pip.conf"), config / "pip/pip.conf", home / ".pip/pip.conf", Path("/etc/pip.conf")]
    for file in [Path(given), *files] if given else files:
        parser = configparser.RawConfigParser()
        with contextlib.suppress(configparser.Error, OSError, UnicodeDecodeError):
            parser.read(file)
            if value := parser.get("global", option, fallback=None):
                return value
    return None


@functools.lru_cache(maxsize=1)  # reading hundreds of certificates takes a quarter of a second
def _trusting(paths: tuple[Path, ...]) -> ssl.SSLContext:
    context = ssl.create_default_context()  # knows SSL_CERT_FILE and SSL_CERT_DIR
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # Python 3.13 refuses what many authorities of proxies look like
    for path in paths:
        with contextlib.suppress(OSError):  # if it matters, `unusable` tells it
            _trust(context, path)
    return context


def _named() -> dict[str, Path]:
    named = {name: value for name in _VARIABLES if (value := os.environ.get(name))}
    if cert := pip_says("cert"):
        named["cert in pip's configuration"] = cert
    return {name: Path(value).expanduser() for name, value in named.items()}


def _trust(context: ssl.SSLContext, path: Path) -> None:
    if path.is_dir():
        context.load_verify_locations(capath=path)
    else:
        context.load_verify_locations(cafile=path)
