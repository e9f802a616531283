"""Files of a history as it happens: late, corrected, repeated and re-dropped rows, and rows that are refused."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TICKERS = ["AAPL", "BRK.B", "007", "42", "aapl", "Zürich"]


def random_drops(seed: int, count: int) -> Iterator[tuple[str, str]]:
    """Keys and contents."""
    chance = random.Random(seed)  # noqa: S311 (a seed, not a secret)
    before: list[str] = []
    for number in range(count):
        if before and chance.random() < 0.15:
            content = chance.choice(before)  # re-dropped
        else:
            lines = ["date,id,price,trade_volume"] + [_line(chance, number) for _ in range(chance.randint(1, 25))]
            content = "\n".join(lines) + "\n"
        before.append(content)
        yield f"{chance.choice(['', 'sub/'])}drop_{number % 9}.csv", content


def _line(chance: random.Random, number: int) -> str:
    day = max(1, min(28, number // 2 + chance.choice([0, 0, 0, 1, -1, -5])))  # mostly new days, some late ones
    ticker = chance.choice(TICKERS)
    price = chance.choice(["100", "101.5", "0.1", "99.99", "1e3"])
    volume = chance.choice(["", "5", "700", "N/A"])
    good = f"2024-01-{day:02d},{ticker},{price},{volume}"
    bad = [f"2024-01-{day:02d},{ticker},-1,5", f"01/{day:02d}/2024,{ticker},{price},5", f"2024-01-{day:02d},,1,1", "x"]
    return chance.choice(bad) if chance.random() < 0.12 else good
