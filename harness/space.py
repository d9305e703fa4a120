"""Search spaces: every configuration is a row of integer codes, one per parameter.

A space of architectures may be seen as two, connections and operators, which is what GPNAS searches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np

from harness.arrays import Floats, Ints, fixed
from harness.errors import HarnessError, unknown
from harness.escapes import obeyed, plain
from harness.graphs import GraphView

Value = str | int | float | bool
Translation = Callable[[Ints], Ints]


@dataclass(frozen=True)
class Parameter:
    """One parameter; code `i` stands for `values[i]`.

    An `ordinal` parameter's values are ordered (usually numbers on a grid), a `categorical` one's are not.
    """

    name: str
    values: Sequence[Value]
    kind: Literal["categorical", "ordinal"] = "categorical"

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError(f"parameter '{self.name}' has no values")
        if isinstance(self.values, list):
            object.__setattr__(self, "values", tuple(self.values))
        if any(obeyed(text) for text in (self.name, *self.values) if isinstance(text, str)):
            raise ValueError(f"parameter '{plain(self.name)}' has control characters, or commands to a log, in a text")


@dataclass(frozen=True)
class SearchSpace:
    """The product of `d` parameters. Codes are Int[..., d] with `0 <= codes < sizes`. Its arrays are read-only.

    `graphs` shows its configurations as graphs, where they are architectures; `split` divides it into connections and
    operators, where that means something.
    """

    parameters: tuple[Parameter, ...]
    graphs: GraphView | None = field(default=None, compare=False, repr=False)
    split: Split | None = field(default=None, compare=False, repr=False)

    def __repr__(self) -> str:
        names = [p.name for p in self.parameters]
        shown = names if len(names) <= 8 else [*names[:4], "...", *names[-2:]]
        return f"<SearchSpace of {self.cardinality:,} configurations: {', '.join(shown)}>"

    @property
    def dimensions(self) -> int:
        return len(self.parameters)

    @cached_property
    def sizes(self) -> Ints:
        """Number of values of each parameter, Int[d]."""
        return fixed(np.array([len(p.values) for p in self.parameters], dtype=np.int64))

    @cached_property
    def cardinality(self) -> int:
        """Number of configurations."""
        return math.prod(len(p.values) for p in self.parameters)

    @cached_property
    def strides(self) -> Ints:
        """Weights that turn codes into their lexicographic number: `codes @ strides`, Int[d]."""
        return fixed(np.concatenate([np.cumprod(self.sizes[:0:-1])[::-1], [1]]).astype(np.int64))

    @cached_property
    def moves(self) -> Ints:
        """Every way to change one parameter, Int[sum(sizes - 1), 2]: (parameter, step of its code)."""
        steps = [(p, step) for p, size in enumerate(self.sizes) for step in range(1, size)]
        return fixed(np.array(steps, dtype=np.int64).reshape(-1, 2))

    @cached_property
    def mutable(self) -> Ints:
        """Parameters of more than one value, Int[m], ascending."""
        return fixed(np.flatnonzero(self.sizes > 1))

    @cached_property
    def varying(self) -> SearchSpace:
        """The space without its parameters of a single value, which are no dimensions; it keeps one at least."""
        kept = self.dimensional
        if len(kept) == self.dimensions:
            return self
        view, graphs, split = self.graphs, None, None
        if view is not None:
            graphs = replace(view, of=lambda codes: view.of(self.whole(codes)))
        if self.split is not None:
            split = _varying(self.split, self)
        return SearchSpace(tuple(self.parameters[i] for i in kept), graphs, split)

    @cached_property
    def dimensional(self) -> Ints:
        """The positions of the parameters that `varying` keeps, ascending, Int[k]."""
        return self.mutable if self.mutable.size else fixed(np.zeros(1, dtype=np.int64))

    def whole(self, codes: Ints) -> Ints:
        """Codes Int[..., d] of this space out of those of the `varying` one, Int[..., k]."""
        every = np.zeros((*codes.shape[:-1], self.dimensions), dtype=np.int64)
        every[..., self.dimensional] = codes
        return every

    def sample(self, draws: Floats) -> Ints:
        """Uniform configurations Int[n, d] out of uniform `draws` Float[n, d]."""
        return (draws * self.sizes).astype(np.int64)

    def step(self, codes: Ints, parameter: Ints, step: Ints) -> Ints:
        """Copies of `codes` Int[n, d] whose code of `parameter` Int[n] moves on by `step` Int[n], cyclically."""
        changed = codes.copy()
        row = np.arange(len(codes))
        changed[row, parameter] = (codes[row, parameter] + step) % self.sizes[parameter]
        return changed

    def mutate(self, codes: Ints, draws: Floats) -> Ints:
        """Copies of `codes` Int[n, d] with one parameter, chosen uniformly, changed to another of its values.

        `draws` Float[n, 2] choose the parameter and the value. A space of a single configuration has nothing
        to change and gives the codes back.
        """
        if not self.mutable.size:
            return codes.copy()
        parameter = self.mutable[(draws[:, 0] * len(self.mutable)).astype(np.int64)]
        return self.step(codes, parameter, 1 + (draws[:, 1] * (self.sizes[parameter] - 1)).astype(np.int64))

    def features(self, codes: Ints) -> Floats:
        """Numbers for a regression model, Float[n, k].

        A categorical parameter becomes as many 0/1 columns as it has values, an ordinal one a column in [0, 1].
        """
        columns = [
            (codes[:, [i]] == np.arange(len(p.values))).astype(np.float64)
            if p.kind == "categorical"
            else codes[:, [i]] / max(1, len(p.values) - 1)
            for i, p in enumerate(self.parameters)
        ]
        return np.concatenate(columns, axis=1)

    def to_dict(self, codes: Ints) -> dict[str, Value]:
        """One configuration `codes` Int[d] by name."""
        return {p.name: p.values[int(c)] for p, c in zip(self.parameters, codes, strict=True)}

    def from_dict(self, configuration: Mapping[str, Value]) -> Ints:
        """Codes Int[d] of a configuration given by name.

        Raises HarnessError for a name or a value that the space does not have, or a name left out.
        """
        for name in configuration:
            if name not in (p.name for p in self.parameters):
                raise unknown("parameter", name, (p.name for p in self.parameters))
        codes = []
        for p in self.parameters:
            if p.name not in configuration:
                some = ", ".join(map(str, p.values[:6])) + ", ..." * (len(p.values) > 6)
                raise HarnessError(f"the configuration has no value of '{p.name}'.", f"it takes {some}.")
            try:
                codes.append(list(p.values).index(configuration[p.name]))
            except ValueError:
                value = str(configuration[p.name])
                raise unknown(f"value of parameter '{p.name}'", value, map(str, p.values)) from None
        return np.array(codes, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Split:
    """A space as two, connections and operators (D_sk and D_op of GPNAS).

    `apart` maps codes Int[n, d] to those of both parts, with -1 where a configuration leaves an operator open; `join`
    maps them back. `drop` holds the code of a plain connection and the code that it gets when it is dropped, the same
    for every parameter of `connections`; None where connections cannot be dropped.
    """

    connections: SearchSpace
    operators: SearchSpace
    apart: Callable[[Ints], tuple[Ints, Ints]]
    join: Callable[[Ints, Ints], Ints]
    drop: tuple[int, int] | None = None


def by_columns(
    parameters: Sequence[Parameter], connections: Sequence[int], drop: tuple[int, int] | None = None
) -> Split:
    """The split of a space by its parameters: those at the positions `connections`, and the others."""
    first = np.array(connections)
    second = np.array([i for i in range(len(parameters)) if i not in connections], dtype=np.int64)
    back = np.argsort(np.concatenate([first, second]))
    return Split(
        SearchSpace(tuple(parameters[i] for i in first)),
        SearchSpace(tuple(parameters[i] for i in second)),
        lambda codes: (codes[:, first], codes[:, second]),
        lambda one, other: np.concatenate([one, other], axis=1)[:, back],
        drop,
    )


def subspace(space: SearchSpace, parameters: Sequence[Parameter]) -> SearchSpace:
    """`space` with the values of `parameters` only, which are some of its own; its graphs and its split stay.

    If values are left out, each parameter of the split's parts has to follow from one parameter of the space.
    """
    if [len(p.values) for p in parameters] == space.sizes.tolist():
        return space
    kept = [
        np.array([[*whole.values].index(value) for value in part.values])
        for whole, part in zip(space.parameters, parameters, strict=True)
    ]
    up, down = _translations(kept)
    view, graphs, split = space.graphs, None, None
    if view is not None:
        graphs = replace(view, of=lambda codes: view.of(up(codes)))
    if space.split is not None:
        every = np.arange(max(map(len, kept)))[:, None]
        seen = up(np.minimum(every, [len(values) - 1 for values in kept]))
        split = _subsplit(space.split, seen, up, down)
    return SearchSpace(tuple(parameters), graphs, split)


def _subsplit(split: Split, seen: Ints, up: Translation, down: Translation) -> Split:
    """The part of `split` that codes `seen` Int[n, d] have. A parameter that is always left open keeps one value."""
    kept = [
        [np.unique(column[column >= 0]) if (column >= 0).any() else np.zeros(1, np.int64) for column in codes.T]
        for codes in split.apart(seen)
    ]
    connections, operators = (
        SearchSpace(
            tuple(
                Parameter(p.name, tuple(p.values[int(code)] for code in codes), p.kind)
                for p, codes in zip(part.parameters, values, strict=True)
            )
        )
        for part, values in zip((split.connections, split.operators), kept, strict=True)
    )
    (first_up, first_down), (second_up, second_down) = map(_translations, kept)

    def apart(codes: Ints) -> tuple[Ints, Ints]:
        one, other = split.apart(up(codes))
        return first_down(one), second_down(other)

    def join(one: Ints, other: Ints) -> Ints:
        return down(split.join(first_up(one), second_up(other)))

    drop = None
    if split.drop is not None:
        plain, none = (first_down(np.full(split.connections.dimensions, code)) for code in split.drop)
        if plain.min() == plain.max() >= 0 and none.min() == none.max() >= 0:
            drop = int(plain[0]), int(none[0])
    return Split(connections, operators, apart, join, drop)


def _varying(split: Split, space: SearchSpace) -> Split:
    """The `split` of `space` without the parameters of a single value of both, for its `varying` codes."""
    one, other = split.connections, split.operators

    def apart(codes: Ints) -> tuple[Ints, Ints]:
        connections, operators = split.apart(space.whole(codes))
        return connections[..., one.dimensional], operators[..., other.dimensional]

    def join(connections: Ints, operators: Ints) -> Ints:
        return split.join(one.whole(connections), other.whole(operators))[..., space.dimensional]

    return Split(one.varying, other.varying, apart, join, split.drop)


def _translations(kept: Sequence[Ints]) -> tuple[Translation, Translation]:
    """From codes Int[..., d] among the `kept` ones of each parameter to codes among all, and back; -1 stays -1."""
    up = np.full((len(kept), 2 + max(values.max() for values in kept)), -1)
    down = up.copy()
    for i, values in enumerate(kept):
        up[i, : len(values)] = values
        down[i, values] = np.arange(len(values))
    column = np.arange(len(kept))
    return (lambda codes: up[column, codes]), (lambda codes: down[column, codes])
