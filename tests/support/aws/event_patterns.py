"""EventBridge's patterns, as far as `deploy/template.yaml` uses them: exact values, `prefix` and `$or`.

docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html
"""

from __future__ import annotations

from typing import Any


def matches(pattern: dict[str, Any], event: Any) -> bool:
    """Whether EventBridge would take the event for this pattern."""
    if not isinstance(event, dict):
        return False
    for key, wanted in pattern.items():
        if key == "$or":
            if not any(matches(one, event) for one in wanted):
                return False
        elif isinstance(wanted, dict):
            if not matches(wanted, event.get(key)):
                return False
        elif not any(_fits(one, event.get(key)) for one in wanted):
            return False
    return True


def _fits(wanted: Any, value: Any) -> bool:
    if isinstance(wanted, dict):
        assert list(wanted) == ["prefix"], f"{wanted}: teach this to the test"
        return isinstance(value, str) and value.startswith(wanted["prefix"])
    return value == wanted
