"""A trained super-network held against a table: its scores, and what is fitted to some of them, on all the rest.

Of a seed's random order of the architectures the first `samples` are scored and fitted to, the last `cells` are judged
(all the rest of a small space). Of both the table has the truth, which nothing but the row `ridge on truth` sees.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import compress
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pyarrow as pa
import torch

from harness import registry
from harness.analysis import correlation
from harness.arrays import Bools, Floats, Ints
from harness.errors import HarnessError
from harness.params import changed
from harness.sharing.costs import costs
from harness.sharing.log import scorer_of
from harness.sharing.method import Statistics
from harness.sharing.product_graph import GraphRegression, ProductGraph
from harness.sharing.search import SharedSearch
from harness.spaces import published
from harness.studies import records
from harness.studies.records import Columns, Footer, file_name
from harness.studies.runs import Single
from harness.studies.store import SEARCHES
from harness.table import Table
from harness.train.images import ImageSet

PREDICTORS = {
    "accuracy": "super-network",
    "loss": "super-network, by loss",
    "graph": "graph network on its scores",
    "ridge": "additive ridge on its scores",
    "ridge_true": "additive ridge on true accuracies",
    "none": "fewest none",
    "convolutions": "most convolutions",
    "parameters": "most parameters",
}
"""The columns of a correlation that are judged, and what they are called."""

_TRUTHS = ("val", "test")


@dataclass(frozen=True)
class Setting:
    """How a search is judged: against which table, fitted to how many samples, on how many architectures."""

    benchmark: str
    checksum: str
    samples: int
    cells: int
    statistics: Statistics
    width: int
    epochs: int


@dataclass(frozen=True, eq=False)
class Correlation:
    """Predictions Float[n] of architectures Int[n, p] by name, true accuracies Float[n], and which were samples."""

    search: SharedSearch
    setting: Setting
    codes: Ints
    sampled: Ints
    columns: dict[str, Floats]
    again: dict[str, tuple[float, ...]]

    @property
    def id(self) -> str:
        return identity(self.search, self.setting)

    def taus(self, kind: str) -> dict[str, Floats]:
        """Tau of each predictor with the table on what was not sampled, for all of PARTS, Float[3]."""
        rest = self.sampled == 0
        truth = self.columns[kind][rest]
        return {name: correlation.taus(truth, self.columns[name][rest]) for name in PREDICTORS}


def identity(search: SharedSearch, setting: Setting) -> str:
    """Twelve hexadecimal digits of the hash of what decides a correlation."""
    return records.identity({"search": search.to_json(), "setting": asdict(setting)})


class _About(TypedDict):
    search: SharedSearch
    setting: Setting
    again: dict[str, tuple[float, ...]]


class _Footer(TypedDict):
    correlation: _About


class CorrelationForm(Single[Correlation, Correlation]):
    """A row for each architecture."""

    what = "a correlation of a super-network with a table"
    marks = "correlation"
    again = "if it is damaged, move it away; it is made again."
    makes = "`harness correlate` writes correlations."
    footer = _Footer
    columns = pa.schema(
        {
            "codes": pa.string(),
            "sampled": pa.int64(),
            **{name: pa.float64() for name in (*PREDICTORS, *_TRUTHS)},
        }
    )

    def title(self, result: Correlation) -> str:
        return f"seed {result.search.seed} of {_plain(result.search)}"

    def name(self, job: Correlation) -> str:
        return file_name(job.search.space, job.search.images, job.search.method, str(job.search.seed), job.id)

    def pack(self, result: Correlation) -> tuple[str, Columns, Footer]:
        codes = [" ".join(map(str, row)) for row in result.codes.tolist()]
        about = {"search": result.search.to_json(), "setting": asdict(result.setting), "again": result.again}
        return result.id, {"codes": codes, "sampled": result.sampled, **result.columns}, {"correlation": about}

    def unpack(self, columns: Columns, footer: Footer) -> tuple[str, Correlation]:
        about: _About = footer["correlation"]
        found = Correlation(
            about["search"],
            about["setting"],
            np.array([[int(c) for c in row.split()] for row in columns["codes"]]),
            columns["sampled"],
            {name: columns[name] for name in (*PREDICTORS, *_TRUTHS)},
            about["again"],
        )
        return found.id, found


FORM = CorrelationForm()


def folder(results: Path) -> Path:
    """Where the correlations in a folder of results are."""
    return results / SEARCHES / "correlations"


def rows_of(table: Table, space: str, codes: Ints) -> Ints:
    """The rows of a table that architectures Int[n, p] of a space have, Int[n]; -1 for none.

    Raises HarnessError if the table is of another space.
    """
    own = published(space).space
    try:
        return table.rows(np.stack([table.space.from_dict(own.to_dict(row)) for row in codes]))
    except (HarnessError, KeyError, ValueError):
        raise HarnessError(
            f"{table.name} has other parameters than {space}.", "name a table of this space: --bench nb201/cifar10"
        ) from None


def correlate(
    search: SharedSearch, setting: Setting, table: Table, images: ImageSet, weights: Path, device: torch.device
) -> Correlation:
    """Score, fit and hold against the table, networks and `images` on the device.

    Raises HarnessError where the weights are missing or of another search, or nothing is left to be judged.
    """
    scorer = scorer_of(search, images, weights, device, setting.statistics)
    space = published(search.space).space
    codes, sampled = _chosen(space.sizes, setting, search.seed)
    rows = rows_of(table, search.space, codes)
    known = (rows >= 0) & np.isfinite(table.mean_loss[np.maximum(rows, 0), -1])
    codes, sampled, rows = codes[known], sampled[known], rows[known]
    if sampled.all() or not sampled.any():
        raise HarnessError(
            f"{setting.samples} samples leave {int((sampled == 0).sum())} architectures to be judged.",
            "take fewer --samples.",
        )
    loss, accuracy = scorer.both(codes)
    fit = sampled == 1
    sizes = space.sizes.tolist()
    truths = {kind: correlation.truth(table, rows, kind) for kind in _TRUTHS}
    shape = costs(search.space, search.recipe, images.image, images.classes, ["params"])["params"]
    columns = {
        "accuracy": accuracy,
        "loss": -loss,
        "graph": _graph(sizes, codes, accuracy, fit, setting, search.seed, device),
        "ridge": correlation.additive_ridge(codes[fit], accuracy[fit], sizes, codes),
        "ridge_true": correlation.additive_ridge(codes[fit], truths["val"][fit], sizes, codes),
        **correlation.operator_counts(space, codes),
        "parameters": shape.of(codes).astype(np.float64),
        **truths,
    }
    rng = np.random.default_rng(search.seed)
    again = {kind: tuple(correlation.again(table, rows[~fit], kind, rng).tolist()) for kind in _TRUTHS}
    return Correlation(search, setting, codes, sampled, columns, again)


def _chosen(sizes: Ints, setting: Setting, seed: int) -> tuple[Ints, Ints]:
    """Codes Int[n, p] of the samples and of those that are judged, and which are samples, Int[n]."""
    every = int(np.prod(sizes))
    order = np.random.Generator(np.random.PCG64(seed)).permutation(every)
    first = order[: setting.samples]
    last = order[max(len(first), every - setting.cells) :]
    both = np.concatenate([first, last])
    codes = np.stack(np.unravel_index(both, tuple(sizes.tolist())), axis=1)
    return codes, (np.arange(len(both)) < len(first)).astype(np.int64)


def _graph(
    sizes: list[int],
    codes: Ints,
    accuracy: Floats,
    fit: Bools,
    setting: Setting,
    seed: int,
    device: torch.device,
) -> Floats:
    """What the graph network over the whole space predicts of `codes`, fitted to the accuracies of some."""
    vertices = np.ravel_multi_index(tuple(codes.T), tuple(sizes))
    model = GraphRegression(ProductGraph(sizes, device=device), width=setting.width, seed=seed)
    model.fit(vertices[fit], accuracy[fit], epochs=setting.epochs)
    return model.predict()[vertices]


def groups(found: list[Correlation]) -> dict[str, list[Correlation]]:
    """Correlations of searches that differ in their seed only, by what they have in common."""
    same: dict[str, list[Correlation]] = {}
    for one in found:
        data = {"search": {**one.search.to_json(), "seed": None}, "setting": asdict(one.setting)}
        same.setdefault(json.dumps(data, sort_keys=True), []).append(one)
    return same


def headings(found: Sequence[Correlation]) -> list[str]:
    """What each correlation is of, with that in which others of such a search differ."""
    same: dict[str, list[list[str]]] = {}
    for one in found:
        same.setdefault(_plain(one.search), []).append(_aspects(one))
    differing = {plain: [len({*values}) > 1 for values in zip(*every, strict=True)] for plain, every in same.items()}
    told = [(_plain(one.search), _aspects(one)) for one in found]
    return [", ".join([plain, *filter(None, compress(own, differing[plain]))]) for plain, own in told]


def _plain(search: SharedSearch) -> str:
    return f"{search.method} on {search.space}, {search.images}, {search.recipe.epochs} epochs"


def _aspects(one: Correlation) -> list[str]:
    search, setting = one.search, one.setting
    params = changed(search.params, lambda: registry.method(search.method))
    return [
        ", ".join(f"{name}={value}" for name, value in params.items()),
        f"against {setting.benchmark}",
        f"batch norm {setting.statistics}",
        f"{setting.samples} samples",
        f"at most {setting.cells} judged",
        f"width {setting.width}",
        f"fitted for {setting.epochs} epochs",
    ]


def summary(same: list[Correlation], kind: str) -> list[dict[str, Any]]:
    """A row for each predictor: tau and its interval over seeds for each of PARTS, and the gain over the super-network.

    The last row is the table with itself, another training of the same architectures.
    """
    taus = [one.taus(kind) for one in same]
    rows = []
    for name, words in PREDICTORS.items():
        values = np.array([tau[name] for tau in taus])
        gain = values - np.array([tau["accuracy"] for tau in taus])
        rows.append(_row(name, words, values, None if name == "accuracy" else gain))
    rows.append(_row("again", "another training of the same", np.array([one.again[kind] for one in same]), None))
    return rows


def _row(name: str, words: str, values: Floats, gain: Floats | None) -> dict[str, Any]:
    def parts(array: Floats) -> dict[str, Any]:
        told = zip(correlation.PARTS, correlation.over_seeds(array), strict=True)
        return {part: estimate._asdict() for part, estimate in told}

    return {"predictor": name, "words": words, "tau": parts(values), "gain": None if gain is None else parts(gain)}
