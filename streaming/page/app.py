"""The page's addresses: its files, one stream of events, and one address for each panel. All of them only read."""

from __future__ import annotations

import contextlib
import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from streaming.page.connecting import ways_in
from streaming.page.desk import text_of
from streaming.page.guard import Guard
from streaming.page.panels.chart import MOST_TICKERS, first_ticker, matches, series
from streaming.page.panels.completeness import missing
from streaming.page.panels.drops import drops, receipt
from streaming.page.panels.movers import movers
from streaming.page.panels.suspects import suspects
from streaming.page.reader import AwayError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
    from types import FrameType

    from psycopg2.extensions import cursor
    from starlette.requests import Request

    from streaming.page.address import PageAddress
    from streaming.page.desk import Desk
    from streaming.screen import Facts

STATIC = Path(__file__).parent / "static"


def app(desk: Desk, address: PageAddress, token: str | None, shown_uri: str) -> Starlette:
    """The whole application. shown_uri: the database as it may be shown, without a password."""
    panels = Panels(desk, shown_uri)
    routes = [
        Route("/", panels.index),
        Route("/events", panels.events),
        Route("/api/first-ticker", panels.first_ticker),
        Route("/api/tickers", panels.tickers),
        Route("/api/series", panels.series),
        Route("/api/point", panels.point),
        Route("/api/movers", panels.movers),
        Route("/api/dates", panels.dates),
        Route("/api/missing", panels.missing),
        Route("/api/drops", panels.drops),
        Route("/api/receipt", panels.receipt),
        Route("/api/suspects", panels.suspects),
        Route("/api/connect", panels.connect),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        desk.begin()
        yield
        desk.end()

    return Starlette(routes=routes, middleware=[Middleware(Guard, address=address, token=token)], lifespan=lifespan)


class EndingServer(uvicorn.Server):
    """A server that ends the streams of the open pages when it is told to end: it would wait for them."""

    def __init__(self, config: uvicorn.Config, desk: Desk) -> None:
        super().__init__(config)
        self._desk = desk

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called for SIGINT and SIGTERM."""
        self._desk.feed.end()
        super().handle_exit(sig, frame)


class Panels:
    """What answers each address. An error of the reader is 503 with one plain line."""

    def __init__(self, desk: Desk, shown_uri: str) -> None:
        self._desk = desk
        self._shown_uri = shown_uri

    async def index(self, _: Request) -> Response:
        """The page itself."""
        return FileResponse(STATIC / "index.html")

    async def events(self, _: Request) -> Response:
        """Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

        async def lines() -> AsyncIterator[str]:
            async for name, data in self._desk.events():
                yield f"event: {name}\ndata: {data}\n\n"

        return StreamingResponse(lines(), media_type="text/event-stream")

    async def first_ticker(self, _: Request) -> Response:
        """The ticker to begin with."""
        return await self._answer("first", lambda cur: {"id": first_ticker(cur)})

    async def tickers(self, request: Request) -> Response:
        """What fits the text in the ticker box."""
        typed = _text(request, "q")
        return await self._answer(("tickers", typed), lambda cur: matches(cur, typed))

    async def series(self, request: Request) -> Response:
        """Values of a few tickers; with `first` and `last` only what drops of these dates may have changed."""
        ids = request.query_params.getlist("id")[:MOST_TICKERS]
        first, last = _day(request, "first"), _day(request, "last")
        return await self._answer(("series", *ids, first, last), lambda cur: series(cur, ids, first, last))

    async def point(self, request: Request) -> Response:
        """Where one value comes from."""
        day, ticker = _needed_day(request), _text(request, "id")
        return await self._told(self._desk.explained(day, ticker))

    async def movers(self, request: Request) -> Response:
        """Of a day, or of the newest one."""
        day = _day(request, "date")
        return await self._answer(("movers", day), lambda cur: movers(cur, day))

    async def dates(self, _: Request) -> Response:
        """How complete each date is."""
        return await self._answer("dates", self._desk.completeness.dates)

    async def missing(self, request: Request) -> Response:
        """What a date lacks."""
        day = _needed_day(request)
        return await self._answer(("missing", day), lambda cur: missing(cur, day))

    async def drops(self, request: Request) -> Response:
        """A part of the list."""
        text, fate, before = _text(request, "q"), _text(request, "fate"), _number(request, "before")
        return await self._answer(
            ("drops", text, fate, before), lambda cur: drops(cur, text=text, fate=fate, before=before)
        )

    async def receipt(self, request: Request) -> Response:
        """Of one drop."""
        seq = _number(request, "seq")
        if seq is None:
            raise HTTPException(400, "expected seq=NUMBER")
        return await self._answer(("receipt", seq), lambda cur: receipt(cur, seq, self._desk.settings))

    async def suspects(self, _: Request) -> Response:
        """The newest ones."""
        return await self._answer("suspects", suspects)

    async def connect(self, _: Request) -> Response:
        """How other programs reach the database."""
        return _json(text_of(ways_in(self._shown_uri)))

    async def _answer(self, key: Hashable, work: Callable[[cursor], Facts | list[Facts] | None]) -> Response:
        return await self._told(self._desk.answer(key, work))

    @staticmethod
    async def _told(answer: Awaitable[str]) -> Response:
        try:
            told = await answer
        except AwayError as error:
            return PlainTextResponse(str(error), 503)
        return _json(told, 404 if told == "null" else 200)


def _json(told: str, code: int = 200) -> Response:
    return Response(told, code, media_type="application/json")


def _text(request: Request, name: str) -> str:
    """PostgreSQL takes no NUL."""
    return request.query_params.get(name, "").replace("\0", "")[:500]


def _number(request: Request, name: str) -> int | None:
    given = request.query_params.get(name)
    if given is None:
        return None
    if not (given.isascii() and given.isdecimal() and len(given) < 19):
        raise HTTPException(400, f"expected {name}=NUMBER")
    return int(given)


def _day(request: Request, name: str) -> dt.date | None:
    given = request.query_params.get(name)
    if not given:
        return None
    try:
        return dt.date.fromisoformat(given)
    except ValueError:
        raise HTTPException(400, f"expected {name}=YYYY-MM-DD") from None


def _needed_day(request: Request) -> dt.date:
    day = _day(request, "date")
    if day is None:
        raise HTTPException(400, "expected date=YYYY-MM-DD")
    return day
