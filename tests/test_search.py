"""Searches by real training: the pool of devices, and the search itself."""

from __future__ import annotations

import json
import math
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import HarnessError
from harness.spaces import names
from harness.spaces.architecture import Architecture
from harness.train import checkpoint, image_files, recipes, results, search_log
from harness.train.results import Curve, Job, Training

torch = pytest.importorskip("torch")
from harness.train import devices, images, loop, pool  # noqa: E402
from harness.train.jobs import Train  # noqa: E402
from harness.train.pool import Assignment, Work  # noqa: E402
from harness.train.search import Limits, Search, early, rungs  # noqa: E402
from harness.train.tuner import Tuner  # noqa: E402

Harness = Callable[..., Any]
CPU = torch.device("cpu")
SMALL = "gpnas-cell:relu.conv_1x1.gauss;0-1:relu.conv_1x1.gauss;0-1"
TINY = replace(recipes.read("digits"), channels=4, epochs=3, batch=32, seeds=(5,))

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 of scikit-learn's digits to train and to validate, 200 to test."""
    path, digits = tmp_path_factory.mktemp("images") / "few.npz", image_files.read("digits", None)
    parts = {"train": digits.train, "test": digits.test}
    arrays: dict[str, Any] = {f"{axis}_{part}": parts[part][i][:200] for part in parts for i, axis in enumerate("xy")}
    np.savez(path, **arrays)
    return path


@pytest.fixture(autouse=True)
def _few(tmp_path: Path, few: Path) -> None:
    (tmp_path / "few.npz").symlink_to(few)


def image_set() -> images.ImageSet:
    return images.load("few.npz", None, TINY, CPU)


def job(t: str = SMALL, seed: int = 5) -> Job:
    found = image_set()
    return Job(Architecture.parse(t), found.name, found.checksum, TINY, seed)


def same(a: Curve | HarnessError, b: Curve) -> None:
    for name in (n for n in Curve.COLUMNS if n != "seconds"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


def test_a_pool_trains_as_the_loop_does(tmp_path: Path) -> None:
    """Two at once, cut short and gone on with; a process that is killed; and leaving stops what runs."""
    place = devices.Place(CPU)
    whole = loop.train(job(), image_set(), place)
    long = replace(job(seed=9), recipe=replace(TINY, epochs=5000))
    with pool.Pool(Work("few.npz", None, tmp_path), ["cpu", "cpu"]) as trains:
        trains.submit(0, Train(job(), until=1))
        trains.submit(1, Train(job(seed=6), until=2))
        ended = sorted((trains.next() for _ in range(2)), key=lambda e: e.slot)
        first, second = (e.outcome for e in ended)
        same(first, whole.first(1))
        assert isinstance(second, Curve)
        assert len(second.lr) == 2
        assert not list(tmp_path.glob("*.parquet"))
        assert results.checkpoint_path(tmp_path, job()).exists()
        trains.submit(0, Train(job()))
        slot, done, outcome = trains.next()
        assert (slot, done) == (0, job())
        same(outcome, whole)
        assert results.read(results.path(tmp_path, job())).curve.test_accuracy == whole.test_accuracy
        trains.submit(0, Train(job(), until=1))
        same(trains.next().outcome, whole.first(1))
        trains.submit(1, Train(long))
        pid = trains.processes[1][0].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        lost = trains.next().outcome
        assert isinstance(lost, HarnessError)
        assert "seed 9, on cpu was killed by SIGKILL" in lost.message
        trains.submit(0, Train(long))
        while not results.checkpoint_path(tmp_path, long).exists():
            assert trains.processes[0][0].is_alive()
    state = checkpoint.load(results.checkpoint_path(tmp_path, long), long, torch.device("cpu"))
    assert 0 < len(state["rows"]) < 5000
    assert state["step"] > 0 or len(state["rows"]) > 0


class Seen(Train):
    """Says only where it would be done."""

    def __call__(self, images: Any, place: devices.Place, folder: Path, watch: loop.Watch) -> Any:
        return place, torch.get_num_threads()


def test_an_assignment_is_done_as_its_work_says(tmp_path: Path) -> None:
    exact, compiled = (Work("few.npz", None, tmp_path, *how) for how in ((True, False), (False, True)))
    torch.set_num_threads(2)
    assert exact.do(Seen(job()), "cpu", tmp_path, loop.Watch()) == (devices.Place(CPU, deterministic=True), 1)
    assert compiled.do(Seen(job()), "cpu", tmp_path, loop.Watch()) == (devices.Place(CPU, compiled=True), 1)
    assert torch.get_num_threads() == 2


class Made:
    """In place of a pool: makes curves up, whose error is a function of the architecture and falls with the epochs."""

    devices = ("cpu",)

    def __init__(self, folder: Path, order: int = 0, stop_after: int | None = None) -> None:
        self.folder, self.order, self.left = folder, order, stop_after
        self.jobs: dict[int, tuple[Job, int | None]] = {}
        self.submitted: list[tuple[str, int | None]] = []

    def submit(self, slot: int, assignment: Train) -> None:
        assert slot not in self.jobs
        self.jobs[slot] = assignment.job, assignment.until
        self.submitted.append((assignment.job.architecture.text, assignment.until))

    def next(self) -> Any:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
        slot = list(self.jobs)[self.order]
        asked, until = self.jobs.pop(slot)
        quality = sum(map(ord, asked.architecture.text)) % 97 / 200
        epochs = np.arange(1, (until or asked.recipe.epochs) + 1)
        error = quality + 0.4 / epochs
        ones = np.ones(len(epochs))
        curve = Curve(ones, ones, ones, ones, 1 - error, ones, 0.1, 0.9, diverged=False)
        if until is None:
            results.write(
                Training(asked, curve, {"parameters": 1, "multiply_adds": 1}), results.path(self.folder, asked)
            )
        return pool.Ended(slot, asked, curve)


FEWER_FITS = {"gpnas": {"growth": 2.0}}


def plan(algorithm: str = "gpnas", workers: int = 1, given: dict[str, Any] | None = None, **changed: Any) -> Search:
    options: dict[str, Any] = {"epochs": 3, "seed": 0, "workers": workers, **changed}
    space = options.pop("space", "gpnas-cell")
    return Search.plan(space, algorithm, given or FEWER_FITS.get(algorithm, {}), image_set(), TINY, "fp32", **options)


def run(search: Search, folder: Path, evals: int, made: Made | None = None) -> Tuner:
    tuner = Tuner(search, folder)
    tuner.drive(made or Made(folder), Limits(evals=evals), lambda: None)  # type: ignore[arg-type]
    return tuner


def asked(tuner: Tuner) -> list[Any]:
    return [event._replace(time=0.0) for event in tuner.events]


@pytest.mark.parametrize("algorithm", ["gpnas", "hb", "rs", "re"])
def test_an_interrupted_search_goes_on_as_if_it_had_not_been(tmp_path: Path, algorithm: str) -> None:
    search = plan(algorithm)
    whole = run(search, tmp_path / "whole", 24)
    assert whole.told == whole.asked == 24
    with pytest.raises(KeyboardInterrupt):
        run(search, tmp_path / "part", 24, Made(tmp_path, stop_after=7))
    assert Tuner(search, tmp_path / "part").running
    run(search, tmp_path / "part", 15)
    part = run(search, tmp_path / "part", 24)
    assert asked(part) == asked(whole)
    assert search_log.read(part.path) == part.events
    assert plan(algorithm).id == search.id != plan(algorithm, seed=1).id


def test_promoted_children_go_on_and_pay_the_difference(tmp_path: Path) -> None:
    made = Made(tmp_path)
    tuner = run(plan("hb", epochs=3), tmp_path, 30, made)
    assert {until for _, until in made.submitted} == {1, 3}
    first = {t for t, until in made.submitted if until == 1}
    tells = [e for e in tuner.events if e.kind == "tell" and e.text]
    promoted = [e for e in tells if e.epochs == 3 and e.text in first]
    assert promoted
    assert {e.cost for e in promoted} == {2.0}
    assert {e.cost for e in tells if e.epochs == 1} == {1.0}
    best = tuner.best(3)
    assert [e.epochs for e in best] == [3, 3, 3]
    assert best[0].loss == min(e.loss for e in tells if e.epochs == 3)
    invalid = [e for e in tuner.events if e.kind == "tell" and not e.text]
    assert all((e.loss, e.cost) == (math.inf, 0.0) for e in invalid)


@pytest.mark.parametrize("order", [0, -1])
def test_several_workers_wait_and_are_told_in_the_order_of_finishing(tmp_path: Path, order: int) -> None:
    search = plan("hb", workers=3)
    tuner = run(search, tmp_path, 40, Made(tmp_path, order))
    assert any(event.kind == "wait" for event in tuner.events)
    assert tuner.told == 40
    again = Tuner(search, tmp_path)
    assert asked(again) == asked(tuner)
    assert again.waiting == tuner.waiting


def test_the_best_are_trained_to_the_end_and_checkpoints_of_others_removed(tmp_path: Path) -> None:
    made = Made(tmp_path)
    tuner = run(plan("rs"), tmp_path, 12, made)
    texts = list(dict.fromkeys(t for t, _ in made.submitted))
    paths = [results.checkpoint_path(tmp_path, tuner.search.job(Architecture.parse(t))) for t in texts]
    paths[0].parent.mkdir()
    for path in paths:
        path.touch()
    found = tuner.train_best(made, tmp_path, 2, lambda: None)  # type: ignore[arg-type]
    assert [(e.text, None) for e, _ in found] == made.submitted[-2:]
    assert [t.job.architecture.text for _, t in found] == [e.text for e, _ in found]
    assert [t.job.seed for _, t in found] == [5, 5]
    assert not any(path.exists() for path in paths)
    count = len(made.submitted)
    tuner.train_best(made, tmp_path, 2, lambda: None)  # type: ignore[arg-type]
    assert len(made.submitted) == count
    with pytest.raises(HarnessError, match="nothing was trained to a finite loss within the budget: 0 architectures"):
        Tuner(plan("re"), tmp_path).train_best(made, tmp_path, 2, lambda: None)  # type: ignore[arg-type]


def test_a_failed_training_ends_the_search_with_its_reason(tmp_path: Path) -> None:
    class Fails(Made):
        def next(self) -> Any:
            slot, asked, _ = super().next()
            return pool.Ended(slot, asked, HarnessError("the disk is full."))

    with pytest.raises(HarnessError, match="the disk is full"):
        run(plan("rs"), tmp_path, 3, Fails(tmp_path))
    assert run(plan("rs"), tmp_path, 3).told == 3


def test_a_search_that_asks_for_something_else_is_not_gone_on_with(tmp_path: Path) -> None:
    search = plan("rs")
    tuner = run(search, tmp_path, 3)
    changed = tuner.events[2]._replace(codes=tuner.events[0].codes)
    search_log.write(tuner.path, search, [*tuner.events[:2], changed, *tuner.events[3:]])
    with pytest.raises(HarnessError, match="after 1 results rs now asks for something else than it did"):
        Tuner(search, tmp_path)


def test_nothing_but_invalid_architectures_ends_a_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.train.tuner._INVALID_IN_A_ROW", 50)
    monkeypatch.setattr(search_log, "write", lambda *_: None)
    monkeypatch.setattr(Search, "text", lambda *_: "")
    with pytest.raises(HarnessError, match="rs proposed 50 invalid architectures of gpnas-cell in a row"):
        run(plan("rs"), tmp_path, 1000)


def test_other_spaces_are_searched_too(tmp_path: Path) -> None:
    for space in names():
        tuner = run(plan("rs", space=space), tmp_path, 6)
        assert tuner.told == 6
        assert tuner.best(1) or space == "nb101"


def test_fidelities_are_thirds_of_thirds() -> None:
    paper = recipes.read("gpnas-cell")
    assert (early(paper), early(TINY), early(replace(TINY, epochs=2))) == (50, 3, 2)
    assert rungs(50, paper) == (1, 5, 16, 50)
    assert rungs(27, paper) == (1, 3, 9, 27)
    assert rungs(2, paper) == (2,)
    with pytest.raises(HarnessError, match=r"children cannot be trained for 4 epochs: .* has 3"):
        rungs(4, TINY)


def test_images_must_be_held_out() -> None:
    found = replace(image_set(), valid=None)
    with pytest.raises(HarnessError, match="holds no images of few out"):
        Search.plan("nb201", "rs", {}, found, TINY, "fp32", epochs=None, seed=0, workers=1)


OPTIONS = ("search", "--space", "gpnas-cell", "--data", "few.npz", "--device", "cpu", "--recipe", "tiny.toml")


def tiny(folder: Path) -> None:
    (folder / "tiny.toml").write_text(
        'title = "tiny"\nepochs = 4\nbatch = 32\nlr = 0.1\nchannels = 4\ncells = 1\nvalidation = 0.25\nseeds = [5]\n'
    )


class Here(pool.Pool):
    """One slot in this process; raises what Ctrl-C does instead of the result number `stop`."""

    stop = 0

    def submit(self, slot: int, assignment: Assignment[Any, Any]) -> None:
        self.asked = assignment

    def next(self) -> Any:
        Here.stop -= 1
        if Here.stop == 0:
            raise KeyboardInterrupt
        return pool.Ended(0, self.asked.job, self.work.do(self.asked, "cpu", self.work.folder, loop.Watch()))


def test_from_a_search_to_trainings(harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One worker: the same in another folder, also when it is stopped on the way."""
    tiny(tmp_path)
    options = (*OPTIONS, "--evals", "6", "--top", "2", "--param", "gpnas.startup=3")
    answer = harness(*options)
    assert answer.status == 0, answer.err
    *paths, log = map(Path, answer.out.splitlines())
    assert [path.parent for path in (*paths, log)] == [Path("results/trained")] * 2 + [Path("results/searches")]
    trainings = [results.read(path) for path in paths]
    assert [len(t.curve.lr) for t in trainings] == [4, 4]
    assert not list(Path("results/trained/.unfinished").iterdir())
    events = search_log.read(log)
    assert sum(event.kind == "tell" for event in events) == 6
    assert harness("validate", "results").err.startswith("error: none of these trainings is of an architecture with")
    assert "no finished study in results" in harness("show", "results").err

    monkeypatch.setattr(pool, "Pool", Here)
    monkeypatch.setattr(Here, "stop", 3)
    other = (*options, "--out", "other")
    answer = harness(*other)
    assert answer.status == 130
    assert "results of the search; the same command goes on from there" in answer.err
    answer = harness(*other, "--json")
    assert answer.status == 0, answer.err
    data = json.loads(answer.out)
    again = search_log.read(Path(data["search"]))
    unmeasured = [e._replace(time=0.0, cost=0.0) for e in again]
    assert unmeasured == [e._replace(time=0.0, cost=0.0) for e in events]
    assert [row["architecture"] for row in data["trainings"]] == [t.job.architecture.text for t in trainings]
    assert data["trainings"][0]["searched_epochs"] == 3
    for row, training in zip(data["trainings"], trainings, strict=True):
        assert row["val_accuracy"] == training.curve.val_accuracy[-1]


BAD = [
    (("--space", "gpnas", "--evals", "3"), "unknown search space 'gpnas'", "did you mean gpnas-cell?"),
    ((), "a search needs an end", "--budget"),
    (("--evals", "0"), "evals must be at least 1", ""),
    (("--budget", "-1"), "the budget must be positive", "seconds"),
    (("--evals", "3", "--algo", "gpans"), "unknown algorithm 'gpans'", "gpnas"),
    (
        ("--evals", "3", "--param", "gpnas.startpu=3"),
        "unknown parameter of 'gpnas' with predictor=auto 'startpu'",
        "startup",
    ),
    (
        ("--evals", "3", "--search-epochs", "9"),
        "cannot be trained for 9 epochs: 'tiny' has 4",
        "--search-epochs from 1",
    ),
    (("--evals", "3", "--device", "cpu,gpu"), "unknown device 'gpu'", "cpu"),
    (("--evals", "3", "--workers", "0"), "workers must be at least 1", ""),
    (("--evals", "3", "--data", "digtis"), "unknown image set 'digtis'", "digits"),
    (("--evals", "3", "--top", "0"), "top must be at least 1", ""),
    (("--evals", "3", "--seed", "-1"), "-1 is not in the range 0<=x<=", ""),
    (("--evals", "3", "--out", "tiny.toml"), "tiny.toml is a file, not a folder", "another folder"),
]


@pytest.mark.parametrize(("arguments", "message", "hint"), BAD, ids=[" ".join(case[0]) for case in BAD])
def test_bad_input_gets_a_sentence_and_a_hint(
    harness: Harness, tmp_path: Path, arguments: Sequence[str], message: str, hint: str
) -> None:
    tiny(tmp_path)
    answer = harness(*OPTIONS, *arguments)
    answer.refuses(message, hint)
    assert [path.name for path in tmp_path.iterdir() if path.name != "few.npz"] == ["tiny.toml"]
