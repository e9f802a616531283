"""A queue is named in one of two ways; nothing else is taken for one."""

from __future__ import annotations

import pytest

from streaming.queue_names import Queue

HOST = "https://sqs.eu-central-1.amazonaws.com"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sqs://drops", Queue("sqs://drops", "drops")),
        (
            f"{HOST}/123456789012/drops",
            Queue(f"{HOST}/123456789012/drops", "drops", f"{HOST}/123456789012/drops", HOST, "eu-central-1"),
        ),
        (
            "https://vpce-1a-2b.sqs.us-east-1.vpce.amazonaws.com/1/drops",
            Queue(
                "https://vpce-1a-2b.sqs.us-east-1.vpce.amazonaws.com/1/drops",
                "drops",
                "https://vpce-1a-2b.sqs.us-east-1.vpce.amazonaws.com/1/drops",
                "https://vpce-1a-2b.sqs.us-east-1.vpce.amazonaws.com",
                "us-east-1",
            ),
        ),
        (
            "http://localhost:9324/000000000000/drops",
            Queue(
                "http://localhost:9324/000000000000/drops",
                "drops",
                "http://localhost:9324/000000000000/drops",
                "http://localhost:9324",
            ),
        ),
    ],
)
def test_a_queue_is_a_name_or_a_url_that_says_its_server_and_region(text: str, expected: Queue) -> None:
    """The region of a URL of AWS is read from its host; all else comes as boto3 finds it."""
    assert Queue.of(text) == expected


@pytest.mark.parametrize(
    "text",
    ["drops", "sqs://", "sqs://a/b", "sqs://a b", "arn:aws:sqs:us-east-1:1:drops", f"{HOST}/drops", "ftp://h/1/drops"],
)
def test_what_names_no_queue_is_refused(text: str) -> None:
    """The error says how a queue is named."""
    with pytest.raises(ValueError, match=r"expected sqs://NAME or a queue's URL"):
        Queue.of(text)
