"""The sections of the page, in their order; another one is another function in `SECTIONS`."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from harness import comparison_table
from harness.arrays import Floats
from harness.benchmarks.nasbench201 import EDGES, OPERATORS
from harness.comparison import Comparison, Duel, by_benchmark, sentences
from harness.errors import HarnessError
from harness.outcome import Kind, Outcome, Reference, summary
from harness.plots.cells import BENDS, LOOKS, NODES, Incumbent, incumbents
from harness.plots.style import COLOURS
from harness.report import commands
from harness.report.markup import Node, element, table

KINDS: dict[Kind, str] = {"val": "validation regret", "test": "test regret"}


@dataclass(frozen=True, eq=False)
class Report:
    """What the page is about: studies by their files, RESULTS and times as on the command line, and what came out.

    `ranks` is the sentence that says why there are none, or what the page draws.
    """

    studies: Mapping[Path, Outcome]
    results: str
    at: Sequence[float]
    comparisons: Mapping[Kind, Comparison]
    ranks: dict[str, Any] | str

    @property
    def outcomes(self) -> list[Outcome]:
        return [*self.studies.values()]

    @property
    def groups(self) -> dict[str, list[Outcome]]:
        return by_benchmark(self.studies.values())


@dataclass(frozen=True)
class Section:
    """One part of the page: its anchor, heading, content, and the commands that make its numbers again."""

    name: str
    title: str
    body: Sequence[Element]
    reproduce: Sequence[str] = ()

    def element(self) -> Element:
        commands = [element("p", "To make these numbers again:"), element("pre", "\n".join(self.reproduce))]
        again = [element("div", *commands, class_="reproduce")] if self.reproduce else []
        title = element("h2", self.title, id=f"{self.name}-title")
        return element("section", title, *self.body, *again, id=self.name, aria_labelledby=f"{self.name}-title")


def _text(*nodes: Node, class_: str | None = None) -> Element:
    return element("p", *nodes, class_=class_)


def _listing(pairs: Sequence[tuple[str, str]]) -> Element:
    return element("dl", *(node for name, text in pairs for node in (element("dt", name), element("dd", text))))


def _strip(name: str, cards: Iterable[Element], class_: str = "") -> Element:
    """Cards beside and below each other; on a phone in one row, to scroll."""
    return element("div", *cards, class_=f"cards {class_}".strip(), role="region", aria_label=name, tabindex=0)


def what_was_measured(report: Report) -> Section:
    """Which algorithms ran where, what regret is, and under which rules."""
    groups = report.groups
    said: dict[str, dict[str, list[str]]] = {}
    for name, same in groups.items():
        for what, text in _rules(same[0]):
            said.setdefault(what, {}).setdefault(text, []).append(name)
    facts = [
        ("algorithms", ", ".join(dict.fromkeys(o.study.label for o in report.outcomes))),
        ("benchmarks", ", ".join(groups)),
        (
            "regret",
            "mean-over-repeats loss of a run's incumbent, minus the optimum of the table: 0 is the best there is",
        ),
        ("time", "simulated: the seconds that the trainings took, out of the table"),
    ]
    for what, texts in said.items():
        for text, names in texts.items():
            facts.append((what, text if len(names) == len(groups) else f"{text} ({', '.join(names)})"))
    return Section("summary", "What was measured", [_listing(facts)], [f"harness show {report.results}"])


def _rules(outcome: Outcome) -> list[tuple[str, str]]:
    rules, seeds = outcome.study.rules, len(outcome.trajectory.seeds)
    ends = [f"{rules.budget:.4g} s"] if math.isfinite(rules.budget) else []
    ends += [f"{rules.evals} evaluations"] if rules.evals is not None else []
    where = "at any fidelity" if rules.incumbent == "any" else "at the largest fidelity that the run has observed"
    noise = "one training repeat of each configuration, at equal seeds the same for every algorithm"
    lines = [
        ("runs", f"{seeds} seeds of each algorithm, to {' or '.join(ends)}"),
        ("incumbent", f"the best observed validation loss {where}"),
        ("noise", f"a run observes {'the mean of the training repeats' if rules.noise == 'mean' else noise}"),
    ]
    if rules.workers > 1:
        lines.append(("workers", f"{rules.workers}, asynchronous"))
    if rules.overhead:
        lines.append(("overhead", f"{rules.overhead:g} s for each job"))
    if rules.max_fidelity:
        lines.append(("training", f"nothing beyond {outcome.reference.fidelity} {rules.max_fidelity}"))
    if rules.continuation:
        lines.append(("continuation", "going on from a lower fidelity costs the difference"))
    return lines


def regret_over_time(report: Report) -> Section:
    """The place where the script draws the curves."""
    chart = element("div", _needs_script(), id="regret-chart")
    figures = [f"harness plot {report.results} --kind {kind} -o regret.pdf" for kind in report.comparisons]
    return Section("regret", "Regret over time", [chart], figures)


def ranks_over_time(report: Report) -> Section | None:
    """The place where the script draws the ranks, or why there are none; nothing without two algorithms."""
    if all(len(same) < 2 for same in report.groups.values()):
        return None
    if isinstance(report.ranks, str):
        return Section("ranks", "Average ranks", [_text(f"There are no average ranks: {report.ranks}")])
    plot = f"harness plot {report.results} --figure ranks"
    figures = [f"{plot} --kind {kind} -o ranks.pdf" for kind in report.comparisons]
    return Section("ranks", "Average ranks", [element("div", _needs_script(), id="ranks-chart")], figures)


def _needs_script() -> Element:
    return element("noscript", _text("The curves are drawn by a script of this page, which is off here."))


def tests(report: Report) -> Section:
    """The tables and sentences of `harness compare`, and every test in numbers."""
    body, again = [], []
    for kind, found in report.comparisons.items():
        body += [element("h3", KINDS[kind].capitalize()), _means(found, KINDS[kind])]
        body.append(_text(comparison_table.note(found), class_="note"))
        if found.duels:
            body.append(element("ul", *(element("li", text) for text in sentences(found)), class_="sentences"))
            body.append(_duels(found, KINDS[kind]))
        at = f" --at {','.join(map(repr, report.at))}" if report.at else ""
        again.append(f"harness compare {report.results} --kind {kind}{at} --alpha {found.alpha:g}")
    return Section("tests", "Tests", body, again)


def _means(found: Comparison, what: str) -> Element:
    labels = comparison_table.labels(found)
    texts = comparison_table.grid(found, comparison_table.plain, "–")
    rows: list[list[Node]] = []
    for row, cells in zip(found.rows, texts, strict=True):
        top = [label in row.cells and row.cells[label].top for label in labels]
        marked = [element("strong", text) if best else text for text, best in zip(cells[2:], top, strict=True)]
        rows.append([*cells[:2], *marked])
    return table(f"Mean {what}", ["benchmark", "time (s)", *labels], rows, numbers=len(labels) + 1)


def _duels(found: Comparison, what: str) -> Element:
    def row(duel: Duel) -> list[Node]:
        means = (f"{mean:.2e}" for mean in duel.means)
        chance = "{:.2f} [{:.2f}, {:.2f}]".format(*duel.improvement)
        return [duel.benchmark, f"{duel.first} and {duel.second}", f"{duel.time:.4g}", *means, chance, f"{duel.p:.2g}"]

    head = ["benchmark", "pair", "time (s)", "mean of the first", "of the second", "P(first is better)", "p"]
    caption = (
        f"Every pair, {what}: chance that a run of the first is better, with the 95 % interval of a bootstrap over "
        "seeds, and p of the two-sided test, corrected"
    )
    count = f"All {len(found.duels)} tests" if len(found.duels) > 1 else "The test in numbers"
    rows = table(caption, head, [row(duel) for duel in found.duels], numbers=5)
    return element("details", element("summary", count), rows)


def cells(report: Report) -> Section | None:
    """The incumbents as graphs, where the studies have any that can be drawn."""
    found = {path: o for path, o in report.studies.items() if o.study.benchmark.startswith("nb201/")}
    if not found:
        return None
    title = "Cells of the incumbents"
    try:
        drawn = incumbents([*found.values()])
    except HarnessError as error:
        return Section("cells", title, [_text(f"There are no cells: {error.message}")])
    keys = [element("li", _edge_sample(name), f" {name}", class_="key") for name in LOOKS]
    note = "The most frequent final incumbent of each study. Edges whose operator is none are left out."
    results = report.results if len(found) == len(report.studies) else shlex.join(map(str, found))
    body = [_text(note), element("ul", *keys, class_="keys"), _strip("Cells", map(_cell, drawn), "cells")]
    return Section("cells", title, body, [f"harness plot {results} --figure cells -o cells.pdf"])


def _cell(cell: Incumbent) -> Element:
    """The graph of NAS-Bench-201's cell, in units of 60 pixels."""
    study = cell.outcome.study
    operators = [OPERATORS[code] for code in cell.codes.tolist()]
    spoken = "; ".join(f"{a} to {b} {name}" for (a, b), name in zip(EDGES, operators, strict=True) if name in LOOKS)
    edges = [_edge(edge, name) for edge, name in zip(EDGES, operators, strict=True) if name in LOOKS]
    nodes = []
    for i, (x, y) in enumerate(NODES * 60):
        nodes.append(element("circle", cx=f"{x:g}", cy=f"{-y:g}", r=12, class_="node"))
        name = "in" if i == 0 else "out" if i == 3 else str(i)
        nodes.append(element("text", name, x=f"{x:g}", y=f"{4 - y:g}", text_anchor="middle"))
    drawing = element("svg", *edges, *nodes, viewBox="-20 -66 220 132", role="img", aria_label=f"Cell: {spoken}")
    where = _text(f"{study.benchmark.partition('/')[2]}: {cell.note}", class_="note")
    return element("article", element("h3", study.label), drawing, where, class_="card")


def _edge(edge: tuple[int, int], name: str) -> Element:
    """A bent arrow between the circles of its nodes; y grows downwards."""
    start, end = NODES[edge[0]] * (60, -60), NODES[edge[1]] * (60, -60)
    across = end - start
    middle = (start + end) / 2 + BENDS[edge] * np.array([-across[1], across[0]])
    away, back = ((middle - node) / np.linalg.norm(middle - node) for node in (start, end))
    tip, base, side = end + 13 * back, end + 22 * back, 4.5 * np.array([-back[1], back[0]])
    line = _line(f"M{_point(start + 13 * away)} Q{_point(middle)} {_point(base)}", name)
    head = element("path", d=f"M{_point(tip)} L{_point(base + side)} L{_point(base - side)} Z", class_=_colour(name))
    return element("g", line, head)


def _point(at: Floats) -> str:
    return f"{at[0]:.1f} {at[1]:.1f}"


def _line(path: str, name: str) -> Element:
    dash = {"-": None, "--": "6 3", ":": "2 3"}[LOOKS[name][1]]
    return element("path", d=path, class_=f"edge {_colour(name)}", stroke_dasharray=dash)


def _colour(name: str) -> str:
    colour = LOOKS[name][0]
    return f"c{COLOURS.index(colour)}" if colour in COLOURS else "grey"


def _edge_sample(name: str) -> Element:
    return element("svg", _line("M0 6 H30", name), viewBox="0 0 30 12", class_="sample", aria_hidden="true")


def benchmarks(report: Report) -> Section:
    """The tables: what their losses are, their optima and how those are defined, and their splits."""
    cards = [_card(name, same[0]) for name, same in report.groups.items()]
    facts = [f"harness show {shlex.quote(name)}" for name in report.groups]
    return Section("benchmarks", "Benchmarks", [_strip("Benchmarks", cards)], facts)


def _card(name: str, outcome: Outcome) -> Element:
    reference = outcome.reference
    fidelity = outcome.study.rules.report_fidelity or reference.fidelities[-1]
    facts = [
        ("loss", f"{reference.loss}, at {reference.fidelity} {fidelity}"),
        ("optimum", against(reference, "val")),
        ("test optimum", against(reference, "test")),
        ("splits", reference.splits),
        ("table", f"SHA-256 {outcome.study.table}"),
    ]
    heading = (element("h3", reference.title), _text(name, class_="name"))
    return element("article", *heading, _listing(facts), class_="card")


def against(reference: Reference, kind: Kind) -> str:
    """What regret of this kind is measured against, and how that is defined."""
    if kind == "val":
        return f"{reference.optimum:.6g}, row {reference.optimum_row}: {reference.optimum_definition}"
    if reference.test_optimum is None:
        return "no test metric in this table"
    return f"{reference.test_optimum:.6g} ({reference.test})"


def provenance(report: Report) -> Section:
    """Which studies these are, and the commands that run them again."""
    head = ["study", "algorithm", "benchmark", "seeds", "evaluations", "ended early", "table", "code", "made by"]
    rows: list[list[Node]] = []
    for outcome in report.outcomes:
        study, facts = outcome.study, summary(outcome)
        made = ", ".join(f"{name} {number}" for name, number in outcome.versions.items())
        told = [f"{facts['evaluations_mean']:,.1f}", f"{facts['finished_seeds']} of {facts['seeds']}"]
        seeds = f"{study.first}:{study.stop}"
        rows.append([study.id, study.label, study.benchmark, seeds, *told, study.table[:12], study.source[:12], made])
    note = (
        "A study's id is the hash of everything that changes its numbers: the checksum of the table, that of the "
        "algorithm's code, parameters, seeds and rules. Evaluations are means over seeds; a seed ends early when "
        "nothing can improve its incumbent. The page holds all of this in full as JSON, in the element “data”."
    )
    ran = "\n".join(commands.run(outcome.study) for outcome in report.outcomes)
    again = [
        _text("To run these studies again; the same code on the same table gives the same ids and numbers:"),
        element("pre", ran),
    ]
    body = [_text(note), table("Studies", head, rows), element("div", *again, class_="reproduce")]
    return Section("provenance", "Provenance", body)


SECTIONS: tuple[Callable[[Report], Section | None], ...] = (
    what_was_measured,
    regret_over_time,
    ranks_over_time,
    tests,
    cells,
    benchmarks,
    provenance,
)
