"""The command line: quick, readable on a narrow terminal, plain in its errors."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import streaming.commands.status
import streaming.telemetry.log
from streaming import __version__, cli, options
from streaming.database import embedded
from streaming.settings import Settings
from streaming.telemetry.log import JsonLines, TextLines

COMMANDS = [
    *("run", "demo", "status", "dates", "suspects", "verify", "fill", "rebuild", "receipts"),
    *("explain", "asof", "plan", "database", "psql"),
]
STOCKETL = str(Path(sys.executable).parent / "stocketl")


def run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([STOCKETL, *arguments], capture_output=True, text=True, check=False, env=env, timeout=60)


def main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["stocketl", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_help_needs_no_spark_no_database_and_no_pandas() -> None:
    """`--help` imports next to nothing, so it is there at once."""
    heavy = "{'pyspark', 'pandas', 'numpy', 'pyarrow', 'psycopg2', 'boto3', 'psutil'}"
    code = f"import sys\nfrom streaming.cli import app\nprint(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_help_names_every_command_and_fits_a_narrow_terminal() -> None:
    """60 columns are enough."""
    result = CliRunner().invoke(cli.app, ["--help"], terminal_width=60, env={"COLUMNS": "60"})
    assert result.exit_code == 0
    assert all(f"│ {command} " in result.output for command in COMMANDS)
    assert max(len(line) for line in result.output.splitlines()) <= 60


def test_help_of_run_names_each_setting_with_its_variable_and_default() -> None:
    """No manual is needed."""
    result = CliRunner().invoke(cli.app, ["run", "--help"], env={"COLUMNS": "60"})
    said = "".join(line.strip("│ ") for line in result.output.splitlines()).replace(" ", "")
    for field in Settings.model_fields:
        assert f"--{field.replace('_', '-')}" in said
        assert f"Variable:STOCKETL_{field.upper()}" in said
        assert field not in options.DEFAULTS or f"Default:{options.DEFAULTS[field]}.".replace(" ", "") in said
    assert "…" not in result.output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    """`stocketl COMMAND --help` says what it does."""
    result = CliRunner().invoke(cli.app, [command, "--help"], env={"COLUMNS": "60"})
    assert result.exit_code == 0
    assert f"Usage: stocketl {command}" in result.output
    assert max(len(line) for line in result.output.splitlines()) <= 60


@pytest.mark.parametrize("command", [[], *([command] for command in COMMANDS)], ids=str)
def test_a_flag_is_shown_as_a_flag(command: list[str]) -> None:
    """An option without a value stands alone in the help: `--once`, not `--once <bool>`."""
    shown = CliRunner().invoke(cli.app, [*command, "--help"], env={"COLUMNS": "80"}).output
    assert re.search(r"--help +-h +Show", shown)
    assert "<bool>" not in shown


def test_the_defaults_that_help_shows_are_the_real_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written in the help text, given as options, changes nothing."""
    monkeypatch.chdir(tmp_path)
    places = {name: text.replace("HOME", options.DEFAULTS["home"]) for name, text in options.DEFAULTS.items()}
    given = {name: text for name, text in places.items() if name not in {"database", "trigger", "settle"}}
    assert cli.load(**given) == cli.load()
    for name in ("trigger", "settle"):
        folder, on_s3 = options.DEFAULTS[name].split(", on S3 ")
        assert cli.load(**{name: folder}) == cli.load()
        assert cli.load(input="s3://bucket/in", **{name: on_s3}) == cli.load(input="s3://bucket/in")


def test_the_version_is_the_packages() -> None:
    """`--version` as everybody expects it."""
    assert CliRunner().invoke(cli.app, ["--version"]).output == f"stocketl {__version__}\n"


def test_a_wrong_option_is_one_plain_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1, standard error, no traceback."""
    assert main(monkeypatch, "status", "--input", "ftp://x") == 1
    said = "stocketl: input: expected a folder or s3://bucket/prefix; the scheme 'ftp' is not known, got 'ftp://x' "
    assert capsys.readouterr() == ("", said + "(--input or STOCKETL_INPUT)\n")


def test_ctrl_c_shows_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 130, as shells expect, and nothing else."""

    def interrupted(_: Settings) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(streaming.commands.status, "status", interrupted)
    assert main(monkeypatch, "status", "--home", str(tmp_path)) == 130
    assert capsys.readouterr() == ("", "")


def test_an_unknown_command_or_option_is_told_without_a_traceback() -> None:
    """Exit code 2 and the way to the help."""
    for arguments in (["rnu"], ["run", "--inptu", "x"]):
        done = run(*arguments)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert "--help" in done.stderr


def test_status_as_json_before_the_first_run(tmp_path: Path) -> None:
    """A script can ask: no job runs, which needs a look; nothing is made."""
    done = run("status", "--home", str(tmp_path), "--json")
    assert (done.returncode, done.stderr) == (3, "")
    facts = json.loads(done.stdout)
    assert (facts["state"], facts["drops"]) == ("no-database", {"waiting": 0})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    ["status", "status --json", "dates", "suspects", "receipts", "verify", "psql", "database", "database --stop"],
)
@pytest.mark.parametrize("more", [[], ["--database", "postgresql://me@127.0.0.1:1/x"]])
def test_a_home_that_is_not_there_is_told_by_every_command(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    more: list[str],
) -> None:
    """A slip of the finger makes no server and no folder, and is no empty home: one line, exit code 1."""
    home = tmp_path / "tpyo"
    assert main(monkeypatch, *command.split(), "--home", str(home), *more) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"stocketl: home: there is no folder {home}; correct --home")
    assert len(told.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_receipts_and_verify_without_a_database_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One plain line each, exit code 1."""
    for command in (["receipts"], ["receipts", "a.csv"], ["verify"]):
        assert main(monkeypatch, *command, "--home", str(tmp_path)) == 1
        said = f"there is no database in {tmp_path}/postgres yet; `stocketl run --home {tmp_path}` makes it"
        assert capsys.readouterr() == ("", f"stocketl: {said}\n")


def test_database_starts_the_server_psql_uses_it_and_stop_ends_it(tmp_path: Path) -> None:
    """The URI is printed alone on its line; psql gets its arguments as they are and its exit code comes back."""
    home = ["--home", str(tmp_path / "home")]
    try:
        started = run("database", *home, "--create")
        uri = embedded.running(tmp_path / "home" / "postgres")
        assert uri is not None
        assert (started.returncode, started.stdout) == (0, uri + "\n")
        assert started.stderr.splitlines()[-1] == f"made a new PostgreSQL in {tmp_path}/home/postgres"
        asked = run("psql", *home, "-X", "-A", "-t", "-c", "SELECT 6 * 7", "--set", "x=y")
        assert (asked.returncode, asked.stdout, asked.stderr) == (0, "42\n", "")
        assert run("psql", *home, "-X", "-v", "ON_ERROR_STOP=1", "-c", "SELECT nonsense").returncode == 1
    finally:
        stopped = run("database", *home, "--stop")
    assert stopped.stdout == "stopped\n"
    assert run("database", *home, "--stop").stdout == f"no server is up in {tmp_path}/home/postgres\n"


def test_a_database_of_ones_own_is_not_stopped_and_its_password_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`stocketl database` prints where it is and starts nothing."""
    own = ["--home", str(tmp_path), "--database", "postgresql://me:secret@db/stocks"]
    assert main(monkeypatch, "database", *own) == 0
    assert capsys.readouterr().out == "postgresql://me:***@db/stocks\n"
    assert main(monkeypatch, "database", *own, "--stop") == 1
    said = "--stop makes no sense with postgresql://me:***@db/stocks: it is not the embedded server"
    assert capsys.readouterr().err == f"stocketl: {said}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["database", "--stop", "--create"], "--create makes no sense with --stop"),
        (["database", "--force"], "--force makes no sense with no --stop beside it"),
        (["database", "--listen", "--stop"], "--listen makes no sense with --stop"),
        (["database", "127.0.0.1:5433"], "ADDRESS makes no sense with no --listen beside it"),
        (["run", "--heartbeat-every", "3s"], "heartbeat_every: expected --heartbeat or --metrics too"),
        (["run", "--once", "--input", "tpyo"], "input: there is no folder"),
    ],
)
def test_options_that_make_no_sense_together_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    """Nothing is done that nobody can have meant."""
    monkeypatch.setattr(streaming.telemetry.log, "log_to_terminal", lambda _: None)
    monkeypatch.chdir(tmp_path)
    assert main(monkeypatch, *arguments) == 1
    assert capsys.readouterr().err.startswith(f"stocketl: {said}")
    assert list(tmp_path.iterdir()) == []


def test_log_lines_hide_passwords_and_json_lines_carry_what_a_record_carries() -> None:
    """Text for people, one JSON object a line for machines."""
    record = logging.LogRecord("streaming.x", logging.INFO, "", 0, "on %s", ("postgresql://me:secret@db/x",), None)
    record.created = 0.25
    record.keys = ["a.csv"]
    assert TextLines("%(levelname)s %(message)s").format(record) == "INFO on postgresql://me:***@db/x"
    assert json.loads(JsonLines().format(record)) == {
        "time": "1970-01-01T00:00:00.250+00:00",
        "level": "INFO",
        "logger": "streaming.x",
        "message": "on postgresql://me:***@db/x",
        "keys": ["a.csv"],
    }
