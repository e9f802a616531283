"""A burst of 50,000 drops against the functions and rules of deploy/template.yaml: the schedules stay on time."""

from __future__ import annotations

import itertools
from typing import Any

from cloudformation import Stack
from event_patterns import matches
from lambda_queue import Call, Function, calls

BURST, HOUR = 50_000, 3600
SECONDS = {"Trigger": 2.0, "Monitor": 0.5, "Sweeper": 900.0}
"""What a call takes: of the sweep the most that it may, since it finds 50,000 receipts to move."""
PERIODS = {"rate(1 minute)": 60, "rate(5 minutes)": 300}


def created(bucket: str, key: str) -> dict[str, Any]:
    detail = {"bucket": {"name": bucket}, "object": {"key": key}}
    return {"source": "aws.s3", "detail-type": "Object Created", "detail": detail}


def burst() -> list[tuple[dict[str, Any], list[float]]]:
    """An event of each kind, and when: all drops within a minute; a receipt for each, 100 a second."""
    drops = [30 + n * 60 / BURST for n in range(BURST)]
    receipts = [60 + n / 100 for n in range(BURST)]
    return [
        (created("InputBucket", "drops/1.csv"), drops),
        (created("ReceiptsBucket", "receipts/000000001.json"), receipts),
    ]


def functions(stack: Stack) -> dict[str, Function]:
    """The functions of the template, with the concurrency and the age that it gives them."""
    ages = {
        of["FunctionName"]: of["MaximumEventAgeInSeconds"]
        for of in stack.of_type("AWS::Lambda::EventInvokeConfig").values()
    }
    return {
        name: Function(name, SECONDS[name], of["ReservedConcurrentExecutions"], ages[name])
        for name, of in stack.of_type("AWS::Lambda::Function").items()
    }


def due(stack: Stack, function: str) -> list[tuple[float, str]]:
    """What calls a function in an hour with the burst: its schedule, and the events that its rules let through."""
    found: list[tuple[float, str]] = []
    for of in stack.of_type("AWS::Scheduler::Schedule").values():
        if of["Target"]["Arn"].endswith(f":{function}"):
            found += [(float(at), "schedule") for at in range(0, HOUR, PERIODS[of["ScheduleExpression"]])]
    for rule in stack.of_type("AWS::Events::Rule").values():
        if rule["Targets"][0]["Arn"].endswith(f":{function}"):
            for event, times in burst():
                if matches(rule["EventPattern"], event):
                    found += [(at, "event") for at in times]
    return found


def late(found: list[Call], of: str = "schedule") -> float:
    """The worst delay of the calls of one kind."""
    return max(call.late for call in found if call.of == of)


def test_a_burst_of_drops_delays_no_schedule() -> None:
    """Each call of the trigger and of the sweep begins when it is due, though a sweep takes as long as it may."""
    stack = Stack()
    known = functions(stack)
    found = {name: calls(known[name], due(stack, name)) for name in known}
    assert {name: late(found[name]) for name in ("Trigger", "Sweeper")} == {"Trigger": 0.0, "Sweeper": 0.0}
    assert [sum(call.of == "event" for call in found[name]) for name in ("Trigger", "Monitor")] == [0, BURST]
    dropped = sum(call.began is None for call in found["Monitor"])
    assert 0 < dropped < BURST  # what expires in this queue is moved by the sweep


def test_a_queue_that_schedule_and_drops_share_is_late_in_this_model() -> None:
    """As it once was: an event of each drop for the trigger, two calls at a time, events of up to six hours."""
    trigger = Function("Trigger", SECONDS["Trigger"], 2)
    schedule = [(float(at), "schedule") for at in range(0, HOUR, 60)]
    few = BURST // 20  # a twentieth is enough
    drops = [(30 + n * 60 / few, "event") for n in range(few)]
    assert late(calls(trigger, schedule + drops)) > 300
    assert late(calls(trigger, schedule)) == 0


def test_a_call_that_finds_no_room_is_tried_again_ever_later_and_dropped_in_the_end() -> None:
    """1, 2, 4 … seconds after the last try, as Lambda's documents have it; too old, it is dropped."""
    busy = Function("f", 100.0, 1, 60.0)
    assert calls(busy, [(0.0, "a"), (1.0, "b")], spread=0) == [Call("a", 0.0, 0.0), Call("b", 1.0, None)]
    patient = Function("f", 100.0, 1, 3600.0)
    (_, second) = calls(patient, [(0.0, "a"), (1.0, "b")], spread=0)
    tries = list(itertools.accumulate([1.0, 1, 2, 4, 8, 16, 32, 64]))
    assert second.began == tries[-1]
