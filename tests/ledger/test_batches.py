"""The ledger: batches once, drops that reconcile, one writer, an outbox that forgets nothing."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import select
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
from ledger_rows import MODIFIED, Run, fact, query, record

from streaming.database.transactions import Transactions
from streaming.errors import CheckpointError, DatabaseError, SupersededError
from streaming.ledger import batches, outbox, writer
from streaming.ledger import tickers as placement
from streaming.ledger.drops import Reject, lines_before, next_seq
from streaming.storage.place import Version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streaming.packets import Fact


@pytest.fixture
def run(database: str) -> Iterator[Run]:
    """Runs a function in a transaction on a database with an empty ledger."""
    with contextlib.closing(Transactions(database, threading.Event())) as transactions:
        transactions.run(writer.create)
        yield transactions.run


DROPS = (
    "SELECT seq, status, reason, rows_read, rows_loaded, rows_duplicate, rows_rejected FROM stocketl.drops ORDER BY 1"
)


def test_a_batch_is_begun_once(run: Run) -> None:
    """A replay with the same list is told so; the row holds what finish_batch says."""
    assert run(lambda cur: batches.begin_batch(cur, "c", 0, 3, "d", 2))
    run(lambda cur: batches.finish_batch(cur, "c", 0, 42))
    assert not run(lambda cur: batches.begin_batch(cur, "c", 0, 4, "d", 2))
    assert query(run, "SELECT checkpoint_id, batch_id, epoch, drops, digest, cells FROM stocketl.batches") == [
        ("c", 0, 3, 2, "d", 42)
    ]
    assert query(run, "SELECT committed_at <= clock_timestamp() FROM stocketl.batches") == [(True,)]


def test_a_replay_with_another_list_is_refused(run: Run) -> None:
    """The message names the batch and both digests."""
    run(lambda cur: batches.begin_batch(cur, "c", 7, 1, "abc", 2))
    with pytest.raises(CheckpointError, match=r"batch 7 .*expected digest 'abc' \(2 drops\), got 'xyz' \(1 drops\)"):
        run(lambda cur: batches.begin_batch(cur, "c", 7, 1, "xyz", 1))


def test_last_batch_and_digests_are_those_of_the_newest(run: Run) -> None:
    """Nothing in an empty ledger; then the last batch of the newest epoch, and the last digests of one checkpoint."""
    assert run(batches.last_batch) is None
    for checkpoint, batch_id, epoch in (("old", 9, 1), ("c", 0, 2), ("c", 1, 2), ("c", 2, 3)):
        run(lambda cur, b=batch_id, c=checkpoint, e=epoch: batches.begin_batch(cur, c, b, e, f"{c}{b}", 1))
    assert run(batches.last_batch) == ("c", 2, "c2")
    assert run(lambda cur: batches.batch_digests(cur, "c", 2)) == {1: "c1", 2: "c2"}


def test_each_batch_is_notified_when_it_is_committed(run: Run, database: str) -> None:
    """A listener on `stocketl` gets the batch id."""
    with contextlib.closing(psycopg2.connect(database)) as listener:
        listener.autocommit = True
        with listener.cursor() as cur:
            cur.execute("LISTEN stocketl")
        record(run, 5, [fact(1, loaded=1)])
        assert select.select([listener], [], [], 10)[0] == [listener]
        listener.poll()
        assert [(note.channel, note.payload) for note in listener.notifies] == [("stocketl", "5")]


def test_a_drop_of_one_part_is_one_row_and_one_receipt(run: Run) -> None:
    """The row holds the facts, the receipt the same and its fate, reasons, ignored columns and first rejects."""
    reject = {"line": 3, "text": "x,y\x00\ud800", "reason": "bad-price"}
    given = fact(
        4,
        loaded=5,
        duplicate=2,
        rejected=1,
        version=None,
        ignored=["note"],
        first_date="2024-01-01",
        last_date="2024-02-01",
    )
    [body] = record(run, 0, [given], rejects={4: [reject]})
    assert {**body, "loaded_at": None} == {
        "seq": 4,
        "key": "4.csv",
        "etag": "e",
        "version_id": None,
        "size": 10,
        "last_modified": MODIFIED,
        "fate": "success",
        "status": "loaded",
        "reason": None,
        "rows_read": 8,
        "rows_loaded": 5,
        "rows_duplicate": 2,
        "rows_rejected": 1,
        "reasons": {"bad-price": 1},
        "ignored": ["note"],
        "rejects": [{"line": 3, "text": "x,y\\x00\\ud800", "reason": "bad-price"}],
        "first_date": "2024-01-01",
        "last_date": "2024-02-01",
        "content": "0000000000000000",
        "checkpoint_id": "c",
        "batch_id": 0,
        "loaded_at": None,
    }
    modified = dt.datetime.fromisoformat(MODIFIED)
    assert query(run, "SELECT * FROM stocketl.drops") == [
        (
            *(4, "4.csv", "e", None, 10, modified, "loaded", None, 8, 5, 2, 1),
            *(dt.date(2024, 1, 1), dt.date(2024, 2, 1), "c", 0, dt.datetime.fromisoformat(body["loaded_at"])),
            "0000000000000000",
        )
    ]
    assert run(lambda cur: outbox.unwritten_receipts(cur, "c", 0)) == [
        outbox.Receipt(4, "4.csv", "success", body, Version("4.csv", "e", None, 10, modified), None)
    ]


def _rejects(lines: range) -> list[Reject]:
    return [{"line": line, "text": "t", "reason": "r"} for line in lines]


def test_the_parts_of_a_drop_add_up_over_batches(run: Run) -> None:
    """It is `loading` until its last part; rows given again move from loaded to duplicate; lines are kept by batch."""
    first = fact(
        1, loaded=3, rejected=1, last=False, whole=False, first_date="2024-01-05", last_date="2024-01-09", ignored=["a"]
    )
    middle = fact(1, loaded=2, last=False, whole=False, start=10, first_date="2024-01-02", last_date="2024-01-03")
    last = fact(1, loaded=4, rejected=2, whole=False, start=20, ignored=["a", "b"])
    assert record(run, 0, [first, middle], rejects={1: _rejects(range(15))}) == []
    assert query(run, DROPS) == [(1, "loading", None, 6, 5, 0, 1)]
    assert run(lambda cur: outbox.unwritten_receipts(cur, "c", 9)) == []
    assert run(lambda cur: lines_before(cur, "c", 1, {1, 2})) == {1: 8}
    [body] = record(run, 1, [last], {1: 2}, {1: _rejects(range(100, 115))})
    assert query(run, DROPS) == [(1, "loaded", None, 12, 7, 2, 3)]
    assert (body["first_date"], body["last_date"]) == ("2024-01-02", "2024-01-09")
    assert (body["reasons"], body["ignored"], body["batch_id"]) == ({"bad-price": 3}, ["a", "b"], 1)
    assert [reject["line"] for reject in body["rejects"]] == [*range(15), *range(100, 105)]
    assert run(lambda cur: lines_before(cur, "c", 1, {1})) == {1: 8}
    assert run(lambda cur: lines_before(cur, "c", 2, {1})) == {1: 15}


@pytest.mark.parametrize(
    ("given", "status", "reason"),
    [
        (fact(1, failure="no-header: the first line is data"), "failed", "no-header: the first line is data"),
        (fact(1, rejected=3), "failed", "every row was rejected, 3 in all: bad-price 3"),
        (fact(1, rejected=3, duplicate=1, loaded=1), "loaded", None),
        (fact(1), "loaded", None),
    ],
)
def test_the_fate_of_a_drop(run: Run, given: Fact, status: str, reason: str | None) -> None:
    """Failed with its reason, failed when it has rows and each was rejected, else loaded, also with no rows."""
    [body] = record(run, 0, [given])
    assert (body["status"], body["reason"]) == (status, reason)
    assert body["fate"] == ("success" if status == "loaded" else "failed")
    assert query(run, "SELECT status, reason FROM stocketl.drops") == [(status, reason)]


def test_a_part_that_does_not_fit_the_ledger_is_refused(run: Run) -> None:
    """A seq that is finished already, and a drop that goes on without having begun."""
    record(run, 0, [fact(1, loaded=1)])
    with pytest.raises(CheckpointError, match=r"drop 1 .*part 0: expected nothing .*found loaded \(checkpoint c\)"):
        record(run, 1, [fact(1, loaded=1)])
    with pytest.raises(CheckpointError, match=r"drop 2 .*part 10: expected loading \(checkpoint c\).*found nothing"):
        record(run, 1, [fact(2, loaded=1, start=10)])
    assert query(run, DROPS) == [(1, "loaded", None, 1, 1, 0, 0)]


def test_counts_that_do_not_reconcile_are_refused_by_the_table(run: Run) -> None:
    """rows read = loaded + duplicate + rejected, whoever writes."""
    with pytest.raises(DatabaseError, match="rows_reconcile"):
        record(run, 0, [fact(1, loaded=1, rows_read=2)])


def test_the_outbox_keeps_a_drop_until_it_is_written_and_moved(run: Run) -> None:
    """By checkpoint and up to the batch that Spark has committed; the target of a move is kept before it begins."""

    def seqs(of: Callable[..., list[outbox.Receipt]], batch_id: int) -> list[tuple[int, str | None]]:
        return [(receipt.seq, receipt.moved_to) for receipt in run(lambda cur: of(cur, "c", batch_id))]

    record(run, 0, [fact(2, loaded=1), fact(1, failure="empty")])
    record(run, 1, [fact(3, loaded=1)])
    assert run(next_seq) == 4
    assert seqs(outbox.unwritten_receipts, 0) == [(1, None), (2, None)]
    assert run(lambda cur: outbox.unwritten_receipts(cur, "other", 9)) == []
    assert seqs(outbox.unmoved, 9) == []
    assert run(lambda cur: outbox.ended_versions(cur, ["2.csv", "3.csv"])) == set()
    run(lambda cur: outbox.receipt_written(cur, 2))
    assert run(lambda cur: outbox.ended_versions(cur, ["2.csv", "3.csv"])) == {("2.csv", "e", "v")}
    assert seqs(outbox.unwritten_receipts, 1) == [(1, None), (3, None)]
    run(lambda cur: outbox.move_intended(cur, 2, "2.csv.2"))
    assert seqs(outbox.unmoved, 0) == [(2, "2.csv.2")]
    run(lambda cur: outbox.moved(cur, 2))
    assert seqs(outbox.unmoved, 9) == []


def test_ten_thousand_drops_are_recorded_by_a_handful_of_statements(run: Run) -> None:
    """A folder full of one-row drops is one batch like any other."""
    assert len(record(run, 0, [fact(seq, loaded=1) for seq in range(1, 10_001)])) == 10_000
    assert query(run, "SELECT count(*), sum(rows_loaded) FROM stocketl.drops") == [(10_000, 10_000)]
    assert len(run(lambda cur: outbox.unwritten_receipts(cur, "c", 0))) == 10_000


@pytest.mark.parametrize(
    ("tickers", "asked", "found"),
    [
        (["007"], "7", "007"),
        (["007"], " 07 ", "007"),
        (["12345"], "0012345", "12345"),
        (["000"], "0", "000"),
        (["50", "050"], "50", "50"),
        (["BRK.B"], "BRK.B", "BRK.B"),
    ],
)
def test_series_finds_a_ticker_the_way_it_is_written_in_files(
    run: Run, tickers: list[str], asked: str, found: str
) -> None:
    """As it stands first, then as a number of three digits."""
    run(lambda cur: placement.place_tickers(cur, tickers, placement.plan(tickers, {})))
    prices = ", ".join(f'"stk_{ticker}"' for ticker in tickers)
    for table, kind in (("prices", "double precision"), ("returns", "double precision"), ("volume", "bigint")):
        columns = prices.replace(",", f" {kind},")
        run(lambda cur, made=f"CREATE TABLE {table} (date date PRIMARY KEY, {columns} {kind})": cur.execute(made))
        run(lambda cur, filled=f"INSERT INTO {table} (date) VALUES ('2024-01-01')": cur.execute(filled))  # noqa: S608 - three constants
    numbers = ", ".join(f'"stk_{ticker}" = {number}' for number, ticker in enumerate(tickers))
    run(lambda cur: cur.execute(f"UPDATE prices SET {numbers}"))  # noqa: S608 - this test's own ids
    want = float(tickers.index(found))
    assert query(run, "SELECT * FROM stocketl.series(%s)", asked) == [(dt.date(2024, 1, 1), want, None, None)]


def test_series_of_an_unknown_ticker_is_an_error(run: Run) -> None:
    """An empty chart would look like a ticker without prices."""
    with pytest.raises(DatabaseError, match="no ticker 'nope'"):
        query(run, "SELECT * FROM stocketl.series('nope')")


def test_create_is_safe_beside_itself(database: str) -> None:
    """Many at once make one ledger; none fails."""

    def make(_: int) -> None:
        with contextlib.closing(Transactions(database, threading.Event())) as transactions:
            transactions.run(writer.create)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(make, range(6)))
    with contextlib.closing(psycopg2.connect(database)) as connection, connection.cursor() as cur:
        cur.execute("SELECT epoch, wide_schema FROM stocketl.writer")
        assert cur.fetchall() == [(0, "public")]


def test_a_role_with_only_its_schemas_is_enough(run: Run, database: str) -> None:
    """No right on the database but CONNECT and TEMPORARY; without CREATE on the wide schema the message says so."""
    name = psycopg2.extensions.parse_dsn(database)["dbname"]
    query(run, f"DROP SCHEMA stocketl CASCADE; CREATE ROLE small_{name}; SELECT 1")

    def as_small(cur: Any) -> None:
        cur.execute(f"SET LOCAL ROLE small_{name}")
        writer.create(cur)
        cur.execute("CREATE TABLE prices (date date PRIMARY KEY)")

    with pytest.raises(DatabaseError, match=r"permission denied for database .*42501.*Least rights"):
        run(as_small)
    # until PostgreSQL 14 everybody might
    query(
        run, f"CREATE SCHEMA stocketl AUTHORIZATION small_{name}; REVOKE CREATE ON SCHEMA public FROM public; SELECT 1"
    )
    with pytest.raises(DatabaseError, match=r"permission denied for schema public .*42501.*Least rights"):
        run(as_small)
    query(run, f"GRANT CREATE ON SCHEMA public TO small_{name}; SELECT 1")
    run(as_small)


def test_the_newest_writer_wins(run: Run, database: str) -> None:
    """Each takeover is the next epoch; an older one is told who took over and gets no further."""
    assert [writer.take_over(database), writer.take_over(database)] == [1, 2]
    run(lambda cur: writer.check_epoch(cur, 2))
    with pytest.raises(SupersededError, match=r"epoch 2, process \d+ on .* This one \(epoch 1\) has stopped"):
        run(lambda cur: writer.check_epoch(cur, 1))


def test_two_transactions_of_one_writer_run_side_by_side(run: Run, database: str) -> None:
    """The receipts of a batch do not wait for the tables of the next one."""
    epoch = writer.take_over(database)
    with contextlib.closing(Transactions(database, threading.Event())) as other:

        def work(cur: Any) -> None:
            writer.check_epoch(cur, epoch)
            other.run(lambda inner: writer.check_epoch(inner, epoch))

        run(work)


def test_a_frozen_writer_in_its_transaction_does_not_hold_up_a_takeover(run: Run, database: str) -> None:
    """Its session is ended after lock_timeout, its locks are gone, and nothing of its transaction stays."""
    epoch = writer.take_over(database)
    with contextlib.closing(psycopg2.connect(database)) as frozen, frozen.cursor() as cur:
        writer.check_epoch(cur, epoch)
        batches.begin_batch(cur, "c", 0, epoch, "d", 1)
        cur.execute("LOCK TABLE stocketl.drops IN ACCESS EXCLUSIVE MODE")
        assert writer.take_over(database) == epoch + 1
        record(run, 0, [fact(1, loaded=1)])
        with pytest.raises(psycopg2.OperationalError):
            cur.execute("SELECT 1")
    assert query(run, "SELECT digest FROM stocketl.batches") == [("digest 0",)]


def test_a_receipt_is_json(run: Run) -> None:
    """What is put beside the files can be read by anything."""
    [body] = record(run, 0, [fact(1, loaded=1, key="ä %s' \".csv")])
    [receipt] = run(lambda cur: outbox.unwritten_receipts(cur, "c", 0))
    assert json.loads(json.dumps(receipt.body)) == body
