"""Parsing in a process of its own. If a drop kills its parser, halving finds it, and it alone fails."""

from __future__ import annotations

import base64
import json
import os
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING

from streaming.checkpoint.offset import Span
from streaming.drops.options import ReadOptions
from streaming.drops.reading import outcome, rows_of
from streaming.errors import SettingsError, StorageError
from streaming.storage.locations import open_place
from streaming.ticks.parse import failed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streaming.packets import Row

SECONDS_PER_SPAN = 600


def parse_isolated(spans: list[Span], input_url: str, options: ReadOptions) -> Iterator[Row]:
    """The rows of `reading.rows_of` for all spans. If a span ends its process, it gets the failure `poison`."""
    died = _run(spans, input_url, options)
    if not isinstance(died, str):
        yield from died
    elif len(spans) > 1:
        middle = len(spans) // 2
        yield from parse_isolated(spans[:middle], input_url, options)
        yield from parse_isolated(spans[middle:], input_url, options)
    else:
        yield from outcome(spans[0], failed(f"poison: its parser {died}"), options)


def _run(spans: list[Span], input_url: str, options: ReadOptions) -> list[Row] | str:
    request = json.dumps({"spans": [s.to_json() for s in spans], "input": input_url, "options": vars(options)})
    try:
        process = subprocess.run(
            [sys.executable, "-m", "streaming.drops.isolation"],
            input=request.encode(),
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdout=subprocess.PIPE,
            timeout=SECONDS_PER_SPAN * len(spans),
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"did not end within {SECONDS_PER_SPAN} s"
    if process.returncode == os.EX_TEMPFAIL:
        raise StorageError(process.stdout.decode() or f"{input_url} did not answer while drops were read one by one")
    if process.returncode == os.EX_CONFIG:
        raise SettingsError(process.stdout.decode())
    if process.returncode:
        return f"ended with {'signal' if process.returncode < 0 else 'code'} {abs(process.returncode)}"
    return pickle.loads(base64.b64decode(process.stdout))  # type: ignore[no-any-return]  # noqa: S301 (our child wrote it)


def _main() -> None:
    request = json.load(sys.stdin)
    place, options = open_place(request["input"]), ReadOptions(**request["options"])
    try:
        rows = [row for fields in request["spans"] for row in rows_of(Span.from_json(fields), place, options)]
    except StorageError as error:
        sys.stdout.buffer.write(str(error).encode())
        sys.exit(os.EX_TEMPFAIL)
    except SettingsError as error:
        sys.stdout.buffer.write(str(error).encode())
        sys.exit(os.EX_CONFIG)
    sys.stdout.buffer.write(base64.b64encode(pickle.dumps(rows)))


if __name__ == "__main__":
    _main()
