"""Settings are checked at start and never show a password."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from streaming.errors import SettingsError
from streaming.masking import masked
from streaming.settings import Settings, given_options, load

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_home_gives_every_location_its_default(tmp_path: Path) -> None:
    """Without any option all lies under ./stocketl-home."""
    home = tmp_path / "stocketl-home"
    assert load() == Settings(
        home=home,
        input=f"{home}/input",
        success=f"{home}/success",
        failed=f"{home}/failed",
        receipts=f"{home}/receipts",
        checkpoint=f"{home}/checkpoint",
        lake=f"{home}/lake",
        database=None,
        once=False,
        take_over=False,
        trigger=0.2,
        settle=1.0,
        max_batch_bytes=201_326_592,
        split_bytes=33_554_432,
        unpacked_limit=1_073_741_824,
        text_ids=False,
        move=False,
        log_format="text",
    )
    assert load().postgres_data == home / "postgres"
    assert load().moves


def test_on_s3_the_pace_is_slower_and_the_job_does_not_move() -> None:
    """A request costs money, an object appears as a whole, and moving is the monitor's."""
    settings = load(input="s3://bucket/in/")
    assert (settings.input, settings.trigger, settings.settle, settings.moves) == ("s3://bucket/in", 1.0, 0.0, False)


def test_a_queue_is_named_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The template says `none` if it makes no queue; a queue's name is no secret."""
    assert (load().wake, load(wake="none").wake) == (None, None)
    monkeypatch.setenv("STOCKETL_WAKE", "sqs://drops")
    assert load().wake == "sqs://drops"
    assert "--wake sqs://drops" in given_options(load(input="s3://bucket/in"))


def test_a_settle_time_that_somebody_has_set_holds_for_every_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """By default a file need not settle once Linux tells that it is closed."""
    assert load().settles_at_close
    assert not load(settle="1s").settles_at_close
    monkeypatch.setenv("STOCKETL_SETTLE", "1s")
    assert not load().settles_at_close


def test_an_option_wins_over_its_variable_and_that_over_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """STOCKETL_ variables count where no option is given; an empty one counts as not set."""
    monkeypatch.setenv("STOCKETL_TRIGGER", "2s")
    monkeypatch.setenv("STOCKETL_SETTLE", "0")
    monkeypatch.setenv("STOCKETL_LAKE", "None")
    monkeypatch.setenv("STOCKETL_DATABASE", "")
    settings = load(trigger="300ms", settle=None)
    assert (settings.trigger, settings.settle, settings.lake, settings.database) == (0.3, 0.0, None, None)


def test_without_the_environment_nothing_comes_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo never touches the database that a variable names."""
    monkeypatch.setenv("STOCKETL_DATABASE", "postgresql://db/real")
    monkeypatch.setenv("STOCKETL_INPUT", "s3://bucket/real")
    monkeypatch.setenv("STOCKETL_NONSENSE", "1")
    settings = load(environment=False, home="demo")
    assert (settings.database, settings.input, settings.trigger) == (None, str(tmp_path / "demo" / "input"), 0.2)


@pytest.mark.parametrize(
    ("text", "size"), [("64M", 67_108_864), ("1 GiB", 1_073_741_824), ("3kb", 3072), ("17", 17), ("5 B", 5)]
)
def test_sizes_have_units(text: str, size: int) -> None:
    """K, M and G are powers of 1024; the split size never exceeds the batch."""
    settings = load(max_batch_bytes=text, unpacked_limit=text)
    assert (settings.max_batch_bytes, settings.unpacked_limit) == (size, size)
    assert settings.split_bytes == min(size, 33_554_432)


@pytest.mark.parametrize(
    ("text", "tables"),
    [("suspects, corrections", ("corrections", "suspects")), ("None", ()), ("dates", ("dates",))],
)
def test_the_tables_beside_the_wide_ones_are_named(
    monkeypatch: pytest.MonkeyPatch, text: str, tables: tuple[str, ...]
) -> None:
    """In any order, as an option or a variable; without one it is all of them."""
    assert load().explain == ("corrections", "dates", "suspects")
    assert load(explain=text).explain == tables
    monkeypatch.setenv("STOCKETL_EXPLAIN", text)
    assert load().explain == tables


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"input": "ftp://host/in"},
            (
                "input: expected a folder or s3://bucket/prefix; the scheme 'ftp' is not known, got 'ftp://host/in' "
                "(--input or STOCKETL_INPUT)"
            ),
        ),
        (
            {"checkpoint": "s3:///x"},
            (
                "checkpoint: expected s3://bucket/prefix; what follows s3:// is not a bucket name, got 's3:///x' "
                "(--checkpoint or STOCKETL_CHECKPOINT)"
            ),
        ),
        ({"home": "s3://b/x"}, "home: expected a folder on this machine, got 's3://b/x' (--home or STOCKETL_HOME)"),
        (
            {"wake": "drops"},
            (
                "wake: expected sqs://NAME or a queue's URL, such as "
                "https://sqs.eu-central-1.amazonaws.com/123456789012/drops, got 'drops' (--wake or STOCKETL_WAKE)"
            ),
        ),
        ({"trigger": "0"}, "trigger: expected a time above zero, got '0' (--trigger or STOCKETL_TRIGGER)"),
        (
            {"trigger": "fast"},
            "trigger: expected a time such as 200ms, 1s or 0.5, got 'fast' (--trigger or STOCKETL_TRIGGER)",
        ),
        (
            {"settle": "-1s"},
            "settle: expected a time such as 200ms, 1s or 0.5, got '-1s' (--settle or STOCKETL_SETTLE)",
        ),
        (
            {"max_batch_bytes": "0"},
            (
                "max_batch_bytes: expected a size above zero such as 64M, 1G or a number of bytes, got '0' "
                "(--max-batch-bytes or STOCKETL_MAX_BATCH_BYTES)"
            ),
        ),
        (
            {"split_bytes": "2M", "max_batch_bytes": "1M"},
            (
                "split_bytes: expected at most max_batch_bytes, 1,048,576, got '2,097,152' "
                "(--split-bytes or STOCKETL_SPLIT_BYTES)"
            ),
        ),
        (
            {"explain": "corrections,prices"},
            (
                "explain: expected some of corrections, dates, suspects, with commas between them, or none, got "
                "'corrections,prices' (--explain or STOCKETL_EXPLAIN)"
            ),
        ),
        (
            {"log_format": "xml"},
            "log_format: input should be 'text' or 'json', got 'xml' (--log-format or STOCKETL_LOG_FORMAT)",
        ),
        (
            {"database": "mysql://me:secret@host/x"},
            (
                "database: expected a PostgreSQL URI such as postgresql://user:password@host:5432/stocks, "
                "got 'mysql://me:***@host/x' (--database or STOCKETL_DATABASE)"
            ),
        ),
        (
            {"database": "me:secret@host/x"},
            (
                "database: expected a PostgreSQL URI such as postgresql://user:password@host:5432/stocks, "
                "got 'me:***@host/x' (--database or STOCKETL_DATABASE)"
            ),
        ),
        (
            {"input": "s3://bucket/in", "move": True, "success": "s3://bucket/ok", "failed": "/tmp/failed"},  # noqa: S108 (never made)
            (
                "failed: expected s3://bucket/prefix, since the input is on S3 and the job moves drops there, "
                "got '/tmp/failed' (--failed or STOCKETL_FAILED)"
            ),
        ),
        (
            {"success": "s3://bucket/ok"},
            (
                "success: expected a folder, since the input is one and the job moves drops there, got "
                "'s3://bucket/ok' (--success or STOCKETL_SUCCESS)"
            ),
        ),
    ],
)
def test_a_wrong_value_names_key_value_and_option(options: dict[str, object], message: str) -> None:
    """What was expected, what was given, and where it can be corrected; a password stays hidden."""
    with pytest.raises(SettingsError) as caught:
        load(**options)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("suspect_factor", "1", "expected a number of at least 1.5, such as 5"),
        ("suspect_spike", "3%", "expected a share of at least 5%, such as 30%"),
        ("suspect_stale", "2", "expected a number of sessions from 3 to 999"),
        ("expect_by", "18:30", "expected a time and a zone such as '18:30 America/New_York'"),
        ("webhook", "example.com", "expected an address such as https://example.com/hooks/prices, got '***'"),
    ],
)
def test_a_wrong_word_on_dates_and_suspects_is_told(name: str, given: str, said: str) -> None:
    """What was expected; an address is never shown, since it may hold a secret."""
    with pytest.raises(SettingsError) as caught:
        load(**{name: given})
    assert str(caught.value).startswith(f"{name}: {said}")
    with pytest.raises(SettingsError, match="calendar: expected dates in --explain too"):
        load(calendar="XNYS", explain="none")


def test_several_wrong_values_are_all_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """One run shows everything that is to be corrected, options and variables alike."""
    monkeypatch.setenv("STOCKETL_ONCE", "perhaps")
    with pytest.raises(SettingsError, match=r"(?s)once: .*'perhaps' .*STOCKETL_ONCE.*\nsettle: .*'x' .*--settle"):
        load(settle="x")


def test_a_misspelt_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting that nobody reads is an error, not a surprise; the tests' fault point is no setting."""
    monkeypatch.setenv("STOCKETL_FAULT", "reading:/nowhere")
    monkeypatch.setenv("STOCKETL_TRIGER", "1s")
    with pytest.raises(SettingsError) as caught:
        load()
    said = "STOCKETL_TRIGER: there is no such setting in the environment; did you mean STOCKETL_TRIGGER?"
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("options", "inner", "outer"),
    [
        ({"success": "stocketl-home/input/ok"}, "success", "input"),
        ({"input": "."}, "success", "input"),
        ({"failed": "stocketl-home/success/"}, "success", "failed"),
        ({"lake": "stocketl-home/checkpoint/lake"}, "lake", "checkpoint"),
        ({"receipts": "stocketl-home/postgres"}, "receipts", "postgres"),
        ({"input": "s3://bucket/in", "receipts": "s3://bucket/in/r"}, "receipts", "input"),
        ({"input": "s3://bucket", "receipts": "s3://bucket/r"}, "receipts", "input"),
    ],
)
def test_locations_that_would_loop_are_refused(options: dict[str, str], inner: str, outer: str) -> None:
    """A place that is or holds another one would make drops of what the job writes."""
    with pytest.raises(SettingsError, match=rf"^{inner}: '.*' (is the same place as|lies inside) {outer} "):
        load(**options)


def test_a_symbolic_link_hides_no_loop(tmp_path: Path) -> None:
    """Folders are compared by where they really are."""
    (tmp_path / "in").mkdir()
    (tmp_path / "link").symlink_to("in")
    with pytest.raises(SettingsError, match=r"^success: '.*/in/ok' lies inside input '.*/in'"):
        load(input="in", success="link/ok")


def test_neighbours_with_a_common_beginning_are_fine() -> None:
    """`in` does not hold `input`."""
    settings = load(input="s3://bucket/in", receipts="s3://bucket/input", success="s3://bucket/in-done")
    assert settings.receipts == "s3://bucket/input"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("postgresql://me:s3:cr@t@host/db", "postgresql://me:***@host/db"),
        (
            "postgresql://me@host/db?password=secret&sslmode=require",
            "postgresql://me@host/db?password=***&sslmode=require",
        ),
        ("postgresql://me@host:5432/db", "postgresql://me@host:5432/db"),
        ("postgresql://me:s3cr@t@a:5432,b:5433/db", "postgresql://me:***@a:5432,b:5433/db"),
    ],
)
def test_no_text_of_the_settings_shows_a_password(uri: str, shown: str) -> None:
    """repr, str and what commands print; the job itself gets the whole URI."""
    settings = load(database=uri)
    assert settings.database == uri
    assert settings.shown_database == shown
    for text in (repr(settings), str(settings), f"{settings}"):
        assert f"database={shown!r}" in text
    assert masked(f"could not reach {uri}, again") == f"could not reach {shown}, again"


def test_a_webhook_needs_a_deadline_and_a_secret_and_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secret is a variable only, and no text of the settings has it or the address."""
    given = {"webhook": "https://example.com/hooks/t0ken", "expect_by": "18:30 America/New_York"}
    with pytest.raises(SettingsError, match=r"webhook: expected the secret .* STOCKETL_WEBHOOK_SECRET, found none"):
        load(**given)
    monkeypatch.setenv("STOCKETL_WEBHOOK_SECRET", "s3cret")
    settings = load(**given)
    assert "t0ken" not in repr(settings)
    assert "s3cret" not in repr(settings)
    with pytest.raises(SettingsError, match=r"webhook: expected --expect-by too, .* got '\*\*\*'"):
        load(webhook=given["webhook"])


def test_settings_do_not_change() -> None:
    """One frozen object, made at start."""
    settings = load()
    with pytest.raises(ValidationError, match="frozen"):
        settings.once = True  # type: ignore[misc]  # frozen: this is what is tried
