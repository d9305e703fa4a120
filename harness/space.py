"""Search spaces: every configuration is a row of integer codes, one per parameter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from harness.arrays import Floats, Ints, fixed
from harness.errors import unknown

if TYPE_CHECKING:
    from harness.graphs import GraphView, Split

Value = str | int | float | bool


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


@dataclass(frozen=True)
class SearchSpace:
    """The product of `d` parameters. Codes are Int[..., d] with `0 <= codes < sizes`. Its arrays are read-only.

    `graphs` shows its configurations as graphs, where they are architectures; `split` divides it into connections and
    operators, where that means something.
    """

    parameters: tuple[Parameter, ...]
    graphs: GraphView | None = field(default=None, compare=False, repr=False)
    split: Split | None = field(default=None, compare=False, repr=False)

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
    def _mutable(self) -> Ints:
        return fixed(np.flatnonzero(self.sizes > 1))

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
        if not self._mutable.size:
            return codes.copy()
        parameter = self._mutable[(draws[:, 0] * len(self._mutable)).astype(np.int64)]
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
                raise unknown("parameter", p.name, configuration)
            try:
                codes.append(list(p.values).index(configuration[p.name]))
            except ValueError:
                value = str(configuration[p.name])
                raise unknown(f"value of parameter '{p.name}'", value, map(str, p.values)) from None
        return np.array(codes, dtype=np.int64)
