"""NAS-Bench-201 (Dong and Yang, "NAS-Bench-201: Extending the scope of reproducible NAS", ICLR 2020).

A cell has four nodes and an operator on each of its six edges: 15,625 architectures, each trained for 200 epochs two
or three times per dataset.
"""

from __future__ import annotations

import numpy as np

from harness.benchmarks import Family
from harness.benchmarks.embedded import arrays
from harness.spaces.nasbench201 import SPACE
from harness.table import Facts, Table

_SOURCE = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet16-120": "imagenet"}
_SPLITS = {
    "cifar10": "cifar10-valid: trained on 25,000 images of the CIFAR-10 training set, validated on the other 25,000",
    "cifar100": "trained on the 50,000 training images, validated on 5,000 of the CIFAR-100 test set",
    "imagenet16-120": "trained on the 151,700 training images, validated on 3,000 of the validation set",
}


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
        notes="No test metric in the embedded table.",
    )


def load(dataset: str) -> Table:
    """The table of `dataset` at 200 epochs. Columns: `latency` (s per batch) and `model_size` (1e6 parameters)."""
    codes, metrics = arrays(f"nasbench201/{_SOURCE[dataset]}")
    return Table(
        facts=family.datasets[dataset],
        space=SPACE,
        fidelities=np.array([200]),
        codes=codes,
        loss=1.0 - metrics["val_acc"][:, None] / 100.0,
        cost=metrics["train_time"][:, None],
        columns={name: np.nanmean(metrics[name], axis=1) for name in ("latency", "model_size")},
    )


family = Family(datasets={name: _facts(name) for name in _SOURCE}, load=load)
