"""Whether S3 refuses one object or everything. The answer to one GetObject does not tell.

`AccessDenied` is the answer if the job may not use an object's KMS key, and also if the job has no right at all. So
another object is read to compare. If one can be read, the drop alone is refused. If none can, the job waits: it may
lack the right to all of them, and what comes next will tell.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NotRequired, TypedDict

from botocore.exceptions import BotoCoreError, ClientError

from streaming.aws import client
from streaming.errors import SettingsError, StockETLError, StorageError, UnreadableDropError
from streaming.s3_codes import DENIED, EXPIRED, MISSING, REFUSED_ALL, UNMET, code_of, status_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_TRANSIENT = ("Throttl", "SlowDown", "TooManyRequests", "LimitExceeded", "Timeout", "TimeTooSkewed", "Unavailable")
_NOBODYS = {401, 407, 408, 429}  # HTTP: not known who asks, or asks too late or too often
_MOST_TRIES, _AT_ONCE = 2_000, 8
_FRESH_SECONDS = 10.0
_ABSENT = ".stocketl-absent"


class Request(TypedDict):
    """What a request names: an object, a version of it or only if it still has this ETag, a range of its bytes."""

    Bucket: str
    Key: str
    VersionId: NotRequired[str]
    IfMatch: NotRequired[str]
    Range: NotRequired[str]


def may_be_of_one_object(error: ClientError) -> bool:
    """Whether the object may be the reason for the answer: it is refused as it is, and not for lack of time."""
    code = code_of(error)
    if code in MISSING | UNMET | REFUSED_ALL | EXPIRED or any(sign in code for sign in _TRANSIENT):
        return False
    return 400 <= status_of(error) < 500 and status_of(error) not in _NOBODYS


def is_refused_copy(error: ClientError) -> bool:
    """Whether S3 will not copy this object as it is. If rights are missing, the object is not the reason."""
    return may_be_of_one_object(error) and status_of(error) in {400, 403} and code_of(error) not in DENIED


class Refusals:
    """Tells a refused object from a refused caller. others: the requests that would read the other objects."""

    def __init__(self, url: str, absent: Request, others: Callable[[], Iterator[Request]]) -> None:
        self._url = url
        self._absent = absent
        self._others = others
        self._seen: tuple[float, Request | None] = (float("-inf"), None)

    def judged(self, request: Request, error: ClientError) -> StockETLError:
        """What to raise for an object that S3 refuses to give: its own failure, a wait, or missing rights."""
        said = f"{request['Key']!r} in {self._url}: S3 answers {code_of(error)}: {error}"
        if _is_of_the_object(error):
            return UnreadableDropError(said)
        witness = self._witness(request)
        if witness is not None:
            return UnreadableDropError(f"{said}; other objects can be read, such as {witness['Key']!r}")
        if not self._may_ask():
            msg = f"cannot read {said}; check the credentials and their right to {error.operation_name}"
            return SettingsError(msg)
        msg = f"cannot read {said}. No other object can be read there to compare. Give the job the right to read it "
        msg += (
            "(kms:Decrypt, if a key of KMS is named), or remove it. As soon as another one can be read, it fails alone"
        )
        return StorageError(msg)

    def _witness(self, refused: Request) -> Request | None:
        """A request for another object that is answered now."""
        at, known = self._seen
        fresh = time.monotonic() - at < _FRESH_SECONDS
        if known is not None and known != refused and (fresh or _is_answered(known)):
            return known
        if known is None and fresh:
            return None
        found = _first_answered(request for request in self._others() if request != refused)
        self._seen = (time.monotonic(), found)
        return found

    def _may_ask(self) -> bool:
        """Only who may read an object hears from S3 that it is missing."""
        try:
            client().get_object(**self._absent)["Body"].close()
        except ClientError as error:
            return code_of(error) in MISSING
        except BotoCoreError:
            return True
        return True


def _is_of_the_object(error: ClientError) -> bool:
    """Archived, or encrypted with a key that its producer keeps (SSE-C): refused to everybody."""
    return code_of(error) == "InvalidObjectState" or "form of Server Side Encryption" in str(error)


def _first_answered(requests: Iterable[Request]) -> Request | None:
    left = [request for request, _ in zip(requests, range(_MOST_TRIES), strict=False)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for start in range(0, len(left), _AT_ONCE):
            some = left[start : start + _AT_ONCE]
            for request, answered in zip(some, pool.map(_is_answered, some), strict=True):
                if answered:
                    return request
    return None


def _is_answered(request: Request) -> bool:
    try:
        client().get_object(**request)["Body"].close()
    except (ClientError, BotoCoreError):
        return False
    return True


def absent(bucket: str, prefix: str) -> Request:
    """The request for an object that nobody has made."""
    return {"Bucket": bucket, "Key": prefix + _ABSENT, "VersionId": "null"}
