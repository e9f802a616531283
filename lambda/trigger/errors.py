"""The errors of the trigger: each message says what to do next."""

from streaming.errors import StockETLError


class TriggerError(StockETLError):
    """Base of what ends an invocation of the trigger, except `SettingsError` for a missing or wrong variable."""


class DocumentError(TriggerError):
    """`cluster.json` or `step.json` of the wanted version is missing or cannot be used."""


class ControlError(TriggerError):
    """`control/trigger.json` cannot be read, so nothing is started: it could be started twice."""


class RefusedError(TriggerError):
    """EMR refused an action, so it has no effect."""


class UnansweredError(TriggerError):
    """EMR did not answer an action, which may or may not have an effect."""
