"""Searches by weight sharing on disk: the log of each seed, and studies of them in the form of every other study.

A log is a Parquet file with a row per epoch; what was searched and how is JSON in its footer, under `sharing`. Where a
table has the truth of the space on these images, the seeds of a method are a study, one for each of the two hand-offs
of the operator none: each derivation is a result, at measured seconds, and the incumbent from then on, whether it is
better than the one before or not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import numpy as np
import pyarrow as pa
import torch

from harness import registry
from harness.arrays import Floats
from harness.errors import HarnessError
from harness.rules import Rules
from harness.sharing.method import Statistics
from harness.sharing.scores import Scorer
from harness.sharing.search import Derived, Row, SharedSearch
from harness.spaces import SKIPS, published
from harness.studies.evaluate import versions
from harness.studies.outcome import Outcome
from harness.studies.records import Columns, Footer, file_name
from harness.studies.runs import Single
from harness.studies.store import SEARCHES
from harness.studies.study import Study
from harness.table import Table
from harness.train import checkpoint as checkpoints
from harness.train.images import ImageSet
from harness.trajectory import PACE_TIMES, Trajectory


class Log(NamedTuple):
    """A finished search of one seed."""

    search: SharedSearch
    rows: list[Row]


_NUMBERS = ("seconds", "scoring", "train_loss", "train_accuracy")
_TEXTS = ("derived", "without", "distribution")


class _Footer(TypedDict):
    sharing: SharedSearch


class LogForm(Single[SharedSearch, Log]):
    """A row for each epoch; what was derived, and the distribution, are JSON."""

    what = "the log of a search by weight sharing"
    marks = "sharing"
    again = "if it is damaged, move it away; the search begins anew."
    makes = "`harness search --method` writes logs."
    footer = _Footer
    columns = pa.schema(
        {"epoch": pa.int64(), **dict.fromkeys(_NUMBERS, pa.float64()), **dict.fromkeys(_TEXTS, pa.string())}
    )

    timed = ("seconds", "scoring")

    def title(self, result: Log) -> str:
        return f"seed {result.search.seed} of {result.search.method} on {result.search.space}"

    def name(self, job: SharedSearch) -> str:
        return file_name(job.space, job.images, job.method, str(job.seed), job.id)

    def pack(self, result: Log) -> tuple[str, Columns, Footer]:
        rows = [row.to_json() for row in result.rows]
        columns = {name: [row[name] for row in rows] for name in ("epoch", *_NUMBERS)}
        texts = {name: [json.dumps(row[name]) for row in rows] for name in _TEXTS}
        return result.search.id, {**columns, **texts}, {"sharing": result.search.to_json()}

    def unpack(self, columns: Columns, footer: Footer) -> tuple[str, Log]:
        search: SharedSearch = footer["sharing"]
        numbers = {name: columns[name].tolist() for name in ("epoch", *_NUMBERS)}
        texts = {name: [json.loads(text) for text in columns[name].tolist()] for name in _TEXTS}
        whole = {**numbers, **texts}
        rows = [Row.from_json({name: whole[name][i] for name in whole}) for i in range(len(numbers["epoch"]))]
        return search.id, Log(search, rows)


FORM = LogForm()


def path(folder: Path, search: SharedSearch) -> Path:
    """The log of a search in a folder of results."""
    return folder / SEARCHES / FORM.name(search)


def checkpoint_path(folder: Path, search: SharedSearch) -> Path:
    """The checkpoint of one that is not finished: of this space, method and seed, whatever else is asked for."""
    name = f"{search.space.replace('/', '-')}.{search.images}.{search.method}.{search.seed}.pt"
    return folder / SEARCHES / ".unfinished" / name


def weights_path(folder: Path, search: SharedSearch) -> Path:
    """The trained weights of a finished search, beside its log in a folder of results."""
    return folder / SEARCHES / "weights" / f"{search.id}.pt"


def scorer_of(
    search: SharedSearch, images: ImageSet, weights: Path, device: torch.device, statistics: Statistics | None = None
) -> Scorer:
    """Scores by the kept `weights` of a search, on a device that has its `images`; `statistics` in place of its own.

    Raises HarnessError where the weights are missing or of another search.
    """
    if not weights.exists():
        raise HarnessError(
            f"the weights of {search.method} with seed {search.seed} are not at {weights}.",
            "searches of earlier versions did not keep them: move the log away and search again.",
        )
    net = search.supernet(images)
    net.load_state_dict(checkpoints.load(weights, search, torch.device("cpu"))["network"])
    net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    net.eval().statistics = statistics or search.statistics
    return Scorer(net, images, net.statistics)


def write(target: Path, log: Log) -> None:
    """Write a log, whole or not at all. Raises HarnessError if that cannot be done."""
    FORM.write(log, target)


def read(source: Path) -> Log:
    """The log at `source`. Raises HarnessError if it cannot be read."""
    return FORM.read(source)


def table_of(space: str, images: str) -> Table | None:
    """The benchmark that has the truth of a space on an image set, named SPACE/IMAGES; None if there is none here."""
    name = f"{space}/{images}"
    if name not in registry.benchmark_facts() or not registry.present(name):
        return None
    return registry.benchmark(name)


class Moment(NamedTuple):
    """When an architecture was found, with which one-shot loss, and whether it is the incumbent from then on."""

    seconds: float
    codes: tuple[int, ...]
    loss: float
    incumbent: bool


def study(logs: Sequence[Log], table: Table, *, none: bool) -> Outcome:
    """The searches of one method, one log for each of consecutive seeds, as a study of `table`.

    With `none` what was derived may have the operator none. The study's source stands for everything that decides the
    searches but their seeds.
    """
    found = [[(row, d) for row in log.rows if (d := row.derived if none else row.without)] for log in logs]
    moments = [[Moment(row.seconds, d.codes, 1.0 - d.accuracy, True) for row, d in one] for one in found]
    first = logs[0].search
    params, source = {**first.params, "none": none}, {**first.to_json(), "seed": None}
    ended = [log.rows[-1].seconds for log in logs]
    return outcome([log.search for log in logs], table, params, source, moments, ended)


def outcome(
    searches: Sequence[SharedSearch],
    table: Table,
    params: dict[str, Any],
    source: dict[str, Any],
    moments: Sequence[Sequence[Moment]],
    ended: Sequence[float] | None = None,
) -> Outcome:
    """What the searches of consecutive seeds found, as a study of `table`; `ended` at the last moment unless given."""
    seeds = np.array([search.seed for search in searches])
    space = published(searches[0].space).space
    flat = [(i, moment) for i, one in enumerate(moments) for moment in one]
    codes = np.stack([table.space.from_dict(space.to_dict(np.array(moment.codes))) for _, moment in flat])
    times = np.array([moment.seconds for _, moment in flat])
    ends = np.array([one[-1].seconds for one in moments] if ended is None else ended)
    trajectory = Trajectory(
        seeds=seeds,
        seed=np.array([i for i, _ in flat]),
        time=times,
        evaluation=np.concatenate([np.arange(1, len(one) + 1) for one in moments]),
        row=table.rows(codes),
        fidelity=np.full(len(flat), len(table.fidelities) - 1),
        repeat=np.zeros(len(flat), dtype=np.int64),
        loss=np.array([moment.loss for _, moment in flat]),
        incumbent=np.array([moment.incumbent for _, moment in flat]),
        evaluations=np.array([len(one) for one in moments]),
        ended=ends,
        finished=np.zeros(len(searches), dtype=np.bool_),
        pace=np.searchsorted(np.sort(times), PACE_TIMES, side="right"),
    )
    rules = Rules(evals=max(len(one) for one in moments), noise="mean", incumbent="any", log="all")
    method, digest = searches[0].method, hashlib.sha256(json.dumps(source, sort_keys=True).encode()).hexdigest()[:16]
    of = Study(table.name, table.checksum, method, params, digest, int(seeds[0]), int(seeds[-1]) + 1, rules)
    return Outcome.of(of, table, trajectory, float(ends.sum()), _versions())


def _versions() -> dict[str, str]:
    return {**versions(), "torch": torch.__version__}


def skips(log: Log, row: Row) -> float:
    """Mean probability of a skip connection over the decisions, after an epoch."""
    decisions = published(log.search.space).decisions
    shares = [
        [p for p, name in zip(*pair, strict=False) if name in SKIPS]
        for pair in zip(row.distribution, decisions, strict=True)
    ]
    return float(np.mean([sum(found) for found in shares]))


def collapsed(space: str, derived: Derived) -> bool:
    """Whether an architecture has skip connections, or nothing, wherever it may."""
    parameters = published(space).space.parameters
    names = [str(p.values[code]) for p, code in zip(parameters, derived.codes, strict=True) if {*p.values} & {*SKIPS}]
    return bool(names) and {*names} <= {*SKIPS, "none"}


def travelled(row: Row) -> Floats:
    """How far the distribution has come from the uniform one, total variation of each decision, Float[d]."""
    p = np.array(row.distribution)
    uniform = (p > 0) / (p > 0).sum(axis=1, keepdims=True)
    return np.asarray(np.abs(p - uniform).sum(axis=1) / 2)
