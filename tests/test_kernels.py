"""`harness compile`: all kernels at once, so that studies compile nothing; where nothing can be compiled, or kept."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import Answer

from harness.compiled import KERNELS
from harness.errors import HarnessError
from harness.studies import kernels
from harness.studies.evaluate import evaluate
from harness.studies.plan import plan

Harness = Callable[..., Answer]
QUIET = {"evals": 40}
OTHERS: list[tuple[str, str, dict[str, Any]]] = [
    ("tpe", "hpobench/car", {"workers": 4}),
    ("bohb", "nb201/cifar10", {}),
    ("motpe", "nb201/cifar10", {"objectives": ("error", "params", "latency.raspi4"), "workers": 4}),
    ("moasha", "macro/cifar10", {"objectives": ("error", "flops"), "evals": 120}),
    ("gpnas+", "macro/cifar10", {}),
]


def compiled() -> int:
    """How many kernels this process did not find in the cache."""
    return sum(sum(kernel.stats.cache_misses.values()) for kernel in KERNELS)


@pytest.fixture
def marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of notes, in place of that of the cache."""
    uniform = SimpleNamespace(stats=SimpleNamespace(cache_path=str(tmp_path / "notes")))
    monkeypatch.setattr(kernels, "uniform", uniform)
    return tmp_path / "notes"


def test_small_studies_reach_every_kernel_and_others_compile_nothing(marked: Path) -> None:
    studies = kernels.small_studies()
    assert {"tpe", "bohb", "npred", "gpnas", "gpnas+", "motpe", "moasha", "nsga2", "mo-re"} == {
        study.algorithm for study in studies
    }
    for study in studies:
        evaluate(study)
    assert not kernels.filled()
    assert kernels.mark() == len(KERNELS)
    assert kernels.filled()
    before = compiled()
    for name, table, rules in OTHERS:
        evaluate(plan([name], [table], range(17, 19), {}, lambda _: None, **{**QUIET, **rules})[0])
    assert compiled() == before


def test_what_is_no_longer_so_is_compiled_again(marked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, kept = tmp_path / "mine.py", tmp_path / "mine.loop-1.py311.nbi"
    source.write_text("def loop(): ...")
    kept.touch()
    loop: Any = type("Kernel", (), {"__qualname__": "loop", "__module__": "mine"})
    loop.stats = SimpleNamespace(cache_path=str(tmp_path))
    loop.py_func = SimpleNamespace()
    monkeypatch.setattr(kernels, "KERNELS", [loop])
    monkeypatch.setattr("harness.studies.kernels.inspect.getfile", lambda _: str(source))
    assert (kernels.mark(), kernels.filled()) == (1, True)
    os.utime(source, (1, 1))
    assert not kernels.filled()
    assert (kernels.mark(), kernels.filled()) == (1, True)
    with monkeypatch.context() as other:
        other.setattr(kernels, "compiler", lambda: ["another version"])
        assert not kernels.filled()
    (note,) = marked.iterdir()
    note.write_text("{}")
    assert not kernels.filled()
    assert (kernels.mark(), kernels.filled()) == (1, True)
    kept.unlink()
    assert not kernels.filled()
    with pytest.raises(HarnessError, match=r"1 of 1 kernels are not in the cache, such as mine\.loop"):
        kernels.mark()


def test_what_is_there_is_not_compiled_again(harness: Harness, marked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = plan(["rs"], ["nb201/cifar10"], range(2), {}, lambda _: None, evals=3)
    monkeypatch.setattr(kernels, "small_studies", lambda: tiny)
    monkeypatch.setattr(kernels, "KERNELS", [])
    answer = harness("compile", "--processes", "1")
    assert (answer.status, answer.out, answer.err.splitlines()[-1]) == (0, "", "0 kernels are compiled.")
    monkeypatch.setattr(kernels, "small_studies", lambda: pytest.fail("compiled again"))
    answer = harness("compile")
    assert (answer.status, answer.out, answer.err) == (0, "", "all kernels are there.\n")


def test_where_nothing_is_compiled_or_kept_the_command_says_so(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "uniform", lambda: None)
    harness("compile").refuses("numba is told not to compile, by NUMBA_DISABLE_JIT.", "unset it.")
    monkeypatch.setattr(kernels, "uniform", SimpleNamespace(stats=SimpleNamespace(cache_path=None)))
    harness("compile").refuses("there is no folder in which compiled kernels can be kept.", "NUMBA_CACHE_DIR")
