"""Fixtures shared by the tests."""

from __future__ import annotations

import gc
import importlib.util
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from harness import cli

ROOT = Path(__file__).parents[1]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `-m cluster`, or another single marker, files in which it does not stand are not imported, by any worker."""
    marker: str = config.option.markexpr
    return (collection_path.is_file() and marker.isidentifier() and marker not in collection_path.read_text()) or None


def pytest_collection() -> None:
    """What is imported stays: to look through it for garbage again and again takes an eighth of the time of tests."""
    gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked `reference(package, ...)` are skipped where a package is not installed."""
    for mark in item.iter_markers("reference"):
        absent = [package for package in mark.args if importlib.util.find_spec(package) is None]
        if absent:
            pytest.skip(f"not installed: {', '.join(absent)}")


class Answer(NamedTuple):
    status: int
    out: str
    err: str

    def refuses(self, message: str, hint: str) -> None:
        """Nothing but one sentence with `message`, and a `hint` below it."""
        assert (self.status, self.out) == (2, "")
        said, *rest = self.err.splitlines()
        assert said.startswith("error: ")
        assert message in said
        assert hint in "".join(rest)


@pytest.fixture(autouse=True, scope="session")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> object:
    """Tables are converted into a cache and a data folder of the session, not the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAS_HARNESS_DATA", str(tmp_path_factory.mktemp("data")))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True, scope="session")
def _interruptible() -> None:
    """Ctrl-C reaches tests and their children also where a shell in the background started them without it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tests work in an empty folder, where no package of the checkout can be imported by chance, and in 140 columns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """The command `harness`: `harness("run", "--algo", "rs")`."""

    def call(*arguments: object) -> Answer:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["harness", *map(str, arguments)])
        monkeypatch.setenv("MPLBACKEND", "agg")  # the command sets it for itself
        with pytest.raises(SystemExit) as left:
            cli.main()
        return Answer(int(left.value.code or 0), *capsys.readouterr())

    return call


@pytest.fixture
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder."""
    monkeypatch.setenv("NAS_HARNESS_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Small networks are slower on several threads, much so on a busy machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of published numbers that no package ships; it stands beside the checkout where there is one."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("there is no folder shared/data of published tables beside the checkout")
    return folder
