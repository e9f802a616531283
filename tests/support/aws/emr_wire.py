"""The local EMR's calls as AWS JSON 1.1 carries them."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from emr_faults import EmrError
from emr_shapes import error_problems

if TYPE_CHECKING:
    from local_emr import LocalEmr

_PREFIX = "ElasticMapReduce."


def answer(emr: LocalEmr, target: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body for a request with this X-Amz-Target; raises ConnectionCut."""
    try:
        return _response(200, emr.call(_operation(target), _document(body)))
    except EmrError as error:
        return _refusal(error)


def _operation(target: str) -> str:
    prefix, operation = target[: len(_PREFIX)], target[len(_PREFIX) :]
    if prefix != _PREFIX:
        msg = f"expected X-Amz-Target {_PREFIX}…, got {target!r}"
        raise EmrError(msg, "UnknownOperationException")
    return operation


def _document(body: bytes) -> dict[str, Any]:
    try:
        return json.loads(body or b"{}")
    except ValueError as error:
        msg = f"expected JSON: {error}"
        raise EmrError(msg, "SerializationException") from error


def _refusal(error: EmrError) -> tuple[int, dict[str, str], bytes]:
    wrong = error_problems(error.code, error.body)
    assert not wrong, f"{error.code} is not as EMR would answer it: {wrong}"
    return _response(error.status, {"__type": error.code, **error.body})


def _response(status: int, document: dict[str, Any] | None) -> tuple[int, dict[str, str], bytes]:
    content = b"" if document is None else json.dumps(document).encode()
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "Content-Length": str(len(content)),
        "x-amzn-RequestId": str(uuid.uuid4()),
    }
    return status, headers, content
