"""What a comparison says, in sentences to quote."""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.analysis.comparison import Area, Comparison, Duel, SpeedUp
from harness.numbers import number
from harness.numbers import ratio as written
from harness.statistics import Estimate


def sentences(comparison: Comparison) -> list[str]:
    """Sentences to quote: on each pair of algorithms at each time, and over all of time; then on speed-ups."""
    times: dict[str, list[float]] = {}
    for row in comparison.rows:
        times.setdefault(row.benchmark, []).append(row.time)
    pairs: dict[tuple[str, str, int], list[Duel]] = {}
    for duel in comparison.duels:
        pairs.setdefault((duel.first, duel.second, times[duel.benchmark].index(duel.time)), []).append(duel)
    over: dict[tuple[str, str], list[Area]] = {}
    for area in comparison.areas:
        over.setdefault((area.first, area.second), []).append(area)
    said = []
    for first, second in dict.fromkeys(pair[:2] for pair in pairs):
        for key, duels in pairs.items():
            if key[:2] == (first, second):
                said.append((_on_one if len(duels) == 1 else _on_many)(duels, comparison))
        if areas := over.get((first, second)):
            said.append(_over_time(areas, comparison))
    return [*said, *(_sooner(found, comparison.regret) for found in comparison.speed_ups)]


_TEST = "Wilcoxon signed-rank test paired by seed, Holm-corrected"


def _on_one(duels: Sequence[Duel], comparison: Comparison) -> str:
    (duel,), regret, alpha = duels, comparison.regret, comparison.alpha
    ahead, behind, centres, chance = duel.first, duel.second, duel.centres, duel.improvement
    if chance.value < 0.5:
        ahead, behind, centres = behind, ahead, (centres[1], centres[0])
        chance = Estimate(1 - chance.value, 1 - chance.high, 1 - chance.low)
    where = f"On {duel.benchmark} at {duel.time:.4g} {duel.unit}"
    told = f"has a lower {regret} than {behind}" if duel.p < alpha else f"is not told apart from {behind} in {regret}"
    return (
        f"{where}, {ahead} {told}: {number(centres[0])} against {number(centres[1])} in the {comparison.statistic} of "
        f"{duel.seeds} seeds, and a run of {ahead} is better with probability {chance.value:.2f} "
        f"[{chance.low:.2f}, {chance.high:.2f}] ({_p(duel.p)}, {_TEST})."
    )


def _on_many(duels: Sequence[Duel], comparison: Comparison) -> str:
    alpha = comparison.alpha
    first, _, ahead, behind = _counted(duels, [d.improvement.value > 0.5 for d in duels], alpha)
    chances = [d.improvement.value if d.first == first else 1 - d.improvement.value for d in duels]
    evidence = (
        f"a run of {first} is better with probability {min(chances):.2f} to {max(chances):.2f} "
        f"({_span([d.seeds for d in duels])} seeds, at {_span([d.time for d in duels])} {_units(duels)}, {_TEST} over "
        f"benchmarks, alpha {alpha:g})."
    )
    return f"{_on_how_many(duels, ahead, behind, first, comparison.regret)}; {evidence}"


def _counted(pairs: Sequence[Duel] | Sequence[Area], better: Sequence[bool], alpha: float) -> tuple[str, str, int, int]:
    """Of a pair the one that is better on more benchmarks, the other, and on how many each is told to be."""
    told = [pair.p < alpha for pair in pairs]
    ahead = sum(t and b for t, b in zip(told, better, strict=True))
    behind = sum(told) - ahead
    first, second = pairs[0].first, pairs[0].second
    return (second, first, behind, ahead) if behind > ahead else (first, second, ahead, behind)


def _on_how_many(pairs: Sequence[Duel] | Sequence[Area], ahead: int, behind: int, first: str, regret: str) -> str:
    second = pairs[0].second if first == pairs[0].first else pairs[0].first
    if not ahead:
        return f"{first} and {second} are not told apart in {regret} on any of {len(pairs)} benchmarks"
    return (
        f"{first} has a lower {regret} than {second} on {ahead} of {len(pairs)} benchmarks, a higher one on {behind}, "
        f"and is not told apart on {len(pairs) - ahead - behind}"
    )


def _over_time(areas: Sequence[Area], comparison: Comparison) -> str:
    alpha, regret = comparison.alpha, comparison.regret
    if len(areas) == 1:
        (area,) = areas
        first, second, ratio = area.first, area.second, area.ratio
        if ratio.value > 1:
            first, second, ratio = second, first, _inverse(ratio)
        told = (
            f"has a lower {regret} than {second}" if area.p < alpha else f"is not told apart from {second} in {regret}"
        )
        return (
            f"On {area.benchmark} over log time from {area.start:.4g} to {area.end:.4g} {area.unit}, {first} {told}: "
            f"{written(*ratio, ' times')} as much in the geometric mean over time and "
            f"{area.seeds} seeds ({_p(area.p)}, {_TEST}, of areas under log-regret curves)."
        )
    first, second, ahead, behind = _counted(areas, [a.ratio.value < 1 for a in areas], alpha)
    ratios = [a.ratio.value if a.first == first else 1 / a.ratio.value for a in areas]
    told = _on_how_many(areas, ahead, behind, first, f"{regret} over log time")
    return (
        f"{told}; it is {written(min(ratios))} to {written(max(ratios))} times that of {second} in geometric means "
        f"over time and seeds ({_TEST} over benchmarks, of areas under log-regret curves, alpha {alpha:g})."
    )


def _inverse(ratio: Estimate) -> Estimate:
    def inverted(value: float) -> float:
        return math.inf if value == 0 else 1 / value

    return Estimate(*map(inverted, (ratio.value, ratio.high, ratio.low)))


def _sooner(found: SpeedUp, regret: str) -> str:
    first, second, ratio = found.first, found.second, found.ratio
    where, what = f"On {found.benchmark}", f"a {regret} of {found.target:g}"
    if math.isnan(ratio.value):
        return f"{where}, neither {first} nor {second} reaches {what} in {found.seeds} runs."
    if ratio.value < 1:
        first, second, ratio = second, first, _inverse(ratio)
    if math.isinf(ratio.value):
        return f"{where}, {first} reaches {what}, and {second} never does in {found.seeds} runs."
    interval = "too few for an interval" if math.isnan(ratio.low) else "95 % interval of the bootstrap"
    return (
        f"{where}, {first} reaches {what} {written(*ratio, ' times')} sooner than {second} (ratio of expected times "
        f"of {found.seeds} runs, {interval})."
    )


def _units(duels: Sequence[Duel]) -> str:
    return " or ".join(dict.fromkeys(duel.unit for duel in duels))


def _span(numbers: Sequence[float]) -> str:
    return " to ".join(f"{number:.4g}" for number in sorted({min(numbers), max(numbers)}))


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
