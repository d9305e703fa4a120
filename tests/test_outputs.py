"""What outputs get: no device is replaced, no file overwritten that is not ours, all is written or an error told."""

from __future__ import annotations

import json
import os
import shlex
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Answer

import harness as h
from harness import HarnessError
from harness.report import claims

Harness = Callable[..., Answer]
RUN = ("run", "--algo", "rs,re", "--bench", "nb201", "--seeds", 6, "--evals", 40, "--processes", 1, "--out", "there")
WRITERS = {
    "plot": ("plot", "there", "-o", "a.png"),
    "report": ("report", "there", "-o", "a.html"),
    "export": ("export", "summary", "there", "-o", "a.csv"),
    "junit": ("regress", "--baseline", "there", "--processes", 1, "--junit", "a.xml"),
    "figure": ("regress", "--baseline", "there", "--processes", 1, "--figure", "a.svg"),
}


@pytest.fixture
def there(harness: Harness) -> None:
    assert harness(*RUN).status == 0


def devices(path: Path) -> bool:
    """Put a device at `path`, as root only, else a fifo; whether that is a device."""
    if os.geteuid() == 0:
        try:
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        except OSError:
            pass
        else:
            return True
    os.mkfifo(path)
    return False


@pytest.mark.usefixtures("there")
@pytest.mark.parametrize("writer", WRITERS)
def test_no_output_takes_the_place_of_a_device_or_pipe(writer: str, harness: Harness) -> None:
    *words, name = WRITERS[writer]
    for make in (devices, os.mkfifo):
        make(Path(str(name)))
        before = os.stat(str(name))
        answer = harness(*words, name)
        assert answer.status == 2
        assert f"cannot write {name}: it is a device, not a file." in answer.err
        assert os.path.samestat(before, os.stat(str(name)))
        assert not stat.S_ISREG(os.stat(str(name)).st_mode)
        Path(str(name)).unlink()


@pytest.mark.usefixtures("there")
def test_the_null_device_stays_what_it_is(harness: Harness) -> None:
    for words in (("report", "there"), ("export", "summary", "there")):
        for device in ("/dev/null", "/dev/full"):
            assert harness(*words, "-o", device).status == 2
            assert stat.S_ISCHR(os.stat(device).st_mode)
    Path("a.html").symlink_to("/dev/null")
    assert harness("report", "there", "-o", "a.html").status == 2
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.usefixtures("there")
def test_a_figure_overwrites_no_json_that_is_not_its_own(harness: Harness) -> None:
    Path("package.json").write_text('{"name": "mine"}')
    harness("plot", "there", "-o", "package.png").refuses("package.json is no provenance of a figure", "another name")
    assert json.loads(Path("package.json").read_text()) == {"name": "mine"}
    assert not Path("package.png").exists()


@pytest.mark.usefixtures("there")
def test_no_output_takes_the_place_of_results(harness: Harness) -> None:
    study = next(Path("there").glob("*.parquet"))
    held = study.read_bytes()
    for words in (WRITERS["report"], WRITERS["junit"], WRITERS["export"]):
        answer = harness(*words[:-1], study)
        assert answer.status == 2
        assert f"cannot write {study}: it holds results.\nhint: choose another name." in answer.err
    with pytest.raises(HarnessError, match="it holds results"):
        h.load("there").report(study)
    assert study.read_bytes() == held
    for _ in range(2):  # what was exported is no study, and is replaced
        assert harness("export", "summary", "there", "-o", "a.parquet").status == 0
    for content in (b"PAR1", b"PAR1" + bytes(range(60, 68)) + b"PAR1", b"nas_harness"):
        Path("a.html").write_bytes(content)
        assert harness("report", "there", "-o", "a.html").status == 0


def test_a_grid_writes_over_no_folder_device_or_itself_and_says_so_first(harness: Harness) -> None:
    study = '[[studies]]\nalgo = ["rs"]\nbench = ["nb201"]\nevals = 9\n'
    Path("out").mkdir()
    for name, reason in (("g.toml", "it is what is read"), ("out", "it is a folder"), ("/dev/null", "it is a device")):
        Path("g.toml").write_text(f'seeds = 2\nreport = "{name}"\n{study}')
        harness("grid", "g.toml", "--out", "there").refuses(f"cannot write {name}: {reason}", "choose another")
        assert not Path("there").exists()


def test_a_page_of_claims_takes_the_place_of_no_other_text(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("# Mine\n")
    with pytest.raises(HarnessError, match=r"README\.md is no page of claims"):
        claims.update(page, {"claim-1": "## One\n\nVerdict: **holds**.\n"}, {})
    assert page.read_text() == "# Mine\n"


@pytest.mark.usefixtures("there")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", [("show", "there", "--per-seed", "--json"), ("compare", "there")])
def test_a_full_device_is_an_error(unbuffered: str, words: tuple[str, ...]) -> None:
    command, env = [sys.executable, "-m", "harness", *words], {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=env, check=False)
    assert done.returncode == 2
    assert done.stderr.endswith("hint: free some space, or choose another place.\n")
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("there")
@pytest.mark.parametrize(
    "words", [("list",), ("show", "there"), ("show", "there", "--per-seed", "--json"), ("--help",)]
)
def test_a_reader_that_goes_ends_a_command_without_a_word(words: tuple[str, ...]) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "harness", *words]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


KERNEL = """
import numpy as np
from harness.compiled import compiled

@compiled
def twice(x: float) -> float:
    return 2 * x

print(twice(4.0), sum(twice.stats.cache_hits.values()))
"""


def test_a_cache_of_kernels_that_is_full_or_broken_costs_time_only(tmp_path: Path) -> None:
    (tmp_path / "kernel.py").write_text(KERNEL)
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}

    def printed(before: str = "") -> str:
        command = ["sh", "-c", f"{before} exec {shlex.quote(sys.executable)} kernel.py"]
        return subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.strip()

    assert printed("ulimit -f 1;") == "8.0 0"
    assert printed() == "8.0 0"
    for file in (tmp_path / "cache").rglob("*.nb[ic]"):
        file.write_bytes(file.read_bytes()[:-40])
    assert printed() == "8.0 0"
    assert printed() == "8.0 1"
