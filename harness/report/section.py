"""What every section of the page is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

from harness.analysis.comparison import Comparison, by_benchmark
from harness.analysis.quality import Quality
from harness.report.markup import Node, element
from harness.studies.outcome import Outcome
from harness.studies.reference import Kind, Reference
from harness.train.results import Training

if TYPE_CHECKING:
    from harness.sharing.correlate import Correlation
    from harness.sharing.course import Course


@dataclass(frozen=True, eq=False)
class Report:
    """What the page is about: studies by their files, RESULTS and times as on the command line, and what came out.

    `trainings`, `qualities` of predictors and searches by weight sharing (`courses`, `correlations`) are what was found
    beside the studies. `ranks` is the sentence that says
    why there are none, or what the page draws.
    """

    studies: Mapping[Path, Outcome]
    trainings: Mapping[Path, Training]
    qualities: Sequence[Quality]
    results: str
    at: Sequence[float]
    comparisons: Mapping[Kind, Comparison]
    ranks: dict[str, Any] | str
    courses: Sequence[Course] = ()
    correlations: Sequence[Correlation] = ()

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


def paragraph(*nodes: Node, class_: str | None = None) -> Element:
    """A paragraph."""
    return element("p", *nodes, class_=class_)


def needs_script(what: str) -> Element:
    """What stands in place of `what` the script draws: "The curves are"."""
    return element("noscript", paragraph(f"{what} drawn by a script of this page, which is off here."))


def listing(pairs: Sequence[tuple[str, str]]) -> Element:
    """Names and what is said of them."""
    return element("dl", *(node for name, text in pairs for node in (element("dt", name), element("dd", text))))


def strip(name: str, cards: Iterable[Element], class_: str = "") -> Element:
    """Cards beside and below each other; on a phone in one row, to scroll."""
    return element("div", *cards, class_=f"cards {class_}".strip(), role="region", aria_label=name, tabindex=0)


def against(reference: Reference, kind: Kind) -> str:
    """What regret of this kind is measured against, and how that is defined."""
    if kind == "val":
        return f"{reference.optimum:.6g}{reference.row}: {reference.optimum_definition}"
    if reference.test_optimum is None:
        return "no test metric in this table"
    return f"{reference.test_optimum:.6g} ({reference.test})"
