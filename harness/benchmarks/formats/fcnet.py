"""FCNet (NAS-HPO-Bench): the four HDF5 files as arrays.

Klein and Hutter, "Tabular Benchmarks for Joint Architecture and Hyperparameter Optimization",
arXiv:1905.04970.

A file has one group per configuration, named by its JSON, with the data sets `valid_mse`,
`valid_loss`, `train_mse`, `train_loss` (4, 100) and `runtime`, `final_test_error`, `n_params`
(4,). The authors' own benchmark code scores `valid_mse` and charges an epoch
a hundredth of the `runtime` of the whole training; so do these arrays.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from harness.benchmarks.formats.content import FormatError, Progress, describe, extra, require_file

__all__ = ["FILES", "PARAMETERS", "FcNet", "read"]

FILES: Final = {
    "protein": "fcnet_protein_structure_data.hdf5",
    "slice": "fcnet_slice_localization_data.hdf5",
    "naval": "fcnet_naval_propulsion_data.hdf5",
    "parkinsons": "fcnet_parkinsons_telemonitoring_data.hdf5",
}
PARAMETERS: Final[dict[str, tuple[float | str, ...]]] = {
    "n_units_1": (16, 32, 64, 128, 256, 512),
    "n_units_2": (16, 32, 64, 128, 256, 512),
    "dropout_1": (0.0, 0.3, 0.6),
    "dropout_2": (0.0, 0.3, 0.6),
    "activation_fn_1": ("tanh", "relu"),
    "activation_fn_2": ("tanh", "relu"),
    "init_lr": (5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1e-1),
    "lr_schedule": ("cosine", "const"),
    "batch_size": (8, 16, 32, 64),
}
CONFIGURATIONS: Final = 62_208
REPEATS: Final = 4
EPOCHS: Final = 100

_WANTED = "an HDF5 file of FCNet"
_HINT = f"take one of {', '.join(FILES.values())}"


@dataclass(frozen=True)
class FcNet:
    """One data set, rows in ascending order of codes; N configurations, R = 4, E = 100 epochs.

    `codes` int8[N, 9]: position in the values of each of `PARAMETERS`.
    `valid_mse` float64[N, R, E]: validation mean squared error after each epoch.
    `test_mse` float64[N, R]: test mean squared error after the last epoch.
    `seconds` float64[N, R]: time of the whole training; `seconds * epoch / 100` up to an epoch.
    `params` int64[N]: trainable parameters.
    """

    codes: NDArray[np.int8]
    valid_mse: NDArray[np.float64]
    test_mse: NDArray[np.float64]
    seconds: NDArray[np.float64]
    params: NDArray[np.int64]


def read(path: Path, *, configurations: int | None = CONFIGURATIONS, progress: Progress | None = None) -> FcNet:
    """Read one official file; it must hold `configurations` (None: any number, for samples)."""
    h5py = extra("h5py", "h5py")
    size = require_file(path, _WANTED, _HINT)
    if not h5py.is_hdf5(path):
        raise FormatError(f"{path} is {describe(path)}, not {_WANTED}; {_HINT}.")
    try:
        with h5py.File(path, "r") as file:
            rows = sorted((_codes(name), name) for name in file)
            if not rows or configurations not in (None, len(rows)):
                raise FormatError(
                    f"{path} holds {len(rows):,} configurations instead of {configurations or 1:,}: it is incomplete."
                )
            table = _allocate([codes for codes, _ in rows])
            repeated = np.empty((len(rows), REPEATS), np.int64)
            for row, (_, name) in enumerate(rows):
                group = _group(file, name)
                _fill(group, "valid_mse", table.valid_mse[row])
                _fill(group, "final_test_error", table.test_mse[row])
                _fill(group, "runtime", table.seconds[row])
                _fill(group, "n_params", repeated[row])
                if progress and not row & 0x3FF:
                    progress(size * row // len(rows), size)
            table.params[:] = repeated[:, 0]
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise FormatError(f"{path} is not {_WANTED} or is damaged ({error}); {_HINT}.") from error
    if progress:
        progress(size, size)
    return table


def _codes(name: str) -> tuple[int, ...]:
    configuration = json.loads(name)
    if not isinstance(configuration, dict) or configuration.keys() != PARAMETERS.keys():
        raise ValueError(f"the group {name[:80]!r} does not name a configuration")
    return tuple(values.index(configuration[parameter]) for parameter, values in PARAMETERS.items())


def _allocate(codes: list[tuple[int, ...]]) -> FcNet:
    table = np.array(codes, np.int8)
    if len(np.unique(table, axis=0)) != len(table):
        raise ValueError("a configuration occurs twice")
    n = len(table)
    return FcNet(
        codes=table,
        valid_mse=np.empty((n, REPEATS, EPOCHS)),
        test_mse=np.empty((n, REPEATS)),
        seconds=np.empty((n, REPEATS)),
        params=np.empty(n, np.int64),
    )


def _group(file: Any, name: str) -> Any:
    h5py = extra("h5py", "h5py")
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"{name!r} is a link to elsewhere")
    return file[name].id


def _fill(group: Any, name: str, out: NDArray[Any]) -> None:
    """Read a data set of the shape of `out` that is stored in this very file.

    The low-level interface makes this several times faster, which 250,000 data sets need.
    """
    h5py = extra("h5py", "h5py")
    key = name.encode()
    if group.links.get_info(key).type != h5py.h5l.TYPE_HARD:
        raise ValueError(f"{name!r} is a link to elsewhere")
    dataset = h5py.h5d.open(group, key)
    layout = dataset.get_create_plist()
    if layout.get_external_count() or layout.get_layout() == h5py.h5d.VIRTUAL:
        raise ValueError(f"{name!r} is stored in another file")
    if dataset.get_type().get_class() not in (h5py.h5t.FLOAT, h5py.h5t.INTEGER):
        raise ValueError(f"{name!r} does not hold numbers")
    if dataset.shape != out.shape:
        raise ValueError(f"{name!r} has the shape {dataset.shape} instead of {out.shape}")
    dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, out)
