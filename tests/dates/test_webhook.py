"""The signed POST to a real receiver."""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest
from hook_receiver import receiver

from streaming.dates.webhook import Webhook, WebhookError


def test_a_message_is_json_and_signed() -> None:
    """The receiver works out the same signature from the stamp, a point and the body."""
    with receiver() as there:
        Webhook(there.url, "s3cret").post({"event": "overdue", "missing": 2})
    [(headers, body)] = there.got
    assert json.loads(body) == {"event": "overdue", "missing": 2}
    signed = headers["X-StockETL-Timestamp"].encode() + b"." + body
    assert headers["X-StockETL-Signature"] == f"sha256={hmac.new(b's3cret', signed, hashlib.sha256).hexdigest()}"
    assert headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("status", [302, 404, 500])
def test_any_other_answer_is_an_error_that_tells_only_the_host(status: int) -> None:
    """Neither the path of the address, which may hold a secret, nor the secret itself is in it."""
    with receiver() as there:
        there.answers = [status]
        with pytest.raises(WebhookError) as refused:
            Webhook(there.url, "s3cret").post({})
    assert str(refused.value) == f"127.0.0.1 answered {status}"


def test_a_receiver_that_is_not_there_is_an_error_that_tells_only_the_host() -> None:
    """What urllib3 says would show the whole address."""
    with receiver() as there:
        url = there.url
    with pytest.raises(WebhookError) as refused:
        Webhook(url, "s3cret").post({})
    assert str(refused.value) == "127.0.0.1 cannot be reached (NewConnectionError)"
    assert refused.value.__cause__ is None
