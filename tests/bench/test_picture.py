"""The picture of what a millisecond is spent on."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from bench.figures import Figures
from bench.picture import PARTS, Bar, bars, svg

SVG = "{http://www.w3.org/2000/svg}"
STAGES = {"batches": 1.0, "offset log": 0.01, "get": 0.01, "plan": 0.02, "collect": 0.1, "postgres": 0.03, "lake": 9.0}


def _figures(**values: float) -> Figures:
    figures = Figures()
    for name, value in values.items():
        figures.add(name.replace("_", "-"), value)
    return figures


def test_a_bar_holds_what_people_wait_for_and_what_no_log_tells_comes_first() -> None:
    """The lake comes after people have seen the drop, so it is no part of the bar."""
    figures = Figures()
    figures.add("drip-200.p50", 0.25)
    (bar,) = bars(figures, {"drip-200": STAGES})
    assert bar.name == "drip of 200"
    assert bar.parts == pytest.approx([0.08, 0.01, 0.03, 0.1, 0.03])


def test_a_load_of_several_batches_adds_their_means_up() -> None:
    """Three batches take three times the mean of each part."""
    (bar,) = bars(_figures(bulk_2m=1.0), {"bulk-2m": STAGES | {"batches": 3.0}})
    assert bar.parts == pytest.approx([0.49, 0.03, 0.09, 0.3, 0.09])


def test_a_workload_without_figures_or_without_stages_has_no_bar() -> None:
    """A run of some workloads draws these alone."""
    assert bars(_figures(bulk_2m=1.0), {"drip-200": STAGES, "bulk-2m": {}}) == []


def test_the_picture_shares_each_bar_out_and_names_its_parts() -> None:
    """Half of the time is half of the bar; a part without room for its number has it in its title alone."""
    tree = ET.fromstring(svg([Bar("a < b", [0.05, 0.001, 0.0, 0.049, 0.1])]))  # noqa: S314 - our own text
    drawn = [rect for rect in tree.iter(f"{SVG}rect") if rect.get("height") == "26"]
    assert [float(rect.attrib["width"]) for rect in drawn] == [125.0, 2.5, 0.0, 122.5, 250.0]
    assert [rect.attrib["fill"] for rect in drawn] == list(PARTS.values())
    assert drawn[1][0].text == "offset log: 1 ms"
    texts = [text.text for text in tree.iter(f"{SVG}text")]
    assert texts == ["a < b, 200 ms", "50", "49", "100", *PARTS]


def test_the_picture_is_readable_on_light_and_on_dark_pages() -> None:
    """It paints no background, and its text has another colour if the reader prefers dark pages."""
    text = svg([Bar("bulk", [1.0, 0.0, 0.0, 0.0, 0.0])])
    style = ET.fromstring(text).findtext(f"{SVG}style")  # noqa: S314 - as above
    assert style is not None
    assert "@media(prefers-color-scheme:dark){text{fill:#e6edf3}" in style
    assert len(text.split("<rect")) - 1 == 2 * len(PARTS)
