"""The options of the commands that stand for settings: each is described once, by its setting."""

from __future__ import annotations

from inspect import Parameter, Signature, signature
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from streaming.settings import DEFAULT_HOME, LOCATIONS, PREFIX, Settings, option_name

if TYPE_CHECKING:
    from collections.abc import Callable

Command = TypeVar("Command", bound="Callable[..., None]")

DEFAULTS = {
    "home": DEFAULT_HOME,
    **{name: f"HOME/{name}" for name in LOCATIONS},
    "profiles": "HOME/profiles.toml",
    "database": "embedded in HOME/postgres",
    "lake_retention": "7d",
    "keep_receipts": "none",
    "trigger": "200ms, on S3 1s",
    "wake": "none",
    "settle": "1s, on S3 0s",
    "max_batch_bytes": "192M",
    "split_bytes": "32M",
    "unpacked_limit": "1G",
    "log_format": "text",
    "heartbeat": "none",
    "heartbeat_every": "15s",
    "audit_every": "24h",
    "metrics": "none",
    "explain": "corrections, dates, suspects",
    "suspect_factor": "5",
    "suspect_spike": "30%",
    "suspect_stale": "20",
    "calendar": "none",
    "expect_by": "none",
    "webhook": "none",
}

FLAG = ""
"""The metavar of an option that takes no value; without one, typer would show `--once <bool>`."""


def _setting(field: str, metavar: str, panel: str | None = None) -> object:
    """The option of a setting, described by the setting itself."""
    about = Settings.model_fields[field].description or ""
    variable = PREFIX + field.upper()
    default = f" Default: {DEFAULTS[field]}." if field in DEFAULTS else ""
    option = typer.Option(
        option_name(field),
        metavar=metavar,
        envvar=variable,
        help=f"{about[0].upper()}{about[1:]}.{default} Variable: {variable}",
        show_envvar=False,  # typer cuts it off in a narrow terminal
        show_default=False,
        rich_help_panel=panel,
    )
    return Annotated[bool if metavar == FLAG else str | None, option]


_PLACES, _PACE, _READING, _WATCH, _KEEPING = "Places", "Pace", "Reading", "Watching it", "What is kept"
_EXPLAINED = "What explains the tables"

_OPTIONS = {
    "home": _setting("home", "DIR", _PLACES),
    "database": _setting("database", "URI", _PLACES),
    "database_secret": _setting("database_secret", "ID", _PLACES),
    "input": _setting("input", "PLACE", _PLACES),
    "success": _setting("success", "PLACE", _PLACES),
    "failed": _setting("failed", "PLACE", _PLACES),
    "receipts": _setting("receipts", "PLACE", _PLACES),
    "checkpoint": _setting("checkpoint", "PLACE", _PLACES),
    "lake": _setting("lake", "PLACE", _PLACES),
    "lake_retention": _setting("lake_retention", "TIME", _KEEPING),
    "keep_receipts": _setting("keep_receipts", "TIME", _KEEPING),
    "once": _setting("once", FLAG),
    "take_over": _setting("take_over", FLAG),
    "trigger": _setting("trigger", "TIME", _PACE),
    "wake": _setting("wake", "QUEUE", _PACE),
    "settle": _setting("settle", "TIME", _PACE),
    "max_batch_bytes": _setting("max_batch_bytes", "SIZE", _PACE),
    "split_bytes": _setting("split_bytes", "SIZE", _PACE),
    "unpacked_limit": _setting("unpacked_limit", "SIZE", _READING),
    "profiles": _setting("profiles", "FILE", _READING),
    "text_ids": _setting("text_ids", FLAG, _READING),
    "move": _setting("move", FLAG, _PLACES),
    "log_format": _setting("log_format", "NAME", _WATCH),
    "heartbeat": _setting("heartbeat", "PLACE", _WATCH),
    "heartbeat_every": _setting("heartbeat_every", "TIME", _WATCH),
    "audit_every": _setting("audit_every", "TIME", _WATCH),
    "metrics": _setting("metrics", "NAME", _WATCH),
    "explain": _setting("explain", "TABLES", _EXPLAINED),
    "suspect_factor": _setting("suspect_factor", "RATIO", _EXPLAINED),
    "suspect_spike": _setting("suspect_spike", "SHARE", _EXPLAINED),
    "calendar": _setting("calendar", "NAME", _EXPLAINED),
    "expect_by": _setting("expect_by", "WHEN", _EXPLAINED),
    "webhook": _setting("webhook", "URL", _EXPLAINED),
    "suspect_stale": _setting("suspect_stale", "DAYS", _EXPLAINED),
}


def takes(*settings: str) -> Callable[[Command], Command]:
    """Gives a command an option for each of these settings, before its own ones. It gets their values as `options`."""

    def with_options(function: Command) -> Command:
        kind = Parameter.POSITIONAL_OR_KEYWORD
        taken = [Parameter(name, kind, annotation=_OPTIONS[name], default=_unset(name)) for name in settings]
        own = [each for each in signature(function, eval_str=True).parameters.values() if each.kind is kind]
        needed = [each for each in own if each.default is Parameter.empty]
        every = [*needed, *taken, *(each for each in own if each not in needed)]
        function.__signature__ = Signature(every)  # type: ignore[attr-defined]  # read by typer, as is the next
        function.__annotations__ = {each.name: each.annotation for each in every}
        return function

    return with_options


def _unset(field: str) -> bool | None:
    """What the option of a setting says if it is not given: a flag is off."""
    return False if Settings.model_fields[field].annotation is bool else None
