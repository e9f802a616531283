"""The demo: a job as a user starts it, ten files as a producer drops them, then the receipts and the tables."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from psycopg2 import sql
from rich.table import Table

from streaming.database.connect import connect
from streaming.errors import StockETLError
from streaming.home.database import database
from streaming.screen import screen
from streaming.spark.jars import jars

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from psycopg2.extensions import cursor
    from rich.console import Console

    from streaming.settings import Settings

STOCKS = Path(__file__).resolve().parents[2] / "stocks"

_START_SECONDS = 300
_DROP_SECONDS = 120
_STOP_SECONDS = 60
_LOOK_SECONDS = 0.05
_TICKERS = ("000", "001", "002", "003")
_DATES = 6


def run(settings: Settings) -> int:
    """Shows the whole way of ten files in the home of `settings`. Ends by itself and leaves nothing running."""
    out = screen()
    files = sorted(STOCKS.glob("input_*.csv"), key=lambda path: int(path.stem.partition("_")[2]))
    if not files:
        msg = f"no input_*.csv in {STOCKS}: the demo runs from a clone of the project"
        raise StockETLError(msg)
    with contextlib.ExitStack() as stack:
        with out.status("starting PostgreSQL …"):
            uri = stack.enter_context(database(settings)).uri()
        out.print("PostgreSQL is up")
        jars(lake=settings.lake is not None, s3=False, folders=True)  # here, where a first download is seen
        with _job(settings, out) as job:
            for path in files:
                _drop(path, settings, job, out)
        _show_tables(uri, out)
    _show_next_steps(settings, out)
    return 0


@contextlib.contextmanager
def _job(settings: Settings, out: Console) -> Iterator[subprocess.Popen[bytes]]:
    """`stocketl run` as a process of its own, from its first look at the input to its end."""
    command = [str(Path(sys.executable).with_name("stocketl")), "run", "--home", str(settings.home)]
    told = settings.home / "logs" / "demo.log"
    told.parent.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STOCKETL_")}
    out.print(f"starting the job: stocketl run --home {shlex.quote(str(settings.home))}", soft_wrap=True)
    begun = time.monotonic()
    with told.open("wb") as sink:
        # a session of its own: Ctrl-C reaches the demo alone, and the demo ends the job in order
        job = subprocess.Popen(command, env=environment, stdout=sink, stderr=sink, start_new_session=True)  # noqa: S603 (ours)
    try:
        with out.status("waiting for Spark …"):
            _wait(lambda: b"watching" in told.read_bytes(), job, told, _START_SECONDS)
        out.print(f"the job watches {settings.input} after {time.monotonic() - begun:.0f} s", soft_wrap=True)
        yield job
    finally:
        with out.status("stopping the job …"), contextlib.suppress(ProcessLookupError):
            job.send_signal(signal.SIGTERM)
            try:
                job.wait(timeout=_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(job.pid, signal.SIGKILL)
                job.wait()


def _drop(path: Path, settings: Settings, job: subprocess.Popen[bytes], out: Console) -> None:
    """Puts one file into the input the way a producer should, hidden until it is whole, and shows its receipt."""
    receipts, target = Path(settings.receipts), Path(settings.input) / path.name
    target.parent.mkdir(parents=True, exist_ok=True)
    before = set(receipts.glob("*.json"))
    hidden = target.with_name(f".{path.name}.tmp")
    shutil.copyfile(path, hidden)
    hidden.rename(target)
    begun = time.monotonic()
    with out.status(f"{path.name} dropped, waiting for its receipt …"):
        _wait(lambda: set(receipts.glob("*.json")) - before, job, settings.home / "logs" / "demo.log", _DROP_SECONDS)
    (receipt,) = set(receipts.glob("*.json")) - before
    facts = json.loads(receipt.read_text())
    out.print(
        f"{path.name:<13} {facts['fate']}: {facts['rows_loaded']:,} loaded, {facts['rows_duplicate']} duplicate, "
        f"{facts['rows_rejected']} rejected ({time.monotonic() - begun:.1f} s)"
    )


def _wait(done: Callable[[], object], job: subprocess.Popen[bytes], told: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if job.poll() is not None or time.monotonic() > deadline:
            state = "ended" if job.poll() is not None else f"said nothing for {seconds:.0f} s"
            msg = f"the job {state}; its last words ({told}):\n{_tail(told)}"
            raise StockETLError(msg)
        time.sleep(_LOOK_SECONDS)


def _tail(told: Path) -> str:
    return "\n".join(told.read_text(errors="replace").splitlines()[-5:])


def _show_tables(uri: str, out: Console) -> None:
    """The newest dates of a few tickers in each of the three tables."""
    with contextlib.closing(connect(uri)) as connected, connected.cursor() as cur:
        for name in ("prices", "returns", "volume"):
            out.print(_window(cur, name))


def _window(cur: cursor, name: str) -> Table:
    columns = [f"stk_{ticker}" for ticker in _TICKERS]
    query = sql.SQL("SELECT date, {} FROM {} ORDER BY date DESC LIMIT %s").format(
        sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier(name)
    )
    cur.execute(query, (_DATES,))
    table = Table("date", *columns, title=name, title_justify="left")
    for date, *values in reversed(cur.fetchall()):
        table.add_row(str(date), *("" if value is None else _shown(value) for value in values))
    return table


def _shown(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"


def _show_next_steps(settings: Settings, out: Console) -> None:
    command = shlex.quote(str(Path(sys.executable).with_name("stocketl")))
    home = f"--home {shlex.quote(str(settings.home))}"
    out.print("Nothing is left running. To look at what is there:", style="bold")
    for line in (
        f'{command} psql {home} -c "TABLE stocketl.latest"',
        f"{command} status {home}",
        f"{command} receipts {home} input_3.csv",
        f"{command} verify {home}",
    ):
        out.print(f"  {line}", soft_wrap=True)
