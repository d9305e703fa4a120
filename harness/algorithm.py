"""What an algorithm sees and says: a `Problem`, jobs to run, and their results. Never the table."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Concatenate, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np

from harness.arrays import Bools, Floats, Ints, fixed, shown
from harness.errors import Blaming, HarnessError, PluginError
from harness.rng import Streams
from harness.space import SearchSpace

Scored = Callable[[Ints, Ints], Floats]
"""A training-free score: of codes Int[k, m, d], or Int[m, d] for all, for the seeds at positions Int[k], Float[k, m].

More is better, -inf is for what has none. A seed pays the seconds of each configuration with the next job that it
starts, once.
"""


def _no_score(name: str) -> Scored:
    raise HarnessError(f"there is no training-free score '{name}' here.", "tables have them: `harness show nb201`.")


@dataclass(frozen=True, eq=False)
class Problem:
    """All an algorithm may know; its arrays are read-only copies.

    `fidelities` Int[F] ascend (their index is what jobs name), `seeds` Int[S] are stepped together, every seed has
    `workers` simulated workers and `budget` seconds (inf for none). `objectives` names what is to be minimised, where
    that is more than the loss. `score(name)` is a training-free score; an algorithm asks for it as it is made, and gets
    HarnessError where there is none.
    """

    space: SearchSpace
    fidelities: Ints
    seeds: Ints
    workers: int
    budget: float
    objectives: tuple[str, ...] = ()
    score: Callable[[str], Scored] = _no_score

    def __post_init__(self) -> None:
        object.__setattr__(self, "fidelities", fixed(self.fidelities))
        object.__setattr__(self, "seeds", fixed(self.seeds))

    def __repr__(self) -> str:
        return (
            f"<Problem: {len(self.seeds)} seeds, {self.workers} workers, budget {self.budget:g} s, "
            f"{len(self.fidelities)} fidelities, {self.space!r}>"
        )

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


def checked(jobs: object, count: int, problem: Problem) -> Jobs:
    """The answer of `ask` for `count` workers, its numbers as Int and its form as `Jobs` has it.

    Integers of any width are taken. Raises PluginError for anything else; whether codes and fidelities are those of
    the problem is not looked at.
    """
    if not isinstance(jobs, Jobs):
        raise PluginError(f"answered ask with {_form(jobs)} instead of harness.Jobs.")
    codes, fidelity, wait = jobs
    codes = _integers("codes", codes, (count, problem.space.dimensions))
    if isinstance(fidelity, np.ndarray) and fidelity.ndim:
        fidelity = _integers("fidelity", fidelity, (count,))
    elif type(fidelity) is not int:
        fidelity = int(_integers("fidelity", np.asarray(fidelity), ()))
    if wait is not None and not (isinstance(wait, np.ndarray) and wait.dtype == np.bool_ and wait.shape == (count,)):
        raise PluginError(f"answered ask with wait as {_form(wait)} instead of bools of shape ({count},).")
    return jobs if codes is jobs.codes and fidelity is jobs.fidelity else Jobs(codes, fidelity, wait)


def _integers(name: str, array: Any, shape: tuple[int, ...]) -> Ints:
    if not (isinstance(array, np.ndarray) and array.dtype.kind in "iu" and array.shape == shape):
        raise PluginError(f"answered ask with {name} as {_form(array)} instead of integers of shape {shape}.")
    if array.dtype == np.int64:
        return array
    if array.dtype.kind == "u" and array.size and int(array.max()) > np.iinfo(np.int64).max:
        raise PluginError(f"answered ask with {name} beyond 64 bits.")
    return array.astype(np.int64)


def _form(thing: object) -> str:
    return f"{thing.dtype} of shape {thing.shape}" if isinstance(thing, np.ndarray) else type(thing).__name__


def seeds_of(numbers: Ints) -> str:
    """Seeds in words."""
    return f"seed {numbers[0]}" if len(numbers) == 1 else f"seeds {numbers.min()} to {numbers.max()}"


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


Factory: TypeAlias = Callable[Concatenate[Problem, Streams, ...], Algorithm]
"""What the entry points of `nas_harness.algorithms` name; its keyword-only arguments are its parameters.

It may have attributes: `shard`, the number of seeds to step together; `note(fidelities Int[F], **params) -> str`, what
`harness run` says to a user of a table with these fidelities, or nothing, of which parameters it takes those that it
names; `evaluations(**params) -> int`, how many configurations a whole run trains, where that is a matter of its
parameters; and `parts(**params)`, other plugins that it is made of, whose source is part of a study's identity. One for
several objectives has `several`.
"""


def start(factory: Factory, problem: Problem, streams: Streams, **params: Any) -> Algorithm:
    """The algorithm that `factory` makes for `problem`, in which parameters of a single value are no dimensions."""
    space = problem.space.varying
    if space is problem.space:
        return factory(problem, streams, **params)

    def score(name: str) -> Scored:
        whole = problem.score(name)
        return lambda codes, where: whole(problem.space.whole(codes), where)

    seen = replace(problem, space=space, score=score)
    return _Varying(factory(seen, streams, **params), problem.space, seen)


class _Varying:
    """An algorithm that knows the varying parameters of `space` only, before those who know all of them."""

    def __init__(self, algorithm: Algorithm, space: SearchSpace, seen: Problem) -> None:
        self.algorithm = algorithm
        self.space = space
        self.seen = seen

    def ask(self, seeds: Ints, worker: Ints) -> Jobs:
        jobs = checked(self.algorithm.ask(seeds, worker), len(seeds), self.seen)
        return jobs._replace(codes=self.space.whole(jobs.codes))

    def tell(self, results: Results) -> None:
        self.algorithm.tell(results._replace(codes=shown(results.codes[:, self.space.dimensional])))


class Library(Protocol):
    """What the entry points of `nas_harness.libraries` name: a package that has many optimizers, by its own names.

    `extra` is what pip installs it by, `version` is empty where it is not installed. The factory of an optimizer may
    have an attribute `version`, which is part of a study's identity.
    """

    @property
    def extra(self) -> str: ...

    @property
    def version(self) -> str: ...

    def names(self) -> list[str]: ...

    def optimizer(self, name: str, /) -> Factory: ...


class OneSeed(Protocol):
    """An optimizer that knows one run only, as most libraries have it."""

    def ask(self) -> tuple[Ints, int, Any] | None:
        """Codes Int[d], fidelity index and a handle of its own choice; None to let the worker wait."""
        ...

    def tell(self, handle: Any, loss: float, cost: float) -> None: ...


@runtime_checkable
class OneSeedOfSeveral(OneSeed, Protocol):
    """One that is told the objectives Float[k] of the problem too, if it has several."""

    def tell_several(self, handle: Any, loss: float, objectives: Floats, cost: float) -> None: ...


def per_seed(make: Callable[..., OneSeed]) -> Factory:
    """Turn `make(problem, generator, **params) -> OneSeed` into an algorithm over many seeds.

    Each seed gets an object, a `Problem` and a numpy generator of its own. There is nothing to batch, so its
    studies are split over processes in small shards.
    """

    @functools.wraps(make)
    def factory(problem: Problem, streams: Streams, /, **params: Any) -> Algorithm:
        return _PerSeed(
            [make(_of_one(problem, i), streams.generator(i), **params) for i in range(len(problem.seeds))],
            problem,
        )

    factory.shard = 8  # type: ignore[attr-defined]
    return factory


def _of_one(problem: Problem, position: int) -> Problem:
    """The problem of the seed at a position alone."""

    def score(name: str) -> Scored:
        shared = problem.score(name)
        return lambda codes, where: shared(codes, where + position)

    return replace(problem, seeds=problem.seeds[[position]], score=score)


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
            with self.blaming("ask", slot[0]):
                answer = self.optimizers[slot[0]].ask()
                if answer is None:
                    wait[i] = True
                else:
                    proposed, level, self.handles[slot] = answer
                    codes[i] = _integers("codes", np.asarray(proposed), codes.shape[1:])
                    fidelity[i] = _integers("fidelity", np.asarray(level), ())
        return Jobs(codes, fidelity, wait)

    def tell(self, results: Results) -> None:
        slots = zip(results.seeds.tolist(), results.worker.tolist(), strict=True)
        numbers = zip(results.loss.tolist(), results.cost.tolist(), strict=True)
        for i, (slot, (loss, cost)) in enumerate(zip(slots, numbers, strict=True)):
            with self.blaming("tell", slot[0]):
                optimizer, handle = self.optimizers[slot[0]], self.handles.pop(slot)
                if results.objectives is not None and isinstance(optimizer, OneSeedOfSeveral):
                    optimizer.tell_several(handle, loss, results.objectives[i], cost)
                else:
                    optimizer.tell(handle, loss, cost)

    def blaming(self, method: str, position: int) -> Blaming:
        return Blaming(lambda: f"in {method} for seed {self.problem.seeds[position]}")
