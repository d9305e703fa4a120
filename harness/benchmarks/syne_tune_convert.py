"""Conversion of a folder that `syne_tune.blackbox_repository` serialised: each of its tasks is a table.

A tabular blackbox has all of `_PARTS`: the hyper-parameters of N configurations, objectives Float32[task, N, seed,
fidelity, objective], and what they are called. A blackbox of offline evaluations has a Parquet file of long rows for
each task in their place.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.arrays import Floats, Ints
from harness.benchmarks import Converted, Progress, check
from harness.benchmarks.columns import Columns
from harness.benchmarks.own_convert import clock, converted, cost_words, grouped, ordered, scaled
from harness.benchmarks.own_description import Description
from harness.benchmarks.own_table import table
from harness.errors import HarnessError
from harness.files import reading
from harness.table import Facts

_SPACE, _META = "configspace.json", "metadata.json"
_PARTS = (_SPACE, _META, "hyperparameters.parquet", "objectives_evaluations.npy", "fidelities_values.npy")
_HIGHER = re.compile(r"acc|auc|f1|r2|precision|recall|score|bleu", re.IGNORECASE)
_LOWER = re.compile(r"err|loss|mse|mae|nll|perplexity|regret|risk|rank", re.IGNORECASE)
_WHAT = "a part of a folder of Syne Tune's blackbox repository"
_AGAIN = "load the folder again."


@dataclass(frozen=True)
class _Folder:
    """What the JSON files of a folder say."""

    path: Path
    space: Mapping[str, Any]
    fidelity: str
    metadata: Mapping[str, Any]

    @property
    def objectives(self) -> list[str]:
        return [*self.metadata["objectives_names"]]

    @property
    def tasks(self) -> list[str]:
        return [*self.metadata["task_names"]]

    @property
    def loss(self) -> str:
        """The objective that the metadata call the default; the only one where there is one besides the time."""
        named = self.metadata.get("metric_default")
        others = [name for name in self.objectives if name not in (self.seconds, "metric_elapsed_time")]
        if named in self.objectives or len(others) == 1:
            return str(named if named in self.objectives else others[0])
        raise HarnessError(
            f"{self.path / _META} does not say which of {', '.join(others)} is the objective.",
            'add it: "metric_default": "..."',
        )

    @property
    def seconds(self) -> str | None:
        """The objective that is the time since the start of a training, if there is one."""
        named = self.metadata.get("metric_elapsed_time", "metric_elapsed_time")
        return str(named) if named in self.objectives else None

    @property
    def test(self) -> str | None:
        """The objective that is called like the loss, with test in place of validation."""
        found = re.sub(r"valid(ation)?|val", "test", self.loss)
        return found if found != self.loss and found in self.objectives else None

    def highest(self) -> bool:
        """Whether the loss is the negative of the objective. Raises HarnessError where its name does not tell."""
        higher, lower = _HIGHER.search(self.loss), _LOWER.search(self.loss)
        if bool(higher) == bool(lower):
            raise HarnessError(
                f"whether '{self.loss}' in {self.path} is to be minimised cannot be told from its name.",
                f"rename it in {_META}: ..._error or ..._accuracy.",
            )
        return higher is not None

    def stored(self, task: str) -> str:
        """The name of a task's table."""
        return "syne-tune/" + re.sub(r"[^A-Za-z0-9_-]+", "-", f"{self.path.resolve().name}-{task}")


def convert(files: Sequence[Path], progress: Progress) -> Iterator[Converted]:
    """The tables of all tasks of the folders `files`. Raises HarnessError for a folder with parts missing."""
    for path in files:
        if not path.is_dir():
            raise HarnessError(f"{path} is not a folder.", "name the folder that has metadata.json.")
        offline = sorted(path.glob("data-*.parquet"))
        missing = [name for name in (_PARTS[:2] if offline else _PARTS) if not (path / name).is_file()]
        if missing:
            raise HarnessError(f"{path} lacks {', '.join(missing)} of a blackbox of Syne Tune.", _AGAIN)
        folder = _folder(path)
        yield from _offline(folder, progress) if offline else _tabular(folder, progress)


def _folder(path: Path) -> _Folder:
    found = {}
    for name in (_SPACE, _META, "fidelityspace.json"):
        if name != "fidelityspace.json" or (path / name).exists():
            with reading(path / name, _WHAT, _AGAIN):
                found[name] = json.loads((path / name).read_text(encoding="utf-8"))
                if not isinstance(found[name], dict):
                    raise TypeError("it is not an object")
    with reading(path / _META, _WHAT, _AGAIN):
        for key in ("objectives_names", "task_names"):
            if not (isinstance(found[_META][key], list) and all(isinstance(n, str) for n in found[_META][key])):
                raise TypeError(f"{key} is not a list of texts")
    fidelity = next(iter(found.get("fidelityspace.json", {})), "")
    return _Folder(path, found[_SPACE], fidelity, found[_META])


def _array(path: Path) -> NDArray[Any]:
    with reading(path, _WHAT, _AGAIN):
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def _tabular(folder: _Folder, progress: Progress) -> Iterator[Converted]:
    columns = Columns(folder.path / "hyperparameters.parquet")
    values, objectives = _array(folder.path / _PARTS[4]), _array(folder.path / _PARTS[3])
    expected = (len(folder.tasks), columns.length, len(values), len(folder.objectives))
    if objectives.ndim != 5 or (*objectives.shape[:2], *objectives.shape[3:]) != expected:
        raise HarnessError(
            f"{folder.path / _PARTS[3]} has the shape {objectives.shape}; {expected[0]} tasks, {expected[1]} "
            f"configurations, {expected[2]} fidelities and {expected[3]} objectives were expected.",
            _AGAIN,
        )
    parameters, codes = _parameters(folder, columns)
    configurations, group = grouped(codes, [len(p["values"]) for p in parameters])
    if len(configurations) != columns.length:
        raise HarnessError(f"{columns.path} has a configuration twice.", _AGAIN)
    rows = np.argsort(group)
    with reading(folder.path / _PARTS[4], _WHAT, _AGAIN):
        fidelities, scale = scaled(folder.path / _PARTS[4], [Decimal(str(value)) for value in values])
    order = np.argsort(fidelities)
    size = objectives.nbytes
    for at, task in enumerate(folder.tasks):
        progress(size * at // len(folder.tasks), size)
        found = np.asarray(objectives[at][rows][:, :, order], dtype=np.float64)
        yield _table(folder, task, parameters, configurations, fidelities[order], scale, found)
    progress(size, size)


def _table(
    folder: _Folder,
    task: str,
    parameters: list[dict[str, Any]],
    codes: Ints,
    fidelities: Ints,
    scale: int,
    found: Floats,
) -> Converted:
    """A task's table out of its objectives `found` Float[N, seed, F, objective]."""
    name = folder.stored(task)
    sign = -1.0 if folder.highest() else 1.0
    by_name = {o: found[..., i].transpose(0, 2, 1) for i, o in enumerate(folder.objectives)}
    loss = np.where(np.isfinite(by_name[folder.loss]), sign * by_name[folder.loss], np.nan)
    measured = np.flatnonzero(np.isfinite(loss).any(axis=(0, 2)))
    if not len(measured):
        raise HarnessError(f"the task {task} of {folder.path} has no '{folder.loss}' at all.", _AGAIN)
    upto = slice(int(measured[-1]) + 1)
    axis = folder.fidelity or "fidelity"
    seconds = None if folder.seconds is None else by_name[folder.seconds]
    cost, unit = clock(seconds, ~np.isnan(loss), fidelities / scale, axis)
    if (cost < np.fmax.accumulate(cost, axis=1)).any():
        raise HarnessError(
            f"the task {task} of {folder.path}: '{folder.seconds}' falls along a curve, so it is not the time since "
            "the start.",
            _AGAIN,
        )
    test = None if folder.test is None else sign * by_name[folder.test][:, upto]
    used = (folder.loss, folder.seconds, folder.test)
    others = [o for o in folder.objectives if o not in used]
    arrays: dict[str, Any] = {"codes": codes, "fidelities": fidelities[upto]}
    arrays |= ordered(loss[:, upto], cost[:, upto], test)
    if others:
        last = [by_name[o][:, upto][:, -1] for o in others]
        known = [np.isfinite(values) for values in last]
        arrays["columns"] = np.stack(
            [
                np.where(
                    there.any(axis=1), np.where(there, v, 0).sum(axis=1) / np.maximum(1, there.sum(axis=1)), np.nan
                )
                for v, there in zip(last, known, strict=True)
            ],
            axis=1,
        )
    space = math.prod(len(p["values"]) for p in parameters)
    sampled = len(codes) < space
    facts = Facts(
        name=name,
        title=f"{task} of {folder.path.resolve().name}, in Syne Tune's blackbox repository",
        citation="Salinas et al. Syne Tune. AutoML 2022; and the paper whose numbers these are",
        url="https://github.com/syne-tune/syne-tune",
        licence="that of the numbers' authors",
        loss=f"{folder.loss}, negated" if sign < 0 else folder.loss,
        cost=cost_words(folder.seconds, unit),
        fidelity=axis if scale == 1 else f"{axis} in 1/{scale}",
        budget=200 * float(np.nanmean(arrays["cost"][:, -1])),
        splits="those of the numbers' authors"
        + ("; a sample of its space: a proposal is answered by the nearest configuration that was trained" * sampled),
        test=(f"{folder.test}, negated" if sign < 0 else folder.test) if folder.test else "",
        ratios=False,
        unit=unit,
    )
    absent = int(np.isnan(arrays["loss"]).all(axis=2).sum())
    counted = f"{len(codes):,} of {space:.4g} configurations, {absent:,} of their entries without a loss"
    about: dict[str, Any] = {"facts": asdict(facts), "parameters": parameters, "counted": counted, "columns": others}
    about |= {"sampled": True} if sampled else {}
    check(folder.path / _PARTS[3], partial(table, about, arrays, ""))
    return name, arrays, about


def _parameters(folder: _Folder, columns: Columns) -> tuple[list[dict[str, Any]], Ints]:
    """Name, values and kind of each hyper-parameter, and the codes of each row, Int[N, d]."""
    parameters, codes = [], []
    for name, kind in _kinds(folder).items():
        if isinstance(kind, list):
            listed, code = columns.listed(name, kind)
            used = np.unique(code)
            values, code = [listed[i] for i in used], np.searchsorted(used, code)
        else:
            values, code = columns.distinct(name, kind)
        domain = folder.space[name]
        categorical = isinstance(domain, Mapping) and domain["domain_cls"] == "Categorical"
        parameters.append({"name": name, "values": values, "kind": "categorical" if categorical else "ordinal"})
        codes.append(code)
    return parameters, np.stack(codes, axis=1)


def _kinds(folder: _Folder) -> dict[str, Any]:
    """What each hyper-parameter is in a table of one's own: a kind, or the list of its values."""
    found: dict[str, Any] = {}
    with reading(folder.path / _SPACE, _WHAT, _AGAIN):
        for name, domain in folder.space.items():
            if not isinstance(domain, Mapping):
                found[name] = [domain]
            else:
                kind, given = domain["domain_cls"], domain["domain_kwargs"]
                found[name] = [*given["categories"]] if "categories" in given else "float"
                if kind == "Integer" or (kind == "FiniteRange" and given.get("cast_int")):
                    found[name] = "integer"
        if not found:
            raise ValueError("it has no hyper-parameter")
    return found


def _offline(folder: _Folder, progress: Progress) -> Iterator[Converted]:
    """Long rows, as of a table of one's own."""
    for done, task in enumerate(folder.tasks):
        progress(done, len(folder.tasks))
        goal = "maximize" if folder.highest() else "minimize"
        said: dict[str, Any] = {
            "name": re.sub(r"[^a-z0-9_-]+", "-", task.lower()),
            "title": f"{task} of {folder.path.resolve().name}, in Syne Tune's blackbox repository",
            "citation": "Salinas et al. Syne Tune. AutoML 2022; and the paper whose numbers these are",
            "url": "https://github.com/syne-tune/syne-tune",
            "sampled": True,
            "parameters": _kinds(folder),
            "validation": {"column": folder.loss, "goal": goal},
            **({"test": {"column": folder.test, "goal": goal}} if folder.test else {}),
            **({"cost": {"column": folder.seconds}} if folder.seconds else {}),
            **({"fidelity": {"column": folder.fidelity}} if folder.fidelity else {}),
            **({"repeat": {"column": folder.metadata["seed_col"]}} if folder.metadata.get("seed_col") else {}),
        }
        columns = Columns(folder.path / f"data-{task}.parquet")
        _, arrays, about = converted(Description(folder.path / _META, said), columns)
        about = {**about, "facts": {**about["facts"], "name": folder.stored(task)}}
        check(columns.path, partial(table, about, arrays, ""))
        yield folder.stored(task), arrays, about
