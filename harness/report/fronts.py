"""What runs of several objectives hold, configuration by configuration, for the chart that the page's script draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from harness.analysis.comparison import common_end
from harness.analysis.measures import everywhere
from harness.arrays import Floats, Ints
from harness.errors import HarnessError
from harness.plots.drawing import Look, cell, keys
from harness.report.cells import key_list, svg
from harness.report.curves import digits_of
from harness.report.frames import configurations
from harness.report.markup import element, html
from harness.report.section import Report, Section, needs_script
from harness.studies.fronts import Front, held
from harness.studies.outcome import Outcome
from harness.table import Table

_TIMES = 9
_SHOWN = 300
"""Configurations of each algorithm at a time, those that most runs hold."""
_DECADE = 10.0


def fronts(report: Report) -> Section | None:
    """The place where the script draws what runs hold, where there are studies of several objectives."""
    several = {name: same for name, same in report.groups.items() if same[0].study.rules.objectives}
    if not several:
        return None
    two = [name for name, same in several.items() if len(same[0].study.rules.objectives) == 2]
    only = f" --bench {','.join(two)}" if len(two) < len(report.groups) else ""
    again = [f"harness plot {report.results}{only} --figure {name} -o {name}.pdf" for name in ("front", "attainment")]
    chart = element("div", needs_script("What runs hold is"), id="fronts-chart")
    looks = dict[str, Look]()
    for same in several.values():
        with suppress(HarnessError):
            looks |= keys(same[0].study.load_table().space)
    return Section("fronts", "Fronts", [chart, *([key_list(looks)] if looks else [])], again if two else [])


def drawn(groups: Mapping[str, Sequence[Outcome]]) -> list[dict[str, Any]]:
    """A record for each benchmark whose studies have several objectives and whose table is here.

    `held` has, for each of `times`, the rows that runs hold and how many do, by algorithm; `points` the mean objectives
    of every row that is named, as published, and `cells` their drawings, as numbers of the `pieces` of SVG.
    """
    found = []
    for name, same in groups.items():
        if not same[0].study.rules.objectives:
            continue
        try:
            table = same[0].study.load_table()
        except HarnessError:
            continue
        found.append({"name": name, "title": same[0].reference.title, **_benchmark(table, same)})
    return found


def _benchmark(table: Table, same: Sequence[Outcome]) -> dict[str, Any]:
    rules = same[0].study.rules
    position = table.position(rules.report_fidelity)
    truth = Front.of(rules.feasible(table), rules.objectives, position)
    start, end = max(map(everywhere, same)), common_end(same)
    times = np.unique([*digits_of(np.geomspace(start, end, _TIMES), 3)[:-1], end]) if start < end else np.array([end])
    times = times[times <= end]
    curves, shown = [], {*truth.rows.tolist()}
    for outcome in same:
        every = [_counted(held(table, outcome.study.rules, outcome.trajectory, float(t))) for t in times]
        most = [np.stack([rows, runs], axis=1)[:_SHOWN].tolist() for rows, runs in every]
        shown |= {row for pairs in most for row, _ in pairs}
        curves.append(
            {
                "label": outcome.label,
                "seeds": len(outcome.seeds),
                "held": most,
                "all": [len(rows) for rows, _ in every],
                "best": [int(np.isin(rows, truth.rows).sum()) for rows, _ in every],
            }
        )
    rows = np.array(sorted(shown))
    points: Floats = np.stack([*table.measured(rows, rules.objectives, position).values()], axis=1)
    names = dict(zip(map(str, rows.tolist()), configurations(table, rows).to_dict("records"), strict=True))
    return {
        "objectives": [_axis(table, name, points[:, i]) for i, name in enumerate(rules.objectives)],
        "unit": same[0].unit,
        "true": truth.rows.tolist(),
        "times": times.tolist(),
        "curves": curves,
        "points": {name: digits_of(point, 5).tolist() for name, point in zip(names, points, strict=True)},
        "told": {row: _told(configuration) for row, configuration in names.items()},
        "cells": _cells(table, rows),
    }


def _counted(of_seeds: Sequence[Ints]) -> tuple[Ints, Ints]:
    """Rows that seeds hold, and how many do, Int[m] each, those that most do first."""
    rows, runs = np.unique(np.concatenate(of_seeds), return_counts=True)
    order = np.lexsort([rows, -runs])
    return rows[order], runs[order]


def _axis(table: Table, name: str, values: Floats) -> dict[str, Any]:
    loss = name == table.primary
    finite = values[np.isfinite(values)]
    return {
        "label": table.facts.loss if loss else table.objective_in_words(name).rpartition(", ")[0],
        "name": name,
        "more": not loss and table.objective(name).more,
        "log": bool(finite.min() > 0 and finite.max() > _DECADE * finite.min()),
    }


def _told(configuration: Mapping[str, Any]) -> str:
    text = configuration.get("architecture")
    return text or ", ".join(f"{name}={value}" for name, value in configuration.items())


def _cells(table: Table, rows: Ints) -> dict[str, Any] | None:
    """Drawings of the configurations that are graphs: which `pieces` of SVG each consists of, and its box."""
    if table.space.graphs is None:
        return None
    pieces: dict[str, int] = {}
    found = {}
    for row in rows.tolist():
        image = svg(cell(table.space, table.codes[row]))
        parts = [pieces.setdefault(html([part]), len(pieces)) for part in image]
        found[str(row)] = [image.get("viewBox"), *parts]
    return {"pieces": [*pieces], "rows": found}
