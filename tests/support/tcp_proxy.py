"""A proxy between the job and PostgreSQL that can refuse, pause, and lose the answer of one COMMIT."""

from __future__ import annotations

import contextlib
import socket
import threading
import urllib.parse
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from listening import Listening

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


class TcpProxy(Listening):
    """Between a client and the target, to which it passes on all bytes."""

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self._flowing = threading.Event()
        self._flowing.set()
        self._refusing = False
        self._commit_to_lose: bytes | None = None
        self.commits_lost = 0

    @property
    def uri(self) -> str:
        """The target's URI with the proxy as its host."""
        user, password, database = (
            urllib.parse.quote(self._target.get(name, ""), safe="") for name in ("user", "password", "dbname")
        )
        return f"postgresql://{user}{password and ':'}{password}@{self.address}/{database}"

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

    def pause(self) -> None:
        """Holds all bytes back, in both directions."""
        self._flowing.clear()

    def resume(self) -> None:
        """Ends `pause`: the bytes held back go on."""
        self._flowing.set()

    def serve(self, client: socket.socket) -> None:
        try:
            server = None if self._refusing else self.connect()
        except OSError:
            server = None
        if server is None:
            client.close()
            return
        connection = _Connection(client, server)
        self.start(self._pump, connection, server, client)
        self._pump(connection, client, server)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.resume()
        super().__exit__(kind, error, trace)

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
