"""How figures look, which colour an algorithm has in all of them, and how they are written with their provenance."""

from __future__ import annotations

import io
import json
import math
import os
import shutil
import textwrap
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pgf import LatexError
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, Locator, LogFormatterSciNotation, LogLocator, MaxNLocator, NullFormatter

from harness import __version__
from harness.analysis.quality import Quality
from harness.errors import HarnessError
from harness.escapes import latex
from harness.files import json_text, output, whole
from harness.studies.outcome import Outcome

Width = Literal["column", "page"]

COLOURS = ("#1170F8", "#903B00", "#0D6E58", "#EC1E8A", "#CFA789", "#2EBDDF", "#000000", "#7B9400")
"""Distinguishable with any colour vision: each two differ by 17 or more (CIEDE2000), also as deuteranopia, protanopia
and tritanopia are simulated by Machado, Oliveira and Fernandes, "A physiologically-based model for simulation of color
vision deficiency", IEEE TVCG 15, 2009."""

DASHES = ("-", (0, (5, 1.2)), (0, (1.2, 1.2)), (0, (5, 1.2, 1.2, 1.2)))
_LETTERS = 100
"""Of a line in a figure."""

FORMATS = ("pdf", "svg", "png", "pgf")
_TEX = ("xelatex", "lualatex", "pdflatex")
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 7.5,
    "legend.fontsize": 7,
    "legend.handlelength": 3.4,  # two periods of the longest dashes
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.5,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "nas-harness",
    "savefig.dpi": 300,
}
COLUMN_INCHES, PAGE_INCHES = 3.4, 7.0
_AXIS_INCHES, _EM = 0.55, 0.58
"""What the labels of an axis take of a panel's width, and the mean width of a letter, in sizes of the font."""

_INSIDE = 5
"""Entries of a legend that have room inside a panel."""

_OWN = (
    *("rs", "re", "ls", "de", "tpe", "hb", "bohb", "gpnas", "dehb", "reinforce", "npred", "gpnas+"),
    *("nsga2", "mo-re", "motpe", "moasha"),
    *("sh", "asha", "bananas", "nasnet", "nasbowl", "hier-ea", "nao", "pnas"),
)
"""Names that come with fixed styles, in the order of `_pair`; others get theirs from a hash of the name."""


def _pair(number: int) -> tuple[int, int]:
    """Number of colour and of dashes; of 32 styles in all, the first eight differ in colour."""
    return number % len(COLOURS), (number + number // len(COLOURS)) % len(DASHES)


def styles(labels: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Colour and dashes of each of `labels`.

    Those of an algorithm depend on its name alone, unless two of a figure fall on the same pair. An algorithm with
    parameters that are not its defaults takes a colour that the figure does not have yet, while there is one.
    """
    chosen: dict[str, tuple[int, int]] = {}
    every = len(COLOURS) * len(DASHES)
    for label in sorted(set(labels), key=lambda label: ("(" in label, label not in _OWN, label)):
        number = _OWN.index(label) if label in _OWN else zlib.crc32(label.encode())
        free = [pair for pair in (_pair(number + step) for step in range(every)) if pair not in chosen.values()]
        if "(" in label:
            colours = [colour for colour, _ in chosen.values()]
            free.sort(key=lambda pair: colours.count(pair[0]))
        chosen[label] = free[0] if free else _pair(number)
    return {label: {"color": COLOURS[c], "linestyle": DASHES[d]} for label, (c, d) in chosen.items()}


def looks(outcomes: Iterable[Outcome]) -> dict[str, dict[str, Any]]:
    """`styles` by what each outcome is shown as; they are those of its own name."""
    own = {outcome.label: outcome.own_label for outcome in outcomes}
    found = styles(own.values())
    return {label: found[name] for label, name in own.items()}


class Chart(Figure):
    """A figure that holds the `numbers` in it: records, one for each point, with their panel and series."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.numbers: list[dict[str, Any]] = []

    def _repr_png_(self) -> bytes:
        """What a notebook shows, with or without pyplot."""
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=100)
        return file.getvalue()


def tell(axis: Axes, panel: str, series: str, **columns: Any) -> None:
    """Add to the numbers of a figure what is drawn on `axis`: columns of one length, or single values."""
    figure = axis.get_figure(root=True)
    assert isinstance(figure, Chart)
    every = [np.atleast_1d(column).tolist() for column in columns.values()]
    for values in zip(*every, strict=True):
        figure.numbers.append(
            {"panel": panel, "series": series, **dict(zip(columns, map(_rounded, values), strict=True))}
        )


def _rounded(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def panels(count: int, width: Width | None = None, height: float = 2.5) -> tuple[Figure, Sequence[Axes]]:
    """A figure of `count` axes, up to three in a row, four as two by two.

    Without a `width` it is as wide as its panels need.
    """
    columns = 1 if width == "column" else 2 if count == 4 else min(3, count)
    rows = -(-count // columns)
    natural = COLUMN_INCHES if columns == 1 else 2.3 * columns + 1.2
    inches = {None: natural, "column": COLUMN_INCHES, "page": PAGE_INCHES}[width]
    figure = Chart(figsize=(inches, height * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes: list[Axes] = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for axis in axes[count:]:
        axis.remove()
    return figure, axes[:count]


def titled(axis: Axes, title: str) -> None:
    """Give a panel its title, in as many lines as its width needs."""
    place, figure = axis.get_subplotspec(), axis.get_figure(root=True)
    assert place is not None
    assert figure is not None
    columns = place.get_gridspec().ncols
    inches = figure.get_figwidth() if columns == 1 else min(2.3, figure.get_figwidth() / columns)
    letters = int((inches - _AXIS_INCHES) / (_EM * STYLE["axes.titlesize"] / 72))
    axis.set_title("\n".join(line for part in title.split("\n") for line in textwrap.wrap(part, letters)))


def outer_labels(axes: Sequence[Axes]) -> None:
    """Leave out the labels of axes that a panel has in common with that to its left, or with that below."""
    for axis in axes:
        place = axis.get_subplotspec()
        assert place is not None
        for other in axes:
            beside = other.get_subplotspec()
            assert beside is not None
            left = beside.rowspan == place.rowspan and beside.colspan.start == place.colspan.start - 1
            below = beside.colspan == place.colspan and beside.rowspan.start == place.rowspan.start + 1
            if left and axis.get_ylabel() == other.get_ylabel():
                axis.yaxis.label.set_visible(False)
            if below and axis.get_xlabel() == other.get_xlabel():
                axis.xaxis.label.set_visible(False)


class LogTicks(Locator):
    """The roundest ticks of a log axis of which three or more are in sight."""

    def __call__(self) -> Any:
        assert self.axis is not None
        return self.tick_values(*self.axis.get_view_interval())

    def tick_values(self, vmin: float, vmax: float) -> Any:
        """Powers of ten, or their multiples, or numbers that are evenly spread."""
        low, high = sorted((vmin, vmax))
        if low <= 0 or not math.isfinite(high):
            return []
        decades = np.arange(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for step, factors in (
            (2, (1,)),
            (1, (1,)),
            (1, (1, 3)),
            (1, (1, 2, 5)),
            (1, (1, 2, 3, 5, 7)),
            (1, range(1, 10)),
        ):
            every = 10.0 ** decades[decades % (step * max(1, len(decades) // 8)) == 0]
            ticks = np.multiply.outer(every, factors).ravel()
            seen = ticks[(ticks >= low * (1 - 1e-9)) & (ticks <= high * (1 + 1e-9))]
            if len(seen) >= (5 if step > 1 else 3):
                return seen
        ticks = np.asarray(MaxNLocator(4).tick_values(low, high))
        return ticks[(ticks >= low) & (ticks <= high)]


def log_ticks(axis: Axis, *, powers: bool = True) -> None:
    """Ticks of a log axis: three or more, as `powers` of ten or as plain numbers."""
    axis.set_major_locator(LogTicks())
    axis.set_minor_locator(LogLocator(subs="auto"))
    axis.set_minor_formatter(NullFormatter())
    sci = LogFormatterSciNotation(labelOnlyBase=False, minor_thresholds=(math.inf, math.inf))
    axis.set_major_formatter(sci if powers else FuncFormatter(lambda x, _: f"{x:g}"))


def legend(figure: Figure, title: str = "", *, above: bool = False) -> None:
    """One entry for each label of the figure: inside a single panel, beside several.

    In figures of a given width, with many entries, or `above`, it has a place of its own above the panels, for which
    the figure grows; below them are notes.
    """
    entries = {
        label: handle for axis in figure.axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    settings: dict[str, Any] = {"title": title, "title_fontsize": STYLE["legend.fontsize"], "frameon": False}
    inches = figure.get_figwidth()
    if not above and len(figure.axes) == 1 and len(entries) <= _INSIDE:
        figure.axes[0].legend([*entries.values()], [*entries], **settings)
    elif not above and inches not in (COLUMN_INCHES, PAGE_INCHES):
        figure.legend([*entries.values()], [*entries], loc="outside right upper", **settings)
    else:
        columns = max(1, int(inches / (0.45 + 0.055 * max(map(len, entries), default=0))))
        figure.set_figheight(figure.get_figheight() + 0.14 * -(-len(entries) // columns) + 0.1)
        settings |= {"loc": "outside upper center", "ncols": columns}
        figure.legend([*entries.values()], [*entries], **settings)


def provenance(outcomes: Sequence[Outcome | Quality], settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What a figure was made of, for JSON: its `settings`, the studies behind it, and versions."""
    return {
        "figure": dict(settings or {}),
        "versions": {"nas-harness": __version__, "matplotlib": mpl.__version__, "numpy": np.__version__},
        "studies": [
            {
                "id": outcome.study.id,
                **outcome.study.to_json(),
                "reference": asdict(outcome.reference),
                "versions": dict(outcome.versions),
            }
            for outcome in outcomes
        ],
    }


def file_format(path: Path) -> str:
    """The format of the file's ending. Raises HarnessError if figures are not written in it."""
    kind = path.suffix.lstrip(".").lower()
    if kind not in FORMATS:
        raise HarnessError(f"cannot write a figure as '{path.name}'.", f"end its name in .{', .'.join(FORMATS)}")
    return kind


def save(figure: Figure, path: Path, source: Mapping[str, Any] | None = None, *, numbers: bool = True) -> None:
    """Write the figure in the format of the file's ending, and its `source` as JSON beside it and in its metadata.

    That beside it has the `numbers` of a `Chart` too. PGF has no metadata, and takes the fonts of the document. Raises
    HarnessError if the figure cannot be written.
    """
    kind = file_format(path)
    beside = path.with_suffix(".json")
    if source is not None and beside.exists() and not _made(beside, source):
        raise HarnessError(
            f"{beside} is no provenance of a figure, and would be overwritten by that of {path.name}.",
            "choose another name for the figure.",
        )
    metadata: dict[str, Any] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(kind, {})
    if source is not None and kind != "pgf":
        metadata[{"pdf": "Subject", "svg": "Description", "png": "Description"}[kind]] = json_text(source)
    drawn = _drawn(figure, kind, {"metadata": metadata} if metadata else {})
    with output(path) as temporary:
        temporary.write_bytes(drawn)
    if source is not None:
        with whole(beside) as temporary:
            temporary.write_text(
                _with_numbers(source, getattr(figure, "numbers", []) if numbers else []), encoding="utf-8"
            )


def _with_numbers(source: Mapping[str, Any], numbers: Sequence[Mapping[str, Any]]) -> str:
    """JSON of `source` and, a line each, the records `numbers`."""
    text = json_text(source, indent=1)
    rows = ",\n".join(f"  {json_text(row)}" for row in numbers)
    return (text.removesuffix("\n}") + f',\n "numbers": [\n{rows}\n ]\n}}' if numbers else text) + "\n"


def _made(path: Path, source: Mapping[str, Any]) -> bool:
    """Whether `path` is what an earlier figure wrote beside itself."""
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(there, dict) and there.keys() - {"numbers"} == source.keys()


def _drawn(figure: Figure, kind: str, described: Mapping[str, Any]) -> bytes:
    """The figure as a file. Raises HarnessError if it takes LaTeX, and that is not there or fails."""
    _check_date()
    system = _tex() if kind == "pgf" else None
    file = io.BytesIO()
    tex = kind == "pgf" or mpl.rcParams["text.usetex"]
    settings = STYLE | ({"pgf.texsystem": system, "pgf.rcfonts": False} if system else {})
    with mpl.rc_context(settings), literal(figure, tex=tex):
        try:
            figure.savefig(file, format=kind, **described)
        except (LatexError, RuntimeError, ValueError, OSError) as error:
            if system is None and not mpl.rcParams["text.usetex"]:
                raise
            raise _tex_failed(error, system) from None
    return file.getvalue()


def _check_date() -> None:
    """Raise HarnessError if SOURCE_DATE_EPOCH, which matplotlib reads though these figures have no date, is none."""
    given = os.environ.get("SOURCE_DATE_EPOCH") or "0"
    try:
        datetime.fromtimestamp(int(given), UTC)
    except (ValueError, OverflowError, OSError):
        raise HarnessError(
            f"SOURCE_DATE_EPOCH is '{given}', which is no time in seconds since 1970.",
            "unset it: figures have no date.",
        ) from None


def _short(line: str) -> str:
    return line if len(line) <= _LETTERS else f"{line[:_LETTERS]}…"


@contextmanager
def literal(figure: Figure, *, tex: bool) -> Iterator[None]:
    """While it is entered, no name in the figure is markup, to LaTeX neither, or longer than a line.

    Numbers of ticks stay as they are.
    """
    axes = [axis for panel in figure.axes for axis in (panel.xaxis, panel.yaxis)]
    named = {axis: form for axis in axes if isinstance(form := axis.get_major_formatter(), FuncFormatter)}
    numbers = {text for axis in axes if axis not in named for text in axis.findobj(Text) if text is not axis.label}
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text) and text not in numbers]
    before = [(text, text.get_text(), text.get_parse_math()) for text in texts]
    for text, said, _ in before:
        text.set_parse_math(False)
        text.set_text("\n".join(latex(line) if tex else line for line in map(_short, said.split("\n"))))
    for axis, form in named.items() if tex else ():
        axis.set_major_formatter(FuncFormatter(lambda x, at, form=form: latex(form(x, at))))
    try:
        yield
    finally:
        for text, said, parsed in before:
            text.set_parse_math(parsed)
            text.set_text(said)
        for axis, form in named.items() if tex else ():
            axis.set_major_formatter(form)


def _tex_failed(error: Exception, system: str | None) -> HarnessError:
    """LaTeX in the words of its own first complaint, the line that begins with an exclamation mark."""
    lines = f"{error}\n{getattr(error, 'latex_output', '')}".splitlines()
    reason = next((line.lstrip("! ") for line in lines if line.startswith("!")), lines[0]).rstrip(".: ")
    if system is None:
        return HarnessError(
            f"matplotlib is set to let LaTeX write its texts, which failed: {reason}.",
            "mend the installation of LaTeX, or set text.usetex to False in the file matplotlibrc.",
        )
    return HarnessError(
        f"{system} failed to measure the texts of a PGF figure: {reason}.",
        "mend the installation of LaTeX (Debian: apt-get install texlive-xetex), or end the name in .pdf",
    )


def _tex() -> str:
    """The TeX that measures the texts of PGF figures. Raises HarnessError if there is none."""
    found = next(filter(shutil.which, _TEX), None)
    if found is None:
        raise HarnessError(
            f"a PGF figure needs LaTeX to measure its texts, and there is none of {', '.join(_TEX)}.",
            "install one (Debian: apt-get install texlive-xetex), or end the name in .pdf",
        )
    return found
