"""A Maven repository on the loopback with an authority of its own, and a proxy that alone knows the way to it."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import http.server
import re
import socket
import ssl
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOST = "repository.example"


@dataclass
class JarServer:
    """What it holds and how it misbehaves: each request takes one of `faults`, in order.

    faults: `truncated` (closes after half), `page` (a page of HTML with status 200), `endless`, or a status.
    """

    url: str = ""
    ca: str = ""
    proxy_port: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    faults: list[str | int] = field(default_factory=list)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    proxy_login: str | None = None
    redirect_to: str | None = None

    @property
    def proxy(self) -> str:
        login = f"{self.proxy_login}@" if self.proxy_login else ""
        return f"http://{login}127.0.0.1:{self.proxy_port}"


def authority(folder: Path, host: str) -> tuple[Path, Path]:
    """(certificate of the authority, chain and key of a server of this name), as files."""
    now = dt.datetime.now(dt.UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    issuer, subject = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("an authority", host))

    def signed(name: x509.Name, key: Any, *extensions: x509.ExtensionType) -> bytes:
        builder = x509.CertificateBuilder(issuer, name, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=1))
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(keys[0], hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    ca, server = folder / "ca.pem", folder / "server.pem"
    ca.write_bytes(signed(issuer, keys[0], x509.BasicConstraints(ca=True, path_length=None)))
    key = keys[1].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    server.write_bytes(key + signed(subject, keys[1], x509.SubjectAlternativeName([x509.DNSName(host)])))
    return ca, server


@contextlib.contextmanager
def jar_server(folder: Path) -> Iterator[JarServer]:
    """`https://repository.example:<port>`, which no name server knows: the proxy leads there."""
    state = JarServer()
    ca, certificate = authority(folder, HOST)
    repository = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    repository.socket = context.wrap_socket(repository.socket, server_side=True, do_handshake_on_connect=False)
    repository.handle_error = lambda *_: None
    proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _tunnel(state, repository.server_port))
    state.url, state.ca, state.proxy_port = (
        f"https://{HOST}:{repository.server_port}/maven2",
        str(ca),
        proxy.server_port,
    )
    threads = [threading.Thread(target=server.serve_forever, args=(0.05,)) for server in (repository, proxy)]
    for thread in threads:
        thread.start()
    try:
        yield state
    finally:
        for server, thread in zip((repository, proxy), threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()


def _handler(state: JarServer) -> type[http.server.BaseHTTPRequestHandler]:
    class Repository(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            state.asked.append((self.path, self.headers["Range"]))
            fault = state.faults.pop(0) if state.faults else None
            if state.redirect_to and not self.path.startswith(state.redirect_to):
                self._answer(302, b"", Location=state.redirect_to + self.path)
            elif isinstance(fault, int):
                self._answer(fault, b"no")
            elif fault == "page":
                self._answer(200, b"<!DOCTYPE html><title>Please log in</title>")
            else:
                self._file(fault)

        def _file(self, fault: str | None) -> None:
            data = state.files.get(self.path.removeprefix(state.redirect_to or ""))
            if data is None:
                self._answer(404, b"not found")
                return
            begin = int(found[1]) if (found := re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")) else 0
            ranged = {"Content-Range": f"bytes {begin}-{len(data) - 1}/{len(data)}"} if begin else {}
            rest = data[begin:] if fault != "endless" else data * 2
            self._answer(206 if begin else 200, rest, cut=len(rest) // 2 if fault == "truncated" else None, **ranged)

        def _answer(self, status: int, body: bytes, *, cut: int | None = None, **headers: str) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body[:cut])
            self.close_connection = cut is not None

        def log_message(self, *_: object) -> None:
            pass

    return Repository


def _tunnel(state: JarServer, port: int) -> type[http.server.BaseHTTPRequestHandler]:
    class Proxy(http.server.BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            login = f"Basic {base64.b64encode((state.proxy_login or '').encode()).decode()}"
            if state.proxy_login and self.headers["Proxy-Authorization"] != login:
                self.send_error(407)
                return
            with socket.create_connection(("127.0.0.1", port)) as there:
                self.send_response(200)
                self.end_headers()
                back = threading.Thread(target=_pour, args=(there, self.connection))
                back.start()
                _pour(self.connection, there)
                back.join()

        def log_message(self, *_: object) -> None:
            pass

    return Proxy


def _pour(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
