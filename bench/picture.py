"""What a millisecond is spent on, as a small SVG: one bar for each workload, cut by the parts of its time.

Its colours keep apart on light and on dark pages; its text follows what the reader's browser prefers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.figures import Figures

PARTS = {
    "wake, list, start of the batch": "#6e7781",
    "offset log": "#bf8700",
    "plan": "#8250df",
    "read, parse, state, rows to the driver": "#0969da",
    "PostgreSQL": "#1a7f37",
}
"""The parts of the time until people see a drop, and their colours. What no log tells is the first of them."""
_OF_STAGES = {
    "offset log": ("offset log",),
    "plan": ("get", "plan"),
    "read, parse, state, rows to the driver": ("collect",),
    "PostgreSQL": ("postgres",),
}
_BARS = {
    "drip-200": ("drip of 200", "drip-200.p50"),
    "drip-10000": ("drip of 10,000", "drip-10000.p50"),
    "bulk-2m": ("bulk 2 M", "bulk-2m"),
}

_LEFT, _WIDTH, _BAR, _STEP, _LEGEND = 190, 500, 26, 44, 22
_LEAST = 0.07  # a narrower part has no room for its number
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1f2328}.in{fill:#fff;text-anchor:middle}.of{text-anchor:end}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.in{fill:#fff}}"
)


@dataclass(frozen=True)
class Bar:
    """A workload: its name, and the seconds of each part of `PARTS`, in that order."""

    name: str
    parts: Sequence[float]


def bars(figures: Figures, stages: Mapping[str, Mapping[str, float]]) -> list[Bar]:
    """The bars of the workloads that were measured.

    The whole is what a person waits for: until a drop is visible, for bulk until the last receipt.
    """
    made = []
    for workload, (name, figure) in _BARS.items():
        whole, seconds = figures.value(figure), stages.get(workload)
        if whole is not None and seconds:
            times = seconds.get("batches", 1.0)
            told = [times * sum(seconds.get(stage, 0.0) for stage in _OF_STAGES[part]) for part in list(PARTS)[1:]]
            made.append(Bar(name, [max(0.0, whole - sum(told)), *told]))
    return made


def svg(drawn: Sequence[Bar]) -> str:
    """The picture as text. Each bar is as long as the others: its parts are shares of the whole, written in ms."""
    lines = [line for number, bar in enumerate(drawn) for line in _bar(bar, 8 + number * _STEP)]
    top = 8 + len(drawn) * _STEP
    for number, (part, colour) in enumerate(PARTS.items()):
        y = top + number * _LEGEND
        lines.append(f'<rect x="{_LEFT}" y="{y}" width="12" height="12" rx="2" fill="{colour}"/>')
        lines.append(f'<text x="{_LEFT + 20}" y="{y + 11}">{escape(part)}</text>')
    width, height = _LEFT + _WIDTH + 10, top + len(PARTS) * _LEGEND + 4
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    told = escape("; ".join(f"{bar.name}: {_milliseconds(sum(bar.parts))}" for bar in drawn))
    return "\n".join([head, f"<title>{told}</title>", f"<style>{_STYLE}</style>", *lines, "</svg>", ""])


def _bar(bar: Bar, y: int) -> list[str]:
    whole = sum(bar.parts)
    lines = [f'<text class="of" x="{_LEFT - 12}" y="{y + 18}">{escape(bar.name)}, {_milliseconds(whole)}</text>']
    x = float(_LEFT)
    for (part, colour), seconds in zip(PARTS.items(), bar.parts, strict=True):
        width = _WIDTH * seconds / whole
        told = escape(f"{part}: {_milliseconds(seconds)}")
        rect = f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{colour}">'
        lines.append(f"{rect}<title>{told}</title></rect>")
        if seconds / whole >= _LEAST:
            lines.append(f'<text class="in" x="{x + width / 2:.1f}" y="{y + 18}">{1000 * seconds:,.0f}</text>')
        x += width
    return lines


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:,.0f} ms"
