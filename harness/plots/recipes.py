"""The figures of a recipe: where they are written, and their writing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.analysis.reproduction import Reproduction
from harness.errors import HarnessError
from harness.plots.settings import check_file, checked
from harness.plots.spec import draw
from harness.plots.style import file_format, provenance, save

if TYPE_CHECKING:
    from harness.analysis.quality import Quality
    from harness.studies.outcome import Outcome


def places(recipe: Reproduction, output: Sequence[Path], out: Path, page: Path | None = None) -> list[list[Path]]:
    """Files of each figure: `output`, what the recipe says, or NAME.pdf in `out`; beside a `page`, pictures for it.

    Raises HarnessError for a format that there is not, for an `output` of several figures, and for a figure that cannot
    be drawn.
    """
    count = len(recipe.figures)
    if output and count != 1:
        raise HarnessError(f"{recipe.name} draws {count} figures; -o names one.", "leave -o out.")
    found = []
    for i, settings in enumerate(recipe.figures):
        check_file(settings, f"{recipe.name}: figures[{i}]")
        checked(settings)
        name = recipe.name if i == 0 else f"{recipe.name}-{i + 1}"
        default = out / f"{name}.pdf" if page is None else page.parent / "figures" / f"{name}.png"
        said = [] if page is not None else [Path(path) for path in settings.get("output", ())]
        found.append([*output] or said or [default])
    for path in (path for paths in found for path in paths):
        file_format(path)
    return found


def write(
    recipe: Reproduction,
    outcomes: Sequence[Outcome],
    qualities: Sequence[Quality],
    files: Sequence[Sequence[Path]],
    *,
    numbers: bool = True,
) -> Iterator[Path]:
    """Draw each figure into its `files`, with its `numbers` beside it, and yield their paths as they are written."""
    for settings, paths in zip(recipe.figures, files, strict=True):
        used = qualities if settings.get("figure") == "prediction" else outcomes
        figure = draw(used, settings)
        source = {name: value for name, value in settings.items() if name != "output"}
        for path in paths:
            save(figure, path, provenance(used, {"reproduces": recipe.name, **source}), numbers=numbers)
            yield path
