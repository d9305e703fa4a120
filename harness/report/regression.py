"""What a regression check says: Markdown for a person, JUnit XML for a CI."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as Xml

from harness import escapes
from harness.analysis.measures import regret_name
from harness.analysis.regression import Check, Judgement
from harness.numbers import number, ratio

_MARKS = {"same": "=", "better": "✓", "not worse": "✓", "undecided": "?", "worse": "✗"}
_MEANING = {
    "same": "every number is bit for bit that of the baseline",
    "better": "shown to be better, and nowhere worse by the margin",
    "not worse": "changed, and shown not to be worse by the margin",
    "undecided": "changed; not shown to be worse, nor shown not to be: more seeds would tell",
    "worse": "shown to be worse by more than the margin",
}


def markdown(judgements: Sequence[Judgement], margin: float, alpha: float) -> str:
    """A table of studies and the checks of those that changed."""
    regret = regret_name((judgement.baseline for judgement in judgements), "val")
    lines = [
        f"## Anytime curves against the baseline: {headline(judgements)}",
        "",
        f"Ratios of {regret}, now to baseline, with {100 * (1 - alpha):g} % intervals; margin "
        f"{100 * margin:g} %, alpha {alpha:g}, t tests paired by seed, corrected by Holm over all checks.",
        "",
        "| | study | seeds | measure | baseline | now | ratio | p worse | p better |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for judgement in judgements:
        name = f"| {_MARKS[judgement.verdict]} {judgement.verdict} | {_name(judgement)} | {judgement.seeds} |"
        lines += [f"{name} {_cells(check)} |" for check in judgement.checks] or [f"{name} all | | | 1 | | |"]
    verdicts = dict.fromkeys(judgement.verdict for judgement in judgements)
    lines += ["", *(f"- {_MARKS[v]} {v}: {_MEANING[v]}." for v in verdicts)]
    return "\n".join(lines) + "\n"


def headline(judgements: Sequence[Judgement]) -> str:
    """`1 worse, 2 same`."""
    counts = {verdict: sum(j.verdict == verdict for j in judgements) for verdict in reversed(_MARKS)}
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)


def junit(judgements: Sequence[Judgement], margin: float, alpha: float) -> bytes:
    """A test case for each study; those that are worse fail."""
    failures = sum(judgement.verdict == "worse" for judgement in judgements)
    counts = {"tests": str(len(judgements)), "failures": str(failures), "errors": "0"}
    suite = Xml.Element("testsuite", {"name": "harness regress", **counts})
    for judgement in judgements:
        study = judgement.baseline.study
        case = Xml.SubElement(suite, "testcase", {"classname": study.benchmark, "name": study.label})
        text = markdown([judgement], margin, alpha)
        if judgement.verdict == "worse":
            Xml.SubElement(case, "failure", {"message": _MEANING["worse"]}).text = text
        else:
            Xml.SubElement(case, "system-out").text = text
    Xml.indent(suite)
    return Xml.tostring(suite, encoding="utf-8", xml_declaration=True)


def _name(judgement: Judgement) -> str:
    return escapes.markdown(f"{judgement.baseline.study.label} on {judgement.baseline.study.benchmark}")


def _cells(check: Check) -> str:
    told = ratio(check.ratio, check.low, check.high)
    return (
        f"{check.measure} | {number(check.old)} | {number(check.new)} | {told} | {check.worse:.2g} | {check.better:.2g}"
    )
