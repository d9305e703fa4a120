"""FCNet with its learning curves, out of the official HDF5 files (Klein and Hutter, arXiv:1905.04970, 2019).

Validation error after each of the epochs 3 to 100; an epoch costs a hundredth of the training, as in the authors' own
code. The embedded `fcnet` holds the last epoch of the same trainings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from harness.arrays import Ints
from harness.benchmarks import Converted, Family, Progress, Source, check, imported
from harness.benchmarks.fcnet import SPACE
from harness.benchmarks.fcnet import family as embedded
from harness.benchmarks.formats import fcnet as official
from harness.benchmarks.formats.content import FormatError, describe
from harness.space import Parameter
from harness.table import Facts, Table

FIRST_EPOCH = 3
EPOCHS = np.arange(FIRST_EPOCH, official.EPOCHS + 1)


def _facts(dataset: str) -> Facts:
    last = embedded.datasets[dataset]
    return replace(
        last,
        name=f"fcnet-curves/{dataset}",
        title=f"{last.title}, learning curves",
        cost="training time (s), in proportion to the epochs",
        splits="60 % training, 20 % validation, 20 % test",
        test="test MSE after 100 epochs",
        notes="Test losses after the last epoch only.",
    )


def convert(files: Sequence[Path], progress: Progress) -> Iterator[Converted]:
    """One table per file; the name of a file tells its data set."""
    dataset_of = {name: dataset for dataset, name in official.FILES.items()}
    for path in files:
        if path.name not in dataset_of:
            raise FormatError(
                f"{path} is {describe(path)} of another name than those of FCNet, which tell the data set.",
                f"take {', '.join(dataset_of)}.",
            )
    for path in files:
        dataset = dataset_of[path.name]
        table = official.read(path, configurations=official.CONFIGURATIONS, progress=progress)
        codes = np.stack([_in_space(p, table.codes) for p in SPACE.parameters], axis=1)
        rows = np.argsort(codes @ SPACE.strides)
        arrays = {
            "codes": codes[rows].astype(np.int8),
            "loss": np.swapaxes(table.valid_mse[rows, :, FIRST_EPOCH - 1 :], 1, 2),
            "cost": table.seconds[rows, None] * (EPOCHS / official.EPOCHS)[:, None],
            "test": table.test_mse[rows, None],
            "model_size": table.params[rows].astype(np.float64),
        }
        check(path, partial(_table, dataset, arrays, ""))
        yield f"fcnet-curves/{dataset}", arrays, {"files": [path.name]}


def _in_space(parameter: Parameter, codes: Any) -> Ints:
    """Codes of one parameter, Int[N], out of the official ones Int[N, 9], which number its values otherwise."""
    official_values = official.PARAMETERS[parameter.name]
    number = np.array([list(parameter.values).index(value) for value in official_values])
    return number[codes[:, list(official.PARAMETERS).index(parameter.name)]]


def load(dataset: str) -> Table:
    """The table of `dataset`, epochs 3 to 100. Column: `model_size` (number of parameters)."""
    stored = imported.load(f"fcnet-curves/{dataset}", "fcnet")
    return _table(dataset, stored.arrays, stored.checksum)


def _table(dataset: str, arrays: Mapping[str, Any], source: str) -> Table:
    return Table(
        facts=family.datasets[dataset],
        space=SPACE,
        fidelities=EPOCHS,
        codes=arrays["codes"],
        loss=arrays["loss"],
        cost=arrays["cost"],
        test=arrays["test"],
        columns={"model_size": arrays["model_size"]},
        source=source,
    )


family = Family(
    datasets={dataset: _facts(dataset) for dataset in official.FILES},
    load=load,
    source=Source("fcnet", lambda dataset: f"fcnet-curves/{dataset}", convert),
)
