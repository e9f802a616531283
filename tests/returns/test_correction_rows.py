"""The way of changed cells to the ledger: nothing is lost, wherever it is cut into files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from streaming.checkpoint.handover import Handover
from streaming.corrections import Corrections, Values
from streaming.ledger.corrections import Changed
from streaming.packets import CORRECTION_RUNS, CORRECTION_RUNS_FILE, CORRECTIONS, CORRECTIONS_FILE, ipc_table
from streaming.returns import correction_rows
from streaming.returns.correction_rows import CorrectionRows

if TYPE_CHECKING:
    from pathlib import Path


def cells(rng: np.random.Generator, ticker: str) -> Corrections:
    """Of drops 3 to 5, some in long runs of dates, some apart."""
    seq, date = (grid.ravel() for grid in np.meshgrid(np.arange(3, 6), np.arange(rng.integers(1, 200)), indexing="ij"))
    kept = np.flatnonzero(rng.random(len(seq)) < rng.choice([0.1, 1.0]))
    before, after = (
        Values(rng.random(len(kept)), rng.integers(-1, 9, len(kept)), rng.random(len(kept))) for _ in range(2)
    )
    code = np.zeros(len(kept), np.int32)
    return Corrections(seq[kept], [ticker], code, date[kept].astype(np.int32), before, after)


def plain(rows: pa.Table, runs: pa.Table) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    return rows.to_pylist(), runs.to_pylist()


@pytest.mark.parametrize("held", [1, 20_000, 1 << 40])
@pytest.mark.parametrize("many", [1, 10_000, 1 << 40])
def test_the_rows_are_those_of_all_cells_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int, many: int
) -> None:
    """With the stream and in files, whose names a replay gives again."""
    monkeypatch.setattr(correction_rows, "_HELD_BYTES", held)
    monkeypatch.setattr(correction_rows, "MANY_BYTES", many)
    rng = np.random.default_rng(many)
    parts = [cells(rng, f"T{number}") for number in range(30)]
    handover = Handover(str(tmp_path / "checkpoint"))
    given = []
    for _ in range(2):
        taken = CorrectionRows(handover, "7-1", {4})
        for part in parts:
            taken.add(part)
        given.append(taken.rows())
    assert given[0] == given[1]
    named = [key.decode() for kind, key in given[0] if kind in {CORRECTIONS_FILE, CORRECTION_RUNS_FILE}]
    assert sorted(path.name for path in (tmp_path / "checkpoint").rglob("*.arrow")) == sorted(named)
    assert len(set(named)) == len(named)
    assert bool(named) == (many < 1 << 40)
    found = {
        kind: [
            ipc_table(handover.read(payload.decode()) if in_file == of else payload)
            for of, payload in given[0]
            if of in {kind, in_file}
        ]
        for kind, in_file in ((CORRECTIONS, CORRECTIONS_FILE), (CORRECTION_RUNS, CORRECTION_RUNS_FILE))
    }
    every = Changed.join([Changed.of(part, apart={4}) for part in parts if len(part)])
    assert plain(pa.concat_tables(found[CORRECTIONS]), pa.concat_tables(found[CORRECTION_RUNS])) == plain(*every)


def test_no_cells_are_no_rows(tmp_path: Path) -> None:
    """Nothing is written either."""
    taken = CorrectionRows(Handover(str(tmp_path / "checkpoint")), "7-1", ())
    taken.add(Corrections.empty())
    assert taken.rows() == []
    assert not (tmp_path / "checkpoint").exists()
