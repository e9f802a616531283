"""The tables as pandas makes them from the files in success/, in the ledger's order; `verify` compares with them.

Only the reading of a CSV file (`ticks.parse`) is shared with the job. Winners and returns are worked out a second
time, from all files at once.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from psycopg2.extras import RealDictCursor

from streaming.errors import DropError
from streaming.home.rebuild_journal import text_ids_of
from streaming.ledger.fates import FATE
from streaming.ledger.profiles import recorded_profiles
from streaming.packets import UNKNOWN_VOLUME, Float64, Int32, Int64, Ticks, concat_ids
from streaming.storage.locations import open_place
from streaming.storage.place import Version
from streaming.ticks.how import how_of
from streaming.ticks.parse import parse
from streaming.ticks.rules import BEFORE

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from psycopg2.extensions import connection

    from streaming.screen import Facts
    from streaming.settings import Settings
    from streaming.storage.place import Place
    from streaming.ticks.parse import Parsed

_COUNTS = ("rows_read", "rows_loaded", "rows_duplicate", "rows_rejected")
_DATE_BITS = 32
_DATE_SHIFT = 1 << 31  # dates before 1970 are negative

_DROPS = f"""
    SELECT d.*, {FATE}, r.moved_to, r.moved_at
    FROM stocketl.drops d LEFT JOIN stocketl.receipts r USING (seq) ORDER BY d.seq
"""  # noqa: S608 (constants)


@dataclass(frozen=True)
class ExpectedCells:
    """One row per (ticker, date) that has a price, in this order.

    ids: sorted tickers, `code` points into it; date: int32 days since 1970-01-01; returns: NaN = no previous price;
    volume: `UNKNOWN_VOLUME` = none.
    """

    ids: list[str]
    code: Int32
    date: Int32
    price: Float64
    returns: Float64
    volume: Int64


@dataclass
class Files:
    """What the files of the ledger's drops hold, in order of seq; gaps: why a drop cannot be recomputed.

    unknown: first and last date of each drop with a gap: what the tables hold between them may come from it.
    """

    ticks: list[Ticks] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    unknown: list[tuple[date, date]] = field(default_factory=list)


def read_files(connected: connection, settings: Settings) -> Files:
    """Parses the file of every loaded drop; failed ones load nothing and are not read."""
    with connected.cursor(cursor_factory=RealDictCursor) as cur:
        cur.execute(_DROPS)
        drops = [dict(row) for row in cur.fetchall()]
    with connected.cursor() as plain:
        profiles = recorded_profiles(plain)
    source, success = open_place(settings.input), open_place(settings.success)
    ids, limit = text_ids_of(settings), settings.unpacked_limit

    def parsed_as(data: bytes, drop: Facts) -> Parsed:
        """As it was read when it was loaded, whatever profiles.toml says now."""
        how = how_of(drop.get("reading", BEFORE), profiles, text_ids=ids, unpacked_limit=limit)
        return parse(data, drop["key"], how)

    files = Files()
    for drop in drops:
        name, gaps = f"drop {drop['seq']} ({drop['key']!r})", len(files.gaps)
        if drop["fate"] == "loading":
            files.gaps.append(f"{name} is loaded only in part: it ends in a later batch; verify again then")
        elif drop["fate"] == "failed" and drop["rows_loaded"]:
            files.gaps.append(f"{name} failed after {drop['rows_loaded']:,} of its rows were loaded: {drop['reason']}")
        elif drop["fate"] == "success":
            _read_drop(drop, name, _bytes_of(drop, source, success), parsed_as, files)
        if len(files.gaps) > gaps and drop["first_date"] is not None:
            files.unknown.append((drop["first_date"], drop["last_date"]))
    return files


def cells(ticks: list[Ticks]) -> ExpectedCells:
    """For each (ticker, date) the last price and the last known volume; the returns of each ticker by `pct_change`."""
    given, maps = concat_ids([part.ids for part in ticks])
    ids = sorted(given)
    rank = np.empty(len(ids), np.int64)
    rank[sorted(range(len(given)), key=given.__getitem__)] = np.arange(len(ids))
    code = np.concatenate([rank[to_joint[part.code]] for part, to_joint in zip(ticks, maps, strict=True)] or [rank])
    columns = {
        name: np.concatenate([getattr(part, name) for part in ticks] or [np.empty(0)])
        for name in ("date", "price", "volume")
    }
    rows = pd.DataFrame({"cell": (code << _DATE_BITS) + columns["date"].astype(np.int64) + _DATE_SHIFT, **columns})
    last = rows.drop_duplicates("cell", keep="last").sort_values("cell")
    known = rows[rows["volume"] != UNKNOWN_VOLUME].drop_duplicates("cell", keep="last")
    volume = np.full(len(last), UNKNOWN_VOLUME, np.int64)
    volume[np.searchsorted(last["cell"], known["cell"])] = known["volume"].to_numpy(np.int64)
    ticker = last["cell"].to_numpy(np.int64) >> _DATE_BITS
    by_ticker = last["price"].astype(np.float64).groupby(ticker)
    returns = by_ticker.pct_change(fill_method=None)  # type: ignore[call-arg]  # the stubs are of a newer pandas
    return ExpectedCells(
        ids,
        ticker.astype(np.int32),
        last["date"].to_numpy(np.int32),
        last["price"].to_numpy(np.float64),
        returns.to_numpy().astype(np.float64),
        volume,
    )


def _read_drop(
    drop: Facts, name: str, data: bytes | None, parsed_as: Callable[[bytes, Facts], Parsed], files: Files
) -> None:
    if data is None:
        files.gaps.append(f"{name}: its file is gone; looked for {drop['moved_to'] or drop['key']!r} in success")
        return
    if len(data) != drop["size"]:
        files.gaps.append(f"{name}: expected {drop['size']:,} bytes, its file has {len(data):,}: it was changed since")
        return
    parsed = parsed_as(data, drop)
    found = {count: getattr(parsed, count) for count in _COUNTS}
    expected = {count: drop[count] for count in _COUNTS}
    if parsed.failure is not None or found != expected:
        said = parsed.failure or f"{found}"
        files.gaps.append(f"{name}: its file no longer reads as it did: expected {expected}, got {said}")
    files.ticks.append(parsed.ticks)


def _bytes_of(drop: Facts, source: Place, success: Place) -> bytes | None:
    """A drop that was not moved (or not by the job) may lie in either place; None if it is in neither."""
    if drop["moved_at"] is None:  # first: under its key in success another drop of this key may lie
        version = Version(drop["key"], drop["etag"], drop["version_id"], drop["size"], drop["last_modified"])
        with contextlib.suppress(DropError):
            return source.read(version, drop["seq"])
    return success.get(drop["moved_to"] or drop["key"])
