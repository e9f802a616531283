"""`stocketl rebuild`: starts again from the files in success/, with a new checkpoint and new tables.

Nothing is deleted. What is there is set aside: each folder by one rename, tables and ledger by one transaction into
another schema. The loaded files become the input of a run of their own, in the order of the ledger; what waits in the
real input stays there. `HOME/rebuild.json` says how far this has come. After a crash at any point the same command
goes on, and until it is through no other run begins in this home.
"""

from __future__ import annotations

import shutil
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2
import typer

from streaming.database.connect import TimeLimits, begin, connect
from streaming.database.sqlstates import plain
from streaming.errors import StockETLError
from streaming.home import running
from streaming.home.database import database, refuse_forgotten_database
from streaming.home.rebuild_journal import (
    BEGUN,
    FILLED,
    JOURNAL,
    LOADED,
    Journal,
    read_journal,
    schema_aside,
    text_ids_of,
)
from streaming.rebuild import database as rebuild_database
from streaming.rebuild import files as rebuild_files
from streaming.screen import many
from streaming.storage.folder_errors import plain_errors
from streaming.storage.locations import is_s3, open_place
from streaming.supervision.stopping import until_stopped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import cursor

    from streaming.settings import Settings

_SHOWN = 5
_BY_HAND = """rebuild works on folders, and these places are on S3: {places}. By hand, there:
  1. Stop the job. Choose new, empty prefixes for --checkpoint, --receipts, --lake and --success.
  2. ALTER SCHEMA stocketl RENAME TO stocketl_old; and ALTER TABLE … SET SCHEMA stocketl_old for prices, returns, volume
     and their _2, _3 …
  3. Copy the objects of the old success prefix to a new, empty --input, one after the other, in the order of
     SELECT seq, moved_to FROM stocketl_old.receipts ORDER BY seq: S3 gives each copy the time of its making, and the
     job loads in the order of the times.
  4. `stocketl run --once` and `stocketl verify` with the new places, then the job as before, with the old --input
What `make deploy` has made: deploy/README.md, 'Restore'"""


@dataclass(frozen=True)
class _Plan:
    """What will be done, before it is."""

    asides: rebuild_files.Asides
    order: rebuild_files.Order
    tables: rebuild_database.Tables
    by_ledger: bool


def run(settings: Settings, *, yes: bool, dry_run: bool, without_missing: bool) -> int:
    """Says what will be done, asks, does it and compares every cell. 0: all is well. Raises StockETLError."""
    _refuse_buckets(settings)
    refuse_forgotten_database(settings)
    journal = read_journal(settings)
    if journal is None:
        plan = _planned(settings, datetime.now(UTC).strftime("%Y%m%d_%H%M%S"))
        typer.echo("\n".join(_told(plan)))
        if dry_run:
            return 0
        if plan.order.missing and not without_missing:
            msg = "files of loaded drops are gone (above). Put them back, or leave them out with --without-missing"
            raise StockETLError(msg)
        if not yes and not typer.confirm("Do this now?"):
            typer.echo("Nothing was changed.")
            return 1
        journal = Journal(plan.asides.stamp, BEGUN, text_ids_of(settings)).note(settings, BEGUN)
    else:
        typer.echo(f"An earlier rebuild was not finished ({journal.phase}): it goes on.")
        if dry_run:
            return 0
    return _go_on(settings, journal)


def _go_on(settings: Settings, journal: Journal) -> int:
    asides = rebuild_files.Asides(settings, journal.stamp)
    if journal.phase == BEGUN:
        with _database(settings) as cur:
            _refuse_running(settings, cur)
            rebuild_database.set_aside(cur, asides.stamp)
            cur.connection.commit()
            drops = rebuild_database.drops(cur, asides.stamp)
            profiles = rebuild_database.profiles(cur, asides.stamp)
        with plain_errors("set files aside (`stocketl rebuild` goes on afterwards) in", str(asides.folder)):
            rebuild_files.move(asides)
            rebuild_files.fill(asides, rebuild_files.order(asides, drops), profiles)
            rebuild_files.settle_input(asides, drops)
        journal = journal.note(settings, FILLED)
    if journal.phase == FILLED:
        _load(settings, asides, text_ids=journal.text_ids)
        journal.note(settings, LOADED)
    good, same = _verified(settings), _unchanged(settings, asides)
    shutil.rmtree(asides.again, ignore_errors=True)
    (settings.home / JOURNAL).replace(asides.folder / JOURNAL)
    typer.echo(
        f"Rebuilt. What was there before is in {asides.folder} and in the schema "
        f"{schema_aside(asides.stamp)}; remove both when you no longer need them.\n"
        "`stocketl run` with your usual options goes on with what waits in the input."
    )
    return 0 if good and same else 1


def _load(settings: Settings, asides: rebuild_files.Asides, *, text_ids: bool) -> None:
    """Runs the job on the files until all are loaded; goes on where it was stopped."""
    from streaming import job  # noqa: PLC0415 (Spark, which a plan does not need)

    again = open_place(str(asides.again))
    own = {"input": str(asides.again), "once": True, "settle": 0.0, "text_ids": text_ids, "heartbeat": None}
    own["profiles"] = str(asides.readings)
    code = 0
    if (
        again.versions() or Path(settings.checkpoint).exists()
    ):  # a checkpoint: begun, and perhaps receipts and moves are left
        of_job = settings.model_copy(update=own)
        code = until_stopped(lambda stop: job.run(of_job, stop), settings.home / "logs")
    if left := again.versions():
        msg = f"stopped with {len(left):,} files still to be loaded; run `stocketl rebuild` again to go on"
        raise StockETLError(msg)
    if code:  # told to end while the last file was loaded
        raise typer.Exit(code)


def _verified(settings: Settings) -> bool:
    from streaming.commands import verify  # noqa: PLC0415 (pandas)

    return verify.show(verify.verify(settings))


def _unchanged(settings: Settings, asides: rebuild_files.Asides) -> bool:
    """Whether each file still holds what was first loaded from it. Names those that do not."""
    with _database(settings) as cur:
        names = rebuild_files.order(asides, rebuild_database.drops(cur, asides.stamp)).names
        others = rebuild_database.changed(cur, asides.stamp, names)
    if others:
        more = f" and {len(others) - _SHOWN:,} more" if len(others) > _SHOWN else ""
        typer.echo(
            f"{many(len(others), 'file')} in success/ changed since the first load: "
            f"{', '.join(map(repr, others[:_SHOWN]))}{more}. The tables hold what the files hold now. If that is "
            "wrong, put the right files back and run `stocketl rebuild` again."
        )
    return not others


def _planned(settings: Settings, stamp: str) -> _Plan:
    asides = rebuild_files.Asides(settings, stamp)
    places = (settings.success, settings.checkpoint, settings.input)
    if not any(open_place(place).keys() for place in places):  # before a server is made in a folder that is no home
        msg = f"there is nothing to rebuild: {', '.join(places)} are empty or missing. Check --home and the places"
        raise StockETLError(msg)
    with _database(settings) as cur:
        _refuse_running(settings, cur)
        drops = rebuild_database.drops(cur, stamp)
        return _Plan(asides, rebuild_files.order(asides, drops), rebuild_database.tables(cur), drops is not None)


def _told(plan: _Plan) -> Iterator[str]:
    asides, order, stamp = plan.asides, plan.order, plan.asides.stamp
    by = "in the ledger's order" if plan.by_ledger else "in the order of the files' times: the database has no ledger"
    yield "This loads all files again, with a new checkpoint and new tables. Nothing is deleted. Steps:"
    if plan.tables.ledger or plan.tables.wide:
        names = ", ".join(["the ledger (schema stocketl)", *plan.tables.wide])
        yield f"1. In the database {asides.settings.shown_database}"
        yield f"   {names}: to the schema {schema_aside(stamp)}."
        yield "   Until step 4 has loaded them again, readers find no tables."
    else:
        yield f"1. The database {asides.settings.shown_database} holds nothing to set aside."
    if plan.tables.views:
        yield f"   These views stay with the old tables; make them again afterwards: {', '.join(plan.tables.views)}."
    yield "2. These folders are renamed:"
    for source, target in asides.moves():
        if source.exists():
            yield f"   {source} -> {target}"
    yield f"3. {len(order.files):,} loaded files become input again, {by}, as links in {asides.again}."
    if order.extra:
        yield f"   The last {order.extra:,} of them lie in success/ but are not in the ledger."
    yield from _exceptions("   NOT loaded again, the file is gone", order.missing)
    yield from _exceptions(
        "   NOT loaded again, it failed after rows were loaded; correct it and drop it again", order.in_part
    )
    yield f"4. They are loaded, moved to {asides.settings.success}, and every cell is compared with them."
    yield f"What waits in {asides.settings.input}, and what failed, stays where it is."


def _exceptions(why: str, drops: list[rebuild_database.LoadedDrop]) -> Iterator[str]:
    if drops:
        first = ", ".join(f"{drop.moved_to or drop.key!r} (drop {drop.seq})" for drop in drops[:_SHOWN])
        more = f" and {len(drops) - _SHOWN:,} more" if len(drops) > _SHOWN else ""
        yield f"{why}: {first}{more}."


def _refuse_buckets(settings: Settings) -> None:
    """On S3 no times can be set and nothing can be renamed, so a person decides what goes where."""
    names = ("input", "success", "receipts", "checkpoint", "lake")
    on_s3 = [name for name in names if (place := getattr(settings, name)) is not None and is_s3(place)]
    if on_s3:
        raise StockETLError(_BY_HAND.format(places=", ".join(on_s3)))


def _refuse_running(settings: Settings, cur: cursor) -> None:
    cur.execute("SELECT to_regclass('stocketl.writer') IS NOT NULL AND to_regclass('stocketl.batches') IS NOT NULL")
    of_ledger = running.of_ledger(cur) if cur.fetchall() == [(True,)] else None
    job = running.most_alive(running.of_home(settings.home), of_ledger, running.of_heartbeat(settings))
    if job is not None and job.alive:
        msg = f"a job runs ({job.where}: {job.why}). Stop it first, then run `stocketl rebuild` again"
        raise StockETLError(msg)


@contextmanager
def _database(settings: Settings) -> Iterator[cursor]:
    try:
        with database(settings) as login, closing(connect(login.uri())) as connected, connected.cursor() as cur:
            begin(cur, TimeLimits(idle_in_transaction_session_timeout=0))
            yield cur
    except psycopg2.Error as error:
        raise plain(error) from None
