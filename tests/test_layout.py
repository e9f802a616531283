"""The layout: each test says its rule, each module has its test, packages hold no code, the Lambdas borrow little."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from deploy.sources import lambda_sources

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests"

# modules without a test of their name: the test file that covers them, and why it does
COVERED: dict[str, tuple[str, str]] = {
    "__main__.py": ("test_cli.py", "the installed command, started as a process"),
    "audit/grid.py": ("audit/test_tables.py", "the comparison of two tables, which the audit makes"),
    "aws.py": ("storage/test_bucket.py", "the client, which a bucket asks"),
    "checkpoint/checksums.py": ("checkpoint/test_inspection.py", "a part of the inspection"),
    "checkpoint/lineage.py": ("checkpoint/test_inspection.py", "a part of the inspection"),
    "commands/advice.py": ("commands/test_receipts.py", "a table of sentences, which the command prints"),
    "commands/batch_under_way.py": ("commands/test_status.py", "a line of the status"),
    "commands/oracle.py": ("commands/test_verify.py", "the second opinion of `verify`"),
    "commands/psql.py": ("home/test_rights.py", "starts psql with the rights of the home"),
    "commands/explained.py": ("commands/test_dates.py", "what a command says if the job does not keep a table"),
    "commands/status_screen.py": ("commands/test_status.py", "prints the status"),
    "commands/verdict.py": ("commands/test_status.py", "the exit code of the status"),
    "database/days.py": ("explain/test_cell.py", "dates as numbers, for the maths and for SQL"),
    "database/standstill.py": ("job/test_failover.py", "needs a server that stands still under a job"),
    "dates/bits.py": ("publish/test_explained.py", "compared with an oracle, batch by batch"),
    "dates/filling.py": ("publish/test_explained.py", "a table that was off and is on again"),
    "dates/kept.py": ("publish/test_explained.py", "compared with an oracle, batch by batch"),
    "dates/overdue.py": ("dates/test_punctuality.py", "the deadlines that the thread judges"),
    "drops/options.py": ("drops/test_input_watch.py", "the options that the watch of the input is given"),
    "drops/reading.py": ("drops/test_isolation.py", "reads in the process or in one of its own"),
    "errors.py": ("storage/test_folder.py", "classes without code, raised by what is tested"),
    "explain/asof_screen.py": ("explain/test_asof.py", "prints and writes what the command tells"),
    "explain/cell_screen.py": ("explain/test_cell.py", "prints what the command tells"),
    "explain/drop_files.py": ("explain/test_cell.py", "the files that the explanation names"),
    "explain/lake_cells.py": ("explain/test_cell.py", "the part of the explanation that the lake gives"),
    "explain/moment.py": ("explain/test_asof.py", "the moments that are asked for"),
    "explain/now.py": ("explain/test_cell.py", "the cell that is explained"),
    "explain/odd_dates.py": ("explain/test_doubts.py", "the whole dates among what would be suspect"),
    "explain/plan_screen.py": ("explain/test_plan.py", "prints what the command tells"),
    "explain/present.py": ("explain/test_plan.py", "the cells from which a plan is made"),
    "faults.py": ("publish/test_widening.py", "places at which tests kill a job"),
    "fill/past.py": ("fill/test_fill.py", "what a fill works out"),
    "fill/tables.py": ("fill/test_fill.py", "what a fill writes"),
    "follower.py": ("receipts/test_writer.py", "the thread below the writer of receipts"),
    "home/rebuild_journal.py": ("job/test_rebuild.py", "what a rebuild that was killed has left"),
    "home/sign.py": ("home/test_running.py", "the sign by which a running job is known"),
    "lake/outbox.py": ("lake/test_appender.py", "what the appender brings to the lake"),
    "ledger/explained.py": ("commands/test_dates.py", "which tables the job keeps, as the commands ask it"),
    "ledger/profiles.py": ("soak/test_profiles.py", "which profile each drop was read by, as a whole job keeps it"),
    "ledger/fates.py": ("commands/test_status.py", "an expression of SQL"),
    "options.py": ("test_cli.py", "what `--help` shows of each setting"),
    "packets.py": ("ticks/test_parse.py", "what a parser makes"),
    "page/connecting.py": ("page/test_app.py", "texts to copy"),
    "page/desk.py": ("page/test_app.py", "what a page gets, by a server as a process"),
    "page/feed.py": ("page/test_app.py", "what is pushed, by a server as a process"),
    "page/panels/drops.py": ("page/test_app.py", "one address of the page"),
    "page/panels/point.py": ("page/test_app.py", "one address of the page"),
    "page/panels/strip.py": ("page/test_app.py", "the first event of the page"),
    "page/panels/tables.py": ("page/test_app.py", "which tables the panels read"),
    "page/guard.py": ("page/test_app.py", "who may ask, by a server as a process"),
    "ledger/correction_runs.py": ("ledger/test_corrections.py", "how its rows are kept"),
    "publish/column_order.py": ("publish/test_wide.py", "how rows go into the tables"),
    "publish/wide_copy.py": ("publish/test_wide.py", "PostgreSQL reads what it writes"),
    "publish/latest.py": ("publish/test_wide.py", "kept up with the wide tables"),
    "publish/wide_layout.py": ("publish/test_widening.py", "the columns before and after a widening"),
    "rebuild/database.py": ("job/test_rebuild.py", "a step of a rebuild"),
    "rebuild/files.py": ("job/test_rebuild.py", "a step of a rebuild"),
    "receipts/delivery.py": ("receipts/test_writer.py", "what the writer does for each batch"),
    "receipts/destinations.py": ("job/test_job.py", "checks the places of a job at its start"),
    "returns/piece.py": ("returns/test_history.py", "what a batch does to some tickers"),
    "returns/processor.py": ("job/test_batch_cost.py", "Spark's interface, which only a query calls"),
    "returns/shelf.py": ("returns/test_history.py", "the pages of a history"),
    "returns/timeline.py": ("returns/test_history.py", "the dates of a history"),
    "returns/window.py": ("returns/test_history.py", "the part of a history that a batch touches"),
    "s3_codes.py": ("storage/test_refusals.py", "codes by what they mean for a drop"),
    "screen.py": ("commands/test_status.py", "prints what the commands tell"),
    "setting_values.py": ("test_settings.py", "what the settings are written as"),
    "sniff/columns.py": ("sniff/test_proposal.py", "a part of the proposal"),
    "sniff/names.py": ("sniff/test_proposal.py", "a part of the proposal"),
    "sniff/sample.py": ("sniff/test_proposal.py", "a part of the proposal"),
    "sniff/toml.py": ("sniff/test_proposal.py", "what is written is read again"),
    "sniff/values.py": ("sniff/test_proposal.py", "a part of the proposal"),
    "spark/ahead.py": ("job/test_stop.py", "Java at the start of a job"),
    "spark/download.py": ("spark/test_jars.py", "fetches the jars"),
    "spark/jvm.py": ("job/test_stop.py", "the Java process, which ends with its job"),
    "spark/maven.py": ("spark/test_jars.py", "where the jars are"),
    "spark/properties.py": ("soak/test_artifact.py", "read by Spark at the start of a job"),
    "spark/session.py": ("job/test_job.py", "the session of a job"),
    "spark/trust.py": ("spark/test_jars.py", "whom a download trusts"),
    "spark/worker_daemon.py": ("job/test_workers_killed.py", "the process above the workers of a job"),
    "spark/wrappers.py": ("spark/test_java.py", "the script before Java"),
    "storage/crash_safe.py": ("receipts/test_moves.py", "moves that are killed are its test"),
    "supervision/drained.py": ("receipts/test_writer.py", "asks the writer of receipts"),
    "supervision/restarts.py": ("supervision/test_mishaps.py", "starts the query again after each mishap"),
    "suspects/filling.py": ("publish/test_explained.py", "a table that was off and is on again"),
    "suspects/kept.py": ("publish/test_explained.py", "compared with an oracle, batch by batch"),
    "suspects/recent.py": ("publish/test_explained.py", "compared with an oracle, batch by batch"),
    "suspects/watch.py": ("publish/test_explained.py", "compared with an oracle, batch by batch"),
    "telemetry/log.py": ("test_masking.py", "what a log line hides is tested"),
    "telemetry/observer.py": ("telemetry/test_batch_log.py", "an interface without code and the facts that it passes"),
    "telemetry/telemetry.py": ("job/test_job.py", "puts the observers of a job together"),
    "telemetry/wear.py": ("job/test_descriptors.py", "ends a job whose processes wear out"),
    "ticks/by_column.py": ("ticks/test_parse_fuzz.py", "compared with the parser by line"),
    "ticks/by_line.py": ("ticks/test_parse_fuzz.py", "compared with the parser by column"),
    "ticks/by_value.py": ("ticks/test_parse_fuzz.py", "compared with the parser by line"),
    "ticks/columns.py": ("ticks/test_header.py", "a step of the header"),
    "ticks/dates.py": ("ticks/test_rules.py", "compared with the oracle of profiles"),
    "ticks/expected.py": ("ticks/test_cases.py", "what a reason tells"),
    "ticks/fields.py": ("ticks/test_parse.py", "a step of the parser"),
    "ticks/gathering.py": ("ticks/test_parse_fuzz.py", "a step of the parser"),
    "ticks/apart.py": ("ticks/test_rules.py", "which conflicts are no second key"),
    "ticks/how.py": ("ticks/test_rules.py", "how a drop is read"),
    "ticks/ranges.py": ("ticks/test_parquet.py", "what reads Parquet in parts"),
    "ticks/layout.py": ("ticks/test_header.py", "what a header announces"),
    "ticks/lines.py": ("ticks/test_splits.py", "where a part begins and ends"),
    "ticks/names.py": ("ticks/test_header.py", "a step of the header"),
    "ticks/number_columns.py": ("ticks/test_rules.py", "compared with the oracle of profiles"),
    "ticks/numbers.py": ("ticks/test_rules.py", "compared with the oracle of profiles"),
    "ticks/parquet_values.py": ("ticks/test_parquet.py", "a step of the reading of Parquet"),
    "ticks/refusals.py": ("ticks/test_cases.py", "what a refusal tells"),
    "ticks/told.py": ("ticks/test_cases.py", "what is told of single rows"),
    "ticks/unreadable.py": ("ticks/test_header.py", "a class without code"),
}

# where a type is `Any`: how often, and whose edge it is; whatever lies further in has a type
ANY: dict[str, tuple[int, str]] = {
    "audit/grid.py": (1, "PostgreSQL: numbers of the type that the query names"),
    "aws.py": (5, "boto3: makes its clients while it runs"),
    "checkpoint/inspection.py": (1, "JSON: the lines of Spark's logs"),
    "checkpoint/offset.py": (2, "JSON: an offset in Spark's log"),
    "cli.py": (1, "typer: the arguments of a command"),
    "drops/object_events.py": (2, "boto3: a client of SQS, whose types are not installed"),
    "frames/shapes.py": (2, "numpy: columns of the types that a query names"),
    "database/transactions.py": (1, "PostgreSQL: the rows of any statement"),
    "home/sign.py": (1, "JSON: the document of a job in its home"),
    "packets.py": (1, "Arrow: the columns of a packet"),
    "returns/chunks.py": (1, "numpy: columns of the types that a format names"),
    "returns/processor.py": (1, "Spark: the key of a group"),
    "screen.py": (1, "JSON: what a command tells with `--json`"),
    "settings.py": (1, "pydantic: values before they are checked"),
    "spark/download.py": (1, "urllib3: options of its two kinds of pools"),
    "spark/jvm.py": (1, "Spark: a server that it does not show"),
    "spark/properties.py": (1, "importlib: a folder, or one in an archive"),
    "supervision/supervise.py": (1, "Spark: the cause of an exception, which it does not show"),
}


def _has_its_test(module: Path) -> bool:
    name = f"test_{module.stem}.py"
    return (TESTS / module.parent / name).is_file() or (TESTS / "job" / name).is_file()


def _is_one_sentence(docstring: str | None) -> bool:
    first = (docstring or "").partition("\n")[0]
    return first.endswith(".") and not re.search(r"[.!?] +[A-Z]", first)


def test_each_test_says_its_rule_in_one_sentence() -> None:
    """The first line of a test's docstring is one sentence."""
    silent = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in sorted(TESTS.rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        if not _is_one_sentence(ast.get_docstring(node))
    ]
    assert not silent, "the first line of each docstring must be one sentence:\n" + "\n".join(silent)


def test_each_module_has_a_test_of_its_name_or_a_reason() -> None:
    """A module without a test of its name stands in COVERED, and nothing else does."""
    package = ROOT / "streaming"
    modules = [path.relative_to(package) for path in package.rglob("*.py") if path.name != "__init__.py"]
    without = {module.as_posix() for module in modules if not _has_its_test(module)}
    assert sorted(without - COVERED.keys()) == [], "write a test of its name, or add the module to COVERED"
    assert sorted(COVERED.keys() - without) == [], "these have a test of their name, or are gone: remove them"


def test_each_test_file_that_a_reason_names_exists() -> None:
    """COVERED names no test file that was renamed or removed."""
    assert [name for name, _ in COVERED.values() if not (TESTS / name).is_file()] == []


def test_any_stands_only_at_the_edges() -> None:
    """A type that is not known stands where another program's data come in, as often as ANY says and no more."""
    found = {
        path.relative_to(ROOT / "streaming").as_posix(): _anys(path) for path in (ROOT / "streaming").rglob("*.py")
    }
    assert {name: count for name, count in found.items() if count} == {name: count for name, (count, _) in ANY.items()}
    assert sum(found.values()) < 40


def _anys(path: Path) -> int:
    """How often `Any` is used as a type, also in the text that `cast` is given."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    texts = [node.args[0] for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == "cast"]
    hidden = [text for text in texts if isinstance(text, ast.Constant) and re.search(r"\bAny\b", str(text.value))]
    return len(hidden) + sum(isinstance(node, ast.Name) and node.id == "Any" for node in nodes)


def test_each_class_has_a_name_of_its_own() -> None:
    """No two classes of the job and of the Lambdas share a name, so that a name says which one is meant."""
    places: dict[str, list[str]] = {}
    for path in [*(ROOT / "streaming").rglob("*.py"), *(ROOT / "lambda").rglob("*.py")]:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(path.relative_to(ROOT).as_posix())
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_packages_hold_no_code() -> None:
    """Only `streaming/__init__.py` holds something: its docstring and the version."""
    files = [path for folder in ("streaming", "lambda") for path in (ROOT / folder).rglob("__init__.py")]
    held = {str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8")).body for path in files}
    docstring, version = held.pop("streaming/__init__.py")
    assert isinstance(docstring, ast.Expr)
    assert ast.unparse(version).startswith("__version__ = ")
    assert [name for name, body in held.items() if body] == []


def test_the_lambdas_borrow_four_modules() -> None:
    """Errors, codes of S3, drop names and receipt names, with the packages above them, are all that they take along."""
    assert {name for name in lambda_sources(ROOT) if name.startswith("streaming/")} == {
        "streaming/__init__.py",
        "streaming/errors.py",
        "streaming/receipts/__init__.py",
        "streaming/receipts/names.py",
        "streaming/s3_codes.py",
        "streaming/storage/__init__.py",
        "streaming/storage/place.py",
    }
