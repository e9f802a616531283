"""`stocketl plan FILE`: what would become of a file if it were dropped now. Reads only, also while a job runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from streaming.drops.readings import Readings
from streaming.errors import StockETLError
from streaming.explain.doubts import Doubts, doubts
from streaming.explain.foreseen import Foreseen, foresee
from streaming.explain.odd_dates import OddDate, odd_dates
from streaming.explain.present import present_cells
from streaming.home.database import NoDatabaseError, reading
from streaming.home.rebuild_journal import text_ids_of
from streaming.ledger import tickers as placement
from streaming.packets import PRICE_CHANGED, UNKNOWN_VOLUME, VOLUME_CHANGED, Ticks
from streaming.storage.locations import is_s3
from streaming.storage.place import is_drop_name
from streaming.suspects.moves import SuspectLimits
from streaming.ticks.fields import iso_of
from streaming.ticks.how import How, splittable, wrong_name
from streaming.ticks.located import located
from streaming.ticks.parse import Parsed, failed, parse
from streaming.ticks.told import CONFLICT, UNREADABLE_VOLUME
from streaming.ticks.unreadable import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming.packets import Int64
    from streaming.settings import Settings
    from streaming.suspects.watch import Suspect

_KINDS = ("prices", "returns", "volume")
_BELOW = {"", ".", ".."}  # none of them is a component of a name below the input

FIRST = 20
"""Cells and lines of each kind that are told one by one; all are counted."""


@dataclass(frozen=True)
class PlannedCell:
    """A cell that would be written: as it is, and as it would be; None where there is nothing. line: of the file."""

    date: str
    ticker: str
    line: int | None
    kind: str
    old_price: float | None
    price: float
    old_volume: int | None
    volume: int | None
    change: float | None


@dataclass(frozen=True)
class PlannedSuspect:
    """A price that would be worth a look, or a whole date: then there is no ticker, and cells counts its prices.

    line: of the file, None if the file does not give it; beside: the price that it does not fit.
    """

    date: str
    ticker: str | None
    line: int | None
    kind: str
    price: float | None = None
    beside: float | None = None
    beside_date: str | None = None
    cells: int = 1


@dataclass(frozen=True)
class Plan:
    """What would become of a file.

    key: the name that it would have below the input; profile: that would read it, None: none; parsed: its rows;
    foreseen: what would change; first: the first new and changed cells; moves: the largest returns that would be
    written; replaced: the first rows that a later one of their cell replaces, (line, date, ticker, price);
    tickers_new, tables_new: that would be made; alike: new tickers, each with another that differs only in case;
    suspects: the first ones that there would be, settled: the first ones that would be none any more; doubts: how many.
    """

    file: str
    key: str
    profile: str | None
    parsed: Parsed
    foreseen: Foreseen
    first: Sequence[PlannedCell] = ()
    moves: Sequence[PlannedCell] = ()
    replaced: Sequence[tuple[int, str, str, float]] = ()
    tickers_new: Sequence[str] = ()
    tables_new: Sequence[str] = ()
    alike: Sequence[tuple[str, str]] = ()
    suspects: Sequence[PlannedSuspect] = ()
    settled: Sequence[PlannedSuspect] = ()
    doubts: tuple[int, int] = (0, 0)

    @property
    def counts(self) -> dict[str, int]:
        """As the receipt of the drop would count its cells."""
        found = self.foreseen
        return {
            "cells_new": int(found.new.sum()),
            "cells_changed": int(found.changed.sum()),
            "cells_same": found.same,
            "returns_rewritten": int(found.rewritten.sum()),
            "tickers_new": len(self.tickers_new),
        }


def plan(settings: Settings, file: str, key: str | None) -> Plan:
    """Looks at a file and at the tables as they are now. key: the name below the input, None: the file's own.

    Raises SettingsError for a wrong profiles.toml, StockETLError for a file that cannot be read, DatabaseError.
    """
    key = key if key is not None else _key_of(settings, file)
    if not _BELOW.isdisjoint(key.split("/")):
        msg = f"--as: expected a name below the input, such as de/a.csv, got {key!r}"
        raise StockETLError(msg)
    readings = Readings(settings.profiles or "")
    readings.look()
    _, profile = readings.of(key)
    how = How(text_ids_of(settings), settings.unpacked_limit, profile)
    data = _content(file)
    parsed = _parsed(data, key, how, settings)
    tables = _tables_now(settings, parsed.ticks)
    found, raised, settled = tables.foreseen, tables.doubts.raised[:FIRST], tables.doubts.settled[:FIRST]
    odd, odd_no_more = tables.odd_dates
    new = sorted(set(parsed.ticks.ids) - tables.known)
    numbers = {number for _, number in placement.plan(new, tables.used).values()} - tables.used.keys()
    own, moves = _own_first(found)[:FIRST], _moves(found)[:FIRST]
    lines = _lines(data, key, how, found, np.concatenate([own, moves, _places(found, raised)]))
    return Plan(
        file,
        key,
        None if profile is None else profile.name,
        parsed,
        found,
        first=[_cell(found, place, lines) for place in own.tolist()],
        moves=[_cell(found, place, lines) for place in moves.tolist()],
        replaced=_replaced(parsed),
        tickers_new=new,
        tables_new=[placement.wide_name(kind, number) for number in sorted(numbers) for kind in _KINDS],
        alike=tables.alike,
        suspects=[*map(_odd, odd[:FIRST]), *(_suspect(one, lines) for one in raised)],
        settled=[*map(_odd, odd_no_more[:FIRST]), *(_suspect(one, {}) for one in settled)],
        doubts=(len(odd) + len(tables.doubts.raised), len(odd_no_more) + len(tables.doubts.settled)),
    )


@dataclass(frozen=True)
class _TablesNow:
    """What the drop would do to them; known: their tickers; used: tickers of each table; alike: as `Plan` has them.

    odd_dates: those that would be suspect, and those that would be so no more.
    """

    foreseen: Foreseen
    doubts: Doubts
    odd_dates: tuple[list[OddDate], list[OddDate]]
    known: set[str]
    used: dict[int, int]
    alike: list[tuple[str, str]]


def _tables_now(settings: Settings, given: Ticks) -> _TablesNow:
    limits = SuspectLimits(settings.suspect_factor, settings.suspect_spike, settings.suspect_stale)
    try:
        with reading(settings) as connected, connected.cursor() as cur:
            present, known = present_cells(cur, given)
            found = foresee(present, given)
            new = set(given.ids) - known
            alike = placement.alike(cur, new) if new else []
            judged = doubts(cur, found.changes, limits), odd_dates(cur, found)
            return _TablesNow(found, *judged, known, placement.used_tables(cur), alike)
    except NoDatabaseError:  # the first drop of all
        found = foresee(Ticks.empty(), given)
        return _TablesNow(found, doubts(None, found.changes, limits), odd_dates(None, found), set(), {}, [])


def _own_first(found: Foreseen) -> Int64:
    """The cells that would get another price or volume, those that exist before new ones, by date."""
    own = np.flatnonzero(found.changes.changed & (PRICE_CHANGED | VOLUME_CHANGED))
    return own[np.lexsort((found.changes.code[own], found.changes.date[own], ~found.changed[own]))]


def _moves(found: Foreseen) -> Int64:
    """The cells with a return, the largest moves first, up or down."""
    size = np.abs(np.log1p(np.where(np.isnan(found.changes.returns), 0.0, found.changes.returns)))
    order = np.argsort(-size, kind="stable")
    return order[size[order] > 0]


def _cell(found: Foreseen, place: int, lines: dict[tuple[str, int], int]) -> PlannedCell:
    changes = found.changes
    ticker, day = changes.ids[changes.code[place]], int(changes.date[place])
    change, old = float(changes.returns[place]), float(found.old_price[place])
    kind = "new" if found.new[place] else "changed" if found.changed[place] else "return"
    return PlannedCell(
        iso_of(day),
        ticker,
        lines.get((ticker, day)) if kind != "return" else None,
        kind,
        None if np.isnan(old) else old,
        float(changes.price[place]),
        _volume(int(found.old_volume[place])),
        _volume(int(changes.volume[place])) if kind != "return" else None,
        None if np.isnan(change) else change,
    )


def _suspect(one: Suspect, lines: dict[tuple[str, int], int]) -> PlannedSuspect:
    line = lines.get((one.id, one.date))
    return PlannedSuspect(iso_of(one.date), one.id, line, one.kind, one.price, one.level, iso_of(one.level_date))


def _odd(one: OddDate) -> PlannedSuspect:
    return PlannedSuspect(iso_of(one.date), None, None, one.kind, cells=one.cells)


def _places(found: Foreseen, suspects: Sequence[Suspect]) -> Int64:
    """Where these cells are among those that would get another price or volume."""
    changes, wanted = found.changes, {(one.id, one.date) for one in suspects}
    own = np.flatnonzero(np.isin(changes.date, [day for _, day in wanted]) & (found.new | found.changed))
    cells = ((place, (changes.ids[changes.code[place]], int(changes.date[place]))) for place in own.tolist())
    return np.array([place for place, cell in cells if cell in wanted], np.int64)


def _volume(volume: int) -> int | None:
    return None if volume == UNKNOWN_VOLUME else volume


def _lines(data: bytes, key: str, how: How, foreseen: Foreseen, places: Int64) -> dict[tuple[str, int], int]:
    """The line of the row that counts for each of these cells."""
    if not len(places):
        return {}
    found, changes = located(data, key, how), foreseen.changes
    wanted = {(changes.ids[changes.code[place]], int(changes.date[place])) for place in places.tolist()}
    rows = np.flatnonzero(np.isin(found.rows.date, changes.date[places]))
    lines: dict[tuple[str, int], int] = {}
    for row in (rows[::-1] if found.keep_first else rows).tolist():
        cell = found.rows.ids[found.rows.code[row]], int(found.rows.date[row])
        if cell in wanted:
            lines[cell] = int(found.lines[row])
    return lines


def _replaced(parsed: Parsed) -> list[tuple[int, str, str, float]]:
    if parsed.replaced is None:
        return []
    lines, ticks = parsed.replaced
    columns = (lines, ticks.date, ticks.code, ticks.price)
    first = zip(*(column[:FIRST].tolist() for column in columns), strict=True)
    return [(line, iso_of(day), ticks.ids[code], price) for line, day, code, price in first]


def _key_of(settings: Settings, file: str) -> str:
    """A file below the input has its own key there; any other would be dropped under its name."""
    if not is_s3(settings.input):
        path, folder = Path(file).absolute(), Path(settings.input)
        if path.is_relative_to(folder):
            return path.relative_to(folder).as_posix()
    return Path(file).name


def _content(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        msg = f"{file}: {error.strerror}; give the name of a file on this machine"
        raise StockETLError(msg) from error


def _parsed(data: bytes, key: str, how: How, settings: Settings) -> Parsed:
    """As the job would read it."""
    if not all(map(is_drop_name, key.split("/"))):
        return failed("no drop is called like this: the job would leave it alone")
    if (misnamed := wrong_name(key, how.profile)) is not None:
        return failed(misnamed)
    whole = len(data) <= settings.split_bytes or not splittable(data[:16], how.profile)
    if whole and len(data) > settings.unpacked_limit:
        return failed(f"too-large: {len(data):,} bytes that cannot be split, limit {settings.unpacked_limit:,}")
    try:
        parsed = parse(data, key, how)
    except UnreadableError as error:
        return failed(str(error))
    return parsed


def facts_of(found: Plan) -> dict[str, object]:
    """As `--json` prints it."""
    parsed = found.parsed
    rejects = zip(parsed.rejects.line, parsed.rejects.text, parsed.rejects.reason, strict=True)
    return {
        "file": found.file,
        "key": found.key,
        "profile": found.profile,
        "fate": "success" if parsed.failure is None else "failed",
        "reason": parsed.failure,
        "rows_read": parsed.rows_read,
        "rows_loaded": parsed.rows_loaded,
        "rows_duplicate": parsed.rows_duplicate,
        "rows_rejected": parsed.rows_rejected,
        "rows_passed_over": parsed.rows_passed_over,
        "conflicts": parsed.conflicts,
        "volume_unreadable": parsed.volume_unreadable,
        "reasons": parsed.reasons,
        "rejects": [{"line": line, "text": text, "reason": reason} for line, text, reason in list(rejects)[:FIRST]],
        "unreadable_volumes": _notes(parsed, UNREADABLE_VOLUME),
        "first_conflicts": _notes(parsed, CONFLICT),
        "ignored": parsed.ignored,
        "first_date": parsed.first_date,
        "last_date": parsed.last_date,
        **found.counts,
        "tickers": list(found.tickers_new),
        "tables": list(found.tables_new),
        "first_cells": [vars(cell) for cell in found.first],
        "largest_moves": [vars(cell) for cell in found.moves],
        "suspects": found.doubts[0],
        "first_suspects": [vars(one) for one in found.suspects],
        "no_longer_suspect": found.doubts[1],
        "first_no_longer_suspect": [vars(one) for one in found.settled],
    }


def _notes(parsed: Parsed, kind: str) -> list[dict[str, object]]:
    notes = (note for note in parsed.notes if note["kind"] == kind)
    return [{name: value for name, value in note.items() if name != "kind"} for note in notes]
