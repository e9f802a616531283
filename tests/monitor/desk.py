"""For the tests of the monitor: an S3 server in this process, drops with their receipts, and what lies where."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, unquote_to_bytes, urlencode

import boto3
import moto.s3.models
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse, HeadersDict
from botocore.config import Config
from ledger_rows import fact
from monitor.copies import CopyLimits
from monitor.moves import Buckets, Moved, ReceiptMoves
from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.botocore_stubber import MockRawResponse
from moto.moto_server.werkzeug_app import create_backend_app
from moto.s3.models import FakeDeleteMarker, s3_backends
from s3_faults import error
from s3_server import LikeS3

from streaming.ledger.drops import _finish, _new_body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_s3.client import S3Client

PREFIX = "in å+%2B %/"
DESCRIBED = {"ContentType": "text/x-prices", "CacheControl": "no-cache", "ContentDisposition": "attachment"}
METADATA = {"from": "feed 7", "query": "a+b%20c=d"}
TAGS = {"cost centre": "a+b/c", "x:y": "@=_."}

Where = tuple[str, str, str]


@dataclass(frozen=True)
class Thing:
    """One version of one object."""

    data: bytes
    headers: dict[str, str]
    tags: dict[str, str]
    current: bool


class LocalS3:
    """moto's S3 in this process: boto3's requests come without a socket, and what it holds is looked at directly."""

    endpoint = "http://127.0.0.1:1"  # nobody listens there

    def __init__(self) -> None:
        self._application = LikeS3(create_backend_app("s3"))
        self._session = boto3.session.Session()
        self.backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]

    def client(self) -> S3Client:
        # to make up a user agent takes a sixth of the time of a request
        s3 = self._session.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",  # noqa: S106 - the server takes any
            config=Config(user_agent="tests", retries={"mode": "standard", "max_attempts": 1}),
        )
        self.serve(s3)
        return s3

    def serve(self, s3: S3Client) -> None:
        """From now on this client's requests come here, once whatever else is hooked to them has run."""
        s3.meta.events.register_last("before-send.s3", self._answer)

    def _answer(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        uri = request.url.removeprefix(self.endpoint)
        path, _, query = uri.partition("?")
        body = request.body if isinstance(request.body, bytes) else request.body.read() if request.body else b""
        headers = {k: v.decode() if isinstance(v, bytes) else v for k, v in request.headers.items()}
        environ = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
        environ |= {
            "REQUEST_METHOD": request.method, "REQUEST_URI": uri, "SCRIPT_NAME": "", "QUERY_STRING": query,
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"), "CONTENT_LENGTH": str(len(body)),
            "CONTENT_TYPE": headers.get("Content-Type", ""), "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "1",
            "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_HOST": "127.0.0.1:1", "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(body), "wsgi.errors": sys.stderr,
            "wsgi.multithread": True, "wsgi.multiprocess": False, "wsgi.run_once": False,
        }  # fmt: skip
        started: list[Any] = []
        if refused := self._refused(environ):
            status_line, told, content = error(refused, request.method)
            started.append((status_line, told))
        else:
            content = b"".join(self._application(environ, lambda *answer: started.append(answer)))
        status, headers, *_ = started[0]
        raw = MockRawResponse(b"" if request.method == "HEAD" else content)
        return AWSResponse(request.url, int(status.split()[0]), HeadersDict(headers), raw)

    def _refused(self, environ: dict[str, Any]) -> str | None:
        """Why S3 does not copy: its source has another ETag, or is as small as one part, of which it takes no range.

        moto looks at neither. S3 takes a range of a source above 5 MB only; parts are smaller here, so one that is the
        whole source stands for it.
        """
        if (copied := environ.get("HTTP_X_AMZ_COPY_SOURCE")) is None:
            return None
        source, _, version = copied.partition("?versionId=")
        found = self.backend.get_object(*unquote(source).lstrip("/").split("/", 1), version_id=version or None)
        if found is None:
            return None
        if environ.get("HTTP_X_AMZ_COPY_SOURCE_IF_MATCH", found.etag) != found.etag:
            return "precondition"
        whole = f"bytes=0-{found.size - 1}"
        return "range" if environ.get("HTTP_X_AMZ_COPY_SOURCE_RANGE") == whole else None

    def lying(self, bucket: str, folder: str = "") -> dict[Where, Thing]:
        """Everything whose key begins with the folder, old versions too; a delete marker has the data b'marker'."""
        found = {}
        for key, versions in list(self.backend.buckets[bucket].keys.iterlists()):
            if not key.startswith(folder):
                continue
            for one in versions:
                current = one is versions[-1]
                if isinstance(one, FakeDeleteMarker):
                    found[bucket, key, one.version_id] = Thing(b"marker", {}, {}, current)
                else:
                    tags = self.backend.tagger.get_tag_dict_for_resource(one.arn)
                    found[bucket, key, one.version_id] = Thing(one.value, _headers(one), tags, current)
        return found


@contextlib.contextmanager
def local_s3() -> Iterator[LocalS3]:
    """A server that takes parts of any size."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(moto.s3.models, "S3_UPLOAD_PART_MIN_SIZE", 1)
        yield LocalS3()


def _headers(stored: Any) -> dict[str, str]:
    """Without what moto keeps of the request that made it."""
    kept = {name.lower(): value for name, value in stored.metadata.items()}
    return {n: value for n, value in kept.items() if n.startswith("x-amz-meta-") or not n.startswith("x-amz-")}


@dataclass
class Case:
    """A drop with its receipt; target: the name that its file must get; bystanders: what must stay as it is."""

    seq: int
    key: str
    version: str
    data: bytes
    failed: bool
    target: str
    limits: CopyLimits
    bystanders: dict[Where, Thing] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"receipts/{self.seq:09d}.json"


class Desk:
    """The buckets of a deployment, each case with a folder of its own in them.

    others: clients for calls of the monitor that are watched or disturbed.
    """

    def __init__(self, server: LocalS3, *, versioned: bool = True) -> None:
        self.server = server
        self.s3, *self.others = (server.client() for _ in range(3))
        n = next(_NUMBERS)
        self.buckets = Buckets(f"receipts-{n}", f"input-{n}", PREFIX, f"success-{n}", f"failed-{n}")
        for bucket in (self.buckets.receipts, self.buckets.input, self.buckets.success, self.buckets.failed):
            self.s3.create_bucket(Bucket=bucket)
        if versioned:
            versioning = {"Status": "Enabled"}
            self.s3.put_bucket_versioning(Bucket=self.buckets.input, VersioningConfiguration=versioning)
        self._seqs = itertools.count(42)

    def put(self, key: str, data: bytes, bucket: str | None = None, **described: Any) -> str:
        """An object, by default in the input, and its version id."""
        to = {"Bucket": bucket or self.buckets.input, "Key": key if bucket else PREFIX + key}
        return self.s3.put_object(**to, Body=data, **described).get("VersionId", "null")

    def upload_in_parts(self, key: str, parts: list[bytes], **described: Any) -> str:
        """As `put`, uploaded in these parts."""
        to = {"Bucket": self.buckets.input, "Key": PREFIX + key}
        upload = {**to, "UploadId": self.s3.create_multipart_upload(**to, **described)["UploadId"]}
        etags = [self.s3.upload_part(**upload, PartNumber=n, Body=part)["ETag"] for n, part in enumerate(parts, 1)]
        listed = [{"PartNumber": n, "ETag": etag} for n, etag in enumerate(etags, 1)]
        return self.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": listed}).get("VersionId", "null")

    def next_seq(self) -> int:
        return next(self._seqs)

    def case(
        self,
        key: str,
        data: bytes = b"date,id,price,volume\n",
        *,
        seq: int | None = None,
        version: str | None = None,
        failed: bool = False,
        target: str | None = None,
        limits: CopyLimits | None = None,
        checkpoint: str = "c0ffee",
    ) -> Case:
        """A drop (put here unless a version is given) and its pending receipt."""
        if version is None:
            version = self.put(key, data, **DESCRIBED, Metadata=METADATA, Tagging=_encoded_tags())
        seq = self.next_seq() if seq is None else seq
        case = Case(seq, key, version, data, failed, target or key, limits or CopyLimits())
        self.write_receipt(case, checkpoint)
        return case

    def write_receipt(self, case: Case, checkpoint: str = "c0ffee") -> None:
        """The receipt as the job writes it."""
        bucket, key, version = self.source(case)
        drop = self.server.backend.get_object(bucket, key, version_id=version)
        modified = drop.last_modified.isoformat(timespec="microseconds")
        named = {"key": case.key, "etag": drop.etag.strip('"'), "version": version}
        body = _new_body(fact(case.seq, size=drop.size, modified=modified, **named), checkpoint)
        body |= {"batch_id": 7, "reason": "not text" if case.failed else None}
        _finish(body, datetime.now(UTC))
        self.server.backend.put_object(self.buckets.receipts, case.name, json.dumps(body, indent=1).encode())

    def moves(self, case: Case, s3: S3Client | None = None, time_left: Callable[[], float] = lambda: 900.0) -> Moved:
        """One call of the monitor for this receipt."""
        return ReceiptMoves(s3 or self.s3, self.buckets, time_left, case.limits).move(case.name)

    def json(self, key: str, bucket: str | None = None) -> dict[str, Any] | None:
        """A JSON object, by default in the receipts bucket; None if there is none."""
        bucket = bucket or self.buckets.receipts
        found = self.server.lying(bucket, key).get((bucket, key, "null"))
        return None if found is None else json.loads(found.data)

    def receipt(self, case: Case) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        """The pending and the done receipt of a case."""
        return self.json(case.name), self.json(f"receipts/done/{case.seq:09d}.json")

    def lying(self, case: Case) -> dict[Where, Thing]:
        """All things in the input and at the targets that are in the case's folder, if it has one."""
        folder = "".join(case.key.partition("/")[:2]) if "/" in case.key else ""
        places = ((self.buckets.input, PREFIX + folder), (self.buckets.success, folder), (self.buckets.failed, folder))
        return {where: thing for place in places for where, thing in self.server.lying(*place).items()}

    def remember_bystanders(self, case: Case) -> Case:
        """Whatever lies in the folder now, but for the drop itself, must stay as it is."""
        case.bystanders = {where: thing for where, thing in self.lying(case).items() if where != self.source(case)}
        return case

    def source(self, case: Case) -> Where:
        return self.buckets.input, PREFIX + case.key, case.version

    def target(self, case: Case) -> Where:
        return (self.buckets.failed if case.failed else self.buckets.success), case.target, "null"


def check_safe(desk: Desk, case: Case) -> None:
    """What must hold at every moment."""
    things = desk.lying(case)
    source, target = desk.source(case), desk.target(case)
    reason = (*target[:1], f"{case.target}.reason.json", "null")
    for where, thing in case.bystanders.items():
        assert where in things, f"lost: {where}"
        assert (things[where].data, things[where].headers, things[where].tags) == (
            (thing.data, thing.headers, thing.tags)
        ), f"overwritten: {where}"
        assert things[where].current or not thing.current, f"hidden: {where}"
    own = {where: thing for where, thing in things.items() if where not in case.bystanders}
    assert own.keys() <= {source, target, reason}, f"unexpected: {own.keys() - {source, target, reason}}"
    assert {own[where].data for where in (source, target) if where in own} == {case.data}, "the file is nowhere"
    pending, done = desk.receipt(case)
    assert pending is not None or done is not None, "the receipt is nowhere"
    assert source not in own or done is None, "done while the file lies in the input"


def check_ended(desk: Desk, case: Case, described: Thing) -> None:
    """What must hold in the end; described: the drop as it was, for headers and tags."""
    check_safe(desk, case)
    things = desk.lying(case)
    target = desk.target(case)
    assert desk.source(case) not in things
    copy = things[target]
    assert (copy.data, copy.headers, copy.tags) == (case.data, described.headers, described.tags)
    pending, done = desk.receipt(case)
    assert pending is None
    assert done["moved_to"] == f"s3://{target[0]}/{case.target}"
    body = {name: value for name, value in done.items() if name != "moved_to"}
    assert (body["seq"], body["key"], body["version_id"]) == (case.seq, case.key, case.version)
    reason = desk.json(f"{case.target}.reason.json", target[0])
    assert reason == (body if case.failed else None)


def _encoded_tags() -> str:
    return urlencode(TAGS, quote_via=quote)


_NUMBERS = itertools.count(1)
