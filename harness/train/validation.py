"""Tables held against trainings: accuracy beside accuracy, and whether they order the architectures alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.statistics import Estimate, kendall
from harness.studies.reference import Kind
from harness.train.results import Training

ABSENT = "–"
_FAMILIES = {"nb101": "cifar10", "1shot1": "cifar10", "cifar10-valid": "cifar10"}


@dataclass(frozen=True)
class Point:
    """An architecture: its accuracies in trainings, and those in its `row` of the table, one per repeat."""

    row: int
    architecture: str
    trained: tuple[float, ...]
    table: tuple[float, ...]


@dataclass(frozen=True)
class Agreement:
    """Kendall's tau-b over the architectures of a benchmark, trained on one image set by one recipe.

    `kind` of the trained accuracies is held `against` that of the table. `transfer`: the table is of another image set.
    `tau` is None where fewer than three architectures were trained, or all are tied.
    """

    benchmark: str
    images: str
    recipe: str
    kind: Kind
    against: Kind
    epochs: int
    transfer: bool
    architectures: int
    trainings: int
    points: tuple[Point, ...]
    tau: Estimate | None


def transfer(training: Training) -> bool:
    """Whether the table's accuracies are of another image set than the training's."""
    assert training.origin is not None
    family, _, dataset = training.origin.benchmark.partition("/")
    measured_on = training.origin.images or _FAMILIES.get(family) or _FAMILIES.get(dataset, dataset)
    return measured_on != training.job.images


def with_table(trainings: Iterable[Training]) -> list[Training]:
    """The trainings of architectures that have a table: by benchmark and images, the table's best first, by seed."""

    def place(training: Training) -> tuple[Any, ...]:
        job, origin = training.job, training.origin
        assert origin is not None
        return (
            origin.benchmark,
            job.images,
            -(_mean(origin.validation) or 0.0),
            origin.row,
            job.recipe.epochs,
            job.seed,
        )

    return sorted((training for training in trainings if training.origin is not None), key=place)


def row(training: Training) -> dict[str, Any]:
    """One JSON row: what was trained, its accuracies, and those of the table. Absent numbers are None."""
    job, curve, origin = training.job, training.curve, training.origin
    return {
        "architecture": job.architecture.text,
        "space": job.architecture.space,
        "benchmark": origin.benchmark if origin else None,
        "row": origin.row if origin else None,
        "images": job.images,
        "transfer": transfer(training) if origin else None,
        "recipe": job.recipe.title,
        "epochs": job.recipe.epochs,
        "seed": job.seed,
        "precision": job.precision,
        "diverged": curve.diverged,
        "val_accuracy": _number(np.nan if curve.diverged else curve.val_accuracy[-1]),
        "test_accuracy": _number(curve.test_accuracy),
        "table_val_accuracy": _mean(origin.validation) if origin else None,
        "table_test_accuracy": _mean(origin.test) if origin else None,
        "table_repeats": list(origin.validation) if origin else [],
        "seconds": float(curve.seconds.sum()),
        "parameters": training.facts["parameters"],
        "multiply_adds": training.facts["multiply_adds"],
        "training": job.id,
    }


def columns(rows: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    """The `rows` as the columns of a table, texts by their heading; accuracies in percent.

    A column without any number is left out.
    """
    texts = {
        "table": [ABSENT if row["row"] is None else f"{row['benchmark']}:{row['row']}" for row in rows],
        "images": [f"{row['images']} (transfer)" if row["transfer"] else row["images"] for row in rows],
        "seed": [str(row["seed"]) for row in rows],
        "epochs": [str(row["epochs"]) for row in rows],
        "val %": ["diverged" if row["diverged"] else percent(row["val_accuracy"]) for row in rows],
        "test %": [percent(row["test_accuracy"]) for row in rows],
        "table val %": [percent(row["table_val_accuracy"]) for row in rows],
        "table repeats": [" ".join(map(percent, row["table_repeats"])) or ABSENT for row in rows],
        "table test %": [percent(row["table_test_accuracy"]) for row in rows],
        "seconds": [f"{row['seconds']:,.1f}" for row in rows],
    }
    return {heading: cells for heading, cells in texts.items() if set(cells) != {ABSENT}}


def agreements(trainings: Sequence[Training], seed: int = 0) -> list[Agreement]:
    """How trained accuracies, means over repeats, agree with the table's; one for each way of training.

    Validation accuracies where images were held out, test accuracies elsewhere, each against the table's of that kind,
    or its validation accuracies if it has no others; diverged trainings are left out. Intervals are of the bootstrap
    over architectures.
    """
    groups: dict[tuple[Any, ...], list[Training]] = {}
    for training in trainings:
        if training.origin is not None and not training.curve.diverged:
            job = training.job
            key = (
                training.origin.benchmark,
                job.images,
                job.checksum,
                repr(job.recipe),
                job.precision,
                _kind(training),
            )
            groups.setdefault(key, []).append(training)
    return [_agreement(group, seed) for group in groups.values()]


def _kind(training: Training) -> Kind:
    return "test" if np.isnan(training.curve.val_accuracy[-1]) else "val"


def _agreement(group: Sequence[Training], seed: int) -> Agreement:
    first, kind = group[0], _kind(group[0])
    assert first.origin is not None
    against: Kind = "test" if kind == "test" and first.origin.test else "val"
    points = _points(group, against)
    ours, theirs = (np.array([np.mean(getattr(p, name)) for p in points]) for name in ("trained", "table"))
    enough = len(points) > 2 and np.ptp(ours) > 0 and np.ptp(theirs) > 0
    return Agreement(
        first.origin.benchmark,
        first.job.images,
        first.job.recipe.title,
        kind,
        against,
        first.job.recipe.epochs,
        transfer(first),
        len(points),
        sum(len(point.trained) for point in points),
        points,
        kendall(theirs, ours, np.random.default_rng(seed)) if enough else None,
    )


def _points(group: Sequence[Training], against: Kind) -> tuple[Point, ...]:
    """The architectures that the table has accuracies of."""
    found: dict[str, Point] = {}
    for training in group:
        origin, text = training.origin, training.job.architecture.text
        assert origin is not None
        published = origin.test if against == "test" else origin.validation
        if published:
            before = found[text].trained if text in found else ()
            found[text] = Point(origin.row, text, (*before, training.curve.accuracy), published)
    return tuple(found.values())


def name(agreement: Agreement) -> str:
    """`nb201/cifar10 against digits, 6 epochs`."""
    return f"{agreement.benchmark} against {agreement.images}, {_count(agreement.epochs, 'epoch')}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"


def sentence(agreement: Agreement) -> str:
    """The agreement in words."""
    what, mark = name(agreement), " (a transfer: the table is of other images)" if agreement.transfer else ""
    count = f"{_count(agreement.architectures, 'architecture')}, {_count(agreement.trainings, 'training')}"
    if agreement.tau is None:
        return f"{what}{mark}: no rank correlation of {count}."
    tau = agreement.tau
    other = "" if agreement.against == agreement.kind else f" with the table's {agreement.against} accuracy"
    return (
        f"{what}{mark}: Kendall's tau of {agreement.kind} accuracy{other} {tau.value:.2f}, "
        f"95 % interval {tau.low:.2f} to {tau.high:.2f}, over {count}."
    )


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def percent(share: float | None) -> str:
    """A share as text, in percent."""
    return ABSENT if share is None else f"{100 * share:.2f}"
