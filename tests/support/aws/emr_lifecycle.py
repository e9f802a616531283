"""What becomes of clusters and steps as time passes: the state machines of the local EMR.

What was chosen where EMR's documents leave it open: a cluster that is shut down on request cancels its steps at once;
one that dies leaves the step that ran FAILED, CANCELLED or INTERRUPTED (by seed, or as the test says) and cancels the
others. A step whose process ends after it was cancelled is CANCELLED, whatever the exit code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emr_events import cluster_event, step_event
from emr_records import OPEN_CLUSTERS, READY, Cluster, Delays, Step
from emr_steps import StepLaunch

if TYPE_CHECKING:
    from collections.abc import Callable

    from emr_events import EventStream
    from emr_faults import Faults
    from emr_steps import StepProcess

_CLEAN_ENDS = frozenset({"USER_REQUEST", "ALL_STEPS_COMPLETED"})
_LEFT = ("FAILED", "CANCELLED", "INTERRUPTED")


class Lifecycle:
    """Moves clusters and steps on. history: each change as (time, id, state), for tests that judge the whole run."""

    def __init__(
        self, run_step: Callable[[StepLaunch], StepProcess], delays: Delays, faults: Faults, events: EventStream
    ) -> None:
        self.delays, self.faults = delays, faults
        self.history: list[tuple[float, str, str]] = []
        self._run_step, self._events = run_step, events
        self._dying: list[tuple[float, StepProcess]] = []

    def begin(self, cluster: Cluster, now: float) -> None:
        """A cluster was asked for."""
        self._cluster_becomes(cluster, "STARTING", now)

    def add(self, cluster: Cluster, step: Step, now: float) -> None:
        """A step was added."""
        cluster.steps.append(step)
        self._step_becomes(cluster, step, "PENDING", now)

    def advance(self, cluster: Cluster, now: float) -> None:
        """All that is due by now."""
        waited = now - cluster.since
        if cluster.state == "STARTING" and waited >= self.delays.starting:
            if cluster.doom and cluster.doom[0] == "VALIDATION_ERROR":
                self.die(cluster, now, *cluster.doom)
            else:
                cluster.reason = ("", "Running bootstrap actions")
                self._cluster_becomes(cluster, "BOOTSTRAPPING", now)
                waited = 0.0
        if cluster.state == "BOOTSTRAPPING" and waited >= self.delays.bootstrapping:
            if cluster.doom:
                self.die(cluster, now, *cluster.doom)
            else:
                cluster.ready = now
                self._settle(cluster, now)
        if cluster.state in READY:
            self._advance_steps(cluster, now)
        if cluster.state == "TERMINATING" and now - cluster.since >= self.delays.terminating:
            cluster.ended = now
            clean = cluster.reason[0] in _CLEAN_ENDS
            self._cluster_becomes(cluster, "TERMINATED" if clean else "TERMINATED_WITH_ERRORS", now)

    def cancel(self, cluster: Cluster, step: Step, option: str, now: float) -> None:
        """A step that is live is to end."""
        if step.state == "PENDING":
            self._end(cluster, step, "CANCELLED", now)
            return
        step.signal, step.signal_due = option, now + self.delays.cancelling
        if step.state == "RUNNING":
            self._step_becomes(cluster, step, "CANCEL_PENDING", now)
        self._signal(step, now)

    def die(self, cluster: Cluster, now: float, code: str, why: str, left: str | None = None) -> None:
        """A cluster breaks down: it will end in TERMINATED_WITH_ERRORS; left: the state of a step that ran."""
        self.shut_down(cluster, now, code, why, left or self.faults.random.choice(_LEFT))

    def shut_down(self, cluster: Cluster, now: float, code: str, why: str, left: str = "CANCELLED") -> None:
        """A cluster begins to end; its steps have ended, their processes die after `delays.lingering`."""
        if cluster.state not in OPEN_CLUSTERS:
            return
        for step in cluster.steps:
            if step.process is not None:  # also of one that has ended: it may have left others behind
                self._dying.append((now + self.delays.lingering, step.process))
            if not step.live:
                continue
            step.failure = "The cluster was terminated"
            self._end(cluster, step, left if step.occupies else "CANCELLED", now)
        cluster.reason = (code, why)
        self._cluster_becomes(cluster, "TERMINATING", now)
        self.bury(now)

    def bury(self, now: float) -> None:
        """Kills the processes of clusters that are gone."""
        for due, process in self._dying:
            if due <= now:
                process.kill()
        # polled until it has ended, so that it is reaped
        self._dying = [(due, process) for due, process in self._dying if due > now or process.poll() is None]

    def _advance_steps(self, cluster: Cluster, now: float) -> None:
        for step in [step for step in cluster.steps if step.occupies]:
            if not step.occupies:  # the failure of one before it has ended this one too
                continue
            self._signal(step, now)
            code = step.process.poll()
            if code is not None and step.process_ended is None:
                step.process_ended = now
            if code is not None and now - step.process_ended >= self.delays.ending:
                self._finish(cluster, step, code, now)
        for step in cluster.steps:
            if step.state == "PENDING" and cluster.state in READY:
                self._start(cluster, step, now)
        if cluster.state in READY:
            self._settle(cluster, now)

    def _start(self, cluster: Cluster, step: Step, now: float) -> None:
        free = cluster.concurrency > sum(other.occupies for other in cluster.steps)
        if not free or now - max(step.created, cluster.ready) < self.delays.pending:
            return
        folder = f"{cluster.id}/steps/{step.id}"
        step.log_file = f"{cluster.request.get('LogUri', '')}{folder}/stderr.gz"
        step.started = now
        launch = StepLaunch(tuple(step.config["HadoopJarStep"].get("Args", [])), step.id, cluster.id, folder)
        try:
            step.process = self._run_step(launch)
        except (OSError, ValueError) as error:  # no such program, or no command at all: EMR's answer is a failed step
            step.failure = str(error)
            self._fail(cluster, step, now)
            return
        self._step_becomes(cluster, step, "RUNNING", now)
        self._settle(cluster, now)

    def _signal(self, step: Step, now: float) -> None:
        if step.signal_due is None or now < step.signal_due:
            return
        step.signal_due = None
        if step.process.poll() is None:
            step.process.kill() if step.signal == "TERMINATE_PROCESS" else step.process.interrupt()

    def _finish(self, cluster: Cluster, step: Step, code: int, now: float) -> None:
        if step.state == "CANCEL_PENDING":
            self._end(cluster, step, "CANCELLED", now)
        elif code == 0:
            self._end(cluster, step, "COMPLETED", now)
        else:
            step.failure = f"The step's process ended with {code}"
            self._fail(cluster, step, now)

    def _fail(self, cluster: Cluster, step: Step, now: float) -> None:
        self._end(cluster, step, "FAILED", now)
        if cluster.concurrency > 1 or step.action_on_failure == "CONTINUE":
            return
        if step.action_on_failure == "CANCEL_AND_WAIT":
            for other in [other for other in cluster.steps if other.state == "PENDING"]:
                self._end(cluster, other, "CANCELLED", now)
        elif not (cluster.protected and cluster.keeps_alive):
            self.shut_down(cluster, now, "STEP_FAILURE", "Shut down as step failed")

    def _settle(self, cluster: Cluster, now: float) -> None:
        """RUNNING with steps, WAITING without; a cluster that is not kept alive ends then."""
        if any(step.live for step in cluster.steps):
            if cluster.state != "RUNNING":
                cluster.reason = ("", "Running step")
                self._cluster_becomes(cluster, "RUNNING", now)
        elif not cluster.keeps_alive:
            self.shut_down(cluster, now, "ALL_STEPS_COMPLETED", "Steps completed")
        elif cluster.state != "WAITING":
            first = not cluster.steps
            cluster.reason = ("", f"Cluster ready {'to run steps' if first else 'after last step completed'}.")
            self._cluster_becomes(cluster, "WAITING", now)

    def _end(self, cluster: Cluster, step: Step, state: str, now: float) -> None:
        step.ended = now
        self._step_becomes(cluster, step, state, now)

    def _step_becomes(self, cluster: Cluster, step: Step, state: str, now: float) -> None:
        step.state = state
        self.history.append((now, step.id, state))
        if document := step_event(cluster, step, now, self.faults.random):
            self._events.publish(document, now)

    def _cluster_becomes(self, cluster: Cluster, state: str, now: float) -> None:
        cluster.state, cluster.since = state, now
        self.history.append((now, cluster.id, state))
        if document := cluster_event(cluster, now, self.faults.random, first=not cluster.steps):
            self._events.publish(document, now)
