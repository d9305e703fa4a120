"""Tables held against trainings: what `harness validate` says, and a picture of it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from xml.etree.ElementTree import Element

import numpy as np

from harness.report.markup import element, table
from harness.report.plot import Axis, across, plot, span, upwards
from harness.report.section import Report, Section, paragraph
from harness.train.validation import Agreement, Point, agreements, columns, name, row, sentence, with_table

_FEW = 30
"""Trainings whose table is open from the start."""

_LABELLED = 12
"""Architectures up to which each has its number in the picture."""

Box = tuple[float, float, float, float]
_WORDS = {"val": "validation", "test": "test"}


def trained(report: Report) -> Section | None:
    """Accuracies of the table and of trainings, where there are trainings of architectures that have a table."""
    trainings = with_table(report.trainings.values())
    if not trainings:
        return None
    found = agreements(trainings)
    said = element("ul", *(element("li", sentence(agreement)) for agreement in found), class_="sentences")
    pictures = [_scatter(agreement) for agreement in found if agreement.points]
    note = (
        "A dot is an architecture, numbered by its row in the table where there is room: mean accuracies, with lines "
        "to the lowest and the highest of the repeats on either side. The dashed line is where both are equal; a "
        "transfer, whose table is of other images than the training, has none: only the order can agree."
    )
    rows = [row(training) for training in trainings]
    parts = [said, element("div", *pictures, class_="stills"), paragraph(note, class_="note")] if pictures else [said]
    again = f"harness validate {shlex.join(dict.fromkeys(str(path.parent) for path in report.trainings))}"
    return Section("trained", "Trained against the table", [*parts, _table(rows)], [again])


def _table(rows: list[dict[str, object]]) -> Element:
    """A row for each training: architecture by architecture, repeat by repeat."""
    texts = columns(rows)
    head = [*texts, "architecture"]
    cells = [[*line, str(one["architecture"])] for *line, one in zip(*texts.values(), rows, strict=True)]
    grid = table("Accuracies in percent, one row for each training", head, cells)
    count = f"All {len(rows)} trainings" if len(rows) > 1 else "The training in numbers"
    return element("details", element("summary", count), grid, open="" if len(rows) <= _FEW else None)


def _scatter(agreement: Agreement) -> Element:
    points, transfer = agreement.points, agreement.transfer
    x = across(
        f"{_WORDS[agreement.against]} accuracy in the table (%)", *span(100 * v for p in points for v in p.table)
    )
    y = upwards(f"trained {_WORDS[agreement.kind]} accuracy (%)", *span(100 * v for p in points for v in p.trained))
    title = f"{name(agreement)}{' (transfer)' if transfer else ''}"
    low, high = max(x.low, y.low), min(x.high, y.high)
    equal = [_line(x, y, (low, low), (high, high), "diagonal")] if low < high and not transfer else []
    marks = [_mark(x, y, point) for point in points]
    labels = _labels(x, y, points) if len(points) <= _LABELLED else []
    spoken = (
        f"Trained accuracy over that of the table, {title}: {len(points)} architectures. The table has the numbers."
    )
    return plot(title, spoken, x, y, [*equal, *marks, *labels])


def _mark(x: Axis, y: Axis, point: Point) -> Element:
    """A dot at the means, with lines over the repeats; its numbers show under the pointer."""
    published, ours = (100 * np.array(values) for values in (point.table, point.trained))
    mean = (float(published.mean()), float(ours.mean()))
    told = f"row {point.row}: trained {_range(ours)}, table {_range(published)}; {point.architecture}"
    lines = [
        _line(x, y, (published.min(), mean[1]), (published.max(), mean[1]), "whisker"),
        _line(x, y, (mean[0], ours.min()), (mean[0], ours.max()), "whisker"),
    ]
    dot = element("circle", cx=f"{x.at(mean[0]):.1f}", cy=f"{y.at(mean[1]):.1f}", r=4.5, class_="dot c0")
    return element("g", element("title", told), *lines, dot)


def _labels(x: Axis, y: Axis, points: Sequence[Point]) -> list[Element]:
    """The numbers of the rows beside their dots, but for those that have no room."""
    dots = [(x.at(100 * float(np.mean(p.table))), y.at(100 * float(np.mean(p.trained)))) for p in points]
    taken = [(a - 5, b - 5, a + 5, b + 5) for a, b in dots]
    made = []
    for (a, b), point in zip(dots, points, strict=True):
        text = str(point.row)
        wide = 7.5 * len(text)
        for left, top in ((a + 7, b - 15), (a - 7 - wide, b - 15), (a + 7, b + 3), (a - 7 - wide, b + 3)):
            box = (left, top, left + wide, top + 12)
            inside = x.start < box[0] and box[2] < x.stop and y.stop < box[1] and box[3] < y.start
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                made.append(element("text", text, x=f"{left:.1f}", y=f"{top + 10:.1f}"))
                break
    return made


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _range(values: np.ndarray) -> str:
    single = f"{values.mean():.2f} %"
    return single if len(values) == 1 else f"{single} ({values.min():.2f} to {values.max():.2f}, {len(values)} repeats)"


def _line(x: Axis, y: Axis, start: tuple[float, float], stop: tuple[float, float], class_: str) -> Element:
    (x1, y1), (x2, y2) = ((f"{x.at(a):.1f}", f"{y.at(b):.1f}") for a, b in (start, stop))
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)
