"""Viewers of the live page without a browser: each holds the events open, and asks after a batch what a window asked.

    python -m bench.viewers URL FILE

FILE: JSON, for each viewer a list of [seconds after the event, address]; `{first}` and `{last}` in an address stand for
the dates of the batch. Prints `ready` when all hear events, then for each batch a line of JSON once all have their
answers: their number, their bytes, and the seconds from the event to the last one.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import queue
import re
import sys
import threading
import time
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOWEST_PRIORITY = 19
_LIMIT_SECONDS = 120.0  # a page without news says so every 15 s

Questions = list[tuple[float, str]]
"""Seconds after the event, and the address."""


@dataclass(frozen=True)
class Answers:
    """What one viewer got after a batch; seconds: from the event to its last answer."""

    number: int
    bytes: int
    seconds: float


def templates(asked: Questions) -> Questions:
    """The questions of a window, for any batch: without the server, with `{first}` and `{last}` for its dates."""
    return [(after, _template(urllib.parse.urlsplit(address))) for after, address in asked]


def _template(address: urllib.parse.SplitResult) -> str:
    query = re.sub(r"\b(first|last)=[\d-]+", r"\1={\1}", address.query)
    return f"{address.path}?{query}"


def events(stream: http.client.HTTPResponse) -> Iterator[tuple[str, Any]]:
    """Server-sent events as they come: name and data."""
    while line := stream.readline().decode().rstrip("\n"):
        yield line.removeprefix("event: "), json.loads(stream.readline().decode().removeprefix("data: "))
        stream.readline()


class Viewer(threading.Thread):
    """Puts `None` when it hears events, then its answers after each batch; an error if something goes wrong."""

    def __init__(self, url: str, questions: Questions, told: queue.Queue[Answers | Exception | None]) -> None:
        super().__init__(name="viewer", daemon=True)
        self._host = urllib.parse.urlsplit(url).netloc
        self._questions = questions
        self._told = told

    def run(self) -> None:
        """Until the server ends."""
        try:
            with contextlib.closing(self._connection()) as hearing, contextlib.closing(self._connection()) as asking:
                hearing.request("GET", "/events")
                for name, data in events(hearing.getresponse()):
                    if name == "hello":
                        self._told.put(None)
                    elif name == "batch":
                        self._told.put(self._ask(asking, data["dates"]))
            self._told.put(EOFError("the page has ended"))
        except Exception as error:  # noqa: BLE001 - the main thread raises it
            self._told.put(error)

    def _ask(self, asking: http.client.HTTPConnection, dates: dict[str, str]) -> Answers:
        heard, size = time.perf_counter(), 0
        for after, address in self._questions:
            time.sleep(max(0.0, heard + after - time.perf_counter()))
            asking.request("GET", address.format(**dates))
            answer = asking.getresponse()
            content = answer.read()
            if answer.status != 200:
                msg = f"{address} with {dates}: expected 200, got {answer.status}: {content[:200]!r}"
                raise ValueError(msg)
            size += len(content)
        asking.close()  # the server closes what is idle for five seconds
        return Answers(len(self._questions), size, time.perf_counter() - heard)

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._host, timeout=_LIMIT_SECONDS)


def main() -> None:
    """The command above."""
    os.nice(_LOWEST_PRIORITY)  # in the world they are other machines
    url, file = sys.argv[1:]
    told: queue.Queue[Answers | Exception | None] = queue.Queue()
    viewers = [Viewer(url, questions, told) for questions in json.loads(Path(file).read_text())]
    for viewer in viewers:
        viewer.start()
    _each(told, len(viewers))
    print("ready", flush=True)  # noqa: T201 - the parent reads it, as the next
    while True:
        answers = [one for one in _each(told, len(viewers)) if one is not None]
        whole = {
            "number": sum(one.number for one in answers),
            "bytes": sum(one.bytes for one in answers),
            "seconds": max(one.seconds for one in answers),
        }
        print(json.dumps(whole), flush=True)  # noqa: T201


def _each(told: queue.Queue[Answers | Exception | None], number: int) -> list[Answers | None]:
    """What so many viewers tell. Raises what one of them met."""
    found: list[Answers | None] = []
    while len(found) < number:
        one = told.get()
        if isinstance(one, Exception):
            raise one
        found.append(one)
    return found


if __name__ == "__main__":
    main()
