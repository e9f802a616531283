"""A local EMR: the service's API and state machines in memory, its steps as whatever `run_step` starts.

Deterministic: the clock is given, time passes in `tick` alone, all chance comes from the seed of the faults. A test
with a clock of its own uses it directly or by `emr_direct`; `emr_server` puts it behind HTTP. Every request and every
answer is checked against botocore's model; an answer that does not fit is a fault of this tool (AssertionError).
"""

from __future__ import annotations

import json
import string
import threading
import time
from random import Random
from typing import TYPE_CHECKING, Any

from emr_events import EventStream
from emr_faults import EmrError, Faults
from emr_lifecycle import Lifecycle
from emr_operations import OPERATIONS
from emr_records import Cluster, Delays, Step
from emr_shapes import input_problems, output_problems

if TYPE_CHECKING:
    from collections.abc import Callable

    from emr_steps import StepLaunch, StepProcess

_ID = string.ascii_uppercase + string.digits


def _nobody(_event: dict[str, Any]) -> None:
    """Events go nowhere."""


class LocalEmr:
    """EMR. run_step: starts a step's process; on_event: gets each EventBridge document, in `tick`, outside all locks.

    clusters: by id. Safe to use from several threads.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        *,
        run_step: Callable[[StepLaunch], StepProcess],
        delays: Delays | None = None,
        faults: Faults | None = None,
        on_event: Callable[[dict[str, Any]], None] = _nobody,
    ) -> None:
        self.faults = faults or Faults()
        self.delays = delays or Delays()
        self.events = EventStream(self.faults, on_event, self.delays.events)
        self.lifecycle = Lifecycle(run_step, self.delays, self.faults, self.events)
        self.clusters: dict[str, Cluster] = {}
        self._clock = clock
        self._lock = threading.RLock()
        self._ids = Random(f"ids {self.faults.seed}")  # noqa: S311 - the same names again for the same seed

    @property
    def history(self) -> list[tuple[float, str, str]]:
        """Each change of a cluster or step so far: time, id, new state."""
        return self.lifecycle.history

    def tick(self, now: float | None = None) -> None:
        """Moves everything on to the present (or to `now`) and hands over the events that are due."""
        now = self._clock() if now is None else now
        with self._lock:
            for cluster in list(self.clusters.values()):
                self.lifecycle.advance(cluster, now)
            self.lifecycle.bury(now)
        self.events.deliver(now)

    def call(self, operation: str, request: dict[str, Any], now: float | None = None) -> dict[str, Any] | None:
        """One call of the API: bodies as JSON 1.1 carries them, times as seconds since 1970.

        Raises EmrError for an error as EMR answers it, ConnectionCut where the client shall see no answer.
        """
        now = self._clock() if now is None else now
        if operation not in OPERATIONS:
            msg = f"the local EMR does not have the operation {operation}"
            raise EmrError(msg, "UnknownOperationException")
        with self._lock:
            lost = self.faults.before(operation)
            if found := input_problems(operation, request):
                msg = f"{len(found)} validation error{'s'[: len(found) > 1]} detected: {'; '.join(found)}"
                raise EmrError(msg, "ValidationException")
            answer = _copied(OPERATIONS[operation](self, _copied(request), now))
            if lost:
                raise self.faults.lost(operation)
        wrong = output_problems(operation, answer)
        assert not wrong, f"{operation} answered with what EMR would not: {wrong}"
        return answer

    def kill_cluster(self, cluster_id: str, *, left: str | None = None, code: str = "INSTANCE_FAILURE") -> None:
        """The cluster's master node goes, termination protection or not; left: the state of a step that ran."""
        with self._lock:
            self.faults.count("kill_cluster")
            why = "The master node was terminated"
            self.lifecycle.die(self.clusters[cluster_id], self._clock(), code, why, left)

    def kill_step(self, step_id: str) -> None:
        """kill -9 of a running step's processes; EMR notices in a later tick."""
        with self._lock:
            process = self.step(step_id).process
            assert process is not None, f"{step_id} does not run"
            self.faults.count("kill_step")
            process.kill()

    def step(self, step_id: str) -> Step:
        """The step of any cluster."""
        return next(step for step in self.steps() if step.id == step_id)

    def steps(self, *states: str) -> list[Step]:
        """The steps of all clusters, of these states if given, oldest first."""
        with self._lock:
            found = [step for cluster in self.clusters.values() for step in cluster.steps]
        return [step for step in found if not states or step.state in states]

    def new_id(self, prefix: str) -> str:
        """A name for a new cluster (`j-`) or step (`s-`)."""
        return prefix + "".join(self._ids.choices(_ID, k=13))

    def close(self) -> None:
        """Kills what still runs, as if the whole region had gone."""
        with self._lock:
            for step in self.steps():
                if step.process is not None:
                    step.process.kill()


def _copied(document: Any) -> Any:
    return json.loads(json.dumps(document))  # ten times as fast as deepcopy
