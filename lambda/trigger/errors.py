"""The errors of the trigger: each message says what to do next."""

from streaming.errors import StockETLError


class TriggerError(StockETLError):
    """Base of what ends an invocation of the trigger, but for `SettingsError`: a variable that is missing or wrong."""


class DocumentError(TriggerError):
    """`cluster.json` or `step.json` of the wanted version is missing or cannot be used."""


class ControlError(TriggerError):
    """`control/trigger.json` cannot be read: nothing may be started, or it would be started twice."""


class RefusedError(TriggerError):
    """EMR refused an action, which therefore has no effect."""


class UnansweredError(TriggerError):
    """EMR did not answer an action, which may or may not have an effect."""
