"""`stocketl page` as a process, and what a program reads from it."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from job_process import clean_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

DEADLINE = 300.0  # seconds, so that what hangs ends


class PageServer:
    """Started with a free port; `url` is what it prints. Leaving the context ends it."""

    def __init__(self, *options: str, listen: str = "127.0.0.1:0") -> None:
        command = [str(Path(sys.executable).with_name("stocketl")), "page", "--listen", listen, *options]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=clean_environment()
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        if not self.url.startswith("http"):
            self._process.wait()
            raise AssertionError(self.url + self._process.stdout.read())
        parts = urllib.parse.urlsplit(self.url)
        self.port = parts.port or 0
        self.pid = self._process.pid

    def get(self, path: str, headers: dict[str, str] | None = None, **values: object) -> tuple[int, str]:
        """Status and text."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        with contextlib.closing(connection):
            query = f"?{urllib.parse.urlencode(values, doseq=True)}" if values else ""
            connection.request("GET", path + query, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def headers(self, path: str, headers: dict[str, str] | None = None, method: str = "GET") -> dict[str, str]:
        """The headers of an answer, and its status as `status`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        with contextlib.closing(connection):
            connection.request(method, path, headers=headers or {})
            answer = connection.getresponse()
            return {name.lower(): value for name, value in answer.getheaders()} | {"status": str(answer.status)}

    def ask(self, name: str, **values: object) -> Any:
        """The JSON of a panel."""
        status, text = self.get(f"/api/{name}", **values)
        assert status == 200, text
        return json.loads(text)

    def events(self) -> Iterator[tuple[str, Any]]:
        """The events as they come: name and data."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        with contextlib.closing(connection):
            connection.request("GET", "/events")
            answer = connection.getresponse()
            name = ""
            while line := answer.readline().decode().rstrip("\n"):
                name = line.removeprefix("event: ")
                yield name, json.loads(answer.readline().decode().removeprefix("data: "))
                answer.readline()

    def next_event(self, events: Iterator[tuple[str, Any]], name: str) -> Any:
        """The data of the next event of this name."""
        deadline = time.monotonic() + DEADLINE
        for found, data in events:
            if found == name:
                return data
            assert time.monotonic() < deadline, f"no event {name!r}"
        raise AssertionError(name)

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """As Ctrl-C, or by another signal; the exit code."""
        self._process.send_signal(number)
        return self._process.wait(DEADLINE)

    def rest(self) -> str:
        """What it has said after its address."""
        assert self._process.stdout is not None
        return self._process.stdout.read()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
