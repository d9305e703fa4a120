"""FCNet files of the official form, read back number for number."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.benchmarks.formats import fcnet
from harness.benchmarks.formats.content import FormatError

h5py: Any = pytest.importorskip("h5py", reason="the extra that reads FCNet is not installed")


def configurations() -> list[dict[str, Any]]:
    first = {name: values[0] for name, values in fcnet.PARAMETERS.items()}
    last = {name: values[-1] for name, values in fcnet.PARAMETERS.items()}
    return [last, first, first | {"init_lr": 0.005, "batch_size": 32}]


def write(path: Path) -> dict[str, dict[str, Any]]:
    generator = np.random.default_rng(0)
    data: dict[str, dict[str, Any]] = {}
    with h5py.File(path, "w") as file:
        for configuration in configurations():
            name = json.dumps(configuration, sort_keys=True)
            curves = ("valid_mse", "valid_loss", "train_loss", "train_mse")
            data[name] = {curve: generator.random((4, 100)) for curve in curves}
            data[name]["final_test_error"] = generator.random(4)
            data[name]["runtime"] = generator.random(4)
            data[name]["n_params"] = np.full(4, generator.integers(1, 9999))
            for key, value in data[name].items():
                file.create_dataset(f"{name}/{key}", data=value)
    return data


def test_numbers_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "fcnet_protein_structure_data.hdf5"
    data = write(path)
    table = fcnet.read(path, configurations=3)
    assert table.codes.tolist() == [
        [0] * 9,
        [0, 0, 0, 0, 0, 0, 2, 0, 2],
        [5, 5, 2, 2, 1, 1, 5, 1, 3],
    ]
    assert np.prod([len(values) for values in fcnet.PARAMETERS.values()]) == fcnet.CONFIGURATIONS
    for row, configuration in enumerate(np.array(configurations())[[1, 2, 0]]):
        expected = data[json.dumps(configuration, sort_keys=True)]
        assert np.array_equal(table.valid_mse[row], expected["valid_mse"])
        assert np.array_equal(table.test_mse[row], expected["final_test_error"])
        assert np.array_equal(table.seconds[row], expected["runtime"])
        assert table.params[row] == expected["n_params"][0]


def test_an_incomplete_file_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "f.hdf5")
    with pytest.raises(FormatError, match="3 configurations instead of 62,208"):
        fcnet.read(tmp_path / "f.hdf5")


def test_truncated_or_foreign_files_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "f.hdf5"
    write(path)
    whole = path.read_bytes()
    for end in (0, 7, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:end])
        with pytest.raises(FormatError, match=r"f\.hdf5"):
            fcnet.read(path, configurations=3)
    with h5py.File(path, "w") as file:
        file["x"] = [1, 2]
    with pytest.raises(FormatError, match=r"take one of fcnet_protein_structure_data\.hdf5"):
        fcnet.read(path, configurations=None)


def test_values_of_other_files_or_of_absurd_size_are_not_read(tmp_path: Path) -> None:
    path, secret = tmp_path / "f.hdf5", tmp_path / "secret.hdf5"
    name = json.dumps(configurations()[0])
    with h5py.File(secret, "w") as file:
        file["valid_mse"] = np.zeros((4, 100))
    layout = h5py.VirtualLayout((4, 100), "f8")
    layout[:] = h5py.VirtualSource(secret, "valid_mse", (4, 100))
    (tmp_path / "raw").write_bytes(bytes(3200))

    def external(group: Any) -> None:
        raw = [(str(tmp_path / "raw"), 0, 3200)]
        group.create_dataset("valid_mse", (4, 100), "f8", external=raw)

    cases: list[Any] = [
        lambda group: group.__setitem__("valid_mse", h5py.ExternalLink(secret, "valid_mse")),
        lambda group: group.create_virtual_dataset("valid_mse", layout),
        external,
        lambda group: group.create_dataset("valid_mse", (10**9, 10**3), "f8", chunks=(1, 1000)),
        lambda group: group.create_dataset("valid_mse", (4, 100), h5py.string_dtype()),
    ]
    for case in cases:
        with h5py.File(path, "w") as file:
            case(file.create_group(name))
        with pytest.raises(FormatError, match="valid_mse"):
            fcnet.read(path, configurations=None)
