"""Conversion of tables of your own: the columns that a TOML file describes, as arrays."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from harness.arrays import Bools, Floats, Ints
from harness.benchmarks import Converted, Progress, check
from harness.benchmarks.columns import Columns
from harness.benchmarks.own_description import Description
from harness.benchmarks.own_table import table
from harness.errors import HarnessError
from harness.spaces import published
from harness.table import Facts, repeats_in_order

_KINDS = ("categorical", "integer", "float")
_TINY = 1e-3
"""The share of a space below which a user is told that proposals will hardly ever be in the table."""


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


@dataclass(frozen=True)
class _Places:
    """Where each line of the file stands in the table: Int[lines], or a whole row of fidelities where `long` is False.

    `fidelities` Int[F] are whole numbers, each of them `1 / scale` of the axis.
    """

    long: bool
    configuration: Ints
    fidelity: Ints
    repeat: Ints
    shape: tuple[int, int, int]
    fidelities: Ints
    scale: int

    def fill(self, lines: Floats) -> Floats:
        """Float[N, F, R] out of the lines' numbers Float[lines, F], or Float[lines, 1] of long rows."""
        count, width, repeats = self.shape
        full = np.full((count, width if self.long else lines.shape[1], repeats), np.nan)
        if self.long:
            full[self.configuration, self.fidelity, self.repeat] = lines[:, 0]
        else:
            full[self.configuration, :, self.repeat] = lines
        return full

    def line(self, configuration: int, fidelity: int, repeat: int) -> int:
        """The line that holds an entry of the table."""
        found = (self.configuration == configuration) & (self.repeat == repeat)
        return int(((self.fidelity == fidelity) & found if self.long else found).argmax())


def converted(description: Description, columns: Columns) -> Converted:
    """The table that `description` makes of `columns`."""
    of = description.values.get("space")
    make = _parameters if of is None else _published
    parameters, codes_of_line = make(description, columns)
    curves = {section: _metric(description, columns, section) for section in ("validation", "test", "cost")}
    _check_curves(description, columns, curves)
    configurations, config = grouped(codes_of_line, [len(p["values"]) for p in parameters])
    places = _placed(description, columns, config, len(configurations), curves["validation"][0])
    lines = curves["validation"][1]
    loss, tried = places.fill(lines), ~np.isnan(places.fill(np.ones_like(lines)))
    seconds = None if curves["cost"][1] is None else places.fill(curves["cost"][1])
    axis = description.values.get("fidelity", {}).get("name") or description.column("fidelity") or "fidelity"
    cost, unit = clock(seconds, tried, places.fidelities / places.scale, axis)
    test = None if curves["test"][1] is None else places.fill(curves["test"][1])
    _check_entries(description, columns, places, loss, cost)
    arrays = {"codes": configurations, "fidelities": places.fidelities, **ordered(loss, cost, test)}
    facts = _facts(description, arrays, axis if places.scale == 1 else f"{axis} in 1/{places.scale}", unit)
    about: dict[str, Any] = {
        "facts": asdict(facts),
        "parameters": parameters,
        "counted": _counted(description, arrays, parameters),
    }
    if description.values.get("sampled"):
        about["sampled"] = True
    return facts.name, arrays, about | ({"space": of} if of else {})


def _counted(description: Description, arrays: Mapping[str, Any], parameters: Sequence[Mapping[str, Any]]) -> str:
    """What a user is told of an imported table."""
    there, space = len(arrays["codes"]), math.prod(len(p["values"]) for p in parameters)
    lost = np.isnan(arrays["loss"]).all(axis=2)
    charged = int((lost & np.isfinite(arrays["cost"]).any(axis=2)).sum())
    known = f"{space:,}" if space < 1e15 else f"{space:.1e}"
    words = f"{there:,} of {known} configurations, {int(lost.sum()):,} of their entries without a loss"
    if charged:
        words += f" ({charged:,} at the cost that {'it' if charged == 1 else 'they'} had)"
    if description.values.get("sampled"):
        return f"{words}; a proposal is answered by the nearest of them"
    of = description.values.get("space")
    if there < _TINY * space and not (of and published(of).finder):
        hint = "sampled = true answers each by the nearest row"
        return f"{words}; of random proposals one in {space // there:,} is in the table: {hint}"
    return words


def _parameters(description: Description, columns: Columns) -> tuple[list[dict[str, Any]], Ints]:
    """Name, values and kind of each parameter, and the codes of each line, Int[lines, d]."""
    section = _expanded(description, columns)
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
    if math.prod(len(p["values"]) for p in parameters) >= 1 << 63 and not description.values.get("sampled"):
        raise description.error(
            "has a space of more than 2^63 configurations", "write sampled = true, or leave parameters out."
        )
    return parameters, np.stack(codes, axis=1)


def _expanded(description: Description, columns: Columns) -> dict[str, Any]:
    """The parameters, each pattern such as `op_*` replaced by the columns that it fits and nothing else names."""
    section = description.values["parameters"]
    taken = {*section, *description.named()}
    found = {}
    for name, kind in section.items():
        if "*" not in name or name in columns.names:
            found[name] = kind
            continue
        fitting = [column for column in columns.names if fnmatchcase(column, name) and column not in taken]
        if not fitting:
            raise description.error(f"has the pattern '{name}', which no column of {columns.path} fits")
        taken |= {*fitting}
        found |= dict.fromkeys(fitting, kind)
    return found


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


def grouped(codes: Ints, sizes: Sequence[int]) -> tuple[Ints, Ints]:
    """The distinct rows of `codes` Int[lines, d] in lexicographic order, and which of them each is, Int[lines]."""
    key, bound = np.zeros(len(codes), dtype=np.int64), 1
    for column, size in zip(codes.T, sizes, strict=True):
        if bound * size >= 1 << 63:
            distinct, key = np.unique(key, return_inverse=True)
            bound = len(distinct)
        key, bound = key * size + column, bound * size
    _, first, group = np.unique(key, return_index=True, return_inverse=True)
    return codes[first], group


def _placed(
    description: Description, columns: Columns, config: Ints, configurations: int, wide: Sequence[Decimal]
) -> _Places:
    """Where the lines stand, each of the configuration `config` Int[lines]; two in one place are an error."""
    column, repeats = description.column("fidelity"), description.values.get("repeat", {})
    fidelity = np.zeros(columns.length, dtype=np.int64)
    if column is not None:
        wide, fidelity = columns.decimals(column)
    if wide[0] < 0:
        raise description.error(f"has a fidelity below 0: {wide[0]}")
    fidelities, scale = scaled(description.path, wide)
    steps = len(fidelities) if column is not None else 1
    slot = config * steps + fidelity
    if "column" in repeats:
        written = columns.distinct(repeats["column"], "categorical", "names no repeat")[1]
        first, row, again = _twice(slot * (1 + int(written.max())) + written)
        if again:
            raise HarnessError(
                f"rows {first} and {row} of {columns.path} are the same configuration, fidelity and repeat "
                f"({again:,} duplicates)."
            )
        key = config * (1 + int(written.max())) + written
        distinct, of_line = np.unique(key, return_inverse=True)
        repeat = _within(distinct // (1 + int(written.max())))[of_line]
    elif repeats.get("rows"):
        repeat = _within(slot)
    else:
        first, row, again = _twice(slot)
        if again:
            raise HarnessError(
                f"rows {first} and {row} of {columns.path} are the same configuration and fidelity ({again:,} "
                "duplicates), and no column tells repeats apart.",
                "name it: [repeat] column = ...; where every row is a training of its own: [repeat] rows = true.",
            )
        repeat = np.zeros(columns.length, dtype=np.int64)
    shape = (configurations, len(fidelities), 1 + int(repeat.max()))
    return _Places(column is not None, config, fidelity, repeat, shape, fidelities, scale)


def _twice(key: Ints) -> tuple[int, int, int]:
    """The first two lines, from 1, that have the same `key` Int[lines], and how many lines repeat another."""
    order = np.argsort(key, kind="stable")
    again = order[1:][key[order[1:]] == key[order[:-1]]]
    if not len(again):
        return 0, 0, 0
    row = int(again.min())
    return int((key == key[row]).argmax()) + 1, row + 1, len(again)


def _within(group: Ints) -> Ints:
    """For each line its place among those of its group, in the order in which they stand, Int[lines]."""
    order = np.argsort(group, kind="stable")
    start = np.flatnonzero(np.diff(group[order], prepend=-1))
    place = np.empty_like(group)
    place[order] = np.arange(len(group)) - np.repeat(start, np.diff(start, append=len(group)))
    return place


def scaled(path: Path, values: Sequence[Decimal]) -> tuple[Ints, int]:
    """Fidelities as whole numbers Int[F] in units of `1 / scale`, the power of ten that makes all of them whole."""
    scale = 10 ** max(0, *(-int(value.normalize().as_tuple().exponent) for value in values))
    if max(values) * scale >= 1 << 53:
        raise HarnessError(f"{path} has fidelities of too many digits.", "round them.")
    return np.array([int(value * scale) for value in values], dtype=np.int64), scale


def _metric(description: Description, columns: Columns, section: str) -> tuple[list[Decimal], Any]:
    """Fidelities of a metric's columns and its losses Float[lines, F]; a single column has the fidelity 1."""
    pattern = description.column(section)
    if pattern is None:
        return [Decimal(1)], None
    sign = -1.0 if section != "cost" and description.negated(section) else 1.0
    if "{" not in pattern:
        return [Decimal(1)], sign * columns.numbers(pattern)[:, None]
    fidelities, names = columns.matching(pattern)
    return fidelities, sign * np.stack([columns.numbers(name) for name in names], axis=1)


def _check_curves(description: Description, columns: Columns, curves: Mapping[str, Any]) -> None:
    """Metrics have to fit together, and every loss needs a cost."""
    long = description.column("fidelity") is not None
    fidelities, loss = curves["validation"]
    for section, (own, values) in curves.items():
        if values is None:
            continue
        last_only = section == "test" and values.shape[1] == 1
        if not long and not last_only and own != fidelities:
            raise description.error(
                f"has other fidelities in [{section}] than in [validation]", "each needs the same curve columns."
            )
    cost = curves["cost"][1]
    if cost is not None:
        bad = np.argwhere((np.isfinite(loss) & np.isnan(cost)) | (cost < 0))
        if len(bad):
            line, at = (int(i) for i in bad[0])
            name = _name(description, columns, "cost", at)
            there = ", though there is a loss" if np.isnan(cost[line, at]) else ""
            raise columns.error(name, line, f"is not a number of seconds{there}")


def _name(description: Description, columns: Columns, section: str, fidelity: int) -> str:
    """The column of a metric at a fidelity given by its index."""
    pattern = str(description.column(section))
    return columns.matching(pattern)[1][fidelity] if "{" in pattern else pattern


def _check_entries(description: Description, columns: Columns, places: _Places, loss: Floats, cost: Floats) -> None:
    """There are losses at the largest fidelity, and a training that goes on costs no less than before."""
    if not np.isfinite(loss[:, -1]).any():
        name = _name(description, columns, "validation", loss.shape[1] - 1)
        at = f"column '{name}'"
        if places.long:
            at += f" at the largest {description.column('fidelity')}, {places.fidelities[-1] / places.scale:g},"
        raise HarnessError(
            f"{columns.path}, {at} has no loss at all.", "leave that fidelity out until it has been computed."
        )
    if description.values.get("fidelity", {}).get("separate"):
        return
    before = np.fmax.accumulate(cost, axis=1)
    falls = np.argwhere(cost < before)
    if len(falls):
        n, f, r = (int(i) for i in falls[0])
        raise HarnessError(
            columns.error(
                _name(description, columns, "cost", f),
                places.line(n, f, r),
                f"is less than the {before[n, f, r]:g} of a smaller fidelity of this training",
            ).message,
            "[cost] counts from the start of a training: add up its parts; or, where each fidelity is a training of "
            "its own: [fidelity] separate = true.",
        )


def ordered(loss: Floats, cost: Floats, test: Floats | None) -> dict[str, Floats]:
    """The metrics with the repeats that exist first, each in its place along the fidelities where that is possible.

    Those with a cost and no loss come next.
    """
    found = {"loss": loss, "cost": cost} | ({} if test is None else {"test": test})
    if loss.shape[2] == 1:
        return found
    order = np.broadcast_to(repeats_in_order(loss), loss.shape)
    absent = np.isnan(loss) * (1 + np.isnan(cost))
    order = np.take_along_axis(
        order, np.argsort(np.take_along_axis(absent, order, axis=2), axis=2, kind="stable"), axis=2
    )
    return {key: np.take_along_axis(full, order[:, -full.shape[1] :], axis=2) for key, full in found.items()}


def clock(seconds: Floats | None, tried: Bools, fidelities: Floats, axis: str) -> tuple[Floats, str]:
    """What trainings cost, Float[N, F, R], and the unit of that: `seconds`, unless there are none above 0.

    Then those that were `tried` Bool[N, F, R] cost their fidelity or, where all have the same, 1.
    """
    if seconds is not None and (seconds > 0).any():
        return seconds, "s"
    several = len(fidelities) > 1
    cost = np.where(tried, fidelities[:, None] if several else 1.0, np.nan)
    return cost, "evaluations" if not several else axis if axis != "fidelity" else "units of fidelity"


def cost_words(column: str | None, unit: str) -> str:
    """What a table's costs are, in words."""
    if unit == "s":
        return f"{column} (s)"
    return f"{'1 per evaluation' if unit == 'evaluations' else unit}: the table has no seconds above 0"


def _facts(description: Description, arrays: Mapping[str, Any], axis: str, unit: str) -> Facts:
    values = description.values
    mean_cost = float(np.nanmean(arrays["cost"][:, -1]))

    def words(section: str) -> str:
        column = re.sub(r"_?\{.*?\}", "", str(description.column(section)))
        return f"{column}, negated" if description.negated(section) else column

    sampled = "a sample of its space: a proposal is answered by the nearest configuration that was trained"
    splits = values.get("splits", "none given")
    return Facts(
        name=f"own/{values['name']}",
        title=values.get("title", values["name"]),
        citation=values["citation"],
        url=values.get("url", "none given"),
        licence=values.get("licence", "none given"),
        loss=words("validation"),
        cost=cost_words(description.column("cost"), unit),
        fidelity=axis,
        budget=float(values.get("budget", 200 * mean_cost)),
        splits=f"{splits}; {sampled}" if values.get("sampled") else splits,
        images=values.get("images", ""),
        test=words("test") if "test" in values else "",
        separate=values.get("fidelity", {}).get("separate", False),
        ratios=False,
        unit=unit,
    )
