"""The rules for single prices: by examples, by planted slips in a market that is made up, and by their reach."""

from __future__ import annotations

import numpy as np
import pytest

from streaming.suspects.moves import AFTER, KINDS, Series, SuspectLimits, examine, touched

CALM = [100.0, 101.0, 100.5, 99.8, 100.2, 101.1, 100.9, 100.3]


def series(*prices: list[float], volume: int = 5) -> Series:
    """One ticker after the other, whole."""
    code = np.repeat(np.arange(len(prices), dtype=np.int32), [len(some) for some in prices])
    date = np.concatenate([np.arange(len(some), dtype=np.int32) for some in prices])
    price = np.concatenate([np.array(some, np.float64) for some in prices])
    return Series(code, date, price, np.full(len(code), volume), np.diff(code, prepend=-1) != 0)


def found(*prices: list[float], limits: SuspectLimits | None = None) -> list[tuple[int, str, int]]:
    verdicts = examine(series(*prices), limits or SuspectLimits())
    kinds = [KINDS[kind] for kind in verdicts.kind]
    return list(zip(verdicts.at.tolist(), kinds, verdicts.against.tolist(), strict=True))


@pytest.mark.parametrize(
    ("prices", "suspects"),
    [
        (CALM, []),
        ([*CALM, 1003.0], [(8, "unit-slip", 7)]),
        ([*CALM, 1003.0, 100.1], [(8, "unit-slip", 7)]),
        ([*CALM, 0.5015, *CALM], [(8, "spike", 7)]),
        ([*CALM, 10030.0, 10050.0, 10010.0, *CALM], [(8, "unit-slip", 7), (9, "unit-slip", 7), (10, "unit-slip", 7)]),
        ([*CALM, 50.1], []),
        ([*CALM, 50.1, 50.3, 49.9], [(8, "split?", 7)]),
        ([*CALM, 10.02, 10.05, 9.98], [(8, "split?", 7)]),
        ([*CALM, 201.0, 203.0, 199.0], [(8, "split?", 7)]),
        ([*CALM, 1.02, 1.0, 1.01, 1.0, 1.02, 1.01], [(8, "unit-slip", 7)]),
        ([*CALM, 560.0, 565.0, 558.0, 562.0, 560.0, 564.0], [(8, "jump", 7)]),
        ([*CALM, 140.0, 100.8, *CALM], [(8, "spike", 7)]),
        ([*CALM, 140.0, 120.0, 100.8], []),
        ([1000.0, *CALM], [(0, "unit-slip", 1)]),
        ([1000.0, 100.0], [(1, "unit-slip", 0)]),
        ([5.0, 9.0, 5.1, 8.8, 5.0, 9.1, 5.2, 9.0, 5.1], []),
    ],
)
def test_a_price_is_suspect_as_the_page_says(prices: list[float], suspects: list[tuple[int, str, int]]) -> None:
    """Slips, spikes and splits, at the end of a series and when it goes on; what is usual for a ticker is not."""
    assert found(prices) == suspects
    assert found(CALM, prices, CALM) == [(at + len(CALM), kind, other + len(CALM)) for at, kind, other in suspects]


def test_a_price_is_stale_once_after_so_many_sessions_with_volume() -> None:
    """One suspect for each run, at the session that makes it too long; none if a session had no volume."""
    assert found([100.0, *[101.5] * 19, 102.0]) == []
    assert found([100.0, *[101.5] * 45, 102.0]) == [(20, "stale", 1)]
    assert found([7.0] * 3, [7.0] * 25, [7.0] * 4) == [(22, "stale", 3)]
    assert found([100.0, *[101.5] * 5], limits=SuspectLimits(stale=5)) == [(5, "stale", 1)]
    one = series([101.5] * 45, volume=0)
    assert not len(examine(one).at)


def test_planted_slips_are_found_and_nothing_else() -> None:
    """In a market of 200 tickers and 250 days with moves of 2 % a day: each of 500 slips, at most 5 others."""
    chance = np.random.default_rng(1)
    steps = chance.standard_t(4, (200, 250)) * 0.014
    price = np.round(30 * np.exp(np.cumsum(steps, axis=1)), 2).reshape(-1)
    code = np.repeat(np.arange(200, dtype=np.int32), 250)
    date = np.tile(np.arange(250, dtype=np.int32), 200)
    at = np.sort(chance.choice(len(price), 500, replace=False))
    price[at] *= chance.choice([10, 100, 1000, 0.1, 0.01, 7.3, 1 / 6], 500)
    whole = Series(code, date, price, np.full(len(code), 5), date == 0)
    verdicts = examine(whole)
    assert np.isin(at, verdicts.at).sum() >= 495
    assert (~np.isin(verdicts.at, at)).sum() <= 5


@pytest.mark.parametrize("seed", range(5))
def test_a_changed_price_has_a_say_only_as_far_as_is_told(seed: int) -> None:
    """Verdicts beyond the reach of a change stay, and those within it need no more prices than are promised."""
    chance, limits = np.random.default_rng(seed), SuspectLimits(stale=6)
    level = np.exp(np.cumsum(chance.normal(0, 0.01, 120))) * chance.choice([1, 1, 1, 1, 1, 10, 0.1, 2], 120)
    price = np.where(chance.random(120) < 0.3, np.roll(level, 1), level)
    before = series(price.tolist())
    for at in chance.choice(120, 25, replace=False).tolist():
        changed = price.copy()
        changed[at] *= chance.choice([10, 0.1, 1.4, 2])
        after = series(changed.tolist())
        cells = touched(after, np.arange(120) == at, limits)
        differ = verdict_of(before, limits) != verdict_of(after, limits)
        assert not (differ & ~cells).any()
        low, high = max(at - AFTER - limits.before, 0), min(at + limits.reach + AFTER, 119) + 1
        part = Series(*(getattr(after, name)[low:high] for name in Series.__slots__))
        assert (verdict_of(part, limits) == verdict_of(after, limits)[low:high])[cells[low:high]].all()


def verdict_of(whole: Series, limits: SuspectLimits) -> np.ndarray:
    verdicts, kinds = examine(whole, limits), np.zeros(len(whole), np.uint8)
    kinds[verdicts.at] = verdicts.kind
    return kinds
