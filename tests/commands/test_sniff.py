"""What `stocketl sniff` shows, asks and writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streaming.commands import sniff
from streaming.errors import SettingsError
from streaming.profiles.toml import parse_profiles
from streaming.settings import load
from streaming.sniff.proposal import Answers

if TYPE_CHECKING:
    from pathlib import Path

    from streaming.settings import Settings

GERMAN = "Datum;Symbol;Schluss;Volumen\n14.03.2024;SAP;1.172,54;1.234.567\n15.03.2024;SAP;1.173,10;--\n"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(environment=False, home=str(tmp_path / "home"))


def file(tmp_path: Path, name: str, text: str) -> str:
    path = tmp_path / name
    path.write_text(text)
    return str(path)


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    return "\n".join(line.rstrip() for line in capsys.readouterr().out.splitlines())


def test_rows_counts_and_a_profile_are_shown(
    tmp_path: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """As they would be read, and TOML to copy."""
    path = file(tmp_path, "Kurse.csv", GERMAN)
    assert sniff.show(sniff.sniff([path], Answers(), settings))
    assert shown(capsys) == (
        f"{path}\n"
        "date        ticker    price     volume\n"
        "2024-03-14  SAP     1172.54  1,234,567\n"
        "2024-03-15  SAP      1173.1    unknown\n"
        "2 rows: 2 load\n"
        "\n"
        "[[profile]]\n"
        'name = "kurse"\n'
        'files = "Kurse.csv"\n'
        'date = { column = "Datum", format = "%d.%m.%Y" }\n'
        'price = "Schluss"\n'
        'volume = { column = "Volumen", unknown = "--" }\n'
        'csv = { decimal = ",", delimiter = ";", thousands = "." }\n'
    )


def test_what_can_be_read_in_two_ways_is_asked(
    tmp_path: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is shown as if it were known, and nothing is written."""
    path = file(tmp_path, "us.csv", "date,symbol,close\n03/04/2024,A,1.5\n")
    found = sniff.sniff([path], Answers(), settings)
    assert not sniff.show(found)
    assert shown(capsys) == f"{path}\nplease say: is '03/04/2024' day/month or month/day? --day-first or --month-first"
    assert sniff.write(found, settings) == []


def test_a_file_that_loads_as_it_is_needs_no_profile(
    tmp_path: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says so."""
    path = file(tmp_path, "a.csv", "date,id,price\n2024-03-04,A,1.5\n")
    assert sniff.show(sniff.sniff([path], Answers(), settings))
    assert shown(capsys).endswith("1 row: 1 load\nno profile is needed")


def test_what_is_no_table_is_refused(tmp_path: Path, settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """With the reason, and the others are looked at all the same."""
    path = file(tmp_path, "page.csv", "hello\nworld\n")
    assert not sniff.show(sniff.sniff([path], Answers(), settings))
    assert "cannot be read: no table was found" in shown(capsys)


def test_writing_appends_each_profile_once(tmp_path: Path, settings: Settings) -> None:
    """Under a name of its own; what stands in the file stays."""
    own = tmp_path / "home" / "profiles.toml"
    own.parent.mkdir()
    own.write_text('# mine\n[[profile]]\nname = "kurse"\nfiles = "x.csv"\n')
    found = sniff.sniff([file(tmp_path, "Kurse.csv", GERMAN)], Answers(), settings)
    assert (sniff.write(found, settings), sniff.write(found, settings)) == (["kurse-2"], [])
    assert own.read_text().startswith("# mine\n")
    assert [profile.name for profile in parse_profiles(own.read_text(), "p")] == ["kurse", "kurse-2"]


def test_a_file_that_is_not_there_is_an_error(settings: Settings) -> None:
    """One plain line."""
    with pytest.raises(SettingsError, match=r"gone\.csv: No such file or directory; give the name of a file"):
        sniff.sniff(["gone.csv"], Answers(), settings)
