"""What drops did, as a whole job tells it: in the tables, in the receipts, and from the lake when it is filled."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import TYPE_CHECKING, Any

import pytest
from drops_oracle import DropsOracle, history, oracle_of
from job_process import command, drop, kill_at, run_once
from outcome import receipts, rows

from streaming.corrections import NAMES

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.soak

# a drop has some 500 bytes: a batch takes several, and some drops go on in the next one
SMALL = ("--max-batch-bytes", "900", "--split-bytes", "300")
EPOCH = dt.date(1970, 1, 1)
FORGET = f"""
    DELETE FROM stocketl.correction_cells;
    DELETE FROM stocketl.correction_runs;
    UPDATE stocketl.drops SET ({", ".join(NAMES)}, corrections) = ({", ".join("NULL" for _ in NAMES)}, NULL)
"""  # noqa: S608 (constants)


def csv(packets: Any) -> bytes:
    given = [row for _, part in packets for row in part]
    lines = [f"{EPOCH + dt.timedelta(date)},{ticker},{price},{volume or ''}" for date, ticker, price, volume in given]
    return "\n".join(["date,id,price,volume", *lines, ""]).encode()


def assert_told(database: str, oracle: DropsOracle) -> None:
    did = rows(database, f"SELECT {', '.join(NAMES)} FROM stocketl.drops ORDER BY seq")  # noqa: S608 (constants)
    assert did == [{name: getattr(one, name) for name in NAMES} for one in oracle.did.values()]
    found = {
        (row["seq"], (row["date"] - EPOCH).days, row["id"]): tuple(
            tuple(row[f"{name}_{at}"] for name in ("price", "return", "volume")) for at in ("before", "after")
        )
        for row in rows(database, "SELECT * FROM stocketl.corrections")
    }
    assert found == oracle.corrections


def test_counts_and_corrections_of_a_job_are_those_of_its_drops(tmp_path: Path, database: str) -> None:
    """Through small batches, a kill after a commit and a replay; a fill from the lake says the same again."""
    home, packets = tmp_path / "home", [packet for packet in history(2) if packet[0] <= 14]
    for seq, parts in itertools.groupby(packets, key=lambda packet: packet[0]):
        drop(home / "input", f"{seq:02}.csv", csv(parts), seq)
    kill_at("published", tmp_path / "marker", home, database, *SMALL)
    run_once(home, database, *SMALL)
    oracle = oracle_of(packets)
    assert oracle.corrections
    assert len(rows(database, "SELECT FROM stocketl.batches")) > 3
    assert_told(database, oracle)
    written = {receipt["seq"]: receipt for receipt in receipts(home).values()}
    for seq, did in oracle.did.items():
        assert {name: written[seq][name] for name in NAMES} == {name: getattr(did, name) for name in NAMES}
        assert written[seq]["rows_loaded"] == did.cells_new + did.cells_changed + did.cells_same
    rows(database, f"{FORGET} RETURNING seq")
    filled = command("fill", "--home", str(home), "--database", database)
    assert filled.returncode == 0, filled.stdout + filled.stderr
    assert_told(database, oracle)
