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
from streaming.settings import DEFAULT_HOME
from streaming.spark.jars import jars
from streaming.spark.wrappers import cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from psycopg2.extensions import cursor
    from rich.console import Console

    from streaming.settings import Settings

STOCKS = Path(__file__).resolve().parents[2] / "stocks"

_START_SECONDS = 900  # a machine may be busy with other things
_DROP_SECONDS = 300
_STOP_SECONDS = 60
_LOOK_SECONDS = 0.05
_STEPS = 6
_TICKERS = ("000", "001", "002", "003")
_NARROW = 64
"""With fewer columns than this, a terminal shows three tickers, not four."""
_DATES = 6


def run(settings: Settings, *, keep: bool = False) -> int:
    """Shows the whole way of ten files in the home of `settings`, and ends by itself.

    keep: leaves the job running, and the page beside it. Otherwise nothing is left running.
    """
    out = screen()
    files = sorted(STOCKS.glob("input_*.csv"), key=lambda path: int(path.stem.partition("_")[2]))
    if not files:
        msg = f"no input_*.csv in {STOCKS}: the demo runs from a clone of the project"
        raise StockETLError(msg)
    steps = _Steps(out)
    with contextlib.ExitStack() as stack:
        steps.begin(f"Starting a PostgreSQL in {settings.home / 'postgres'}. Usually 1 to 5 s.")
        with out.status("waiting for PostgreSQL …"):
            uri = stack.enter_context(database(settings)).uri()
        steps.end("It is up")
        steps.begin(f"Looking for Delta's jars in {cache_folder()}. The first time: 13 MB to download, 5 to 20 s.")
        jars(lake=settings.lake is not None, s3=False, folders=True)
        steps.end("They are there")
        with _job(settings, out, steps, keep=keep) as job:
            steps.begin(
                f"Dropping the {len(files)} files of stocks/ into {settings.input}, one after the other. "
                "Usually 2 to 5 s each; 5 to 20 s for the first one."
            )
            for path in files:
                _drop(path, settings, job, out)
            steps.begin("Starting the page. Usually 2 s." if keep else "Ending the job. Usually 2 to 10 s.")
            page = _page(settings, out) if keep else None
        steps.end("It has begun" if keep else "It has ended")
        steps.begin(f"Reading the last {_DATES} dates of a few tickers. Usually less than 1 s.")
        _show_tables(uri, out)
    _show_next_steps(settings, out, f"kill {job.pid} {page[0]}" if page else None)
    if page:
        out.print(f"page: {page[1]}", style="bold", soft_wrap=True)
    return 0


class _Steps:
    """Counts the steps of the demo, and says what each one does, how long it usually takes, and how long it took."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._number = 0
        self._begun = 0.0

    def begin(self, what: str) -> None:
        self._number += 1
        self._begun = time.monotonic()
        self._out.print(f"{self._number} of {_STEPS}: {what}", soft_wrap=True)

    def end(self, what: str) -> None:
        self._out.print(f"{what} after {time.monotonic() - self._begun:.0f} s.", soft_wrap=True)


@contextlib.contextmanager
def _job(settings: Settings, out: Console, steps: _Steps, *, keep: bool) -> Iterator[subprocess.Popen[bytes]]:
    """`stocketl run` as a process of its own, from its first look at the input to its end. keep: it does not end."""
    command = [str(Path(sys.executable).with_name("stocketl")), "run", "--home", str(settings.home)]
    told = settings.home / "logs" / "demo.log"
    told.parent.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STOCKETL_")}
    steps.begin("Starting the job, with Spark in it. Usually 10 to 30 s.")
    out.print(f"  stocketl run --home {shlex.quote(str(settings.home))}", soft_wrap=True)
    with told.open("wb") as sink:
        # a session of its own: Ctrl-C reaches the demo alone, and the demo ends the job in order
        job = subprocess.Popen(command, env=environment, stdout=sink, stderr=sink, start_new_session=True)  # noqa: S603 (ours)
    try:
        with out.status("waiting for Spark …"):
            _wait(lambda: b"watching" in told.read_bytes(), job, told, _START_SECONDS)
        steps.end("It watches its input")
        yield job
    except BaseException:
        _end(job, out)
        raise
    if not keep:
        _end(job, out)


def _end(job: subprocess.Popen[bytes], out: Console) -> None:
    with out.status("stopping the job …"), contextlib.suppress(ProcessLookupError):
        job.send_signal(signal.SIGTERM)
        try:
            job.wait(timeout=_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(job.pid, signal.SIGKILL)
            job.wait()


def _page(settings: Settings, out: Console) -> tuple[int, str]:
    """The page as a process of its own, on a free port: its process id and its address."""
    told = settings.home / "logs" / "page.log"
    command = [str(Path(sys.executable).with_name("stocketl")), "page", "--home", str(settings.home)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STOCKETL_")}
    with told.open("wb") as sink:
        page = subprocess.Popen(  # noqa: S603 (ours)
            [*command, "--listen", "127.0.0.1:0"], env=environment, stdout=sink, stderr=sink, start_new_session=True
        )
    with out.status("waiting for the page …"):
        _wait(lambda: told.read_bytes().startswith(b"http"), page, told, _START_SECONDS)
    return page.pid, told.read_text().splitlines()[0]


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
    rows = f"{facts['rows_loaded']:,} loaded, {facts['rows_duplicate']} duplicate, {facts['rows_rejected']} rejected"
    fate = rows if facts["fate"] == "success" else f"failed: {facts['reason']}"
    out.print(f"{path.name:<12} {fate}, {time.monotonic() - begun:.1f} s", soft_wrap=True)


def _wait(done: Callable[[], object], job: subprocess.Popen[bytes], told: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if job.poll() is not None or time.monotonic() > deadline:
            state = "ended" if job.poll() is not None else f"is not as far as it should be after {seconds:.0f} s"
            msg = f"the job {state}; its last words ({told}):\n{_tail(told)}"
            raise StockETLError(msg)
        time.sleep(_LOOK_SECONDS)


def _tail(told: Path) -> str:
    return "\n".join(told.read_text(errors="replace").splitlines()[-5:])


def _show_tables(uri: str, out: Console) -> None:
    """The newest dates of a few tickers in each of the three tables."""
    with contextlib.closing(connect(uri)) as connected, connected.cursor() as cur:
        for name in ("prices", "returns", "volume"):
            out.print(_window(cur, name, _TICKERS[: 3 if out.width < _NARROW else 4]))


def _window(cur: cursor, name: str, tickers: tuple[str, ...]) -> Table:
    columns = [f"stk_{ticker}" for ticker in tickers]
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


def _show_next_steps(settings: Settings, out: Console, ends: str | None = None) -> None:
    """ends: the command that ends what is left running, if anything is."""
    command = shlex.quote(str(Path(sys.executable).with_name("stocketl")))
    home = f"--home {shlex.quote(str(settings.home))}"
    left = "Nothing is left running." if ends is None else f"Job and page are left running; they end by: {ends}."
    out.print(f"{left} To look at what is there:", style="bold", soft_wrap=True)
    for line in (
        f'{command} psql {home} -c "TABLE stocketl.latest"',
        f"{command} status {home}",
        f"{command} receipts {home} input_3.csv",
        f"{command} verify {home}",
        f"{command} page {home}",
    ):
        out.print(f"  {line}", soft_wrap=True)
    own = settings.home.with_name(Path(DEFAULT_HOME).name)
    out.print(f"To load files of your own, start a job and drop them into {own / 'input'}:", soft_wrap=True)
    out.print(f"next: {command} run --home {shlex.quote(str(own))}", soft_wrap=True)
