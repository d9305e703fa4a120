"""Columns of a CSV or Parquet file; whatever is wrong with them is told with the column and the row.

Cells of a CSV file are read as the texts that are written: what they mean is asked column by column.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from harness.arrays import Floats, Ints, of_column
from harness.errors import HarnessError, unknown
from harness.escapes import obeyed
from harness.files import arrow_file

_ABSENT = ("", *pa.csv.ConvertOptions().null_values)
"""What stands in a column of numbers for one that is absent."""

_NUMBER = r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"
_LARGEST = 1 << 63
_MOST = 1e150


class Columns:
    """The file at `path`. Rows are counted from 1, a CSV file's header not included.

    Raises HarnessError if there is no such file, it is neither CSV nor Parquet, or it has no rows.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise HarnessError(f"there is no file {path}.", "`file` is relative to the folder of the TOML file.")
        try:
            self.table = pq.ParquetFile(arrow_file(path)).read() if path.suffix == ".parquet" else _texts(path)
        except (UnicodeError, pa.ArrowException, OSError) as error:
            kind = "Parquet" if path.suffix == ".parquet" else "CSV"
            if kind == "CSV" and not isinstance(error, OSError):
                _refuse_encoding(path)
            raise HarnessError(f"{path} is not a readable {kind} file: {str(error).splitlines()[0]}.") from None
        self.names: list[str] = self.table.column_names
        self.length = self.table.num_rows
        if not self.length:
            raise HarnessError(f"{path} has no rows.")

    def error(self, column: str, row: int, what: str) -> HarnessError:
        """The error for the value in `column` at the index `row`."""
        return HarnessError(f"{self.path}, column '{column}', row {row + 1}: {self._shown(column, row)} {what}.")

    def numbers(self, column: str) -> Floats:
        """A column of numbers, Float[rows]; NaN where it is empty or says so."""
        values = self._numbers(column)
        if np.isinf(values).any():
            raise self.error(column, int(np.isinf(values).argmax()), "is not finite")
        if (beyond := np.abs(values) > _MOST).any():
            raise self.error(
                column, int(beyond.argmax()), f"is beyond {_MOST:g}, where sums and squares are not finite"
            )
        return values

    def distinct(self, column: str, kind: str, empty: str = "is no value of a parameter") -> tuple[list[Any], Ints]:
        """The values of a parameter in ascending order, and the place among them of each row, Int[rows].

        Those of a categorical one are the texts that are written, numbers before other texts.
        """
        if kind == "categorical":
            texts, code = self._encoded(column, empty)
            self._refuse_alike(column, texts)
            order: list[Any] = sorted(texts, key=_natural)
            return order, _places(order, texts)[code]
        what = f"is not {'a whole' if kind == 'integer' else 'a'} number"
        texts, code = self._encoded(column, what)
        numbers = [_integer(text) if kind == "integer" else _float(text) for text in texts]
        if None in numbers:
            raise self.error(column, int((code == numbers.index(None)).argmax()), what)
        order = sorted(set(numbers))
        return order, _places(order, numbers)[code]

    def decimals(self, column: str) -> tuple[list[Decimal], Ints]:
        """The distinct numbers of a column, exactly as they are written, ascending, and the place of each row."""
        texts, code = self._encoded(column, "is not a number")
        numbers = [_decimal(text) for text in texts]
        if None in numbers:
            raise self.error(column, int((code == numbers.index(None)).argmax()), "is not a number")
        order: list[Any] = sorted(set(numbers))
        return order, _places(order, numbers)[code]

    def listed(self, column: str, values: Sequence[Any]) -> tuple[list[Any], Ints]:
        """The given values of a parameter, and the place among them of each row, Int[rows].

        A cell is compared with each in that one's own type: as a text, a number or a truth value.
        """
        values = [value.isoformat() if isinstance(value, date | datetime | time) else value for value in values]
        for i, value in enumerate(values):
            if not isinstance(value, str | int | float) or (isinstance(value, float) and not math.isfinite(value)):
                raise HarnessError(f"the list of values of '{column}' has {value!r}, neither a text nor a number.")
            if any(type(value) is type(other) and value == other for other in values[:i]):
                raise HarnessError(f"the list of values of '{column}' is empty or has one twice: {value!r}.")
        if not values:
            raise HarnessError(f"the list of values of '{column}' is empty or has one twice.")
        texts, code = self._encoded(column, "is no value of a parameter")
        place = []
        for i, text in enumerate(texts):
            meant = [j for j, value in enumerate(values) if _means(text, value)]
            row = int((code == i).argmax()) if len(meant) != 1 else 0
            if not meant:
                raise self.error(column, row, f"is none of {', '.join(map(str, values))}")
            if len(meant) > 1:
                raise self.error(column, row, f"means both {values[meant[0]]!r} and {values[meant[1]]!r} of its list")
            place += meant
        return values, np.array(place)[code]

    def matching(self, pattern: str) -> tuple[list[Decimal], list[str]]:
        """The columns that fit `val_{epochs}`, by ascending number: the numbers, and the names.

        Raises HarnessError if there are none, or two have one number.
        """
        before, _, after = re.split(r"(\{.*?\})", pattern, maxsplit=1)
        expression = re.compile(re.escape(before) + f"({_NUMBER})" + re.escape(after))
        found: dict[Decimal, str] = {}
        for name in self.names:
            if m := expression.fullmatch(name):
                other = found.setdefault(Decimal(m[1]), name)
                if other != name:
                    raise HarnessError(f"{self.path} has the columns '{other}' and '{name}', which mean the same.")
        if not found:
            raise HarnessError(f"{self.path} has no column like '{pattern}'.", f"it has {self._named()}.")
        return sorted(found), [found[number] for number in sorted(found)]

    def _column(self, column: str) -> pa.ChunkedArray:
        if column not in self.names:
            if len(self.names) == 1 and (other := re.search(r"[;\t|]", self.names[0])):
                raise HarnessError(
                    f"{self.path} has a single column.", f"separate cells by commas, not by {other[0]!r}."
                )
            raise unknown(f"column of {self.path}", column, self.names)
        if self.names.count(column) > 1:
            raise HarnessError(f"{self.path} has the column '{column}' twice.")
        return self.table.column(column)

    def _encoded(self, column: str, what: str) -> tuple[list[str], Ints]:
        """The distinct cells of a column as texts, and which of them each row has, Int[rows]; an empty one is an error.

        The error says `what` it is.
        """
        cells = self._column(column)
        if not pa.types.is_dictionary(cells.type):
            try:
                cells = pc.dictionary_encode(cells)
            except pa.ArrowException:
                raise self.error(column, 0, "is neither a text nor a number") from None
        cells = cells.unify_dictionaries()
        indices = [chunk.indices for chunk in cells.chunks]
        codes = np.concatenate([of_column(pc.fill_null(x, -1) if x.null_count else x) for x in indices])
        if (codes < 0).any():
            raise self.error(column, int((codes < 0).argmax()), what)
        try:
            written: list[str] = pc.cast(cells.chunk(0).dictionary, pa.string()).to_pylist()
        except pa.ArrowException:
            raise self.error(column, 0, "is neither a text nor a number") from None
        texts = list(dict.fromkeys(written))
        codes = _places(texts, written)[codes]
        for i, text in enumerate(texts):
            wrong = what if not text.strip() else "has control characters, or commands to a log" * obeyed(text)
            if wrong and (codes == i).any():
                raise self.error(column, int((codes == i).argmax()), wrong)
        return texts, codes

    def _numbers(self, column: str) -> Floats:
        cells = self._column(column)
        if pa.types.is_dictionary(cells.type):
            cells = pc.cast(cells, cells.type.value_type)
        kind = cells.type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            texts = pc.utf8_trim_whitespace(cells)
            texts = pc.if_else(pc.is_in(texts, value_set=pa.array(_ABSENT, kind)), pa.scalar(None, kind), texts)
            try:
                cells = pc.cast(texts, pa.float64())
            except pa.ArrowInvalid:
                return self._one_by_one(column, texts.to_pylist())
        elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            cells = pc.cast(cells, pa.float64(), safe=False)
        elif not pa.types.is_null(kind):
            raise self.error(column, 0, "is not a number")
        return np.array(of_column(pc.cast(cells, pa.float64())), dtype=np.float64)

    def _one_by_one(self, column: str, texts: Iterable[str | None]) -> Floats:
        """Numbers of forms that Arrow does not know, such as +1."""
        values = []
        for row, text in enumerate(texts):
            try:
                values.append(math.nan if text is None else float(_written(text)))
            except ValueError:
                raise self.error(column, row, "is not a number") from None
        return np.array(values)

    def _refuse_alike(self, column: str, texts: Iterable[str]) -> None:
        """Values that a reader cannot tell apart are a mistake of whoever wrote them."""
        seen: dict[str, str] = {}
        for text in texts:
            other = seen.setdefault(unicodedata.normalize("NFC", text.strip()), text)
            if other != text:
                raise HarnessError(
                    f"{self.path}, column '{column}': {other!r} and {text!r} look the same, but are two values.",
                    "write them alike: they differ in blanks or in the form of a letter.",
                )

    def _shown(self, column: str, row: int) -> str:
        value = self.table.column(column)[row].as_py() if column in self.names else None
        return "an empty cell" if value is None or value == "" else f"'{value}'"

    def _named(self) -> str:
        return ", ".join(self.names if len(self.names) <= 12 else [*self.names[:12], "..."])


def _texts(path: Path) -> pa.Table:
    """A CSV file, every cell a text."""
    with pa.csv.open_csv(path) as head:
        names = head.schema.names
    options = pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
    return pa.csv.read_csv(path, convert_options=options)


def _refuse_encoding(path: Path) -> None:
    """Raise HarnessError for a file that is not UTF-8: where it is not, and what it may be."""
    data, what = path.read_bytes(), ""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        what = "it is UTF-16"
    else:
        try:
            data.decode()
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            what = f"line {line} has the byte 0x{data[error.start]:02x}, as in Latin-1 or Windows-1252"
    if what:
        raise HarnessError(f"{path} is not UTF-8 text: {what}.", "save it as UTF-8.")


def _places(order: Sequence[Any], values: Sequence[Any]) -> Ints:
    """Where each of `values` stands in `order`, Int[values]."""
    place = {value: i for i, value in enumerate(order)}
    return np.array([place[value] for value in values], dtype=np.int64)


def _natural(text: str) -> tuple[float, str]:
    number = _float(text)
    return (math.inf if number is None else number, text)


def _written(text: str) -> str:
    """The text of a number. Raises ValueError for digits and signs that Python reads, and no other program writes."""
    if "_" in text or not text.strip().isascii():
        raise ValueError
    return text.strip()


def _decimal(text: str) -> Decimal | None:
    try:
        number = Decimal(_written(text))
    except (InvalidOperation, ValueError):
        return None
    return number if number.is_finite() else None


def _float(text: str) -> float | None:
    try:
        number = float(_written(text))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _integer(text: str) -> int | None:
    number = _decimal(text)
    if number is None or not -_LARGEST <= number < _LARGEST or number != number.to_integral_value():
        return None
    return int(number)


def _means(text: str, value: str | float) -> bool:
    """Whether a cell's `text` means the `value` of a list, in the value's own type."""
    if isinstance(value, str):
        return text == value
    if isinstance(value, bool):
        return text.strip().lower() == str(value).lower()
    number = _decimal(text)
    return number is not None and (number == value if isinstance(value, int) else float(number) == value)
