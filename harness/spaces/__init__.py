"""Published search spaces, one file each, found by name through the entry points `nas_harness.spaces`.

A file says all that is known of its space: the codes, how an architecture is written and read, how it is seen and drawn
as a graph, and by name what builds its networks and its super-network (docs/add-a-space.md).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from harness.arrays import Ints
from harness.errors import HarnessError, reason, unknown
from harness.space import SearchSpace

GROUP = "nas_harness.spaces"

SKIPS = ("skip_connect", "skip")
"""How spaces call the operator that hands on what it gets."""


@dataclass(frozen=True, eq=False)
class Published:
    """A space whose architectures can be written, trained and be those of a table.

    `write` makes the canonical text of codes Int[d], `read` of any text of an architecture; both raise ValueError if
    there is none. Spaces of the same `kind` write the same texts; one of them, named like the kind, reads them.
    `codes` maps a canonical text back to codes Int[d], where that is possible. `example` is a text.

    `networks` and `supernet` name functions as `module:function`, imported when called: the first makes of (text,
    shape, *, colours, classes) the network that `harness.train.networks.build` describes, the second the super-network
    that `harness.sharing` does. `decided` are the operators of its decisions where these are not the parameters.

    Where an architecture has several codes, `finder` makes of a table's codes Int[N, d] what maps codes to rows.
    """

    kind: str
    title: str
    space: SearchSpace
    write: Callable[[Ints], str]
    read: Callable[[str], str]
    example: str
    networks: str
    codes: Callable[[str], Ints] | None = None
    finder: Callable[[Ints], Callable[[Ints], Ints]] | None = None
    supernet: str = ""
    decided: tuple[tuple[str, ...], ...] = ()

    @property
    def may_choose_none(self) -> bool:
        """Whether an architecture may have the operator none."""
        return any("none" in p.values for p in self.space.parameters)

    @property
    def decisions(self) -> tuple[tuple[str, ...], ...]:
        """Names of the operators among which the super-network chooses at each of its decisions."""
        return self.decided or tuple(tuple(map(str, p.values)) for p in self.space.parameters)


@cache
def _points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def names() -> list[str]:
    """The names of all spaces, in alphabetical order."""
    return sorted(_points())


@cache
def published(name: str) -> Published:
    """The space called `name`. Raises HarnessError if there is none or its package cannot be imported."""
    if name not in _points():
        raise unknown("search space", name, names(), see="harness list spaces")
    try:
        found: Published = _points()[name].load()
    except Exception as error:
        raise HarnessError(
            f"the space '{name}' cannot be imported: {reason(error)}.", f"install what {_points()[name].value} needs."
        ) from None
    return found


def kinds() -> dict[str, Published]:
    """The spaces that read texts, by kind; each kind of text is read by one."""
    return {name: space for name in names() if (space := published(name)).kind == name}


def resolve(reference: str) -> Any:
    """What a space names as `module:function`."""
    module, _, attribute = reference.partition(":")
    return getattr(importlib.import_module(module), attribute)
