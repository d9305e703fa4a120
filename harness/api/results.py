"""Results: outcomes of studies, and what may be asked of them."""

from __future__ import annotations

import io
import logging
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console, RenderableType

from harness.analysis import comparison
from harness.analysis.comparable import comparable, drawable, told_by
from harness.errors import HarnessError
from harness.numbers import number
from harness.report import tables
from harness.report.sentences import sentences
from harness.studies.outcome import Outcome, summary
from harness.studies.reference import Kind
from harness.studies.selection import Selection, pooled, seed_range

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from harness.analysis.comparison import Comparison, Statistic


_SHOWN, _TOLD = 10, 3
"""Studies, and notes, that are shown; of more there is a count."""
_WIDTH, _LINES = 110, 24
"""A screen. What regret is measured against is told where there is room."""


class Failure(str):
    """A sentence on a study that failed, which has the `traceback` of what failed."""

    traceback: str

    def __new__(cls, sentence: str, traceback: str) -> Self:
        made = super().__new__(cls, sentence)
        made.traceback = traceback
        return made


class Results:
    """What runs came to: tidy frames of pandas, figures, tests and a page.

    `failures` say which studies could not be run, and why, each with its `traceback`; `notes` what there is to know of
    an algorithm on a benchmark. Results are added by `+`: studies that differ in seeds only are joined.
    """

    def __init__(
        self, outcomes: Sequence[Outcome], *, failures: Sequence[Failure] = (), notes: Sequence[str] = ()
    ) -> None:
        self.outcomes = list(outcomes)
        self.failures = list(failures)
        self.notes = list(notes)
        if not self.outcomes:
            raise HarnessError(" ".join(["there are no results.", *self.failures]))

    def __len__(self) -> int:
        return len(self.outcomes)

    def __iter__(self) -> Iterator[Outcome]:
        return iter(self.outcomes)

    def __add__(self, other: Results) -> Results:
        return Results(
            pooled([*self, *other]), failures=[*self.failures, *other.failures], notes=[*self.notes, *other.notes]
        )

    def __repr__(self) -> str:
        shown = self.outcomes[:_SHOWN]
        more = [f"... and {len(self) - _SHOWN:,} more; summary() has all."] if len(self) > _SHOWN else []
        told = self._told()
        left = [f"... and {len(told) - _TOLD} more: notes and failures have all."] if len(told) > _TOLD else []
        grid, *texts = map(_printed, tables.summaries(shown, [summary(outcome) for outcome in shown]))
        last = [line for text in [*more, *told[:_TOLD], *left] for line in textwrap.wrap(text, _WIDTH)]
        fitting: list[str] = []
        for lines in texts:
            if len(grid) + len(fitting) + len(lines) + len(last) < _LINES:
                fitting += lines
        return "\n".join([*grid, *fitting, *last])

    def _repr_html_(self) -> str:
        from harness.report.markup import element, html  # noqa: PLC0415

        names = ["benchmark", "algorithm", "seeds", "val_regret_mean", "val_regret_sem", "test_regret_mean"]
        names += ["test_regret_sem", "evaluations_mean", "time"]
        frame = self.summary()[names].dropna(axis="columns", how="all")
        table = frame.to_html(index=False, float_format=number, border=0)
        lines = [*tables.definitions(self.outcomes), *self._told()]
        return table + html(element("p", line) for line in lines)

    def _told(self) -> list[str]:
        return [*self.notes, *self.failures]

    def select(
        self,
        algo: str | Iterable[str] = (),
        bench: str | Iterable[str] = (),
        *,
        seeds: int | str | range | None = None,
        budget: float | None = None,
    ) -> Results:
        """Those of these algorithms and benchmarks, by name or pattern, with these seeds and this budget."""
        return Results(selection(algo, bench, seeds, budget).of(self.outcomes))

    def curves(self, *, seeds: bool = True, points: int = 200, times: Sequence[float] | None = None) -> pd.DataFrame:
        """Regret over time: a row for each seed and time or, without `seeds`, mean, SEM, median and quartiles."""
        from harness.report import frames  # noqa: PLC0415

        return frames.curves(self.outcomes, seeds=seeds, points=points, times=times)

    def summary(self, at: Sequence[float] | None = None) -> pd.DataFrame:
        """A row for each study and simulated time `at` (default: its end): means over seeds, and the rules."""
        from harness.report import frames  # noqa: PLC0415

        return frames.summaries(self.outcomes, at)

    def trials(self) -> pd.DataFrame:
        """The logged results: those that became incumbents or, of runs with `log="all"`, all of them."""
        from harness.report import frames  # noqa: PLC0415

        return frames.trials(self.outcomes)

    def incumbents(self, at: Sequence[float] | None = None) -> pd.DataFrame:
        """Each seed's incumbent at simulated times `at` (default: the end), with its configuration by parameter."""
        from harness.report import frames  # noqa: PLC0415

        return frames.incumbents(self.outcomes, at)

    def plot(self, figure: str = "regret", **settings: Any) -> Figure:
        """A figure as `harness plot` draws it, a matplotlib `Figure`; `settings` are its options.

        Of what it cannot show together the logger `harness` warns.
        """
        from harness.plots import draw  # noqa: PLC0415

        settings = {"figure": figure, **settings}
        return draw(told_by(drawable(self.outcomes, settings), logging.getLogger("harness").warning), settings)

    def compare(self, *, kind: Kind = "val", **settings: Any) -> Verdict:
        """A table of regrets with tests paired by seed, and sentences to quote.

        `settings` are those of `harness compare`: `at`, `alpha`, `statistic="median"`, `targets` and `against`.
        """
        outcomes, told = comparable(self.outcomes, paired=True)
        return Verdict(comparison.compare(outcomes, kind, **settings), told)

    def report(
        self,
        path: str | Path = "report.html",
        *,
        at: Sequence[float] = (),
        alpha: float = 0.05,
        statistic: Statistic = "mean",
    ) -> Path:
        """Write the page that `harness report` writes; its path."""
        from harness.files import output  # noqa: PLC0415
        from harness.report.page import page  # noqa: PLC0415

        files = {Path(f"{o.study.id}.parquet"): o for o in self.outcomes}
        text = page(files, ["results"], at=at, alpha=alpha, statistic=statistic)
        with output(Path(path)) as temporary:
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
        return Path(path)

    def save(self, folder: str | Path) -> list[Path]:
        """Write the studies as files into a folder, as `harness run --out` does; their paths.

        Seeds with gaps between them are several studies. Raises HarnessError if a study is there with other numbers.
        """
        from harness.studies.selection import unbroken  # noqa: PLC0415
        from harness.studies.store import ResultStore, read, write  # noqa: PLC0415

        store = ResultStore(Path(folder))
        parts = [part for outcome in self for part in unbroken(outcome)]
        for part in parts:
            if store.complete(part.study):
                pooled([read(store.path(part.study)), part])
        for part in parts:
            write(part, store.path(part.study))
        return [store.path(part.study) for part in parts]


class Verdict:
    """A comparison: `rows`, `duels` and `sentences`, shown as a table with its sentences."""

    def __init__(self, found: Comparison, told: Sequence[str] = ()) -> None:
        self.comparison = found
        self._told = told

    @property
    def sentences(self) -> list[str]:
        """On each pair of algorithms at each time, and over all of time; then speed-ups."""
        return sentences(self.comparison)

    @property
    def notes(self) -> list[str]:
        """What was left out, and at which times there is nothing left to tell apart."""
        return [*self._told, *self.comparison.notes]

    def table(self, form: str = "markdown") -> str:
        """As markdown, latex, csv or json."""
        from harness.errors import unknown  # noqa: PLC0415
        from harness.report.comparison import FORMATS  # noqa: PLC0415

        if form not in FORMATS:
            raise unknown("format", form, FORMATS)
        return FORMATS[form](self.comparison)

    def frame(self) -> pd.DataFrame:
        """A row for each algorithm, benchmark and time."""
        import pandas as pd  # noqa: PLC0415

        return pd.read_csv(io.StringIO(self.table("csv")))

    def __repr__(self) -> str:
        return "\n".join([self.table(), *self._told])

    def _repr_html_(self) -> str:
        from harness.report.markup import element, html  # noqa: PLC0415

        return self.frame().to_html(index=False, float_format=number, border=0) + html(
            element("p", sentence) for sentence in [*self.sentences, *self.notes]
        )


def _printed(shown: RenderableType) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=_WIDTH, markup=False, highlight=False, color_system=None).print(shown)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def selection(
    algo: str | Iterable[str], bench: str | Iterable[str], seeds: int | str | range | None, budget: float | None
) -> Selection:
    """A selection out of texts as the command line has them."""
    return Selection(names(algo), names(bench), None if seeds is None else seed_range(seeds), budget)


def names(given: str | Iterable[str]) -> tuple[str, ...]:
    """Names separated by commas, or already apart."""
    return tuple(name.strip() for name in given.split(",") if name.strip()) if isinstance(given, str) else tuple(given)
