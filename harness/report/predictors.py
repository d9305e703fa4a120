"""How good predictors are: what `harness predict` measured, as a table and pictures."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any
from xml.etree.ElementTree import Element

from harness.analysis.quality import Quality, summary
from harness.errors import HarnessError
from harness.numbers import mean_sem
from harness.plots.quality import LABELS, Points, by_benchmark, sizes_of
from harness.report.curves import looks
from harness.report.markup import Node, element, table
from harness.report.plot import across, plot, span, upwards
from harness.report.section import Report, Section, paragraph

_SHOWN = "spearman"


def predictors(report: Report) -> Section | None:
    """The quality of predictors, where any was measured."""
    if not report.qualities:
        return None
    chosen = looks(quality.study.label for quality in report.qualities)
    try:
        drawn = [_curves(same, chosen) for same in by_benchmark(report.qualities).values()]
    except HarnessError as error:
        body = [paragraph(f"There is no picture: {error.message}")]
    else:
        keys = element(
            "ul", *(element("li", _sample(look), f" {label}") for label, look in chosen.items()), class_="keys"
        )
        note = (
            f"{LABELS[_SHOWN]} of predicted and true losses on all configurations that were not learnt from, mean "
            "and two standard errors over samples. More is better."
        )
        body = [keys, element("div", *drawn, class_="stills"), paragraph(note, class_="note")]
    records = [record for quality in report.qualities for record in summary(quality)]
    files = [file for quality in report.qualities for file in quality.files]
    folders = shlex.join(dict.fromkeys(str(file.parent.parent) for file in files))
    again = f"harness plot {folders} --figure prediction --measure {_SHOWN} -o prediction.pdf"
    return Section("predictors", "Predictors", [*body, _table(records)], [again])


def _curves(same: Sequence[Quality], chosen: dict[str, dict[str, Any]]) -> Element:
    """A measure of the predictors of one benchmark over the size of the sample."""
    lines = {quality.study.label: [*zip(*Points.of(quality, _SHOWN), strict=True)] for quality in same}
    sizes = sizes_of(same)
    x = across("configurations learnt from", sizes[0] / 1.2, sizes[-1] * 1.2, [(s, str(s)) for s in sizes], log=True)
    ends = [mean + side * half for points in lines.values() for _, mean, half in points for side in (-1, 1)]
    y = upwards(LABELS[_SHOWN], *span(ends or [0.0, 1.0]))
    marks = []
    for label, points in ((label, points) for label, points in lines.items() if points):
        colour, places = f"c{chosen[label]['colour']}", [(x.at(size), y.at(mean)) for size, mean, _ in points]
        path = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in places)
        bars = "".join(f"M{x.at(s):.1f} {y.at(m - h):.1f}V{y.at(m + h):.1f}" for s, m, h in points)
        marks.append(element("path", d=path, class_=f"line {colour}", stroke_dasharray=_dash(chosen[label])))
        marks.append(element("path", d=bars, class_=f"line {colour}"))
        marks += [element("circle", cx=f"{a:.1f}", cy=f"{b:.1f}", r=3.5, class_=f"dot {colour}") for a, b in places]
    title = same[0].reference.title
    return plot(title, f"{LABELS[_SHOWN]} on {title}: {', '.join(lines)}. The table has the numbers.", x, y, marks)


def _table(records: Sequence[dict[str, Any]]) -> Element:
    def cell(record: dict[str, Any], measure: str) -> str:
        return mean_sem(record[f"{measure}_mean"], record[f"{measure}_sem"])

    units = ", ".join(dict.fromkeys(record["mse_unit"] for record in records))
    measures = {name: f"{text} ({units})" if name == "mse" else text for name, text in LABELS.items()}
    rows: list[list[Node]] = [
        [
            *(str(record[name]) for name in ("benchmark", "predictor", "train", "seeds")),
            *(cell(record, m) for m in measures),
        ]
        for record in records
    ]
    head = ["benchmark", "predictor", "learnt from", "samples", *measures.values()]
    grid = table(
        "Predictors judged on the configurations that they did not learn from, mean ± SEM",
        head,
        rows,
        numbers=2 + len(measures),
    )
    return element("details", element("summary", "All measures"), grid)


def _sample(look: dict[str, Any]) -> Element:
    line = element("path", d="M0 6 H30", class_=f"line c{look['colour']}", stroke_dasharray=_dash(look))
    return element("svg", line, viewBox="0 0 30 12", class_="sample", aria_hidden="true")


def _dash(look: dict[str, Any]) -> str | None:
    """Dashes are in widths of the line, which is 2."""
    return " ".join(f"{2 * float(part):g}" for part in look["dash"].split()) or None
