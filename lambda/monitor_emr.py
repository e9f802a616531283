"""Lambda `monitor_emr.handler`: moves each file to the right bucket, by its receipt and by nothing else.

A new receipt moves its own file. The schedule, and every change of a step or a cluster, sweeps: what the input holds is
measured, then the files of all pending receipts are moved, so lost, repeated and late events do no harm. A file without
a receipt is never touched, whatever became of the step.
"""

from __future__ import annotations

import functools
import os
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit
from aws_lambda_powertools.utilities.data_classes import EventBridgeEvent, S3Event
from botocore.config import Config
from monitor.copies import CopyLimits
from monitor.moves import Buckets, Moved, Outcome, ReceiptMoves
from monitor.receipts import UnreadableReceiptError, is_pending, pending
from monitor.waiting import waiting
from variables import seconds, text

from streaming.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_s3.client import S3Client

_MOVES_AT_ONCE = 16
# in hand at a time: every 100,000 pending ones would else take 200 MB
_RECEIPTS_AT_ONCE = 2 * _MOVES_AT_ONCE
# of the time that a sweep has: 225 s list some 600,000 versions; in the other 675 s a file of any size is begun
_MEASURING_SHARE = 0.25
_SWEEPS = frozenset({"EMR Step Status Change", "EMR Cluster State Change", "Scheduled Event"})


@dataclass
class MonitorReport:
    """What became of the receipts: how many of each outcome, how many are not receipts, how many met an error."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    unreadable: int = 0
    errors: int = 0
    first_error: Exception | None = None  # not all of them: each holds its whole traceback

    def add(self, name: str, result: Moved | Exception) -> None:
        """Counts what became of the receipt of this name, and logs it."""
        log = logger()
        if isinstance(result, UnreadableReceiptError):
            self.unreadable += 1
            log.error(str(result), extra={"receipt": name})
        elif isinstance(result, Exception):
            self.errors += 1
            if self.first_error is None:
                self.first_error = result
            log.error("%s could not be moved", name, extra={"receipt": name}, exc_info=result)
        else:
            self.outcomes[result.outcome] += 1
            _tell(log, name, result)


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, float]:
    """Moves what the event names, or sweeps. Returns what was done, by the names of the metrics.

    Raises `StorageError` if a receipt that the event names could not be moved, so that Lambda calls again; what a
    sweep could not move is for the next sweep.
    """
    buckets = environment_buckets()
    s3 = client_for(os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"))
    named = receipts_named(event, buckets.receipts)

    def time_left() -> float:
        return context.get_remaining_time_in_millis() / 1000

    moves = ReceiptMoves(s3, buckets, time_left, CopyLimits())
    if named is None:
        return _swept(s3, buckets, moves, time_left)
    report = MonitorReport()
    _move(moves, named, report)
    done = _counts(report)
    _publish(done)
    if report.first_error is not None:
        msg = f"{report.errors} of {len(named)} files could not be moved; nothing is lost, they are tried again"
        raise StorageError(msg) from report.first_error
    return done


def _swept(s3: S3Client, buckets: Buckets, moves: ReceiptMoves, time_left: Callable[[], float]) -> dict[str, float]:
    """Measures first: if a sweep fails or is stopped in the middle of its moves, the alarm must still ring.

    What has a receipt therefore still counts as waiting. An error of the one does not stop the other, and is raised at
    the end.
    """
    keep = (1 - _MEASURING_SHARE) * time_left()
    try:
        measured = _measured(s3, buckets, lambda: time_left() - keep)
    finally:
        report = MonitorReport()
        try:
            _move(moves, pending(s3, buckets.receipts), report)
        finally:
            done = _counts(report) | {"PendingReceipts": report.outcomes[Outcome.LEFT] + report.errors}
            _publish(done)
    return done | measured


def _counts(report: MonitorReport) -> dict[str, float]:
    return {
        "MovedDrops": report.outcomes[Outcome.MOVED],
        "GoneDrops": report.outcomes[Outcome.GONE],
        "UnreadableReceipts": report.unreadable,
        "MoveErrors": report.errors,
    }


def receipts_named(event: dict[str, Any], bucket: str) -> list[str] | None:
    """The keys of the pending receipts in the bucket `bucket` that the event names; None: it asks for a sweep.

    Raises `ValueError` for an event that is meant for somebody else.
    """
    if "Records" in event:
        objects = [record.s3 for record in S3Event(event).records]
        told = [(of.bucket.name, unquote_plus(of.get_object.key)) for of in objects]
        return [key for name, key in told if name == bucket and is_pending(key)]
    kind = event.get("detail-type")
    if kind in _SWEEPS:
        return None
    if kind != "Object Created":
        msg = f"expected an event of S3, EMR or a schedule, got {kind!r} from {event.get('source')!r}; correct the rule"
        raise ValueError(msg)
    # the key as it stands: EventBridge does not encode it, though powertools' class for this very event decodes it
    detail = EventBridgeEvent(event).detail
    key = detail["object"]["key"]
    return [key] if detail["bucket"]["name"] == bucket and is_pending(key) else []


def _move(moves: ReceiptMoves, names: Iterable[str], report: MonitorReport) -> None:
    """If one receipt fails or takes long, it does not hold up the others.

    What was begun is reported even if the names break off with an error.
    """

    def one(name: str) -> tuple[str, Moved | Exception]:
        try:
            return name, moves.move(name)
        except Exception as error:  # noqa: BLE001 (reported below, in the thread that counts)
            return name, error

    begun: set[Future[tuple[str, Moved | Exception]]] = set()
    with ThreadPoolExecutor(_MOVES_AT_ONCE) as pool:
        try:
            for name in names:
                if len(begun) == _RECEIPTS_AT_ONCE:
                    ended, begun = wait(begun, return_when=FIRST_COMPLETED)
                    for future in ended:
                        report.add(*future.result())
                begun.add(pool.submit(one, name))
        finally:
            for future in begun:
                report.add(*future.result())


def _tell(log: Logger, name: str, result: Moved) -> None:
    facts = {"receipt": name, "seq": result.seq, "drop": result.key}
    if result.outcome is Outcome.MOVED:
        log.info("moved", extra=facts | {"target": result.target})
    elif result.outcome is Outcome.GONE:
        log.warning("its version is neither in the input nor at the target, so there is nothing to move", extra=facts)
    elif result.outcome is Outcome.LEFT and result.key is not None:
        log.warning(
            "not begun, since so large a file needs more time; the next sweep tries again. A timeout of 900 s helps",
            extra=facts,
        )


def _measured(s3: S3Client, buckets: Buckets, time_left: Callable[[], float]) -> dict[str, float]:
    limit = seconds(os.environ, "WAITING_LIMIT_SECONDS", 900).total_seconds()
    found = waiting(s3, buckets.input, buckets.prefix, now=datetime.now(UTC), limit_seconds=limit, time_left=time_left)
    if found.too_long > 0:
        facts = {"drops": found.oldest, "count": found.too_long}
        logger().warning(f"drops have been waiting for more than {limit:g} s", extra=facts)
    counts = {"WaitingDrops": found.drops, "DropsWaitingTooLong": found.too_long}
    _publish(counts | {"OldestWaitingSeconds": found.oldest_seconds})
    return counts | {"OldestWaitingSeconds": found.oldest_seconds}


def _publish(values: Mapping[str, float]) -> None:
    """One line of CloudWatch's embedded metric format on standard output."""
    metrics = EphemeralMetrics(namespace=os.environ.get("POWERTOOLS_METRICS_NAMESPACE", "StockETL"), service=_service())
    for name, value in values.items():
        metrics.add_metric(name, MetricUnit.Seconds if name.endswith("Seconds") else MetricUnit.Count, value)
    metrics.flush_metrics()


def environment_buckets() -> Buckets:
    """The buckets that the function's environment names; raises `SettingsError` if one is missing."""
    prefix = os.environ.get("INPUT_PREFIX", "").rstrip("/")
    return Buckets(
        receipts=text(os.environ, "RECEIPTS_BUCKET"),
        input=text(os.environ, "INPUT_BUCKET"),
        prefix=f"{prefix}/" if prefix else "",
        success=text(os.environ, "SUCCESS_BUCKET"),
        failed=text(os.environ, "FAILED_BUCKET"),
    )


def _service() -> str:
    return os.environ.get("POWERTOOLS_SERVICE_NAME", "monitor_emr")


@functools.cache
def client_for(endpoint: str | None) -> S3Client:
    """The client, made when first used; endpoint: None for AWS itself."""
    # a copy of 5 GiB may keep the connection silent for a while
    retries: Any = {"mode": "standard", "max_attempts": 4}
    connections = _MOVES_AT_ONCE * CopyLimits().parts_at_once
    config = Config(connect_timeout=5, read_timeout=120, retries=retries, max_pool_connections=connections)
    return boto3.client("s3", endpoint_url=endpoint, config=config)


@functools.cache
def logger() -> Logger:
    """JSON lines on standard output, made when first used."""
    return Logger(service=_service())
