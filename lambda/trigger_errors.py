"""The errors of the trigger: one tree, each message says what to do next."""


class TriggerError(Exception):
    """Base of everything that ends an invocation of the trigger."""


class SettingsError(TriggerError):
    """An environment variable of the function is missing or wrong; the message names it and its value."""


class DocumentError(TriggerError):
    """`cluster.json` or `step.json` of the wanted version is missing or cannot be used."""


class ControlError(TriggerError):
    """`control/trigger.json` cannot be read: nothing may be started, or it would be started twice."""


class RefusedError(TriggerError):
    """EMR refused an action, which therefore has no effect."""


class UnansweredError(TriggerError):
    """EMR did not answer an action, which may or may not have an effect."""
