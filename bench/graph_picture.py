"""The picture of docs/graphs.md: `python -m bench.graph_picture [docs/figures/graphs.png]`."""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np

from harness import Ints
from harness.files import whole
from harness.graphs import FIRST_OPERATOR, INPUT, OUTPUT, Graphs, GraphView
from harness.plots.drawing import cell, graph, operators
from harness.plots.graphs import handles, paint
from harness.plots.style import STYLE, panels
from harness.spaces.nasbench101 import ENCODINGS
from harness.spaces.nasbench101_cells import OPERATORS, decode_a
from harness.spaces.nasbench201 import SPACE as NB201

NB101 = ENCODINGS["a"].space
EDGES = ("0_1", "0_2", "0_5", "1_3", "2_3", "2_4", "3_6", "5_6", "1_5")


def as_drawn(codes: Ints) -> Graphs:
    """Cells of NAS-Bench-101 before they are pruned."""
    adjacency, ops = decode_a(codes)
    labels = np.pad(ops + FIRST_OPERATOR, [(0, 0), (1, 1)], constant_values=INPUT)
    labels[:, -1] = OUTPUT
    return Graphs(adjacency, labels.astype(np.int8))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("path", nargs="?", type=Path, default=Path("docs/figures/graphs.png"))
    path = parser.parse_args().path
    cell201 = np.array([3, 1, 4, 3, 2, 0])
    named = {f"edge_{edge}": 1 for edge in EDGES} | {f"op_{k}": OPERATORS[k % 3] for k in range(1, 6)}
    cell101 = NB101.from_dict({p.name: named.get(p.name, 0) for p in NB101.parameters})
    written = {
        "NAS-Bench-201": cell(NB201, cell201),
        "NAS-Bench-101": graph(GraphView(7, OPERATORS, as_drawn), cell101),
    }
    with mpl.rc_context(STYLE):
        figure, axes = panels(6, "page", 1.5)
        spaces = ((NB201, cell201), (NB101, cell101))
        for k, ((name, drawing), (space, codes)) in enumerate(zip(written.items(), spaces, strict=True)):
            one, two, three = axes[3 * k : 3 * k + 3]
            assert space.graphs is not None
            paint(one, drawing)
            paint(two, graph(space.graphs, codes))
            paint(three, cell(space, codes, plain=True))
            one.set_title(f"{name}: as it is written")
            two.set_title("its graph")
            three.set_title("its connections")
            entries = handles(operators(space.graphs))
            two.legend(
                [*entries.values()], [*entries], frameon=False, fontsize=6,
                loc="upper center", bbox_to_anchor=(0.5, -0.05), ncols=2,
            )  # fmt: skip
        with whole(path) as temporary:
            figure.savefig(temporary, format="png", dpi=180, bbox_inches="tight")
    print(path)


if __name__ == "__main__":
    main()
