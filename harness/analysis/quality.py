"""How good predictors are: fitted to random samples of a table, judged on the rest of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import scipy  # loads scipy.stats when it is first used

from harness import registry
from harness.algorithm import Problem, seeds_of
from harness.analysis.tables import spearman
from harness.arrays import Floats, Ints
from harness.errors import Blaming, HarnessError
from harness.fields import fit
from harness.observations import Observations
from harness.params import changed, label, resolve
from harness.predictor import MakePredictor, Predictor, Seen, predicted
from harness.rng import Streams
from harness.rules import Noise
from harness.scoring import Scoring
from harness.studies.evaluate import versions
from harness.studies.records import identity
from harness.studies.reference import Reference
from harness.studies.study import folder_source
from harness.table import Table

ENGINE = 1
"""Raised with every change that changes numbers."""

SHARD = 20
SECONDS = ("fit_seconds", "query_seconds")
"""What a predictor costs, in CPU seconds of one process, which some seeds share alike."""

MEASURES = ("mse", "spearman", "kendall", "regret", "precision", *SECONDS)
TOP = 0.01
"""The share of the rest that counts as top in the precision."""


@dataclass(frozen=True)
class QualityStudy:
    """One predictor on one benchmark, fitted to `sizes` random configurations, for the seeds `first` to `stop`.

    `table` is the checksum of the benchmark's numbers, `source` that of the predictor's files.
    """

    benchmark: str
    table: str
    predictor: str
    params: Mapping[str, Any]
    source: str
    first: int
    stop: int
    sizes: tuple[int, ...]
    noise: Noise
    engine: int = ENGINE

    @classmethod
    def plan(
        cls, table: Table, predictor: str, given: Mapping[str, object], seeds: range, sizes: list[int], noise: Noise
    ) -> QualityStudy:
        """The study of `predictor`. Raises HarnessError if it, its parameters or the sizes do not fit the table."""
        factory = registry.predictor(predictor)
        params = resolve(predictor, factory, given)
        most = len(_measured(table)) - int(1 / TOP)
        if max(sizes) > most:
            raise HarnessError(
                f"{table.name} has no {max(sizes):,} configurations to train on and {int(1 / TOP)} more to judge by.",
                f"take at most {most:,}: --train 20,50,{most}" if most > 50 else "take a larger table.",
            )
        one, scoring = np.array([seeds.start]), Scoring(table, 1)
        with Blaming(lambda: "as it was planned", registry.origin(registry.PREDICTORS, predictor)):
            factory(_problem(table, one, scoring), Streams(one, "plan"), **params)
        source = folder_source(factory)
        checksum = table.checksum_with((), scoring.asked)
        return cls(table.name, checksum, predictor, params, source, seeds.start, seeds.stop, tuple(sizes), noise)

    @cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits of the hash of the canonical JSON."""
        return identity(self.to_json())

    @cached_property
    def label(self) -> str:
        """The predictor's name, with the parameters that are not at their defaults."""
        return label(self.predictor, changed(self.params, lambda: registry.predictor(self.predictor)))

    @property
    def seeds(self) -> Ints:
        return np.arange(self.first, self.stop)

    @property
    def shards(self) -> list[range]:
        """The seeds in the portions that are computed and stored together."""
        return [range(i, min(i + SHARD, self.stop)) for i in range(self.first, self.stop, SHARD)]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "params": dict(self.params), "sizes": list(self.sizes)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> QualityStudy:
        found: QualityStudy = fit(data, cls, "the study")
        return found


@dataclass(frozen=True, eq=False)
class Quality:
    """What a study found: each of MEASURES, Float[S, sizes], with NaN where it is not defined.

    `mse` is in squared percentage points where the loss is an error rate, else in squares of its unit, as `unit` says;
    `regret` is the true loss of the best predicted minus the lowest of the rest. `fit_seconds` are those of a fit,
    `query_seconds` those of predicting the whole table, NaN in files of earlier versions. `skipped` Int[S, sizes]
    counts the training steps that were left out because their loss was not finite. `files` are those that it was read
    from, all of them or more.
    """

    study: QualityStudy
    reference: Reference
    unit: str
    seeds: Ints
    measures: Mapping[str, Floats]
    skipped: Ints
    wall_seconds: float
    versions: Mapping[str, str]
    files: tuple[Path, ...] = ()


def is_error_rate(table: Table) -> bool:
    """Whether losses are shares of wrong answers."""
    return "error" in table.facts.loss and "squared" not in table.facts.loss and float(np.nanmax(table.loss)) <= 1.0


def evaluate(study: QualityStudy, shard: range, progress: Callable[[float], None]) -> Quality:
    """Fit and judge the predictors of the seeds `shard` of the study.

    Samples grow: that of a size holds those of all smaller ones. A predictor sees single trainings or the mean over
    repeats, as the study's noise says, and is judged against the means of all configurations that it did not see.
    """
    began = time.perf_counter()
    table, seeds = registry.benchmark(study.benchmark), np.array(shard)
    rows, where, full = _measured(table), np.arange(len(seeds)), len(table.fidelities) - 1
    truth = table.mean_loss[rows, full]
    draws = Streams(seeds, "quality/sample").uniform(len(rows), where)
    order = np.argsort(draws, axis=1, kind="stable")
    observed = Observations(table, seeds, study.noise)
    shape = (len(seeds), len(study.sizes))
    measures = {name: np.full(shape, np.nan) for name in MEASURES}
    skipped = np.zeros(shape, dtype=np.int64)
    factory = registry.predictor(study.predictor)
    percent = 100.0 if is_error_rate(table) else 1.0
    work = np.cumsum([0, *(_work(size) for size in study.sizes)])
    for k, (size, (done, _)) in enumerate(zip(study.sizes, pairwise(work), strict=True)):
        progress(done / work[-1])
        with Blaming(partial(_at, size, seeds), registry.origin(registry.PREDICTORS, study.predictor)):
            make = partial(factory, **study.params)
            began_fit = time.process_time()
            model = fitted(make, table, observed, rows[order[:, :size]], Streams(seeds, f"quality/{size}"))
            began_query = time.process_time()
            losses = predicted(model, table.codes[rows].astype(np.int64), where)
        measures["fit_seconds"][:, k] = (began_query - began_fit) / len(seeds)
        measures["query_seconds"][:, k] = (time.process_time() - began_query) / len(seeds)
        skipped[:, k] = getattr(model, "skipped", 0)
        for s in where.tolist():
            rest = order[s, size:]
            for name, value in judge(losses[s, rest], truth[rest], percent).items():
                measures[name][s, k] = value
    progress(1.0)
    wall = time.perf_counter() - began
    unit = "percentage points²" if percent == 100.0 else "loss²"
    return Quality(study, Reference.of(table), unit, seeds, measures, skipped, wall, versions())


def fitted(make: MakePredictor, table: Table, observed: Observations, rows: Ints, streams: Streams) -> Predictor:
    """A predictor of each seed that `observed` the table, fitted to a training of each of its `rows` Int[S, n].

    All are trained at the largest fidelity.
    """
    seeds, full = observed.seeds, len(table.fidelities) - 1
    where = np.arange(len(seeds))
    loss = observed.loss[observed.draw(np.repeat(where, rows.shape[1]), rows.ravel(), full)].reshape(rows.shape)
    codes = table.codes[rows].astype(np.int64)
    model = make(_problem(table, seeds, Scoring(table, len(seeds))), streams)
    model.fit(Seen(codes, np.full(rows.shape, full), loss, np.full(len(seeds), rows.shape[1])), where)
    return model


def _problem(table: Table, seeds: Ints, scoring: Scoring) -> Problem:
    """What predictors know of the table; nobody pays for scores."""
    return Problem(table.space, table.fidelities, seeds, 1, math.inf, score=scoring.score, ratios=table.ratios)


def _at(size: int, seeds: Ints) -> str:
    return f"after {size} configurations, for {seeds_of(seeds)}"


def judge(predicted: Floats, truth: Floats, percent: float = 1.0) -> dict[str, float]:
    """Each of MEASURES but SECONDS of predictions Float[m] of true losses Float[m].

    Correlations of constants are not defined.
    """
    top = max(1, round(TOP * len(truth)))
    best = np.argsort(predicted, kind="stable")[:top]
    varies = np.ptp(predicted) > 0 and np.ptp(truth) > 0
    return {
        "mse": float(((predicted - truth) ** 2).mean()) * percent**2,
        "spearman": spearman(predicted, truth),
        "kendall": float(scipy.stats.kendalltau(predicted, truth).statistic) if varies else math.nan,
        "regret": float(truth[best[0]] - truth.min()),
        "precision": float(np.isin(best, np.argsort(truth, kind="stable")[:top]).mean()),
    }


def summary(quality: Quality) -> list[dict[str, Any]]:
    """One flat record for each size: means over seeds and their standard errors, None where there is none."""
    return [dict(_record(quality, k)) for k in range(len(quality.study.sizes))]


def _record(quality: Quality, k: int) -> Iterator[tuple[str, Any]]:
    study = quality.study
    yield from {"study": study.id, "benchmark": study.benchmark, "predictor": study.label}.items()
    yield from {"train": study.sizes[k], "seeds": len(quality.seeds), "mse_unit": quality.unit}.items()
    for name in MEASURES:
        values = quality.measures[name][:, k]
        values = values[np.isfinite(values)]
        yield f"{name}_mean", float(values.mean()) if len(values) else None
        apart = values - values[:1]  # seeds that are computed together share their seconds alike: exactly 0
        yield f"{name}_sem", float(apart.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else None
    yield "skipped_steps", int(quality.skipped[:, k].sum())


def _measured(table: Table) -> Ints:
    """Rows that were trained to the largest fidelity."""
    return np.flatnonzero(np.isfinite(table.mean_loss[:, -1]))


def _work(size: int) -> float:
    """A guess at the share of the work."""
    return 200.0 + size
