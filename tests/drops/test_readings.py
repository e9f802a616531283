"""How a drop is read is settled when it is admitted, by what `profiles.toml` says then."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from streaming.checkpoint.offset import EMPTY_OFFSET, Offset
from streaming.drops.admission import admit, spans
from streaming.drops.options import Limits, ReadOptions
from streaming.drops.reading import rows_of
from streaming.drops.readings import Readings, check_profiles
from streaming.drops.ripeness import Ripeness
from streaming.errors import SettingsError
from streaming.packets import FACTS, TICKS, Fact, Ticks
from streaming.settings import load
from streaming.storage.folder import Folder

if TYPE_CHECKING:
    from pathlib import Path

    from fixture_s3 import S3Server

GERMAN = '[[profile]]\nname = "g"\nfiles = "*.csv"\nprice = "Schluss"\ncsv = { decimal = "," }\n'
ENGLISH = '[[profile]]\nname = "e"\nfiles = "*.csv"\nprice = "Schluss"\ncsv = { thousands = "," }\n'
CONTENT = b"date;symbol;Schluss\n2024-03-04;A;1,500\n"
LIMITS = Limits(1 << 20, 1 << 20)


def write(path: Path, text: str) -> None:
    path.write_text(text)
    os.utime(path, ns=(path.stat().st_mtime_ns + 1, path.stat().st_mtime_ns + 1))


def price_of(offset: Offset, place: Folder) -> float:
    """As the executors read the batch, with nothing but its offset as it was logged."""
    logged = Offset.from_json(json.loads(json.dumps(offset.to_json())))
    options = ReadOptions(1, text_ids=False, unpacked_limit=1 << 20, profiles=dict(logged.profiles))
    (span,) = spans(logged, LIMITS)
    rows = {row.kind: row.payload for row in rows_of(span, place, options)}
    assert Fact.from_json(rows[FACTS]).reading == span.reading
    return float(Ticks.from_buffer(rows[TICKS]).price[0])


@pytest.fixture
def place(tmp_path: Path) -> Folder:
    folder = tmp_path / "in"
    folder.mkdir()
    return Folder(str(folder))


def test_a_replay_reads_a_drop_as_it_was_admitted_whatever_the_file_says_now(tmp_path: Path, place: Folder) -> None:
    """The offset holds what the profile said; a later drop is read by the new one, without a restart."""
    profiles, readings = tmp_path / "profiles.toml", Readings(str(tmp_path / "profiles.toml"))
    write(profiles, GERMAN)
    place.put("a.csv", CONTENT)
    first = admit(EMPTY_OFFSET, place, LIMITS, readings, Ripeness(0))
    assert price_of(first, place) == 1.5
    write(profiles, ENGLISH)
    place.put("b.csv", CONTENT)
    second = admit(first, place, LIMITS, readings, Ripeness(0))
    assert (price_of(first, place), price_of(second, place)) == (1.5, 1500.0)
    profiles.unlink()
    place.put("c.csv", b"date,id,price\n2024-03-04,A,7\n")
    third = admit(second, place, LIMITS, readings, Ripeness(0))
    assert (third.profiles, third.drops[0].reading, price_of(third, place)) == ({}, "2", 7.0)
    assert price_of(second, place) == 1500.0


def test_nothing_is_admitted_while_the_profiles_are_wrong(tmp_path: Path, place: Folder) -> None:
    """A file that is meant for a profile must not be read without it; the error says where it is wrong."""
    write(tmp_path / "profiles.toml", GERMAN.replace("decimal", "dezimal"))
    place.put("a.csv", CONTENT)
    readings = Readings(str(tmp_path / "profiles.toml"))
    for _ in range(2):
        with pytest.raises(
            SettingsError, match=r"profiles\.toml, line 5: csv\.dezimal \(profile 'g'\): there is no such key"
        ):
            admit(EMPTY_OFFSET, place, LIMITS, readings, Ripeness(0))
    write(tmp_path / "profiles.toml", GERMAN)
    assert admit(EMPTY_OFFSET, place, LIMITS, readings, Ripeness(0)).seq == 1


def test_profiles_may_be_an_object_of_s3(s3: S3Server, place: Folder) -> None:
    """It need not be there at the start; what is put there counts for drops that come later."""
    bucket = s3.bucket()
    readings = Readings(f"s3://{bucket}/control/profiles.toml")
    place.put("a.csv", b"date,id,price\n2024-03-04,A,7\n")
    first = admit(EMPTY_OFFSET, place, LIMITS, readings)
    s3.client.put_object(Bucket=bucket, Key="control/profiles.toml", Body=GERMAN.encode())
    place.put("b.csv", CONTENT)
    second = admit(first, place, LIMITS, readings)
    assert (price_of(first, place), price_of(second, place)) == (7.0, 1.5)


def test_an_offset_of_an_older_version_is_read_as_that_version_did(place: Folder) -> None:
    """Its spans name no reading, and what is written back is what was read."""
    place.put("a.csv", b"date,id,price,volume\n20240304,A,1,1\n2024-03-05,A,2,2\n")
    offset = admit(EMPTY_OFFSET, place, LIMITS, Readings(), Ripeness(0))
    older = offset.to_json()
    older["drops"] = [fields[:9] for fields in older["drops"]]  # type: ignore[index]
    read = Offset.from_json(json.loads(json.dumps(older)))
    assert (read.drops[0].reading, read.to_json()) == ("1", older)
    (span,) = spans(read, LIMITS)
    rows = rows_of(span, place, ReadOptions(1, text_ids=False, unpacked_limit=1 << 20))
    fact = next(Fact.from_json(row.payload) for row in rows if row.kind == FACTS)
    assert (fact.rows_loaded, fact.reasons) == (1, {"bad-date": 1})


def test_what_is_loaded_again_is_read_as_it_was_loaded_once(tmp_path: Path) -> None:
    """By its own reading, and a file without one by the built-in reading of today."""
    known = {"readings": {"a.csv": "1", "b.csv": "abc"}, "profiles": {"abc": '{"name": "x", "files": "*"}'}}
    (tmp_path / "readings.json").write_text(json.dumps(known))
    readings = Readings(str(tmp_path / "readings.json"))
    readings.look()
    assert [readings.of(key)[0] for key in ("a.csv", "b.csv", "c.csv")] == ["1", "abc", "2"]


def test_profiles_that_are_named_must_be_there_and_right_at_the_start(tmp_path: Path) -> None:
    """The file in the home need not be there; on S3 it may come later."""
    home = {"environment": False, "home": str(tmp_path)}
    check_profiles(load(**home))
    check_profiles(load(**home, profiles="none"))
    with pytest.raises(
        SettingsError, match=r"profiles: there is no file .*/mine\.toml; correct --profiles, or make the file"
    ):
        check_profiles(load(**home, profiles=str(tmp_path / "mine.toml")))
    write(tmp_path / "profiles.toml", "[[profile]]\n")
    with pytest.raises(SettingsError, match=r"profiles\.toml, line 1: name: expected this key, got none"):
        check_profiles(load(**home))
