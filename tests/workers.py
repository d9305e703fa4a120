"""Work for processes of tests: a module of its own, which a new process can import wherever the tests stand."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from harness import HarnessError
from harness.studies.evaluate import evaluate
from harness.studies.executors import Heard
from harness.studies.outcome import Outcome
from harness.studies.store import ResultStore
from harness.studies.study import Study


def dying(study: Study, shard: range, heard: Heard) -> Outcome:
    """Like `evaluate`, but its process is killed once, or each time where the name of the flag says so."""
    flag = Path(os.environ["DIES"])
    if study.algorithm == "re" and (flag.name == "always" or not flag.exists()):
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return evaluate(study, shard, heard)


def refusing(study: Study, shard: range, heard: Heard) -> Outcome:
    if study.algorithm != "ls":
        raise HarnessError(f"{study.algorithm} has no luck with {shard.start}.")
    return evaluate(study, shard, heard)


def slow(study: Study, shard: range, heard: Heard) -> Outcome:
    """Like `evaluate`, which takes a while, and writes down in the file CALLS that it was called, then waits for GO."""
    if calls := os.environ.get("CALLS"):
        with Path(calls).open("a") as file:
            file.write(f"{study.id}-{shard.start}\n")
        while not Path(os.environ["GO"]).exists():
            time.sleep(0.05)
    for share in range(4):
        time.sleep(0.05)
        heard(share / 4)
    return evaluate(study, shard, heard)


def greedy(study: Study, shard: range, heard: Heard) -> Outcome:
    """Keeps the interpreter to itself for two minutes, as a long compiled loop may, and says that it does."""
    Path(os.environ["CALLS"], str(os.getpid())).touch()
    ctypes.PyDLL(None).sleep(120)
    return evaluate(study, shard, heard)


def run_among_strangers(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`harness run` as it is installed, where other modules called harness and numpy lie, and tell when imported."""
    folder.mkdir()
    for stranger in (folder / "harness.py", folder / "numpy.py"):
        stranger.write_text("import os\nos.write(2, b'a stranger is imported\\n')\n")
    installed = "import sys; del sys.path[0]; from harness.__main__ import main; main()"
    study = ("run", "--algo", "rs,re", "--bench", "nb201", "--seeds", "3", "--evals", "9")
    command = [sys.executable, "-c", installed, *study, *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def alive(group: int) -> list[int]:
    """The processes of a group that have not ended, whether or not anybody has asked how."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, its, *_ = stat.read_text().rsplit(")", 1)[1].split()
            if int(its) == group and state not in "ZX":
                found.append(int(stat.parent.name))
    return found


class Killing:
    """Like `evaluate`, but the worker of one shard is killed, once."""

    def __init__(self, flag: str) -> None:
        self.flag = flag

    def __call__(self, study: Study, shard: range, heard: Heard) -> Outcome:
        if study.algorithm == "re" and shard.start == 20 and not Path(self.flag).exists():
            Path(self.flag).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return evaluate(study, shard, heard)


class Elsewhere(ResultStore):
    """Takes no result in the process that made it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.made_by = os.getpid()

    def add(self, result: Outcome) -> None:
        assert os.getpid() != self.made_by
        super().add(result)
