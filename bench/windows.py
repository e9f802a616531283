"""Windows of the live page in a real Chromium: when each panel has shown what is new, and what a window asks for."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from playwright.sync_api import Browser, BrowserContext, Page

MUST_SHOW = ("drops", "chart")
_LIMIT_SECONDS = 60.0
_LOOK_SECONDS = 0.05
# A note is made when the frame with the change has been painted, so not before a person could see it. `at` is by the
# machine's clock, `age` counts from the moment at which the window was told its address; both in ms.
_NOTES = """
globalThis.notes = [];
addEventListener("DOMContentLoaded", () => {
  const watch = (panel, id, told) => {
    const element = document.getElementById(id);
    const note = () => {
      const text = String(told(element));
      const painted = () => notes.push({ panel, told: text, at: Date.now(), age: performance.now() });
      requestAnimationFrame(() => setTimeout(painted));
    };
    new MutationObserver(note).observe(element, { childList: true, attributeFilter: ["data-points"] });
  };
  watch("drops", "drops-body", (body) => body.querySelector("tbody td.file")?.textContent);
  watch("chart", "plot", (plot) => plot.dataset.points);
  watch("movers", "movers-body", () => "");
  watch("calendar", "calendar-note", () => "");
});
"""
_HAS_CHART = "notes.some((note) => note.panel === 'chart')"
_FORGET = "() => { notes.length = 0; performance.clearResourceTimings(); }"
_ASKED = """
performance.getEntriesByType("resource")
  .filter(({ name }) => name.includes("/api/"))
  .map(({ name, startTime }) => [startTime / 1000, name])
"""
_LOADED = """[
  performance.getEntriesByName("first-contentful-paint")[0].startTime / 1000,
  notes.find((note) => note.panel === "chart").age / 1000,
]"""


@dataclass(frozen=True)
class Load:
    """Seconds from the address until a person saw something (first contentful paint), and until the chart was there."""

    paint: float
    chart: float


def load(browser: Browser, url: str) -> Load:
    """Opens the page in a window that has nothing in its cache, and closes it."""
    context = _context(browser)
    try:
        paint, chart = _opened(context, url).evaluate(_LOADED)
        return Load(paint, chart)
    finally:
        context.close()


class Windows:
    """One browser with a window for each view, such as `#t=AAPL`; leaving the context closes them.

    Each has a context of its own: of several in one context, those at the back are painted once a second.
    """

    def __init__(self, browser: Browser, url: str, views: Sequence[str]) -> None:
        self._contexts = [_context(browser) for _ in views]
        self._pages = [_opened(context, url + view) for context, view in zip(self._contexts, views, strict=True)]

    def forget(self) -> None:
        """From now on, only what comes is noted."""
        for page in self._pages:
            page.evaluate(_FORGET)

    def points(self) -> list[int]:
        """How many dates the chart of each window has."""
        return [int(page.locator("#plot").get_attribute("data-points") or 0) for page in self._pages]

    def await_shown(self, key: str, points: Sequence[int]) -> list[dict[str, float]]:
        """For each window the moment, in seconds since 1970, at which each panel had shown the drop.

        key: that of the drop, which must stand first in its panel; points: the dates that each chart must have then.
        Other panels count with what they show first. Raises TimeoutError.
        """
        end = time.monotonic() + _LIMIT_SECONDS
        while True:
            pairs = zip(self._pages, points, strict=True)
            found = [_shown(page, {"drops": key, "chart": str(number)}) for page, number in pairs]
            if all(panel in one for one in found for panel in MUST_SHOW):
                return found
            if time.monotonic() > end:
                msg = f"waited in vain for {key} with {list(points)} dates in the page, which has shown {found}"
                raise TimeoutError(msg)
            time.sleep(_LOOK_SECONDS)

    def asked(self) -> list[list[tuple[float, str]]]:
        """What each window has asked since `forget`: seconds after its first question, and the address."""
        told = [page.evaluate(_ASKED) for page in self._pages]
        return [[(when - asked[0][0], address) for when, address in asked] for asked in told]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for context in self._contexts:
            context.close()


def _context(browser: Browser) -> BrowserContext:
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    context.set_default_timeout(_LIMIT_SECONDS * 1000)
    context.add_init_script(_NOTES)
    return context


def _opened(context: BrowserContext, address: str) -> Page:
    page = context.new_page()
    page.goto(address)
    end = time.monotonic() + _LIMIT_SECONDS
    while not page.evaluate(_HAS_CHART):  # playwright's own wait makes code of a text, which the page forbids
        if time.monotonic() > end:
            msg = f"waited in vain for the chart of {address}"
            raise TimeoutError(msg)
        time.sleep(_LOOK_SECONDS)
    return page


def _shown(page: Page, wanted: dict[str, str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for note in page.evaluate("notes"):
        if wanted.get(note["panel"], note["told"]) == note["told"]:
            found.setdefault(note["panel"], note["at"] / 1000)
    return found
