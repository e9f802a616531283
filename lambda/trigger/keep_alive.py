"""There shall always be exactly one good step: the rules, in the order in which they are asked."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from trigger.situation import (
    CLOCKS,
    READY,
    STARTING,
    CancelStep,
    Decision,
    EndCluster,
    Policy,
    Situation,
    StartCluster,
    StartStep,
    Step,
    Wait,
    World,
)

if TYPE_CHECKING:
    from datetime import datetime

    from trigger.memory import Intention, Memory

_GRACE = timedelta(days=1)


def decide(world: World, memory: Memory, now: datetime, policy: Policy) -> Decision:
    """The one thing to do now: what the first rule that applies says.

    memory must have been read before the world was looked at, and be settled by it. With P the time between two
    invocations, and while EMR and S3 answer, a good step is there again

    - P after a step has ended, or after the pause that is due: at most `first_pause` doubled for each further start of
      the last hour, and never more than `longest_pause`, counted from the last start (or refusal by EMR);
    - `stale` + 2 P after a driver's last heartbeat; `start` + 2 P after the start of a step that never had one;
    - P + what EMR takes to start a cluster + P after a cluster has ended;
    - `pending` + P later than that for each invocation that died in an action, or got no answer to one;
    - and where `max_starts` are used up, an hour + `pending` + P after the first of them.

    Nobody waits for a cancelled step, since the job's epoch fences its driver. A frozen driver may take `cancel` until
    it is killed, perhaps for ever. But EMR runs `overlap` steps at a time: if that many are on their way out, the next
    one waits until one of them is gone.
    """
    situation = Situation(world, memory, now, policy)
    for rule in RULES:
        decision = rule(situation)
        if decision is not None:
            return decision
    msg = f"no rule fits {situation!r}"
    raise AssertionError(msg)


def settle(memory: Memory, world: World, now: datetime, policy: Policy) -> Memory:
    """The memory with the outcome of an action that nobody noted, as far as the world tells it.

    The name of a step tells that it is there. If something is not there after `pending`, it will not come: the function
    does not run for so long, and EMR's lists do not lag so far behind.
    """
    intention = memory.intention
    if intention is None or intention.outcome is not None:
        return memory
    expired = now >= intention.at + policy.pending
    told = _told(memory, intention, world, now, expired=expired)
    if told is None:
        return memory.came_to_nothing(f"nothing came of it until {now:%H:%M:%S}") if expired else memory
    return told


def _told(memory: Memory, intention: Intention, world: World, now: datetime, *, expired: bool) -> Memory | None:
    """The memory with the outcome that the world shows; None if it shows none."""
    match intention.kind:
        case "step":
            there = next((step for step in world.steps if step.intention == intention.id), None)
            if there is not None:
                return memory.done(there.id, there.created)
            lost = expired and intention.cluster not in world.open_clusters
            return memory.unknown("if it was there, it went with its cluster") if lost else None
        case "cluster":
            # not before `pending`: a cluster that was started a little earlier would be taken for this one
            made = [c for c in world.clusters if expired and c.created > intention.at - CLOCKS]
            return memory.done(made[-1].id, made[-1].created) if made else None
        case "end":
            seen = intention.cluster not in world.open_clusters
        case "cancel":
            seen = all(step.id != intention.step or step.state == "CANCEL_PENDING" for step in world.live)
    return memory.done("seen in its effect", now) if seen else None


def an_action_is_under_way(s: Situation) -> Decision | None:
    """Its effect may not be seen yet. If anybody acted now, it might be done twice."""
    intention = s.memory.intention
    if intention is None or intention.outcome is not None:
        return None
    return Wait(f"the action {intention.id} ({intention.kind}) of {intention.at:%H:%M:%S} has no outcome yet")


def what_was_started_is_not_listed_yet(s: Situation) -> Decision | None:
    """EMR said that it started it, and its lists may lag behind."""
    step, cluster = s.memory.last_step, s.memory.last_cluster
    listed = {seen.id for seen in s.world.clusters}
    if cluster and s.now < cluster.at + s.policy.pending and cluster.id not in listed:
        return Wait(f"cluster {cluster.id} was started just now and is not listed yet")
    listed = {seen.id for seen in s.world.steps}
    lasts = step is not None and s.now < step.at + s.policy.pending and step.cluster in s.world.open_clusters
    if step and lasts and step.id not in listed:
        return Wait(f"step {step.id} was started just now and is not listed yet")
    return None


def the_stop_marker_stops_all_steps(s: Situation) -> Decision | None:
    """Maintenance: there is no step, and nothing is started, not even a cluster."""
    if s.world.stopped is None:
        return None
    if s.good:
        return _cancel(s.good[0], "the stop marker is there")
    return _kill_if_due(s, "the stop marker is there") or Wait("stopped: the marker control/stop is there")


def a_cluster_is_replaced_when_asked(s: Situation) -> Decision | None:
    """By the marker, those that were made before it; by their age, once no drops wait, or a day later all the same.

    A cluster takes no patches of its system while it lives. None is ended if another may not be started.
    """
    cluster = s.cluster(READY)
    if cluster is None or s.not_yet("cluster") is not None:
        return None
    asked, oldest = s.world.replace_cluster, s.policy.oldest
    if asked is not None and cluster.created < asked:
        return EndCluster(cluster.id, f"made before the marker control/replace-cluster of {asked:%Y-%m-%d %H:%M:%S}")
    if oldest is None or (late := s.now - cluster.created - oldest) < timedelta(0):
        return None
    beat = s.world.heartbeat
    if late < _GRACE and (beat is None or beat.waiting != 0):
        return None
    return EndCluster(cluster.id, f"it is {(s.now - cluster.created).days} days old")


def of_two_good_steps_the_older_is_cancelled(s: Situation) -> Decision | None:
    """However they came to be."""
    if len(s.good) < 2:
        return None
    return _cancel(s.good[0], f"a newer step, {s.good[-1].id}, is there")


def a_silent_step_is_cancelled(s: Situation) -> Decision | None:
    """Unless no other step may follow: then it stays, since it may still wake up."""
    if not s.good or (why := silence(s, s.good[0])) is None:
        return None
    refused = s.not_yet("step")
    if refused is not None:
        return Wait(f"step {s.good[0].id} is left alone though {why}: {refused.why}", refused.crash_loop)
    return _cancel(s.good[0], why)


def a_step_of_another_version_is_replaced_when_asked(s: Situation) -> Decision | None:
    """The marker names the wanted version, or none. If no other step may follow, a good one is not given away."""
    if not s.good or s.world.replace not in {"", s.policy.version} or s.good[0].version == s.policy.version:
        return None
    if s.not_yet("step") is not None:
        return None
    step = s.good[0]
    return CancelStep(step.cluster, step.id, f"version {step.version} is replaced by {s.policy.version}", replaced=True)


def a_good_step_stays(s: Situation) -> Decision | None:
    """Now is the time for those that it replaced."""
    if not s.good:
        return None
    return _kill_if_due(s, "it does not end") or Wait(f"step {s.good[0].id} is {s.good[0].state}")


def not_too_many_steps_are_on_their_way_out(s: Situation) -> Decision | None:
    """One more would only stand in EMR's queue."""
    if len(s.given_up) < s.policy.overlap:
        return None
    return _kill_if_due(s, "it does not end") or Wait(f"{len(s.given_up)} cancelled steps have not ended")


def there_is_a_cluster(s: Situation) -> Decision | None:
    """If it is terminating, it is of no use any more."""
    if s.cluster(READY) or s.cluster(STARTING):
        return None
    ended = max(s.world.clusters, key=lambda c: c.created, default=None)
    why = f"cluster {ended.id} is {ended.state} {ended.reason}".rstrip() if ended else "there is no cluster"
    return s.not_yet("cluster") or StartCluster(why)


def the_cluster_is_ready(s: Situation) -> Decision | None:
    """If a starting cluster got a step, that would only hide how long it takes."""
    starting = s.cluster(STARTING)
    if s.cluster(READY) or starting is None:
        return None
    return Wait(f"cluster {starting.id} is {starting.state}")


def there_is_a_step(s: Situation) -> Decision | None:
    """On the newest cluster, if there are several."""
    ready = s.cluster(READY)
    if ready is None:
        return None
    ended = max((step for step in s.world.steps if step not in s.given_up), key=lambda step: step.created, default=None)
    why = f"step {ended.id} is {ended.state} {ended.reason}".rstrip() if ended else "there is no step"
    return s.not_yet("step") or StartStep(ready.id, why)


RULES = (
    an_action_is_under_way,
    what_was_started_is_not_listed_yet,
    the_stop_marker_stops_all_steps,
    a_cluster_is_replaced_when_asked,
    of_two_good_steps_the_older_is_cancelled,
    a_silent_step_is_cancelled,
    a_step_of_another_version_is_replaced_when_asked,
    a_good_step_stays,
    not_too_many_steps_are_on_their_way_out,
    there_is_a_cluster,
    the_cluster_is_ready,
    there_is_a_step,
)


def silence(s: Situation, step: Step) -> str | None:
    """Why this step's driver seems dead or frozen; None as long as it may be well.

    A fresh heartbeat of another step proves nothing. All steps write the same object, and a frozen driver that wakes up
    writes once over its successor's. So this waits until that one is stale too; its writer is fenced and being killed.
    """
    beat = s.world.heartbeat
    if beat is not None and s.now - s.policy.stale <= beat.time <= s.now + s.policy.stale:
        return None
    since = step.started or step.created
    # if a time is further ahead than `stale`, a clock is broken: it would be fresh for ever
    if beat is not None and beat.time <= s.now and (beat.step == step.id or (beat.step is None and beat.time > since)):
        return f"its last heartbeat is {(s.now - beat.time).total_seconds():.0f} s old"
    if s.now - since > s.policy.start:
        return f"it has been {step.state} since {since:%H:%M:%S} and has sent no heartbeat"
    return None


def _cancel(step: Step, why: str) -> CancelStep:
    return CancelStep(step.cluster, step.id, why)


def _kill_if_due(s: Situation, why: str) -> CancelStep | None:
    """The next given-up step that has had its time. If somebody else cancelled it, we ask it once, too."""
    for step in s.given_up:
        cancelled_at = s.memory.cancelled.get(step.id)
        if cancelled_at is None or s.now - cancelled_at >= s.policy.cancel:
            return CancelStep(step.cluster, step.id, why, force=cancelled_at is not None)
    return None
