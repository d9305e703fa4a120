"""Whether our algorithms have the curves of the packages that they follow: both through the same simulator.

    python bench/equivalence.py [--seeds 100] [--table nb201/cifar10] [--out docs/equivalence.md] [pair ...]

Ours and the package's draw from different generators, so that runs of the same seed are independent, and samples of
seeds are compared: Mann-Whitney tests at mid-run and at the end, and a simultaneous 99 % band (bootstrap over whole
seeds) of the difference of mean log10 regret over simulated time, which must contain zero throughout.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from harness import Facts, Floats, Ints, Parameter, Problem, Rules, SearchSpace, Table, per_seed, registry
from harness import simulate as run_simulation
from harness.params import resolve
from harness.studies.fronts import Front, replay

ROOT = Path(__file__).parents[1]
CELLS = ROOT.parent / "shared" / "data" / "nb101" / "nb101_mf_30k.npz"
LEVEL = 0.99
_GRID = 60
_RESAMPLES = 4000


@dataclass(frozen=True)
class Pair:
    """Our algorithm `ours` with `params`, and `theirs` of the distributions `packages`.

    A run is as long as `trainings` full trainings of mean cost.
    """

    ours: str
    theirs: str
    packages: tuple[str, ...]
    trainings: int
    tables: tuple[str, ...]
    params: dict[str, Any] = field(default_factory=dict)
    their_params: dict[str, Any] = field(default_factory=dict)
    several: bool = False

    @property
    def name(self) -> str:
        """`tpe[variant=optuna] / optuna-tpe`."""
        return f"{_label(self.ours, self.params)} / {_label(self.theirs, self.their_params)}"


def _label(algorithm: str, params: dict[str, Any]) -> str:
    changed = ", ".join(f"{k}={v}" for k, v in params.items())
    return f"{algorithm}[{changed}]" if changed else algorithm


ONE, MANY = ("nb201/cifar10", "fcnet/protein"), "nb101 cells"
NARROW = {"min_bandwidth": 1e-3}
"""The package's own default; that of both here is 0.3."""

PAIRS = (
    Pair("tpe", "optuna-tpe", ("optuna",), 100, (*ONE, MANY), {"variant": "optuna"}),
    Pair("tpe", "hyperopt:tpe", ("hyperopt",), 80, (*ONE, MANY)),
    Pair("dehb", "dehb-lib", ("dehb",), 100, (MANY,)),
    Pair("hb", "hpbandster-hb", ("hpbandster", "ConfigSpace"), 100, (*ONE, MANY)),
    Pair("bohb", "hpbandster-bohb", ("hpbandster", "statsmodels", "ConfigSpace"), 50, (*ONE, MANY)),
    Pair("bohb", "hpbandster-bohb", ("hpbandster", "statsmodels", "ConfigSpace"), 50, (*ONE, MANY), NARROW, NARROW),
    Pair("de", "dehb-de-lib", ("dehb",), 120, (*ONE, MANY)),
    Pair("de", "dehb-de-lib", ("dehb", "ConfigSpace"), 120, ("nb201/cifar10",), {}, {"configspace": True}),
    Pair("rs", "optuna-random", ("optuna",), 120, (*ONE, MANY)),
    Pair("motpe", "optuna-tpe", ("optuna",), 100, ONE, several=True),
    Pair("nsga2", "optuna:NSGAIISampler", ("optuna",), 300, ONE, several=True),
    Pair("nsga2", "pymoo-nsga2", ("pymoo",), 300, ONE, several=True),
)
OBJECTIVES = {"nb201/cifar10": ("error", "latency.raspi4"), "fcnet/protein": ("loss", "params")}


def nested_cells() -> Table:
    """15,625 real cells of NAS-Bench-101 at 4, 12, 36 and 108 epochs, for comparisons only.

    So that every configuration exists, cells have made-up coordinates: the quintile by parameters, within it the
    quintile by seconds, and so on by 3x3 convolutions, 1x1 convolutions, edges and place in the file. Losses are the
    measured ones; seconds below 108 epochs are taken as proportional to epochs.
    """
    with np.load(CELLS) as data:
        accuracy, seconds = data["val_acc"], data["train_time_108"]
        edges = np.bitwise_count(data["adj_bits"]).astype(np.float64)
        keys = [data["params"], seconds, (data["ops"] == 0).sum(1), (data["ops"] == 1).sum(1), edges, -edges]
        epochs = data["epochs"].astype(np.int64)
    chosen = np.sort(np.random.default_rng(0).permutation(len(accuracy))[: 5**6])
    codes = np.zeros((len(chosen), 6), dtype=np.int64)
    order = chosen.reshape(1, -1)
    for key in keys:
        order = np.take_along_axis(order, key[order].argsort(axis=1, kind="stable"), axis=1)
        order = order.reshape(-1, order.shape[1] // 5)
    codes[:] = np.stack(np.unravel_index(np.arange(len(chosen)), (5,) * 6), axis=1)
    kinds = ("ordinal", "categorical")
    parameters = tuple(Parameter(f"quintile_{i}", range(5), kinds[i % 2]) for i in range(6))  # type: ignore[arg-type]
    facts = Facts(
        name="nb101/nested-cells",
        title="cells of NAS-Bench-101 with made-up coordinates, for comparisons only",
        citation="Ying et al. NAS-Bench-101. ICML 2019",
        url="https://github.com/google-research/nasbench",
        licence="Apache-2.0",
        loss="validation error",
        cost="seconds",
        fidelity="epochs",
        budget=1e6,
        splits="one training run",
    )
    rows = order.ravel()
    loss = 1.0 - accuracy[rows][..., None]
    cost = seconds[rows, None, None] * (epochs / epochs[-1])[:, None]
    return Table(facts, SearchSpace(parameters), epochs, codes, loss, cost)


@cache
def table(name: str) -> Table:
    return nested_cells() if name == MANY else registry.benchmark(name)


def runs(
    algorithm: str, params: dict[str, Any], several: bool, name: str, budget: float, seeds: Ints
) -> tuple[Floats, Floats, int]:
    """Regret Float[S, G] on `grid(budget)`, when each seed had its first result Float[S], and the evaluations."""
    benchmark, rules = table(name), Rules(budget=budget, objectives=OBJECTIVES[name] if several else ())
    if algorithm == "pymoo-nsga2":
        factory: Any = pymoo_nsga2()
    else:
        found = registry.algorithm(algorithm)
        factory = partial(found, **resolve(algorithm, found, params))
    run = run_simulation(benchmark, factory, seeds=seeds, rules=rules)
    at = run.at(grid(budget))
    if several:
        front = Front.of(benchmark, rules.objectives, len(benchmark.fidelities) - 1)
        regret = front.hypervolume - replay(benchmark, rules, run, front)[0][at]
    else:
        regret = benchmark.mean_loss[run.row[at], -1] - benchmark.optimum.value
    first = np.array([run.time[(run.seed == s) & run.incumbent].min(initial=np.inf) for s in range(len(seeds))])
    return np.where(at < 0, np.nan, regret), first, int(run.evaluations.sum())


def grid(budget: float) -> Floats:
    """Simulated times, Float[G], up to the budget."""
    return np.geomspace(budget / 100, budget, _GRID)


@dataclass(frozen=True)
class Comparison:
    """`p_mid`, `p_end`: Mann-Whitney p-values at the geometric middle of the curve and its end.

    `gap` is the largest absolute difference of mean log10 regret, `ratio` the largest in standard errors and `limit`
    its bootstrap quantile: the band contains zero where `ratio <= limit`.
    """

    p_mid: float
    p_end: float
    gap: float
    ratio: float
    limit: float

    @property
    def same(self) -> bool:
        return self.ratio <= self.limit


def compare(ours: Floats, theirs: Floats, floor: float) -> Comparison:
    """Two samples of regret curves Float[S, G]; regrets count as `floor` at least, so that zero has a logarithm."""
    from scipy.stats import mannwhitneyu

    known = ~np.isnan(np.concatenate([ours, theirs])).any(axis=0)
    a, b = (np.log10(np.maximum(x[:, known], floor)) for x in (ours, theirs))
    error = np.sqrt(a.var(axis=0, ddof=1) / len(a) + b.var(axis=0, ddof=1) / len(b))
    varies = error > 0
    difference = a.mean(axis=0) - b.mean(axis=0)
    rng = np.random.default_rng(0)
    worst = np.empty(_RESAMPLES)
    for i in range(_RESAMPLES):
        again = a[rng.integers(len(a), size=len(a))].mean(axis=0) - b[rng.integers(len(b), size=len(b))].mean(axis=0)
        worst[i] = (np.abs(again - difference)[varies] / error[varies]).max()
    mid = a.shape[1] // 2
    return Comparison(
        p_mid=float(mannwhitneyu(a[:, mid], b[:, mid]).pvalue),
        p_end=float(mannwhitneyu(a[:, -1], b[:, -1]).pvalue),
        gap=float(np.abs(difference).max()),
        ratio=float((np.abs(difference)[varies] / error[varies]).max()),
        limit=float(np.quantile(worst, LEVEL)),
    )


def pymoo_nsga2() -> Any:
    """pymoo's NSGA-II by ask and tell, with the population and the operators of ours."""
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.mutation import Mutation
    from pymoo.core.population import Population
    from pymoo.core.problem import Problem as Theirs
    from pymoo.operators.crossover.ux import UniformCrossover
    from pymoo.operators.sampling.rnd import IntegerRandomSampling

    class Other(Mutation):  # type: ignore[misc]
        """One parameter on average to another of its values."""

        def _do(self, problem: Any, x: Any, random_state: Any = None, **_: Any) -> Any:
            sizes = problem.xu + 1
            step = 1 + (random_state.random(x.shape) * (sizes - 1)).astype(int)
            return np.where(random_state.random(x.shape) < 1 / x.shape[1], (x + step) % sizes, x)

    class One:
        def __init__(self, problem: Problem, generator: np.random.Generator) -> None:
            sizes = problem.space.sizes
            theirs = Theirs(n_var=len(sizes), n_obj=len(problem.objectives), xl=0 * sizes, xu=sizes - 1, vtype=int)
            self.full = problem.full
            self.algorithm = NSGA2(
                pop_size=50,
                sampling=IntegerRandomSampling(),
                crossover=UniformCrossover(prob=0.9),
                mutation=Other(prob=1.0),
                eliminate_duplicates=False,
            )
            self.algorithm.setup(theirs, termination=("n_gen", 10**6), seed=int(generator.integers(2**31)))
            self.asked: list[Any] = []
            self.told: list[Any] = []

        def ask(self) -> tuple[Ints, int, Any]:
            if not self.asked:
                self.asked = [*self.algorithm.ask()]
                self.size = len(self.asked)
            individual = self.asked.pop(0)
            return np.asarray(individual.X, dtype=np.int64), self.full, individual

        def tell(self, handle: Any, loss: float, cost: float) -> None:
            raise NotImplementedError

        def tell_several(self, handle: Any, loss: float, objectives: Floats, cost: float) -> None:
            handle.set("F", objectives.copy())
            handle.set("evaluated", {"F"})
            self.told.append(handle)
            if len(self.told) == self.size:
                self.algorithm.tell(infills=Population.create(*self.told))
                self.told = []

    return per_seed(One)


def hypervolume_floor(name: str) -> float:
    """The smallest share of hypervolume that is lost with one point of the front."""
    front = Front.of(table(name), OBJECTIVES[name], len(table(name).fidelities) - 1)
    lost = [front.hypervolume - front.share(np.delete(front.points, i, axis=0)) for i in range(len(front.points))]
    return float(min(loss for loss in lost if loss > 0))


def log_floor(name: str) -> float:
    """The smallest regret above zero that the table has."""
    regret = np.unique(table(name).mean_loss[:, -1]) - table(name).optimum.value
    return float(regret[regret > 0].min())


Map = Callable[..., Iterable[Any]]


def measure(pair: Pair, name: str, seeds: int, trainings: int, map_: Map = map) -> tuple[Comparison, float, int, int]:
    """Compare on one table; also the budget in simulated seconds and the mean evaluations of ours and theirs."""
    budget = trainings * float(np.nanmean(table(name).mean_cost[:, -1]))
    samples = []
    for algorithm, params in ((pair.ours, pair.params), (pair.theirs, pair.their_params)):
        parts = np.array_split(np.arange(seeds), max(1, seeds // 10))
        found = list(map_(partial(runs, algorithm, params, pair.several, name, budget), parts))
        samples.append((np.concatenate([f[0] for f in found]), sum(f[2] for f in found) // seeds))
    (ours, n_ours), (theirs, n_theirs) = samples
    return compare(ours, theirs, hypervolume_floor(name) if pair.several else log_floor(name)), budget, n_ours, n_theirs


_HEAD = f"""# Equivalence with the reference implementations

Made by `python bench/equivalence.py`; do not edit. Each line: as many seeds of ours as of the package's, through the
same simulator, to the same simulated time. p is Mann-Whitney's, two-sided, of the regret at the middle of the
(logarithmic) time axis and at the end; of so many p-values one below 0.05 now and then is to be expected. With 100
seeds `tpe / hyperopt` on `nb201/cifar10` had 0.001 at mid-run and 0.501 at the end (gap 0.099, the band containing 0);
for that reason alone it was run again with 300: the line with more seeds than the others is not a fresh draw. The band
is the simultaneous {LEVEL:.0%} confidence band of the difference of mean log10 regret over time (bootstrap over whole
seeds), *gap* the largest difference, in decades. Regrets below the smallest that the table has above zero count as that
one. Lines of `motpe` and `nsga2` are of two objectives (validation error, and latency on a Raspberry Pi 4 or the number
of parameters) and of hypervolume regret, which counts as what one point of the front is worth at least; pymoo's NSGA-II
is driven by ask and tell, with our operators. Lines with numpy 2.5 were run on another machine than the rest.
`{MANY}`: 15,625 real cells of NAS-Bench-101 at 4, 12, 36 and 108 epochs, with coordinates made up for this comparison
(`nested_cells` in bench/equivalence.py) and seconds below 108 epochs taken as linear in epochs.
A line that differs is explained in [external.md](external.md).

| ours / package | table | seeds | versions | simulated s | evaluations | p mid | p end | gap | band contains 0 |
| --- | --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | --- |
"""


def record(out: Path, line: str) -> None:
    """Put a line of the table into the document, in place of the one of the same pair and table."""
    kept: dict[str, str] = {}
    before = out.read_text().splitlines() if out.exists() else []
    for row in [*(r for r in before if r.startswith("| ") and " / " in r and "ours / package" not in r), line]:
        kept["|".join(row.split("|")[1:3])] = row
    out.parent.mkdir(exist_ok=True)
    temporary = out.with_suffix(".tmp")
    temporary.write_text(_HEAD + "\n".join(kept[key] for key in sorted(kept)) + "\n")
    temporary.replace(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pairs", nargs="*", help="names of algorithms, ours or theirs; all without. Other lines stay")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "equivalence.md")
    parser.add_argument("--table", help=f"only this of {', '.join(map(repr, (*ONE, MANY)))}")
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), context) as pool:
        for pair in PAIRS:
            if arguments.pairs and not {pair.ours, pair.theirs} & set(arguments.pairs):
                continue
            versions = ", ".join(f"{p} {version(p)}" for p in (*pair.packages, "numpy"))
            for name in pair.tables:
                if arguments.table not in (None, name):
                    continue
                if name == MANY and not CELLS.exists():
                    print(f"{pair.name} on {name}: no {CELLS.name}", file=sys.stderr)
                    continue
                c, budget, ours, theirs = measure(pair, name, arguments.seeds, pair.trainings, pool.map)
                line = (
                    f"| {pair.name} | {name} | {arguments.seeds} | {versions} | {budget:.3g} | {ours} / {theirs} |"
                    f" {c.p_mid:.3f} | {c.p_end:.3f} | {c.gap:.3f} |"
                    f" {'yes' if c.same else f'**no** ({c.ratio:.1f} > {c.limit:.1f} SE)'} |"
                )
                print(line, flush=True)
                record(arguments.out, line)


if __name__ == "__main__":
    main()
