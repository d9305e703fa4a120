"""The TOML file that describes a table of your own, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from harness.errors import HarnessError, unknown
from harness.fields import fit
from harness.params import ABOVE_0, FINITE, Param
from harness.spaces import names, published
from harness.toml import read

_SEE = 'the page "A table of your own" of the documents has an example.'


class _Metric(TypedDict):
    """What `[validation]` and `[test]` say."""

    column: str
    goal: NotRequired[Literal["minimize", "maximize"]]


class _Cost(TypedDict):
    """What `[cost]` says."""

    column: str


class _Fidelity(TypedDict, total=False):
    """What `[fidelity]` says."""

    name: str
    column: str
    separate: bool


class _Repeat(TypedDict, total=False):
    """What `[repeat]` says."""

    column: str
    rows: bool


class _File(TypedDict):
    """What a file says."""

    name: str
    title: NotRequired[str]
    citation: str
    licence: NotRequired[str]
    url: NotRequired[str]
    splits: NotRequired[str]
    images: NotRequired[str]
    space: NotRequired[str]
    file: str
    budget: NotRequired[Annotated[float, Param("seconds", ABOVE_0, FINITE)]]
    sampled: NotRequired[bool]
    parameters: NotRequired[dict[str, object]]
    validation: _Metric
    test: NotRequired[_Metric]
    cost: NotRequired[_Cost]
    fidelity: NotRequired[_Fidelity]
    repeat: NotRequired[_Repeat]


_COLUMNS = ("validation", "test", "cost", "fidelity", "repeat")
"""Sections that name columns."""

NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


@dataclass(frozen=True)
class Description:
    """A TOML file, checked for what it must have and for what nobody knows."""

    path: Path
    values: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> Description:
        values = fit(read(path, _SEE), _File, f"{path}:", _SEE)
        found = cls(path, values)
        if "parameters" not in values and "space" not in values:
            raise found.error("has no 'parameters'")
        if "space" in values:
            found._check_space()
        for section in _COLUMNS:
            found._check_section(section)
        for section in ("validation", "test", "fidelity", "repeat"):
            if (column := found.column(section)) in values.get("parameters", {}):
                raise found.error(f"names the column '{column}' as a parameter and in [{section}]")
        for section in ("validation", "test", "cost"):
            if found.column("fidelity") is not None and "{" in (found.column(section) or ""):
                raise found.error(f"has both a fidelity column and the curve columns of [{section}]")
        if not NAME.fullmatch(values["name"]):
            raise found.error(f"names the table '{values['name']}'", "use small letters, digits, - and _.")
        return found

    def _check_section(self, key: str) -> None:
        section = self.values.get(key, {})
        column = section.get("column", "")
        if "{" in column and not re.search(r"\{.*?\}", column):
            raise self.error(f"has a brace without its end in [{key}] column = {column!r}")
        if column and section.get("rows"):
            raise self.error("has both a column and rows in [repeat]", "rows that are repeats need no column.")
        if key in self.values and not (column or section.get("rows") or key == "fidelity"):
            raise self.error(f"has no column in [{key}]")

    def _check_space(self) -> None:
        if self.values["space"] not in names():
            raise unknown(f"space in {self.path}", self.values["space"], names())
        if self.values.get("sampled") and published(self.values["space"]).finder is not None:
            raise self.error(f"has sampled = true for space = '{self.values['space']}'", "leave it out.")
        if "parameters" in self.values:
            raise self.error("has both 'space' and [parameters]", "a published space has its own: leave one out.")

    def error(self, what: str, hint: str = "") -> HarnessError:
        return HarnessError(f"{self.path} {what}.", hint or _SEE)

    def column(self, section: str) -> str | None:
        """The column, or the pattern of columns, that a section names."""
        found: str | None = self.values.get(section, {}).get("column")
        return found

    def named(self) -> set[str]:
        """The columns that sections other than the parameters name; a pattern's are told by `{}`."""
        return {column for section in _COLUMNS if (column := self.column(section))}

    def negated(self, section: str) -> bool:
        """Whether the metric is to be maximised: its loss is the negative."""
        return bool(self.values[section].get("goal", "minimize") == "maximize")
