"""The whole system on a local AWS, while steps, clusters, Lambdas and calls fail at random: in the end all is right.

`SEEDS=10 pytest tests/soak/test_aws_system.py` runs ten seeds; three without it.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from aws_world import LIVE, PASSWORD, World
from inputs import random_mix
from outcome import rows
from tables import assert_same, expected, stored

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from random import Random

    from emr_records import Step

pytestmark = pytest.mark.soak

log = logging.getLogger(__name__)

SEEDS = int(os.environ.get("SEEDS", "3"))
STRANGE = {
    "no header.csv": b"2024-01-02,A,1,1\n",
    "leer.csv": b"",
    "Kurse für 株式 100%25+1 & more.csv": b"date,id,price,trade_volume\n2024-01-02,A,1,1\n",
    "daily.csv": b"date,id,price,trade_volume\n2013-02-08,1,77,1\n",
}


@pytest.mark.parametrize("seed", range(SEEDS))
def test_whatever_fails_each_file_ends_in_its_bucket_and_the_tables_are_right(
    seed: int, tmp_path: Path, database: str, s3: Any
) -> None:
    """One live step again, nothing left in the input, every byte in success or failed, tables as the drops say."""
    with World(tmp_path, s3, database, seed) as world:
        _disturb(world)
        killed = [fault(world) for fault in _in_random_order(world.chance)]
        assert all(killed)
        _heal(world)
        world.drop("last.csv", b"date,id,price,trade_volume\n2013-02-09,1,5,5\n")
        began = time.monotonic()
        world.wait_for("everything in its place", lambda: _converged(world))
        told = time.monotonic() - began, dict(world.counts), dict(world.faults.counts)
        log.info("seed %d: converged after %.1f s, %s, %s", seed, *told)
        _assert_the_faults_fired(world)
        _assert_every_file_is_where_it_belongs(world)
        _assert_the_tables_are_the_oracles(world)
        _assert_figures_reached_cloudwatch(world)
        assert world.refused() == [], "requests that a role of the template may not make"
    _assert_no_log_shows_the_password(world)


def _disturb(world: World) -> None:
    """From now on calls are throttled and events get lost, doubled and late."""
    world.losing = 0.25
    world.faults.change(
        throttle=0.1, fail=0.02, lose_answer=0.05, lose_event=0.3, repeat_event=0.2, delay_event=0.2, longest_delay=5.0
    )
    world.counts["S3 calls throttled"] -= world.s3.faults(slow_down=0.01).get("slow_down", 0)  # of other tests


def _heal(world: World) -> None:
    world.losing = 0.0
    world.faults.heal()
    world.counts["S3 calls throttled"] += world.s3.faults(slow_down=0.0).get("slow_down", 0)


def _in_random_order(chance: Random) -> list[Callable[[World], bool]]:
    faults = [_kill_the_step, _kill_the_cluster, _freeze_the_driver, _kill_lambdas, _stop_for_maintenance]
    chance.shuffle(faults)
    mix = iter(_shares([*random_mix(chance.randrange(1_000)), *STRANGE.items()], len(faults), chance))
    return [lambda world, fault=fault: _drop_and(world, next(mix), fault) for fault in faults]


def _shares(drops: list[tuple[str, bytes]], parts: int, chance: Random) -> list[list[tuple[str, bytes]]]:
    """All drops in parts, those of one key in the order given."""
    chance.shuffle(drops)
    return [drops[part::parts] for part in range(parts)]


def _drop_and(world: World, drops: list[tuple[str, bytes]], fault: Callable[[World, Step], bool]) -> bool:
    """Files for a step that is well, and a fault at a random moment while it loads them."""
    step = world.wait_for("a step that is well", world.beating_step)
    for key, content in drops:
        world.drop(key, content)
    time.sleep(world.chance.uniform(0, 2.5))
    return fault(world, step)


def _kill_the_step(world: World, step: Step) -> bool:
    world.emr.kill_step(step.id)
    world.wait_for("the death of the step", lambda: step.state == "FAILED")
    return True


def _kill_the_cluster(world: World, step: Step) -> bool:
    world.emr.kill_cluster(next(cluster.id for cluster in world.emr.clusters.values() if step in cluster.steps))
    world.wait_for("the death of the cluster", lambda: step.state not in LIVE)
    return True


def _freeze_the_driver(world: World, step: Step) -> bool:
    """Its successor takes over; then it wakes up, if it has not been killed meanwhile."""
    process = step.process
    process.freeze()
    world.wait_for("a successor that is well", lambda: (new := world.beating_step()) and new.id != step.id)
    process.wake()
    world.wait_for("the end of the frozen step", lambda: step.state not in LIVE)
    return step.state == "CANCELLED"


def _kill_lambdas(world: World, _step: Step) -> bool:
    """kill -9 of each function's processes again and again, until both have been hit in the middle of an invocation."""

    def both_hit() -> bool:
        for functions in world.lambdas.values():
            for function in functions:
                function.kill()
        time.sleep(world.chance.uniform(0.5, 2.5))
        return all(world.counts[f"{name} killed"] for name in world.lambdas)

    return bool(world.wait_for("a kill in the middle of an invocation of each function", both_hit))


def _stop_for_maintenance(world: World, step: Step) -> bool:
    """The driver ends by the marker itself: the signal of its cancelled step never reaches it."""
    world.s3.client.put_object(Bucket=world.state, Key="control/stop", Body=b"")
    world.wait_for("the end of all drivers", lambda: step.state not in LIVE and not world.drivers())
    world.s3.client.delete_object(Bucket=world.state, Key="control/stop")
    return True


def _converged(world: World) -> bool:
    live = world.emr.steps(*LIVE)
    return (
        not world.input_versions()
        and all("/done/" in key for key in world.keys(world.receipts, "receipts/"))
        and len(live) == 1
        and world.beating_step() is live[0]
        and world.drivers() == [live[0].id]
    )


def _assert_the_faults_fired(world: World) -> None:
    fired = world.faults.counts
    assert min(fired[fault] for fault in ("kill_step", "kill_cluster", "throttle")) > 0
    assert fired["lose_event"] + world.counts["S3 events lost"] > 0
    assert fired["repeat_event"] + world.counts["S3 events repeated"] > 0
    assert world.counts["S3 calls throttled"] > 0
    assert {state for _, _, state in world.emr.history} >= {"FAILED", "CANCELLED", "TERMINATED_WITH_ERRORS"}


def _assert_every_file_is_where_it_belongs(world: World) -> None:
    moved = {bucket: world.keys(bucket) for bucket in (world.success, world.failed)}
    reasons = [key for key in moved[world.failed] if key.endswith(".reason.json")]
    failed = [key for key in moved[world.failed] if key not in reasons]
    assert sorted(reasons) == sorted(f"{key}.reason.json" for key in failed)
    everything = world.bodies(world.success, moved[world.success]) + world.bodies(world.failed, failed)
    assert Counter(everything) == Counter(world.dropped.values())
    assert len(failed) == 2
    done = [json.loads(body) for body in world.bodies(world.receipts, world.keys(world.receipts, "receipts/done/"))]
    assert sorted(receipt["version_id"] for receipt in done) == sorted(world.dropped)
    heads = [world.s3.client.head_object(Bucket=world.success, Key=key) for key in moved[world.success]]
    assert {head["Metadata"].get("from") for head in heads} == {"somebody"}


def _assert_the_tables_are_the_oracles(world: World) -> None:
    in_order = rows(world.database, "SELECT body FROM stocketl.receipts ORDER BY seq")
    assert sorted(row["body"]["version_id"] for row in in_order) == sorted(world.dropped)
    assert_same(stored(world.database), expected(world.dropped[row["body"]["version_id"]] for row in in_order))


def _assert_figures_reached_cloudwatch(world: World) -> None:
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
    client = boto3.session.Session().client("cloudwatch", endpoint_url=world.s3.endpoint, **keys)
    named = {metric["MetricName"] for metric in client.list_metrics(Namespace="StockETL")["Metrics"]}
    client.close()
    assert named >= {
        "DropsLoaded", "DropsFailed", "RowsLoaded", "RowsDuplicate", "RowsRejected", "BatchSeconds",
        "DropToVisibleSeconds", "WaitingDrops", "OldestWaitingSeconds", "OpenDescriptorsPercent",
    }  # fmt: skip


def _assert_no_log_shows_the_password(world: World) -> None:
    logs = world.logs()
    assert {path.name for path in logs} >= {"stderr", "stdout", "trigger_emr.log", "monitor_emr.log"}
    assert [path for path in logs if PASSWORD.encode() in path.read_bytes()] == []
    # spark-submit passes on what the driver writes, its standard error too, on its own standard output
    steps = [path.read_text(errors="replace") for path in logs if path.name == "stdout"]
    lines = [json.loads(line) for text in steps for line in text.splitlines() if line.startswith('{"time"')]
    batches = [line for line in lines if "batch_id" in line and line.get("keys")]
    assert batches, "no log line of a batch names its drops"
