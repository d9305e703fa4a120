"""Lookup tables of searches on disk, and the architectures that are taken from them under constraints."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import NamedTuple, TypedDict

import numpy as np
import pyarrow as pa
import torch

from harness import registry
from harness.arrays import Floats, Ints
from harness.errors import HarnessError, unknown
from harness.sharing.costs import MEASURES, costs
from harness.sharing.log import scorer_of
from harness.sharing.search import SharedSearch
from harness.sharing.segments import Lookup
from harness.spaces import published
from harness.spaces.architecture import Architecture
from harness.studies.records import Columns, Footer
from harness.studies.runs import Single
from harness.studies.store import SEARCHES
from harness.train.images import ImageSet

_BOUND = re.compile(r"^(\w+)<=(.+)$")


class Kept(NamedTuple):
    """A lookup table and the id of its search; numbers of architectures are those of the whole grid."""

    id: str
    numbers: Ints
    predicted: Floats


class _Footer(TypedDict):
    lookup: str


class LookupForm(Single[Kept, Kept]):
    """A row for each architecture of the last segment."""

    what = "a lookup table of a search"
    marks = "lookup"
    again = "move it away, and the log of its search; the search begins anew."
    footer = _Footer
    columns = pa.schema({"number": pa.int64(), "predicted": pa.float64()})

    def title(self, result: Kept) -> str:
        return f"the lookup table of search {result.id}"

    def name(self, job: Kept) -> str:
        return f"{job.id}.parquet"

    def pack(self, result: Kept) -> tuple[str, Columns, Footer]:
        return result.id, {"number": result.numbers, "predicted": result.predicted}, {"lookup": result.id}

    def unpack(self, columns: Columns, footer: Footer) -> tuple[str, Kept]:
        return footer["lookup"], Kept(footer["lookup"], columns["number"], columns["predicted"])


FORM = LookupForm()


def path(folder: Path, search: SharedSearch) -> Path:
    """The lookup table of a finished search in a folder of results."""
    return folder / SEARCHES / "lookup" / f"{search.id}.parquet"


def write(target: Path, search: SharedSearch, found: Lookup) -> None:
    """Keep a lookup table."""
    numbers = found.codes @ published(search.space).space.strides
    FORM.write(Kept(search.id, numbers, found.predicted), target)


def read(source: Path, search: SharedSearch) -> Lookup:
    """The lookup table of a search. Raises HarnessError if its method makes none."""
    if not source.exists():
        raise _none(search.method)
    kept = FORM.read(source)
    space = published(search.space).space
    codes = kept.numbers[:, None] // space.strides % space.sizes
    return Lookup(codes, kept.predicted)


class Taken(NamedTuple):
    """The best architecture under a constraint, its one-shot accuracy, and what it costs by measure."""

    constraint: str
    architecture: str
    accuracy: float
    costs: dict[str, int]


def bounds(constraint: str) -> dict[str, float]:
    """Upper bounds by measure of a text such as `macs<=400e6,params<=5e6`. Raises HarnessError if it is none."""
    found = {}
    for part in constraint.replace(" ", "").split(","):
        match = _BOUND.match(part)
        try:
            bound = float(match[2]) if match else math.nan
        except ValueError:
            bound = math.nan
        if match is None or not bound > 0:
            raise HarnessError(f"'{part}' is not a constraint.", "write it as macs<=400e6 or params<=5e6.")
        if match[1] not in MEASURES:
            raise unknown("measure of a constraint", match[1], MEASURES)
        found[match[1]] = bound
    return found


def possible(search: SharedSearch, constraints: list[str], images: ImageSet) -> None:
    """Raises HarnessError if the method takes nothing under constraints, or no architecture of the space meets one.

    Also if a measure is no sum over the parameters of the space.
    """
    if not registry.method(search.method).tabulates:
        raise _none(search.method)
    wanted = [one for text in constraints for one in bounds(text).items()]
    known = costs(search.space, search.recipe, images.image, images.classes, [*{name for name, _ in wanted}])
    for name, bound in wanted:
        if known[name].least > bound:
            raise HarnessError(
                f"no architecture of {search.space} has {name}<={bound:g}.", f"the least has {known[name].least:,}."
            )


def _none(method: str) -> HarnessError:
    return HarnessError(
        f"{method} has no lookup table from which architectures are taken under constraints.",
        "--method gcn makes one.",
    )


def taken(
    search: SharedSearch,
    found: Lookup,
    constraints: list[str],
    images: ImageSet,
    weights: Path,
    device: torch.device,
    finalists: int = 100,
) -> list[Taken]:
    """The best architecture under each of `constraints`, by the kept weights' scores of the best by prediction.

    Raises HarnessError where nothing meets one.
    """
    wanted = {name: None for text in constraints for name in bounds(text)}
    known = costs(search.space, search.recipe, images.image, images.classes, [*wanted])
    scorer = scorer_of(search, images, weights, device)
    rows = []
    for text in constraints:
        allowed = np.ones(len(found.codes), dtype=np.bool_)
        for name, bound in bounds(text).items():
            own = known[name].of(found.codes)
            if own.min() > bound:
                raise HarnessError(
                    f"no architecture in the lookup table has {name}<={bound:g}.", f"the least has {own.min():,}."
                )
            allowed &= own <= bound
        codes, scores = found.best(scorer, finalists, allowed)
        spent = {name: int(cost.of(codes[:1])[0]) for name, cost in known.items()}
        rows.append(Taken(text, Architecture.at(search.space, codes[0]).text, float(scores[0]), spent))
    return rows
