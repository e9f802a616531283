"""Parquet of any writer: types, row groups as parts, and files that cannot be read."""

from __future__ import annotations

import datetime as dt
import io
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streaming.profiles.profile import Profile
from streaming.ticks.fields import iso_of
from streaming.ticks.how import How, splittable
from streaming.ticks.parse import Parsed, parse, parse_split

DAY, NEXT = dt.date(2024, 3, 4), dt.date(2024, 3, 5)


def written(columns: dict[str, Any], **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, **options)
    return sink.getvalue()


def read(data: bytes, profile: dict[str, Any] | None = None, limit: int = 1 << 30) -> Parsed:
    made = None if profile is None else Profile.model_validate({"name": "p", "files": "*", **profile})
    return parse(data, "a.parquet", How(text_ids=False, unpacked_limit=limit, profile=made))


def rows(parsed: Parsed) -> list[tuple[str, str, float, int | None]]:
    ticks = parsed.ticks
    columns = zip(ticks.date.tolist(), ticks.code.tolist(), ticks.price.tolist(), ticks.volume.tolist(), strict=True)
    return [
        (iso_of(day), ticks.ids[code], price, None if volume < 0 else volume) for day, code, price, volume in columns
    ]


def table(**columns: Any) -> dict[str, Any]:
    """Two rows; what is given takes the place of the plain columns."""
    return {"date": [DAY, NEXT], "symbol": ["A", "B"], "close": [1.5, 2.5], "volume": [3, None]} | columns


PLAIN = [("2024-03-04", "A", 1.5, 3), ("2024-03-05", "B", 2.5, None)]
MIDNIGHTS = [dt.datetime(2024, 3, 4), dt.datetime(2024, 3, 5)]  # noqa: DTZ001 - without a zone is the point
TOKYO = [day.replace(tzinfo=ZoneInfo("Asia/Tokyo")) for day in MIDNIGHTS]


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"date": MIDNIGHTS},
        {"date": pa.array(TOKYO, pa.timestamp("ns", "Asia/Tokyo"))},
        {"date": ["2024-03-04", "2024/03/05"]},
        {"date": [20240304, 20240305]},
        {"symbol": pa.array(["A", "B"]).dictionary_encode()},
        {"close": pa.array([1.5, 2.5], pa.float32())},
        {"close": [Decimal("1.50"), Decimal("2.50")]},
        {"close": ["1.5", "2.5"]},
        {"volume": [3.0, None]},
        {"volume": ["3", ""]},
        {"other": [[1], [2]]},
    ],
)
@pytest.mark.parametrize("compression", ["snappy", "zstd", "none"])
def test_columns_of_any_type_are_read(columns: dict[str, Any], compression: str) -> None:
    """What is not read may be nested."""
    parsed = read(written(table(**columns), compression=compression))
    assert (parsed.failure, rows(parsed), parsed.rejects.reason) == (None, PLAIN, [])


def test_a_float32_is_the_number_that_it_shows() -> None:
    """172.54 is stored as 172.53999…, and nobody has written that."""
    assert read(written(table(close=pa.array([172.54, 0.1], pa.float32())))).ticks.price.tolist() == [172.54, 0.1]


def test_bad_rows_are_rejected_alone() -> None:
    """Each with its number and its reason; volumes that are none are counted."""
    columns = {
        "date": [DAY, None, DAY, DAY, DAY, dt.date(1700, 1, 1)],
        "symbol": ["A", "B", "", "D", "E", "F"],
        "close": [1.0, 1.0, 1.0, None, float("nan"), 1.0],
        "volume": [1.5, 1.0, 1.0, 1.0, 1.0, 1.0],
    }
    parsed = read(written(columns))
    assert list(zip(parsed.rejects.line, parsed.rejects.reason, strict=True)) == [
        (2, "bad-date"), (3, "bad-id"), (4, "missing-price"), (5, "bad-price"), (6, "bad-date"),
    ]  # fmt: skip
    assert (rows(parsed), parsed.volume_unreadable, parsed.notes[0]["line"]) == ([("2024-03-04", "A", 1.0, None)], 1, 1)


def test_a_moment_in_utc_that_is_no_midnight_needs_the_zone_of_a_profile() -> None:
    """Its day is another one in Tokyo than in New York."""
    moments = pa.array([dt.datetime(2024, 3, 4, 15, tzinfo=dt.UTC)] * 2, pa.timestamp("us", "UTC"))
    data = written(table(date=moments, symbol=["A", "B"]))
    assert (read(data).failure or "").startswith("every row was rejected, 2 in all: bad-date 2")
    for zone, day in (("Asia/Tokyo", "2024-03-05"), ("America/New_York", "2024-03-04")):
        assert rows(read(data, {"date": {"column": "date", "zone": zone}}))[0][0] == day


def test_a_profile_names_columns_rows_and_scale() -> None:
    """As for text."""
    data = written({"d": [DAY, DAY], "s": ["A", "A"], "c": [150.0, 250.0], "v": [3, 4], "kind": ["x", "y"]})
    profile = {"date": "d", "ticker": "s", "price": "c", "volume": "v", "rows": {"where": {"kind": "y"}}}
    parsed = read(data, profile | {"scale": {"price": 0.01, "volume": 10}})
    assert (rows(parsed), parsed.rows_passed_over) == ([("2024-03-04", "A", 2.5, 40)], 1)


@pytest.mark.parametrize("dictionary", [True, False])
def test_each_row_group_has_tickers_of_its_own(dictionary: bool) -> None:  # noqa: FBT001 - given
    """The same ones as the row group before, others, the same ones in another order, and none."""
    tickers = ["A", "B", "A", "B", "B", "A", "C", None, "A", "B"]
    days = [DAY + dt.timedelta(place) for place in range(len(tickers))]
    columns = {"date": days, "symbol": tickers, "close": [1.5] * len(tickers)}
    parsed = read(written(columns, row_group_size=2, use_dictionary=dictionary))
    assert [row[1] for row in rows(parsed)] == ["A", "B", "A", "B", "B", "A", "C", "A", "B"]
    assert (parsed.rejects.line, parsed.reasons) == ([8], {"bad-id": 1})


def test_row_groups_are_the_parts_of_a_large_file() -> None:
    """Each is read in the part where it begins, wherever the cuts are."""
    columns = {"date": [DAY] * 1000, "id": [f"T{n}" for n in range(1000)], "price": [1.0 + n for n in range(1000)]}
    data = written(columns, row_group_size=100)
    assert splittable(data[:8], None)
    found, lines = [], 0
    for start in range(0, len(data), 777):
        asked: list[int] = []

        def part_of(begin: int, end: int, asked: list[int] = asked) -> bytes:
            asked.append(end - begin)
            return data[begin:end]

        how = How(text_ids=False, unpacked_limit=1 << 20)
        part = parse_split(part_of, start, min(start + 777, len(data)), len(data), "a.parquet", how)
        assert (part.failure, max(asked) <= 8 << 20) == (None, True)
        found += rows(part)
        lines += part.lines
    assert (found, lines) == (rows(read(data)), 1000)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (written(table(close=[[1.0], [2.0]])), "the column 'close' of the Parquet file, the price, is nested"),
        (written(table(date=[{"y": 1}, {"y": 2}])), "the column 'date' of the Parquet file, the date, is nested"),
        (written({"date": [DAY], "open": [1.0]}), "the columns lack 'id' (also ticker"),
        (written(table(ticker=["A", "B"])), "the header names more than one: 'symbol'"),
        (written(table())[:-1], "the Parquet file is truncated or corrupt"),
        (written(table())[:60], "the Parquet file is truncated or corrupt"),
        (b"PAR1" + bytes(200) + b"PAR1", "the Parquet file is truncated or corrupt"),
        (b"PAR1", "the Parquet file is truncated or corrupt"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(data: bytes, said: str) -> None:
    """Nested, lacking columns, cut off, or no Parquet at all."""
    parsed = read(data)
    assert (parsed.failure or "").startswith(said)
    assert len(parsed.ticks) == 0


def test_a_bomb_of_a_row_group_fails_before_it_is_unpacked() -> None:
    """Two million rows in a few kilobytes, above a limit of sixty-four megabytes."""
    many = 2_000_000
    columns = {
        "date": pa.array(["2024-03-04"]).take(pa.array([0] * many)).dictionary_encode(),
        "id": pa.array(["A"]).take(pa.array([0] * many)).dictionary_encode(),
        "price": pa.array([1.0]).take(pa.array([0] * many)),
    }
    data = written(columns, row_group_size=many)
    assert len(data) < 1 << 20
    assert "unpacks to more than 67,108,864 bytes in one row group" in (read(data, limit=64 << 20).failure or "")


def test_rows_that_a_second_key_tells_apart_fail_in_parts_too() -> None:
    """By the first rows of the file, which each part looks at."""
    data = written({"date": [DAY, DAY], "time": ["09:30", "10:30"], "id": ["A", "A"], "price": [1.0, 2.0]})
    how = How(text_ids=False, unpacked_limit=1 << 20)
    part = parse_split(lambda a, b: data[a:b], 0, len(data), len(data), "a.parquet", how)
    assert [(failure or "")[:10] for failure in (read(data).failure, part.failure)] == ["second-key"] * 2
