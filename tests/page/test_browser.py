"""The page in a real browser (Chromium, by `make browser`): what a person sees, without a reload."""

from __future__ import annotations

import datetime as dt
import re
import subprocess
import sys
import urllib.parse
from functools import partial
from typing import TYPE_CHECKING

import pytest
from chromium import chromium
from loaded_home import LoadedHome
from page_server import PageServer
from playwright.sync_api import expect

from streaming.database import embedded
from streaming.settings import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page, Request, Route

MILLISECONDS = 60_000.0  # so that what never comes ends
HEADER = "date,id,price,trade_volume\n"
PANELS = ("strip", "chart", "movers", "calendar", "drops", "connect")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless, without network names of its own."""
    with chromium() as opened:
        yield opened


@pytest.fixture
def look(browser: Browser, page: PageServer) -> Iterator[Page]:
    """The page in a window of its own; fails if the browser has anything to complain of."""
    yield from opened(browser, page.url)


def opened(browser: Browser, url: str, width: int = 1400, of: str = "AAPL") -> Iterator[Page]:
    context = browser.new_context(viewport={"width": width, "height": 900})
    context.set_default_timeout(MILLISECONDS)
    expect.set_options(timeout=MILLISECONDS)
    window = context.new_page()
    complaints: list[str] = []
    window.on("pageerror", lambda error: complaints.append(str(error)))
    window.on("console", lambda told: complaints.append(told.text) if told.type == "error" else None)
    elsewhere: list[str] = []
    window.on("request", lambda request: None if request.url.startswith(url) else elsewhere.append(request.url))
    window.goto(f"{url}#t={of}&v=price")
    expect(window.locator("#plot")).to_have_attribute("data-points", re.compile(r"\d+"))
    yield window
    context.close()
    network = re.compile(r"ERR_|Failed to load resource")  # of servers that a test has stopped
    assert [text for text in complaints if not network.search(text)] == []
    assert elsewhere == []


def test_each_panel_shows_something(look: Page) -> None:
    """Nothing is empty, and the chart has as many dates as the ticker."""
    for panel in PANELS:
        expect(look.locator(f"#{panel}")).not_to_be_empty()
    expect(look.locator("#job")).to_have_text("NOT running")
    expect(look.locator("#newest")).to_have_text(re.compile(r"2024-03-\d\d"))
    expect(look.locator("#movers tbody tr").first).to_be_visible()
    expect(look.locator("#calendar button.day").first).to_be_visible()
    expect(look.locator("#legend")).to_contain_text("AAPL")
    expect(look.locator("#suspects")).to_contain_text("Nothing is worth a look.")


def test_a_drop_changes_chart_drops_and_strip_without_a_reload(look: Page, loaded: LoadedHome) -> None:
    """The value, the row and the count are there by themselves."""
    look.evaluate("window.same = true")
    before = int(look.locator("#loaded").inner_text())
    points = int(look.locator("#plot").get_attribute("data-points") or 0)
    loaded.load("seen.csv", HEADER + "2024-03-12,AAPL,321.5,7\n")
    expect(look.locator("#loaded")).to_have_text(str(before + 1))
    expect(look.locator("#drops tbody tr").first).to_contain_text("seen.csv")
    expect(look.locator("#plot")).to_have_attribute("data-points", str(points + 1))
    expect(look.locator("#legend")).to_contain_text("321.5")
    expect(look.locator("#newest")).to_have_text("2024-03-12")
    assert look.evaluate("window.same")


def test_a_ticker_is_added_by_keyboard_and_a_point_is_explained(look: Page) -> None:
    """The box completes; in the chart the arrow keys move and Enter explains; Escape closes."""
    look.locator("#ticker").press_sequentially("brk")
    expect(look.locator("#ticker-list li[role=option]")).to_have_text([re.compile("^BRK.B")])
    look.locator("#ticker").press("Enter")
    expect(look.locator("#legend .ticker")).to_have_count(2)
    assert "t=BRK.B" in look.url
    look.locator("#plot").focus()
    look.keyboard.press("ArrowLeft")
    look.keyboard.press("Enter")
    expect(look.locator("#dialog-title")).to_have_text(re.compile(r"^(AAPL|BRK\.B) on 2024-03-\d\d$"))
    expect(look.locator("#dialog-body table").first).to_contain_text(".csv")
    look.keyboard.press("Escape")
    expect(look.locator("#dialog")).to_be_hidden()
    for view in ("Return", "Indexed"):
        look.get_by_role("button", name=view).click()
        expect(look.locator("#plot canvas")).to_be_visible()


def test_a_date_opens_what_is_missing_and_a_drop_its_receipt(look: Page) -> None:
    """The missing ticker is named; the rejected line is shown as it was."""
    look.locator("[data-date='2024-03-06']").click()
    expect(look.locator("#missing .chip")).to_have_text(['"><script>document.title="hit"</script>'])
    look.keyboard.press("Escape")
    expect(look.locator("#drops-fate button")).to_have_text(["all", "success", "failed", "loading"])
    look.locator("#drops-fate button").filter(has_text="success").click()
    expect(look.locator("#drops .fate").filter(has_text="failed")).to_have_count(0)
    look.locator("#drops-fate button").filter(has_text="all").click()
    look.locator("#drops-text").fill("broken")
    expect(look.locator("#drops tbody tr")).to_have_text([re.compile("broken.csv")])
    look.locator("#drops-text").fill("onerror")
    expect(look.locator("#drops tbody tr")).to_have_text([re.compile("onerror")])
    look.locator("#drops tbody tr").press("Enter")
    expect(look.locator("#dialog td.code")).to_have_text(["nope,<b>x</b>,1,1"])


def test_a_suspect_opens_its_chart_and_its_explanation(look: Page, loaded: LoadedHome) -> None:
    """A price that is ten times the one before it appears by itself; its ticker is added and its value explained."""
    loaded.load("slip.csv", HEADER + "2024-03-13,BRK.B,1090,7\n")
    slip = look.locator("#suspects tbody tr").filter(has_text="unit-slip")
    expect(slip).to_contain_text("BRK.B")
    expect(look.locator("#suspects th")).to_have_text(["date", "ticker", "kind", "price", "beside"])
    slip.press("Enter")
    expect(look.locator("#dialog-title")).to_have_text("BRK.B on 2024-03-13")
    expect(look.locator("#dialog-body table").first).to_contain_text("slip.csv")
    look.keyboard.press("Escape")
    expect(look.locator("#legend")).to_contain_text("BRK.B")


def test_names_that_are_markup_do_nothing(look: Page) -> None:
    """A file and a ticker that would run a script are shown as they are spelt."""
    expect(look.locator("#drops")).to_contain_text("<img src=x onerror=document.title='hit'>.csv")
    look.locator("#ticker").press_sequentially("script")
    expect(look.locator("#ticker-list li[role=option]")).to_have_count(1)
    look.locator("#ticker").press("Enter")
    expect(look.locator("#legend")).to_contain_text('"><script>')
    look.locator("#plot").focus()
    look.keyboard.press("ArrowLeft")
    assert look.evaluate("[document.title, document.querySelectorAll('img').length, document.scripts.length]") == [
        "StockETL",
        0,
        2,
    ]


def test_what_hides_or_turns_text_is_an_escape(look: Page, loaded: LoadedHome) -> None:
    """Control and direction characters of a name are seen, in the text and read aloud; code keeps its lines."""
    loaded.load("a/turned\u202evsc.\x1b\n.csv", "nothing,of,use\n1,2,3\n")
    expect(look.locator("#drops tbody tr").first).to_contain_text("a/turned\\u202evsc.\\x1b\\x0a.csv")
    made = """async () => {
        const { el } = await import("/static/dom.js");
        const name = "a\\n\\t\\u2066\\u{e0001}";
        return [el("b", { title: name }, name), el("pre", {}, name)].map((one) => [one.title, one.textContent]);
    }"""
    shown = "a\\x0a\\x09\\u2066\\U000e0001"
    assert look.evaluate(made) == [[shown, shown], ["", "a\n\t\\u2066\\U000e0001"]]


def test_a_ticker_without_newer_values_has_its_own_date(browser: Browser, page: PageServer) -> None:
    """Without a pointer, its last value stands beside that value's date; with one, it has no value there."""
    ended = '"><script>document.title="hit"</script>'
    for window in opened(browser, page.url, of=f"AAPL&t={urllib.parse.quote(ended)}"):
        chips = window.locator("#legend .ticker")
        expect(window.locator("#legend > time")).to_have_text(re.compile(r"2024-03-(0[6-9]|1\d)"))
        expect(chips.nth(0).locator("time")).to_have_count(0)
        expect(chips.nth(1).locator("time")).to_have_text("2024-03-05")
        expect(chips.nth(1)).to_contain_text("11")
        window.locator("#plot").focus()
        window.keyboard.press("ArrowLeft")
        expect(chips.nth(1)).to_contain_text("vol \u2013")
        expect(chips.locator("time")).to_have_count(0)


def answered(route: Route, _: Request, answer: object) -> None:
    """Instead of the server."""
    route.fulfill(json=answer)


LABELS = """
globalThis.labels = {};
const draw = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (text, x, ...rest) {
  if (this.textAlign === "right") globalThis.labels[text] = x - this.measureText(text).width;
  return draw.call(this, text, x, ...rest);
};
"""
"""Keeps where each label of the y axis begins."""


def test_on_a_telephone_nothing_is_cut_and_words_agree(browser: Browser, page: PageServer) -> None:
    """Labels of the axis, dates and tickers of suspects, the URI; one ticker "has"; a date without session is told."""
    series = {"price": [1.0, 120.0, 1.0], "return": [None, 119.0, -0.99], "volume": [1, 1, 1]}
    suspect = {"date": "2017-12-13", "kind": "unit-slip", "swapped_with": None, "price": 1234.567, "level": 123.4567}
    date = {"date": "2024-03-09", "state": "no-session", "tickers": 1, "expected": 0, "missing": 0}
    answers = {
        "series": {"days": [19800, 19801, 19802], "tickers": {"AAPL": series}, "corrections": {}},
        "movers": {"date": "2024-03-08", "before": None, "after": None, "count": 1, "up": [], "down": []},
        "suspects": {
            "kept": True,
            "count": 3,
            "suspects": [suspect | {"id": "GRMN-WIDE", "cells": 1}, suspect | {"id": None, "cells": 1}],
        },
        "dates": {"kept": True, "dates": [date | {"late_cells": 0, "restated_cells": 0}]},
    }
    for window in opened(browser, page.url, 380):
        for name, answer in answers.items():
            window.route(f"**/api/{name}?*", partial(answered, answer=answer))
        window.add_init_script(LABELS)
        window.reload()
        expect(window.locator("#plot")).to_have_attribute("data-points", "3")
        window.get_by_role("button", name="Return").click()
        window.wait_for_function("Object.keys(labels).includes('10K %')")
        assert window.evaluate("Object.entries(labels).filter(([, left]) => left < 0)") == []
        expect(window.locator("#movers-body")).to_contain_text("1 ticker has a return on this date.")
        expect(window.locator("#suspects tbody tr").nth(1)).to_contain_text("1 ticker")
        expect(window.locator("#suspects-body .note")).to_have_text("The newest 2 of 3.")
        lines = """(cells) => cells.map((cell) => {
            const range = document.createRange();
            range.selectNodeContents(cell);
            return range.getClientRects().length;
        })"""
        assert window.locator("#suspects td:nth-child(-n + 2)").evaluate_all(lines) == [1, 1, 1, 1]
        expect(window.locator("#calendar .key")).to_contain_text("no session")
        uri, copy = (window.locator(f"#connect-body > .snippet > {part}").bounding_box() for part in ("pre", "button"))
        assert uri is not None
        assert copy is not None
        assert uri["x"] + uri["width"] <= copy["x"]
        assert window.evaluate("document.documentElement.scrollWidth") <= 380


def test_a_date_in_the_future_presses_nothing_together(browser: Browser, page: PageServer) -> None:
    """The chart and the calendar begin with the dates up to today; "All" shows the one that a slip has made."""
    days = [dt.date(2024, 3, 4), dt.date(2024, 3, 5), dt.date(2124, 3, 5)]
    numbers = [(day - dt.date(1970, 1, 1)).days for day in days]
    one = {"price": [1.0, 2.0, 3.0], "return": [None, 1.0, 0.5], "volume": [1, 1, 1]}
    date = {"state": "complete", "tickers": 1, "expected": 1, "missing": 0, "late_cells": 0, "restated_cells": 0}
    answers = {
        "series": {"days": numbers, "tickers": {"AAPL": one}, "corrections": {}},
        "dates": {"kept": True, "dates": [date | {"date": day.isoformat()} for day in days]},
    }
    for window in opened(browser, page.url):
        for name, answer in answers.items():
            window.route(re.compile(f"/api/{name}"), partial(answered, answer=answer))
        window.reload()
        plot = window.locator("#plot")
        expect(plot).to_have_attribute("data-shown", "2024-03-04 to 2024-03-05")
        expect(window.locator("#calendar-note")).to_contain_text("2024: 2 dates")
        for view in ("Return", "Indexed"):
            window.get_by_role("button", name=view).click()
            expect(plot).to_have_attribute("data-shown", "2024-03-04 to 2024-03-05")
        window.get_by_role("button", name="1M").click()
        expect(plot).to_have_attribute("data-shown", "2024-03-04 to 2024-03-05")
        window.get_by_role("button", name="All", exact=True).click()
        expect(plot).to_have_attribute("data-shown", "2024-03-04 to 2124-03-05")
        window.get_by_title("The year after").click()
        expect(window.locator("#calendar-note")).to_contain_text("2124: 1 date")


def many_rows(tickers: int, dates: list[dt.date]) -> str:
    """Prices that go up and down by turns; one ticker in a hundred lacks the last date."""
    lines = [HEADER]
    for at, day in enumerate(dates):
        for number in range(tickers):
            if day != dates[-1] or number % 100:
                price = 50 + number + (number % 7 - 3) * (at % 5) / 10
                lines.append(f"{day},X{number:03},{price:.2f},{1000 + number * at}\n")
    return "".join(lines)


def test_each_panel_shows_months_of_505_tickers(browser: Browser, database: str, tmp_path: Path) -> None:
    """A set of the shape of the S&P 500: its movers, its dates, what they lack, and each ticker by its name."""
    dates = [day for n in range(120) if (day := dt.date(2023, 1, 1) + dt.timedelta(n)).weekday() < 5]
    home = LoadedHome(load(environment=False, home=str(tmp_path / "home"), database=database))
    home.load("months.csv", many_rows(505, dates))
    home.close()
    with PageServer("--home", str(home.settings.home), "--database", database) as server:
        for window in opened(browser, server.url, of="X500"):
            expect(window.locator("#plot")).to_have_attribute("data-points", str(len(dates) - 1))
            expect(window.locator("#movers-body")).to_contain_text("499 tickers have a return on this date.")
            expect(window.locator("#movers tbody tr")).to_have_count(20)
            expect(window.locator("#calendar button.day")).to_have_count(len(dates))
            expect(window.locator("#calendar-note")).to_contain_text(f"{len(dates)} dates, 1 date lacks 6 prices")
            window.locator(f"[data-date='{dates[-1]}']").click()
            expect(window.locator("#missing .chip")).to_have_text([f"X{number:03}" for number in range(0, 505, 100)])
            window.keyboard.press("Escape")
            window.locator("#ticker").press_sequentially("x33")
            expect(window.locator("#ticker-list li[role=option]")).to_have_count(10)
            expect(window.locator("#loaded")).to_have_text("1")


@pytest.mark.parametrize("width", [380, 1400])
def test_nothing_is_wider_than_the_window(browser: Browser, page: PageServer, width: int) -> None:
    """On a telephone and on a desk."""
    for window in opened(browser, page.url, width):
        expect(window.locator("#drops tbody tr").first).to_be_visible()
        expect(window.locator("#calendar button.day").first).to_be_visible()
        assert window.evaluate("document.documentElement.scrollWidth") <= width


LIVES = """
import sys, time
from pathlib import Path
from streaming.home.sign import sign_of_life
from streaming.settings import load
with sign_of_life(load(environment=False, home=sys.argv[1])):
    print("alive", flush=True)
    time.sleep(900)
"""
"""As long as it lives, the home says that its job runs."""


def test_a_job_that_is_killed_and_a_server_that_is_stopped_are_seen(browser: Browser, tmp_path: Path) -> None:
    """The strip turns red; the banner comes, and goes when the embedded server is up again."""
    settings = load(environment=False, home=str(tmp_path / "home"))
    uri = embedded.start(settings.postgres_data)
    home = LoadedHome(load(environment=False, home=str(settings.home), database=uri))
    home.load("a.csv", HEADER + "2024-03-04,AAPL,100,1\n2024-03-05,AAPL,101,1\n")
    home.close()
    command = [sys.executable, "-c", LIVES, str(settings.home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None
        assert job.stdout.readline() == "alive\n"
        try:
            with PageServer("--home", str(settings.home)) as server:
                for window in opened(browser, server.url):
                    expect(window.locator("#job")).to_have_text("idle")
                    job.kill()
                    expect(window.locator("#job")).to_have_text("NOT running", timeout=30_000)
                    embedded.stop(settings.postgres_data)
                    expect(window.locator("#banner")).to_contain_text("The database is away")
                    embedded.start(settings.postgres_data)
                    expect(window.locator("#banner")).to_be_hidden()
                    again = LoadedHome(load(environment=False, home=str(settings.home), database=uri))
                    again.change("NOTIFY stocketl, '1'")
                    again.close()
                    expect(window.locator("#drops tbody tr")).to_have_count(1)
        finally:
            job.kill()
            embedded.stop(settings.postgres_data)
