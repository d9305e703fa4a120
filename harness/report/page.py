"""A page about finished studies: one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from harness import __version__
from harness.analysis.comparison import Statistic, compare
from harness.analysis.quality import Quality
from harness.files import json_text
from harness.plots.style import COLOURS, provenance
from harness.report import curves, fronts
from harness.report.markup import element, html
from harness.report.section import Report
from harness.report.sections import SECTIONS
from harness.studies.outcome import Outcome
from harness.studies.reference import Kind
from harness.train.results import Training

if TYPE_CHECKING:
    from harness.sharing.correlate import Correlation
    from harness.sharing.course import Course

__all__ = ["page"]

_SCRIPTS = ("draw.js", "page.js", "fronts.js")
ON_DARK = ("#7A8DF8", "#FD5601", "#15A264", "#C7769E", "#FFB6A3", "#57D3EE", "#F2F2F2", "#E9E159")
"""The colours of figures, made lighter: each has a contrast of 5 or more on the dark background, and each two differ by
13 or more (CIEDE2000) with any colour vision."""


def page(
    studies: Mapping[Path, Outcome],
    results: Sequence[str],
    *,
    trainings: Mapping[Path, Training] | None = None,
    qualities: Sequence[Quality] = (),
    courses: Sequence[Course] = (),
    correlations: Sequence[Correlation] = (),
    at: Sequence[float] = (),
    alpha: float = 0.05,
    statistic: Statistic = "mean",
) -> str:
    """The HTML of the page about `studies`, by their files; `results` is what the command line named.

    `trainings`, by their files too, and `qualities` of predictors get sections of their own, as do the `courses` of
    searches by weight sharing and the `correlations` of their super-networks with tables. `at`, `alpha` and `statistic`
    are those of `compare`; the curves begin with that statistic, and show the other on demand. Equal arguments give
    equal pages. Raises HarnessError if the studies cannot be compared or paired.
    """
    outcomes = [*studies.values()]
    kinds: list[Kind] = ["val"]
    tested = [outcome for outcome in outcomes if outcome.reference.test_optimum is not None]
    kinds += ["test"] if tested and not any(outcome.seeds_without["test"] for outcome in tested) else []
    comparisons = {kind: compare(outcomes, kind, at=at, alpha=alpha, statistic=statistic) for kind in kinds}
    ranks = curves.ranks(outcomes, kinds)
    named = shlex.join(results)
    report = Report(studies, trainings or {}, qualities, named, at, comparisons, ranks, courses, correlations)
    data = {
        "results": report.results,
        "kinds": kinds,
        "statistic": statistic,
        "looks": curves.looks(outcome.label for outcome in outcomes),
        "benchmarks": curves.regrets(report.groups, kinds),
        "fronts": fronts.drawn(report.groups),
        "ranks": None if isinstance(report.ranks, str) else report.ranks,
        "provenance": provenance([*outcomes, *report.qualities], {"at": [*at], "alpha": alpha, "statistic": statistic})
        | {"trainings": [{"id": one.job.id, **one.job.to_json()} for one in report.trainings.values()]},
    }
    return _html(report, data)


def _html(report: Report, data: Mapping[str, Any]) -> str:
    sections = [section for make in SECTIONS if (section := make(report)) is not None]
    links = [element("li", element("a", s.title, href=f"#{s.name}")) for s in sections]
    studies, seeds = len(report.outcomes), sorted({len(o.trajectory.seeds) for o in report.outcomes})
    algorithms = len({o.label for o in report.outcomes})
    title = f"{_count(algorithms, 'algorithm')} on {_count(len(report.groups), 'benchmark')}"
    runs = " to ".join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))
    about = f"{_count(studies, 'study')} of {runs} seeds each. Less regret is better."
    header = [element("h1", title), element("p", about)]
    style, script = _palette() + asset("page.css"), "".join(map(asset, _SCRIPTS))
    return Template(asset("page.html")).substitute(
        title=html([element("title", f"nas-harness: {title}")]),
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
        header=html(header),
        links=html(links),
        sections=html(section.element() for section in sections),
        data=json_text(data, separators=(",", ":")).replace("<", "\\u003c"),
        version=__version__,
    )


def _count(number: int, what: str) -> str:
    plural = "studies" if what == "study" else f"{what}s"
    return f"{number} {what if number == 1 else plural}"


def asset(name: str) -> str:
    return files("harness.report").joinpath(name).read_text(encoding="utf-8")


def _palette() -> str:
    """The colours of algorithms as classes, those of the figures on white."""

    def classes(colours: Sequence[str]) -> str:
        return "".join(f".c{i}{{--own:{colour}}}" for i, colour in enumerate(colours))

    return f"{classes(COLOURS)}\n@media screen and (prefers-color-scheme:dark){{{classes(ON_DARK)}}}\n"


def _hash(text: str) -> str:
    """What the content security policy knows an inline style or script by."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
