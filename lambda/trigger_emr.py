"""Keeps the job alive. The schedule calls it and is enough; events only make it faster.

An invocation reads the memory, looks at the world, decides, and does at most one thing. Anything may call it, any
number of times, even twice at once: see `trigger.memory`.
"""

from __future__ import annotations

import functools
import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.data_classes import EventBridgeEvent
from botocore.config import Config
from trigger.control import Control
from trigger.documents import Documents
from trigger.emr import Emr, acting_client, looking_client
from trigger.errors import ControlError, DocumentError, RefusedError, UnansweredError
from trigger.keep_alive import decide, settle
from trigger.memory import Intention, Memory
from trigger.settings import TriggerSettings, read_settings
from trigger.situation import CancelStep, Decision, EndCluster, StartCluster, StartStep, Wait, World

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class TriggerReport:
    """What an invocation saw and did.

    did: start cluster, end cluster, start step, cancel step, or nothing; answer: EMR's; taken: whether EMR says that it
    will do it.
    """

    world: World
    did: str
    why: str
    answer: str = ""
    taken: bool = False
    crash_loop: bool = False


class Trigger:
    """clock: the present, in UTC; new_id: 8 hexadecimal digits, new each time."""

    def __init__(
        self,
        settings: TriggerSettings,
        control: Control,
        emr: Emr,
        documents: Documents,
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], str] = lambda: secrets.token_hex(4),
    ) -> None:
        self._policy = settings.policy
        self._control = control
        self._emr = emr
        self._documents = documents
        self._clock = clock
        self._new_id = new_id

    def run(self) -> TriggerReport:
        """One invocation.

        Raises TriggerError if a person must mend something, and what boto3 raises before anything has been done: the
        next invocation starts anew.
        """
        memory, etag = self._control.memory()  # before the look: what others do meanwhile then shows in the ETag
        now = self._clock()
        world = self._look(memory, now)
        settled = settle(memory, world, now, self._policy)
        decision = decide(world, settled, now, self._policy)
        if isinstance(decision, Wait):
            if settled != memory:
                self._control.save(settled, etag)  # or somebody else does
            return TriggerReport(world, "nothing", decision.why, crash_loop=decision.crash_loop)
        return self._act(decision, world, settled, etag)

    def _look(self, memory: Memory, now: datetime) -> World:
        since = now - self._policy.memorable
        if memory.intention is not None and memory.intention.outcome is None:
            since = min(since, memory.intention.at)
        clusters = self._emr.clusters(since)
        since = now if memory.last_step is None else memory.last_step.at
        if memory.intention is not None:
            since = min(since, memory.intention.at)
        opened = World(clusters).open_clusters
        return World(
            clusters=clusters,
            steps=tuple(step for cluster in opened for step in self._emr.steps(cluster, since)),
            heartbeat=self._control.heartbeat(),
            stopped=self._control.stopped(),
            replace=self._control.replace(),
            replace_cluster=self._control.replace_cluster(),
        )

    def _act(self, decision: Decision, world: World, memory: Memory, etag: str | None) -> TriggerReport:
        """Writes the intention, makes the call, writes its outcome. Each of the three may be the last."""
        try:
            did, call, intention = self._prepare(decision)
        except DocumentError as error:
            if not (isinstance(decision, EndCluster) or (isinstance(decision, CancelStep) and decision.replaced)):
                raise
            return TriggerReport(world, "nothing", decision.why, f"not done, so all stays as it is: {error}")
        memory = memory.intend(intention, self._policy.memorable, {step.id for step in world.live})
        etag = self._control.save(memory, etag)
        if etag is None:
            return TriggerReport(world, "nothing", "another invocation was quicker")
        if self._clock() - intention.at > self._policy.pending / 3:
            return TriggerReport(world, "nothing", f"writing {intention.id} took too long, so it is left to expire")
        try:
            answer, taken = call(), True
            memory = memory.done(answer, self._clock())
        except RefusedError as error:
            answer, taken = str(error), False
            memory = memory.refused(answer, self._clock())
        except UnansweredError as error:
            return TriggerReport(world, did, intention.why, f"no answer; EMR's lists will tell: {error}")
        self._control.save(memory, etag)  # or somebody has seen the effect and noted it already
        return TriggerReport(world, did, intention.why, answer, taken)

    def _prepare(self, decision: Decision) -> tuple[str, Callable[[], str], Intention]:
        """What it is called, the call (with its document read already), and the intention."""
        emr, now, new = self._emr, self._clock(), self._new_id()
        match decision:
            case StartCluster(why):
                document = self._documents.cluster(new)
                return "start cluster", lambda: emr.start_cluster(document), Intention(new, "cluster", now, why)
            case StartStep(cluster, why):
                document = self._documents.step(new)
                intention = Intention(new, "step", now, why, cluster)
                return "start step", lambda: emr.start_step(cluster, document), intention
            case EndCluster(cluster, why):
                self._documents.cluster(new)  # one that could not be started again is not ended
                return "end cluster", lambda: emr.end_cluster(cluster), Intention(new, "end", now, why, cluster)
            case CancelStep(cluster, step, why, force, replaced):
                if replaced:
                    self._documents.step(new)  # a version that was never uploaded costs no job
                intention = Intention(new, "cancel", now, why, cluster, step)
                return "cancel step", lambda: emr.cancel_step(cluster, step, force=force), intention
            case Wait():
                msg = f"there is nothing to prepare for {decision!r}"
                raise AssertionError(msg)


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """The function's entry. A log line and metrics say what was seen and done; the line is returned.

    Raises what `Trigger.run` raises, so that the event goes to the dead letters and their alarm goes off; the schedule
    calls again.
    """
    settings = read_settings(os.environ)
    endpoints = tuple(sorted((k, v) for k, v in os.environ.items() if k.startswith("AWS_ENDPOINT_URL")))
    trigger, logger, metrics = _prepared(settings, endpoints)
    try:
        report = trigger.run()
    except ControlError:
        metrics.add_metric("ControlErrors", MetricUnit.Count, 1)
        metrics.flush_metrics()
        raise
    _measure(report, metrics)
    if report.answer and not report.taken:
        logger.warning(report.answer)
    line = {"called_by": cause(event), **_line(report)}
    logger.info(line)
    return line


def cause(event: dict[str, Any]) -> str:
    """What called: the detail type of an EventBridge event."""
    return EventBridgeEvent(event).detail_type if "detail-type" in event else "by hand"


@functools.lru_cache(maxsize=1)
def _prepared(settings: TriggerSettings, _endpoints: tuple[tuple[str, str], ...]) -> tuple[Trigger, Logger, Metrics]:
    """Made once for each process: it takes long to make clients, and they keep their connections."""
    logger, metrics = Logger(), Metrics()
    retries: Any = {"mode": "standard", "total_max_attempts": 3}
    s3 = boto3.client("s3", config=Config(retries=retries, connect_timeout=3, read_timeout=8))
    trigger = Trigger(
        settings,
        Control(s3, settings.state_bucket, logger.warning),
        Emr(looking_client(), acting_client(), settings.cluster_name, settings.step_name),
        Documents(s3, settings),
        clock=lambda: datetime.now(UTC),
    )
    return trigger, logger, metrics


def _measure(report: TriggerReport, metrics: Metrics) -> None:
    world, now = report.world, datetime.now(UTC)
    if world.heartbeat is not None:
        since = max(now - world.heartbeat.time, timedelta(0))
        metrics.add_metric("HeartbeatAge", MetricUnit.Seconds, since.total_seconds())
    metrics.add_metric("CrashLoop", MetricUnit.Count, int(report.crash_loop))
    metrics.add_metric("LiveSteps", MetricUnit.Count, len(world.live))
    metrics.add_metric("Starts", MetricUnit.Count, int(report.did == "start step" and report.taken))
    metrics.add_metric("Clusters", MetricUnit.Count, len(world.open_clusters))
    stopped = now - world.stopped if world.stopped is not None and world.open_clusters else timedelta(0)
    metrics.add_metric("IdleSinceStop", MetricUnit.Seconds, max(stopped, timedelta(0)).total_seconds())
    age = max((now - cluster.created for cluster in world.clusters if cluster.id in world.open_clusters), default=None)
    if age is not None:
        metrics.add_metric("ClusterAge", MetricUnit.Seconds, age.total_seconds())
    metrics.flush_metrics()


def _line(report: TriggerReport) -> dict[str, Any]:
    world = report.world
    return {
        "did": report.did,
        "why": report.why,
        "answer": report.answer,
        "taken": report.taken,
        "crash_loop": report.crash_loop,
        "clusters": {cluster.id: cluster.state for cluster in world.clusters},
        "steps": {step.id: step.state for step in world.live},
        "heartbeat": world.heartbeat and world.heartbeat.time.isoformat(),
        "stopped": world.stopped and world.stopped.isoformat(),
        "replace": world.replace,
        "replace_cluster": world.replace_cluster and world.replace_cluster.isoformat(),
    }
