"""A local S3 server that speaks the real protocol, for the tests: `python tests/support/aws/s3_server.py [--port N]`.

moto's WSGI application under cheroot, because moto's own development server breaks on `Expect: 100-continue`. Prints
its endpoint and serves until SIGTERM, or with `--until-stdin-closes` until its parent is gone. The same endpoint serves
moto's Secrets Manager, SQS, EventBridge, CloudWatch and all its others. Beside them, under names of no bucket:
`POST /_faults` with a JSON object of settings (`S3Faults`) answers with all settings and counts, and
`POST /_events` with `{"after": N}` answers with the "Object Created" events of S3 since the Nth (`S3Events`), and
`POST /_rights` with `{"roles": {…}}` limits access keys to the statements of roles (`S3Rights`), and
`POST /_lists` answers how many listings each bucket was asked for, of keys or of versions.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import re
import signal
import sys
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import unescape

from cheroot.wsgi import Server
from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import s3_backends
from s3_events import S3Events, reason
from s3_faults import S3Faults, error, refusal, refusal_of_sqs
from s3_rights import S3Rights

if TYPE_CHECKING:
    from collections.abc import Iterable

    Answer = tuple[str, list[tuple[str, str]], bytes]  # status, headers, body

_ENTRIES = re.compile(rb"<(Version|DeleteMarker)>.*?</\1>", re.DOTALL)
_VERSION_ID = re.compile(rb"<VersionId>(.*?)</VersionId>")


class LikeS3:
    """What moto needs to answer as S3 does.

    The path as it was sent, or it would decode `%` in keys twice. Versions and delete markers of a listing in one
    order, newest first; moto groups them. `If-None-Match: *` of CopyObject, which moto does not look at. HeadObject of
    the version `null` in a bucket that never had others, which moto refuses. And one request at a time: moto checks a
    condition and writes in two steps, between which another one could write, and it closes the bytes of what is
    overwritten while somebody reads them.
    """

    def __init__(self, application: Any) -> None:
        self._application = application
        self._lock = threading.Lock()
        self._faults, self._events, self._rights = S3Faults(), S3Events(), S3Rights()
        self._lists: Counter[str] = Counter()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["RAW_URI"] = environ["REQUEST_URI"]
        path = unquote(environ["REQUEST_URI"].split("?")[0])
        if path in {"/_faults", "/_events", "/_rights", "/_lists"}:
            return _sent(self._controlled(path, environ), start_response)
        method, query = environ["REQUEST_METHOD"], parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        signed = environ.get("HTTP_AUTHORIZATION", "/s3/aws4_request")
        on_s3, on_sqs = "/s3/aws4_request" in signed, "/sqs/aws4_request" in signed
        if on_s3 and method == "GET" and query.keys() & {"versions", "list-type"}:
            self._lists.update([path.strip("/")])
        fault = self._faults.drawn(environ, path) if on_s3 else None
        if fault not in {None, "lose_answer"}:
            return _sent(error(fault, method), start_response)
        if size := environ.get("CONTENT_LENGTH"):  # read before the others have to wait: a producer may be slow
            environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(size)))
        if on_s3 and (lacking := self._rights.lacking(environ, path, query)) is not None:
            return _sent(refusal(lacking, method), start_response)
        if on_sqs and (lacking := self._rights.lacking_on_sqs(environ)) is not None:
            return _sent(refusal_of_sqs(lacking), start_response)
        with contextlib.nullcontext() if on_sqs else self._lock:  # who waits for a message must not keep the others
            answer = self._of_s3(environ, path, query) if on_s3 else self._answered(environ)
        if on_s3 and answer[0].startswith("404") and not self._rights.may_list(environ, path.split("/")[1]):
            answer = refusal("Access Denied", method)
        if fault and answer[0].startswith("2"):
            self._faults.count(fault, method)
            answer = error(fault, method)
        return _sent(answer, start_response)

    def _of_s3(self, environ: dict[str, Any], path: str, query: dict[str, list[str]]) -> Answer:
        method, copied = environ["REQUEST_METHOD"], "HTTP_X_AMZ_COPY_SOURCE" in environ
        _, bucket, key, *_ = [*path.split("/", 2), "", ""]
        if copied and environ.get("HTTP_IF_NONE_MATCH") == "*" and _stored(bucket, key) is not None:
            return error("precondition", method)
        if method == "HEAD" and query.get("versionId") == ["null"] and not _versioned(bucket):
            environ["QUERY_STRING"] = environ["QUERY_STRING"].replace("versionId=null", "")
        status, headers, body = self._answered(environ)
        if method == "GET" and "versions" in query:
            return status, [(k, v) for k, v in headers if k.lower() != "content-length"], _in_order(body, bucket)
        made = reason(method, query, copied=copied) if key and status.startswith("200") else None
        if made:
            self._events.created(bucket, key, _stored(bucket, key), made)
        return status, headers, body

    def _answered(self, environ: dict[str, Any]) -> Answer:
        started: list[Any] = []
        body = b"".join(self._application(environ, lambda *answer: started.append(answer) or io.BytesIO().write))
        status, headers, *_ = started[0]
        return status, headers, body

    def _controlled(self, path: str, environ: dict[str, Any]) -> Answer:
        wanted = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)) or "{}")
        try:
            if path == "/_rights":
                told = self._rights.control(wanted)
            elif path == "/_lists":
                told = dict(self._lists)
            else:
                told = (
                    self._faults.control(wanted) if path == "/_faults" else self._events.after(wanted.get("after", 0))
                )
        except ValueError as wrong:
            return "400 Bad Request", [("Content-Type", "text/plain")], str(wrong).encode()
        return "200 OK", [("Content-Type", "application/json")], json.dumps(told).encode()


def _sent(answer: Answer, start_response: Any) -> list[bytes]:
    status, headers, body = answer
    start_response(status, headers)
    return [body]


def _stored(bucket: str, key: str) -> Any:
    """The object that has this key now; None also for a delete marker."""
    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    return backend.get_object(bucket, key) if bucket in backend.buckets else None


def _versioned(bucket: str) -> bool:
    """Whether the bucket has or had versions."""
    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    return bucket in backend.buckets and backend.buckets[bucket].is_versioned


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
