"""What stands between a client and PostgreSQL: it listens on the loopback and serves each client in a thread."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Self

import psycopg2.extensions

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType


class Listening:
    """Listens while it is entered. target: the URI of a PostgreSQL, over TCP or a Unix socket."""

    def __init__(self, target: str) -> None:
        self._target = psycopg2.extensions.parse_dsn(target)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    @property
    def address(self) -> str:
        """Host and port, as a URI has them."""
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    def lead_to(self, target: str) -> None:
        """New connections go to another server, as if the name had another address."""
        self._target = psycopg2.extensions.parse_dsn(target)

    def cut(self) -> None:
        """Cuts what is open."""
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve(self, client: socket.socket) -> None:
        """What happens to one client, in a thread of its own."""
        raise NotImplementedError

    def connect(self) -> socket.socket:
        """A connection to the target."""
        host, port = self._target.get("host", "127.0.0.1"), int(self._target.get("port", 5432))
        if not host.startswith("/"):
            return self.kept(socket.create_connection((host, port)))
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(f"{host}/.s.PGSQL.{port}")
        except OSError:
            server.close()
            raise
        return self.kept(server)

    def kept(self, end: socket.socket) -> socket.socket:
        """Closes it in the end."""
        self._ends.append(end)
        return end

    def start(self, work: Callable[..., None], *arguments: object) -> None:
        """A thread that is waited for in the end."""
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def __enter__(self) -> Self:
        self.start(self._listen)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self.cut()
        for thread in self._threads:
            thread.join(10)
        for end in (self._listener, *self._ends):
            end.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):  # closed: the end
            while True:
                client, _ = self._listener.accept()
                self.start(self.serve, self.kept(client))
