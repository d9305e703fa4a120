"""NAS-Bench-Macro (Su et al., "Prioritized architecture sampling with Monto-Carlo tree search", CVPR 2021).

Chains of eight blocks with three choices each on CIFAR-10: 6,561 networks, trained three times.
"""

from __future__ import annotations

import numpy as np

from harness.benchmarks import Family
from harness.benchmarks.published import column, columns, path_of
from harness.spaces.mobilenet import macro
from harness.table import Facts, Objective, Table


def load(dataset: str) -> Table:
    """The table; an evaluation costs 1."""
    names = [f"block_{k}" for k in range(8)]
    found = columns("macro", [*names, "test_1", "test_2", "test_3"])
    loss = 1.0 - np.stack([found[f"test_{k}"] for k in (1, 2, 3)], axis=1)[:, None] / 100.0
    return Table(
        facts=family.datasets[dataset],
        space=macro.space,
        fidelities=np.array([1]),
        codes=np.stack([found[name] for name in names], axis=1).astype(np.int64),
        loss=loss,
        cost=np.ones_like(loss),
        objectives={
            "params": Objective("parameters", "", column("macro", "params")),
            "flops": Objective("multiply-adds", "", column("macro", "flops")),
        },
    )


family = Family(
    datasets={
        "cifar10": Facts(
            name="macro/cifar10",
            title="NAS-Bench-Macro, cifar10",
            citation="Su, Huang, Li, You, Wang, Qian, Zhang and Xu. Prioritized architecture sampling with Monto-Carlo "
            "tree search. CVPR 2021",
            url="https://github.com/xiusu/NAS-Bench-Macro",
            licence="Apache-2.0",
            loss="test error, which runs search by: no validation is published",
            cost="1 per evaluation: the table has no training times",
            unit="evaluations",
            fidelity="trainings",
            budget=1000.0,
            splits="trained on the training set of CIFAR-10, tested on its test set; there is no validation set",
            notes="What is searched by is what is reported, so that regret says nothing of unseen data. The time of a "
            "run counts its evaluations.",
        )
    },
    load=load,
    files=lambda: [path_of("macro")],
)
