"""A local S3 server that speaks the real protocol, for the tests: `python tests/s3_server.py [--port N]`.

moto's WSGI application under cheroot, because moto's own development server breaks on `Expect: 100-continue`. Prints
its endpoint and serves until SIGTERM, or with `--until-stdin-closes` until its parent is gone.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs
from xml.sax.saxutils import unescape

from cheroot.wsgi import Server
from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import s3_backends

if TYPE_CHECKING:
    from collections.abc import Iterable

_ENTRIES = re.compile(rb"<(Version|DeleteMarker)>.*?</\1>", re.DOTALL)
_VERSION_ID = re.compile(rb"<VersionId>(.*?)</VersionId>")


class LikeS3:
    """What moto needs to answer as S3 does.

    The path as it was sent, or it would decode `%` in keys twice. Versions and delete markers of a listing in one
    order, newest first; moto groups them.
    """

    def __init__(self, application: Any) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["RAW_URI"] = environ["REQUEST_URI"]
        if environ["REQUEST_METHOD"] != "GET" or "versions" not in parse_qs(
            environ.get("QUERY_STRING", ""), keep_blank_values=True
        ):
            return self._application(environ, start_response)
        started: list[Any] = []
        body = b"".join(self._application(environ, lambda *answer: started.append(answer) or io.BytesIO().write))
        status, headers, *_ = started[0]
        body = _in_order(body, environ["PATH_INFO"].split("/")[1])
        start_response(status, [(k, v) for k, v in headers if k.lower() != "content-length"])
        return [body]


def _in_order(body: bytes, bucket: str) -> bytes:
    entries = [found[0] for found in _ENTRIES.finditer(body)]
    if not entries:
        return body
    stored = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[bucket].keys
    newest_first = [str(v.version_id) for _, versions in stored.iterlists() for v in reversed(versions)]
    rank = {version_id: at for at, version_id in enumerate(newest_first)}
    names = [unescape(re.search(rb"<Key>(.*?)</Key>", entry, re.DOTALL)[1].decode()) for entry in entries]
    order = sorted(range(len(entries)), key=lambda i: (names[i], rank[_VERSION_ID.search(entries[i])[1].decode()]))
    start, end = next(_ENTRIES.finditer(body)).start(), [*_ENTRIES.finditer(body)][-1].end()
    return body[:start] + b"".join(entries[i] for i in order) + body[end:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--until-stdin-closes", action="store_true")
    options = parser.parse_args()
    server = Server(("127.0.0.1", options.port), LikeS3(DomainDispatcherApplication(create_backend_app)), numthreads=16)
    server.prepare()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    print(f"http://127.0.0.1:{server.bind_addr[1]}", flush=True)  # noqa: T201 - the one thing a caller needs
    if options.until_stdin_closes:
        threading.Thread(target=server.serve, daemon=True).start()
        sys.stdin.read()
        os._exit(0)  # open connections would keep the worker threads alive
    else:
        server.serve()


if __name__ == "__main__":
    main()
