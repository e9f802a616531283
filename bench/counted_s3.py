"""The tests' local S3 server, which also counts listings: `python -m bench.counted_s3`; `GET /_lists` tells the count.

Prints its endpoint and serves until standard input closes.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from bench import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_LISTINGS = {"list-type", "prefix", "delimiter", "versions", "uploads"}
"""Parameters of which a request for the list of a bucket has at least one."""


class Counted:
    """A WSGI application that counts the listings which it hands to another one."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._lock = threading.Lock()
        self.lists = 0

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """WSGI."""
        path = environ["REQUEST_URI"].split("?")[0]
        if path == "/_lists":
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [str(self.lists).encode()]
        if environ["REQUEST_METHOD"] == "GET" and _is_bucket(path):
            asked = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
            with self._lock:
                self.lists += bool(_LISTINGS & asked.keys()) or not asked
        return self._application(environ, start_response)


def _is_bucket(path: str) -> bool:
    """Whether this names a bucket alone; no bucket's name begins with an underscore, as the server's own paths do."""
    name = path.strip("/")
    return name != "" and "/" not in name and not name.startswith("_")


def main() -> None:
    """The command above."""
    sys.path.insert(0, str(ROOT / "tests" / "support" / "aws"))
    from cheroot.wsgi import Server  # noqa: PLC0415 (with moto, which takes seconds)
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app  # noqa: PLC0415
    from s3_server import LikeS3  # noqa: PLC0415 (only now on the path)

    application = Counted(LikeS3(DomainDispatcherApplication(create_backend_app)))
    server = Server(("127.0.0.1", 0), application, numthreads=16)
    server.prepare()
    print(f"http://127.0.0.1:{server.bind_addr[1]}", flush=True)  # noqa: T201 - the parent reads it
    threading.Thread(target=server.serve, daemon=True).start()
    sys.stdin.read()
    os._exit(0)  # open connections would keep the threads alive


if __name__ == "__main__":
    main()
