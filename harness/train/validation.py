"""Tables held against trainings: accuracy beside accuracy, and whether they order the architectures alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from harness.statistics import Estimate, kendall
from harness.train.results import Training

Kind = Literal["val", "test"]
_FAMILIES = {"nb101": "cifar10", "1shot1": "cifar10", "cifar10-valid": "cifar10"}


@dataclass(frozen=True)
class Agreement:
    """Kendall's tau-b over the architectures of a benchmark, trained on one image set by one recipe.

    `transfer`: the table is of another image set. `tau` is None where fewer than three architectures were trained, or
    all are tied.
    """

    benchmark: str
    images: str
    recipe: str
    kind: Kind
    epochs: int
    transfer: bool
    architectures: int
    trainings: int
    tau: Estimate | None


def transfer(training: Training) -> bool:
    """Whether the table's accuracies are of another image set than the training's."""
    assert training.origin is not None
    family, _, dataset = training.origin.benchmark.partition("/")
    measured_on = training.origin.images or _FAMILIES.get(family) or _FAMILIES.get(dataset, dataset)
    return measured_on != training.job.images


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


def agreements(trainings: Sequence[Training], seed: int = 0) -> list[Agreement]:
    """How trained accuracies, means over repeats, agree with the table's; one for each way of training.

    Validation accuracies where images were held out, test accuracies elsewhere, each against the table's of that kind;
    diverged trainings are left out. Intervals are of the bootstrap over architectures.
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
    kind, job = _kind(group[0]), group[0].job
    trained: dict[str, list[float]] = {}
    table: dict[str, float] = {}
    for training in group:
        origin = training.origin
        assert origin is not None
        published = _mean(origin.test if kind == "test" and origin.test else origin.validation)
        if published is not None:
            trained.setdefault(training.job.architecture.text, []).append(training.curve.accuracy)
            table[training.job.architecture.text] = published
    ours = np.array([np.mean(values) for values in trained.values()])
    theirs = np.array([table[text] for text in trained])
    enough = len(ours) > 2 and np.ptp(ours) > 0 and np.ptp(theirs) > 0
    tau = kendall(theirs, ours, np.random.default_rng(seed)) if enough else None
    assert group[0].origin is not None
    return Agreement(
        group[0].origin.benchmark,
        job.images,
        job.recipe.title,
        kind,
        job.recipe.epochs,
        transfer(group[0]),
        len(ours),
        len(group),
        tau,
    )


def sentence(agreement: Agreement) -> str:
    """The agreement in words."""
    what = f"{agreement.benchmark} against {agreement.images}, {agreement.epochs} epochs"
    mark = " (a transfer: the table is of other images)" if agreement.transfer else ""
    count = f"{agreement.architectures} architectures, {agreement.trainings} trainings"
    if agreement.tau is None:
        return f"{what}{mark}: no rank correlation of {count}."
    tau = agreement.tau
    return (
        f"{what}{mark}: Kendall's tau of {agreement.kind} accuracy {tau.value:.2f}, "
        f"95 % interval {tau.low:.2f} to {tau.high:.2f}, over {count}."
    )


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
