"""FCNet, also called NAS-HPO-Bench (Klein and Hutter, "Tabular benchmarks for joint architecture and hyperparameter
optimization", arXiv:1905.04970, 2019).

Two-layer fully connected networks on four regression data sets: 62,208 configurations, each trained for 100 epochs
four times.
"""

from __future__ import annotations

import numpy as np

from harness.benchmarks import Family
from harness.benchmarks.embedded import arrays, path_of
from harness.space import Parameter, SearchSpace, by_columns
from harness.table import Facts, Objective, Table

_UNITS = (16, 32, 64, 128, 256, 512)

_PARAMETERS = (
    Parameter("activation_fn_1", ("relu", "tanh")),
    Parameter("activation_fn_2", ("relu", "tanh")),
    Parameter("batch_size", (8, 16, 32, 64), "ordinal"),
    Parameter("dropout_1", (0.0, 0.3, 0.6), "ordinal"),
    Parameter("dropout_2", (0.0, 0.3, 0.6), "ordinal"),
    Parameter("init_lr", (5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1e-1), "ordinal"),
    Parameter("lr_schedule", ("cosine", "const")),
    Parameter("n_units_1", _UNITS, "ordinal"),
    Parameter("n_units_2", _UNITS, "ordinal"),
)
_ARCHITECTURE = [i for i, p in enumerate(_PARAMETERS) if p.name.startswith(("activation", "dropout", "n_units"))]

SPACE = SearchSpace(_PARAMETERS, split=by_columns(_PARAMETERS, _ARCHITECTURE))
"""Split into the architecture (activations, dropout, units) and how it is trained."""

_SOURCE = {
    "protein": "protein_structure",
    "slice": "slice_localization",
    "naval": "naval_propulsion",
    "parkinsons": "parkinsons_telemonitoring",
}


def _facts(dataset: str) -> Facts:
    return Facts(
        name=f"fcnet/{dataset}",
        title=f"FCNet, {_SOURCE[dataset].replace('_', ' ')}",
        citation="Klein and Hutter. Tabular benchmarks for joint architecture and hyperparameter optimization. "
        "arXiv:1905.04970, 2019",
        url="https://github.com/automl/nas_benchmarks",
        licence="BSD-3-Clause",
        loss="validation MSE",
        cost="training time of 100 epochs (s)",
        fidelity="epochs",
        budget=1e6,
        splits="60 % training, 20 % validation, 20 % test; the test numbers are not in the embedded table",
        notes="No test metric and no learning curves in the embedded table.",
    )


def load(dataset: str) -> Table:
    """The table of `dataset` at 100 epochs. Column: `model_size` (number of parameters)."""
    codes, metrics = arrays(f"hpolib/{_SOURCE[dataset]}")
    size = metrics["model_size"].mean(axis=1)
    return Table(
        facts=family.datasets[dataset],
        space=SPACE,
        fidelities=np.array([100]),
        codes=codes,
        loss=metrics["val_loss"][:, None],
        cost=metrics["train_time"][:, None],
        columns={"model_size": size},
        objectives={"params": Objective("parameters", "", lambda: size)},
    )


family = Family(
    datasets={name: _facts(name) for name in _SOURCE},
    load=load,
    files=lambda: [path_of(f"hpolib/{source}") for source in _SOURCE.values()],
)
