"""What the source must know. It travels as one JSON option of the stream."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streaming.checkpoint.offset import Offset
from streaming.errors import SettingsError
from streaming.storage.locations import is_s3
from streaming.ticks.how import How, how_of

if TYPE_CHECKING:
    from streaming.checkpoint.checkpoint import Checkpoint
    from streaming.settings import Settings


def check_wake(settings: Settings) -> None:
    """At the start: raises SettingsError for a queue beside an input that has no events. Nobody is asked for it yet."""
    if settings.wake is not None and not is_s3(settings.input):
        msg = (
            f"wake: expected an input on S3 beside it, got {settings.input!r}: Linux itself tells of a folder's files "
            "(--wake or STOCKETL_WAKE)"
        )
        raise SettingsError(msg)


@dataclass(frozen=True)
class Limits:
    """Bytes of input in one batch, bytes read by one task at a time, and drops in one batch."""

    batch_bytes: int
    split_bytes: int
    batch_drops: int = 2_000


@dataclass(frozen=True)
class ReadOptions:
    """How drops are read: number of buckets, ids kept as text, bytes that a gzip may unpack to.

    profiles: those that the drops of the batch are read by, as JSON, by digest.
    fates: why drops of the batch that is read again have failed, by seq. What a replay meets must not give another
    fate: a right may have been given meanwhile, a file put back. handover: the checkpoint in which large packets wait
    for the state, empty = they go through Spark.
    """

    buckets: int
    text_ids: bool
    unpacked_limit: int
    fates: dict[str, str] = field(default_factory=dict)
    profiles: dict[str, str] = field(default_factory=dict)
    handover: str = ""

    def how(self, reading: str) -> How:
        """How a drop is read."""
        return how_of(reading, self.profiles, text_ids=self.text_ids, unpacked_limit=self.unpacked_limit)


@dataclass(frozen=True)
class SourceOptions:
    """What the source must know; travels as one JSON option.

    at_close: whether a file that the kernel tells to be closed or renamed is a drop at once; else, and for all others,
    settle, and `every` (between two looks at the input): seconds; keys: of the buckets in the state; report: address of
    the job's `InputWatch`; profiles: the file of the profiles, empty = none; patience: seconds for which a file that is
    no price file must have been left alone; wake: the queue of a bucket's events, empty = none.
    """

    input: str
    settle: float
    limits: Limits
    read: ReadOptions
    keys: list[int]
    tasks: int
    isolate: bool
    every: float
    resume: Offset
    report: str = ""
    profiles: str = ""
    patience: float = 60.0
    at_close: bool = False
    wake: str = ""

    @classmethod
    def of(
        cls,
        settings: Settings,
        checkpoint: Checkpoint,
        tasks: int,
        *,
        isolate: bool,
        fates: dict[int, str],
        report: str,
    ) -> SourceOptions:
        """Options from the settings, resuming at the checkpoint.

        tasks: that parse at once; isolate: in child processes; fates: see `ReadOptions`; report: see above.
        """
        return cls(
            input=settings.input,
            settle=settings.settle,
            at_close=settings.settles_at_close,
            limits=Limits(settings.max_batch_bytes, settings.split_bytes),
            read=ReadOptions(
                checkpoint.buckets,
                settings.text_ids,
                settings.unpacked_limit,
                {str(seq): reason for seq, reason in fates.items()},
                handover="" if is_s3(checkpoint.url) else checkpoint.url,
            ),
            keys=checkpoint.keys or list(range(checkpoint.buckets)),
            tasks=tasks,
            isolate=isolate,
            every=settings.trigger,
            resume=checkpoint.last_offset(),
            report=report,
            profiles=settings.profiles or "",
            wake="" if settings.once else settings.wake or "",
        )

    def to_json(self) -> str:
        """The value of the option `stocketl`."""
        parts = {"limits": vars(self.limits), "read": vars(self.read), "resume": self.resume.to_json()}
        return json.dumps(vars(self) | parts)

    @classmethod
    def from_json(cls, text: str) -> SourceOptions:
        """The inverse of `to_json`."""
        plain = json.loads(text)
        limits, read = Limits(**plain["limits"]), ReadOptions(**plain["read"])
        return cls(**plain | {"limits": limits, "read": read, "resume": Offset.from_json(plain["resume"])})
