"""The incumbents as graphs, in SVG."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from xml.etree.ElementTree import Element

import numpy as np

from harness import registry
from harness.arrays import Floats
from harness.errors import HarnessError
from harness.plots.cells import Incumbent, incumbents
from harness.plots.drawing import GREY, Arrow, Drawing, Look, cell, keys
from harness.plots.style import COLOURS
from harness.report.markup import element
from harness.report.section import Report, Section, paragraph, strip

_LEAST = 228.0
"""Small graphs are drawn no larger than others."""

_DASHES = {"-": None, "--": "6 3", ":": "2 3"}


def cells(report: Report) -> Section | None:
    """The incumbents as graphs, where the studies have any."""
    drawn, body = list[Incumbent](), list[Element]()
    for benchmark, same in report.groups.items():
        try:
            drawn += incumbents(same) if _graphs(benchmark) else []
        except HarnessError as error:
            body.append(paragraph(f"There are no cells of {benchmark}: {error.message}"))
    if not drawn and not body:
        return None
    if drawn:
        body.insert(
            0,
            paragraph(
                "The most frequent final incumbent of each study, or what most of its runs hold if there are several "
                "objectives; what carries no operator is left out."
            ),
        )
    for names, alike in groupby(drawn, lambda found: [*keys(found.space).items()]):
        some = [*alike]
        body.append(key_list(dict(names)))
        benchmarks = ", ".join(dict.fromkeys(found.outcome.study.benchmark for found in some))
        on_lines = any(look.line for _, look in names)
        body.append(strip(f"Cells of {benchmarks}", map(_card, some), "cells" if on_lines else "cells long"))
    return Section("cells", "Cells of the incumbents", body, _again(report, drawn))


def key_list(looks: Mapping[str, Look]) -> Element:
    """What the looks of operators stand for."""
    return element("ul", *(_key(name, look) for name, look in looks.items()), class_="keys")


def _graphs(benchmark: str) -> bool:
    """Whether configurations are graphs. Raises HarnessError if the table of a known benchmark is not here."""
    return benchmark in registry.benchmark_facts() and registry.benchmark(benchmark).space.graphs is not None


def _again(report: Report, drawn: list[Incumbent]) -> list[str]:
    benchmarks = dict.fromkeys(one.outcome.study.benchmark for one in drawn)
    only = f" --bench {','.join(benchmarks)}" if len(benchmarks) < len(report.groups) else ""
    return [f"harness plot {report.results}{only} --figure cells -o cells.pdf"] if drawn else []


def _card(found: Incumbent) -> Element:
    study = found.outcome.study
    where = paragraph(f"{study.benchmark}: {found.note}", class_="note")
    return element(
        "article", element("h3", found.outcome.label), svg(cell(found.space, found.codes)), where, class_="card"
    )


def svg(drawing: Drawing) -> Element:
    """The drawing, y downwards; what is in it is said in words too."""
    unit, radius = (60, 12) if drawing.strong else (40, 11)
    places = [np.array([vertex.x, -vertex.y]) * unit for vertex in drawing.vertices]
    parts = [_arrow(arrow, places[arrow.start], places[arrow.end], radius) for arrow in drawing.arrows]
    for vertex, (x, y) in zip(drawing.vertices, places, strict=True):
        told = [element("title", vertex.operator)] if vertex.operator else []
        colour = _colour(vertex.colour) if vertex.colour else None
        parts.append(
            element("circle", *told, cx=f"{x:g}", cy=f"{y:g}", r=radius, class_=f"node {colour or ''}".strip())
        )
        if vertex.text:
            parts.append(element("text", vertex.text, x=f"{x:g}", y=f"{y + 4:g}", text_anchor="middle"))
    left, right, low, high = (unit * edge for edge in drawing.box)
    width = max(right - left, _LEAST)
    box = f"{(left + right - width) / 2:g} {-high:g} {width:g} {high - low:g}"
    return element("svg", *parts, viewBox=box, role="img", aria_label=f"Cell: {_spoken(drawing)}")


def _spoken(drawing: Drawing) -> str:
    names = [vertex.text or str(i) for i, vertex in enumerate(drawing.vertices)]
    carried = [
        f"{name} {vertex.operator}" for name, vertex in zip(names, drawing.vertices, strict=True) if vertex.operator
    ]
    edges = [f"{names[a.start]} to {names[a.end]} {a.operator}".rstrip() for a in drawing.arrows]
    return "; ".join([*carried, *edges]) or "no edges"


def _arrow(arrow: Arrow, start: Floats, end: Floats, radius: float) -> Element:
    """A bent arrow between the circles of its vertices."""
    across = end - start
    middle = (start + end) / 2 + arrow.bend * np.array([-across[1], across[0]])
    away, back = ((middle - node) / np.linalg.norm(middle - node) for node in (start, end))
    gap, head = radius + 1, 0.75 * radius
    tip, base, side = end + gap * back, end + (gap + head) * back, head / 2 * np.array([-back[1], back[0]])
    line = _line(f"M{_point(start + gap * away)} Q{_point(middle)} {_point(base)}", arrow.look)
    tip_path = f"M{_point(tip)} L{_point(base + side)} L{_point(base - side)} Z"
    return element("g", line, element("path", d=tip_path, class_=_colour(arrow.look.colour)))


def _point(at: Floats) -> str:
    return f"{at[0]:.1f} {at[1]:.1f}"


def _line(path: str, look: Look) -> Element:
    return element("path", d=path, class_=f"edge {_colour(look.colour)}", stroke_dasharray=_DASHES[look.line])


def _colour(colour: str) -> str:
    return f"c{COLOURS.index(colour)}" if colour in COLOURS else "grey" if colour == GREY else "ink"


def _key(name: str, look: Look) -> Element:
    mark = (
        _line("M0 6 H30", look)
        if look.line
        else element("circle", cx=15, cy=6, r=5.5, class_=f"node {_colour(look.colour)}")
    )
    sample = element("svg", mark, viewBox="0 0 30 12", class_="sample", aria_hidden="true")
    return element("li", sample, f" {name}", class_="key")
