"""NAS-Bench-201 files written with the official classes, read back number for number."""

import contextlib
import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trials

from harness.benchmarks.formats import nasbench201
from harness.benchmarks.formats.content import FormatError

torch: Any = pytest.importorskip("torch", reason="torch, which writes the files, is not installed")
api: Any = pytest.importorskip("nas_201_api", reason="nas-bench-201 is not installed")

pytestmark = pytest.mark.reference("nas_201_api")

EXPECTED = trials.architectures(api)


def content() -> dict[str, Any]:
    infos = {
        index: {"full": both[200].state_dict(), "less": both[12].state_dict()} for index, both in enumerate(EXPECTED)
    }
    strings = [trials.string(codes) for codes in trials.CODES]
    return {
        "meta_archs": strings,
        "total_archs": len(strings),
        "arch2infos": infos,
        "evaluated_indexes": set(range(len(strings))),
    }


@pytest.fixture(params=["before PyTorch 1.6", "ZIP"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "NAS-Bench-201-v1_1-096897.pth"
    torch.save(content(), path, _use_new_zipfile_serialization=request.param == "ZIP")
    return path


def test_every_number_is_what_the_official_classes_answer(path: Path) -> None:
    table = nasbench201.read(path, architectures=3)
    assert table.codes.tolist() == [list(codes) for codes in trials.CODES]
    assert list(table.trainings) == [(d, e) for d in nasbench201.DATASETS for e in (12, 200)]
    assert trials.check(table, EXPECTED) == 38_758
    assert api.NASBench201API(content(), verbose=False).archstr2index == {
        string: index for index, string in enumerate(table.architectures)
    }


def test_only_the_data_sets_asked_for_are_kept(path: Path) -> None:
    table = nasbench201.read(path, datasets=("cifar10",), architectures=None)
    assert list(table.trainings) == [("cifar10", 12), ("cifar10", 200)]
    assert set(table.trainings["cifar10", 200].curves) == {"train", "ori-test"}


def test_a_split_recorded_once_has_one_epoch(tmp_path: Path) -> None:
    data = content()
    data["arch2infos"] = {0: data["arch2infos"][0]}
    full = data["arch2infos"][0]["full"]
    full["all_results"] = {key: value for key, value in full["all_results"].items() if key[1] != 888}
    torch.save(data, tmp_path / "f.pth")
    trainings = nasbench201.read(tmp_path / "f.pth", architectures=1).trainings["cifar100", 200]
    assert trainings.curves["x-test"].epochs.tolist() == [200]
    assert trainings.curves["ori-test"].epochs.tolist() == list(range(1, 201))
    assert np.isnan(trainings.curves["ori-test"].seconds).all()
    assert np.isnan(trainings.params[1:]).all()


def test_an_incomplete_file_is_an_error(path: Path) -> None:
    with pytest.raises(FormatError, match="results of 3 architectures instead of 15,625"):
        nasbench201.read(path)


def test_truncation_and_damage_are_errors_or_harmless(path: Path) -> None:
    whole = path.read_bytes()
    generator = random.Random(0)
    end = whole.rindex(b".") if whole[:2] != b"PK" else len(whole)
    for cut in (0, 1, 20, *sorted(generator.randrange(end - 200) for _ in range(12))):
        path.write_bytes(whole[:cut])
        with pytest.raises(FormatError, match="096897"):
            nasbench201.read(path, architectures=3)
    for _ in range(12):
        position = generator.randrange(len(whole))
        path.write_bytes(whole[:position] + b"\x93" + whole[position + 1 :])
        with contextlib.suppress(FormatError):
            nasbench201.read(path, architectures=3)


def test_code_is_refused_and_not_run(path: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "touched",)

    legacy = path.read_bytes()[:2] != b"PK"
    torch.save(content() | {"x": Evil()}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(FormatError, match="refused: it asks for"):
        nasbench201.read(path, architectures=3)
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    "data",
    [
        {},
        [1],
        {"meta_archs": ["x"], "arch2infos": {}},
        {"meta_archs": [], "arch2infos": {0: {"all_results": {}, "arch_index": 0, "arch_str": 1}}},
        {"name": "cifar10", "eval_acc1es": 1, "train_acc1es": 2},
        {"all_results": 5, "arch_index": "a"},
    ],
)
def test_another_torch_file_is_an_error(tmp_path: Path, data: Any) -> None:
    torch.save(data, tmp_path / "f.pth")
    with pytest.raises(FormatError, match=r"f\.pth"):
        nasbench201.read(tmp_path / "f.pth", architectures=None)


@pytest.mark.parametrize("data", [b"", b"hello", pickle.dumps({}), b"PK\x03\x04" + bytes(40)])
def test_another_file_is_told_what_is_wanted(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "f").write_bytes(data)
    with pytest.raises(FormatError, match=r"take NAS-Bench-201-v1_0-e61699\.pth or"):
        nasbench201.read(tmp_path / "f")
    with pytest.raises(FormatError, match="is a folder, not"):
        nasbench201.read(tmp_path)
