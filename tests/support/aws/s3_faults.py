"""What goes wrong with the local S3, by seed, switched on and read over HTTP: see `S3Faults`."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from random import Random
from typing import Any

_INTERNAL = ("500 Internal Server Error", "InternalError", "We encountered an internal error. Please try again.")
_UNMET = "At least one of the pre-conditions you specified did not hold"
_NO_RANGE = "The specified copy source is not supported as a byte-range copy source"
_ERRORS = {
    "slow_down": ("503 Slow Down", "SlowDown", "Please reduce your request rate."),
    "fail": _INTERNAL,
    "conflict": ("409 Conflict", "ConditionalRequestConflict", "A conflicting operation occurred."),
    "lose_answer": _INTERNAL,
    "precondition": ("412 Precondition Failed", "PreconditionFailed", _UNMET),
    "range": ("400 Bad Request", "InvalidRequest", _NO_RANGE),
}
_REFUSALS = {
    "AccessDenied": ("403 Forbidden", "User: job is not authorized to perform: kms:Decrypt on resource: key/theirs"),
    "ExpiredToken": ("400 Bad Request", "The provided token has expired."),
    "InvalidObjectState": ("403 Forbidden", "The operation is not valid for the object's storage class"),
    "InvalidRequest": ("400 Bad Request", "The object was stored using a form of Server Side Encryption."),
    "KMS.DisabledException": ("400 Bad Request", "key/theirs is disabled."),
    "KMS.ThrottlingException": ("400 Bad Request", "You have exceeded the rate at which you may call KMS."),
    "MethodNotAllowed": ("405 Method Not Allowed", "The specified method is not allowed against this resource."),
    "NotImplemented": ("501 Not Implemented", "A header you provided implies functionality that is not implemented"),
    "RequestTimeTooSkewed": ("403 Forbidden", "The difference between the request time and the current time is large."),
}
_ERRORS |= {code: (status, code, message) for code, (status, message) in _REFUSALS.items()}
_PROBABILITIES = ("slow_down", "fail", "conflict", "lose_answer")
_CONDITIONS = ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH")


class S3Faults:
    """Probabilities per request of S3, all 0 at first; what fires is counted, by itself and with the method.

    slow_down: 503 SlowDown; fail: 500; conflict: a conditional write is refused with 409, as one that lost a race may
    be; lose_answer: a write takes effect and is answered with 500. paths: a regular expression that is to be found in
    `/bucket/key`. refuse: S3's words by regular expressions that are to be found in `METHOD /bucket/key?query` (of a
    copy, its source stands behind a blank): what fits is always answered so.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._set({"seed": 0, "paths": "", "refuse": {}} | dict.fromkeys(_PROBABILITIES, 0.0))
        self.counts: Counter[str] = Counter()

    def control(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Changes settings by name (a seed starts the random numbers anew); all settings and counts."""
        if unknown := wanted.keys() - self._settings.keys():
            msg = f"expected settings among {sorted(self._settings)}, got {sorted(unknown)}"
            raise ValueError(msg)
        with self._lock:
            self._set(self._settings | wanted, anew="seed" in wanted)
            return {"settings": self._settings, "counts": dict(self.counts)}

    def drawn(self, environ: dict[str, Any], path: str) -> str | None:
        """The fault that this request meets, counted but for `lose_answer`, which is one only if there is an effect."""
        settings, method = self._settings, environ["REQUEST_METHOD"]
        asked = f"{method} {path}?{environ.get('QUERY_STRING', '')} {environ.get('HTTP_X_AMZ_COPY_SOURCE', '')}"
        for pattern, word in settings["refuse"].items():
            if re.search(pattern, asked):
                self.count(word, method)
                return str(word)
        if not any(settings[name] for name in _PROBABILITIES) or not re.search(settings["paths"], path):
            return None
        with self._lock:
            at = self._random.random()
            for fault in _possible(environ):
                if at < settings[fault]:
                    if fault != "lose_answer":
                        self.count(fault, method)
                    return fault
                at -= settings[fault]
        return None

    def count(self, fault: str, method: str) -> None:
        """Notes that a fault has fired."""
        with self._lock:
            self.counts.update((fault, f"{fault} {method}"))

    def _set(self, settings: dict[str, Any], *, anew: bool = True) -> None:
        self._settings = settings
        if anew:
            self._random = Random(settings["seed"])  # noqa: S311 - what is wanted is the same faults again


def error(name: str, method: str) -> tuple[str, list[tuple[str, str]], bytes]:
    """Status, headers and body with which S3 answers; without a body to HEAD."""
    return _answer(*_ERRORS[name], method)


def refusal(message: str, method: str) -> tuple[str, list[tuple[str, str]], bytes]:
    """The same for a request that its maker may not make."""
    return _answer("403 Forbidden", "AccessDenied", message, method)


def refusal_of_sqs(message: str) -> tuple[str, list[tuple[str, str]], bytes]:
    """The same, as SQS says it."""
    body = json.dumps({"__type": "com.amazon.coral.service#AccessDeniedException", "message": message}).encode()
    return "400 Bad Request", [("Content-Type", "application/x-amz-json-1.0"), ("Content-Length", str(len(body)))], body


def _answer(status: str, code: str, message: str, method: str) -> tuple[str, list[tuple[str, str]], bytes]:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    body = b"" if method == "HEAD" else text.encode()
    return status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))], body


def _possible(environ: dict[str, Any]) -> list[str]:
    writes = environ["REQUEST_METHOD"] in {"PUT", "POST", "DELETE"}
    conditional = writes and any(name in environ for name in _CONDITIONS)
    return ["slow_down", "fail", *["lose_answer"] * writes, *["conflict"] * conditional]
