"""The pickle reader builds what pickle builds from data, and nothing from anything else."""

import collections
import os
import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.benchmarks.formats.content import FormatError
from harness.benchmarks.formats.safe_pickle import load

SHARED = [1.5, "x"]
DATA: dict[Any, Any] = {
    "curve": {epoch: epoch / 7 for epoch in range(300)},
    "losses": {f"x-valid@{epoch}": -epoch / 3 for epoch in range(300)},
    ("cifar10", 777): [0, -1, 255, 256, 65536, -(2**40), 2**100],
    "ordered": collections.OrderedDict(b=1, a=2),
    "set": {1, 2},
    "frozen": frozenset({"a"}),
    "bytes": b"\x00\xff",
    "text": "é" * 300,
    "flags": (True, False, None, ()),
    "number": np.float64(0.1),
    "small": np.int32(-3),
    "shared": [SHARED, SHARED],
}


class Evil:
    """Unpickling this touches the file at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_data_is_read_as_pickle_reads_it(protocol: int) -> None:
    pickled = pickle.dumps(DATA, protocol)
    value, end = load(pickled + b"tail", "data")
    assert value == DATA
    assert end == len(pickled)
    assert list(value["ordered"]) == ["b", "a"]
    assert value["shared"][0] is value["shared"][1]


@pytest.mark.parametrize("protocol", [2, 4])
def test_numpy_arrays_keep_shape_type_and_order(protocol: int) -> None:
    for array in (np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6).reshape(2, 3))):
        [read], _ = load(pickle.dumps(array, protocol), "array")
        assert np.array_equal(read, array)
        assert read.dtype == array.dtype


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_code_is_refused_by_name_and_not_run(tmp_path: Path, protocol: int) -> None:
    touched = tmp_path / "touched"
    pickled = pickle.dumps({"a": [Evil(touched)]}, protocol)
    with pytest.raises(FormatError, match=r"evil\.pickle is refused: .*\.system"):
        load(pickled, "evil.pickle")
    assert not touched.exists()
    pickle.loads(pickled)
    assert touched.exists(), "the pickle of this test must be able to do harm"


@pytest.mark.parametrize(
    "pickled",
    [
        pickle.dumps(eval),
        pickle.dumps(Path("x")),
        pickle.dumps(np.array([object], object), 4),
        pickle.dumps(np.datetime64("2020-01-01"), 4),
        b"cposix\nsystem\n(S'true'\ntR.",
        b"\x80\x04c__builtin__\nset\n(K\x01ib.",
        b"\x80\x02ccollections\nOrderedDict\n}b.",
    ],
)
def test_what_is_not_on_the_list_is_refused(pickled: bytes) -> None:
    with pytest.raises(FormatError, match="refused"):
        load(pickled, "p")


def test_huge_memo_index_and_length_cost_no_memory() -> None:
    for pickled in (b"\x80\x02}r\xff\xff\xff\x7f.", b"\x80\x02X\xff\xff\xff\x7fa."):
        with pytest.raises(FormatError, match="corrupted"):
            load(pickled, "p")


def test_every_truncation_is_an_error() -> None:
    pickled = pickle.dumps({**DATA, "curve": {0: 0.5}, "losses": {}}, 2)
    for end in range(len(pickled)):
        with pytest.raises(FormatError):
            load(pickled[:end], "p")


def test_damage_gives_a_value_or_a_format_error(tmp_path: Path) -> None:
    generator = random.Random(0)
    pickled = pickle.dumps([DATA, "x" * 9], 2)
    for _ in range(1000):
        damaged = bytearray(pickled)
        for _ in range(generator.randint(1, 3)):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        try:
            load(bytes(damaged), "p")
        except FormatError:
            continue


def test_what_was_let_go_cannot_be_referred_to() -> None:
    curve = dict.fromkeys(range(20), 0.0)
    first, second = {"curve": curve, "end": 1}, {"curve": curve, "end": 2}
    pickled = pickle.dumps([first, second], 2)
    assert load(pickled, "p", on_dict=lambda value: False)[0] == [first, second]
    with pytest.raises(FormatError, match="let go"):
        load(pickled, "p", on_dict=lambda value: "end" in value)


@pytest.mark.parametrize("top", [b"Ns.", b"\x90.", b"\x91.", b"."], ids=["key", "member", "frozen", "value"])
def test_what_is_small_by_sharing_is_refused_at_once(top: bytes) -> None:
    start = {b"Ns.": b"}", b"\x90.": b"\x8f(", b"\x91.": b"(", b".": b""}[top]
    twice = b"".join(b"q%ch%c\x86" % (i, i) for i in range(100))
    with pytest.raises(FormatError, match="refused"):
        load(b"\x80\x04" + start + b"N\x85" + twice + top, "small")


@pytest.mark.parametrize("step", [b"\x85", b"h\0\x86"], ids=["tuples", "pairs"])
@pytest.mark.parametrize(("start", "top"), [(b"", b"."), (b"}", b"Ns."), (b"\x8f(", b"\x90."), (b"(", b"\x91.")])
def test_what_is_very_deep_is_refused(step: bytes, start: bytes, top: bytes) -> None:
    with pytest.raises(FormatError, match="refused"):
        load(b"\x80\x04Nq\x000" + start + b"N" + step * 100_000 + top, "deep")


def test_what_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(FormatError, match="may contain itself"):
        load(pickle.dumps(loop, 2), "loop")
    popped = b"\x80\x02]q\x00h\x00\x85q\x010h\x00h\x01a."
    around = pickle.loads(popped)
    assert around[0][0][0] is around[0]
    with pytest.raises(FormatError, match="refused"):
        load(popped, "loop")


@pytest.mark.parametrize("key", [(1, (2, 3)), frozenset({1}), ((),)])
def test_keys_are_plain_or_flat_tuples(key: Any) -> None:
    for value in ({key: 1}, {key}, frozenset({key}), collections.OrderedDict([(key, 1)])):
        with pytest.raises(FormatError, match="a key that is a"):
            load(pickle.dumps(value, 4), "keys")
