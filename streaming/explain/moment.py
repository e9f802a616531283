"""Which moment is meant: the batches that were committed by then, or the drops up to a seq."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from streaming.errors import StockETLError
from streaming.screen import moment
from streaming.ticks.fields import day_of

if TYPE_CHECKING:
    from psycopg2.extensions import cursor

_SEQ = re.compile(r"(?:seq|drop) *([0-9]{1,18})", re.IGNORECASE)
_DAY_ALONE = re.compile(r"\d{4}-?\d{2}-?\d{2}|\d{4}-?W\d{2}(?:-?\d)?")
_EXPECTED = "expected a time such as 2026-11-28T18:30+01:00 (without a zone: UTC), or seq 17"


class NoSuchMomentError(StockETLError):
    """Nothing was known at the moment that is asked for, or nobody can tell what is meant."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What was known: the rows of batches up to `batch_id` and of drops up to `seq`; None: that does not limit them.

    last_batch: the batch that the lake must have; rows: how many rows each drop that had ended had loaded, by seq;
    open_seq: a drop of which only a part had been loaded, open_lines: the lines of this part.
    """

    asked: str
    batch_id: int | None
    seq: int | None
    last_batch: int
    committed_at: datetime
    rows: dict[int, int]
    open_seq: int | None = None
    open_lines: int = 0

    @property
    def title(self) -> str:
        """As a person reads it."""
        drops = f"drop {max(self.rows, default=0)}" if self.seq is None else f"drop {self.seq}"
        return f"{self.asked}: up to {drops}, batch {self.last_batch}, committed {moment(self.committed_at)}"


def find_moment(cur: cursor, when: str) -> Moment:
    """The moment that a text names. Raises NoSuchMomentError, which says what there is."""
    text = when.strip()
    cur.execute("SELECT min(committed_at), clock_timestamp() FROM stocketl.batches WHERE committed_at IS NOT NULL")
    (first, now), *_ = cur.fetchall()
    if first is None:
        msg = "no drop has been loaded yet: there is nothing to look back at"
        raise NoSuchMomentError(msg)
    if found := _SEQ.fullmatch(text):
        return _at_seq(cur, int(found[1]))
    time = _time_of(text)
    if time > now:
        msg = f"{moment(time)} is in the future: it is {moment(now)} in the database"
        raise NoSuchMomentError(msg)
    if time < first:
        msg = f"nothing was known at {moment(time)}: the first batch was committed {moment(first)}"
        raise NoSuchMomentError(msg)
    return _at_time(cur, time)


def day_named(option: str, text: str | None) -> int | None:
    """The day that an option names, None if it is not given. Raises NoSuchMomentError."""
    if text is None:
        return None
    day = day_of(text.strip())
    if day is None:
        msg = f"{option}: expected a day from 1800-01-01 to 2199-12-31 such as 2024-03-04, got {text!r}"
        raise NoSuchMomentError(msg)
    return day


def days_named(first: str | None, last: str | None) -> tuple[int | None, int | None]:
    """The days of --from and --to. Raises NoSuchMomentError."""
    begin, end = day_named("--from", first), day_named("--to", last)
    if begin is not None and end is not None and begin > end:
        msg = f"--from: expected a day that is not after --to {last}, got {first}"
        raise NoSuchMomentError(msg)
    return begin, end


def _time_of(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(re.sub(r" *(?:UTC|Z)$", "+00:00", text, flags=re.IGNORECASE))
    except ValueError:
        msg = f"WHEN: {_EXPECTED}; got {text!r}"
        raise NoSuchMomentError(msg) from None
    if _DAY_ALONE.fullmatch(text):
        msg = f"WHEN: a day alone could mean its begin or its end: {_EXPECTED}; got {text!r}"
        raise NoSuchMomentError(msg)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _at_time(cur: cursor, time: datetime) -> Moment:
    cur.execute(
        "SELECT batch_id, committed_at FROM stocketl.batches WHERE committed_at <= %s ORDER BY batch_id DESC LIMIT 1",
        (time,),
    )
    (batch_id, committed_at), *_ = cur.fetchall()
    cur.execute("SELECT seq, rows_loaded FROM stocketl.drops WHERE batch_id <= %s AND status <> 'loading'", (batch_id,))
    rows = dict(cur.fetchall())
    # at most one drop goes on from one batch into the next, and it is the first of those that ended later
    cur.execute(
        "SELECT d.seq, r.lines FROM stocketl.drops d JOIN stocketl.receipts r USING (seq)"
        " WHERE d.batch_id > %s OR d.status = 'loading' ORDER BY d.seq LIMIT 1",
        (batch_id,),
    )
    for seq, lines in cur.fetchall():
        read = [count for batch, count in lines.items() if int(batch) <= batch_id]
        if read:
            return Moment(_told(time), batch_id, None, batch_id, committed_at, rows, seq, sum(read))
    return Moment(_told(time), batch_id, None, batch_id, committed_at, rows)


def _told(time: datetime) -> str:
    """With the fraction that was asked for: two batches may be committed within a second."""
    day, _, rest = moment(time).partition(" ")
    fraction = f".{time:%f}".rstrip("0") if time.microsecond else ""
    return f"{day} {rest.replace(' UTC', '')}{fraction} UTC"


def _at_seq(cur: cursor, seq: int) -> Moment:
    cur.execute("SELECT coalesce(max(seq), 0) FROM stocketl.drops")
    (newest,), *_ = cur.fetchall()
    if not 1 <= seq <= newest:
        msg = f"there is no drop {seq}{' yet' if seq else ''}: the drops are 1 to {newest}"
        raise NoSuchMomentError(msg)
    cur.execute(
        "SELECT b.batch_id, b.committed_at FROM stocketl.batches b WHERE b.batch_id ="
        " (SELECT max(batch_id) FROM stocketl.drops WHERE seq <= %s)",
        (seq,),
    )
    (last_batch, committed_at), *_ = cur.fetchall()
    cur.execute("SELECT seq, rows_loaded, status FROM stocketl.drops WHERE seq <= %s", (seq,))
    found = cur.fetchall()
    rows = {number: loaded for number, loaded, status in found if status != "loading"}
    loading = next((number for number, _, status in found if status == "loading"), None)
    return Moment(f"seq {seq}", None, seq, last_batch, committed_at, rows, loading)
