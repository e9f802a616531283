"""Figures of batches, and how they go to CloudWatch (checked by botocore against the service's own model)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.validate import validate_parameters

from streaming.errors import StorageError
from streaming.telemetry.metrics import CloudWatch
from streaming.telemetry.observer import Published, Written

if TYPE_CHECKING:
    import pytest
from ledger_rows import fact

NOW = datetime(2024, 1, 2, 0, 0, 10, tzinfo=UTC)


FACT = fact(1, loaded=5, duplicate=2, rejected=1)


class Sent:
    """What was put, each call checked as boto3 would check it; the first `refused` calls fail."""

    def __init__(self, refused: int = 0) -> None:
        self.calls: list[dict[str, Any]] = []
        self._refused = refused
        model = botocore.session.get_session().get_service_model("cloudwatch")
        self._shape = model.operation_model("PutMetricData").input_shape

    def __call__(self, **request: Any) -> None:
        validate_parameters(request, self._shape)
        if self._refused:
            self._refused -= 1
            msg = "throttled"
            raise StorageError(msg)
        self.calls.append(request)

    def values(self) -> dict[str, list[float]]:
        """All values by name, each as often as it was counted."""
        found: dict[str, list[float]] = {}
        for datum in (datum for call in self.calls for datum in call["MetricData"]):
            pairs = zip(datum["Values"], datum["Counts"], strict=True)
            found.setdefault(datum["MetricName"], []).extend(v for v, n in pairs for _ in range(int(n)))
        return found


def test_a_batch_counts_its_drops_and_rows_and_how_long_each_drop_took_to_be_seen() -> None:
    """A part of a drop that goes on brings rows but no drop; what became of a drop in parts, its receipt says."""
    ended = [
        {"fate": "success", "last_modified": "2024-01-02T00:00:08+00:00"},
        {"fate": "failed", "last_modified": "2024-01-02T00:00:09.500000+00:00"},
    ]
    sent = Sent()
    metrics = CloudWatch(sent)
    metrics.published(Published(0, [FACT] * 3, Written(9, ended), {"collect": 0.3, "transaction": 0.4}, NOW, []))
    metrics.waiting(4, 31.5)
    metrics.flush()
    assert sent.values() == {
        "DropsLoaded": [1.0], "DropsFailed": [1.0], "RowsLoaded": [15.0], "RowsDuplicate": [6.0], "RowsRejected": [3.0],
        "BatchSeconds": [0.7], "DropToVisibleSeconds": [2.0, 0.5],
        "WaitingDrops": [4.0], "OldestWaitingSeconds": [31.5],
    }  # fmt: skip


def test_every_value_arrives_once_in_calls_that_cloudwatch_takes() -> None:
    """More distinct values than one metric may carry, some of them many times."""
    sent = Sent()
    metrics = CloudWatch(sent)
    wanted = [float(number % 400) for number in range(1_000)]
    for value in wanted:
        metrics.add({"BatchSeconds": value, "DropsLoaded": 1})
    metrics.flush()
    metrics.flush()
    assert {name: sorted(values) for name, values in sent.values().items()} == {
        "BatchSeconds": sorted(wanted),
        "DropsLoaded": [1.0] * 1_000,
    }
    data = [datum for call in sent.calls for datum in call["MetricData"]]
    assert max(len(datum["Values"]) for datum in data) <= 150
    assert {datum["MetricName"]: datum["Unit"] for datum in data} == {"BatchSeconds": "Seconds", "DropsLoaded": "Count"}
    assert {(d["Name"], d["Value"]) for datum in data for d in datum["Dimensions"]} == {("service", "stocketl")}


def test_what_cloudwatch_refuses_goes_with_the_next_flush(caplog: pytest.LogCaptureFixture) -> None:
    """A throttled call costs a warning and no figure."""
    sent = Sent(refused=1)
    metrics = CloudWatch(sent)
    metrics.add({"RowsLoaded": 3})
    metrics.flush()
    metrics.add({"RowsLoaded": 3})
    metrics.flush()
    assert sent.values() == {"RowsLoaded": [3.0, 3.0]}
    assert [record.getMessage() for record in caplog.records] == ["figures wait for the next time: throttled"]
