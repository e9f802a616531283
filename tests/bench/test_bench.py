"""What the bench makes of its figures; nothing is timed here."""

from __future__ import annotations

import contextlib
import datetime as dt
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import psycopg2
import pytest

from bench import ROOT, checkpoint, compare, data, peer, plan, spread, stages
from bench.figures import Figures, percentile
from bench.place import Bench, Sizes
from bench.report import lines
from bench.targets import MB, TARGETS, Judged, Result, Target, misses, results

if TYPE_CHECKING:
    from pathlib import Path

    from databases import Databases


def _figures(**values: float) -> Figures:
    figures = Figures()
    for name, value in values.items():
        figures.add(name, value)
    return figures


def _run(uri: str, query: str, *parameters: float) -> list[tuple[Any, ...]]:
    with contextlib.closing(psycopg2.connect(uri)) as connection, connection, connection.cursor() as cur:
        cur.execute(query, parameters)
        return cur.fetchall()


def test_a_ratio_is_judged_by_its_limits() -> None:
    """At most the aim, at most the must, or missed."""
    target = Target("bulk", "ours", "peer", 2.0, 1.0)
    assert [Result(target, ours, 4.0).verdict for ours in (4.0, 4.1, 8.0, 8.1)] == ["aim", "must", "must", "missed"]


def test_a_limit_of_the_figure_looks_at_the_figure_itself() -> None:
    """The peer stands beside it all the same."""
    result = Result(Target("swarm", "swarm", "peer", 60.0, 20.0, Judged.FIGURE), 61.0, 1.0)
    assert (result.verdict, result.ratio, result.judged) == ("missed", 61.0, 61.0)


def test_a_difference_is_judged_by_what_it_is_more_than_the_other_side() -> None:
    """A ratio would hide that the pause for a file to settle is a constant."""
    target = Target("default settings", "ours", "zero", 0.05, 0.0, Judged.DIFFERENCE)
    found = [Result(target, ours, 0.3) for ours in (0.29, 0.34, 0.4)]
    assert [result.verdict for result in found] == ["aim", "must", "missed"]
    assert misses(found) == ["default settings: misses its must by 0.050 s"]
    assert Result(target, 0.3, None).verdict == ""


def test_a_row_shows_its_limits_in_the_unit_that_they_are_for() -> None:
    """Bytes as bytes, ratios as ratios, differences with a plus."""
    rows = [
        Result(
            Target("memory", "bulk.peak", "bulk.peer-peak", 1536.0 * MB, None, Judged.FIGURE), 512.0 * MB, 256.0 * MB
        ),
        Result(Target("parquet", "read.parquet", "read.csv", 1 / 3), 0.1, 0.4),
        Result(Target("default", "a", "b", 0.05, 0.0, Judged.DIFFERENCE), 0.5, 0.25),
        Result(Target("lists", "s3.lists", None, 360), 61.0, None),
    ]
    assert lines(rows) == [
        ("memory", "512 MB", "256 MB", "2.00 x", "1,536 MB", "", "must"),
        ("parquet", "0.100 s", "0.400 s", "0.25 x", "0.333 x", "", "must"),
        ("default", "0.500 s", "0.250 s", "2.00 x", "+0.05 s", "+0 s", "missed"),
        ("lists", "61.00", "", "", "360.00", "", "must"),
    ]


def test_what_was_not_measured_is_no_row_and_no_verdict() -> None:
    """A run of some workloads shows these alone, without a word on ratios whose other side is missing."""
    figures = Figures()
    figures.add_latencies("late", [1.0, 3.0, 2.0])
    (row,) = results(figures)
    assert (row.target.figure, row.ours, row.ratio, row.verdict) == ("late.p50", 2.0, None, "")
    assert misses([row]) == []


def test_a_miss_says_by_how_much() -> None:
    """The factor is over the must."""
    target = Target("bulk", "ours", "peer", 2.0, 1.0)
    assert misses([Result(target, 6.0, 1.0)]) == ["bulk: misses its must by a factor of 3.00"]


def test_a_figure_is_the_median_of_its_samples_and_a_percentile_one_of_the_values() -> None:
    """Nearest rank: the 95th of twenty values is the nineteenth."""
    figures = _figures(bulk=3.0)
    figures.add("bulk", 1.0, 100.0)
    assert figures.value("bulk") == 3.0
    assert (percentile(range(1, 21), 95), percentile([7.0], 95)) == (19, 7.0)


def test_every_limit_belongs_to_one_row_and_no_aim_is_above_its_must() -> None:
    """Two rows with one title could not be told apart in the table."""
    assert len({target.title for target in TARGETS}) == len(TARGETS)
    assert [t.title for t in TARGETS if t.aim is not None and (t.must is None or t.aim > t.must)] == []


def test_workloads_come_in_the_order_of_the_plan_and_unknown_ones_are_named() -> None:
    """`--rows` and `--against` add their own workloads."""
    assert plan.chosen(["swarm", "bulk-2m"], None, None, quick=False) == ["bulk-2m", "swarm"]
    asked = plan.chosen([], 20_000_000, "HEAD", quick=True)
    assert asked == ["drip-200", "drip-10000", "against", "bulk-2m", "bulk-rows"]
    assert set(plan.WORKLOADS) - set(plan.chosen([], None, None, quick=False)) == plan.ONLY_IF_ASKED
    with pytest.raises(ValueError, match="no workload bulk-3m; there are drip-200"):
        plan.chosen(["bulk-3m"], None, None, quick=False)
    with pytest.raises(ValueError, match="--against COMMIT"):
        plan.chosen(["against"], None, None, quick=False)


def test_the_readme_tells_of_each_workload_and_each_peer() -> None:
    """A workload that nobody can read about is not found."""
    text = (ROOT / "bench" / "README.md").read_text()
    assert [name for name in plan.WORKLOADS if f"**{name}**" not in text] == []
    assert [name for name in ("peer.py", "peers/pathway_peer.py") if f"`{name}`" not in text] == []


def test_the_same_seed_gives_the_same_bytes_and_every_cell_as_often_as_was_asked(tmp_path: Path) -> None:
    """Ten files, rows in random order."""
    once, again = (data.shuffled(tmp_path / name, 1, 3, 5, 4, times=2) for name in ("a", "b"))
    assert [path.read_bytes() for path in once] == [path.read_bytes() for path in again]
    cells = pl.concat(pl.read_csv(path) for path in once).group_by("date", "id").len()
    days = [str(data.day(number)) for number in range(5, 9)]
    assert sorted(cells.rows()) == [(day, ticker, 2) for day in days for ticker in data.tickers(3)]


def test_no_price_moves_so_far_that_it_would_be_suspect(tmp_path: Path) -> None:
    """Else the bench would measure how suspects are kept, which real prices hardly have."""
    files = data.shuffled(tmp_path / "files", 1, 50, 0, 40)
    moves = peer.with_returns(files)["return"].drop_nulls().abs()
    assert (len(moves), moves.max() < 0.03, moves.min() < moves.max()) == (50 * 39, True, True)


def test_a_correction_names_a_cell_and_a_price_that_was_not_there(tmp_path: Path) -> None:
    """Prices of the history are whole cents."""
    day, ticker, price = data.corrections(tmp_path / "days" / "late.csv", 1, 3, 10, 5)
    rows = pl.read_csv(tmp_path / "days" / "late.csv", try_parse_dates=True).rows()
    assert (len(rows), rows[-1][:3]) == (5, (day, ticker, price))
    assert round(price, 2) != price


def test_a_dump_has_bars_in_order_of_date_and_at_least_its_size(tmp_path: Path) -> None:
    """Columns as a vendor names them; the first date is the one that was asked for."""
    frame = pl.read_csv(data.dump(tmp_path / "dump.csv", 1, 100_000, 1000, first=5), try_parse_dates=True)
    assert frame["date"][0] == data.day(5)
    assert frame.columns == ["date", "ticker", "open", "high", "low", "close", "volume"]
    assert (frame["date"].is_sorted(), frame.height) == (True, 100_000)


def test_the_peer_lets_the_last_row_win_and_its_tables_are_compared_bit_by_bit(
    tmp_path: Path, databases: Databases
) -> None:
    """A price that differs in its last bit is found, with its table, column and date."""
    (tmp_path / "a.csv").write_text("date,id,price,trade_volume\n2024-01-02,B,2,5\n2024-01-01,B,1,1\n")
    (tmp_path / "b.csv").write_text("date,id,price,trade_volume\n2024-01-02,B,3,6\n2024-01-02,A,4,7\n")
    uris = [databases.create(f"bench_test_{number}") for number in range(2)]
    for uri in uris:
        with contextlib.closing(psycopg2.connect(uri)) as connection:
            peer.load([tmp_path / "a.csv", tmp_path / "b.csv"], connection)
        returns = [(dt.date(2024, 1, 1), None, None), (dt.date(2024, 1, 2), None, 2.0)]
        assert _run(uri, 'SELECT date, "stk_A", "stk_B" FROM returns ORDER BY date') == returns
    assert compare.same(*uris) == 12
    _run(uris[1], "UPDATE prices SET \"stk_B\" = %s WHERE date = '2024-01-02' RETURNING 1", float(np.nextafter(3, 4)))
    with pytest.raises(compare.TablesDifferError, match=r"prices: 1 of 2 columns differ: stk_B .* 2024-01-02 3\.0"):
        compare.same(*uris)


def test_a_checkpoint_counts_each_new_file_once_with_its_last_size(tmp_path: Path) -> None:
    """Also one that has been deleted since; unfinished ones and those that were there before do not count."""
    (tmp_path / "before").write_text("1234")
    with checkpoint.Watch(tmp_path) as watch:
        (tmp_path / "delta").mkdir()
        (tmp_path / "delta" / "1").write_text("12")
        watch.look()
        (tmp_path / "delta" / "1").write_text("123")
        watch.look()
        (tmp_path / "delta" / "1").unlink()
        (tmp_path / ".2.tmp").write_text("12345")
        (tmp_path / ".stocketl-1-2.part").write_text("12345")
    assert (watch.files, watch.bytes) == (1, 3)


def test_stages_are_read_from_sparks_events_and_from_the_jobs_log() -> None:
    """An event covers many lines; lines of other kinds are passed over."""
    spark = ["x INFO MicroBatchExecution: Streaming query made progress: {", '  "batchId" : 3,']
    spark += ['  "durationMs" : {', '    "addBatch" : 1500,', '    "other" : 1', "  }", "}", "x INFO Other: {"]
    assert list(stages.spark_stages(spark)) == [(3, {"addBatch": 1.5})]
    job = ['{"message": "watching"}', "not JSON", '{"batch_id": 3, "seconds": {"collect": 0.5, "lake": 1}}']
    assert list(stages.job_stages(job)) == [(3, {"collect": 0.5, "lake": 1.0})]


def test_several_runs_are_one_table_with_their_spread() -> None:
    """The median of what is judged, its bounds, and each run's verdict; what one run has not measured is left out."""
    runs = []
    for ours in (1.0, 2.0, 0.8):
        figures = _figures(dense=ours)
        figures.add("dense.peer", 1.0)
        runs.append(figures)
    only_ours = _figures(dense=9.0)
    assert spread.lines([*runs, only_ours]) == [
        ("dense 10 M, over polars + COPY", "3", "1.00 x", "0.80 x to 2.00 x", "1.5 x", "1 x", "aim, missed, aim")
    ]


def test_what_a_failed_workload_wrote_is_kept(databases: Databases, tmp_path: Path) -> None:
    """Its data goes, the terminal and the logs of its processes stay until it fails again."""
    told: list[str] = []
    bench = Bench(tmp_path, databases, Sizes(), Figures(), 1, True, told.append)  # noqa: FBT003 (a field)

    def workload(text: str) -> None:
        with bench.room("drip-200") as room:
            (room.folder / "home" / "logs").mkdir(parents=True)
            (room.folder / f"{text}.out").write_text(text)
            (room.folder / "home" / "logs" / "spark.log").write_text(text)
            (room.folder / "home" / "prices.csv").write_text("1,2")
            raise ValueError(text)

    for text in ("first", "second"):
        with pytest.raises(ValueError, match=text):
            workload(text)
    kept = tmp_path / "failed-drip-200"
    found = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"failed-drip-200/second.out": "second", "failed-drip-200/home/logs/spark.log": "second"}
    assert told == [f"what the processes of drip-200 wrote is in {kept}"] * 2
