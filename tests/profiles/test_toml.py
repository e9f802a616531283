"""What is wrong in `profiles.toml` is told with its line, its key, and what was expected there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from streaming.errors import SettingsError
from streaming.profiles.profile import Profile
from streaming.profiles.toml import parse_profiles

NSE = r"""
[[profile]]
name = "nse"
files = "nse/**/*.csv.gz"
ticker = "SYMBOL"
date = { column = "TIMESTAMP", format = "%d-%b-%Y" }
price = "CLOSE"
volume = { column = "TOTTRDQTY", unknown = ["-", "n/a"] }
rows = { where = { SERIES = "EQ" } }
csv = { delimiter = ",", decimal = ".", thousands = ",", encoding = "cp1252", skip_lines = 0 }
scale = { price = 0.01 }
"""
BEGIN = '[[profile]]\nname = "a"\nfiles = "*"\n'


def test_the_profile_of_the_documents_is_read() -> None:
    """Every key has its place, and its text gives the same profile again."""
    (profile,) = parse_profiles(NSE, "profiles.toml")
    assert (profile.ticker_column, profile.date_column, profile.price) == ("SYMBOL", "TIMESTAMP", "CLOSE")
    assert (profile.volume_column, profile.scale.price, profile.csv.thousands) == ("TOTTRDQTY", 0.01, ",")
    assert profile.rows is not None
    assert profile.rows.where == {"SERIES": ("EQ",)}
    assert Profile.from_json(profile.to_json()) == profile


@pytest.mark.parametrize("page", ["README.md", "docs/profiles.md"])
def test_the_profiles_of_the_documents_are_right(page: str) -> None:
    """What a reader copies works."""
    text = (Path(__file__).parents[2] / page).read_text()
    found = re.findall(r"^\[\[profile\]\]\n(?:.+\n)+", text, re.MULTILINE)
    assert [len(parse_profiles(block.split("```")[0], page)) for block in found] == [1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x =", "expected TOML: Invalid value"),
        ("y = 1", "line 1: y: expected entries that begin with [[profile]]"),
        ('[[profile]]\nname = "a"', "line 1: files (profile 'a'): expected this key, got none"),
        (f"{BEGIN}colour = 1", "line 4: colour (profile 'a'): there is no such key"),
        (f"# first\n{BEGIN}\n{BEGIN}", "line 7: name: two profiles are called 'a'"),
        (f'{BEGIN}# c\nprice = "P"\nvolume = "P"', "line 6: volume (profile 'a'): the column 'P' is given twice"),
        (
            f'{BEGIN}ticker = {{ from = "key", pattern = "x" }}',
            "line 4: ticker.pattern (profile 'a'): expected a pattern",
        ),
        (
            f'{BEGIN}ticker = {{ from = "key", pattern = "(" }}',
            "line 4: ticker.pattern (profile 'a'): expected a regular",
        ),
        (
            f'{BEGIN}date = {{ format = "%d/%m" }}',
            "line 4: date.format (profile 'a'): expected a format of day, month and",
        ),
        (f'{BEGIN}date = {{ format = "unix-s" }}', "line 4: date (profile 'a'): unix-s needs the zone"),
        (f'{BEGIN}date = {{ zone = "Mars/One" }}', "line 4: date.zone (profile 'a'): expected a time zone"),
        (f'{BEGIN}rows = "any"', 'line 4: rows (profile \'a\'): expected "last", "first" or a table'),
        (f"{BEGIN}rows = {{ when = {{}} }}", "line 4: rows.when (profile 'a'): there is no such key"),
        (f'{BEGIN}csv = {{ decimal = ";" }}', "line 4: csv.decimal (profile 'a'): expected '.' or ','"),
        (
            f'{BEGIN}\n[profile.csv]\nencoding = "utf-7"',
            "line 6: csv.encoding (profile 'a'): expected an encoding of text",
        ),
        (f'{BEGIN}csv = {{ thousands = "." }}', "line 4: csv (profile 'a'): decimal and thousands cannot both be '.'"),
        (f'{BEGIN}price = "P"\ncsv = {{ header = ["d"] }}', "profile 'a'): the column 'P' is not in csv.header"),
        (f"{BEGIN}scale = {{ price = -1 }}", "line 4: scale.price (profile 'a'): expected greater than 0"),
        (f'{BEGIN}wide = {{ value = "volume" }}', "line 4: wide.value (profile 'a'): expected 'price'"),
        (f'{BEGIN}price = "P"\nwide = {{ value = "price" }}', "profile 'a'): a wide file has a column for each ticker"),
        (f'{BEGIN}format = "parquet"\ncsv = {{ decimal = "," }}', "profile 'a'): a Parquet file has no text"),
    ],
)
def test_an_error_names_line_key_and_what_was_expected(text: str, said: str) -> None:
    """The first thing that is wrong, in words that lead to it."""
    with pytest.raises(SettingsError) as told:
        parse_profiles(text, "profiles.toml")
    assert str(told.value).startswith("profiles.toml")
    assert said in str(told.value)
