"""`stocketl page`: the live page of a database, until Ctrl-C. It changes nothing.

The web server is uvicorn, in the thread that calls; the page's own threads end with it.
"""

from __future__ import annotations

import contextlib
import secrets
import signal
import socket
from typing import TYPE_CHECKING

from streaming.errors import SettingsError
from streaming.home.database import database, refuse_missing_database
from streaming.masking import masked
from streaming.page.address import PageAddress

if TYPE_CHECKING:
    from streaming.settings import Settings

_BACKLOG = 128


def serve(settings: Settings, listen: str) -> None:
    """Serves the page until the process is told to end. listen: HOST:PORT.

    Raises SettingsError if the address cannot be used or the extra is not installed, DatabaseError if there is no
    database yet.
    """
    address = PageAddress.read(listen)
    try:
        import uvicorn  # noqa: PLC0415 (an extra, as the next)

        from streaming.page.app import EndingServer, app  # noqa: PLC0415
    except ModuleNotFoundError as error:
        msg = f"the page needs the package {error.name!r}: pip install 'stocketl[page]'"
        raise SettingsError(msg) from None
    from streaming.page.desk import Desk  # noqa: PLC0415 (`--help` needs none of it, as the next)
    from streaming.page.reader import Reader  # noqa: PLC0415

    refuse_missing_database(settings)
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(_bound(address))
        login = stack.enter_context(database(settings))
        reader = Reader(login, embedded=settings.embedded)
        stack.callback(reader.close)
        token = None if address.loopback else secrets.token_urlsafe(32)
        shown = masked(login.uri()) if settings.embedded else settings.shown_database
        desk = Desk(settings, reader)
        config = uvicorn.Config(
            app(desk, address, token, shown),
            log_level="warning",
            access_log=False,  # an address may hold the token
            server_header=False,
            timeout_graceful_shutdown=1,  # a page keeps its stream open
        )
        url = address.url(listening.getsockname()[1])
        print(f"{url}?token={token}" if token else url, flush=True)  # noqa: T201 (the answer of the command)
        signal.signal(signal.SIGTERM, _end)  # uvicorn ends the server first, then hands the signal on
        EndingServer(config, desk).run(sockets=[listening])


def _end(number: int, _: object) -> None:
    """In order: the embedded server is stopped if nobody else needs it."""
    raise SystemExit(128 + number)


def _bound(address: PageAddress) -> socket.socket:
    """Raises SettingsError."""
    try:
        family = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((address.host, address.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        msg = f"--listen: {address.host}:{address.port} cannot be used: {error.strerror or error}; give another port"
        raise SettingsError(msg) from None
