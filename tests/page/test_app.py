"""The page over HTTP: each number is that of the SQL beside it; what is pushed; what is refused."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
from conditions import until
from page_server import PageServer

if TYPE_CHECKING:
    from loaded_home import LoadedHome


@pytest.fixture
def cur(loaded: LoadedHome) -> Any:
    """The database beside the page."""
    with psycopg2.connect(loaded.settings.database) as connection, connection.cursor() as opened:
        yield opened
    connection.close()


def found(cur: Any, query: str, *values: object) -> list[tuple[Any, ...]]:
    cur.execute(query, values)
    return list(cur.fetchall())


def day_of(number: int) -> dt.date:
    return dt.date(1970, 1, 1) + dt.timedelta(number)


def test_the_chart_shows_the_values_of_the_tables(page: PageServer, cur: Any) -> None:
    """Tickers of two groups, each with the prices, returns and volumes of `stocketl.series`."""
    told = page.ask("series", id=["AAPL", "MSFT"])
    for ticker in ("AAPL", "MSFT"):
        columns = (told["tickers"][ticker][kind] for kind in ("price", "return", "volume"))
        shown = [row for row in zip(map(day_of, told["days"]), *columns, strict=True) if row[1] is not None]
        assert shown == found(cur, "SELECT * FROM stocketl.series(%s) ORDER BY date", ticker)


def test_after_a_batch_only_what_it_may_have_changed_is_asked_for(page: PageServer) -> None:
    """The dates of the batch, and each ticker's next one, whose return belongs to the price before."""
    told = page.ask("series", id=["AAPL"], first="2024-03-05", last="2024-03-05")
    assert [str(day_of(day)) for day in told["days"]] == ["2024-03-05", "2024-03-06"]
    assert told["tickers"]["AAPL"]["price"] == [200.0, 106.0]


def test_a_ticker_is_found_by_a_part_of_its_name(page: PageServer, cur: Any) -> None:
    """What begins with it comes first; each match has its newest price."""
    told = page.ask("tickers", q="b")
    assert [match["id"] for match in told] == ["BRK.B"]
    ((date, price),) = found(cur, "SELECT date, price FROM stocketl.latest WHERE id = 'BRK.B'")
    assert (told[0]["date"], told[0]["price"]) == (str(date), price)
    assert page.ask("tickers", q="no such one") == []
    assert len(page.ask("tickers", q="")) == 4


def test_the_movers_of_the_newest_date_are_those_of_latest(page: PageServer, cur: Any) -> None:
    """In order of their returns."""
    told = page.ask("movers")
    query = "SELECT id, return, price FROM stocketl.latest WHERE date = %s AND return > 0 ORDER BY return DESC"
    assert told["date"] == "2024-03-08"
    assert [tuple(one.values()) for one in told["up"]] == found(cur, query, told["date"])


def test_the_movers_of_a_past_date_are_those_of_all_groups(page: PageServer, cur: Any) -> None:
    """Up and down, with the dates before and after."""
    told = page.ask("movers", date="2024-03-05")
    rows = [
        (ticker, back)
        for ticker in ("AAPL", "BRK.B", "MSFT")
        for (back,) in found(cur, "SELECT return FROM stocketl.series(%s) WHERE date = '2024-03-05'", ticker)
    ]
    shown = [(one["id"], one["return"]) for one in (*told["up"], *told["down"]) if not one["id"].startswith('"')]
    assert sorted(shown) == sorted(rows)
    assert (told["before"], told["after"]) == ("2024-03-04", "2024-03-06")


def test_the_calendar_counts_the_tickers_of_each_date(page: PageServer, cur: Any) -> None:
    """A date opens the tickers that had a price just before and have none on it."""
    told = {one["date"]: one["tickers"] for one in page.ask("dates")["dates"]}
    ids = [ticker for (ticker,) in found(cur, "SELECT id FROM stocketl.tickers")]
    counted: dict[str, int] = {}
    for ticker in ids:
        for (date,) in found(cur, "SELECT date FROM stocketl.series(%s)", ticker):
            counted[str(date)] = counted.get(str(date), 0) + 1
    assert told == counted
    missing = page.ask("missing", date="2024-03-06")
    assert missing["count"] == len(missing["tickers"]) == 1
    assert "script" in missing["tickers"][0]


def test_the_drops_are_those_of_the_ledger(page: PageServer, cur: Any) -> None:
    """Newest first; filtered by name and by fate; older ones by the seq of the last one shown."""
    query = "SELECT seq, key, rows_loaded, rows_rejected FROM stocketl.drops ORDER BY seq DESC"
    every = found(cur, query)
    names = ("seq", "key", "rows_loaded", "rows_rejected")
    assert [tuple(drop[name] for name in names) for drop in page.ask("drops")] == every
    assert [drop["key"] for drop in page.ask("drops", q="LATE/")] == ["late/corrected.csv"]
    assert [drop["key"] for drop in page.ask("drops", fate="failed")] == ["broken.csv"]
    assert [drop["seq"] for drop in page.ask("drops", before=3)] == [2, 1]


def test_a_drop_opens_its_receipt_with_the_rejected_lines(page: PageServer, cur: Any) -> None:
    """Of a failed one with what to do."""
    told = page.ask("receipt", seq=2)
    ((body,),) = found(cur, "SELECT body FROM stocketl.receipts WHERE seq = 2")
    assert {name: told[name] for name in ("rejects", "reasons", "rows_read", "rows_rejected")} == {
        name: body[name] for name in ("rejects", "reasons", "rows_read", "rows_rejected")
    }
    assert [told[f"cells_{name}"] for name in ("new", "changed", "same")] == [2, 0, 0]
    ((moved,),) = found(cur, "SELECT moved_to FROM stocketl.receipts WHERE seq = 2")
    assert told["moved_to"].endswith(f"/success/{moved}")
    assert page.ask("receipt", seq=4)["advice"]
    assert page.get("/api/receipt", seq=99)[0] == 404


def test_a_point_of_the_chart_is_explained(page: PageServer, cur: Any) -> None:
    """Its values, the price before, and for both what each drop gave, with the line of its file."""
    told = page.ask("point", id="AAPL", date="2024-03-06")
    ((price, back, volume),) = found(
        cur, "SELECT price, return, volume FROM stocketl.series('AAPL') WHERE date = '2024-03-06'"
    )
    assert (told["price"], told["return"], told["volume"]) == (price, back, volume)
    assert (told["previous_date"], told["previous_price"]) == ("2024-03-05", 200.0)
    assert [(one["key"], one["line"], one["price"]) for one in told["given"]] == [("a.csv", 8, 106.0)]
    assert [(one["key"], one["line"], one["price"]) for one in told["given_previous"]] == [
        ("a.csv", 5, 105.0),
        ("late/corrected.csv", 2, 200.0),
    ]
    assert page.get("/api/point", id="NONE", date="2024-03-06")[0] == 404


def test_a_value_that_cannot_be_explained_says_so(page: PageServer, loaded: LoadedHome) -> None:
    """If the file of a drop is gone, the rest is told."""
    file = Path(loaded.settings.success) / "late/corrected.csv"
    hidden = file.rename(file.with_suffix(".hidden"))
    try:
        told = page.ask("point", id="MSFT", date="2024-03-06")
    finally:
        hidden.rename(file)
    assert [one["key"] for one in told["given"]] == ["a.csv"]
    assert "its file is gone" in told["gone"]["3"]


def test_the_strip_counts_what_the_ledger_counts(page: PageServer, cur: Any) -> None:
    """Loaded, failed, newest date, tickers; the job is none."""
    told = page.next_event(page.events(), "hello")["strip"]
    ((loaded, failed),) = found(
        cur,
        "SELECT count(*) FILTER (WHERE status = 'loaded'), count(*) FILTER (WHERE status = 'failed')"
        " FROM stocketl.drops",
    )
    ((newest, count),) = found(cur, "SELECT max(date), count(*) FROM stocketl.latest")
    assert (told["counts"]["success"], told["counts"]["failed"]) == (loaded, failed)
    assert (told["newest_date"], told["tickers"]) == (str(newest), count)
    assert told["job"]["state"] == "not-running"
    assert told["counts"]["waiting"] == 0


@pytest.mark.parametrize("path", ["/api/point?id=A&date=x", "/api/drops?before=x", "/api/receipt", "/api/missing"])
def test_a_question_that_makes_no_sense_is_refused(page: PageServer, path: str) -> None:
    """With what would do."""
    status, said = page.get(path)
    assert (status, said[:8]) == (400, "expected")


def test_every_answer_forbids_foreign_scripts(page: PageServer) -> None:
    """No inline scripts, no markup made of text, nothing from elsewhere, not within another page."""
    for path in ("/", "/static/main.js", "/api/drops"):
        policy = page.headers(path)["content-security-policy"]
        for part in (
            "default-src 'none'",
            "script-src 'self';",
            "require-trusted-types-for 'script'",
            "frame-ancestors",
        ):
            assert part in policy
        assert "unsafe" not in policy


def test_the_page_itself_holds_no_inline_script_and_names_no_other_server(page: PageServer) -> None:
    """All that it loads is its own."""
    _, text = page.get("/")
    assert "<script>" not in text
    assert "style=" not in text
    assert "//" not in text.replace("<!doctype html>", "")


def test_a_stranger_s_name_and_a_write_are_refused(page: PageServer) -> None:
    """A `Host` header that is not this server's, and any method that could change something."""
    assert page.get("/", {"Host": "evil.example"})[0] == 400
    assert page.headers("/api/drops", method="POST")["status"] == "405"


def test_for_other_machines_a_token_is_asked_for(loaded: LoadedHome) -> None:
    """It is in the address that is printed; after its first use a cookie stands for it."""
    options = ("--home", str(loaded.settings.home), "--database", str(loaded.settings.database))
    with PageServer(*options, listen="0.0.0.0:0") as server:
        path = "/?" + server.url.partition("?")[2]
        assert server.get("/")[0] == 401
        assert server.get("/?token=wrong")[0] == 401
        assert server.get("/api/drops", {"Cookie": "stocketl=wrong"})[0] == 401
        answer = server.headers(path)
        assert (answer["status"], answer["location"]) == ("303", "/")
        assert "HttpOnly" in answer["set-cookie"]
        assert server.get("/api/drops", {"Cookie": answer["set-cookie"].partition(";")[0]})[0] == 200
        token = path.partition("token=")[2]
        assert token not in answer["set-cookie"]
        assert server.stop() == 130


def test_a_drop_is_pushed_to_each_page_by_one_listener(page: PageServer, loaded: LoadedHome, cur: Any) -> None:
    """Three pages hear of it; the database has one session that listens, whatever their number."""
    pages = [page.events() for _ in range(3)]
    before = [page.next_event(events, "hello")["strip"]["counts"]["success"] for events in pages]
    assert page.ask("dates")["dates"][-1]["date"] < "2024-03-11"
    seq = loaded.load("pushed.csv", "date,id,price,trade_volume\n2024-03-11,AAPL,107,1\n")
    for events, count in zip(pages, before, strict=True):
        told = page.next_event(events, "batch")
        assert [drop["seq"] for drop in told["drops"]] == [seq]
        assert told["dates"] == {"first": "2024-03-11", "last": "2024-03-11", "new": True}
        assert told["strip"]["counts"]["success"] == count + 1
        assert told["strip"]["newest_date"] == "2024-03-11"
    assert page.ask("dates")["dates"][-1]["date"] == "2024-03-11"
    listeners = found(cur, "SELECT count(*) FROM pg_stat_activity WHERE query = 'LISTEN stocketl'")
    assert listeners == [(1,)]


def test_a_database_that_is_away_is_told_and_comes_back(page: PageServer, cur: Any) -> None:
    """Its sessions are cut: the page says so, then reads again."""
    events = page.events()
    page.next_event(events, "hello")
    cur.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE '%% page'"
        " AND datname = current_database()"
    )
    assert page.next_event(events, "database")["away"]
    assert page.next_event(events, "database")["away"] is None
    until(lambda: page.get("/api/drops")[0] == 200)
