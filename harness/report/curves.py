"""The numbers that the page draws: regret over time of each benchmark, and ranks over all of them, ready for JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from harness.analysis.comparable import completed
from harness.analysis.comparison import measured
from harness.analysis.measures import everywhere, regret_name
from harness.arrays import Floats
from harness.errors import HarnessError
from harness.plots.profiles import average_ranks
from harness.plots.style import COLOURS, DASHES, styles
from harness.report.section import against
from harness.statistics import bootstrap_weights, sup_t
from harness.studies.outcome import Outcome, moments, time_name, unit_of
from harness.studies.reference import Kind

_LOG_STAMPS, _LINEAR_STAMPS = 300, 100


def times(same: Sequence[Outcome]) -> Floats:
    """Simulated times at which the curves of one benchmark are drawn, ascending, Float[G] with G of at most 401.

    They lie evenly on a log axis and on a linear one from the first time at which every seed of some study has a
    result, with three significant digits, and end with the end.
    """
    start, end = min(map(everywhere, same)), max(o.end for o in same)
    spread = [np.geomspace(start, end, _LOG_STAMPS), np.linspace(start, end, _LINEAR_STAMPS)]
    rounded = np.unique(digits_of(np.concatenate(spread), 3))
    return np.append(rounded[(rounded >= start) & (rounded < end)], end)


def regrets(groups: Mapping[str, Sequence[Outcome]], kinds: Sequence[Kind]) -> list[dict[str, Any]]:
    """A record for each benchmark: its `times`, and the curves of its algorithms.

    A curve is exact at each time, and begins where every seed has a result, at position `from`; `width` is that of the
    simultaneous band in standard errors.
    """
    return [_benchmark(name, same, kinds) for name, same in groups.items()]


def _benchmark(name: str, same: Sequence[Outcome], kinds: Sequence[Kind]) -> dict[str, Any]:
    grid = times(same)
    seeds = len(same[0].trajectory.seeds)
    weights = bootstrap_weights(seeds, np.random.default_rng(0))
    curves = []
    for outcome in same:
        first = int(np.searchsorted(grid, everywhere(outcome)))
        there: list[Kind] = [kind for kind in kinds if outcome.reference.scale(kind).optimum is not None]
        record: dict[str, Any] = {"label": outcome.label, "from": first}
        curves.append(record | {kind: _curve(outcome.regret(kind, grid[first:]), weights) for kind in there})
    return {
        "name": name,
        "title": same[0].reference.title,
        "against": {kind: against(same[0].reference, kind) for kind in kinds},
        "regret": {kind: regret_name(same, kind) for kind in kinds},
        "seeds": seeds,
        "unit": unit_of(same),
        "time": time_name(same),
        "times": grid.tolist(),
        "curves": curves,
    }


def _curve(regret: Floats, weights: Floats) -> dict[str, Any]:
    """What is drawn of `regret` Float[S, G] to five digits, and the width of the band of the whole mean curve."""
    names = ("mean", "sem", "median", "q25", "q75")
    drawn = zip(names, (*moments(regret), *np.quantile(regret, [0.5, 0.25, 0.75], axis=0)), strict=True)
    return {name: digits_of(values, 5).tolist() for name, values in drawn} | {"width": round(sup_t(regret, weights), 2)}


def digits_of(values: Floats, digits: int) -> Floats:
    """The values with so many significant digits."""
    return np.array([float(f"{value:.{digits}g}") for value in values])


def ranks(outcomes: Sequence[Outcome], kinds: Sequence[Kind]) -> dict[str, Any] | str:
    """Average ranks of each kind over what is complete, or the sentence that says why there are none."""
    found: dict[str, Any] = {}
    for kind in kinds:
        try:
            some = [outcome for same in measured(outcomes, kind).values() for outcome in same]
            drawn = average_ranks(completed(some)[0], kind)
        except HarnessError as error:
            return error.message
        numbers = {name: getattr(drawn, name).T.round(3).tolist() for name in ("average", "low", "high")}
        x = digits_of(drawn.x, 4).tolist()
        regret = regret_name(some, kind)
        found[kind] = {
            "labels": drawn.labels,
            "regret": regret,
            "x": x,
            "seconds": drawn.seconds,
            "unit": unit_of(some),
            "time": time_name(some),
            **numbers,
        }
    return found


def looks(labels: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Number of the colour and dashes of each of `labels`, those of the figures; dashes in widths of the line."""
    dashes = {str(dash): "" if isinstance(dash, str) else " ".join(map(str, dash[1])) for dash in DASHES}
    return {
        label: {"colour": COLOURS.index(look["color"]), "dash": dashes[str(look["linestyle"])]}
        for label, look in styles(labels).items()
    }
