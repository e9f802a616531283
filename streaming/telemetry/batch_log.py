"""What the log says of batches: a line when each is done. If one takes long, what it reads and how far it is."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streaming.errors import StockETLError
from streaming.follower import Follower
from streaming.screen import many
from streaming.telemetry.observer import Observer
from streaming.ticks.told import said

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from streaming.checkpoint.checkpoint import Checkpoint
    from streaming.checkpoint.offset import Span
    from streaming.ledger.drops import Body
    from streaming.packets import Fact
    from streaming.telemetry.observer import Published
    from streaming.telemetry.progress_bar import ProgressBar

log = logging.getLogger(__name__)

LONG_SECONDS, AGAIN_SECONDS = 3.0, 60.0
_NAMES = 3
_LAKE_SECONDS = 10.0


@dataclass
class _UnderWay:
    batch_id: int
    since: float
    next_line: float
    drops: Sequence[Span] | None = None


class BatchLog(Follower, Observer):
    """A follower that tells of batches that take long. `Publish` calls it at the beginning and the end of each batch.

    lake_since: since when an append to the lake is under way (seconds of `clock`), None if none is; bar: shown on a
    terminal instead of lines.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        stop: threading.Event,
        *,
        lake_since: Callable[[], float | None] = lambda: None,
        bar: ProgressBar | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__("log of batches", stop, daemon=True)
        self._checkpoint = checkpoint
        self._lake_since = lake_since
        self._bar = bar
        self._clock = clock
        self._under_way: _UnderWay | None = None
        self._lake_line = 0.0
        self._begun: dict[int, tuple[float, int]] = {}

    def follow(self) -> None:
        """Until the stop event."""
        try:
            while not self._stop_event.wait(1.0):
                self.look()
        finally:
            self.hide_bar()

    def hide_bar(self) -> None:
        """Gives a terminal back as it was."""
        if self._bar is not None:
            self._bar.hide()

    def begins(self, batch_id: int) -> None:
        """A batch is worked on from here on."""
        now = self._clock()
        self._under_way = _UnderWay(batch_id, now, now + LONG_SECONDS)

    def breaks_off(self) -> None:
        """The batch has failed. The supervisor tells why."""
        self._under_way = None
        self.hide_bar()

    def published(self, batch: Published) -> None:
        """The line of a batch."""
        seconds = sum(batch.seconds.values())
        rest = self._rest_of(batch.facts, self._clock() - seconds)
        self._under_way = None
        if not rest:
            self.hide_bar()
        keys = list(dict.fromkeys(fact.key for fact in sorted(batch.facts, key=lambda fact: fact.seq)))
        written, took = batch.written, f"{seconds:.2f} s"
        log.info(
            "batch %d: %s, %s, %s rejected, %s%s",
            batch.batch_id,
            names(keys),
            many(sum(fact.rows_read for fact in batch.facts), "row"),
            f"{sum(fact.rows_rejected for fact in batch.facts):,}",
            f"already in the database ({took})" if written is None else f"{many(written.cells, 'cell')} in {took}",
            rest,
            extra={"batch_id": batch.batch_id, "keys": sorted(keys)[:20], "seconds": batch.seconds},
        )
        for new, other in written.alike if written else ():
            log.warning("the new ticker %r differs from %r only in case: they are two tickers", new, other)
        for drop in written.ended if written else ():
            if drop["fate"] == "failed":
                told = {"batch_id": batch.batch_id, "key": drop["key"]}
                log.warning("drop %s failed: %s", drop["key"], drop["reason"], extra=told)
            elif drop.get("conflicts"):
                log.warning("drop %s: %s", drop["key"], _conflicts(drop), extra={"key": drop["key"]})

    def look(self) -> None:
        """Tells what takes long, once in a while."""
        now, batch = self._clock(), self._under_way
        bar = self._bar if self._bar is not None and self._bar.in_front else None
        if bar is None:
            self.hide_bar()
        if batch is not None and now >= batch.next_line and bar is not None:
            self._show(bar, batch, now)
        elif batch is not None and now >= batch.next_line:
            batch.next_line = now + AGAIN_SECONDS
            what = self._reading(batch)
            told = {"batch_id": batch.batch_id, "seconds": round(now - batch.since, 1)}
            log.info("batch %d: under way for %.0f s, %s", batch.batch_id, now - batch.since, what, extra=told)
        self._look_at_lake(now)

    def _look_at_lake(self, now: float) -> None:
        since = self._lake_since()
        if since is not None and now - since >= _LAKE_SECONDS and now >= self._lake_line:
            self._lake_line = now + AGAIN_SECONDS
            log.info("writing the lake for %.0f s", now - since)

    def _show(self, bar: ProgressBar, batch: _UnderWay, now: float) -> None:
        try:
            drops = self._drops_of(batch)
        except StockETLError:
            return  # told by what reads them
        since = f"batch {batch.batch_id} for {now - batch.since:.0f} s: "
        parts = [drop for drop in drops if drop.bytes < drop.version.size]
        if not parts:
            bar.show(f"{since}reading {_all_of(drops)}", done=0, of=None)
            return
        drop = parts[-1]
        began, start = self._begun.get(drop.seq, (now, drop.start))
        bar.show(
            since + drop.version.key,
            done=drop.start,
            of=drop.version.size,
            far=_far(drop.start, drop.version.size, now - began, drop.start - start),
        )

    def _reading(self, batch: _UnderWay) -> str:
        try:
            drops = self._drops_of(batch)
        except StockETLError as error:
            return f"what it reads is not known: {error}"
        parts = [drop for drop in drops if drop.bytes < drop.version.size]
        return f"reading {_all_of(drops)}" + "".join(f"; {self._progress(drop, drop.start)}" for drop in parts)

    def _drops_of(self, batch: _UnderWay) -> Sequence[Span]:
        if batch.drops is None:
            batch.drops = self._checkpoint.offset(batch.batch_id).drops
        return batch.drops

    def _rest_of(self, facts: list[Fact], since: float) -> str:
        """If the next batch goes on with a drop: how far it is. since: when this batch began."""
        last = max(facts, key=lambda fact: (fact.seq, fact.end), default=None)
        if last is None or last.last:
            self._begun.clear()
            return ""
        first = min(fact.start for fact in facts if fact.seq == last.seq)
        began, start = self._begun.setdefault(last.seq, (since, first))
        return f"; {progress(last.key, last.end, last.size, self._clock() - began, last.end - start)}"

    def _progress(self, drop: Span, done: int) -> str:
        began, start = self._begun.get(drop.seq, (self._clock(), done))
        return progress(drop.version.key, done, drop.version.size, self._clock() - began, done - start)


def _conflicts(drop: Body) -> str:
    """What is warned of: a later row of one date and ticker counts, and the earlier one says something else."""
    count = many(drop["conflicts"], "row")
    first = next(iter(drop["first_conflicts"]), None)
    told = (
        f", lines {first['lines'][0]} and {first['lines'][1]} first ({first['id']} on {first['date']}: "
        f"{said(first, 0)}, then {said(first, 1)})"
        if first
        else ""
    )
    verb = "differs" if drop["conflicts"] == 1 else "differ"
    return f"{count} {verb} from a later one of the same date and ticker, which counts{told}"


def names(keys: Sequence[str]) -> str:
    """`a.csv`, or `2,000 drops (a.csv, b.csv, c.csv and 1,997 more)`."""
    if len(keys) < 2:
        return keys[0] if keys else "no drop"
    shown = ", ".join(keys[:_NAMES])
    more = f" and {len(keys) - _NAMES:,} more" if len(keys) > _NAMES else ""
    return f"{len(keys):,} drops ({shown}{more})"


def size(count: int) -> str:
    """A number of bytes as a person says it: `12 MB`."""
    for limit, unit in ((1e6, "MB"), (1e3, "kB")):
        if count >= limit:
            return f"{count / limit:,.0f} {unit}"
    return f"{count} bytes"


def progress(key: str, done: int, of: int, seconds: float, in_that_time: int) -> str:
    """`big.csv: 384 of 1,000 MB, about 6 min left`; seconds: what `in_that_time` bytes took."""
    return f"{key}: {_far(done, of, seconds, in_that_time)}"


def _far(done: int, of: int, seconds: float, in_that_time: int) -> str:
    far = f"{done / 1e6:,.0f} of {of / 1e6:,.0f} MB"
    if in_that_time <= 0 or seconds <= 0:
        return far
    left = seconds * (of - done) / in_that_time
    return f"{far}, about {f'{left / 60:.0f} min' if left >= 90 else f'{left:.0f} s'} left"


def _all_of(drops: Sequence[Span]) -> str:
    return f"{names([drop.version.key for drop in drops])}, {size(sum(drop.bytes for drop in drops))}"
