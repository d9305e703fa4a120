"""Architectures as text: what is stored, typed on the command line, and built by `harness.train.networks`."""

from __future__ import annotations

from dataclasses import dataclass

from harness.arrays import Ints
from harness.errors import HarnessError
from harness.space import SearchSpace
from harness.spaces import kinds, names, published
from harness.table import Table


@dataclass(frozen=True)
class Architecture:
    """An architecture by the `space` that reads it, such as nb201, nb101 or gpnas-cell, and its canonical `text`."""

    space: str
    text: str

    @classmethod
    def parse(cls, text: str) -> Architecture:
        """The architecture that `text` stands for. Raises HarnessError if it stands for none."""
        for kind, space in kinds().items():
            try:
                return cls(kind, space.read(text))
            except ValueError:
                continue
        examples = [f"{space.example} ({space.title})" for space in kinds().values()]
        raise HarnessError(
            f"'{text}' is not an architecture.", f"write it as {', '.join(examples[:-1])} or {examples[-1]}."
        )

    @classmethod
    def at(cls, space: str, codes: Ints) -> Architecture:
        """The architecture with `codes` Int[d] of the space called `space`. Raises ValueError if they are invalid."""
        found = published(space)
        return cls(found.kind, found.write(codes))

    @classmethod
    def of(cls, table: Table, row: int) -> Architecture:
        """The architecture of a row of `table`. Raises HarnessError if its configurations are not architectures."""
        name = space_of(table.space)
        if name is None:
            raise HarnessError(
                f"{table.name} has no architectures that can be trained: its configurations are "
                f"{', '.join(p.name for p in table.space.parameters[:3])} and so on.",
                "train from studies on nb201, nb101, 1shot1, or tables of their search spaces.",
            )
        return cls.at(name, published(name).space.from_dict(table.space.to_dict(table.codes[row])))


def space_of(space: SearchSpace) -> str | None:
    """The name of the published space that `space` is or, where it has some of the values only, is of."""
    for fits in (_same, _within):
        for name in names():
            if fits(space, published(name).space):
                return name
    return None


def _same(a: SearchSpace, b: SearchSpace) -> bool:
    if a is b or [p.name for p in a.parameters] != [p.name for p in b.parameters]:
        return a is b
    return all([*p.values] == [*q.values] for p, q in zip(a.parameters, b.parameters, strict=True))


def _within(a: SearchSpace, b: SearchSpace) -> bool:
    """Whether the parameters of `a` are those of `b`, with some of their values."""
    if [p.name for p in a.parameters] != [p.name for p in b.parameters]:
        return False
    return all({*p.values} <= {*q.values} for p, q in zip(a.parameters, b.parameters, strict=True))
