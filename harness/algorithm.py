"""What an algorithm sees and says: a `Problem`, jobs to run, and their results. Never the table."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from harness.arrays import Bools, Floats, Ints, fixed
from harness.rng import Streams
from harness.space import SearchSpace


@dataclass(frozen=True, eq=False)
class Problem:
    """All an algorithm may know; its arrays are read-only copies.

    `fidelities` Int[F] ascend (their index is what jobs name), `seeds` Int[S] are stepped together, every seed has
    `workers` simulated workers and `budget` seconds (inf for none). `objectives` names what is to be minimised, where
    that is more than the loss.
    """

    space: SearchSpace
    fidelities: Ints
    seeds: Ints
    workers: int
    budget: float
    objectives: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "fidelities", fixed(self.fidelities))
        object.__setattr__(self, "seeds", fixed(self.seeds))

    @property
    def full(self) -> int:
        """Index of the largest fidelity."""
        return len(self.fidelities) - 1


class Jobs(NamedTuple):
    """Answer to `ask`: what each asking worker runs next.

    `codes` Int[n, d]; `fidelity` an index into `Problem.fidelities`, Int[n] or one for all; `wait` Bool[n] marks the
    workers that stay idle until their seed gets its next result (their codes are ignored). A seed that waits with
    nothing running has no more to propose, and ends.
    """

    codes: Ints
    fidelity: Ints | int
    wait: Bools | None = None


class Results(NamedTuple):
    """Argument of `tell`: one finished job for each of the seeds at positions `seeds` Int[n].

    `worker` Int[n] ran it; `codes` Int[n, d] and `fidelity` Int[n] are the job; `loss` Float[n] is the observed
    validation loss (inf for an invalid configuration), `cost` Float[n] its simulated seconds; `objectives` Float[n, k]
    are those of the problem, if it has any, all to be minimised (inf for an invalid configuration). The arrays of the
    simulator are read-only: copy what is to be changed.
    """

    seeds: Ints
    worker: Ints
    codes: Ints
    fidelity: Ints
    loss: Floats
    cost: Floats
    objectives: Floats | None = None


class Algorithm(Protocol):
    """One object that steps all seeds. Positions in the batch, not seed numbers, index its state.

    Each call names every seed at most once. A worker is free for its next job as soon as its result was told, so
    (seed, worker) tells a seed's running jobs apart.
    """

    def ask(self, seeds: Ints, worker: Ints) -> Jobs:
        """A job for worker `worker` Int[n] of each of the seeds at positions `seeds` Int[n], ascending."""
        ...

    def tell(self, results: Results) -> None: ...


class Factory(Protocol):
    """What the entry points of `nas_harness.algorithms` name; its keyword-only arguments are its parameters.

    It may have attributes: `shard`, the number of seeds to step together; `note(fidelities Int[F]) -> str`, what
    `harness run` says to a user of a table with these fidelities, or nothing; `evaluations(**params) -> int`, how many
    configurations a whole run trains, where that is a matter of its parameters; and `parts(**params)`, other plugins
    that it is made of, whose source is part of a study's identity. One for
    several objectives has `several`.
    """

    def __call__(self, problem: Problem, streams: Streams, /, **params: Any) -> Algorithm: ...


class OneSeed(Protocol):
    """An optimizer that knows one run only, as most libraries have it."""

    def ask(self) -> tuple[Ints, int, Any] | None:
        """Codes Int[d], fidelity index and a handle of its own choice; None to let the worker wait."""
        ...

    def tell(self, handle: Any, loss: float, cost: float) -> None: ...


def per_seed(make: Callable[..., OneSeed]) -> Factory:
    """Turn `make(problem, generator, **params) -> OneSeed` into an algorithm over many seeds.

    Each seed gets an object, a `Problem` and a numpy generator of its own. There is nothing to batch, so its
    studies are split over processes in small shards.
    """

    @functools.wraps(make)
    def factory(problem: Problem, streams: Streams, /, **params: Any) -> Algorithm:
        return _PerSeed(
            [
                make(replace(problem, seeds=problem.seeds[[i]]), streams.generator(i), **params)
                for i in range(len(problem.seeds))
            ],
            problem,
        )

    factory.shard = 8  # type: ignore[attr-defined]
    return factory


class _PerSeed:
    def __init__(self, optimizers: list[OneSeed], problem: Problem) -> None:
        self.optimizers = optimizers
        self.problem = problem
        self.handles: dict[tuple[int, int], Any] = {}

    def ask(self, seeds: Ints, worker: Ints) -> Jobs:
        codes = np.zeros((len(seeds), self.problem.space.dimensions), dtype=np.int64)
        fidelity = np.zeros(len(seeds), dtype=np.int64)
        wait = np.zeros(len(seeds), dtype=np.bool_)
        for i, slot in enumerate(zip(seeds.tolist(), worker.tolist(), strict=True)):
            with self._named(slot[0]):
                answer = self.optimizers[slot[0]].ask()
            if answer is None:
                wait[i] = True
            else:
                codes[i], fidelity[i], self.handles[slot] = answer
        return Jobs(codes, fidelity, wait)

    def tell(self, results: Results) -> None:
        slots = zip(results.seeds.tolist(), results.worker.tolist(), strict=True)
        numbers = zip(results.loss.tolist(), results.cost.tolist(), strict=True)
        for slot, (loss, cost) in zip(slots, numbers, strict=True):
            with self._named(slot[0]):
                self.optimizers[slot[0]].tell(self.handles.pop(slot), loss, cost)

    @contextmanager
    def _named(self, position: int) -> Iterator[None]:
        """Note on what is raised which seed it was."""
        try:
            yield
        except Exception as error:
            error.add_note(f"seed {self.problem.seeds[position]}")
            raise
