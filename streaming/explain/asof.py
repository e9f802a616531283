"""`stocketl asof WHEN`: the tables as they were known at a time or after a drop, by the lake. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from streaming.errors import SettingsError
from streaming.explain.arrival import NotInLakeError, wait_for_batch
from streaming.explain.known import Known, as_known
from streaming.explain.moment import Moment, find_moment
from streaming.explain.open_drop import as_it_was
from streaming.frames.names import resolved
from streaming.frames.tables import tickers as all_tickers
from streaming.home.database import reading
from streaming.lake.reading import read_rows
from streaming.lake.rows import TICKS
from streaming.screen import many
from streaming.ticks.fields import iso_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from streaming.packets import Int64
    from streaming.settings import Settings

_COLUMNS = ("seq", "date", "id", "price", "volume", "batch_id")


@dataclass(frozen=True)
class Wanted:
    """What of the tables: tickers (none: all), first and last day, both included (None: no limit)."""

    tickers: Sequence[str] = ()
    first: int | None = None
    last: int | None = None


@dataclass(frozen=True)
class AsOf:
    """The tables as they were known at a moment: the wanted cells. notes: what a reader must know of them."""

    moment: Moment
    known: Known
    notes: Sequence[str] = ()


def as_of(settings: Settings, when: str, wanted: Wanted, *, wait: float, tell: Callable[[str], None]) -> AsOf:
    """Reads the lake, once it has what was known then. wait: seconds; tell: gets a line if that takes a while.

    Raises NoSuchMomentError, NotInLakeError, UnknownTickerError, DatabaseError, StorageError, SettingsError.
    """
    if settings.lake is None:
        msg = "there is no lake (--lake none), and only the lake keeps what was known before"
        raise SettingsError(msg)
    with reading(settings) as connected, connected.cursor() as cur:
        moment = find_moment(cur, when)
        tickers = resolved(wanted.tickers, all_tickers(cur)) if wanted.tickers else []
    wait_for_batch(settings, moment.last_batch, wait, tell=tell)
    by_then = _by_then(moment)
    chosen = by_then
    if tickers:
        chosen = chosen & ds.field("id").isin(tickers)
    if wanted.last is not None:  # a return needs the price before, so the first day limits only what is shown
        chosen = chosen & (ds.field("date") <= pa.scalar(wanted.last, pa.int32()).cast(pa.date32()))
    rows = read_rows(settings.lake, TICKS, columns=_COLUMNS, where=chosen)
    cut = chosen is not by_then
    whole = read_rows(settings.lake, TICKS, columns=["seq"], where=by_then) if cut else rows
    _refuse_gaps(whole.column("seq").to_numpy(), moment.rows)
    rows, notes = as_it_was(settings, moment, rows, tickers, wanted.last)
    return AsOf(moment, as_known(rows).between(wanted.first, wanted.last), notes)


def _by_then(moment: Moment) -> ds.Expression:
    if moment.batch_id is not None:
        return ds.field("batch_id") <= moment.batch_id
    return ds.field("seq") <= moment.seq


def _refuse_gaps(seq: Int64, expected: Mapping[int, int]) -> None:
    """Raises NotInLakeError if rows of a drop are not there."""
    found = np.bincount(seq, minlength=max(expected, default=0) + 1)
    lacking = [number for number, rows in sorted(expected.items()) if rows > found[number]]
    if lacking:
        first = lacking[0]
        rows = int(found[first])
        others = f", nor all of {many(len(lacking) - 1, 'other drop')}" if len(lacking) > 1 else ""
        msg = (
            f"the lake does not have all rows of drop {first}{others}: expected {expected[first]:,}, found {rows:,}. A "
            "job ran without a lake then, or with another one. `stocketl rebuild` makes a lake of all files"
        )
        raise NotInLakeError(msg)


def facts_of(found: AsOf) -> dict[str, object]:
    """As `--json` prints it."""
    known = found.known
    rows = known.to_table().to_pydict()
    moment = found.moment
    return {
        "asked": moment.asked,
        "batch_id": moment.last_batch,
        "seq": moment.seq if moment.seq is not None else max(moment.rows, default=0),
        "committed_at": moment.committed_at,
        "notes": list(found.notes),
        "cells": [dict(zip(rows, cell, strict=True)) for cell in zip(*rows.values(), strict=True)],
    }


def dates_of(known: Known) -> str:
    """First and last date, for a person."""
    return f"{iso_of(int(known.date.min()))} to {iso_of(int(known.date.max()))}" if len(known) else "no date"
