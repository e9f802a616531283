"""`stocketl rebuild`: what is loaded again, in which order, what is set aside, and how it goes on."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
from job_process import command, drop
from loaded_home import LoadedHome
from outcome import folders, rows

from streaming.errors import CheckpointError, DatabaseError, StockETLError, StorageError
from streaming.home.rebuild_journal import refuse_other_runs
from streaming.home.sign import sign_of_life
from streaming.rebuild import database as rebuild_database
from streaming.rebuild import files as rebuild_files
from streaming.rebuild import rebuild
from streaming.settings import load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streaming.settings import Settings

HEADER = "date,id,price,trade_volume\n"
STAMP = "20260101_000000"


@pytest.fixture
def settings(tmp_path: Path, database: str) -> Settings:
    """A home of its own, with a database."""
    return load(environment=False, home=str(tmp_path / "home"), database=database)


@pytest.fixture
def home(settings: Settings) -> Iterator[LoadedHome]:
    """Loaded without Spark."""
    made = LoadedHome(settings)
    with contextlib.closing(made):
        yield made


@contextlib.contextmanager
def cursor(database: str | None) -> Iterator[Any]:
    connection = psycopg2.connect(database)
    with contextlib.closing(connection), connection, connection.cursor() as cur:
        yield cur


def row(day: int, price: int, ticker: str = "A") -> str:
    return f"{HEADER}2024-01-{day:02d},{ticker},{price},1\n"


def ordered(settings: Settings) -> tuple[rebuild_files.Asides, rebuild_files.Order]:
    asides = rebuild_files.Asides(settings, STAMP)
    with cursor(settings.database) as cur:
        return asides, rebuild_files.order(asides, rebuild_database.drops(cur, STAMP))


def set_aside(settings: Settings) -> tuple[rebuild_files.Asides, rebuild_files.Order]:
    """All steps but the loading."""
    asides = rebuild_files.Asides(settings, STAMP)
    with cursor(settings.database) as cur:
        rebuild_database.set_aside(cur, STAMP)
        drops = rebuild_database.drops(cur, STAMP)
    rebuild_files.move(asides)
    made = rebuild_files.order(asides, drops)
    rebuild_files.fill(asides, made, {})
    rebuild_files.settle_input(asides, drops)
    return asides, made


def in_order(folder: Path) -> list[tuple[str, bytes]]:
    """Name and content of the files, as the job would load them."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    paths.sort(key=lambda path: (path.stat().st_mtime_ns // 1000, path.relative_to(folder).as_posix()))
    return [(path.relative_to(folder).as_posix(), path.read_bytes()) for path in paths]


def test_files_are_loaded_again_in_the_ledgers_order_whatever_their_times(home: LoadedHome) -> None:
    """A file that was dropped late with an old time, one of the future, one name twice, a name that sorts first."""
    contents = [("z.csv", row(2, 1)), ("a.csv", row(2, 2)), ("z.csv", row(2, 3)), ("deep/b.csv", row(2, 4))]
    for key, content in contents:
        home.load(key, content)
    success = Path(home.settings.success)
    for name, at in (("z.csv", 1_700_000_000), ("a.csv", 1_600_000_000), ("z.3.csv", 1_700_000_000)):
        os.utime(success / name, (at, at))
    asides, _ = set_aside(home.settings)
    names = ["z.csv", "a.csv", "z.3.csv", "deep/b.csv"]
    assert in_order(asides.again) == [
        (name, content.encode()) for name, (_, content) in zip(names, contents, strict=True)
    ]
    future = time.time() + 10_000
    os.utime(asides.success / "a.csv", (future, future))
    rebuild_files.fill(asides, ordered(home.settings)[1], {})
    assert [name for name, _ in in_order(asides.again)] == names
    assert max(path.stat().st_mtime for path in asides.again.rglob("*.csv")) < time.time()


def test_without_a_ledger_the_order_is_that_of_the_files_times(settings: Settings) -> None:
    """The database is lost: a loaded file has the time that it was dropped with."""
    for number, name in enumerate(["c.csv", "a.csv", "b.csv"]):
        drop(Path(settings.success), name, name.encode(), number)
    asides, made = set_aside(settings)
    assert [name for name, _ in in_order(asides.again)] == ["c.csv", "a.csv", "b.csv"]
    assert made.extra == 0


def test_what_is_gone_and_what_nobody_knows_is_told(home: LoadedHome) -> None:
    """A file that was taken out of success/, and one that somebody put there."""
    home.load("a.csv", row(2, 1))
    home.load("b.csv", row(3, 1))
    success = Path(home.settings.success)
    (success / "a.csv").rename(success / "renamed.csv")
    _, made = ordered(home.settings)
    assert [drop.key for drop in made.missing] == ["a.csv"]
    assert [name for name, _ in made.files] == ["b.csv", "renamed.csv"]
    assert made.extra == 1
    with pytest.raises(StockETLError, match="--without-missing"):
        rebuild.run(home.settings, yes=True, dry_run=False, without_missing=False)
    assert not (home.settings.home / "rebuild.json").exists()


def test_a_loaded_file_that_was_not_moved_yet_is_loaded_again_in_its_place(home: LoadedHome) -> None:
    """From its claim, since its producer may have written another one over it; the other one waits as before."""
    home.load("a.csv", row(2, 1))
    home.load("b.csv", row(2, 2), move=False)
    home.load("c.csv", row(2, 3), move=False)
    source = Path(home.settings.input)
    drop(source, "b.csv", b"newer")
    asides, _ = set_aside(home.settings)
    assert [name for name, _ in in_order(asides.again)] == ["a.csv", "b.csv", "c.csv"]
    assert in_order(source) == [("b.csv", b"newer")]
    assert (asides.input / "c.csv").read_text() == row(2, 3)


def test_a_home_that_was_copied_without_its_times_still_knows_what_it_had_loaded(home: LoadedHome) -> None:
    """The claim of a drop that was not moved yet is the drop's own; the file in the input may be another one by now."""
    home.load("a.csv", row(2, 1))
    home.load("b.csv", row(2, 2), move=False)
    source = Path(home.settings.input)
    for path in (source / "b.csv", source / ".claims" / "2"):
        os.utime(path)
    asides, made = set_aside(home.settings)
    assert made.missing == []
    assert in_order(asides.again) == [("a.csv", row(2, 1).encode()), ("b.csv", row(2, 2).encode())]
    assert in_order(source) == [("b.csv", row(2, 2).encode())]


def test_a_disk_that_is_full_meanwhile_is_told_and_the_same_command_goes_on(
    home: LoadedHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of another disk are copied: with room again the rebuild ends as if nothing had been."""
    home.load("a.csv", row(2, 1))
    home.close()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(rebuild_files.crash_safe, "link_or_copy", full)
        with pytest.raises(StorageError, match=r"goes on afterwards.*: No space left .*free some space"):
            rebuild.run(home.settings, yes=True, dry_run=False, without_missing=False)
    monkeypatch.setattr(rebuild, "_load", lambda *_, **__: None)
    monkeypatch.setattr(rebuild, "_verified", lambda _: True)
    monkeypatch.setattr(rebuild, "_unchanged", lambda *_: True)
    assert rebuild.run(home.settings, yes=True, dry_run=False, without_missing=False) == 0
    (done,) = home.settings.home.glob("old-*")
    assert json.loads((done / "rebuild.json").read_text())["phase"] == "loaded"
    assert (done / "success" / "a.csv").read_text() == row(2, 1)


def test_a_claim_is_put_back_only_where_its_file_is_gone(home: LoadedHome) -> None:
    """Admitted and not loaded: the claim may be the last copy."""
    source, settings = Path(home.settings.input), home.settings
    home.load("a.csv", row(2, 1))
    waiting = drop(source, "waits.csv", b"waits", 1)
    (source / ".claims").mkdir(exist_ok=True)
    (source / ".claims" / "7").write_bytes(waiting.read_bytes())
    os.utime(source / ".claims" / "7", ns=(waiting.stat().st_mtime_ns,) * 2)
    (source / ".claims" / "8").write_bytes(b"the last copy")
    set_aside(settings)
    assert sorted(in_order(source)) == [("claim-8.csv", b"the last copy"), ("waits.csv", b"waits")]


def test_tables_and_ledger_are_kept_and_their_names_are_free(home: LoadedHome) -> None:
    """All of it in one transaction; other people's tables of the schema stay."""
    home.load("a.csv", row(2, 1))
    with cursor(home.settings.database) as cur:
        cur.execute("CREATE TABLE prices_9 (date date, note text); CREATE TABLE mine (i int)")
        rebuild_database.set_aside(cur, STAMP)
        rebuild_database.set_aside(cur, STAMP)
        cur.execute(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema !~ '^(pg_|info)'"
        )
        found = cur.fetchall()
        assert {name for schema, name in found if schema == "public"} == {"prices_9", "mine"}
        kept = {name for schema, name in found if schema == f"stocketl_old_{STAMP}"}
        assert {"drops", "receipts", "prices", "returns", "volume"} <= kept
        cur.execute(f'SELECT "stk_A" FROM stocketl_old_{STAMP}.prices')  # noqa: S608 (a constant)
        assert cur.fetchall() == [(1.0,)]
        assert [drop.key for drop in rebuild_database.drops(cur, STAMP) or ()] == ["a.csv"]


def test_readers_keep_their_right_to_the_schema(home: LoadedHome) -> None:
    """Tables get theirs by ALTER DEFAULT PRIVILEGES; the schema itself is a new one."""
    with cursor(home.settings.database) as cur:
        cur.execute("DROP ROLE IF EXISTS rebuild_reader; CREATE ROLE rebuild_reader")
        cur.execute("GRANT USAGE ON SCHEMA stocketl TO rebuild_reader")
        rebuild_database.set_aside(cur, STAMP)
        cur.execute("SELECT has_schema_privilege('rebuild_reader', 'stocketl', 'USAGE')")
        assert cur.fetchall() == [(True,)]
        cur.execute("DROP OWNED BY rebuild_reader; DROP ROLE rebuild_reader")


def test_a_role_that_may_not_is_told_what_the_owner_has_to_do(home: LoadedHome) -> None:
    """Nothing is changed until then."""
    home.load("a.csv", row(2, 1))
    with cursor(home.settings.database) as cur:
        cur.execute("DROP ROLE IF EXISTS rebuild_poor; CREATE ROLE rebuild_poor")
        cur.execute("GRANT USAGE ON SCHEMA stocketl TO rebuild_poor; GRANT SELECT ON stocketl.writer TO rebuild_poor")
        cur.connection.commit()
        cur.execute("SET ROLE rebuild_poor")
        cur.connection.commit()
        with pytest.raises(DatabaseError, match=f"ALTER SCHEMA stocketl RENAME TO stocketl_old_{STAMP}; ALTER TABLE"):
            rebuild_database.set_aside(cur, STAMP)
        cur.execute("RESET ROLE; DROP OWNED BY rebuild_poor; DROP ROLE rebuild_poor")
        assert rebuild_database.tables(cur).wide == ["prices", "returns", "volume"]


def test_a_plan_changes_nothing_and_names_every_step(home: LoadedHome, capsys: pytest.CaptureFixture[str]) -> None:
    """What is moved where, how many files, by which order, and which views stay behind."""
    home.load("a.csv", row(2, 1))
    home.change("CREATE VIEW dashboard AS SELECT * FROM prices")
    before = folders(home.settings.home), rows(home.settings.database or "", "SELECT * FROM stocketl.drops")
    assert rebuild.run(home.settings, yes=False, dry_run=True, without_missing=False) == 0
    told = capsys.readouterr().out
    for part in ("schema stocketl", "prices, returns, volume", "dashboard", "1 loaded files", "in the ledger's order"):
        assert part in told
    assert f"{home.settings.success} -> {home.settings.home}/old-" in told
    assert (folders(home.settings.home), rows(home.settings.database or "", "SELECT * FROM stocketl.drops")) == before


def test_a_file_that_was_edited_since_it_was_loaded_is_named(
    home: LoadedHome, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tables agree with the files then, so nobody else would say a word."""
    for name, price in (("a.csv", 1), ("b.csv", 2), ("d\n.csv", 3)):
        home.load(name, row(price, price))
    asides, made = set_aside(home.settings)
    files = {name: path.read_text() for name, path in made.files}
    (asides.success / "b.csv").write_text(row(2, 9))
    files["b.csv"] = row(2, 9)
    with contextlib.closing(LoadedHome(home.settings)) as again:
        for name, content in files.items():
            again.load(name, content)
    assert not rebuild._unchanged(home.settings, asides)  # noqa: SLF001 - after the loading, which needs Spark
    assert capsys.readouterr().out.startswith("1 file in success/ changed since the first load: 'b.csv'. The tables")
    with cursor(home.settings.database) as cur:
        assert rebuild_database.changed(cur, STAMP, {1: "a.csv", 3: "d\n.csv"}) == []
        assert rebuild_database.changed(cur, "20250101_000000", {2: "b.csv"}) == []


def test_a_home_that_is_none_is_not_made(settings: Settings) -> None:
    """A wrong --home."""
    with pytest.raises(StockETLError, match="nothing to rebuild"):
        rebuild.run(settings, yes=True, dry_run=False, without_missing=False)
    assert not settings.home.exists()


def test_the_places_of_the_last_run_are_rebuilt(home: LoadedHome, tmp_path: Path) -> None:
    """Those outside of the home too; its database must be named again, since no password is kept in the home."""
    outside = tmp_path / "outside"
    home.load("a.csv", row(2, 1))
    Path(home.settings.success).rename(outside)
    with sign_of_life(home.settings.model_copy(update={"success": str(outside), "lake": None})):
        pass
    folder = home.settings.home
    planned = command("rebuild", "--home", str(folder), "--database", home.settings.database or "", "--dry-run")
    assert f"{outside} -> {outside}-old-" in planned.stdout
    assert "1 loaded files" in planned.stdout
    forgotten = command("rebuild", "--home", str(folder), "--yes")
    assert forgotten.returncode == 1
    assert "give it with --database" in forgotten.stderr
    assert not (folder / "postgres").exists()


def test_on_s3_it_says_what_to_do_by_hand(settings: Settings) -> None:
    """Times cannot be set there, and nothing renamed."""
    on_s3 = settings.model_copy(update={"input": "s3://b/input", "success": "s3://b/success"})
    with pytest.raises(StockETLError, match=r"on S3: input, success\. By hand"):
        rebuild.run(on_s3, yes=True, dry_run=False, without_missing=False)


def test_until_a_rebuild_is_through_no_other_run_begins(settings: Settings) -> None:
    """It would load what waits before what was loaded first."""
    settings.home.mkdir()
    (settings.home / "rebuild.json").write_text(json.dumps({"stamp": STAMP, "phase": "filled", "text_ids": False}))
    with pytest.raises(CheckpointError, match="stocketl rebuild"):
        refuse_other_runs(settings)
    own = str(settings.home / f"old-{STAMP}" / "again")
    refuse_other_runs(settings.model_copy(update={"input": own}))


@pytest.mark.parametrize("content", ["", '{"stamp": "20260101_0', "{}", "[]", '{"stamp": "../x", "phase": "begun"}'])
def test_a_damaged_journal_is_told_with_what_belongs_into_it(settings: Settings, content: str) -> None:
    """Without it nobody knows whether tables and folders are set aside; the unfinished folder tells the stamp."""
    settings.home.mkdir()
    (settings.home / "rebuild.json").write_text(content)
    for name, left in (("old-20250101_000000", "rebuild.json"), (f"old-{STAMP}", "input")):
        (settings.home / name).mkdir()
        (settings.home / name / left).touch()
    with pytest.raises(CheckpointError, match=r"rebuild\.json says how far .* remove it\. Else write") as caught:
        rebuild.run(settings, yes=True, dry_run=False, without_missing=False)
    with pytest.raises(CheckpointError, match="is damaged"):
        refuse_other_runs(settings)
    assert json.loads(str(caught.value).partition("again: ")[2]) == {
        "stamp": STAMP,
        "phase": "begun",
        "text_ids": False,
    }
