"""A proxy between the job and PostgreSQL that can refuse, pause, and lose the answer of one COMMIT."""

from __future__ import annotations

import contextlib
import socket
import threading
import urllib.parse
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import psycopg2.extensions

if TYPE_CHECKING:
    from types import TracebackType

_COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
_COMMITTED = b"C\x00\x00\x00\x0bCOMMIT\x00"
_TRANSACTION_KEPT = 1 << 20


@dataclass
class _Connection:
    """Two sockets and what went up since the last COMMIT."""

    client: socket.socket
    server: socket.socket
    sent: bytes = b""
    answer_lost: bool = False
    answer: bytes = b""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def close(self) -> None:
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class TcpProxy:
    """Listens on the loopback while it is entered; `target` is a PostgreSQL URI, over TCP or a Unix socket."""

    def __init__(self, target: str) -> None:
        self._target = psycopg2.extensions.parse_dsn(target)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: list[_Connection] = []
        self._threads: list[threading.Thread] = []
        self._flowing = threading.Event()
        self._flowing.set()
        self._refusing = False
        self._commit_to_lose: bytes | None = None
        self.commits_lost = 0

    @property
    def uri(self) -> str:
        """The target's URI with the proxy as its host."""
        host, port = self._listener.getsockname()
        user, password, database = (
            urllib.parse.quote(self._target.get(name, ""), safe="") for name in ("user", "password", "dbname")
        )
        return f"postgresql://{user}{password and ':'}{password}@{host}:{port}/{database}"

    def lose_commit(self, of_transaction_with: bytes) -> None:
        """The next transaction whose bytes hold this text commits, but its client gets a cut connection, no answer."""
        self._commit_to_lose = of_transaction_with

    def refuse(self) -> None:
        """Cuts what is open and closes each new connection at once."""
        self._refusing = True
        self.cut()

    def accept(self) -> None:
        """Ends `refuse`."""
        self._refusing = False

    def lead_to(self, target: str) -> None:
        """New connections go to another server, as if the name had another address."""
        self._target = psycopg2.extensions.parse_dsn(target)

    def cut(self) -> None:
        """Cuts what is open."""
        for connection in self._connections:
            connection.close()

    def pause(self) -> None:
        """Holds all bytes back, in both directions."""
        self._flowing.clear()

    def resume(self) -> None:
        """Ends `pause`: the bytes held back go on."""
        self._flowing.set()

    def __enter__(self) -> Self:
        self._start(self._listen)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self.resume()
        self.cut()
        for thread in self._threads:
            thread.join(10)
        self._listener.close()
        for connection in self._connections:
            connection.client.close()
            connection.server.close()

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed: the end
                return
            try:
                server = None if self._refusing else self._connect()
            except OSError:
                server = None
            if server is None:
                client.close()
                continue
            connection = _Connection(client, server)
            self._connections.append(connection)
            self._start(self._pump, connection, client, server)
            self._start(self._pump, connection, server, client)

    def _connect(self) -> socket.socket:
        host, port = self._target.get("host", "127.0.0.1"), int(self._target.get("port", 5432))
        if not host.startswith("/"):
            return socket.create_connection((host, port))
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(f"{host}/.s.PGSQL.{port}")
        except OSError:
            server.close()
            raise
        return server

    def _pump(self, connection: _Connection, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(65536):
                self._flowing.wait()
                if self._swallows(connection, chunk, up=source is connection.client):
                    continue
                sink.sendall(chunk)
        connection.close()

    def _swallows(self, connection: _Connection, chunk: bytes, *, up: bool) -> bool:
        """Whether these bytes go no further; cuts the connection once the server has said that it committed."""
        with connection.lock:
            if up:
                connection.sent = (connection.sent + chunk)[-_TRANSACTION_KEPT:]
                if connection.sent.endswith(_COMMIT):
                    wanted = self._commit_to_lose
                    if wanted is not None and wanted in connection.sent:
                        self._commit_to_lose, connection.answer_lost = None, True
                    connection.sent = b""
                return False
            if not connection.answer_lost:
                return False
            connection.answer += chunk
            if _COMMITTED in connection.answer:
                self.commits_lost += 1
                connection.close()
            return True
