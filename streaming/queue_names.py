"""How a queue of SQS is named: `sqs://NAME`, in the region of the job, or the queue's own URL."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit

_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}(\.fifo)?")
_REGION = re.compile(r"(?:.+\.)?sqs\.([a-z0-9-]+)\.(?:vpce\.)?amazonaws\.com(?:\.cn)?")


class Queue(NamedTuple):
    """given: as it was named; name; url, endpoint and region: None = as boto3 finds them."""

    given: str
    name: str
    url: str | None = None
    endpoint: str | None = None
    region: str | None = None

    @classmethod
    def of(cls, text: str) -> Queue:
        """From `sqs://NAME` or `https://HOST/ACCOUNT/NAME`; raises ValueError."""
        msg = "expected sqs://NAME or a queue's URL, such as https://sqs.eu-central-1.amazonaws.com/123456789012/drops"
        scheme, _, rest = text.partition("://")
        name = rest.rpartition("/")[2]
        if not _NAME.fullmatch(name):
            raise ValueError(msg)
        if scheme == "sqs" and rest == name:
            return cls(text, name)
        parts = urlsplit(text)
        if scheme not in {"https", "http"} or not parts.hostname or not re.fullmatch(r"/\d+/[^/]+", parts.path):
            raise ValueError(msg)
        found = _REGION.fullmatch(parts.hostname)
        return cls(text, name, text, f"{scheme}://{parts.netloc}", found[1] if found else None)
