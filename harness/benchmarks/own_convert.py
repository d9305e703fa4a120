"""Conversion of tables of your own: the TOML file that describes one, checked, and its columns as arrays."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from harness.arrays import Floats, Ints
from harness.benchmarks import Converted, Progress, check
from harness.benchmarks.columns import Columns
from harness.benchmarks.own import table
from harness.errors import HarnessError, unknown
from harness.spaces import names, published
from harness.table import Facts, repeats_in_order

_SECTIONS = {
    "parameters": None,
    "validation": ("column", "goal"),
    "test": ("column", "goal"),
    "cost": ("column",),
    "fidelity": ("name", "column", "separate"),
    "repeat": ("column",),
}
_TEXTS = ("name", "title", "citation", "licence", "url", "splits", "images", "space", "file", "budget")
_KINDS = ("categorical", "integer", "float")
NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


@dataclass(frozen=True)
class Description:
    """A TOML file, checked for what it must have and for what nobody knows."""

    path: Path
    values: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> Description:
        try:
            values = tomllib.loads(path.read_text())
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise HarnessError(f"{path} is not a readable TOML file: {error}.") from None
        found = cls(path, values)
        for key, value in values.items():
            if key not in (*_TEXTS, *_SECTIONS):
                raise unknown(f"key in {path}", key, (*_TEXTS, *_SECTIONS))
            found._check(key, value)
        for key in ("name", "citation", "file", "validation"):
            if key not in values:
                raise found.error(f"has no '{key}'")
        if "parameters" not in values and "space" not in values:
            raise found.error("has no 'parameters'")
        if "space" in values:
            found._check_space()
        for section in ("validation", "test", "cost"):
            if found.column("fidelity") is not None and "{" in (found.column(section) or ""):
                raise found.error(f"has both a fidelity column and the curve columns of [{section}]")
        if not NAME.fullmatch(values["name"]):
            raise found.error(f"names the table '{values['name']}'", "use small letters, digits, - and _.")
        return found

    def _check(self, key: str, value: Any) -> None:
        if key == "budget":
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
                raise self.error(f"has the budget {value}", "give a positive number of seconds.")
        elif key in _TEXTS:
            if not isinstance(value, str):
                raise self.error(f"has '{key}' that is not a text")
        elif not isinstance(value, dict):
            raise self.error(f"has '{key}' that is not a section", f"write [{key}] and its keys below.")
        elif (allowed := _SECTIONS[key]) is not None:
            for name, setting in value.items():
                if name not in allowed:
                    raise unknown(f"key of [{key}] in {self.path}", name, allowed)
                if not isinstance(setting, bool if name == "separate" else str):
                    raise self.error(f"has [{key}] {name} = {setting!r}")
            if "column" not in value and key != "fidelity":
                raise self.error(f"has no column in [{key}]")
            if value.get("goal", "minimize") not in ("minimize", "maximize"):
                raise self.error(f"has the goal '{value['goal']}' in [{key}]", "it is minimize or maximize.")

    def _check_space(self) -> None:
        if self.values["space"] not in names():
            raise unknown(f"space in {self.path}", self.values["space"], names())
        if "parameters" in self.values:
            raise self.error("has both 'space' and [parameters]", "a published space has its own: leave one out.")

    def error(self, what: str, hint: str = "") -> HarnessError:
        return HarnessError(f"{self.path} {what}.", hint or "docs/your-own-table.md has an example.")

    def column(self, section: str) -> str | None:
        """The column, or the pattern of columns, that a section names."""
        found: str | None = self.values.get(section, {}).get("column")
        return found

    def negated(self, section: str) -> bool:
        """Whether the metric is to be maximised: its loss is the negative."""
        return bool(self.values[section].get("goal", "minimize") == "maximize")


def convert(files: Sequence[Path], progress: Progress) -> Iterator[Converted]:
    """The table that a TOML file describes."""
    for path in files:
        description = Description.read(path)
        columns = Columns(path.parent / description.values["file"])
        progress(0, columns.path.stat().st_size)
        name, arrays, about = converted(description, columns)
        check(columns.path, partial(table, about, arrays, ""))
        progress(columns.path.stat().st_size, columns.path.stat().st_size)
        yield name, arrays, about


def converted(description: Description, columns: Columns) -> Converted:
    """The table that `description` makes of `columns`."""
    of = description.values.get("space")
    make = _parameters if of is None else _published
    parameters, codes_of_line = make(description, columns)
    configurations, config = np.unique(codes_of_line, axis=0, return_inverse=True)
    repeats, repeat = np.unique(_integers(description, columns, "repeat"), return_inverse=True)
    curves = {section: _metric(description, columns, section) for section in ("validation", "test", "cost")}
    fidelities, loss_lines = curves["validation"]
    _check_curves(description, columns, curves, fidelities, loss_lines)
    long = description.column("fidelity") is not None
    if long:
        fidelities, fidelity = np.unique(_integers(description, columns, "fidelity"), return_inverse=True)
    else:
        fidelity = np.zeros(columns.length, dtype=np.int64)
    _refuse_duplicates(columns, np.stack([config, fidelity, repeat], axis=1))

    def placed(lines: Floats) -> Floats:
        """Float[N, F, R] out of the lines' numbers Float[lines, F], or Float[lines, 1] of long rows."""
        width = len(fidelities) if long else lines.shape[1]
        full = np.full((len(configurations), width, len(repeats)), np.nan)
        if long:
            full[config, fidelity, repeat] = lines[:, 0]
        else:
            full[config, :, repeat] = lines
        return full

    loss = placed(loss_lines)
    cost = np.ones_like(loss) if curves["cost"][1] is None else placed(curves["cost"][1])
    test = None if curves["test"][1] is None else placed(curves["test"][1])
    arrays = {"codes": configurations, "fidelities": fidelities, **_ordered(loss, cost, test)}
    facts = _facts(description, arrays)
    space = math.prod(len(p["values"]) for p in parameters)
    absent = int(np.isnan(arrays["loss"]).all(axis=2).sum())
    counted = f"{len(configurations):,} of {space:,} configurations, {absent:,} of their entries without a loss"
    about = {"facts": asdict(facts), "parameters": parameters, "counted": counted}
    return facts.name, arrays, about | ({"space": of} if of else {})


def _parameters(description: Description, columns: Columns) -> tuple[list[dict[str, Any]], Ints]:
    """Name, values and kind of each parameter, and the codes of each line, Int[lines, d]."""
    section = description.values["parameters"]
    if not section:
        raise description.error("has no parameters")
    parameters, codes = [], []
    for name, kind in section.items():
        if isinstance(kind, list):
            values, code = columns.listed(name, kind)
        elif kind in _KINDS:
            values, code = columns.distinct(name, kind)
        else:
            raise description.error(
                f"gives parameter '{name}' the kind {kind!r}", f"it is {', '.join(_KINDS)}, or a list of its values."
            )
        parameters.append(
            {"name": name, "values": values, "kind": "categorical" if kind == "categorical" else "ordinal"}
        )
        codes.append(code)
    if math.prod(len(p["values"]) for p in parameters) >= 1 << 63:
        raise description.error("has a space of more than 2^63 configurations", "leave parameters out.")
    return parameters, np.stack(codes, axis=1)


def _published(description: Description, columns: Columns) -> tuple[list[dict[str, Any]], Ints]:
    """Like `_parameters`, of a published space.

    Where each cell is one configuration, only those values stay that occur, the same in columns of the same values.
    """
    of = published(description.values["space"])
    space, finder = of.space, of.finder
    whole = np.stack([columns.listed(p.name, [*p.values])[1] for p in space.parameters], axis=1)
    parameters, codes = [], []
    for p, column in zip(space.parameters, whole.T, strict=True):
        alike = [q.values == p.values for q in space.parameters]
        used = np.unique(whole[:, alike]) if finder is None else np.arange(len(p.values))
        parameters.append({"name": p.name, "values": [p.values[code] for code in used], "kind": p.kind})
        codes.append(np.searchsorted(used, column))
    return parameters, np.stack(codes, axis=1)


def _integers(description: Description, columns: Columns, section: str) -> Ints:
    """The whole numbers of the column that a section names, Int[lines]; zeros without one."""
    name = description.column(section)
    if name is None:
        return np.zeros(columns.length, dtype=np.int64)
    values, code = columns.distinct(name, "categorical" if section == "repeat" else "integer")
    return code if section == "repeat" else np.array(values, dtype=np.int64)[code]


def _metric(description: Description, columns: Columns, section: str) -> tuple[Ints, Any]:
    """Fidelities Int[F] of a metric's columns and its losses Float[lines, F]; a single column has the fidelity 1."""
    pattern = description.column(section)
    if pattern is None:
        return np.array([1]), None
    sign = -1.0 if section != "cost" and description.negated(section) else 1.0
    if "{" not in pattern:
        return np.array([1]), sign * columns.numbers(pattern)[:, None]
    fidelities, names = columns.matching(pattern)
    return fidelities, sign * np.stack([columns.numbers(name) for name in names], axis=1)


def _check_curves(
    description: Description, columns: Columns, curves: Mapping[str, Any], fidelities: Ints, loss: Floats
) -> None:
    """Metrics have to fit together, and every loss needs a cost."""
    long = description.column("fidelity") is not None
    for section, (own, values) in curves.items():
        if values is None:
            continue
        last_only = section == "test" and values.shape[1] == 1
        if not long and not last_only and not np.array_equal(own, fidelities):
            raise description.error(
                f"has other fidelities in [{section}] than in [validation]", "each needs the same curve columns."
            )
    cost = curves["cost"][1]
    if cost is not None:
        bad = np.argwhere(np.isfinite(loss) & ~(cost >= 0))
        if len(bad):
            pattern = str(description.column("cost"))
            name = re.sub(r"\{.*?\}", str(fidelities[bad[0, 1]]), pattern)
            raise columns.error(name, int(bad[0, 0]), "is not a number of seconds, though there is a loss")


def _refuse_duplicates(columns: Columns, keys: Ints) -> None:
    _, first, group = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    again = np.flatnonzero(first[group] != np.arange(len(keys)))
    if len(again):
        raise HarnessError(
            f"rows {first[group[again[0]]] + 1} and {again[0] + 1} of {columns.path} are the same configuration, "
            f"fidelity and repeat ({len(again):,} duplicates).",
            "name the column that tells repeats apart: [repeat] column = ...",
        )


def _ordered(loss: Floats, cost: Floats, test: Floats | None) -> dict[str, Floats]:
    """The metrics with the repeats that exist first, each in its place along the fidelities where that is possible."""
    order = np.broadcast_to(repeats_in_order(loss), loss.shape)
    order = np.take_along_axis(
        order, np.argsort(np.isnan(np.take_along_axis(loss, order, axis=2)), axis=2, kind="stable"), axis=2
    )
    found = {"loss": np.take_along_axis(loss, order, axis=2), "cost": np.take_along_axis(cost, order, axis=2)}
    if test is not None:
        found["test"] = np.take_along_axis(test, order[:, -test.shape[1] :], axis=2)
    return found


def _facts(description: Description, arrays: Mapping[str, Any]) -> Facts:
    values = description.values
    mean_cost = float(np.nanmean(arrays["cost"][:, -1]))

    def words(section: str) -> str:
        column = re.sub(r"_?\{.*?\}", "", str(description.column(section)))
        return f"{column}, negated" if description.negated(section) else column

    return Facts(
        name=f"own/{values['name']}",
        title=values.get("title", values["name"]),
        citation=values["citation"],
        url=values.get("url", "none given"),
        licence=values.get("licence", "none given"),
        loss=words("validation"),
        cost=f"{description.column('cost')} (s)" if "cost" in values else "1 per evaluation: the table has no costs",
        fidelity=values.get("fidelity", {}).get("name") or description.column("fidelity") or "fidelity",
        budget=float(values.get("budget", 200 * mean_cost)),
        splits=values.get("splits", "none given"),
        images=values.get("images", ""),
        test=words("test") if "test" in values else "",
        separate=values.get("fidelity", {}).get("separate", False),
    )
