"""What stands before the page: who may ask for it, and what a browser may do with it.

Nothing is changed by a request, so only GET and HEAD are taken. If the page can be reached from other machines, a token
is asked for: once as `?token=…`, then as a cookie that no script can read.
"""

from __future__ import annotations

import hmac
import secrets
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.responses import PlainTextResponse, RedirectResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from streaming.page.address import PageAddress

COOKIE = "stocketl"

_HEADERS = {
    # no script and no style but our own files, nothing from elsewhere, and no text that becomes HTML
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Guard:
    """Refuses strangers, then hands on to the app. token: None if none is asked for."""

    def __init__(self, app: ASGIApp, address: PageAddress, token: str | None) -> None:
        self._app = app
        self._address = address
        self._token = token
        self._session = secrets.token_urlsafe(32)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if not self._address.is_called(headers.get("host", "")):
            await self._refuse(400, "this server is not called so; open the address that it printed")(
                scope, receive, send
            )
            return
        if scope["method"] not in {"GET", "HEAD"}:
            await self._refuse(405, "the page only reads")(scope, receive, send)
            return
        if self._token is not None and not self._has_cookie(headers):
            await self._let_in(scope)(scope, receive, send)
            return
        await self._app(scope, receive, _with_headers(send))

    def _has_cookie(self, headers: Headers) -> bool:
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return found is not None and _same(found.value, self._session)

    def _let_in(self, scope: Scope) -> ASGIApp:
        given = QueryParams(scope["query_string"]).get("token", "")
        if not _same(given, self._token or ""):
            return self._refuse(401, "a token is asked for: open the whole address that `stocketl page` printed")
        response = RedirectResponse("/", 303, headers=_HEADERS | {"Cache-Control": "no-store"})
        response.set_cookie(COOKIE, self._session, httponly=True, samesite="strict", path="/")
        return response

    @staticmethod
    def _refuse(code: int, said: str) -> PlainTextResponse:
        return PlainTextResponse(said, code, headers=_HEADERS | {"Cache-Control": "no-store"})


def _same(given: str, expected: str) -> bool:
    """In the same time whatever was given."""
    return hmac.compare_digest(given.encode(), expected.encode())


def _with_headers(send: Send) -> Send:
    async def add(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return add
