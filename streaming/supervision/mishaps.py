"""What may end the query and pass by itself: its signs in Spark's text, its advice, and how often it is tried again."""

from __future__ import annotations

import re
from dataclasses import dataclass

from streaming.errors import StockETLError, StorageError


class QueryFailedError(StockETLError):
    """Spark ended the query, and none of our own errors is the reason."""


@dataclass(frozen=True)
class Mishap:
    """A kind of end after which another start may succeed.

    what: what the job waits for; signs: parts of Spark's text. tries: how often one batch may meet it; None: without
    limit, since the batch is not the cause. isolates: a drop may be the cause, so from the second time on the drops of
    the batch are parsed in processes of their own.
    """

    what: str
    signs: tuple[str, ...]
    advice: str
    tries: int | None = None
    isolates: bool = False


DISK_FULL = ("No space left on device", "Disk quota exceeded")  # of the checkpoint or of Java's own files
# what Java meets at the checkpoint: a file system of the network, S3 by Hadoop's client
_DISK_AWAY = ("Stale file handle", "Input/output error", "Transport endpoint is not connected", "Host is down")
_S3_AWAY = ("AWSClientIOException", "AWSServiceThrottledException", "AWSStatus500Exception", "AWSServiceIOException")
_S3_NOT_NOW = ("ExpiredToken", "RequestTimeTooSkewed", "SlowDown", "ServiceUnavailable")
STORAGE = Mishap(
    "the storage", (*_DISK_AWAY, *_S3_AWAY, *_S3_NOT_NOW), "Is it up, and may the job read and write there?"
)
# in this order: the first one with a sign in the text counts
MISHAPS = (
    Mishap(
        "room on the disk",
        DISK_FULL,
        "Make room: `df -h` shows which disk is full.",
    ),
    STORAGE,
    Mishap(
        "free file descriptors",
        ("Too many open files",),
        "Raise the limit of the service (`ulimit -n`, LimitNOFILE=). If this comes again, start the job again.",
        tries=3,
    ),
    Mishap(
        "free ports",
        ("Cannot assign requested address", "Address already in use"),
        "Something on this machine holds too many connections open (`ss -s`). If this comes again, restart the job.",
        tries=3,
    ),
    Mishap(
        "memory for Java",
        ("java.lang.OutOfMemoryError",),
        "Give Spark more memory (spark.driver.memory, spark.executor.memory) or smaller batches (--max-batch-bytes).",
        tries=3,
    ),
    Mishap(
        "a parser that lives",
        ("Python worker exited unexpectedly",),
        "Was memory short? If a drop is the cause, it is found and fails alone.",
        tries=3,
        isolates=True,
    ),
    Mishap(
        "the source's process",
        ("java.io.EOFException", "Stream closed", "Broken pipe"),
        "It was killed, or a drop has ended it. Was memory short? If a drop is the cause, it is found and fails alone.",
        isolates=True,
    ),
    Mishap(
        "Spark's Python processes",
        (
            "failed to connect back", "Cannot run program", "Cannot allocate memory",
            "Resource temporarily unavailable",
        ),
        "They start slowly or not at all. Is the machine busy, or short of memory or processes?",
    ),
    Mishap(
        "Spark's executors",
        (
            "ExecutorLostFailure", "Executor heartbeat timed out", "FetchFailed", "MetadataFetchFailed",
            "No route to host", "Connection refused", "Connection reset", "Failed to connect to", "RpcTimeoutException",
            "UnknownHostException", "Lost executor",
        ),
        "Check the network of the cluster, and whether its nodes are up.",
        isolates=True,
    ),
    Mishap(
        "the log of the checkpoint",
        ("CONCURRENT_STREAM_LOG_UPDATE",),
        "Another job may have used this checkpoint.",
        tries=3,
    ),
)  # fmt: skip
_OWN = re.compile(r"streaming\.\w+\.(\w+Error)\b")
_STORAGE_ERROR = "StorageError"


def mishap_of(reason: BaseException) -> Mishap | None:
    """The mishap that a query ended with; None if another start would not help.

    If a worker raised one of our own errors, it comes as text too. Of these, only a storage that does not answer is
    worth a wait.
    """
    if isinstance(reason, StockETLError) and not isinstance(reason, QueryFailedError):
        return STORAGE if isinstance(reason, StorageError) else None
    text = str(reason)
    if own := _OWN.findall(text):
        return STORAGE if _STORAGE_ERROR in own else None
    return next((mishap for mishap in MISHAPS if any(sign in text for sign in mishap.signs)), None)


def signs_in(text: str) -> list[str]:
    """The parts of a long text with stack traces that say which mishap it is."""
    own = [f"streaming.errors.{name}" for name in dict.fromkeys(_OWN.findall(text))]
    return own or [sign for mishap in MISHAPS for sign in mishap.signs if sign in text]
