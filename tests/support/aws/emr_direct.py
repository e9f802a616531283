"""A real boto3 client of the local EMR without HTTP: requests, answers, errors and paginators as ever, in microseconds.

What botocore would send is taken from its `before-send` event, so all of its client side is in it, retries too.
"""

from __future__ import annotations

import functools
import io
from typing import TYPE_CHECKING, Any

import boto3
from botocore import UNSIGNED
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError
from emr_faults import ConnectionCut
from emr_wire import answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from botocore.awsrequest import AWSPreparedRequest
    from local_emr import LocalEmr


class _Body(io.BytesIO):
    def stream(self, **_: Any) -> list[bytes]:
        return [self.read()]


def short_circuit(client: Any, find: Callable[[], LocalEmr]) -> None:
    """Lets a boto3 client call the EMR that `find` gives, now and for good."""

    def send(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        body = request.body or b""
        target = request.headers["X-Amz-Target"]
        target = target.decode() if isinstance(target, bytes) else target
        try:
            status, headers, content = answer(find(), target, body.encode() if isinstance(body, str) else body)
        except ConnectionCut as error:
            raise ConnectionClosedError(endpoint_url=request.url) from error
        return AWSResponse(request.url, status, headers, _Body(content))

    client.meta.events.register("before-send.emr", send)


@functools.cache
def _session() -> boto3.session.Session:
    return boto3.session.Session()  # reads EMR's model once


def direct_client(find: Callable[[], LocalEmr], **options: Any) -> Any:
    """A client of its own: unsigned, and without retries, which would sleep. options: of botocore's Config.

    Making one takes as long as hundreds of calls: a model test makes one, whose `find` gives the EMR of the example.
    """
    chosen = {"signature_version": UNSIGNED, "retries": {"total_max_attempts": 1}} | options
    client = _session().client("emr", region_name="us-east-1", config=Config(**chosen))
    short_circuit(client, find)
    return client
