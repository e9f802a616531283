"""`stocketl explain DATE TICKER`: where a value comes from: drops, files and lines, and what was there before it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streaming.errors import StockETLError
from streaming.explain.drop_files import DropFiles, DropInLedger, FileGoneError, drops_covering, drops_named
from streaming.explain.given import GivenValue, rows_in_file, stands_for
from streaming.explain.lake_cells import InLake, in_lake
from streaming.explain.near import NearReject, is_near, texts_of
from streaming.explain.now import CellNow, cell_now
from streaming.frames.names import resolved
from streaming.frames.tables import tickers as all_tickers
from streaming.home.database import reading
from streaming.packets import UNKNOWN_VOLUME

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from psycopg2.extensions import connection

    from streaming.settings import Settings
    from streaming.ticks.located import Located

_AT_ONCE = 8  # files that are fetched beside each other

_SHOWN_REJECTS = """
    SELECT r.seq, (e.value ->> 'line')::bigint, e.value ->> 'text', e.value ->> 'reason'
    FROM stocketl.receipts r, jsonb_array_elements(r.body -> 'rejects') e
    WHERE jsonb_array_length(r.body -> 'rejects') > 0 AND strpos(e.value ->> 'text', %s) > 0
"""


@dataclass(frozen=True)
class ExplainedCell:
    """A cell and where it comes from.

    given, given_before: what drops gave for it and for the ticker's date before, in the order in which it counts;
    drops: those that gave a value or a reject, by seq; gone: of which drops the lines are not known, and why; rejects:
    rows that may have been meant for it; notes: what does not fit.
    """

    now: CellNow
    given: Sequence[GivenValue]
    given_before: Sequence[GivenValue]
    drops: dict[int, DropInLedger]
    gone: dict[int, str] = field(default_factory=dict)
    rejects: Sequence[NearReject] = ()
    notes: Sequence[str] = ()


def explain(settings: Settings, day: int, written: str) -> ExplainedCell:
    """Asks the tables, the ledger, the lake if there is one, and the files of the drops. Changes nothing.

    Raises UnknownTickerError, DatabaseError, StorageError, SettingsError.
    """
    with reading(settings) as connected:
        with connected.cursor() as cur:
            (ticker,) = resolved([written], all_tickers(cur))
            now = cell_now(cur, ticker, day)
        first = now.before_date if now.before_date is not None else now.date
        covering = drops_covering(connected, settings, first, now.date)
        search = _Search(settings, connected, ticker, DropFiles.of(settings, connected), now.days)
        search.look(covering)
        rejects = search.rejects_near(connected, day)
        wanted = {value.seq for values in search.given.values() for value in values} | {one.seq for one in rejects}
        drops = {drop.seq: drop for drop in covering if drop.seq in wanted | set(search.gone)}
        others = wanted - drops.keys()
        drops |= {drop.seq: drop for drop in drops_named(connected, settings, others)} if others else {}
    given = search.given.get(day, [])
    before = search.given.get(now.days[0], []) if len(now.days) > 1 else []
    return ExplainedCell(
        now, given, before, drops, search.gone, rejects, [*search.notes, *_differs(now, given, before)]
    )


class _Search:
    """Looks for the values of some days of a ticker. days: in their order."""

    def __init__(
        self, settings: Settings, connected: connection, ticker: str, files: DropFiles, days: Sequence[int]
    ) -> None:
        self._settings = settings
        self._connected = connected
        self._ticker = ticker
        self._files = files
        self._days = days
        self._found: dict[int, Located] = {}
        self._lake = InLake()
        self.given: dict[int, list[GivenValue]] = {}
        self.gone: dict[int, str] = {}
        self.notes: list[str] = []

    def look(self, covering: Sequence[DropInLedger]) -> None:
        """Fills `given` and `gone`. covering: drops that may have given a value."""
        lake = self._lake = self._in_lake(covering)
        drops = [drop for drop in covering if drop.seq in lake.lacking or drop.seq in lake.seqs]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            read = list(pool.map(self._read, drops))
        for drop, found in zip(drops, read, strict=True):
            if isinstance(found, str):
                self.gone[drop.seq] = found
            else:
                self._found[drop.seq] = found
            for day in self._days:
                self.given.setdefault(day, []).extend(self._of(drop, day, lake))

    def _in_lake(self, covering: Sequence[DropInLedger]) -> InLake:
        every = {drop.seq: drop.rows_loaded for drop in covering}
        if self._settings.lake is None:
            return InLake(lacking=every)
        try:
            texts = texts_of(self._ticker)
            return in_lake(self._settings.lake, self._ticker, self._days, expected=every, texts=texts)
        except StockETLError as error:
            self.notes.append(f"the files were read instead of the lake: {error}")
            return InLake(lacking=every)

    def _read(self, drop: DropInLedger) -> Located | str:
        try:
            return self._files.rows(drop, self._ticker)
        except FileGoneError as error:
            return str(error)

    def _of(self, drop: DropInLedger, day: int, lake: InLake) -> list[GivenValue]:
        """The rows of a drop for a day: with their lines from the file, if it still says what was loaded."""
        found, kept = self._found.get(drop.seq), lake.of(day, drop.seq)
        rows = [] if found is None else rows_in_file(drop.seq, found, self._ticker, day)
        if drop.seq in lake.lacking:
            return rows or kept
        if rows and kept and stands_for(rows) != stands_for(kept):
            if drop.fate != "success":  # only a part of its file is loaded
                return kept
            self.gone[drop.seq] = f"its file was changed since: it says something else now ({drop.place})"
            return kept
        return rows if rows and kept else kept

    def rejects_near(self, connected: connection, day: int) -> list[NearReject]:
        """Of all drops, if the lake is there; else of the files that were read, and the first ones of each receipt."""
        found = self._lake.rejects
        if self._settings.lake is None or self.notes:
            found = self._rejects_without_lake(connected, texts_of(self._ticker))
        drops = {drop.seq: drop for drop in drops_named(connected, self._settings, {one.seq for one in found})}
        rules = {seq: self._files.rules(drop) for seq, drop in drops.items()}
        near = [one for one in found if one.seq in rules and is_near(one.text, self._ticker, day, rules[one.seq])]
        return sorted(near, key=lambda one: (one.seq, one.line))

    def _rejects_without_lake(self, connected: connection, texts: Iterable[str]) -> list[NearReject]:
        found = {
            NearReject(seq, *row)
            for seq, located in self._found.items()
            for row in zip(located.rejects.line, located.rejects.text, located.rejects.reason, strict=True)
        }
        with connected.cursor() as cur:
            for text in texts:
                cur.execute(_SHOWN_REJECTS, (text,))
                found |= {NearReject(*row) for row in cur.fetchall()}
        return list(found)


def _differs(now: CellNow, given: Sequence[GivenValue], before: Sequence[GivenValue]) -> list[str]:
    """What the tables hold, if no drop has given it."""
    notes = []
    for date, held, values in ((now.date, now.held, given), (now.before_date, now.held_before, before)):
        if date is not None and held != stands_for(values):
            told = "nothing" if held is None else f"{held[0]!r}"
            notes.append(
                f"the tables hold {told} for {date}, but what the drops that can still be read gave is another value. "
                "If no file is gone, somebody changed the tables by hand: `stocketl verify` compares every cell"
            )
    return notes


def facts_of(found: ExplainedCell) -> dict[str, object]:
    """As `--json` prints it."""
    now = found.now

    def told(value: GivenValue) -> dict[str, object]:
        drop = found.drops.get(value.seq)
        return {
            "drop": value.seq,
            "key": drop.key if drop else None,
            "file": drop.place if drop else None,
            "line": value.line,
            "price": value.price,
            "volume": None if value.volume == UNKNOWN_VOLUME else value.volume,
            "committed_at": drop.committed_at if drop else None,
        }

    return {
        "date": now.date,
        "id": now.ticker,
        "price": now.price,
        "return": now.change,
        "volume": now.volume,
        "previous_date": now.before_date,
        "previous_price": now.before_price,
        "given": [told(value) for value in found.given],
        "given_previous": [told(value) for value in found.given_before],
        "gone": {str(seq): why for seq, why in found.gone.items()},
        "rejects": [
            {"drop": one.seq, "line": one.line, "text": one.text, "reason": one.reason} for one in found.rejects
        ],
        "notes": list(found.notes),
    }
