"""The settings of the trigger: environment variables of its function."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from variables import number, seconds, text

from streaming.errors import SettingsError
from trigger.situation import Policy

if TYPE_CHECKING:
    from collections.abc import Mapping

_FOR_DOCUMENTS = re.compile(r"(?!AWS_(?!REGION$))[A-Z][A-Z0-9_]*")  # never the function's own credentials
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True, slots=True)
class TriggerSettings:
    """values: what the documents may name as `${NAME}`."""

    state_bucket: str
    artifacts_bucket: str
    version: str
    cluster_name: str
    step_name: str
    policy: Policy
    values: tuple[tuple[str, str], ...]


def read_settings(environ: Mapping[str, str]) -> TriggerSettings:
    """From the environment; raises SettingsError, which names the variable and its value."""
    version = text(environ, "ARTIFACT_VERSION")
    if not _VERSION.fullmatch(version):
        msg = f"ARTIFACT_VERSION: expected a version such as 1.2.3, got {version!r}"
        raise SettingsError(msg)
    limited = text(environ, "OLDEST_CLUSTER_DAYS", "0") != "0"
    policy = Policy(
        version=version,
        stale=seconds(environ, "STALE_SECONDS", 120),
        start=seconds(environ, "START_SECONDS", 600),
        pending=seconds(environ, "PENDING_SECONDS", 180),
        cancel=seconds(environ, "CANCEL_SECONDS", 120),
        max_starts=int(number(environ, "MAX_STARTS_PER_HOUR", 6)),
        first_pause=seconds(environ, "FIRST_PAUSE_SECONDS", 15),
        longest_pause=seconds(environ, "LONGEST_PAUSE_SECONDS", 900),
        oldest=timedelta(days=number(environ, "OLDEST_CLUSTER_DAYS", 0)) if limited else None,
    )
    return TriggerSettings(
        state_bucket=text(environ, "STATE_BUCKET"),
        artifacts_bucket=text(environ, "ARTIFACTS_BUCKET"),
        version=version,
        cluster_name=text(environ, "CLUSTER_NAME", "stocketl"),
        step_name=text(environ, "STEP_NAME", "stocketl"),
        policy=policy,
        values=tuple(sorted((k, v) for k, v in environ.items() if _FOR_DOCUMENTS.fullmatch(k))),
    )
