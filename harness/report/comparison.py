"""A comparison as Markdown, LaTeX, CSV and JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict

from harness import escapes
from harness.analysis.comparison import Comparison, Row, Statistic, TableCell
from harness.files import json_text
from harness.numbers import mean_sem, power, quartiles, scaled
from harness.report.sentences import sentences

Format = Callable[[Comparison], str]


def labels(comparison: Comparison) -> list[str]:
    """The algorithms of any row, in the order in which they appear."""
    return list(dict.fromkeys(label for row in comparison.rows for label in row.cells))


def grid(comparison: Comparison, text: Callable[[TableCell], str], absent: str) -> list[list[str]]:
    """Texts of the table: benchmark, time, and a cell for each algorithm."""
    columns = labels(comparison)
    return [
        [row.benchmark, f"{row.time:.4g}", *(text(row.cells[c]) if c in row.cells else absent for c in columns)]
        for row in comparison.rows
    ]


def plain(cell: TableCell, statistic: Statistic = "mean") -> str:
    """`3.59e-04 ± 2.3e-05`, or median and quartiles."""
    if statistic == "median":
        return quartiles(cell.median, cell.low, cell.high)
    return mean_sem(cell.mean, cell.sem)


def note(comparison: Comparison, *, underlined: bool = False) -> str:
    """What the numbers are, which of them are bold and, if those not told apart from the best are, `underlined`."""
    shown = "mean ± SEM" if comparison.statistic == "mean" else "median [quartiles]"
    others = "; underlined: those" if underlined else ", and those"
    return (
        f"{comparison.regret.capitalize()}, {shown} over seeds. Bold: the lowest {comparison.statistic}{others} whose "
        "runs are not significantly worse (one-sided Wilcoxon signed-rank test paired by seed, Holm-corrected over the "
        f"table, alpha {comparison.alpha:g})."
    )


def time_head(comparison: Comparison) -> str:
    """The head of the column of times, with their unit."""
    return f"time ({' or '.join(dict.fromkeys(row.unit for row in comparison.rows))})"


def markdown(comparison: Comparison) -> str:
    """A table, its note, and the sentences."""
    head = ["benchmark", time_head(comparison), *map(escapes.markdown, labels(comparison))]

    def text(cell: TableCell) -> str:
        shown = plain(cell, comparison.statistic)
        return f"**{shown}**" if cell.top else shown

    rows = [[escapes.markdown(row[0]), *row[1:]] for row in grid(comparison, text, "–")]
    lines = [_bar(head), _bar(["---", "---:", *("---:" for _ in head[2:])]), *map(_bar, rows)]
    said = sentences(comparison)
    notes = [note(comparison), *(f"Note: {escapes.markdown(text)}" for text in comparison.notes)]
    return "\n".join([*lines, "", *notes, *([""] if said else []), *(f"- {escapes.markdown(text)}" for text in said)])


def _bar(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def latex(comparison: Comparison) -> str:
    """A booktabs tabular, with its note and the sentences as comments.

    A row for each algorithm, and a column for each benchmark and time, with the power of ten that it has in common.
    """
    names, rows = labels(comparison), comparison.rows
    powers = [power(getattr(cell, comparison.statistic) for cell in row.cells.values()) for row in rows]
    head = [
        ["", *(escapes.latex(row.benchmark) for row in rows)],
        ["", *(f"{row.time:.4g} {escapes.latex(row.unit)}" for row in rows)],
        ["algorithm", *(f"$\\times 10^{{{exponent}}}$" if exponent else "" for exponent in powers)],
    ]
    body = [
        [
            escapes.latex(name),
            *(_marked(row, name, at, comparison.statistic) for row, at in zip(rows, powers, strict=True)),
        ]
        for name in names
    ]
    comments = [f"% {escapes.plain(line)}" for line in (note(comparison, underlined=True), *sentences(comparison))]
    begin = rf"\begin{{tabular}}{{l{'r' * len(rows)}}}"
    top, below = ([" & ".join(row) + r" \\" for row in part] for part in (head, body))
    return "\n".join([*comments, begin, r"\toprule", *top, r"\midrule", *below, r"\bottomrule", r"\end{tabular}"])


def _marked(row: Row, name: str, exponent: int, statistic: Statistic) -> str:
    """The best of a row bold, those that are not told apart from it underlined, in units of 10^`exponent`."""
    if name not in row.cells:
        return "--"
    cell = row.cells[name]
    value, low, high, sem = (
        scaled(number, exponent) for number in (getattr(cell, statistic), cell.low, cell.high, cell.sem)
    )
    text = f"{value}\\;[{low}, {high}]" if statistic == "median" else f"{value} \\pm {sem}"
    return f"$\\mathbf{{{text}}}$" if cell.worse is None else f"$\\underline{{{text}}}$" if cell.top else f"${text}$"


def comma_separated(comparison: Comparison) -> str:
    """A line for each algorithm, benchmark and time."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    numbers = ("mean", "sem", "median", "low", "high")
    quartiles = ("mean", "sem", "median", "q25", "q75")
    writer.writerow(["benchmark", "time", "seeds", "kind", "algorithm", *quartiles, "p_worse_than_best", "top"])
    for row in comparison.rows:
        for label, cell in row.cells.items():
            where = (row.benchmark, row.time, row.seeds, comparison.kind, label)
            told = [getattr(cell, name) for name in numbers]
            writer.writerow([*where, *told, "" if cell.worse is None else cell.worse, cell.top])
    return out.getvalue().rstrip("\n")


def to_json(comparison: Comparison) -> str:
    """Rows, duels and sentences."""
    duels = [{**asdict(duel), "improvement": duel.improvement._asdict()} for duel in comparison.duels]
    areas = [{**asdict(area), "ratio": area.ratio._asdict()} for area in comparison.areas]
    sooner = [{**asdict(found), "ratio": found.ratio._asdict()} for found in comparison.speed_ups]
    told = {"duels": duels, "areas": areas, "speed_ups": sooner, "sentences": sentences(comparison)}
    return json_text({**asdict(comparison), **told}, indent=1)


FORMATS: dict[str, Format] = {"markdown": markdown, "latex": latex, "csv": comma_separated, "json": to_json}
