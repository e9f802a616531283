"""Pathway as a target of drops, and its table beside the truth that ours is held against."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl
import psycopg2
from psycopg2.extensions import parse_dsn

from bench.compare import TablesDifferError
from bench.ours import Follower
from bench.peer import with_returns
from bench.peers.environment import REQUIREMENTS
from bench.processes import following

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bench.drip import Drop
    from bench.place import Room

_SCRIPT = REQUIREMENTS.with_name("pathway_peer.py")
_REST_SECONDS = 0.2
_LOOK_SECONDS = 0.01  # a look counts the rows of a date: more often, it would slow the peer down
_COLUMNS = ["date", "id", "price", "volume", "return"]
_SHOWN = 3


@contextlib.contextmanager
def pathway(room: Room, name: str, python: Path) -> Iterator[Follower]:
    """Pathway on a folder of its own, which may hold files already. python: of its environment."""
    folder, uri = room.folder / name, room.create()
    folder.mkdir(parents=True, exist_ok=True)
    command = [str(python), str(_SCRIPT), str(folder), json.dumps(parse_dsn(uri))]
    with following(command, room.folder / f"{name}.log") as process:
        yield Follower(process, folder, uri, rest=_REST_SECONDS, look=_LOOK_SECONDS)


def on_long_table(drops: Sequence[Drop], tickers: int) -> list[Drop]:
    """The same drops as the long table shows them: all rows of the date, with their returns after the first date."""
    query = "SELECT 1 FROM long WHERE date = %s HAVING count({}) = %s"
    return [
        replace(drop, query=query.format("ret" if number else "*"), parameters=(str(drop.parameters[0]), tickers))
        for number, drop in enumerate(drops)
    ]


def same_long(uri: str, files: Sequence[Path]) -> int:
    """The number of values compared with what polars makes of the files. Raises TablesDifferError."""
    got = _read(uri)
    wanted = with_returns(files).with_columns(pl.col("date", "id").cast(pl.String)).select(_COLUMNS).sort("id", "date")
    if not got.equals(wanted):
        lacking = wanted.join(got, on=_COLUMNS, how="anti", nulls_equal=True).head(_SHOWN).rows()
        more = got.join(wanted, on=_COLUMNS, how="anti", nulls_equal=True).head(_SHOWN).rows()
        msg = f"the table `long`: {got.height:,} rows, expected {wanted.height:,}; lacks {lacking} …, has {more} …"
        raise TablesDifferError(msg)
    return got.height * 3


def _read(uri: str) -> pl.DataFrame:
    sink = io.BytesIO()
    with contextlib.closing(psycopg2.connect(uri)) as connection, connection.cursor() as cur:
        cur.copy_expert("COPY (SELECT date, ticker, price, trade_volume, ret FROM long) TO STDOUT (FORMAT csv)", sink)
    sink.seek(0)
    types = [pl.String, pl.String, pl.Float64, pl.Int64, pl.Float64]
    schema = dict(zip(_COLUMNS, types, strict=True))
    return pl.read_csv(sink, has_header=False, schema=schema).sort("id", "date")
