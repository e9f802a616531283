"""The dashboard for Grafana: each of its queries runs, with the macros put in, and says what the tables say."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
import yaml
from asked_home import README, AskedHome
from grafana_macros import expanded

if TYPE_CHECKING:
    from collections.abc import Iterator

GRAFANA = Path(__file__).parents[2] / "deploy/grafana"
DASHBOARD = json.loads((GRAFANA / "dashboards/stocketl.json").read_text())
SOURCE = yaml.safe_load((GRAFANA / "provisioning/datasources/stocketl.yaml").read_text())["datasources"][0]
PANELS = {panel["title"]: panel for panel in DASHBOARD["panels"]}
REJECTED = "date,id,price\n2024-01-04,AAPL,-1\n2024-01-04,AAPL,zero\n2024-01-04,MSFT,380\n"
FAILED = "day,id,cost\n1,2,3\n"


@pytest.fixture
def home(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AskedHome]:
    with contextlib.closing(AskedHome(database, tmp_path, monkeypatch)) as made:
        yield made


def shown(home: AskedHome, title: str, *tickers: str) -> list[dict[str, Any]]:
    """The rows of a panel over the years 2024 to now, by the hour."""
    start, end = dt.datetime(2024, 1, 1, tzinfo=dt.UTC), dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    rows = []
    for target in PANELS[title]["targets"]:
        with contextlib.closing(psycopg2.connect(home.uri)) as connection, connection.cursor() as cur:
            cur.execute(expanded(target["rawSql"], start, end, "1h", ticker=tickers))
            names = [column.name for column in cur.description or ()]
            rows += [dict(zip(names, row, strict=True)) for row in cur.fetchall()]
    return rows


@pytest.mark.parametrize("title", PANELS)
def test_each_query_runs_before_the_first_drop(home: AskedHome, title: str) -> None:
    """Whoever opens the dashboard first sees empty panels, not errors."""
    shown(home, title)


def test_each_panel_shows_what_was_loaded(home: AskedHome) -> None:
    """Numbers beside those of the three files."""
    for content in (README, REJECTED, FAILED):
        home.drop(content)
    assert shown(home, "Newest date") == [{"newest date": "2024-01-04"}]
    assert shown(home, "Last batch")[0]["last batch"] >= 0
    assert shown(home, "Tickers") == [{"tickers": 2, "on the newest date": 1}]
    assert shown(home, "Failed drops") == [{"failed": 1}]
    fates = shown(home, "Drops by fate")
    assert {(row["metric"], row["value"]) for row in fates} == {("success", 2), ("failed", 1)}
    assert [row["seconds"] >= 0 for row in shown(home, "From drop to visible")] == [True] * 3
    assert {row["metric"]: row["value"] for row in shown(home, "Rejected rows")} == {"bad-price": 2.0}
    assert [(row["key"], row["fate"]) for row in shown(home, "Last drops")] == [
        ("3.csv", "failed"), ("2.csv", "success"), ("1.csv", "success")
    ]  # fmt: skip
    assert [(row["tickers"], row["missing"]) for row in shown(home, "Completeness")] == [(1, 0), (2, 0), (1, 1)]
    assert [row["id"] for row in shown(home, "Movers")] == ["MSFT"]
    assert [(row["metric"], row["value"]) for row in shown(home, "Price of $ticker", "AAPL", "MSFT")] == [
        ("AAPL", 128.0), ("AAPL", 130.0), ("MSFT", 370.1), ("MSFT", 380.0)
    ]  # fmt: skip


def test_the_panel_of_suspects_names_a_slip(home: AskedHome) -> None:
    """With the price beside it."""
    prices = enumerate([10, 10.1, 1010, 10.2, 10.1], 2)
    home.drop("date,id,price\n" + "".join(f"2024-01-0{day},AAPL,{price}\n" for day, price in prices))
    (found,) = shown(home, "Suspects")
    assert [found[name] for name in ("date", "ticker", "kind", "price", "beside")] == [
        "2024-01-04", "AAPL", "unit-slip", 1010.0, 10.1
    ]  # fmt: skip


def test_a_hostile_ticker_is_a_value_and_no_part_of_the_query(home: AskedHome) -> None:
    """A quote in a name ends nothing."""
    home.drop_hostile(1, ["it's", "a'); DROP TABLE prices; --"])
    for ticker in ("it's", "a'); DROP TABLE prices; --"):
        assert {row["metric"] for row in shown(home, "Volume of $ticker", ticker)} == {ticker}


def test_time_series_have_a_time_that_grafana_understands() -> None:
    """A column called time comes first in each of them; the other panels are tables."""
    for title, panel in PANELS.items():
        for target in panel["targets"]:
            first = target["rawSql"].split(",")[0]
            is_series = target["format"] == "time_series"
            assert is_series == ('AS "time"' in first or "$__timeGroupAlias" in first), title


def test_the_variable_lists_all_tickers(home: AskedHome) -> None:
    """Its query is the only one beside those of the panels."""
    home.drop(README)
    (variable,) = DASHBOARD["templating"]["list"]
    with contextlib.closing(psycopg2.connect(home.uri)) as connection, connection.cursor() as cur:
        cur.execute(variable["query"])
        assert cur.fetchall() == [("AAPL",), ("MSFT",)]


def test_everything_reads_from_the_data_source_that_is_provisioned() -> None:
    """Its uid is the one that panels, queries and the variable name."""
    named = [*PANELS.values(), *DASHBOARD["templating"]["list"]]
    named += [target for panel in PANELS.values() for target in panel["targets"]]
    sources = [each["datasource"] for each in named]
    assert {(source["uid"], source["type"]) for source in sources} == {(SOURCE["uid"], SOURCE["type"])}


def test_no_password_stands_in_the_files() -> None:
    """Everything that differs from place to place comes from Grafana's environment."""
    assert SOURCE["secureJsonData"] == {"password": "$STOCKS_PASSWORD"}
    assert {SOURCE["url"], SOURCE["user"]} == {"$STOCKS_HOST:$STOCKS_PORT", "$STOCKS_USER"}
