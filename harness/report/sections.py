"""The sections of the page, in their order; another one is another function in `SECTIONS`."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from xml.etree.ElementTree import Element

from harness import registry
from harness.analysis.comparable import completed
from harness.analysis.comparison import Comparison, Duel, TableCell, peculiarities, remarks
from harness.numbers import number
from harness.report import commands
from harness.report import comparison as comparison_table
from harness.report.cells import cells
from harness.report.fronts import fronts
from harness.report.markup import Node, element, table
from harness.report.predictors import predictors
from harness.report.section import Report, Section, against, listing, needs_script, paragraph, strip
from harness.report.sentences import sentences
from harness.report.shared import shared
from harness.report.trained import trained
from harness.studies.outcome import Outcome, summary, unit_of


def what_was_measured(report: Report) -> Section:
    """Which algorithms ran where, what regret is, and under which rules."""
    groups = report.groups
    said: dict[str, dict[str, list[str]]] = {}
    for name, same in groups.items():
        for what, text in _rules(same):
            said.setdefault(what, {}).setdefault(text, []).append(name)
    facts = [
        ("algorithms", ", ".join(dict.fromkeys(o.label for o in report.outcomes))),
        ("benchmarks", ", ".join(groups)),
        *_regret(report.outcomes),
        ("time", time_of(report.outcomes)),
    ]
    for what, texts in said.items():
        for text, names in texts.items():
            facts.append((what, text if len(names) == len(groups) else f"{text} ({', '.join(names)})"))
    return Section("summary", "What was measured", [listing(facts)], [f"harness show {report.results}"])


def _regret(outcomes: Sequence[Outcome]) -> Iterator[tuple[str, str]]:
    several = {bool(outcome.study.rules.objectives) for outcome in outcomes}
    if False in several:
        mean = "mean-over-repeats loss of a run's incumbent, minus the optimum of the table: 0 is the best there is"
        yield "regret", mean
    if True in several:
        yield (
            "hypervolume regret",
            "hypervolume of the table's exact front, less that of the mean objectives of what a run holds: 0 is the "
            "best there is",
        )


def time_of(outcomes: Sequence[Outcome]) -> str:
    """Whose time that of these studies is; that of weight sharing is measured."""
    unit, simulated = unit_of(outcomes), _simulated(outcomes)
    told = ": the seconds that the trainings took" if unit == "s" else f", in {unit}: the costs of the trainings"
    found = [f"simulated{told}, out of the table"] if simulated else []
    if len(simulated) < len(outcomes):
        found.append(
            "measured seconds of the machine that searched by weight sharing, derivations among them, not scaled to "
            "the hardware of the table"
        )
    return "; ".join(found)


def _simulated(outcomes: Sequence[Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes if not registry.shares_weights(outcome.study.algorithm)]


def _rules(same: Sequence[Outcome]) -> Iterator[tuple[str, str]]:
    seeds, simulated = f"{len(same[0].trajectory.seeds)} seeds of each algorithm", _simulated(same)
    if not simulated:
        yield "runs", seeds
    for outcome in simulated[:1]:
        for heading, text in outcome.study.rules.lines(outcome.reference.fidelity, outcome.unit).items():
            yield heading, f"{seeds}, to {text}" if heading == "runs" else text
    if len(simulated) < len(same):
        yield "incumbent by weight sharing", "what was derived last, better or worse than what was before"


def regret_over_time(report: Report) -> Section:
    """The place where the script draws the curves."""
    chart = element("div", needs_script("The curves are"), id="regret-chart")
    figures = [
        f"harness plot {report.results} --kind {kind}{_shown(found)} -o regret.pdf"
        for kind, found in report.comparisons.items()
    ]
    return Section("regret", "Regret over time", [chart], figures)


def _shown(found: Comparison) -> str:
    return "" if found.statistic == "mean" else f" --statistic {found.statistic}"


def ranks_over_time(report: Report) -> Section | None:
    """The place where the script draws the ranks, or why there are none; nothing without two algorithms."""
    if all(len(same) < 2 for same in report.groups.values()):
        return None
    if isinstance(report.ranks, str):
        return Section("ranks", "Average ranks", [paragraph(f"There are no average ranks: {report.ranks}")])
    plot = f"harness plot {report.results} --figure ranks"
    figures = [f"{plot} --kind {kind} -o ranks.pdf" for kind in report.comparisons]
    left = [paragraph(sentence, class_="note") for sentence in completed(report.outcomes)[1]]
    return Section(
        "ranks", "Average ranks", [element("div", needs_script("The curves are"), id="ranks-chart"), *left], figures
    )


def tests(report: Report) -> Section:
    """The tables and sentences of `harness compare`, and every test in numbers."""
    body, again = [], []
    for kind, found in report.comparisons.items():
        body += [element("h3", found.regret.capitalize()), _means(found)]
        body.append(paragraph(comparison_table.note(found, underlined=True), class_="note"))
        if found.duels:
            body.append(element("ul", *(element("li", text) for text in sentences(found)), class_="sentences"))
            body.append(_duels(found))
        at = f" --at {','.join(map(repr, report.at))}" if report.at else ""
        again.append(f"harness compare {report.results} --kind {kind}{at} --alpha {found.alpha:g}{_shown(found)}")
    said = [*peculiarities(report.outcomes), *remarks(report.outcomes)]
    said += [note for found in report.comparisons.values() for note in found.notes]
    if "test" not in report.comparisons and any(
        outcome.reference.test_optimum is not None for outcome in report.outcomes
    ):
        said.append("Test regret is left out: the table lacks the test loss of some incumbents.")
    body += [paragraph(text, class_="note") for text in said]
    return Section("tests", "Tests", body, again)


def _means(found: Comparison) -> Element:
    labels = comparison_table.labels(found)
    texts = comparison_table.grid(found, partial(comparison_table.plain, statistic=found.statistic), "–")
    rows: list[list[Node]] = []
    for row, told in zip(found.rows, texts, strict=True):
        rows.append([*told[:2], *map(_marked, told[2:], map(row.cells.get, labels))])
    head = ["benchmark", comparison_table.time_head(found), *labels]
    return table(f"{found.statistic.capitalize()} {found.regret}", head, rows, numbers=len(labels) + 1)


def _marked(text: str, cell: TableCell | None) -> Node:
    if cell is None or not cell.top:
        return text
    return element("strong" if cell.worse is None else "u", text)


def _duels(found: Comparison) -> Element:
    def row(duel: Duel) -> list[Node]:
        means = map(number, duel.centres)
        chance = "{:.2f} [{:.2f}, {:.2f}]".format(*duel.improvement)
        return [duel.benchmark, f"{duel.first} and {duel.second}", f"{duel.time:.4g}", *means, chance, f"{duel.p:.2g}"]

    head = ["benchmark", "pair", comparison_table.time_head(found)]
    head += [f"{found.statistic} of the first", "of the second", "P(first is better)", "p"]
    caption = (
        f"Every pair, {found.regret}: chance that a run of the first is better, with the 95 % interval of a bootstrap "
        "over seeds, and p of the two-sided test, corrected"
    )
    count = f"All {len(found.duels)} tests" if len(found.duels) > 1 else "The test in numbers"
    rows = table(caption, head, [row(duel) for duel in found.duels], numbers=5)
    return element("details", element("summary", count), rows)


def benchmarks(report: Report) -> Section:
    """The tables: what their losses are, their optima and how those are defined, and their splits."""
    cards = [_card(name, same[0]) for name, same in report.groups.items()]
    facts = [f"harness show {shlex.quote(name)}" for name in report.groups]
    return Section("benchmarks", "Benchmarks", [strip("Benchmarks", cards)], facts)


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
    heading = (element("h3", reference.title), paragraph(name, class_="name"))
    return element("article", *heading, listing(facts), class_="card")


def provenance(report: Report) -> Section:
    """Which studies these are, and the commands that run them again."""
    head = ["study", "algorithm", "benchmark", "seeds", "evaluations", "ended early", "table", "code", "made by"]
    rows: list[list[Node]] = []
    for outcome in report.outcomes:
        study, facts = outcome.study, summary(outcome)
        made = ", ".join(f"{name} {number}" for name, number in outcome.versions.items())
        told = [f"{facts['evaluations_mean']:,.1f}", f"{facts['finished_seeds']} of {facts['seeds']}"]
        seeds = f"{study.first}:{study.stop}"
        rows.append([study.id, outcome.label, study.benchmark, seeds, *told, study.table[:12], study.source[:12], made])
    note = (
        "A study's id is the hash of everything that changes its numbers: the checksum of the table, that of the "
        "algorithm's code, parameters, seeds and rules. Evaluations are means over seeds; a seed ends early when "
        "nothing can improve its incumbent. The page holds all of this in full as JSON, in the element “data”."
    )
    ran = "\n".join(commands.runs([outcome.study for outcome in report.outcomes]))
    again = [
        paragraph("To run these studies again; the same code on the same table gives the same ids and numbers:"),
        element("pre", ran),
    ]
    body = [paragraph(note), table("Studies", head, rows), element("div", *again, class_="reproduce")]
    return Section("provenance", "Provenance", body)


SECTIONS: tuple[Callable[[Report], Section | None], ...] = (
    what_was_measured,
    regret_over_time,
    fronts,
    ranks_over_time,
    tests,
    cells,
    trained,
    predictors,
    shared,
    benchmarks,
    provenance,
)
