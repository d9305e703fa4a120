"""Columns of a CSV or Parquet file; whatever is wrong with them is told with the column and the row."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from harness.arrays import Floats, Ints
from harness.errors import HarnessError, unknown


class Columns:
    """The file at `path`. Rows are counted from 1, a CSV file's header not included.

    Raises HarnessError if there is no such file, it is neither CSV nor Parquet, or it has no rows.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise HarnessError(f"there is no file {path}.", "`file` is relative to the folder of the TOML file.")
        try:
            self.table = pq.read_table(path) if path.suffix == ".parquet" else pa.csv.read_csv(path)
        except (pa.ArrowInvalid, OSError) as error:
            kind = "Parquet" if path.suffix == ".parquet" else "CSV"
            raise HarnessError(f"{path} is not a readable {kind} file: {str(error).splitlines()[0]}.") from None
        self.length = self.table.num_rows
        if not self.length:
            raise HarnessError(f"{path} has no rows.")

    def error(self, column: str, row: int, what: str) -> HarnessError:
        """The error for the value in `column` at the index `row`."""
        return HarnessError(f"{self.path}, column '{column}', row {row + 1}: {self._shown(column, row)} {what}.")

    def numbers(self, column: str) -> Floats:
        """A column of numbers, Float[rows]; NaN where it is empty."""
        values = np.array(
            [np.nan if v is None else self._number(column, i, v) for i, v in enumerate(self._list(column))]
        )
        if np.isinf(values).any():
            raise self.error(column, int(np.isinf(values).argmax()), "is not finite")
        return values

    def distinct(self, column: str, kind: str) -> tuple[list[Any], Ints]:
        """The values of a parameter in ascending order, and the place among them of each row, Int[rows]."""
        if kind == "categorical":
            values = self._whole(column)
            order = sorted(set(values), key=lambda v: (str(type(v)), v))
            place = {value: i for i, value in enumerate(order)}
            return order, np.array([place[value] for value in values])
        numbers = self.numbers(column)
        bad = np.isnan(numbers) | ((numbers != np.round(numbers)) if kind == "integer" else False)
        if bad.any():
            raise self.error(column, int(bad.argmax()), f"is not {'a whole' if kind == 'integer' else 'a'} number")
        found, code = np.unique(numbers, return_inverse=True)
        return [int(v) for v in found] if kind == "integer" else found.tolist(), code

    def listed(self, column: str, values: list[Any]) -> tuple[list[Any], Ints]:
        """The given values of a parameter, and the place among them of each row, Int[rows]."""
        place = {value: i for i, value in enumerate(values)}
        if len(place) != len(values) or not values:
            raise HarnessError(f"the list of values of '{column}' is empty or has one twice.")
        codes = []
        for row, value in enumerate(self._whole(column)):
            if value not in place:
                raise self.error(column, row, f"is none of {', '.join(map(str, values))}")
            codes.append(place[value])
        return values, np.array(codes)

    def matching(self, pattern: str) -> tuple[Ints, list[str]]:
        """The columns that fit `val_{epochs}`, by ascending number: the numbers Int[F], and the names."""
        before, _, after = re.split(r"(\{.*?\})", pattern, maxsplit=1)
        expression = re.compile(re.escape(before) + r"(\d+)" + re.escape(after))
        found = {int(m[1]): name for name in self.table.column_names if (m := expression.fullmatch(name))}
        if not found:
            raise HarnessError(f"{self.path} has no column like '{pattern}'.", f"it has {self._names()}.")
        return np.array(sorted(found)), [found[number] for number in sorted(found)]

    def _list(self, column: str) -> list[Any]:
        names = self.table.column_names
        if column not in names:
            raise unknown(f"column of {self.path}", column, names)
        if names.count(column) > 1:
            raise HarnessError(f"{self.path} has the column '{column}' twice.")
        values: list[Any] = self.table.column(column).to_pylist()
        return [None if isinstance(v, str) and not v.strip() else v for v in values]

    def _whole(self, column: str) -> list[Any]:
        """A column without gaps."""
        values = self._list(column)
        for row, value in enumerate(values):
            if value is None:
                raise self.error(column, row, "is no value of a parameter")
            if not isinstance(value, str | int | float):
                self._refuse(column, row)
        return values

    def _number(self, column: str, row: int, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            try:
                return float(str(value))
            except ValueError:
                self._refuse(column, row)
        return float(value)

    def _refuse(self, column: str, row: int) -> NoReturn:
        raise self.error(column, row, "is not a number")

    def _shown(self, column: str, row: int) -> str:
        value = self.table.column(column)[row].as_py() if column in self.table.column_names else None
        return "an empty cell" if value is None or value == "" else f"'{value}'"

    def _names(self) -> str:
        names = self.table.column_names
        return ", ".join(names if len(names) <= 12 else [*names[:12], "..."])
