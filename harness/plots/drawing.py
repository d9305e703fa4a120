"""Architectures as drawings: where vertices and arrows lie in the plane, for figures and the report page alike.

Vertices stand in topological order on a line, so that no edge passes one. Cells whose operators are on edges, as those
of NAS-Bench-201, have their vertices in the plane, and arrows for their operators.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle
from typing import Literal, NamedTuple

import numpy as np

from harness.arrays import Ints
from harness.graphs import ABSENT, FIRST_OPERATOR, INPUT, OUTPUT, GraphView
from harness.plots.style import COLOURS
from harness.space import SearchSpace

GREY, PLAIN = "#777777", "#222222"
_INK = "#444444"

_ARC = 0.45
"""The bend of an arc over vertices: over a distance of n it is so many halves of n high."""


class Look(NamedTuple):
    """How an operator is drawn: as a vertex of this colour or, where it has a `line`, as such an arrow."""

    colour: str
    line: Literal["", "-", "--", ":"] = ""


class Vertex(NamedTuple):
    """A vertex at (x, y), y upwards, with a `text` in it; `colour` is empty where there is no operator to show."""

    x: float
    y: float
    text: str
    operator: str
    colour: str


class Arrow(NamedTuple):
    """An arrow between two vertices, by number; it swerves to the right by `bend` / 2 of its length."""

    start: int
    end: int
    bend: float
    operator: str
    look: Look


@dataclass(frozen=True)
class Drawing:
    """A graph in the plane; `box` is the left, right, lower and upper edge of what it takes.

    `strong`: arrows stand for operators, and are drawn so.
    """

    vertices: tuple[Vertex, ...]
    arrows: tuple[Arrow, ...]
    box: tuple[float, float, float, float]
    strong: bool = False


def keys(space: SearchSpace) -> dict[str, Look]:
    """How the operators of a space that has graphs are drawn."""
    if space.graphs is None:
        return {}
    return operators(space.graphs) if space.graphs.layout is None else _on_edges(space)


def _on_edges(space: SearchSpace) -> dict[str, Look]:
    """How operators on edges are drawn: skips dashed and grey, pools dotted; an edge without operator is not."""
    rest = cycle(COLOURS)
    drawn = [name for name in map(str, space.parameters[0].values) if name != "none"]
    return {
        name: Look(GREY, "--") if name.startswith("skip") else Look(next(rest), ":" if "pool" in name else "-")
        for name in drawn
    }


def operators(view: GraphView) -> dict[str, Look]:
    """How the operators of a view are drawn, in the order of its labels; skips are grey."""
    rest = cycle(COLOURS)
    return {name: Look(GREY if name.startswith("skip") else next(rest)) for name in view.operators}


def cell(space: SearchSpace, codes: Ints, *, plain: bool = False) -> Drawing:
    """The configuration `codes` Int[d] of a space that has graphs; `plain`: pruned, and operators all alike."""
    assert space.graphs is not None
    layout = space.graphs.layout
    if layout is None:
        return graph(space.graphs, codes, plain=plain)
    looks = _on_edges(space)
    names = [str(p.values[code]) for p, code in zip(space.parameters, codes.tolist(), strict=True)]
    if plain:
        present = space.graphs.of(codes[None]).operators[0, 1:-1] != ABSENT
        names = [name if there else "none" for name, there in zip(names, present, strict=True)]
        looks = {name: Look(GREY, "--") if name == "skip_connect" else Look(PLAIN, "-") for name in looks}
    drawn = zip(layout.edges, layout.bends, names, strict=True)
    x, y = zip(*layout.places, strict=True)
    return Drawing(
        tuple(Vertex(*at, name, "", "") for at, name in zip(layout.places, layout.vertices, strict=True)),
        tuple(Arrow(*edge, bend, name, looks[name]) for edge, bend, name in drawn if name in looks),
        (min(x) - 0.4, max(x) + 0.4, min(y) - 0.35, max(y) + 0.35),
        strong=True,
    )


def graph(view: GraphView, codes: Ints, *, plain: bool = False) -> Drawing:
    """The configuration `codes` Int[d], pruned, operators on vertices by colour or, `plain`, all alike.

    The arcs of every other vertex are below.
    """
    graphs, looks = view.of(codes[None]), [*operators(view).items()]
    present = np.flatnonzero(graphs.operators[0] != ABSENT)
    edges = np.argwhere(graphs.adjacency[0][np.ix_(present, present)]).tolist()
    vertices = []
    for i, label in enumerate(graphs.operators[0, present].tolist()):
        end = {INPUT: "in", OUTPUT: "out"}.get(label, "")
        name, look = ("", Look("")) if end else looks[label - FIRST_OPERATOR]
        vertices.append(Vertex(float(i), 0.0, end, name, "" if plain else look.colour))
    arrows = tuple(Arrow(i, j, (_ARC if i % 2 else -_ARC) * (j - i > 1), "", Look(_INK, "-")) for i, j in edges)
    above, below = (max((j - i for i, j in edges if i % 2 == side), default=1) * _ARC / 2 for side in (0, 1))
    return Drawing(tuple(vertices), arrows, (-0.4, len(vertices) - 0.6, -below - 0.3, above + 0.3))
