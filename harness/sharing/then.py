"""Algorithms on top of a trained super-network: `harness search --method METHOD --then ALGO`.

What the algorithm asks for is scored by the weights of a finished search that trained single paths. Fidelities are
validation images: a ninth, a third and all of them. Seconds are measured: those of the search's training, without its
own derivations, and then those of scoring; what algorithms think costs nothing, as on tables.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import numpy as np
import pyarrow as pa
import torch

from harness import registry
from harness.algorithm import Factory, Problem, Results, checked, start
from harness.errors import HarnessError
from harness.params import changed, label, resolve
from harness.rng import Streams
from harness.sharing import log
from harness.sharing.log import Log
from harness.sharing.scores import Scorer
from harness.sharing.search import Derived, SharedSearch
from harness.spaces import published
from harness.spaces.architecture import Architecture
from harness.studies.outcome import Outcome
from harness.studies.records import Columns, Footer, file_name, identity
from harness.studies.runs import Single
from harness.studies.store import SEARCHES
from harness.studies.study import source_of
from harness.table import Table
from harness.train.devices import Place, settings

ENGINE = 1
"""Raised with every change of this file that changes what is asked for."""

_HERE = np.zeros(1, dtype=np.int64)
_PARTS = (9, 3, 1)


@dataclass(frozen=True)
class Sequel:
    """Everything that decides what an `algorithm` asks a trained super-network for, `evals` times."""

    search: SharedSearch
    algorithm: str
    params: Mapping[str, Any]
    source: str
    evals: int
    engine: int = ENGINE

    @classmethod
    def plan(cls, search: SharedSearch, algorithm: str, given: Mapping[str, object], evals: int) -> Sequel:
        """Raises HarnessError if parameters do not fit, or the method trains no single paths."""
        if not registry.method(search.method).single:
            raise HarnessError(
                f"{search.method} trains mixtures of operators: no single architecture can be scored by its weights.",
                "--then goes with rsps, spos, fairnas, setn or enas.",
            )
        factory = registry.algorithm(algorithm)
        params = resolve(algorithm, factory, given, published(search.space).space)
        source = source_of(factory, *getattr(factory, "parts", lambda **_: ())(**params))
        return cls(search, algorithm, params, source, evals)

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits of the hash of what it is."""
        return identity(self.to_json())

    @property
    def label(self) -> str:
        """The algorithm's name, with the parameters that are not at their defaults."""
        return label(self.algorithm, changed(self.params, lambda: registry.algorithm(self.algorithm)))

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "params": dict(self.params), "search": self.search.to_json()}


class Score(NamedTuple):
    """What came of a question: when, on how many images, of which architecture."""

    seconds: float
    images: int
    codes: tuple[int, ...]
    loss: float
    accuracy: float


class Scores(NamedTuple):
    """All that an algorithm asked for, after so many seconds of training."""

    sequel: Sequel
    trained: float
    rows: list[Score]


class _Footer(TypedDict):
    then: Sequel
    trained: float


class ScoresForm(Single[Sequel, Scores]):
    """A row for each architecture that was scored."""

    what = "scores by a super-network"
    marks = "then"
    again = "if it is damaged, move it away; it is made again."
    makes = "`harness search --method --then` makes them."
    footer = _Footer
    columns = pa.schema(
        {
            "seconds": pa.float64(),
            "images": pa.int64(),
            "codes": pa.string(),
            "loss": pa.float64(),
            "accuracy": pa.float64(),
        }
    )

    timed = ("seconds",)

    def title(self, result: Scores) -> str:
        of = result.sequel.search
        return f"seed {of.seed} of {result.sequel.label} by {of.method} on {of.space}"

    def name(self, job: Sequel) -> str:
        of = job.search
        return file_name(of.space, of.images, of.method, job.algorithm, str(of.seed), job.id)

    def pack(self, result: Scores) -> tuple[str, Columns, Footer]:
        columns: dict[str, Any] = {name: [getattr(row, name) for row in result.rows] for name in Score._fields}
        columns["codes"] = [" ".join(map(str, row.codes)) for row in result.rows]
        return result.sequel.id, columns, {"then": result.sequel.to_json(), "trained": result.trained}

    def unpack(self, columns: Columns, footer: Footer) -> tuple[str, Scores]:
        sequel: Sequel = footer["then"]
        codes = [tuple(map(int, text.split())) for text in columns["codes"]]
        values = zip(*({**columns, "codes": codes}[name] for name in Score._fields), strict=True)
        rows = [Score(float(t), int(i), c, float(x), float(y)) for t, i, c, x, y in values]
        return sequel.id, Scores(sequel, footer["trained"], rows)


FORM = ScoresForm()


def path(folder: Path, sequel: Sequel) -> Path:
    """Where the scores are in a folder of results."""
    return folder / SEARCHES / "then" / FORM.name(sequel)


def follow(sequel: Sequel, scorer: Scorer, before: Log, place: Place) -> Scores:
    """Ask the algorithm and score what it asks for, after the search `before`.

    Raises HarnessError if the algorithm has nothing to ask for.
    """
    valid = scorer.images.valid
    assert valid is not None
    seeds, space = np.array([sequel.search.seed]), published(sequel.search.space).space
    images = np.unique(np.maximum(1, len(valid) // np.array(_PARTS)))
    problem = Problem(space, images, seeds, 1, float("inf"))
    with settings(place):
        if place.device.type == "cpu":
            torch.set_num_threads(1)
        clock = time.thread_time if place.device.type == "cpu" else time.perf_counter
        spent = trained(before)
        factory: Factory = registry.algorithm(sequel.algorithm)
        algorithm = start(factory, problem, Streams(seeds, "algorithm"), **sequel.params)
        rows: list[Score] = []
        while len(rows) < sequel.evals:
            jobs = checked(algorithm.ask(_HERE, _HERE), 1, problem)
            if jobs.wait is not None and jobs.wait[0]:
                break
            fidelity, began = np.broadcast_to(jobs.fidelity, 1), clock()
            count = int(images[fidelity[0]])
            (loss,), (accuracy,) = scorer.both(jobs.codes, count)
            cost = clock() - began
            spent += cost
            rows.append(Score(spent, count, tuple(jobs.codes[0].tolist()), float(loss), float(accuracy)))
            told = np.array([1.0 - accuracy]), np.array([cost])
            algorithm.tell(Results(_HERE, _HERE, jobs.codes, fidelity, *told))
    if not rows:
        raise HarnessError(f"{sequel.algorithm} asked for nothing to be scored.", "take another algorithm.")
    return Scores(sequel, trained(before), rows)


def trained(before: Log) -> float:
    """Seconds of a search without its derivations."""
    return before.rows[-1].seconds - sum(row.scoring for row in before.rows)


def incumbents(scores: Scores, *, none: bool) -> list[tuple[Score, bool]]:
    """Results of architectures that may have the operator none, or of those without, and whether each became the best.

    The best has the highest accuracy on the most images that any was scored on so far.
    """
    values = [p.values for p in published(scores.sequel.search.space).space.parameters]
    found: list[tuple[Score, bool]] = []
    best = (0, -1.0)
    for row in scores.rows:
        if none or all(own[code] != "none" for own, code in zip(values, row.codes, strict=True)):
            better = (row.images, row.accuracy) > best
            best = max(best, (row.images, row.accuracy))
            found.append((row, better))
    return found


def study(every: Sequence[Scores], table: Table, *, none: bool) -> Outcome | None:
    """The scores of consecutive seeds as a study of `table`; None where a seed has no such architecture."""
    found = [incumbents(one, none=none) for one in every]
    if not all(found):
        return None
    first = every[0].sequel
    params = {**first.search.params, "then": first.label, "evals": first.evals, "none": none}
    source = {**first.to_json(), "search": {**first.search.to_json(), "seed": None}}
    moments = [[log.Moment(r.seconds, r.codes, 1.0 - r.accuracy, best) for r, best in one] for one in found]
    return log.outcome([one.sequel.search for one in every], table, params, source, moments)


def rows(every: Sequence[Scores], studies: Sequence[Outcome]) -> list[dict[str, Any]]:
    """A row for each seed and hand-off of none, as `harness search --method` tells them."""
    found = []
    may = published(every[0].sequel.search.space).may_choose_none
    for i, scores in enumerate(every):
        search = scores.sequel.search
        for none in (True, False)[: 1 + may]:
            best = [row for row, better in incumbents(scores, none=none) if better][-1:]
            of = [s for s in studies if s.study.params["none"] == none]
            for row in best:
                text = Architecture.at(search.space, np.array(row.codes)).text
                derived = Derived(row.codes, text, row.loss, row.accuracy)
                found.append(
                    {
                        "method": f"{search.method} + {scores.sequel.label}",
                        "seed": search.seed,
                        "none": none,
                        "architecture": text,
                        "one_shot_accuracy": row.accuracy,
                        "regret": float(of[0].regret("val", of[0].trajectory.ended[[i]])[i, 0]) if of else None,
                        "seconds": scores.rows[-1].seconds,
                        "scoring_seconds": scores.rows[-1].seconds - scores.trained,
                        "travelled": None,
                        "skips": None,
                        "collapsed": log.collapsed(search.space, derived),
                    }
                )
    return found
