"""What the job measures of itself, and how it sends the figures to CloudWatch.

Delivery: at least once while the job lives. If CloudWatch does not take figures, they go with the next flush, up to
100,000 distinct values of a metric. Nothing waits for them.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypedDict

from streaming.errors import StockETLError
from streaming.telemetry.observer import Observer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from streaming.ledger.drops import Body
    from streaming.telemetry.observer import Published

log = logging.getLogger(__name__)

NAMESPACE, SERVICE = "StockETL", "stocketl"
_UNITS = {"Seconds": "Seconds", "Percent": "Percent"}  # by the end of a name; others are counts
# docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html and API_MetricDatum.html
_METRICS_A_CALL, _VALUES_A_METRIC = 1_000, 150
_KEPT_VALUES = 100_000


class Metrics(Observer):
    """Takes figures, also those of each batch, and keeps none: a subclass does. Raises nothing."""

    def waiting(self, drops: int, oldest_seconds: float) -> None:
        """How many drops wait, and how long the oldest has."""

    def descriptors(self, share: float) -> None:
        """The largest share of its limit that a process of a batch has open, 0 to 1."""

    def overdue(self, dates: int) -> None:
        """How many dates are not complete though their deadline has come."""

    def flush(self) -> None:
        """Sends what has gathered."""


class CloudWatch(Metrics):
    """Metrics of the namespace `StockETL` with the dimension service=stocketl, every value kept.

    put: `put_metric_data` of boto3's client. For several threads.
    """

    def __init__(self, put: Callable[..., object]) -> None:
        self._put = put
        self._lock = threading.Lock()
        self._values: dict[str, Counter[float]] = {}

    def published(self, batch: Published) -> None:
        """Keeps the figures of one batch and of each drop that ended in it for the next flush."""
        if batch.written is not None:  # else the job that wrote it has told it, if it came so far
            for figures in _of_batch(batch, batch.written.ended):
                self.add(figures)

    def waiting(self, drops: int, oldest_seconds: float) -> None:
        """Keeps both for the next flush."""
        self.add({"WaitingDrops": drops, "OldestWaitingSeconds": oldest_seconds})

    def descriptors(self, share: float) -> None:
        """Keeps it for the next flush."""
        self.add({"OpenDescriptorsPercent": 100 * share})

    def overdue(self, dates: int) -> None:
        """Keeps it for the next flush."""
        self.add({"OverdueDates": dates})

    def add(self, figures: Mapping[str, float]) -> None:
        """Keeps figures by their names in CloudWatch for the next flush."""
        with self._lock:
            for name, value in figures.items():
                self._values.setdefault(name, Counter())[round(float(value), 3)] += 1

    def flush(self) -> None:
        """One call for up to 1,000 metrics of up to 150 distinct values; what fails is kept for the next time."""
        with self._lock:
            values, self._values = self._values, {}
        data = list(_data(values, datetime.now(UTC)))
        for first in range(0, len(data), _METRICS_A_CALL):
            part = data[first : first + _METRICS_A_CALL]
            try:
                self._put(Namespace=NAMESPACE, MetricData=part)
            except StockETLError as error:
                log.warning("figures wait for the next time: %s", error)
                self._keep(part)

    def _keep(self, part: list[_Datum]) -> None:
        with self._lock:
            for datum in part:
                kept = self._values.setdefault(datum["MetricName"], Counter())
                if len(kept) < _KEPT_VALUES:
                    kept.update(dict(zip(datum["Values"], map(int, datum["Counts"]), strict=True)))


class _Datum(TypedDict):
    MetricName: str
    Dimensions: list[dict[str, str]]
    Timestamp: datetime
    Values: list[float]
    Counts: list[float]
    Unit: str


def _data(values: dict[str, Counter[float]], now: datetime) -> Iterator[_Datum]:
    for name, counted in values.items():
        pairs = list(counted.items())
        for first in range(0, len(pairs), _VALUES_A_METRIC):
            part = pairs[first : first + _VALUES_A_METRIC]
            yield {
                "MetricName": name,
                "Dimensions": [{"Name": "service", "Value": SERVICE}],
                "Timestamp": now,
                "Values": [value for value, _ in part],
                "Counts": [float(count) for _, count in part],
                "Unit": next((unit for end, unit in _UNITS.items() if name.endswith(end)), "Count"),
            }


def _of_batch(batch: Published, ended: list[Body]) -> list[dict[str, float]]:
    """The figures of one batch, then one for each drop that ended in it.

    If a drop gives a row again in a later batch, the row counts as loaded twice.
    """
    failed = sum(drop["fate"] == "failed" for drop in ended)
    figures: dict[str, float] = {
        "DropsLoaded": len(ended) - failed,
        "DropsFailed": failed,
        "RowsLoaded": sum(fact.rows_loaded for fact in batch.facts),
        "RowsDuplicate": sum(fact.rows_duplicate for fact in batch.facts),
        "RowsRejected": sum(fact.rows_rejected for fact in batch.facts),
        "BatchSeconds": sum(batch.seconds.values()),
    }
    waits = [(batch.visible - datetime.fromisoformat(drop["last_modified"])).total_seconds() for drop in ended]
    return [figures, *({"DropToVisibleSeconds": max(wait, 0.0)} for wait in waits)]


def cloudwatch() -> CloudWatch:
    """As the process's AWS client reaches it."""
    from streaming.aws import client_of, plain_errors  # noqa: PLC0415 (boto3 takes 0.3 s to load)

    def put(**request: object) -> None:
        with plain_errors("send figures to CloudWatch, as"):
            client_of("cloudwatch").put_metric_data(**request)

    return CloudWatch(put)
