"""NATS-Bench folders written with the official package, read back number for number."""

import bz2
from pathlib import Path
from typing import Any

import pytest
import trials

from harness.benchmarks.formats import nats
from harness.benchmarks.formats.content import FormatError

api: Any = pytest.importorskip("nats_bench.api_utils", reason="nats_bench is not installed")

pytestmark = pytest.mark.reference("nats_bench")


def write(folder: Path, weights: Any = None) -> list[dict[int, Any]]:
    folder.mkdir()
    expected = trials.architectures(api, weights)
    strings = [trials.string(codes) for codes in trials.CODES]
    meta = {"meta_archs": strings, "total_archs": 3, "evaluated_indexes": {0, 1, 2}}
    api.pickle_save(meta, folder / "meta.pickle")
    for index, both in enumerate(expected):
        infos = {str(epochs): results.state_dict() for epochs, results in both.items()}
        api.pickle_save(infos, folder / f"{index:06d}.pickle")
    return expected


def test_every_number_of_a_simple_folder_is_what_the_official_classes_answer(
    tmp_path: Path,
) -> None:
    expected = write(tmp_path / "NATS-tss-v1_0-3ffb9-simple")
    calls: list[tuple[int, int]] = []
    table = nats.read(
        tmp_path / "NATS-tss-v1_0-3ffb9-simple",
        architectures=3,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert table.codes.tolist() == [list(codes) for codes in trials.CODES]
    assert trials.check(table, expected) == 38_758
    assert calls[-1][0] == calls[-1][1] > 0


def test_weights_of_a_full_folder_are_skipped(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    weights = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)).state_dict()
    expected = write(tmp_path / "full", weights)
    table = nats.read(tmp_path / "full", datasets=("cifar100",), architectures=3)
    assert trials.check(table, expected) > 10_000


def test_missing_damaged_and_misplaced_files_are_errors(tmp_path: Path) -> None:
    folder = tmp_path / "simple"
    write(folder)
    with pytest.raises(FormatError, match="3 architectures instead of 15,625"):
        nats.read(folder)
    file = folder / "000001.pickle.pbz2"
    whole = file.read_bytes()
    for damaged in (whole[:-9], whole[:99], b"", b"BZh9", b"x", bz2.compress(b"\x80\x04}")):
        file.write_bytes(damaged)
        with pytest.raises(FormatError, match=r"000001\.pickle\.pbz2"):
            nats.read(folder, architectures=3)
    file.write_bytes((folder / "000002.pickle.pbz2").read_bytes())
    with pytest.raises(FormatError, match="does not hold the results of the architecture it names"):
        nats.read(folder, architectures=3)


def test_code_is_refused_and_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "touched",)

    folder = tmp_path / "simple"
    write(folder)
    api.pickle_save({"12": Evil()}, folder / "000000.pickle")
    with pytest.raises(FormatError, match=r"000000\.pickle\.pbz2 is refused"):
        nats.read(folder, architectures=3)
    assert not (tmp_path / "touched").exists()


def test_another_folder_or_file_is_told_what_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"take the unpacked folder NATS-tss-v1_0-3ffb9-simple"):
        nats.read(tmp_path)
    (tmp_path / "f.pickle.pbz2").write_bytes(bz2.compress(b"x"))
    with pytest.raises(FormatError, match="is a bzip2 file, not"):
        nats.read(tmp_path / "f.pickle.pbz2")
