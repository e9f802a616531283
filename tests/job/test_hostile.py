"""Hostile names, contents and file kinds through the whole job: nothing beyond that row or that drop is touched."""

from __future__ import annotations

import gzip
import os
import random
from typing import TYPE_CHECKING

import pytest
from job_process import command, drop, run_once
from outcome import folders, receipts, rows
from tables import assert_same, expected, stored

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.spark

HEADER = b"date,id,price,trade_volume\n"
IDS = [
    '"""; DROP TABLE prices; --"',
    "%s",
    "%(x)s",
    "xmin",
    "DATE",
    "date",
    "NULL",
    "\\",
    "$1",
    "'",
    "é" * 29,
    "🚀",
    "{}",
]
ROWS = [f"2024-01-0{day},{ticker},{day}.5,{day}\n" for day in (2, 3) for ticker in IDS]
TICKERS = HEADER + "".join(ROWS).encode()


def bomb() -> bytes:
    """A gzip of 10 MB that unpacks to 10 GB."""
    member = gzip.compress(b"\0" * (1 << 28))
    return gzip.compress(HEADER) + member * 40


def test_hostile_drops_get_their_fate_and_the_good_one_loads(tmp_path: Path, database: str) -> None:
    """Each file ends in success or failed with a reason; tickers with any name are columns like others.

    So may a home have any name: blanks once ended Java's options, percent signs hid the checkpoint from the job.
    """
    home, secret = tmp_path / "hö %41 me", tmp_path / "secret.csv"
    secret.write_bytes(HEADER + b"2024-01-02,SECRET,1,1\n")
    into = home / "input"
    drop(into, "tickers.csv", TICKERS)
    drop(into, "sub dir/100%+'\" é.csv", HEADER + b"2024-01-04,A,1,\n")
    drop(into, "bomb.csv.gz", bomb())
    drop(into, "page.csv", b"<!DOCTYPE html><html><body>date,id,price,volume</body></html>\n")
    drop(into, "notes.txt", TICKERS)
    drop(into, "nul.csv", HEADER + b"2024-01-02,A\0,1,1\n")
    drop(into, "utf16.csv", TICKERS.decode().encode("utf-16"))
    drop(into, "empty.csv", b"")
    drop(into, "all-bad.csv", HEADER + b"2024-13-02,A,1,1\n2024-01-02,A,-1,1\n")
    (into / "link.csv").symlink_to(secret)
    (into / "out").symlink_to(tmp_path)
    os.mkfifo(into / "pipe.csv")
    run_once(home, database, "--unpacked-limit", "64M")
    assert_same(stored(database), expected([TICKERS, HEADER + b"2024-01-04,A,1,\n"]))
    fates = {receipt["key"]: receipt["fate"] for receipt in receipts(home).values()}
    assert {key for key, fate in fates.items() if fate == "success"} == {"tickers.csv", "sub dir/100%+'\" é.csv"}
    assert {key for key, fate in fates.items() if fate == "failed"} == {
        "bomb.csv.gz", "page.csv", "notes.txt", "nul.csv", "utf16.csv", "empty.csv", "all-bad.csv", "link.csv",
    }  # fmt: skip
    assert all(receipt["reason"] for receipt in receipts(home).values() if receipt["fate"] == "failed")
    assert (home / "success" / "sub dir" / "100%+'\" é.csv").is_file()
    assert (home / "failed" / "link.csv").is_symlink()
    assert secret.read_bytes() == HEADER + b"2024-01-02,SECRET,1,1\n"
    assert sorted(path.name for path in into.iterdir() if not path.name.startswith(".")) == [
        "out",
        "pipe.csv",
        "sub dir",
    ]
    for ticker in ("; DROP TABLE prices; --", "%s", "xmin", "é" * 29):
        wanted = '"' + ticker if ticker.startswith(";") else ticker
        series = rows(database, "SELECT price FROM stocketl.series(%s)", wanted)
        assert [row["price"] for row in series] == [2.5, 3.5]
    checked = command("verify", "--home", str(home), "--database", database)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "failed" not in folders(home, "input")
    assert (home / "checkpoint" / "commits" / "0").exists()
    assert list((home / "lake" / "ticks").glob("*.parquet"))


def test_random_bytes_never_end_the_query(tmp_path: Path, database: str) -> None:
    """Two hundred files of noise and of damaged good files: each has its receipt, and the tables are still right."""
    home, chance = tmp_path / "home", random.Random(7)  # noqa: S311 (repeatable noise)
    for number in range(200):
        content = chance.randbytes(chance.randrange(400)) if number % 2 else _damaged(chance)
        drop(home / "input", f"{number}.csv{'.gz' * (number % 3 == 0)}", content, number)
    run_once(home, database, "--lake", "none", "--max-batch-bytes", "20K")
    told = receipts(home).values()
    assert sorted(receipt["seq"] for receipt in told) == list(range(1, 201))
    assert all(
        receipt["rows_read"] == receipt["rows_loaded"] + receipt["rows_duplicate"] + receipt["rows_rejected"]
        for receipt in told
    )
    assert {receipt["fate"] for receipt in told} == {"success", "failed"}
    assert not folders(home, "input")
    checked = command("verify", "--home", str(home), "--database", database)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def _damaged(chance: random.Random) -> bytes:
    """A good file with a few bytes changed, inserted or cut out, packed half of the time."""
    content = bytearray(TICKERS)
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(content))
        content[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
    packed = gzip.compress(bytes(content), mtime=0)
    return packed[: chance.choice([len(packed), len(packed) // 2])] if chance.random() < 0.5 else bytes(content)
