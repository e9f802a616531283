"""A POST to the address of `--webhook`, signed.

The body is JSON. `X-StockETL-Signature` is `sha256=` and the HMAC-SHA256, in hexadecimal, of the value of
`X-StockETL-Timestamp`, a point and the body; the key is the secret. The address may hold a secret too, so only its host
is ever told.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import urllib.parse
from typing import TYPE_CHECKING

import urllib3

from streaming.errors import StockETLError

if TYPE_CHECKING:
    from collections.abc import Mapping

_TIMEOUT = urllib3.Timeout(connect=5.0, read=10.0)


class WebhookError(StockETLError):
    """The receiver did not take a message: it may at the next try."""


class Webhook:
    """Delivery: at least once, if the caller tries again after a WebhookError. secret: the key of the signature."""

    def __init__(self, url: str, secret: str) -> None:
        self._url = url
        self._secret = secret.encode()
        self._pool = urllib3.PoolManager(retries=False, timeout=_TIMEOUT)

    @property
    def host(self) -> str:
        """What may be told of the address."""
        return urllib.parse.urlsplit(self._url).hostname or "?"

    def post(self, message: Mapping[str, object]) -> None:
        """One try of a few seconds. Raises WebhookError."""
        body = json.dumps(message, default=str).encode()
        stamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "X-StockETL-Timestamp": stamp,
            "X-StockETL-Signature": f"sha256={signature(self._secret, stamp, body)}",
        }
        try:
            answer = self._pool.request("POST", self._url, body=body, headers=headers, redirect=False)
        except (urllib3.exceptions.HTTPError, OSError) as error:  # what they say may hold the address
            msg = f"{self.host} cannot be reached ({type(error).__name__})"
            raise WebhookError(msg) from None
        if not 200 <= answer.status < 300:
            msg = f"{self.host} answered {answer.status}"
            raise WebhookError(msg)


def signature(secret: bytes, stamp: str, body: bytes) -> str:
    """What the receiver works out too and compares."""
    return hmac.new(secret, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
