"""The profile that is proposed for a producer's file reads it, and what nobody can know is asked."""

from __future__ import annotations

import datetime as dt

import pytest
from vendor_shapes import SHAPES, Shape

from streaming.profiles.toml import parse_profiles
from streaming.sniff.proposal import Answers, Proposal, propose
from streaming.sniff.toml import as_toml


def sniffed(shape: Shape, answers: Answers) -> Proposal:
    return propose(shape.data, shape.key, answers, text_ids=False, unpacked_limit=1 << 30)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_the_proposal_reads_the_file(shape: Shape) -> None:
    """Every good row loads, the first one with its values, by at most eight lines of TOML."""
    proposal = sniffed(shape, Answers())
    if shape.asks is not None:
        assert (proposal.profile, any(shape.asks in question for question in proposal.questions)) == (None, True)
        proposal = sniffed(shape, shape.answers)
    assert (proposal.questions, proposal.good, proposal.profile is None) == ([], True, shape.plain)
    assert proposal.parsed is not None
    ticks = proposal.parsed.ticks
    row = int(ticks.date.argmin())
    day = dt.date(1970, 1, 1) + dt.timedelta(days=int(ticks.date[row]))
    volume = None if ticks.volume[row] < 0 else int(ticks.volume[row])
    assert (day.isoformat(), ticks.ids[ticks.code[row]], round(float(ticks.price[row]), 6), volume) == shape.first
    assert len(ticks) == shape.rows
    if proposal.profile is not None:
        toml = as_toml(proposal.profile)
        assert (parse_profiles(toml, "profiles.toml"), toml.count("\n") <= 8) == ([proposal.profile], True)


def test_there_are_enough_shapes() -> None:
    """At least twenty-five producers, each once."""
    names = [shape.name for shape in SHAPES]
    assert len(set(names)) == len(names) >= 25
