"""No password in any line of the log and in any message, however it is written."""

from __future__ import annotations

import json
import logging

import psycopg2
import pytest

from streaming.database.sqlstates import plain, told
from streaming.errors import SettingsError
from streaming.masking import first_line, masked
from streaming.settings import load
from streaming.telemetry.log import JsonLines, TextLines

SPELLINGS = [
    "password='se cret'",
    "password = se_cret",
    "PASSWORD=se_cret",
    "PGPASSWORD=se'cr\"et",
    "password='se \\'cr et' host=db",
    'password="se cret"',
    '{"username": "etl", "password": "se cret"}',
    "{'password': 'se cret'}",
    "postgresql://etl:se_cr@et@db:5432/stocks",
    "postgresql://etl:se_cret@a:5432,b:5432/stocks",
    "postgresql:///stocks?user=etl&password=se_cret&sslmode=require",
]


def outlets(text: str) -> list[str]:
    """All that may show a text of others: both kinds of log lines with message, extra and error, and the messages."""
    error = psycopg2.OperationalError(f"could not connect: {text}")
    record = logging.LogRecord("streaming.x", logging.INFO, "", 0, "on %s", (text,), (type(error), error, None))
    record.keys = [text, {"uri": text}]
    lines = [TextLines("%(message)s").format(record), JsonLines().format(record)]
    return [*lines, str(plain(error)), first_line(error), *told(error), masked(text)]


def test_a_name_with_a_newline_forges_no_line() -> None:
    """Of the message and of the error alike; a new line begins with the error only."""
    text = "a\n12:00:00 INFO b\x1b[2J\u202e.csv"
    shown = "a\\x0a12:00:00 INFO b\\x1b[2J\\x202e.csv"
    record = logging.LogRecord("x", logging.INFO, "", 0, "on %s", (text,), (ValueError, ValueError(text), None))
    assert TextLines("%(message)s").format(record).splitlines() == [f"on {shown}", f"ValueError: {shown}"]
    assert len(JsonLines().format(record).splitlines()) == 1


@pytest.mark.parametrize("text", SPELLINGS)
def test_no_spelling_of_a_password_is_shown_anywhere(text: str) -> None:
    """One masker for all of them; what stands beside the password stays readable."""
    for shown in outlets(text):
        assert "cret" not in shown
        assert "cr et" not in shown
        assert "et@" not in shown
    line = JsonLines().format(logging.LogRecord("x", logging.INFO, "", 0, f"{text} after", (), None))
    assert json.loads(line)["level"] == "INFO"
    if "host=db" in text:
        assert masked(text).endswith("host=db")


@pytest.mark.parametrize("text", SPELLINGS[:3])
def test_a_wrong_setting_is_told_without_its_password(text: str) -> None:
    """A conninfo string is no URI: the message quotes what was given."""
    with pytest.raises(SettingsError) as caught:
        load(database=f"host=db {text}")
    assert "cret" not in str(caught.value)
    assert "***" in str(caught.value)


def test_a_text_that_is_cut_off_in_a_password_shows_nothing_of_it() -> None:
    """Messages are cut at some length."""
    assert masked("could not connect: password='se cret") == "could not connect: password=***"


def test_what_holds_no_password_stays_as_it_is() -> None:
    """Addresses, times and words that only look like one."""
    for text in ("s3://bucket/a:b@c", "at 10:20:30 to a@b.c", "password authentication failed for user etl", ""):
        assert masked(text) == text
