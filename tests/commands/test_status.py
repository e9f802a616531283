"""`stocketl status`: one screen of facts, the same as JSON, plain words where there is nothing yet."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from loaded_home import LoadedHome

import streaming.commands.status
from streaming.commands.status import status
from streaming.commands.status_screen import show
from streaming.home.sign import as_last_run, read_document, sign_of_life
from streaming.ledger import writer
from streaming.screen import age, as_json
from streaming.settings import load
from streaming.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HEADER = "date,id,price,trade_volume\n"


@pytest.fixture
def home(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoadedHome]:
    monkeypatch.setenv("COLUMNS", "100")
    made = LoadedHome(load(environment=False, home=str(tmp_path / "home"), database=database))
    yield made
    made.close()


@contextlib.contextmanager
def running_job(home: LoadedHome) -> Iterator[None]:
    """This process as the job of the home: its sign of life, its epoch, its session."""
    with sign_of_life(home.settings):
        wait_until(lambda: (read_document(home.settings.home) or {}).get("ended_at", "") == "")
        writer.take_over(home.settings.database or "")
        yield


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_facts_of_a_home_in_use(home: LoadedHome) -> None:
    """Loaded, failed and waiting drops, rows, tickers, dates, tables and the last drops."""
    home.load("one.csv", HEADER + "2024-01-02,7,100,10\n2024-01-02,7,101,\n2024-01-03,8,5,1\n2024-01-03,8,-5,1\n")
    home.load("two.csv", "no header\n")
    (home.settings.home / "input" / "three.csv").write_text(HEADER)
    facts = json.loads(as_json(status(home.settings)))
    batch = facts.pop("last_batch")
    assert (batch["batch_id"], batch["drops"], batch["cells"]) == (2, 1, 0)
    assert 0 <= batch["age_seconds"] < 60
    tables = facts.pop("tables")
    assert [table["name"] for table in tables] == ["prices", "returns", "volume"]
    assert all(table["bytes"] > 0 for table in tables)
    drops = [
        (d["seq"], d["key"], d["fate"], d["rows_read"], d["rows_rejected"], d["moved_to"])
        for d in facts.pop("last_drops")
    ]
    failed, success = home.settings.failed, home.settings.success
    assert drops == [
        (2, "two.csv", "failed", 0, 0, f"{failed}/two.csv"),
        (1, "one.csv", "success", 4, 1, f"{success}/one.csv"),
    ]
    assert facts.pop("job")["running"] is False
    assert facts.pop("oldest_waiting_seconds") >= 0
    lately = facts.pop("failed_lately")
    assert lately["count"] == 1
    for when in (batch["committed_at"], lately["first"]):
        assert datetime.fromisoformat(when).utcoffset() == timedelta(0)
        assert "T" in when
    assert [sentence.split(";")[0].split(" since ")[0] for sentence in facts.pop("look_at")] == [
        "no job is running",
        "1 drop has failed",
    ]
    assert facts == {
        "home": str(home.settings.home),
        "database": home.settings.database,
        "input": home.settings.input,
        "input_trouble": None,
        "overdue": [],
        "passed_over": {"count": 0, "first": []},
        "state": "ready",
        "said": None,
        "verdict": "needs-a-look",
        "exit_code": 3,
        "loading": [],
        "under_way": None,
        "audit": None,
        "drops": {"waiting": 1, "loading": 0, "success": 1, "failed": 1},
        "rows": {"read": 4, "loaded": 2, "duplicate": 1, "rejected": 1},
        "cells": {
            "cells_new": 2,
            "cells_changed": 0,
            "cells_same": 0,
            "returns_rewritten": 0,
            "tickers_new": 2,
            "unknown": 0,
        },
        "tickers": 2,
        "dates": {"count": 2, "first": "2024-01-02", "last": "2024-01-03"},
    }


def test_the_screen_fits_a_narrow_terminal(
    home: LoadedHome, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """60 columns show everything, long keys wrapped, control characters of a key harmless."""
    monkeypatch.setenv("COLUMNS", "60")
    home.load("a/rather/long/folder/and/a/name/with/escape\x1b[2J.csv", "no header\n")
    home.load("one.csv", HEADER + "2024-01-02,7,100,10\n")
    show(status(home.settings))
    out = capsys.readouterr().out
    assert max(len(line) for line in out.splitlines()) <= 60
    assert "\x1b" not in out
    assert "1 success, 1 failed, 0 waiting" in " ".join(out.split())
    assert re.search(r"last batch +2, \d+ s ago", out)
    assert "1 ticker, 1 date, 2024-01-02 to 2024-01-02" in " ".join(out.split())
    assert "escape\\x1b[" in "".join(out.split())


def test_drops_that_are_older_than_the_counts_are_told(home: LoadedHome, capsys: pytest.CaptureFixture[str]) -> None:
    """The others are added up, and the way to the missing ones is named; an older ledger knows none of them."""
    home.load("one.csv", HEADER + "2024-01-02,7,100,10\n")
    home.load("two.csv", HEADER + "2024-01-02,7,101,10\n2024-01-03,7,101,10\n")
    home.change("UPDATE stocketl.drops SET cells_new = NULL, cells_changed = NULL WHERE seq = 1")
    show(status(home.settings))
    out = " ".join(capsys.readouterr().out.split())
    assert "cells 1 new, 1 changed, 0 same; 0 returns rewritten; not known of 1 drop, see `stocketl fill`" in out
    assert "one.csv success 1 ? 0" in out
    home.change("DROP VIEW stocketl.corrections; ALTER TABLE stocketl.drops DROP cells_new CASCADE")
    home.change("ALTER TABLE stocketl.drops DROP cells_changed")
    facts = status(home.settings)
    assert (facts["cells"], facts["last_drops"][0]["cells_new"]) == (None, None)


def test_a_drop_that_still_lies_in_the_input_is_not_waiting(home: LoadedHome) -> None:
    """A file that is loaded and not moved yet is known; one that is put there again after its move is waiting."""
    home.load("one.csv", HEADER + "2024-01-02,7,100,10\n", move=False)
    assert status(home.settings)["drops"]["waiting"] == 0
    home.load("two.csv", HEADER)
    assert status(home.settings)["drops"]["waiting"] == 0
    (home.settings.home / "success" / "one.csv").rename(home.settings.home / "input" / "one.csv")
    assert status(home.settings)["drops"]["waiting"] == 1


def test_an_empty_database_says_so(home: LoadedHome, capsys: pytest.CaptureFixture[str]) -> None:
    """The ledger is there, no batch is."""
    facts = status(home.settings)
    assert (facts["state"], facts["last_batch"], facts["last_drops"]) == ("no-batch", None, [])
    show(facts)
    assert re.search(r"last batch +none yet", capsys.readouterr().out)


def test_no_database_is_said_and_none_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A look at a new home changes nothing, and still counts what waits."""
    (tmp_path / "input").mkdir()
    (tmp_path / "input" / "one.csv").write_text(HEADER)
    facts = status(load(environment=False, home=str(tmp_path)))
    assert (facts["state"], facts["drops"], facts["exit_code"]) == ("no-database", {"waiting": 1}, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["input"]
    show(facts)
    said = " ".join(capsys.readouterr().out.split())
    assert "there is no database in" in said
    assert "stocketl run --home" in said
    assert "1 waiting in" in said


def test_a_database_without_a_ledger_is_said(database: str, tmp_path: Path) -> None:
    """A database of one's own that no job has used yet."""
    facts = status(load(environment=False, home=str(tmp_path), database=database))
    assert facts["state"] == "no-database"
    assert facts["said"] == f"no job has used this database yet ({database}); `stocketl run` begins"


def test_a_job_that_runs_is_told_first_and_all_is_well(home: LoadedHome, capsys: pytest.CaptureFixture[str]) -> None:
    """Its process, host, start and home; exit code 0; nothing to look at."""
    home.load("one.csv", HEADER + "2024-01-02,7,100,10\n")
    with running_job(home):
        facts = status(home.settings)
    assert (facts["exit_code"], facts["verdict"], facts["look_at"]) == (0, "well", [])
    show(facts)
    first = " ".join(capsys.readouterr().out.split()).partition(" database ")[0]
    started = facts["job"]["started_at"].strftime("%Y-%m-%d %H:%M:%S UTC")
    where = f"process {os.getpid()} on {socket.gethostname()} since {started}, home {home.settings.home}"
    assert first == f"job running: {where}"


def test_a_job_that_does_not_run_is_told_first_with_the_way_to_start_it(
    home: LoadedHome, capsys: pytest.CaptureFixture[str]
) -> None:
    """Last seen by its last batch; the command to start it can be pasted; exit code 3."""
    with running_job(home):
        pass
    home.load("one.csv", HEADER + "2024-01-02,7,100,10\n")
    home.change(
        "UPDATE stocketl.writer SET epoch = 1, host = 'db-2', process_id = 7, started_at = now() - interval '1 h'"
    )
    home.change("UPDATE stocketl.batches SET committed_at = clock_timestamp() - interval '18 min'")
    (home.settings.home / ".job.json").unlink()
    facts = status(home.settings)
    assert (facts["exit_code"], facts["verdict"]) == (3, "needs-a-look")
    show(facts)
    first = " ".join(capsys.readouterr().out.split()).partition(" database ")[0]
    assert first.startswith(
        "job NOT running, last seen 18 min ago (process 7 on db-2); start it: stocketl run --home /"
    )


def test_a_job_is_started_again_with_the_options_that_it_had(home: LoadedHome) -> None:
    """Beside the home; the value of a number and of what may hold a secret is left to the person."""
    given = {"calendar": "XNYS", "expect_by": "18:30 America/New_York", "settle": 3.0, "lake": None, "text_ids": True}
    with sign_of_life(home.settings.model_copy(update=given)):
        pass
    start = status(home.settings)["job"]["start"]
    assert start.endswith(
        " --lake none --database … --settle … --text-ids --calendar XNYS --expect-by '18:30 America/New_York'"
        " (… as before)"
    )


def test_tables_that_an_audit_has_found_changed_need_a_look(
    home: LoadedHome, capsys: pytest.CaptureFixture[str]
) -> None:
    """The newest audit counts; before the first one nothing is said."""
    home.load("one.csv", HEADER + "2024-01-02,7,100,10\n")
    with running_job(home):
        assert status(home.settings)["audit"] is None
        for problem, code in ((None, 0), ("bucket 1 is another one (1 in all)", 3), (None, 0)):
            found = "NULL" if problem is None else f"'{problem}'"
            home.change(f"INSERT INTO stocketl.audits (batch_id, cells, seconds, problem) VALUES (0, 1, 0, {found})")  # noqa: S608 - as above
            facts = status(home.settings)
            show(facts)
            shown = " ".join(capsys.readouterr().out.split())
            assert (facts["exit_code"], "1 cell agree" in shown) == (code, problem is None)
            assert (problem is None) or problem in shown


def test_a_failed_drop_needs_a_look_until_its_name_is_loaded(home: LoadedHome) -> None:
    """Or until a day has passed."""
    home.load("one.csv", "no header\n")
    with running_job(home):
        assert [status(home.settings)["exit_code"]] == [3]
        home.change("UPDATE stocketl.drops SET loaded_at = now() - interval '25 h'")
        assert [status(home.settings)["exit_code"]] == [0]
        home.change("UPDATE stocketl.drops SET loaded_at = now()")
        home.load("one.csv", HEADER + "2024-01-02,7,100,10\n")
        assert [status(home.settings)["exit_code"]] == [0]


def test_a_drop_that_waits_for_long_needs_a_look_and_an_old_file_that_has_just_come_does_not(
    home: LoadedHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What counts is since when it lies there, and since when no batch was committed."""
    waits = home.settings.home / "input" / "late.csv"
    with running_job(home):
        home.load("one.csv", HEADER + "2024-01-02,7,100,10\n")
        home.change("UPDATE stocketl.batches SET committed_at = clock_timestamp() - interval '18 min'")
        waits.write_text(HEADER)
        os.utime(waits, (1_700_000_000, 1_700_000_000))
        assert status(home.settings)["look_at"] == []
        monkeypatch.setattr(streaming.commands.status, "_came", lambda _settings, version: version.modified)
        (told,) = status(home.settings)["look_at"]
    assert told.startswith("a drop has waited for ")
    assert told.endswith(" days, and no batch was committed for 18 min")


def test_what_the_job_waits_for_is_told_and_needs_a_look_after_some_time(
    home: LoadedHome, capsys: pytest.CaptureFixture[str]
) -> None:
    """A lock of two seconds is nothing; half a minute is."""
    now = [0.0]
    wait = Waiting("PostgreSQL", clock=lambda: now[0])
    for passed, code in ((2.0, 0), (40.0, 3)):
        wait.failed("the lock of prices [55P03]")
        now[0] = passed
        with running_job(home):
            facts = status(home.settings)
        assert facts["exit_code"] == code
        show(facts)
        assert f"waits for PostgreSQL for {passed:.0f} s" in " ".join(capsys.readouterr().out.split())
    wait.over()


def test_a_drop_that_is_loading_shows_its_bytes_and_the_time_left(
    home: LoadedHome, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the pace of its batches so far."""
    home.change(
        """
        INSERT INTO stocketl.batches SELECT 'c', n, 1, 1, 'd', 1, clock_timestamp() - (13 - n) * interval '10 s'
        FROM generate_series(10, 13) n
        """
    )
    body = {
        "seq": 1,
        "key": "big.csv",
        "etag": "e",
        "size": 1_000_000_000,
        "last_modified": "2024-01-02",
        "end": 4 * 10**8,
    }
    body |= {"status": "loading", "checkpoint_id": "c", "batch_id": 13, "first_end": 10**8}
    rows_of = ("rows_read", "rows_loaded", "rows_duplicate", "rows_rejected", "rows_passed_over")
    body |= dict.fromkeys((*rows_of, "conflicts", "volume_unreadable"), 0) | {"reading": "2"}
    rows = json.dumps(body)
    home.change(f"INSERT INTO stocketl.drops SELECT * FROM jsonb_populate_record(NULL::stocketl.drops, '{rows}')")  # noqa: S608
    home.change(f"INSERT INTO stocketl.receipts VALUES (1, '{rows}', '{{\"10\": 1, \"13\": 1}}')")  # noqa: S608
    facts = status(home.settings)
    (drop,) = facts["loading"]
    assert (drop["done"], drop["size"]) == (400_000_000, 1_000_000_000)
    assert 0 < drop["seconds_left"] <= 60
    show(facts)
    assert re.search(
        r"loading big.csv: 400.0 MB of 1.0 GB, about \d+ s left", " ".join(capsys.readouterr().out.split())
    )


def test_the_batch_under_way_is_told_while_a_job_runs(home: LoadedHome, capsys: pytest.CaptureFixture[str]) -> None:
    """Before its commit the ledger knows nothing of it; a damaged log is no matter of `status`."""
    offsets = home.settings.home / "checkpoint" / "offsets"
    offsets.mkdir(parents=True)
    spans = [
        [n, f"{n}.csv", "e", None, 3_000_000, "2024-01-02T03:04:05+00:00", 0, 1_500_000, False] for n in range(1, 6)
    ]
    offset = json.dumps({"seq": 5, "drops": spans, "lying": {}})
    (offsets / "7").write_text(f"v1\n{{}}\n{offset}\n")
    assert status(home.settings)["under_way"] is None
    with running_job(home):
        facts = status(home.settings)
        (offsets / "8").write_text("v1\n")
        assert status(home.settings)["under_way"] is None
    show(facts)
    said = " ".join(capsys.readouterr().out.split())
    assert re.search(r"at work on batch 7 for \d+ s: 5 drops, 7.5 MB \(1.csv, 2.csv, 3.csv …\)", said)


def test_a_database_that_is_down_leaves_the_job_to_its_home(
    home: LoadedHome, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first line still says that the job runs; the rest cannot be told, in one line and exit code 1."""
    away = home.settings.model_copy(update={"database": "postgresql://me:secret@127.0.0.1:1/x"})
    with sign_of_life(away):
        wait_until(lambda: read_document(away.home))
        facts = status(away)
    assert (facts["state"], facts["exit_code"], facts["verdict"]) == ("unreachable", 1, "cannot-tell")
    show(facts)
    told = capsys.readouterr()
    assert " ".join(told.out.split()).startswith(f"job running: process {os.getpid()} on ")
    assert len(facts["said"].splitlines()) == 1
    assert "secret" not in told.out + facts["said"]


def test_the_last_batch_is_the_newest_one_though_the_clock_was_set_back(home: LoadedHome) -> None:
    """An older one has a later time then, until that time has come again."""
    home.load("a.csv", "date,id,price,trade_volume\n2024-01-02,A,1,1\n")
    home.change("UPDATE stocketl.batches SET committed_at = clock_timestamp() + interval '1 hour'")
    seq = home.load("b.csv", "date,id,price,trade_volume\n2024-01-03,A,1,1\n")
    assert status(home.settings)["last_batch"]["batch_id"] == seq


def test_the_places_of_the_last_job_are_used(tmp_path: Path) -> None:
    """`status --home H` looks at the input that the job of H watches, unless another one is named."""
    home = str(tmp_path / "home")
    (tmp_path / "in").mkdir()
    with sign_of_life(load(environment=False, home=home, input=str(tmp_path / "in"))):
        wait_until(lambda: read_document(tmp_path / "home"))
    assert as_last_run(load(environment=False, home=home)).input == str(tmp_path / "in")
    assert as_last_run(load(environment=False, home=home, input=str(tmp_path / "x"))).input == str(tmp_path / "x")


def test_what_is_named_counts_even_if_it_is_the_default(tmp_path: Path) -> None:
    """`--lake none` and the home's own folders may be named; a job without a lake has none."""
    home, outside = tmp_path / "home", str(tmp_path / "out")
    with sign_of_life(load(environment=False, home=str(home), success=outside, lake="none")):
        wait_until(lambda: read_document(home))
    settings = load(environment=False, home=str(home))
    last, named = as_last_run(settings), as_last_run(settings, ["success", "lake"])
    assert (last.success, last.lake) == (outside, None)
    assert (named.success, named.lake) == (f"{home}/success", f"{home}/lake")


def test_a_rebuild_leaves_the_home_its_input(tmp_path: Path) -> None:
    """It loads from a folder of its own, where nobody drops anything."""
    home, watched = tmp_path / "home", str(tmp_path / "in")
    for place in (watched, f"{home}/old-20260101_000000/again"):
        with sign_of_life(load(environment=False, home=str(home), input=place)):
            wait_until(lambda: read_document(home))
        assert as_last_run(load(environment=False, home=str(home))).input == watched
        (home / ".job.lock").unlink()


def test_a_home_that_was_moved_is_looked_at_where_it_is(tmp_path: Path) -> None:
    """Its places move along, those outside stay; its embedded database is still its own."""
    home, outside = tmp_path / "home", str(tmp_path / "in")
    with sign_of_life(load(environment=False, home=str(home), input=outside, receipts=str(home / "told"))):
        wait_until(lambda: read_document(home))
    home.rename(tmp_path / "moved")
    settings = as_last_run(load(environment=False, home=str(tmp_path / "moved")))
    places = (settings.input, settings.receipts, settings.success)
    assert places == (outside, f"{tmp_path}/moved/told", f"{tmp_path}/moved/success")
    facts = status(settings)
    assert (facts["job"]["ended"], facts["said"].partition(" yet;")[0]) == (
        True,
        f"there is no database in {tmp_path}/moved/postgres",
    )


def test_a_home_whose_job_uses_another_database_says_so(tmp_path: Path) -> None:
    """Without --database there is nothing to see, and the way to see it is told, without the password."""
    uri = "postgresql://me:secret@db/stocks"
    with sign_of_life(load(environment=False, home=str(tmp_path / "home"), database=uri)):
        wait_until(lambda: read_document(tmp_path / "home"))
    told = status(load(environment=False, home=str(tmp_path / "home")))["said"]
    used = "uses the database postgresql://me:***@db/stocks; give it with --database"
    assert told == f"the job of {tmp_path}/home {used}"


@pytest.mark.parametrize(
    ("seconds", "text"), [(-0.1, "0 s"), (3.4, "3 s"), (300, "5 min"), (10_800, "3 h"), (864_000, "10 days")]
)
def test_ages_read_as_a_person_says_them(seconds: float, text: str) -> None:
    """The unit fits the size."""
    assert age(seconds) == text
