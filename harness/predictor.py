"""Predictors of a configuration's loss: what they learn from, and what they answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Concatenate, Protocol, TypeAlias

import numpy as np

from harness.algorithm import Problem
from harness.arrays import Bools, Floats, Ints, shown
from harness.errors import PluginError
from harness.rng import Streams


@dataclass(frozen=True)
class Seen:
    """What k seeds have observed: codes Int[k, n, d], fidelity (index) Int[k, n], loss Float[k, n], inf for invalid.

    Of seed i only the first `count[i]`, Int[k], are meant. The arrays are read-only.
    """

    codes: Ints
    fidelity: Ints
    loss: Floats
    count: Ints

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, shown(getattr(self, field.name)))

    def of(self, which: slice | Bools | Ints) -> Seen:
        """Those of some of the seeds."""
        return Seen(self.codes[which], self.fidelity[which], self.loss[which], self.count[which])

    @property
    def valid(self) -> Bools:
        """Which of the entries are meant, Bool[k, n]."""
        return np.arange(self.loss.shape[1]) < self.count[:, None]

    def only(self, wanted: Bools, least: int = 1) -> Seen:
        """The observations `wanted` Bool[k, n]; a seed with fewer than `least` of them keeps all of its own."""
        wanted = wanted & self.valid
        kept = np.where((wanted.sum(axis=1) < least)[:, None], self.valid, wanted)
        order = np.argsort(~kept, axis=1, kind="stable")
        row = np.arange(len(order))[:, None]
        return Seen(self.codes[row, order], self.fidelity[row, order], self.loss[row, order], kept.sum(axis=1))


class Predictor(Protocol):
    """A model of the loss for each of S seeds."""

    def fit(self, seen: Seen, where: Ints) -> None:
        """Learn from all that the seeds at positions `where` Int[k], ascending, have observed so far."""
        ...

    def predict(self, codes: Ints, where: Ints) -> Floats:
        """Losses Float[k, m] at the largest fidelity of codes Int[k, m, d], or Int[m, d] for all of them."""
        ...


def predicted(model: Predictor, codes: Ints, where: Ints) -> Floats:
    """What `model` predicts of codes Int[m, d], Float[k, m]. Raises PluginError unless they are finite."""
    answer: object = model.predict(codes, where)
    shape = (len(where), len(codes))
    if not (isinstance(answer, np.ndarray) and answer.dtype.kind == "f" and answer.shape == shape):
        form = f"{answer.dtype} of shape {answer.shape}" if isinstance(answer, np.ndarray) else type(answer).__name__
        raise PluginError(f"predicted {form} instead of floats of shape {shape}.", subject="the predictor")
    if not np.isfinite(answer).all():
        raise PluginError("predicted losses that are not finite.", subject="the predictor")
    return answer


PredictorFactory: TypeAlias = Callable[Concatenate[Problem, Streams, ...], Predictor]
"""What the entry points of `nas_harness.predictors` name; its keyword-only arguments are its parameters."""
