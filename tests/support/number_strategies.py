"""Numbers with separators for Hypothesis, as a program writes them, and damaged ones."""

from __future__ import annotations

from hypothesis import strategies as st

from streaming.ticks.numbers import Numbers

STYLES = [Numbers(decimal, thousands) for decimal in ".," for thousands in ".,' _+" if thousands != decimal]
_LETTERS = "019.,' _+-eE$K\u00a0\u202fé"


def grouped(style: Numbers, decimals: int) -> st.SearchStrategy[str]:
    """With all separators, and with so many decimals."""
    wholes = st.one_of(st.integers(0, 9_999), st.integers(0, 10 ** (12 if decimals else 15) - 1))
    fractions = st.text("0123456789", min_size=decimals, max_size=decimals)
    return st.builds(lambda whole, fraction: _written(whole, fraction, style), wholes, fractions)


def _written(whole: int, fraction: str, style: Numbers) -> str:
    return f"{whole:,}".replace(",", style.thousands) + (style.decimal + fraction if fraction else "")


@st.composite
def damaged(draw: st.DrawFn, style: Numbers, decimals: int) -> str:
    """One with a letter more, less or another, one of other decimals, one without separators, or nothing at all."""
    kind = draw(st.sampled_from(["more", "less", "other", "decimals", "bare", "nothing", "end"]))
    if kind == "nothing":
        return ""
    if kind == "decimals":
        return draw(grouped(style, draw(st.integers(0, 4))))
    text = draw(grouped(style, decimals))
    if kind == "bare":
        return text.replace(style.thousands, "")
    letter = draw(st.sampled_from(_LETTERS + style.thousands + style.decimal))
    if kind == "end":
        return draw(st.sampled_from([letter + text, text + letter, f" {text} "]))
    at = draw(st.integers(0, len(text) - 1))
    return text[:at] + ("" if kind == "less" else letter) + text[at + (kind != "more") :]
