"""Suspects, if the job keeps them."""

from __future__ import annotations

import contextlib
import datetime as dt

import psycopg2

from streaming.page.panels.suspects import suspects

TABLE = """
    CREATE SCHEMA stocketl;
    CREATE TABLE stocketl.explained (part text);
    CREATE TABLE stocketl.suspects (
        date date, id text, kind text, price float8, level_date date, level float8, ratio float8, swapped_with text,
        cells bigint
    );
    INSERT INTO stocketl.suspects VALUES
        ('2024-03-04', 'AAPL', 'unit slip', 1.7, '2024-03-01', 170, 0.01, NULL, 1),
        ('2024-03-05', NULL, 'repeated-date', NULL, NULL, NULL, NULL, NULL, 480);
"""
KEPT = "INSERT INTO stocketl.explained VALUES ('suspects')"


def test_the_newest_suspects_come_first(database: str) -> None:
    """Cells and whole dates, as the view has them."""
    with contextlib.closing(psycopg2.connect(database)) as connection, connection.cursor() as cur:
        cur.execute(TABLE + KEPT)
        told = suspects(cur)
    assert (told["kept"], told["count"]) == (True, 2)
    assert [(one["date"], one["id"], one["cells"]) for one in told["suspects"]] == [
        (dt.date(2024, 3, 5), None, 480),
        (dt.date(2024, 3, 4), "AAPL", 1),
    ]


def test_nothing_is_shown_if_nothing_is_kept(database: str) -> None:
    """The view is missing, or it is there and the job was told not to keep it."""
    nothing = {"kept": False, "count": 0, "suspects": []}
    with contextlib.closing(psycopg2.connect(database)) as connection, connection.cursor() as cur:
        assert suspects(cur) == nothing
        cur.execute(TABLE)
        assert suspects(cur) == nothing
        cur.execute(KEPT)
        assert suspects(cur)["count"] == 2
