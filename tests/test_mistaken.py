"""Mistaken uses of commands on results: one sentence and a hint, before anything is written or long computed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Answer
from test_damaged_files import samples
from test_report import TRAININGS

from harness import Rules, registry
from harness.analysis import quality_store
from harness.sharing import log as sharing_log
from harness.studies.evaluate import evaluate
from harness.studies.store import ResultStore, write
from harness.studies.study import Study
from harness.train import recipes
from harness.train import results as trainings

Harness = Callable[..., Answer]


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of every kind in `r`, a study in `r/study.parquet`, a baseline in `b`, nothing in `empty`."""
    folder = tmp_path_factory.mktemp("there")
    table = registry.benchmark("nb201")
    for name in ("rs", "re"):
        outcome = evaluate(Study.plan(table, name, {}, 0, 4, Rules(budget=2e4)))
        for place in ("r", "b"):
            write(outcome, ResultStore(folder / place).path(outcome.study))
    write(outcome, folder / "study.parquet")
    _, log = samples()["sharing"]
    sharing_log.write(sharing_log.path(folder / "r", log.search), log)
    _, quality = samples()["quality"]
    quality_store.FORM.write(quality, folder / "r" / "predictions" / "a.parquet")
    trainings.write(TRAININGS[0], folder / "r" / "trained" / "a.parquet")
    (folder / "empty").mkdir()
    (folder / "text.txt").write_text("nothing")
    return folder


MISTAKES = [
    ("correlate {r} --bench nb201/cifr10", "unknown benchmark 'nb201/cifr10'", "did you mean nb201/cifar10"),
    ("correlate {r} --method gdsa,gdas", "unknown method of the searches there 'gdsa'", "did you mean gdas?"),
    ("correlate {r} --width 999999999999", "999999999999 is not in the range 1<=x<=8192", "of the graph network"),
    ("correlate {empty}", "no search by weight sharing in", "harness search"),
    ("correlate {study.parquet}", "but something else of this harness", "harness search --method"),
    ("stability nb20", "unknown benchmark 'nb20'", "did you mean nb201"),
    ("stability nb201 --predictor gnc", "unknown predictor 'gnc'", "did you mean gcn?"),
    ("stability nb201 --predictor ridge --train 1", "cannot be trained on 1 of the 15,625", "from 2"),
    ("stability nb201 --predictor ridge --train 99999999", "trained on 99999999 of the 15,625", "from 2"),
    ("stability nb201 --train 30", "--train is of --predictor", "name one, such as gcn"),
    ("stability nb201 --cluster tcp://nowhere", "--cluster is of --predictor", "name one, such as gcn"),
    ("validate {r/trained} --algo rs", "is not a study of an algorithm, but something else of this harness", ""),
    ("validate {study.parquet}", "is not a training, but something else of this harness", "harness train"),
    ("validate {r} --algo rss", "unknown algorithm among the results 'rss'", "did you mean rs?"),
    ("export summary {r} -o a.csv --mean", "--mean is of curves", "leave it out for summary"),
    ("export ranks {r} -o a.csv --at 1e4", "--at is of curves, summary, incumbents", "leave it out for ranks"),
    ("export trials {r} -o a.csv --kind val", "--kind is of ranks, standing", "leave it out for trials"),
    ("export curves {r} -o a.csv --at inf", "it says nothing of inf s", "choose an earlier time"),
    ("export curves {r} -o a.csv --points 999999999999", "a frame of 7,999,999,999,992 rows", "seeds=False"),
    ("export curves {r} -o a.csv --mean --points 999999999999", "a frame of 3,999,999,999,996 rows", "points=50, or"),
    ("export curves {r} -o {study.parquet}", "it holds results", "choose another name"),
    ("baseline save {r} {r}", "cannot become the baseline of itself", "name another folder"),
    ("baseline save {text.txt} {r}", "is a file, not a folder for results", "choose another folder"),
    ("compare {r} --targets nan", "regrets must be positive, got nan", "1e-2,1e-3"),
    ("compare {r} --at 1e99", "it says nothing of 1e+99 s", "choose an earlier time"),
    ("regress --baseline {b} --at 1e99", "it says nothing of 1e+99 s", "choose an earlier time"),
    ("regress --baseline {b} --junit {empty}", "it is a folder", "choose another name"),
    ("regress --baseline {b} --junit {study.parquet}", "it holds results", "choose another name"),
    ("regress --baseline {b} --figure a.xyz", "cannot write a figure as 'a.xyz'", ".pdf"),
    (
        "tabulate nb201 --data digits --name a --arch nb201:1 --device cpu --repeats 999999999",
        "more than 1,000,000",
        "",
    ),
    ("compare {r} --algo rs --algo re", "--algo is given 2 times", "separate by commas: --algo A,B"),
    ("export curves {r} -o a.csv --at 1e4 --at=1e3", "--at is given 2 times", "separate by commas"),
    ("export sumary {r} -o a.csv", "unknown choice 'sumary'", "did you mean summary?"),
    ("plot {r} -o a.pdf -o {empty}", "cannot write a figure as 'empty'", ".pdf"),
    ("predict nb201 --predictor ridge --device cuda", "ridge train no networks", "leave --device out"),
    (
        "search --space digits201 --data digits --method darts --statistics runing",
        "unknown value of --statistics",
        "runn",
    ),
    ("train --arch nb201:-1 --data digits", "'-1' is no row of nb201", "nb201:6111"),
    ("train --arch nb201:\u00b2 --data digits", "'\u00b2' is no row of nb201", "nb201:6111"),
    ("train --arch nb201:1 --data digits --device cuda:\u00b2", "unknown device 'cuda:\u00b2'", "cuda:0"),
    ("tabulate nb201 --data digits --name a --arch nb201:1 --device gpu", "unknown device 'gpu'", "cpu, cuda"),
]


@pytest.mark.parametrize(("command", "message", "hint"), MISTAKES, ids=lambda value: value[:60])
def test_a_mistake_is_a_sentence(
    harness: Harness, there: Path, tmp_path: Path, command: str, message: str, hint: str
) -> None:
    def state() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in there.rglob("*") if path.is_file()}

    before = state()
    words = [str(there / word[1:-1]) if word.startswith("{") else word for word in command.split()]
    answer = harness(*words)
    assert "note: " not in answer.err or command.startswith("compare")
    told = Answer(answer.status, answer.out, "".join(x for x in answer.err.splitlines(True) if "note: " not in x))
    told.refuses(message, hint)
    assert [*tmp_path.iterdir()] == []
    assert state() == before


@pytest.mark.parametrize("command", ["train --arch nb201:1", "tabulate nb201 --arch nb201:1 --name a"])
def test_a_folder_that_cannot_be_made_is_told_before_training(harness: Harness, command: str) -> None:
    Path("file").write_text("mine")
    answer = harness(*command.split(), "--data", "digits", "--device", "cpu", "--out", "file/there")
    told = answer.err.splitlines()
    assert answer.status == 2
    assert told[-2].startswith("error: cannot write to file/there")
    assert told[-1] == "hint: choose another folder."
    assert len(told) <= 4
    assert "%" not in "".join(line for line in told if "images to train" not in line)


def test_what_is_denied_is_told_so(there: Path) -> None:
    """As root without the right to pass over permissions, or as anybody else."""
    drop = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    if drop and shutil.which("setpriv") is None:
        pytest.skip("root may read everything, and there is no setpriv")
    shutil.copytree(there / "r", "locked/r")
    Path("locked").chmod(0)
    try:
        for place, hint in (("locked", "let yourself read it."), ("locked/r", "let yourself in, or choose another")):
            done = subprocess.run(
                [*drop, sys.executable, "-m", "harness", "validate", place], capture_output=True, text=True, check=False
            )
            assert done.returncode == 2
            error, told = done.stderr.splitlines()
            assert error.startswith("error: ")
            assert told.startswith(f"hint: {hint}")
    finally:
        Path("locked").chmod(0o755)


def test_more_than_memory_holds_is_no_crash(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise MemoryError("Unable to allocate 7.28 TiB for an array")

    monkeypatch.setattr("harness.spaces.names", full)
    told = "there is not enough memory: unable to allocate 7.28 TiB for an array."
    harness("list", "spaces").refuses(told, "ask for less at a time")


def test_a_repeat_far_beyond_the_recipe_takes_no_list() -> None:
    assert recipes.read("nb201").repeat(2**53) == 999 + 2**53 - 2
    assert [recipes.read("nb201").repeat(number) for number in range(4)] == [777, 888, 999, 1000]
