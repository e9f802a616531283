"""A pooler in transaction mode, as PgBouncer is: a client has a server session from BEGIN to COMMIT only.

Like PgBouncer it tells each client at its login what the first server told it, however long ago that was.
"""

from __future__ import annotations

import contextlib
import queue
import select
import struct
from typing import TYPE_CHECKING

from listening import Listening

if TYPE_CHECKING:
    import socket

# https://www.postgresql.org/docs/current/protocol-message-formats.html
_VERSION_3, _SSL, _GSS = 196608, 80877103, 80877104
_NEITHER = {struct.pack("!ii", 8, code) for code in (_SSL, _GSS)}
_READY_IDLE = b"Z\x00\x00\x00\x05I"


class _Session:
    """One end of a conversation, cut into messages."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self._rest = b""

    def exactly(self, size: int) -> bytes:
        while len(self._rest) < size:
            chunk = self.end.recv(65536)
            if not chunk:
                raise EOFError
            self._rest += chunk
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def message(self) -> bytes:
        head = self.exactly(5)
        return head + self.exactly(struct.unpack("!i", head[1:])[0] - 4)

    @property
    def has_more(self) -> bool:
        return bool(self._rest)


class TransactionPooler(Listening):
    """server: a PostgreSQL URI over a Unix socket, no password asked; sessions: how many it has there."""

    def __init__(self, server: str, sessions: int = 1) -> None:
        super().__init__(server)
        self._free: queue.Queue[_Session | None] = queue.Queue()
        for _ in range(sessions):
            self._free.put(None)  # opened when first needed
        self._welcome = b""

    @property
    def uri(self) -> str:
        """The server's URI with the pooler as its host."""
        return f"postgresql://{self._target['user']}@{self.address}/{self._target['dbname']}"

    def lead_to(self, target: str) -> None:
        """The next transactions find another server behind the same connections of theirs."""
        super().lead_to(target)
        for _ in range(self._free.qsize()):
            if (session := self._free.get()) is not None:
                session.end.close()
            self._free.put(None)

    def serve(self, end: socket.socket) -> None:
        client = _Session(end)
        with contextlib.suppress(OSError, EOFError), contextlib.closing(end):
            while (first := client.exactly(8)) in _NEITHER:
                end.sendall(b"N")
            client.exactly(struct.unpack("!i", first[:4])[0] - 8)
            if not self._welcome:
                self._free.put(self._taken())
            end.sendall(self._welcome)
            while (message := client.message())[:1] != b"X":
                server = self._taken()
                try:
                    server.end.sendall(message)
                    self._one_transaction(client, server)
                except (OSError, EOFError):
                    server.end.close()
                    self._free.put(None)
                    raise
                self._free.put(server)

    def _one_transaction(self, client: _Session, server: _Session) -> None:
        while True:
            readable = [server.end] if server.has_more else select.select([client.end, server.end], [], [])[0]
            if server.end in readable:
                message = server.message()
                client.end.sendall(message)
                if message == _READY_IDLE:
                    return
            elif chunk := client.end.recv(65536):
                server.end.sendall(chunk)
            else:
                raise EOFError

    def _taken(self) -> _Session:
        session = self._free.get()
        if session is not None:
            return session
        try:
            return self._logged_in()
        except (OSError, EOFError):
            self._free.put(None)
            raise

    def _logged_in(self) -> _Session:
        end = self.connect()
        names = f"user\0{self._target['user']}\0database\0{self._target['dbname']}\0\0".encode()
        end.sendall(struct.pack("!ii", 8 + len(names), _VERSION_3) + names)
        session, told = _Session(end), b""
        while not told.endswith(_READY_IDLE):
            told += session.message()
        self._welcome = self._welcome or told
        return session
