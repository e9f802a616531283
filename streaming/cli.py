# ruff: noqa: PLC0415 (a command imports what it needs when it runs: `--help` is quick)
# ruff: noqa: FBT002 (typer turns the arguments of a command into options)
"""The command line `stocketl`. Each option is also a `STOCKETL_…` variable; an error is one plain line."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from streaming import __version__
from streaming.errors import StockETLError
from streaming.options import FLAG, takes
from streaming.settings import Settings, load
from streaming.supervision.ending import end_plainly

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from typer._click import Context

    from streaming.supervision.stopping import Stop

Found = TypeVar("Found")


class _Command(TyperCommand):
    """A command that shows `--help` as a flag, like its other flags."""

    def get_help_option(self, ctx: Context) -> TyperOption | None:
        return _as_flag(super().get_help_option(ctx))


class _Program(TyperGroup):
    """The same for `stocketl` itself."""

    def get_help_option(self, ctx: Context) -> TyperOption | None:
        return _as_flag(super().get_help_option(ctx))


def _as_flag(option: TyperOption | None) -> TyperOption | None:
    if option is not None:
        option.metavar = FLAG
    return option


app = typer.Typer(
    name="stocketl",
    cls=_Program,
    help=(
        "Turns CSV files of stock prices into three wide PostgreSQL tables: prices, returns and volume. Drop the files "
        "into a folder or an S3 prefix, in any order: each one is loaded exactly once.\n\n"
        "A place is a folder or s3://bucket/prefix. Start with: stocketl demo"
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["--help", "-h"]},
)
command = partial(app.command, cls=_Command)


_DATABASE = ("home", "database", "database_secret")
_HOME = ("home", "input", "success", "failed", "receipts", "checkpoint", "lake", "database", "database_secret")
_READ = ("unpacked_limit", "text_ids")
_LOOKS_BACK = (*_HOME, *_READ)
_KEPT = ("lake_retention", "keep_receipts")
_WATCHED = ("heartbeat", "heartbeat_every", "audit_every", "metrics")
_DOUBTS = ("suspect_factor", "suspect_spike", "suspect_stale")
_EXPLAINED = ("explain", *_DOUBTS, "calendar", "expect_by", "webhook")
_CUT = ("max_batch_bytes", "split_bytes", "unpacked_limit", "text_ids")

AsJson = Annotated[bool, typer.Option("--json", metavar=FLAG, help="The same facts as JSON.")]


def _print_version(on: bool) -> None:  # noqa: FBT001 (called by typer)
    if on:
        typer.echo(f"stocketl {__version__}")
        raise typer.Exit


@app.callback()
def _stocketl(
    _version: Annotated[
        bool,
        typer.Option("--version", metavar=FLAG, help="Print the version.", is_eager=True, callback=_print_version),
    ] = False,
) -> None:
    pass


@command()
@takes(
    *_HOME,
    *_KEPT,
    "once",
    "take_over",
    "trigger",
    "wake",
    "settle",
    *_CUT,
    "profiles",
    "move",
    "log_format",
    *_WATCHED,
    *_EXPLAINED,
)
def run(**options: object) -> None:
    """Watches the input and loads each drop, until Ctrl-C or SIGTERM stops it."""
    from streaming.home.database import tell_new_input
    from streaming.supervision.stopping import until_stopped
    from streaming.telemetry.log import log_to_terminal

    settings = _load(options)
    log_to_terminal(settings.log_format)
    tell_new_input(settings)

    def the_job(stop: Stop) -> None:
        from streaming.spark.ahead import java_ahead

        with java_ahead(settings) as java:
            from streaming import job

            job.run(settings, stop, java)

    raise typer.Exit(until_stopped(the_job, settings.home / "logs"))


@command()
def demo(
    home: Annotated[str, typer.Option("--home", metavar="DIR", help="Folder of the demo.")] = "./demo-home",
    keep: Annotated[
        bool, typer.Option("--keep", metavar=FLAG, help="Leave the job running, and the page beside it.")
    ] = False,
) -> None:
    """Starts everything, drops the ten files of stocks/, shows what became of them, and ends.

    It has a database of its own and ignores every STOCKETL_ variable.
    """
    from streaming.commands import demo as the_demo

    raise typer.Exit(the_demo.run(load(environment=False, home=home), keep=keep))


@command(
    help=(
        "Shows on one screen whether a job is running, the last batch, what waits, the tables and the last ten "
        "drops.\n\n"
        "Exit code 0: a job is running and nothing needs a look.\n\n"
        "Exit code 3: something needs a look. No job is running, or it has given no sign of life for a minute, or it "
        "has been held up for 30 s. Or a drop has waited for 10 minutes, and no batch was committed in that time. Or a "
        "drop has failed within a day, and no later drop of its name was loaded. Or a date was not complete by the "
        "time of --expect-by.\n\n"
        "Exit code 1: nobody can tell, because the home or the database cannot be read."
    )
)
@takes("home", "database", "database_secret", "input", "success", "failed", "heartbeat")
def status(as_json: AsJson = False, **options: object) -> None:
    """Whether a job is running and what it has done, on one screen; the exit code is for scripts."""
    from streaming.commands import status as of_job
    from streaming.commands.status_screen import show

    settings = _of_a_home(options)
    facts = of_job.status(settings)
    _answer(facts, show, as_json=as_json)
    if facts["state"] == "unreachable":
        typer.echo(f"stocketl: {facts['said']}", err=True)
    raise typer.Exit(facts["exit_code"])


@command()
@takes("home", "database", "database_secret", "input", "success", "checkpoint", "unpacked_limit", "text_ids")
def verify(**options: object) -> None:
    """Recomputes the tables from the files in success/ and compares every cell. Exit code 1: some cell differs."""
    from streaming.commands import verify as check

    settings = _of_a_home(options)
    raise typer.Exit(0 if check.show(check.verify(settings)) else 1)


@command(
    help=(
        "Works out from the lake what each drop of the past did: its counts, its rows of stocketl.corrections, and its "
        "part of the counts of stocketl.dates.\n\n"
        "Use it after an upgrade of an older database, or if a table was switched off for a while. It may run beside "
        "a job, and may be stopped and given again. If the lake does not reach back to the first drop, it says so and "
        "writes nothing."
    )
)
@takes("home", "database", "database_secret", "lake", "explain")
def fill(**options: object) -> None:
    """Fills the past of the tables beside the wide ones from the lake."""
    from streaming.fill import fill as past

    past.fill(_of_a_home(options), typer.echo)


@command(
    help=(
        "Starts again from the files in success/, with a new checkpoint and new tables. Nothing is deleted: what was "
        "there is set aside.\n\n"
        "Use it if the checkpoint is damaged or lost, or does not belong to the database. It first says what it will "
        "do, and asks. If it is stopped, the same command goes on."
    )
)
@takes(*_HOME, *_CUT, "log_format")
def rebuild(
    yes: Annotated[bool, typer.Option("--yes", metavar=FLAG, help="Do it without asking.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", metavar=FLAG, help="Say what would be done, and change nothing.")
    ] = False,
    without_missing: Annotated[
        bool,
        typer.Option(
            "--without-missing", metavar=FLAG, help="Leave out loaded drops whose files are gone from success/."
        ),
    ] = False,
    **options: object,
) -> None:
    """Starts again from the files in success/; what was there is set aside."""
    from streaming.rebuild import rebuild as anew
    from streaming.telemetry.log import log_to_terminal

    settings = _of_a_home(options)
    log_to_terminal(settings.log_format)
    raise typer.Exit(anew.run(settings, yes=yes, dry_run=dry_run, without_missing=without_missing))


@command()
@takes(*_DATABASE, "success", "failed")
def receipts(
    key: Annotated[
        str | None, typer.Argument(help="Name of a file below the input. Without it, the last drops are listed.")
    ] = None,
    as_json: AsJson = False,
    **options: object,
) -> None:
    """Shows what became of a drop: counts, reason, the first rejected rows with line, text and reason."""
    from streaming.commands import receipts as receipt_view

    settings = _of_a_home(options)
    if key is None:
        _answer(receipt_view.last(settings), receipt_view.show_last, as_json=as_json)
    else:
        _answer(receipt_view.of_key(settings, key), receipt_view.show_drops, as_json=as_json)


@command()
@takes(*_DATABASE)
def dates(
    missing: Annotated[
        str | None, typer.Option("--missing", metavar="DATE", help="The tickers that are missing on this date.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", metavar=FLAG, help="Also the complete dates.")] = False,
    as_json: AsJson = False,
    **options: object,
) -> None:
    """Shows which dates are not complete: no data, too few tickers, no session; and the newest dates."""
    from streaming.commands import dates as of_dates

    settings = _of_a_home(options)
    if missing is None:
        _answer(of_dates.dates(settings, every=every), of_dates.show, as_json=as_json)
    else:
        _answer(of_dates.missing(settings, missing), of_dates.show_missing, as_json=as_json)


@command()
@takes(*_DATABASE)
def suspects(
    every: Annotated[bool, typer.Option("--all", metavar=FLAG, help="All, not only the newest 50.")] = False,
    as_json: AsJson = False,
    **options: object,
) -> None:
    """Shows prices worth a look: slips by a power of ten, spikes, splits, swapped tickers, stale prices."""
    from streaming.commands import suspects as of_suspects

    _answer(of_suspects.suspects(_of_a_home(options), every=every), of_suspects.show, as_json=as_json)


@command()
@takes(*_LOOKS_BACK)
def explain(
    date: Annotated[str, typer.Argument(metavar="DATE", help="A date of the tables, such as 2024-03-04.")],
    ticker: Annotated[str, typer.Argument(metavar="TICKER", help="A ticker, such as BRK.B.")],
    as_json: AsJson = False,
    **options: object,
) -> None:
    """Says where a value comes from: its prices with drop, file, line and time, and what was there before.

    Exit code 1: there is no such price.
    """
    from streaming.explain import cell, cell_screen
    from streaming.explain.moment import day_named

    day = day_named("DATE", date) or 0
    found = cell.explain(_of_a_home(options), day, ticker)
    if as_json:
        _print_json(cell.facts_of(found))
        raise typer.Exit(0 if found.now.price is not None else 1)
    raise typer.Exit(0 if cell_screen.show(found) else 1)


@command()
@takes(*_LOOKS_BACK)
def asof(  # noqa: PLR0917 (one option each)
    when: Annotated[
        list[str] | None,
        typer.Argument(metavar="WHEN", help="A time (2026-11-28T18:30+01:00; without a zone: UTC), or seq 17."),
    ] = None,
    ticker: Annotated[
        list[str] | None, typer.Option("--ticker", metavar="TICKER", help="Only this ticker; may be given again.")
    ] = None,
    first: Annotated[str | None, typer.Option("--from", metavar="DATE", help="The first date.")] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="DATE", help="The last date.")] = None,
    out: Annotated[
        str | None, typer.Option("--out", metavar="FILE", help="Write all cells to a .parquet or .csv file.")
    ] = None,
    wait: Annotated[
        str, typer.Option("--wait", metavar="TIME", help="How long to wait until the lake has what was known then.")
    ] = "60s",
    as_json: AsJson = False,
    **options: object,
) -> None:
    """Shows the tables as they were known at a time, or after a drop; the returns as they were then."""
    from streaming.explain import asof as back
    from streaming.explain import asof_screen
    from streaming.explain.moment import days_named

    _refuse_unless(bool(when), "WHEN", "a time, or seq and a number", "")
    asof_screen.refuse_other_files(out)
    wanted = back.Wanted(ticker or (), *days_named(first, last))
    limit = _seconds("--wait", wait)
    settings = _of_a_home(options)
    tell = partial(typer.echo, err=True)
    found = back.as_of(settings, " ".join(when or ()), wanted, wait=limit, tell=tell)
    if out is not None:
        typer.echo(asof_screen.write(found, out))
    elif as_json:
        _print_json(back.facts_of(found))
    else:
        asof_screen.show(found)


@command()
@takes("home", "database", "database_secret", "input", "checkpoint", "profiles", "split_bytes", *_READ, *_DOUBTS)
def plan(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A file on this machine.")],
    key: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="The name below the input that it will have.")
    ] = None,
    as_json: AsJson = False,
    **options: object,
) -> None:
    """Says what would become of a file if it were dropped now. Changes nothing. Exit code 1: it would fail."""
    from streaming.explain import plan as ahead
    from streaming.explain.plan_screen import show

    found = ahead.plan(_of_a_home(options), file, key)
    if as_json:
        _print_json(ahead.facts_of(found))
        raise typer.Exit(0 if found.parsed.failure is None else 1)
    raise typer.Exit(0 if show(found) else 1)


@command()
@takes("home", "profiles", "unpacked_limit", "text_ids")
def sniff(  # noqa: PLR0917 (one option each)
    files: Annotated[list[str] | None, typer.Argument(metavar="FILE...", help="Files on this machine.")] = None,
    day_first: Annotated[
        bool, typer.Option("--day-first", metavar=FLAG, help="03/04/2024 is the third of April.")
    ] = False,
    month_first: Annotated[
        bool, typer.Option("--month-first", metavar=FLAG, help="03/04/2024 is the fourth of March.")
    ] = False,
    decimal: Annotated[
        str | None, typer.Option("--decimal", metavar="SIGN", help="The decimal sign: a point or a comma.")
    ] = None,
    zone: Annotated[
        str | None, typer.Option("--zone", metavar="ZONE", help="Time zone whose days are meant, if moments are given.")
    ] = None,
    date: Annotated[str | None, typer.Option("--date", metavar="COLUMN", help="The column of the date.")] = None,
    ticker: Annotated[str | None, typer.Option("--ticker", metavar="COLUMN", help="The column of the ticker.")] = None,
    price: Annotated[str | None, typer.Option("--price", metavar="COLUMN", help="The column of the price.")] = None,
    volume: Annotated[str | None, typer.Option("--volume", metavar="COLUMN", help="The column of the volume.")] = None,
    where: Annotated[
        list[str] | None, typer.Option("--where", metavar="COLUMN=TEXT", help="Only rows with this text there count.")
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option("--keep", metavar="WHICH", help="Which row of one date and ticker counts: first or last."),
    ] = None,
    write: Annotated[bool, typer.Option("--write", metavar=FLAG, help="Append the profiles to the file.")] = False,
    **options: object,
) -> None:
    """Proposes the profile that reads a file, and shows how it would be read. Exit code 1: something must be said."""
    from streaming.commands import sniff as nose
    from streaming.sniff.proposal import Answers

    _refuse_unless(bool(files), "FILE", "the name of a file", "")
    _refuse_together(day_first and month_first, "--day-first", "--month-first")
    _refuse_unless(decimal in {None, ".", ","}, "--decimal", "a point or a comma", decimal)
    _refuse_unless(keep in {None, "first", "last"}, "--keep", "first or last", keep)
    wrong = next((text for text in where or () if "=" not in text), None)
    _refuse_unless(wrong is None, "--where", "COLUMN=TEXT", wrong)
    said = {"date": date, "ticker": ticker, "price": price, "volume": volume}
    answers = Answers(
        day_first=True if day_first else False if month_first else None,
        decimal=decimal,
        zone=zone,
        columns={name: column for name, column in said.items() if column is not None},
        where={name: text for name, _, text in (one.partition("=") for one in where or ())},
        keep=keep,
    )
    settings = _load(options)
    found = nose.sniff(files or [], answers, settings)
    good = nose.show(found)
    if write:
        names = nose.write(found, settings)
        typer.echo(f"appended to {settings.profiles}: {', '.join(names)}" if names else "nothing to append")
    raise typer.Exit(0 if good else 1)


@command()
@takes("home", "database")
def database(
    create: Annotated[bool, typer.Option("--create", metavar=FLAG, help="If there is no home, make it.")] = False,
    stop: Annotated[bool, typer.Option("--stop", metavar=FLAG, help="Stop the embedded server.")] = False,
    force: Annotated[
        bool, typer.Option("--force", metavar=FLAG, help="With --stop: stop it even if a job uses it.")
    ] = False,
    listen: Annotated[
        bool,
        typer.Option(
            "--listen",
            metavar=FLAG,
            help="Let clients in by TCP too, at ADDRESS (127.0.0.1:5433; none: no longer), and print the URI with its "
            "password, for a role that can only read.",
        ),
    ] = False,
    address: Annotated[str | None, typer.Argument(metavar="ADDRESS", help="With --listen: where.")] = None,
    **options: object,
) -> None:
    """Prints the database's URI. If the embedded server is down, starts it and leaves it up."""
    from streaming.home import database as of_home

    _refuse_together(stop and create, "--create", "--stop")
    _refuse_together(force and not stop, "--force", "no --stop beside it")
    _refuse_together(stop and listen, "--listen", "--stop")
    _refuse_together(address is not None and not listen, "ADDRESS", "no --listen beside it")
    settings = _load(options) if create else _of_a_home(options)
    if not settings.embedded:
        other = f"{settings.shown_database}: it is not the embedded server"
        _refuse_together(stop, "--stop", other)
        _refuse_together(create, "--create", other)
        _refuse_together(listen, "--listen", other)
        typer.echo(settings.shown_database)
    elif listen and address == "none":
        typer.echo("it listens on its socket only" if of_home.listen_no_more(settings) else "it did not listen")
    elif listen:
        uri, where = of_home.listen(settings, address)
        if not where.loopback:
            typer.echo(f"other machines can reach {where}; what passes is not encrypted", err=True)
        typer.echo(uri)
    elif stop:
        typer.echo("stopped" if of_home.stop(settings, force=force) else f"no server is up in {settings.postgres_data}")
    else:
        uri, made = of_home.start_and_leave_up(settings)
        if made:
            typer.echo(f"made a new PostgreSQL in {settings.postgres_data}", err=True)
        typer.echo(uri)


@command(
    help=(
        "Serves one live page: job, drops, chart, movers, completeness of dates. It follows each batch, and it only "
        "reads.\n\n"
        "It listens on this machine only. If --listen names another address, it asks for a token, which is part of the "
        "address that it prints."
    )
)
@takes("home", "database", "database_secret", "input", "success", "failed", "checkpoint", "heartbeat")
def page(
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Where the page is served. Port 0: any free one.")
    ] = "127.0.0.1:8017",
    **options: object,
) -> None:
    """Serves a live page on 127.0.0.1, until Ctrl-C."""
    from streaming.page.server import serve

    serve(_of_a_home(options), listen)


@command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@takes(*_DATABASE)
def psql(
    arguments: Annotated[list[str] | None, typer.Argument(help="Passed on to psql.")] = None,
    **options: object,
) -> None:
    """Opens psql on the database. The first argument that is no option below, and all after it, go to psql."""
    from streaming.commands import psql as terminal

    raise typer.Exit(terminal.run(_of_a_home(options), arguments or []))


def main() -> None:
    """The entry point. An error is one plain line and exit code 1; misuse has exit code 2, Ctrl-C 130."""
    end_plainly(app)


def _load(options: Mapping[str, object]) -> Settings:
    """Settings from the arguments of a command. A flag that is off counts as not given."""
    named = {name: value for name, value in options.items() if name in Settings.model_fields}
    given: dict[str, Any] = {name: value or None for name, value in named.items()}
    return load(**given)


def _refuse_together(found: bool, option: str, other: str) -> None:  # noqa: FBT001 (a condition)
    if found:
        msg = f"{option} makes no sense with {other}"
        raise StockETLError(msg)


def _of_a_home(options: Mapping[str, object]) -> Settings:
    """Settings of a command that looks at a job: its home must be there, and the places of its last run are used."""
    from streaming.home.rights import refuse_missing_home
    from streaming.home.sign import as_last_run

    settings = _load(options)
    refuse_missing_home(settings, named=options.get("home") is not None)
    return as_last_run(settings, [name for name, value in options.items() if value is not None])


def _refuse_unless(good: bool, option: str, expected: str, got: str | None) -> None:  # noqa: FBT001 (a condition)
    if not good:
        msg = f"{option}: expected {expected}, got {got!r}"
        raise StockETLError(msg)


def _seconds(option: str, text: str) -> float:
    from streaming.setting_values import seconds

    try:
        return seconds(text)
    except ValueError as error:
        msg = f"{option}: {error}, got {text!r}"
        raise StockETLError(msg) from None


def _answer(facts: Found, show: Callable[[Found], None], *, as_json: bool) -> None:
    if as_json:
        _print_json(facts)
    else:
        show(facts)


def _print_json(facts: object) -> None:
    from streaming.screen import as_json

    typer.echo(as_json(facts))
