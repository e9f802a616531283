"""All settings of a command in one frozen object, from its options and the `STOCKETL_…` environment, checked at start.

An option wins over its variable, and a variable over the default. Nothing is created or contacted here.
"""

from __future__ import annotations

import difflib
import itertools
import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from streaming.errors import SettingsError
from streaming.masking import masked
from streaming.setting_values import (
    EXPLAIN,
    AboveOne,
    Bytes,
    Database,
    Deadline,
    Home,
    KeptFor,
    Location,
    OptionalLocation,
    OptionalName,
    OptionalQueue,
    Seconds,
    Sessions,
    Share,
    Tables,
    Webhook,
    size,
)
from streaming.storage.locations import is_s3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydantic_core import ErrorDetails

PREFIX = "STOCKETL_"
LOCATIONS = ("input", "success", "failed", "receipts", "checkpoint", "lake")
EMBEDDED = "embedded in"
DEFAULT_HOME = "./stocketl-home"
WEBHOOK_SECRET = "STOCKETL_WEBHOOK_SECRET"  # noqa: S105 (the name of a variable)

_INTERNAL = {"STOCKETL_FAULT"}  # streaming.faults
# streaming.spark.maven reads its mirror before there are settings; the secret is in no object that could be printed
_BESIDE = {"STOCKETL_MAVEN_MIRROR", "STOCKETL_WEBHOOK_SECRET"}
_SECRETS = {"database", "database_secret", "webhook"}
_ONE_START = {"home", "once", "take_over"}  # of one start only
_MIB = 1 << 20


class Settings(BaseSettings):
    """What a command needs to know. Locations are absolute folders or `s3://…`; times are seconds; sizes are bytes.

    If `database` is None, the embedded server under the home is used. If `lake` is None, there is no lake. `load` makes
    this object, and its text never shows a password.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid")

    home: Home = Field(description="folder for every place that is not given")
    input: Location = Field(description="where drops arrive")
    success: Location = Field(description="where loaded drops go")
    failed: Location = Field(description="where failed drops go")
    receipts: Location = Field(description="where receipts are written, one JSON object per drop")
    checkpoint: Location = Field(description="where Spark keeps its state and offsets")
    lake: OptionalLocation = Field(description="where the Delta tables go, or none")
    database: Database = Field(
        default=None, description="PostgreSQL URI; without it, the embedded server of the home is used"
    )
    database_secret: str | None = Field(
        default=None, description="id of a secret in AWS Secrets Manager with the database's username and password"
    )
    lake_retention: KeptFor = Field(
        default=7 * 86_400.0,
        description="how long older versions of the lake's tables stay readable (7d, 36h; none: for ever)",
    )
    keep_receipts: KeptFor = Field(
        default=None, description="how long the receipts of moved files are kept (90d; none: for ever)"
    )
    once: bool = Field(default=False, description="load and move what is in the input now, then end")
    take_over: bool = Field(
        default=False, description="end another job on the same database; without a terminal this is always done"
    )
    trigger: Seconds = Field(description="pause between two looks at the input (200ms, 1s)")
    wake: OptionalQueue = Field(
        default=None,
        description="queue that tells of new objects in an input on S3, sqs://NAME or its URL, or none; with it the "
        "input is listed at once when something has come, else once a minute",
    )
    settle: Seconds = Field(
        description="a file is read once it has been unchanged for this long (1s); by default at once if Linux tells "
        "that its writer has closed or renamed it"
    )
    max_batch_bytes: Bytes = Field(default=192 * _MIB, description="input bytes in one batch (64M, 1G)")
    split_bytes: Bytes = Field(description="a larger file is read in parts of this size")
    unpacked_limit: Bytes = Field(default=1024 * _MIB, description="a packed file that unpacks to more than this fails")
    text_ids: bool = Field(default=False, description="keep ids as written: 7 is not 007")
    profiles: OptionalLocation = Field(description="file that says how other producers' files are read; none: no file")
    move: bool = Field(
        default=False, description="move drops after their receipt on S3 too; in folders this is always done"
    )
    log_format: Literal["text", "json"] = Field(default="text", description="how log lines look: text or json")
    heartbeat: OptionalLocation = Field(
        default=None,
        description="where heartbeat.json is written, or none; an object `stop` there ends the job",
    )
    heartbeat_every: Seconds = Field(default=15.0, description="pause between two heartbeats (15s)")
    audit_every: Seconds = Field(
        default=86_400.0,
        description="pause between two audits, which compare state, ledger and tables as a whole (24h)",
    )
    explain: Tables = Field(
        default=EXPLAIN,
        description="which tables are kept beside the wide ones, with commas between them, or none",
    )
    suspect_factor: AboveOne = Field(default=5.0, description="from which ratio to its neighbour on a price is suspect")
    suspect_spike: Share = Field(
        default=0.3, description="from which move on a price that comes back the next day is suspect (30%)"
    )
    suspect_stale: Sessions = Field(
        default=20, description="for how many sessions with volume a price may be unchanged until it is suspect"
    )
    calendar: OptionalName = Field(
        default=None, description="exchange whose sessions are expected, by its code (XNYS, XLON), or none"
    )
    expect_by: Deadline = Field(
        default=None,
        description="when the date of a session is to be complete ('18:30 America/New_York'), or none",
    )
    webhook: Webhook = Field(
        default=None, description="address that is told of a date that is not complete by then, or none"
    )
    metrics: Literal["none", "cloudwatch"] = Field(
        default="none", description="where the job's figures are sent: none or cloudwatch"
    )

    @property
    def moves(self) -> bool:
        """Whether the job itself moves drops after their receipt."""
        return self.move or not is_s3(self.input)

    @property
    def embedded(self) -> bool:
        """Whether the database is the embedded server of the home."""
        return self.database is None and self.database_secret is None

    @property
    def postgres_data(self) -> Path:
        """The data folder of the embedded PostgreSQL."""
        return self.home / "postgres"

    @property
    def shown_database(self) -> str:
        """The database as it may be printed: no password."""
        if self.embedded:
            return f"{EMBEDDED} {self.postgres_data}"
        secret = f"the secret {self.database_secret}" if self.database_secret else ""
        return " with ".join(filter(None, (masked(self.database or ""), secret)))

    def __repr_args__(self) -> Iterator[tuple[str | None, object]]:
        for name, value in super().__repr_args__():
            hidden = "***" if name == "webhook" and value is not None else value  # an address may hold a secret
            yield name, masked(value) if name == "database" and isinstance(value, str) else hidden

    @property
    def settles_at_close(self) -> bool:
        """Whether a file need not settle if the kernel says that its writer has closed it: nobody has set `settle`."""
        return "settle" not in self.model_fields_set

    @model_validator(mode="wrap")
    @classmethod
    def _filled(cls, given: dict[str, object], validated: Callable[[dict[str, object]], Self]) -> Self:
        made = validated(_with_defaults(given))
        if "settle" not in given:
            made.model_fields_set.discard("settle")
        return made


def load(*, environment: bool = True, **options: Any) -> Settings:
    """Settings from the given options (None = not given) and from the environment, unless `environment` is False.

    Raises SettingsError.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if environment:
        _refuse_unknown_variables()
    else:  # what is given explicitly is not looked up in the environment
        defaults = {name: field.default for name, field in Settings.model_fields.items() if not field.is_required()}
        given = _with_defaults(defaults | given)
    try:
        settings = Settings(**given)
    except ValidationError as error:
        raise SettingsError("\n".join(_complaint(e) for e in error.errors())) from None
    _refuse_useless_numbers(settings)
    _refuse_loops(settings)
    _refuse_mixed_moves(settings)
    _refuse_deadline_without_dates(settings)
    return settings


def _with_defaults(given: dict[str, object]) -> dict[str, object]:
    """What was given, and the defaults that depend on it."""
    filled = {"home": DEFAULT_HOME} | given
    for name in LOCATIONS:
        filled.setdefault(name, str(Path(str(filled["home"])) / name))
    filled.setdefault("profiles", str(Path(str(filled["home"])) / "profiles.toml"))
    on_s3 = is_s3(str(filled["input"]).strip())
    filled.setdefault("trigger", 1.0 if on_s3 else 0.2)
    filled.setdefault("settle", 0.0 if on_s3 else 1.0)
    if "split_bytes" not in filled:
        filled["split_bytes"] = min(32 * _MIB, _bytes_or(filled.get("max_batch_bytes"), 32 * _MIB))
    return filled


def option_name(field: str) -> str:
    """The command-line option of a setting."""
    return "--" + field.replace("_", "-")


def given_options(settings: Settings) -> list[str]:
    """The options of `stocketl run` that give these settings, beside the home: to start the same job again.

    Of what may hold a secret, and of numbers, the value is `…`.
    """
    usual = load(environment=False, home=str(settings.home))
    names = (name for name in Settings.model_fields if name not in _ONE_START)
    return [_option(name, getattr(settings, name)) for name in names if getattr(settings, name) != getattr(usual, name)]


def _option(name: str, value: object) -> str:
    if value is True:
        return option_name(name)
    told = "none" if value in {None, ()} else ",".join(value) if isinstance(value, tuple) else value
    shown = shlex.quote(told) if isinstance(told, str) and name not in _SECRETS else "…"
    return f"{option_name(name)} {shown}"


def _refuse_unknown_variables() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields} | _BESIDE | _INTERNAL
    for name in sorted(os.environ):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            near = difflib.get_close_matches(name.upper(), known - _INTERNAL, 1)
            hint = f"did you mean {near[0]}?" if near else "`stocketl run --help` names them all."
            msg = f"{name}: there is no such setting in the environment; {hint}"
            raise SettingsError(msg)


def _complaint(error: ErrorDetails) -> str:
    name = str(error["loc"][0]) if error["loc"] else "settings"
    said = str(error["ctx"]["error"]) if "error" in error.get("ctx", {}) else error["msg"]
    return _wrong(name, said[0].lower() + said[1:], error["input"])


def _wrong(name: str, said: str, got: object) -> str:
    shown = masked(str(got)) if name != "database" else re.sub(r":[^:/@]*@", ":***@", masked(str(got)))
    shown = "***" if name == "webhook" else shown  # an address may hold a secret
    return f"{name}: {said}, got {shown!r} ({option_name(name)} or {PREFIX}{name.upper()})"


def _bytes_or(value: object, otherwise: int) -> int:
    try:
        return otherwise if value is None else size(value)
    except ValueError:
        return otherwise  # the validation of its own field says what is wrong


def _refuse_useless_numbers(settings: Settings) -> None:
    for name in ("trigger", "heartbeat_every", "audit_every"):
        if getattr(settings, name) <= 0:
            raise SettingsError(_wrong(name, "expected a time above zero", f"{getattr(settings, name):g}"))
    unused = settings.heartbeat is None and settings.metrics == "none"
    if unused and settings.heartbeat_every != Settings.model_fields["heartbeat_every"].default:
        said = "expected --heartbeat or --metrics too, since it has no effect without them"
        raise SettingsError(_wrong("heartbeat_every", said, f"{settings.heartbeat_every:g}"))
    if settings.split_bytes > settings.max_batch_bytes:
        said = f"expected at most max_batch_bytes, {settings.max_batch_bytes:,}"
        raise SettingsError(_wrong("split_bytes", said, f"{settings.split_bytes:,}"))


def _refuse_loops(settings: Settings) -> None:
    """No location may be the same as another one or lie inside it: the job would read or move its own files."""
    names = (*LOCATIONS, "heartbeat")
    places = {name: str(value) for name in names if (value := getattr(settings, name)) is not None}
    if settings.embedded:
        places["postgres"] = str(settings.postgres_data)
    for (inner, a), (outer, b) in itertools.permutations(places.items(), 2):
        if a == b or a.startswith(b.rstrip("/") + "/"):
            relation = "is the same place as" if a == b else "lies inside"
            msg = f"{inner}: {a!r} {relation} {outer} {b!r}; give each a place of its own, none inside another"
            raise SettingsError(msg)


def _refuse_deadline_without_dates(settings: Settings) -> None:
    for name in ("calendar", "expect_by"):
        if getattr(settings, name) is not None and "dates" not in settings.explain:
            raise SettingsError(
                _wrong(name, "expected dates in --explain too, by which it works", getattr(settings, name))
            )
    if settings.webhook is None:
        return
    if settings.expect_by is None:
        raise SettingsError(_wrong("webhook", "expected --expect-by too, which says when to tell it", "***"))
    if not os.environ.get(WEBHOOK_SECRET):
        msg = f"webhook: expected the secret that signs its messages in the variable {WEBHOOK_SECRET}, found none"
        raise SettingsError(msg)


def _refuse_mixed_moves(settings: Settings) -> None:
    if not settings.moves:
        return
    kind = (
        "s3://bucket/prefix, since the input is on S3" if is_s3(settings.input) else "a folder, since the input is one"
    )
    for name in ("success", "failed"):
        place = getattr(settings, name)
        if is_s3(place) != is_s3(settings.input):
            raise SettingsError(_wrong(name, f"expected {kind} and the job moves drops there", place))
