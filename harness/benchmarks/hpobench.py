"""HPOBench's tabular neural network (Eggensperger et al., "HPOBench: A collection of reproducible multi-fidelity
benchmark problems for HPO", NeurIPS Datasets and Benchmarks 2021).

Multilayer perceptrons on eight OpenML classification data sets: 30,000 configurations, each with five seeds.
"""

from __future__ import annotations

import numpy as np

from harness.benchmarks import Family
from harness.benchmarks.embedded import arrays, path_of
from harness.space import Parameter, SearchSpace
from harness.table import Facts, Objective, Table

_ALPHA = (
    1e-8, 7.742637e-8, 5.994842e-7, 4.641589e-6, 3.5938137e-5, 2.7825593e-4, 2.1544348e-3, 1.6681006e-2, 0.12915497, 1.0
)  # fmt: skip
_LEARNING_RATE = (
    1e-5, 3.5938137e-5, 1.2915497e-4, 4.641589e-4, 1.6681006e-3,
    5.9948424e-3, 2.1544347e-2, 7.742637e-2, 0.27825594, 1.0,
)  # fmt: skip

SPACE = SearchSpace(
    (
        Parameter("alpha", _ALPHA, "ordinal"),
        Parameter("batch_size", (4, 6, 10, 16, 25, 40, 64, 101, 161, 256), "ordinal"),
        Parameter("depth", (1, 2, 3), "ordinal"),
        Parameter("learning_rate_init", _LEARNING_RATE, "ordinal"),
        Parameter("width", (16, 25, 40, 64, 101, 161, 256, 406, 645, 1024), "ordinal"),
    )
)

_DATASETS = ("australian", "blood_transfusion", "car", "credit_g", "kc1", "phoneme", "segment", "vehicle")


def _facts(dataset: str) -> Facts:
    return Facts(
        name=f"hpobench/{dataset}",
        title=f"HPOBench neural network, {dataset}",
        citation="Eggensperger et al. HPOBench: A collection of reproducible multi-fidelity benchmark problems for "
        "HPO. NeurIPS Datasets and Benchmarks 2021",
        url="https://github.com/automl/HPOBench",
        licence="Apache-2.0",
        loss="validation balanced error",
        cost="training time of 243 iterations (s)",
        fidelity="iterations",
        budget=1e5,
        splits="OpenML task split; a third of the training part is the validation set",
        notes="The embedded column val_acc holds HPOBench's balanced accuracy. No test metric.",
    )


def load(dataset: str) -> Table:
    """Table of `dataset` at 243 iterations. Columns: `precision_loss` and `f1_loss` (1 - score, as fractions)."""
    codes, metrics = arrays(f"hpobench/{dataset}")
    columns = {f"{name}_loss": 1.0 - metrics[f"val_{name}"].mean(axis=1) for name in ("precision", "f1")}
    return Table(
        facts=family.datasets[dataset],
        space=SPACE,
        fidelities=np.array([243]),
        codes=codes,
        loss=1.0 - metrics["val_acc"][:, None],
        cost=metrics["train_time"][:, None],
        columns=columns,
        objectives={
            "f1": Objective("1 - validation F1", "", lambda: columns["f1_loss"]),
            "precision": Objective("1 - validation precision", "", lambda: columns["precision_loss"]),
        },
    )


family = Family(
    datasets={name: _facts(name) for name in _DATASETS},
    load=load,
    files=lambda: [path_of(f"hpobench/{dataset}") for dataset in _DATASETS],
)
