"""Results as tidy frames of pandas: one observation in a row, one variable in a column."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness.analysis.standing import standings
from harness.arrays import Floats
from harness.errors import HarnessError
from harness.files import output
from harness.spaces.architecture import Architecture
from harness.studies.fronts import held
from harness.studies.outcome import Outcome, moments, per_seed_rows, summary
from harness.studies.reference import Kind
from harness.table import Table

KINDS: tuple[Kind, ...] = ("val", "test")
_CELL_BYTES = 8
POINTS = 200
FORMATS = ("csv", "parquet", "json")


def curves(
    outcomes: Sequence[Outcome],
    *,
    seeds: bool = True,
    points: int = POINTS,
    times: Sequence[float] | None = None,
) -> pd.DataFrame:
    """Regret over time: benchmark, algorithm, seed, time, val_regret and test_regret (NaN before the first result).

    Times are `times`, or `points` of them from the first result to the end of each study, evenly spread on a log axis.
    Without `seeds` a row is a time, with the number of seeds, their mean, its standard error, median and quartiles of
    each kind of regret, from where all seeds have one. Of a time after its end a study has no row. Raises HarnessError
    for a frame that memory cannot hold, and for a time after the end of every study.
    """
    each = points if times is None else len(times)
    counts = [len(o.trajectory.seeds) for o in outcomes]
    thin = f"thin it with points=50, or give times=[...]{', or have seeds=False' * seeds}."
    _require_memory(each * (sum(counts) if seeds else max(counts, default=0)), 6, thin)
    longest = max(outcomes, key=lambda o: o.end, default=None)
    for time in times or ():
        if longest is not None and not any(o.reaches(time) for o in outcomes):
            longest.require(time)
    grids = [
        _grid(o, points) if times is None else np.array([t for t in times if o.reaches(t)], dtype=np.float64)
        for o in outcomes
    ]
    make = _each_seed if seeds else _over_seeds
    return _joined([make(o, grid) for o, grid in zip(outcomes, grids, strict=True)])


def _grid(outcome: Outcome, points: int) -> Floats:
    first = float(outcome.first_times().min(initial=np.inf))
    if not 0 < first < outcome.end:
        return np.array([outcome.end])
    grid = np.geomspace(first, outcome.end, points)
    grid[0], grid[-1] = first, outcome.end
    return grid


def _each_seed(outcome: Outcome, times: Floats) -> pd.DataFrame:
    run = outcome.trajectory
    return _named(
        outcome,
        {
            "seed": np.repeat(run.seeds, len(times)),
            "time": np.tile(times, len(run.seeds)),
            **{f"{kind}_regret": outcome.regret(kind, times).ravel() for kind in KINDS},
        },
    )


def _over_seeds(outcome: Outcome, times: Floats) -> pd.DataFrame:
    columns: dict[str, Any] = {"seeds": len(outcome.trajectory.seeds), "time": times}
    for kind in KINDS:
        regret = outcome.regret(kind, times)
        mean, sem = moments(regret)
        low, middle, high = np.quantile(regret, [0.25, 0.5, 0.75], axis=0)
        columns |= {
            f"{kind}_regret_{name}": values
            for name, values in (("mean", mean), ("sem", sem), ("q25", low), ("median", middle), ("q75", high))
        }
    frame = _named(outcome, columns)
    return frame[np.isfinite(columns["val_regret_mean"])]


def summaries(outcomes: Sequence[Outcome], at: Sequence[float] | None = None) -> pd.DataFrame:
    """A row for each study and simulated time `at` (default: its end), with means over seeds and the rules."""
    rows = [
        {**summary(outcome, time), "algorithm": outcome.label, "params": None}
        for outcome in outcomes
        for time in (at or (None,))
    ]
    return pd.DataFrame(rows).drop(columns="params", errors="ignore")


def trials(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """The logged results: those that became incumbents or, with `log="all"`, all of them."""
    _require_memory(sum(len(o.trajectory.row) for o in outcomes), 13, "select fewer: algo=, bench= or seeds=")
    return _joined([_logged(outcome) for outcome in outcomes])


def _logged(outcome: Outcome) -> pd.DataFrame:
    run = outcome.trajectory
    return _named(
        outcome,
        {
            "seed": run.seeds[run.seed],
            "time": run.time,
            "evaluation": run.evaluation,
            "row": run.row,
            "fidelity": np.array(outcome.reference.fidelities)[run.fidelity],
            "repeat": run.repeat,
            "loss": run.loss,
            "incumbent": run.incumbent,
            "val_loss": outcome.val_loss,
            "test_loss": outcome.test_loss,
            "val_regret": outcome.regrets("val"),
            "test_regret": outcome.regrets("test"),
        },
    )


def incumbents(outcomes: Sequence[Outcome], at: Sequence[float] | None = None) -> pd.DataFrame:
    """Each seed's incumbent at simulated times `at` (default: the end): losses, when it was found, its configuration.

    Parameters are columns by their names; architectures have their text besides. Of several objectives there is a row
    for each configuration that a seed holds, with its mean objectives as published. Raises HarnessError for a table
    that has changed since.
    """
    frames = []
    for outcome in outcomes:
        table = outcome.study.load_table()
        if outcome.study.rules.objectives:
            frame = pd.concat([_held(outcome, table, time) for time in (at or (outcome.end,))], ignore_index=True)
        else:
            rows = [row for time in (at or (None,)) for row in per_seed_rows(outcome, time)]
            frame = pd.DataFrame([{**row, "algorithm": outcome.label} for row in rows])
        frames.append(pd.concat([frame, configurations(table, frame["row"].to_numpy(), frame.columns)], axis=1))
    return _joined(frames)


def _held(outcome: Outcome, table: Table, time: float) -> pd.DataFrame:
    outcome.require(time)
    rules, study = outcome.study.rules, outcome.study
    of_seeds = held(table, rules, outcome.trajectory, time)
    rows = np.concatenate(of_seeds)
    return pd.DataFrame(
        {
            "benchmark": outcome.benchmark,
            "algorithm": outcome.label,
            "study": study.id,
            "seed": np.repeat(outcome.seeds, [len(own) for own in of_seeds]),
            "time": time,
            "row": rows,
            **table.measured(rows, rules.objectives, table.position(rules.report_fidelity)),
        }
    )


def ranks(outcomes: Sequence[Outcome], kind: Kind = "val") -> pd.DataFrame:
    """`average_ranks` over time: algorithm, time (or share of the budget), rank, low, high."""
    from harness.plots.profiles import average_ranks  # noqa: PLC0415 - it draws, too, and other frames need no figures

    found = average_ranks(outcomes, kind)
    when = "time" if found.seconds else "share_of_budget"
    frames = [
        pd.DataFrame({"algorithm": label, when: found.x, "rank": rank, "low": low, "high": high})
        for label, rank, low, high in zip(found.labels, found.average.T, found.low.T, found.high.T, strict=True)
    ]
    return pd.concat(frames, ignore_index=True)


def standing(outcomes: Sequence[Outcome], kind: Kind = "val") -> pd.DataFrame:
    """`standings` at the end: algorithm, rank, low, high, evaluations, cpu_seconds, cpu_per_evaluation."""
    return pd.DataFrame(
        [
            {
                "algorithm": one.label,
                "rank": one.rank.value,
                "low": one.rank.low,
                "high": one.rank.high,
                "evaluations": one.evaluations,
                "cpu_seconds": one.cpu_seconds,
                "cpu_per_evaluation": one.cpu_per_evaluation,
            }
            for one in standings(outcomes, kind)
        ]
    )


def file_format(path: Path) -> str:
    """The format of the file's ending. Raises HarnessError if frames are not written in it."""
    kind = path.suffix.lstrip(".").lower()
    if kind not in FORMATS:
        raise HarnessError(f"cannot write numbers as '{path.name}'.", f"end its name in .{', .'.join(FORMATS)}")
    return kind


def write(frame: pd.DataFrame, path: Path) -> None:
    """Write the frame in the format of the file's ending, whole or not at all; every digit is kept."""
    kind = file_format(path)
    with output(path) as temporary:
        if kind == "csv":
            with temporary.open("w", encoding="utf-8", newline="") as text:
                frame.to_csv(text, index=False)
        elif kind == "parquet":
            with os.fdopen(os.open(temporary, os.O_WRONLY), "wb") as file:  # by name, one that is not UTF-8 is refused
                frame.to_parquet(file, index=False)
        else:
            records = frame.astype(object).where(frame.notna(), None).to_dict("records")
            temporary.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


def configurations(table: Table, rows: Iterable[float | None], taken: Collection[str] = ()) -> pd.DataFrame:
    """Configurations at `rows` (None or NaN for none) by parameter, and the text of those that are architectures.

    A parameter whose name is `taken` by a column beside them is called `parameter.<name>`.
    """
    found = [None if row is None or np.isnan(row) or row < 0 else int(row) for row in rows]
    texts = _architectures(table, {row for row in found if row is not None})
    known = {row: {**table.space.to_dict(table.codes[row]), **texts.get(row, {})} for row in found if row is not None}
    columns = [*(p.name for p in table.space.parameters), *(["architecture"] if texts else [])]
    frame = pd.DataFrame([{} if row is None else known[row] for row in found], columns=columns)
    return frame.rename(columns={name: f"parameter.{name}" for name in columns if name in taken})


def _architectures(table: Table, rows: set[int]) -> dict[int, dict[str, str]]:
    try:
        return {row: {"architecture": Architecture.of(table, row).text} for row in rows}
    except (HarnessError, ValueError):
        return {}


def _named(outcome: Outcome, columns: dict[str, Any]) -> pd.DataFrame:
    rows = len(columns["time"])
    names = {"benchmark": outcome.study.benchmark, "algorithm": outcome.label}
    return pd.DataFrame({**{name: _constant([text], 0, rows) for name, text in names.items()}, **columns})


def _constant(names: list[str], which: int, rows: int) -> pd.Categorical:
    return pd.Categorical.from_codes(np.full(rows, which), categories=names)


def _joined(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One frame below the other, with names as categories in their order, as figures want them."""
    if not frames:
        return pd.DataFrame(columns=["benchmark", "algorithm"])
    for name in ("benchmark", "algorithm"):
        of_frames = [str(frame[name].iloc[0]) if len(frame) else "" for frame in frames]
        every = [text for text in dict.fromkeys(of_frames) if text]
        for frame, text in zip(frames, of_frames, strict=True):
            frame[name] = _constant(every, every.index(text) if text else 0, len(frame))
    return pd.concat(frames, ignore_index=True)


def _require_memory(rows: int, columns: int, hint: str) -> None:
    needed = 2 * rows * columns * _CELL_BYTES  # once for the parts, once for the whole
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > free:
        raise HarnessError(
            f"a frame of {rows:,} rows takes {needed / 1e9:.3g} GB, and {free / 1e9:.3g} GB of memory are free.", hint
        )
