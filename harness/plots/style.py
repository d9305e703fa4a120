"""How figures look, which colour an algorithm has in all of them, and how they are written with their provenance."""

from __future__ import annotations

import io
import json
import shutil
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pgf import LatexError
from matplotlib.figure import Figure

from harness import __version__
from harness.analysis.quality import Quality
from harness.errors import HarnessError
from harness.files import json_text, whole
from harness.studies.outcome import Outcome

Width = Literal["column", "page"]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999933")
"""Distinguishable with any colour vision (Okabe and Ito, "Color universal design", 2008), its yellow made olive."""

DASHES = ("-", (0, (5, 1.2)), (0, (1.2, 1.2)), (0, (5, 1.2, 1.2, 1.2)))
FORMATS = ("pdf", "svg", "png", "pgf")
_TEX = ("xelatex", "lualatex", "pdflatex")
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 7.5,
    "legend.fontsize": 7,
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
_INSIDE = 5
"""Entries of a legend that have room inside a panel."""

_OWN = ("rs", "re", "ls", "de", "tpe", "hb", "bohb", "gpnas", "dehb", "reinforce", "npred", "gpnas+")
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


def panels(count: int, width: Width | None = None, height: float = 2.5) -> tuple[Figure, Sequence[Axes]]:
    """A figure of `count` axes, up to three in a row. Without a `width` it is as wide as its panels need."""
    columns = min(3, count) if width != "column" else 1
    rows = -(-count // columns)
    natural = COLUMN_INCHES if columns == 1 else 2.3 * columns + 1.2
    inches = {None: natural, "column": COLUMN_INCHES, "page": PAGE_INCHES}[width]
    figure = Figure(figsize=(inches, height * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes: list[Axes] = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for axis in axes[count:]:
        axis.set_axis_off()
    return figure, axes[:count]


def legend(figure: Figure, title: str = "", *, above: bool = False) -> None:
    """One entry for each label of the figure: inside a single panel, beside several.

    In figures of a given width, with many entries, or `above`, it has a place of its own, for which the figure grows.
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
        settings |= {"loc": "outside upper center" if above else "outside lower center", "ncols": columns}
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


def save(figure: Figure, path: Path, source: Mapping[str, Any] | None = None) -> None:
    """Write the figure in the format of the file's ending, and its `source` as JSON beside it and in its metadata.

    PGF has no metadata, and takes the fonts of the document. Raises HarnessError if the figure cannot be written.
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
    with whole(path) as temporary:
        temporary.write_bytes(drawn)
    if source is not None:
        with whole(beside) as temporary:
            temporary.write_text(json_text(source, indent=1) + "\n", encoding="utf-8")


def _made(path: Path, source: Mapping[str, Any]) -> bool:
    """Whether `path` is what an earlier figure wrote beside itself."""
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(there, dict) and there.keys() == source.keys()


def _drawn(figure: Figure, kind: str, described: Mapping[str, Any]) -> bytes:
    """The figure as a file. Raises HarnessError if it takes LaTeX, and that is not there or fails."""
    system = _tex() if kind == "pgf" else None
    file = io.BytesIO()
    with mpl.rc_context(STYLE | ({"pgf.texsystem": system, "pgf.rcfonts": False} if system else {})):
        try:
            figure.savefig(file, format=kind, **described)
        except (LatexError, RuntimeError, ValueError, OSError) as error:
            if system is None and not mpl.rcParams["text.usetex"]:
                raise
            raise _tex_failed(error, system) from None
    return file.getvalue()


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
