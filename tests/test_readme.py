"""README.md, DESIGN.md and docs/ say what is there, all of it, and their commands and examples do what they show."""

from __future__ import annotations

import ast
import gzip
import io
import os
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
import typer
from loaded_home import LoadedHome
from psycopg2 import sql

from streaming import cli, errors
from streaming.commands.status import status
from streaming.commands.status_screen import show
from streaming.settings import PREFIX, WEBHOOK_SECRET, Settings, load
from streaming.spark.maven import MIRROR
from streaming.ticks.by_line import judge
from streaming.ticks.fields import REASONS
from streaming.ticks.header import HEADER_LIMIT, read_header
from streaming.ticks.how import How
from streaming.ticks.parse import parse
from streaming.ticks.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = [README, ROOT / "DESIGN.md", *sorted((ROOT / "docs").glob("*.md"))]
EVERY_PAGE = sorted({*PAGES, *ROOT.glob("*.md"), *ROOT.glob("[a-z]*/README.md")})
MANUAL = "\n".join(page.read_text() for page in PAGES if page.name != "DESIGN.md")
GROUP: Any = typer.main.get_command(cli.app)
COMMANDS: dict[str, Any] = GROUP.commands

OTHERS_OPTIONS = {"--py-files", "--jars", "--conf", "--files", "--master", "--deploy-mode", "--archives"}
"""Of spark-submit."""
SLOW_OR_FAR = ("make", "aws", "stocketl run", "stocketl demo", "stocketl rebuild", "stocketl database", "stocketl page")
"""What needs Spark, a network or a home of its own; each has tests of its own."""
HEADER = b"date,id,price,trade_volume\n"
ROW = b"2024-01-03,AAPL,101.5,900\n"
PACKED = gzip.compress(HEADER + ROW)

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def blocks(page: Path, kind: str) -> list[str]:
    """The texts of the fenced blocks of this kind."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [text for of, text in found if of == kind]


def shell_lines(page: Path) -> list[str]:
    return [line for block in blocks(page, "sh") for line in block.splitlines()]


def code(page: Path) -> list[str]:
    """What stands between backticks within a line, and the lines of the shell blocks."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [*re.findall(r"`([^`\n]+)`", text), *shell_lines(page)]


def table(title: str) -> dict[str, str]:
    """The first and the last column of the table below a heading of the README."""
    section = README.read_text().split(f"# {title}\n")[1].split("\n#")[0]
    rows = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return {row[0].strip(): row[-1].strip() for row in rows[1:]}


def options_of(command: Any) -> set[str]:
    return {name for param in command.params for name in param.opts if name.startswith("--")}


def literals(*folders: str) -> Iterator[str]:
    """Every text of the sources, with `…` where a value is put in."""
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield re.sub(r"%[sr]|%\.\df", "…", node.value)
                elif isinstance(node, ast.JoinedStr):
                    parts = (part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
                    yield "".join(map(str, parts))


@pytest.fixture(scope="module")
def said() -> str:
    """All messages of the sources, one after the other."""
    setup = [(ROOT / name).read_text() for name in ("Makefile", "install.py")]
    return "\n".join([*literals("streaming", "lambda", "deploy"), *setup])


@pytest.fixture
def home(database: str, tmp_path: Path) -> Iterator[LoadedHome]:
    """The home that `stocketl run` makes in this folder, with the README's three rows and the demo's first file."""
    made = LoadedHome(load(environment=False, home=str(tmp_path / "stocketl-home"), database=database), lake=True)
    made.load("prices.csv", blocks(README, "csv")[0])
    made.load("input_1.csv", (ROOT / "stocks/input_1.csv").read_text())
    yield made
    made.close()


@pytest.mark.parametrize("page", EVERY_PAGE, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_line_of_text_is_longer_than_120_characters(page: Path) -> None:
    """A page can be read in a terminal and beside its difference to an older one."""
    assert [line for line in page.read_text().splitlines() if len(line) > 120] == []


@each_page
def test_each_command_and_option_that_is_named_exists(page: Path) -> None:
    """`stocketl COMMAND --option` is taken as it is written; an option that stands alone is one of some command."""
    known = set().union(*map(options_of, COMMANDS.values()), options_of(GROUP), {"--help"}, OTHERS_OPTIONS)
    for text in code(page):
        if text.startswith("aws "):  # which has options of its own
            continue
        words = shlex.split(text, comments=True) if text.startswith("stocketl ") else []
        if len(words) > 1 and words[1] in COMMANDS:
            given = {word for word in words[2:] if word.startswith("--")}
            assert given <= options_of(COMMANDS[words[1]]) | {"--help"}, text
        else:
            assert len(words) < 2 or words[1] in {"--version", "COMMAND"}, text
            assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) <= known, text


@each_page
def test_each_target_of_make_that_is_named_exists(page: Path) -> None:
    """`make TARGET` is one of the Makefile's."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {found[1] for text in code(page) if (found := re.match(r"make ([a-z-]+)", text))}
    assert named <= targets


@each_page
def test_each_variable_that_is_named_exists(page: Path) -> None:
    """A `STOCKETL_…` variable is one of the settings, the mirror of Maven Central, or the secret of the webhook."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {MIRROR, WEBHOOK_SECRET}
    assert set(re.findall(r"STOCKETL_[A-Z_]+", page.read_text())) <= known


@each_page
def test_each_file_that_is_named_exists(page: Path, said: str) -> None:
    """A file is in the repository under its path or its name, or it is one that the sources name or make."""
    kinds = "py|md|json|conf|toml|yaml|sh|sql|properties|lock|log"
    paths = [text for text in code(page) if re.fullmatch(rf"[\w./*-]+\.(?:{kinds})", text)]
    ignored = {line.rstrip("/") for line in (ROOT / ".gitignore").read_text().splitlines()} | {".git"}
    ours = [path for top in ROOT.iterdir() if top.name not in ignored for path in (top, *top.rglob("*"))]
    names = {path.name for path in ours} | {str(path.relative_to(ROOT)) for path in ours}
    names |= {name.removeprefix("streaming/") for name in names}
    made = re.compile(r"receipts/\d{9}\.json|postgres/server\*\.log|lake-outbox/N\.json")
    missing = [path for path in paths if path not in names and not made.fullmatch(path) and not list(ROOT.glob(path))]
    assert [path for path in missing if Path(path).name not in said] == []


@each_page
def test_each_link_leads_somewhere(page: Path) -> None:
    """To a file or a folder of the repository, and to a heading that it has."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        name, _, heading = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        if not name.startswith("https://"):
            assert there.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.+)$", there.read_text(), re.MULTILINE)
            assert heading in [re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles], target


def test_each_command_and_variable_is_named_in_the_manual() -> None:
    """The README's table of commands is complete, and README.md and docs/ leave no variable out."""
    assert {text.strip("`").split()[1] for text in table("Commands")} == set(COMMANDS)
    named = [*(PREFIX + name.upper() for name in Settings.model_fields), MIRROR, WEBHOOK_SECRET]
    assert [name for name in named if not re.search(rf"{name}\b", MANUAL)] == []


def test_each_module_is_named_in_the_design() -> None:
    """The list of packages in DESIGN.md leaves no module out."""
    packages = (ROOT / "DESIGN.md").read_text().split("\n## Packages\n")[1].split("\n## ")[0]
    named = set(re.findall(r"`([a-z0-9_]+)`", packages)) | {"__init__", "__main__"}
    assert {path.stem for path in (ROOT / "streaming").rglob("*.py")} - named == set()


def test_the_page_of_options_is_what_help_says() -> None:
    """docs/options.md has each option of each command with its own text, and no other."""
    text = (ROOT / "docs/options.md").read_text()
    entries = re.findall(r"^- (`--.+?)(?=\n- |\n#|\n\n|\Z)", text, re.MULTILINE | re.DOTALL)
    found = {" ".join(entry.split()) for entry in entries if not entry.startswith("`--help`")}
    expected = {
        f"`{' '.join(filter(None, [param.opts[0], param.metavar]))}`: {param.help}"
        for command in COMMANDS.values()
        for param in command.params
        if param.opts[0].startswith("--") and param.name != "help"
    }
    assert found == expected


def test_each_reason_of_a_row_has_an_example_that_is_rejected_for_it() -> None:
    """The table of the README is complete, in the order in which a row is tried, and true."""
    examples = table("A row that breaks a rule is rejected")
    assert [reason.strip("`") for reason in examples] == list(REASONS)
    rules = Rules(text_ids=False)
    layout = read_header(HEADER, rules)
    rows = {name: text.strip("`") for name, text in examples.items() if text.startswith("`")}
    assert {f"`{judge(row.encode(), layout, rules)}`": row for row in rows.values()} == rows


def _zip_of_two() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name in ("a.csv", "b.csv"):
            archive.writestr(name, HEADER + ROW)
    return sink.getvalue()


ZIP = _zip_of_two()
FAILED_FILES = {
    "`prices.txt`": ("prices.txt", HEADER + ROW),
    "zero bytes": ("a.csv", b""),
    "only blank lines": ("a.csv", b"\n \n"),
    "a spreadsheet, JSON, UTF-16 …": ("a.csv", b"{}"),
    "a header saved as Latin-1": ("a.csv", b"date,id,price,trade_volume,soci\xe9t\xe9\n"),
    "a header with a lone CR or a NUL in it": ("a.csv", HEADER.replace(b"\n", b"\r") + ROW),
    "a header with an open quote": ("a.csv", b'"' + HEADER),
    "a title above the header": ("a.csv", b"Prices of today\n" + HEADER + ROW),
    "the first line is data": ("a.csv", ROW),
    "a first line of more than 1 MiB": ("a.csv", b"x" * (HEADER_LIMIT + 1)),
    "no column `price`": ("a.csv", b"date,id,trade_volume\n"),
    "hourly rows of one ticker": ("a.csv", b"date,time,id,price\n2024-01-02,09:30,A,1\n2024-01-02,10:30,A,2\n"),
    "a zip with two files": ("a.zip", ZIP),
    "Parquet that was cut off": ("a.parquet", b"PAR1"),
    "both `price` and `close`": ("a.csv", b"date,id,price,close,trade_volume\n"),
    "a gzip that was cut off": ("a.csv.gz", PACKED[:-9]),
    "a gzip with wrong bytes in it": ("a.csv.gz", PACKED[:12] + b"\xff\xff\xff\xff" + PACKED[16:]),
    "a gzip with something behind it": ("a.csv.gz", PACKED + b"more"),
    "a gzip that unpacks to more than `--unpacked-limit`": ("a.csv.gz", gzip.compress(HEADER + ROW * 100)),
    "no row is good": ("a.csv", HEADER + b"nothing,of,use,here\n"),
}


@pytest.mark.parametrize("file", FAILED_FILES)
def test_a_file_that_cannot_be_used_fails_with_the_reason_that_the_readme_gives(file: str) -> None:
    """The README's words are the beginning of the reason."""
    key, data = FAILED_FILES[file]
    failure = parse(data, key, How(text_ids=False, unpacked_limit=1_000)).failure
    assert failure is not None
    assert failure.startswith(table("A file that cannot be used fails as a whole")[file].strip("`"))


def test_each_word_that_a_reason_can_begin_with_is_in_the_readme(said: str) -> None:
    """What the storage says of a drop, and what reading it says, is in the table, and nothing else is."""
    by_storage = {f"`{kind.word}`" for kind in kinds_of(errors.DropError)}
    by_reading = {f"`{word}`" for word in re.findall(r"^(poison|too-large): ", said, re.MULTILINE)}
    reasons = table("A file that cannot be used fails as a whole")
    assert {reason for file, reason in reasons.items() if file not in FAILED_FILES} == by_storage | by_reading


def kinds_of(kind: type[errors.DropError]) -> Iterator[type[errors.DropError]]:
    for below in kind.__subclasses__():
        yield below
        yield from kinds_of(below)


def test_each_message_of_the_troubleshooting_is_one_of_the_sources(said: str) -> None:
    """A reader who searches the page for what is on the screen finds it."""
    section = README.read_text().split("## Troubleshooting\n")[1].split("\n## ")[0]
    messages = re.findall(r"^- `(.+)`$", section, re.MULTILINE)
    assert len(messages) > 15
    unknown = [message for message in messages if message.removesuffix(" …").rstrip("…") not in said.replace("……", "…")]
    assert unknown == []


def test_the_rights_that_an_error_message_sends_to_are_a_heading(said: str) -> None:
    """`PostgreSQL refused: … [42501]` names a heading of the README."""
    assert "the README lists under 'Least rights'" in said
    assert "\n### Least rights\n" in README.read_text()


@pytest.mark.usefixtures("home")
def test_the_three_rows_become_the_three_tables_that_are_shown(database: str) -> None:
    """The first picture of the README, cell by cell."""
    shown = next(block for block in blocks(README, "") if block.startswith("prices "))
    titles, names, _, *rows = shown.splitlines()
    kinds = titles.split()
    edges = [*map(titles.index, kinds), None]
    with psycopg2.connect(database) as connection, connection.cursor() as cur:
        for name, start, end in zip(kinds, edges, edges[1:], strict=False):
            columns, *expected = ([cell.strip() for cell in row[start:end].split("|")] for row in (names, *rows))
            cur.execute(
                sql.SQL("SELECT {} FROM {} WHERE date < '2024-01-04' ORDER BY date").format(
                    sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier(name)
                )
            )
            assert [["" if cell is None else f"{cell}".removesuffix(".0") for cell in row] for row in cur] == expected


@pytest.mark.usefixtures("home")
def test_the_shell_blocks_run(tmp_path: Path, database: str) -> None:
    """Each line ends well; only `stocketl status` says 3, since no job is running here."""
    (tmp_path / "stocks").symlink_to(ROOT / "stocks")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    environment |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "STOCKETL_DATABASE": database}
    lines = [line for page in PAGES for line in shell_lines(page) if not line.startswith(SLOW_OR_FAR)]
    lines += [command for text in table("Commands") if not (command := text.strip("`")).startswith(SLOW_OR_FAR)]
    assert len(lines) > 6
    for line in lines:
        command = line.replace("psql", "psql -c 'SELECT 1'")
        done = subprocess.run(
            ["/bin/bash", "-euc", command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == (3 if command == "stocketl status" else 0), f"{command}\n{done.stdout}{done.stderr}"


@pytest.mark.usefixtures("home")
def test_the_blocks_of_sql_run(database: str) -> None:
    """The two queries give rows; the rights are given to the roles that they name."""
    queries, rights = blocks(README, "sql")
    with psycopg2.connect(database) as connection, connection.cursor() as cur:
        for query in queries.split(";")[:2]:
            cur.execute(query)
            assert cur.rowcount == 5
        cur.execute("DROP SCHEMA stocketl CASCADE")
        cur.execute("CREATE ROLE etl; CREATE ROLE reader")
        cur.execute(rights)
        connection.rollback()


@pytest.mark.usefixtures("home")
def test_the_receipt_that_is_shown_is_one(database: str) -> None:
    """Each key of the README's receipt is a key of a real one, of the same type."""
    (shown,) = (ast.literal_eval(text.replace("null", "None")) for text in blocks(README, "json"))
    with psycopg2.connect(database) as connection, connection.cursor() as cur:
        cur.execute("SELECT body FROM stocketl.receipts WHERE body ->> 'key' = 'input_1.csv'")
        ((body,),) = cur.fetchall()
    assert {key: type(body.get(key)) for key in shown} == {key: type(value) for key, value in shown.items()}
    assert set(shown["rejects"][0]) == set(body["rejects"][0])
    assert shown["rows_read"] == shown["rows_loaded"] + shown["rows_duplicate"] + shown["rows_rejected"]


def test_the_lines_of_the_demo_that_are_shown_are_those_of_its_files() -> None:
    """Counts of loaded, duplicate and rejected rows, as the demo tells them."""
    counts = r"^input_(\d+)\.csv +([\d,]+) loaded, (\d+) duplicate, (\d+) rejected"
    shown = re.findall(counts, README.read_text(), re.MULTILINE)
    assert len(shown) == 3
    for number, loaded, duplicate, rejected in shown:
        key = f"input_{number}.csv"
        parsed = parse((ROOT / "stocks" / key).read_bytes(), key, How(text_ids=False, unpacked_limit=1 << 30))
        found = (f"{parsed.rows_loaded:,}", f"{parsed.rows_duplicate}", f"{parsed.rows_rejected}")
        assert found == (loaded, duplicate, rejected)


def test_the_status_that_is_shown_has_the_lines_of_a_real_one(
    home: LoadedHome, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same names in the same order, and the same heads of columns."""
    monkeypatch.setenv("COLUMNS", "2000")
    show(status(home.settings))
    real = capsys.readouterr().out.splitlines()
    (shown,) = (block.splitlines() for block in blocks(README, "") if block.startswith("job "))
    head = next(n for n, line in enumerate(shown) if line.startswith("drop "))
    assert [line[:12].strip() for line in real[:head]] == [line[:12].strip() for line in shown[:head]]
    assert real[head].split() == shown[head].split()
