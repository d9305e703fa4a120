"""Searches by weight sharing: what they learned over epochs, the skips, and one-shot against true accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

import numpy as np

from harness.report.curves import looks
from harness.report.markup import Node, element, table
from harness.report.plot import Axis, across, plot, span, upwards
from harness.report.section import Report, Section, paragraph, strip

if TYPE_CHECKING:
    from harness.sharing.correlate import Correlation
    from harness.sharing.course import Course

_SHOWN = 600
"""Dots of a scatter plot at most."""


def shared(report: Report) -> Section | None:
    """The course of searches by weight sharing, and how super-networks order architectures, where there are any."""
    if not report.courses and not report.correlations:
        return None
    learned = [course for course in report.courses if course.moved]
    chosen = looks(course.label for course in report.courses)
    body: list[Element] = []
    if learned:
        note = (
            "Mean probability of a skip connection over the decisions of a search, mean over its seeds; below, the "
            "probabilities of all operators on each decision. Methods that learn no distribution are not drawn."
        )
        body += [element("div", _skips(learned, chosen), class_="stills"), paragraph(note, class_="note")]
        body += [_operators(course) for course in learned]
    if report.courses:
        body.append(_derived(report.courses))
    again = []
    folders = report.results
    if learned:
        again.append(f"harness plot {folders} --figure operators -o operators.pdf")
    if report.correlations:
        body += _orders(report.correlations)
        again.append(f"harness correlate {folders} -o tau.pdf")
    return Section("sharing", "Weight sharing", body, again)


def _skips(courses: Sequence[Course], chosen: dict[str, dict[str, int]]) -> Element:
    longest = max(len(course.probability) for course in courses)
    x = across("epochs", 0, longest, [(e, f"{e:g}") for e in np.linspace(0, longest, 5).round().tolist()])
    y = upwards("probability of a skip", 0, 1, [(v, f"{v:g}") for v in (0, 0.25, 0.5, 0.75, 1)])
    marks = []
    for course in courses:
        mean = course.skips.mean(axis=0)
        path = _path(x, y, np.arange(1, len(mean) + 1), mean)
        marks.append(element("path", element("title", course.label), d=path, class_=f"line {_colour(chosen, course)}"))
        marks.append(
            element(
                "text", course.label, x=f"{x.at(len(mean)) - 4:.0f}", y=f"{y.at(mean[-1]) - 5:.0f}", text_anchor="end"
            )
        )
    spoken = f"Share of skip connections over epochs: {', '.join(course.label for course in courses)}."
    return plot("Share of skip connections", spoken, x, y, marks)


def _operators(course: Course) -> Element:
    """The probabilities of every decision of a search, a small plot each."""
    epochs = len(course.probability)
    names = [*dict.fromkeys(name for own in course.operators for name in own)]
    x = across("epochs", 0, epochs, [(0, "0"), (epochs, str(epochs))])
    y = upwards("probability", 0, 1, [(0, "0"), (0.5, "0.5"), (1, "1")])
    plots = []
    for d, decision in enumerate(course.decisions):
        marks = [
            element(
                "path",
                element("title", name),
                d=_path(x, y, np.arange(1, epochs + 1), course.probability[:, d, k]),
                class_=f"line c{names.index(name) % 8}",
            )
            for k, name in enumerate(course.operators[d])
        ]
        last = ", ".join(f"{n} {p:.2f}" for n, p in zip(course.operators[d], course.probability[-1, d], strict=False))
        plots.append(plot(decision, f"{decision} over epochs; at the end {last}.", x, y, marks))
    keys = element("ul", *(_key(i, name) for i, name in enumerate(names)), class_="keys")
    title = f"{course.label} on {course.space}, {course.images}: operators of each decision, mean of {_seeds(course)}"
    return element("details", element("summary", title), keys, element("div", *plots, class_="stills"))


def _derived(courses: Sequence[Course]) -> Element:
    def row(course: Course) -> list[Node]:
        mean = course.derived.mean(axis=0) if len(course.derived) else np.full(2, np.nan)
        last = course.skips[:, -1].mean()
        told = [f"{value:.2f}" for value in (last, *mean)]
        return [course.label, course.space, course.images, str(len(course.seeds)), *told]

    caption = (
        "Skips: their probability in the end, and their share in what was derived with and without the operator none"
    )
    head = ["method", "space", "images", "seeds", "probability", "derived, none allowed", "derived without none"]
    return table(caption, head, [row(course) for course in courses], numbers=4)


def _orders(found: Sequence[Correlation]) -> list[Element]:
    from harness.sharing.correlate import groups, headings, summary  # noqa: PLC0415  imports torch

    body: list[Element] = []
    grouped = [*groups([*found]).values()]
    for same, title in zip(grouped, headings([one[0] for one in grouped]), strict=True):
        first = same[0]
        rest = first.sampled == 0
        truth, seen = first.columns["val"][rest], first.columns["accuracy"][rest]
        scatter = _scatter(f"{title}, seed {first.search.seed}", truth[:_SHOWN], seen[:_SHOWN])
        rows: list[list[Node]] = [
            [row["words"], *(_told(row["tau"][part]) for part in row["tau"])] for row in summary(same, "val")
        ]
        caption = (
            f"Kendall's tau with {first.setting.benchmark} of {int(rest.sum())} architectures that were not sampled "
            f"({first.setting.samples} were), mean and 95 % interval over {len(same)} seeds; batch norm "
            f"{first.setting.statistics}"
        )
        grid = table(caption, ["", "all", "best half", "best tenth"], rows, numbers=3)
        body += [element("h3", title), strip(title, [scatter]), grid]
    return body


def _scatter(title: str, truth: np.ndarray, seen: np.ndarray) -> Element:
    low = np.quantile(truth, 0.1)
    kept = truth >= low
    x = across("accuracy in the table (%), worst tenth left out", *span(100 * truth[kept]))
    y = upwards("one-shot accuracy (%)", *span(100 * seen[kept]))
    dots = [
        element("circle", cx=f"{x.at(100 * a):.1f}", cy=f"{y.at(100 * b):.1f}", r=2, class_="dot c0")
        for a, b in zip(truth[kept], seen[kept], strict=True)
    ]
    return plot(title, f"One-shot over true accuracy, {title}. The table has tau.", x, y, dots)


def _told(estimate: dict[str, float]) -> str:
    value, low, high = (estimate[name] for name in ("value", "low", "high"))
    if np.isnan(value):
        return "–"
    return f"{value:.2f}" + (f" [{low:.2f}, {high:.2f}]" if np.isfinite(low) else "")


def _path(x: Axis, y: Axis, at: np.ndarray, values: np.ndarray) -> str:
    return "M" + "L".join(f"{x.at(float(a)):.1f} {y.at(float(b)):.1f}" for a, b in zip(at, values, strict=True))


def _colour(chosen: dict[str, dict[str, int]], course: Course) -> str:
    return f"c{chosen[course.label]['colour']}"


def _key(number: int, name: str) -> Element:
    line = element("path", d="M0 6 H30", class_=f"line c{number % 8}")
    return element("li", element("svg", line, viewBox="0 0 30 12", class_="sample", aria_hidden="true"), f" {name}")


def _seeds(course: Course) -> str:
    return f"{len(course.seeds)} seed{'s' if len(course.seeds) > 1 else ''}"
