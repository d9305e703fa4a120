"""A campaign of accidents: `python -m bench.faults [--tries 100] [--seed 0] [--only studies,kills]`.

It prints how many of each kind were tried and ended as promised in docs/reliability.md, and the others one by one; what
was tried until then, too, where Ctrl-C ends it.
"""

from __future__ import annotations

import argparse
import os
import pickle
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness import HarnessError, Rules, registry
from harness.benchmarks.formats import safe_pickle
from harness.benchmarks.formats.content import FormatError
from harness.spaces.architecture import Architecture
from harness.studies.evaluate import evaluate
from harness.studies.outcome import Outcome, within
from harness.studies.selection import Selection, gathered
from harness.studies.store import ResultStore, read, write
from harness.studies.study import Study
from harness.testing import assert_same
from harness.train import checkpoint, recipes
from harness.train.results import Job

QUICK = ["--algo", "rs,re,tpe", "--bench", "nb201", "--seeds", "1100", "--budget", "1e6"]
_PATIENCE = 1200
"""Seconds after which a command never ends; on a machine that is busy a start takes minutes."""

Try = Callable[[random.Random, Path], str]
"""One accident in a folder; what went wrong, or nothing."""


@cache
def _outcome() -> Outcome:
    return evaluate(Study.plan(registry.benchmark("nb201"), "re", {}, 0, 50, Rules(budget=2e5)))


def flipped_study(rng: random.Random, folder: Path) -> str:
    path, whole = folder / "a.parquet", _outcome()
    write(whole, path)
    _flip(path, rng)
    try:
        found = read(path)
    except HarnessError as error:
        return "" if str(path) in error.message else f"the file is not named: {error.message}"
    assert_same(found.trajectory, whole.trajectory)
    same = found.study == whole.study and np.array_equal(found.val_loss, whole.val_loss, equal_nan=True)
    return "" if same and found.reference == whole.reference else "other numbers"


def flipped_checkpoint(rng: random.Random, folder: Path) -> str:
    recipe = recipes.chosen(None, "nb201", "digits", 2)
    job = Job(Architecture("nb201", "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"), "digits", "0", recipe, 1)
    path, state = folder / "a.pt", {"rows": [[0.1, 0.2]], "network": {"w": torch.arange(40.0)}}
    checkpoint.save(path, job, state)
    _flip(path, rng)
    try:
        found = checkpoint.load(path, job, torch.device("cpu"))
    except HarnessError as error:
        return "" if str(path) in error.message else f"the file is not named: {error.message}"
    return "" if torch.equal(found["network"]["w"], torch.arange(40.0)) else "other numbers"


def contradicted(rng: random.Random, folder: Path) -> str:
    """Two files with seeds in common, one number of one of them changed or none."""
    whole = _outcome()
    spans = []
    for _ in range(2):
        first = rng.randrange(50)
        spans.append(range(first, rng.randrange(first + 1, 51)))
    parts = [part for span in spans if (part := within(whole, span)) is not None]
    seed = rng.choice([-1, *spans[1]])
    if seed >= 0:
        run, place = parts[1].trajectory, seed - spans[1].start
        name = rng.choice(["time", "evaluation", "row", "loss", "evaluations", "ended", "val_loss"])
        column: Any = (parts[1].val_loss if name == "val_loss" else getattr(run, name)).copy()
        at = place if name in run.PER_SEED else rng.choice(np.flatnonzero(run.seed == place).tolist())
        column[at] = column[at] + 1 if column.dtype.kind == "i" else np.nextafter(column[at], np.inf)
        changed = {"val_loss": column} if name == "val_loss" else {"trajectory": replace(run, **{name: column})}
        parts[1] = replace(parts[1], **changed)
    paths = [folder / "a.parquet", folder / "b.parquet"]
    for part, path in zip(parts, paths, strict=True):
        write(part, path)
    try:
        (found,) = gathered(paths, Selection())
    except HarnessError as error:
        named = all(str(path) in error.message for path in paths) and f"seed {seed} " in error.message
        return "" if named and seed in spans[0] else f"refused: {error.message}"
    if seed in spans[0]:
        return f"pooled, though seed {seed} differs"
    union = within(whole, np.array(sorted({*spans[0], *spans[1]})))
    assert union is not None
    if seed < 0:
        assert_same(replace(found.trajectory, pace=found.trajectory.pace[:0]), union.trajectory)
    return "" if found.seeds.tolist() == union.seeds.tolist() else "other seeds"


def killed(rng: random.Random, folder: Path) -> str:
    """SIGKILL of the whole group, of the parent or of one child, then the same command again."""
    started = _start(folder, rng.choice(["1", "2"]))
    _until_over(started, rng.uniform(0.3, _whole()[1]))
    children = _children(started.pid)
    victim = rng.choice(["group", "parent", "child"])
    if started.poll() is None:
        if victim == "group":
            os.killpg(started.pid, signal.SIGKILL)
        else:
            os.kill(rng.choice(children) if victim == "child" and children else started.pid, signal.SIGKILL)
    told = started.communicate()[1]
    if "Traceback" in told:
        return f"a traceback after a {victim} was killed: {told[-300:]}"
    return _resumed(folder)


def full_disk(rng: random.Random, folder: Path) -> str:
    """No file can grow beyond a random size; then there is room again."""
    limit = rng.randrange(200, 60_000)
    started = _start(folder, "1", lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY)))
    told = started.communicate()[1]
    if started.returncode not in (0, 2) or "Traceback" in told:
        return f"exit {started.returncode}: {told[-300:]}"
    return _resumed(folder)


def interrupted(rng: random.Random, folder: Path) -> str:
    """SIGINT to the whole group, as Ctrl-C sends it, from the entry point on; then the same command again."""
    started = _start(folder, rng.choice(["1", "2"]), entry=_ENTRY)
    assert started.stdout is not None
    started.stdout.readline()
    _until_over(started, rng.choice((rng.uniform(0, 0.5), rng.uniform(0, _whole()[1]))))
    ended = started.poll() is not None
    if not ended:
        os.killpg(started.pid, signal.SIGINT)
    told = started.communicate(timeout=_PATIENCE)[1]
    if not ended and (started.returncode not in (0, 130, -signal.SIGINT) or "Traceback" in told):
        return f"exit {started.returncode}: {told[-300:]}"
    if started.returncode == 130 and not told.splitlines()[-1].startswith("interrupted."):
        return f"it says {told[-300:]}"
    return _resumed(folder)


_ENTRY = """
from harness.__main__ import leave, main
try:
    print("here", flush=True)
    main()
except KeyboardInterrupt:
    leave()
"""


WORDS = [
    "run", "show", "plot", "verify", "compare", "list", "predict", "regress", "data", "--algo", "--bench", "--seeds",
    "--budget", "--evals", "--param", "rs", "re", "nb201", "0:0", "-1", "1e999", "nan", "9" * 30, "", "results", "/",
    "\x1b[2J", "::error::x", "re.population=x", "--json", "--at", "--processes", "--cluster", "local:0",
    "-o", "/dev/null", "--out", "--seeds=3:1", "nb201/*", "💥",
    "grid", "correlate", "export", "validate", "report", "baseline", "save", "search", "train", "tabulate", "reproduce",
    "stability", "--space", "digits201", "darts", "--method", "--then", "--then-param", "--select", "--top", "--data",
    "digits", "--arch", "nb201:6111", "--figure", "operators", "curves", "trials", "import", "a.toml", "--epochs", "0",
    "slurm:a.yaml", "--store-on-workers", "--log", "--workers", "1e12", "--on", "--help", "a\nb", "--", "$(id)",
]  # fmt: skip


def malformed(rng: random.Random, folder: Path) -> str:
    words = rng.choices(WORDS, k=rng.randrange(1, 7))
    command = [sys.executable, "-m", "harness", *words]
    limit = lambda: resource.setrlimit(resource.RLIMIT_CPU, (60, 60))  # noqa: E731
    try:
        answer = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_PATIENCE, check=False, preexec_fn=limit
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"{words} does not end"
    fine = answer.returncode in (0, 2, 3) and "Traceback" not in answer.stderr and "\x1b" not in answer.stderr
    return "" if fine else f"{words}: exit {answer.returncode}: {answer.stderr[-200:]}"


class _Hostile:
    def __init__(self, call: Callable[..., object], *arguments: object) -> None:
        self.made = call, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.made


def hostile_pickle(rng: random.Random, folder: Path) -> str:
    flag = folder / "run"
    calls: list[_Hostile] = [
        _Hostile(os.system, f"touch {flag}"),
        _Hostile(eval, f"open({str(flag)!r}, 'w')"),
        _Hostile(Path.touch, flag),
        _Hostile(subprocess.getoutput, f"touch {flag}"),
    ]
    inside: object = rng.choice(calls)
    for _ in range(rng.randrange(5)):
        inside = rng.choice([[inside], {"a": inside}, (1, inside)])
    content = pickle.dumps(inside, protocol=rng.randrange(6))
    innocent = {"a": [1, (2.0, b"x")]}
    if safe_pickle.load(pickle.dumps(innocent), "innocent")[0] != innocent:
        return "an innocent one is not read"
    try:
        safe_pickle.load(content, "hostile")
    except FormatError:
        return "something was run" if flag.exists() else ""
    return "it was read"


KINDS: dict[str, tuple[str, Try]] = {
    "studies": ("a bit of a study file flipped", flipped_study),
    "overlaps": ("seeds in two files, one number of one changed or none", contradicted),
    "checkpoints": ("a bit of a checkpoint flipped", flipped_checkpoint),
    "kills": ("SIGKILL at a random moment of `run`, of the group, the parent or a child", killed),
    "interrupts": ("SIGINT at a random moment of `run`, from its entry point on", interrupted),
    "disks": ("a disk that is full at a random size", full_disk),
    "words": ("a malformed command line", malformed),
    "pickles": ("a hostile pickle", hostile_pickle),
}


def _flip(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def _start(
    folder: Path, processes: str, before: Callable[[], None] | None = None, entry: str = ""
) -> subprocess.Popen[str]:
    how = ["-c", entry] if entry else ["-m", "harness"]
    command = [sys.executable, *how, "run", *QUICK, "--processes", processes, "--out", str(folder / "out")]
    pipe = subprocess.PIPE
    whole = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}  # Python leaves that cut where files cannot grow
    return subprocess.Popen(
        command,
        stdout=pipe,
        stderr=pipe,
        text=True,
        start_new_session=True,
        preexec_fn=before,  # noqa: PLW1509
        env=whole,
    )


def _children(parent: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rsplit(")", 1)[1].split()[1]) == parent:
                found.append(int(stat.parent.name))
        except (OSError, IndexError, ValueError):
            continue
    return found


_KEPT: list[tuple[Path, float]] = []


def _whole() -> tuple[Path, float]:
    """The results of an undisturbed run, and its seconds once all is compiled."""
    if not _KEPT:
        for _ in range(2):
            folder, began = Path(tempfile.mkdtemp(prefix="faults-")), time.perf_counter()
            assert _start(folder, "1").wait() == 0
        _KEPT.append((folder / "out", time.perf_counter() - began))
    return _KEPT[0]


def _until_over(started: subprocess.Popen[str], seconds: float) -> None:
    with suppress(subprocess.TimeoutExpired):
        started.wait(seconds)


def _resumed(folder: Path) -> str:
    """What is wrong once the same command was run again."""
    again = _start(folder, "1")
    told = again.communicate()[1]
    if again.returncode:
        return f"it does not go on: {told[-300:]}"
    there, whole = sorted((folder / "out").rglob("*")), sorted(_whole()[0].iterdir())
    if [path.name for path in there] != [path.name for path in whole]:
        return f"left behind: {[path.name for path in there]}"
    for mine, theirs in zip(there, whole, strict=True):
        assert_same(read(mine).trajectory, read(theirs).trajectory)
    ResultStore(folder / "out")
    return ""


def campaign(only: list[str], tries: int, seed: int) -> Iterator[tuple[str, int, int]]:
    for name in only:
        title, attempt = KINDS[name]
        count = max(1, tries // 10) if name in ("kills", "interrupts", "disks", "words") else tries
        tried = held = 0
        with suppress(KeyboardInterrupt):
            for i in range(count):
                with tempfile.TemporaryDirectory() as folder:
                    try:
                        wrong = attempt(random.Random(f"{seed} {name} {i}"), Path(folder))
                    except Exception as error:
                        wrong = f"{type(error).__name__}: {error}"
                tried += 1
                held += not wrong
                if wrong:
                    print(f"{name} {i}: {wrong}", file=sys.stderr)
        yield title, tried, held
        if tried < count:
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=100, help="of each kind; a tenth where a try is a whole command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default=",".join(KINDS), help="kinds: " + ", ".join(KINDS))
    given = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell takes from what runs in the background
    print("| accident | tried | as promised |\n|---|---|---|")
    for title, count, held in campaign(given.only.split(","), given.tries, given.seed):
        print(f"| {title} | {count} | {held} |", flush=True)


if __name__ == "__main__":
    main()
