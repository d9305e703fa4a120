"""`harness tabulate`: cells trained for real become a table, number for number, and go on where they stopped."""

from __future__ import annotations

import json
import resource
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from harness import HarnessError, registry
from harness.benchmarks import fcnet
from harness.space import SearchSpace, subspace
from harness.spaces import nasbench201
from harness.spaces.architecture import Architecture
from harness.train import recipes, results, validation
from harness.train.results import Curve

torch = pytest.importorskip("torch")
from harness.train import images, tabulate  # noqa: E402
from harness.train.jobs import Train  # noqa: E402
from harness.train.pool import Ended, Work  # noqa: E402

Harness = Callable[..., Any]
CPU = torch.device("cpu")
TINY = (
    'title = "tiny"\nepochs = 2\nbatch = 256\nlr = 0.1\nmomentum = 0.9\nnesterov = true\nchannels = 2\ncells = 1\n'
    "validation = 0.5\nseeds = [5, 6]\n"
)
CELLS = 3
COMMAND = (
    *("tabulate", "nb201", "--data", "digits", "--recipe", "tiny.toml", "--only", "nor_conv_1x1,none,skip_connect"),
    *("--sample", str(CELLS), "--name", "few", "--device", "cpu", "--processes", "1"),
)


def restricted(space: SearchSpace, values: list[list[int]]) -> SearchSpace:
    return subspace(
        space,
        tuple(replace(p, values=[p.values[i] for i in kept]) for p, kept in zip(space.parameters, values, strict=True)),
    )


def everything(space: SearchSpace) -> Any:
    return np.stack(np.unravel_index(np.arange(space.cardinality), space.sizes.tolist()), axis=1)


@pytest.mark.parametrize(
    ("operators", "drop", "parts"),
    [
        ([0, 1, 3], (1, 0), (["none", "skip_connect", "operator"], ["nor_conv_3x3"])),
        ([0, 1], (1, 0), (["none", "skip_connect"], ["nor_conv_1x1"])),
        ([1, 2, 4], None, (["skip_connect", "operator"], ["nor_conv_1x1", "avg_pool_3x3"])),
        ([3], None, (["operator"], ["nor_conv_3x3"])),
        ([0, 1, 2, 3, 4], (1, 0), (["none", "skip_connect", "operator"], list(nasbench201.OPERATORS[2:]))),
    ],
)
def test_a_part_of_a_space_keeps_its_graphs_and_its_split(operators: list[int], drop: Any, parts: Any) -> None:
    whole, part = nasbench201.SPACE, restricted(nasbench201.SPACE, [operators] * 6)
    codes = everything(part)
    same = np.array(operators)[codes]
    assert part.graphs is not None
    assert whole.graphs is not None
    for a, b in zip(part.graphs.of(codes), whole.graphs.of(same), strict=True):
        np.testing.assert_array_equal(a, b)
    assert part.split is not None
    assert whole.split is not None
    connections, chosen = part.split.apart(codes)
    np.testing.assert_array_equal(part.split.join(connections, chosen), codes)
    spaces = part.split.connections, part.split.operators
    assert tuple([*space.parameters[2].values] for space in spaces) == parts
    assert part.split.drop == drop
    for i in (0, len(codes) - 1):
        there = whole.split.apart(same[[i]])
        assert part.split.connections.to_dict(connections[i]) == whole.split.connections.to_dict(there[0][0])
    np.testing.assert_array_equal(chosen < 0, same < 2)


def test_a_part_of_a_space_that_is_split_by_columns() -> None:
    space = fcnet.SPACE
    kept = [[len(p.values) - 1, 0][: len(p.values)] for p in space.parameters]
    part = restricted(space, kept)
    codes = everything(part)
    assert part.graphs is None
    assert part.split is not None
    assert space.split is not None
    one, other = part.split.apart(codes)
    np.testing.assert_array_equal(part.split.join(one, other), codes)
    named = {**part.split.connections.to_dict(one[37]), **part.split.operators.to_dict(other[37])}
    assert named == part.to_dict(codes[37])


class Here:
    """In place of the pool: curves made up from the seed, at once and in this process."""

    def __init__(self, work: Work, devices: Any, watching: Any) -> None:
        self.folder, self.devices = work.folder, devices
        self.waiting: list[Any] = []

    def submit(self, slot: int, assignment: Train) -> None:
        self.waiting.append((slot, assignment.job))

    def next(self) -> Any:
        slot, job = self.waiting.pop(0)
        rng, n = np.random.default_rng(int(job.id, 16)), job.recipe.epochs
        loss, seconds, shares = rng.random((2, n)), rng.uniform(1, 2, n), np.round(rng.random((2, n)) * 719) / 719
        curve = Curve(seconds, loss[0], shares[0], loss[1], shares[1], seconds, 1.0, rng.integers(360) / 359)
        facts = {"device": "cpu", "versions": {"torch": "2"}}
        try:
            results.write(results.Training(job, curve, facts), results.path(self.folder, job))
        except HarnessError as error:
            return Ended(slot, job, error)
        return Ended(slot, job, curve)

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("harness.train.pool.Pool", Here)
    (tmp_path / "tiny.toml").write_text(TINY)


def trainings() -> dict[tuple[str, int], results.Training]:
    found = map(results.read, sorted(Path("tables/trained").glob("*.parquet")))
    return {(t.job.architecture.text, t.job.seed): t for t in found}


def test_processes_fill_a_table_that_algorithms_run_on(harness: Harness, data_folder: Path, tmp_path: Path) -> None:
    """For real, in two processes: every number of the table against the trainings it is made of."""
    (tmp_path / "tiny.toml").write_text(TINY)
    answer = harness(*COMMAND, "--processes", "2")
    assert answer.status == 0, answer.err
    assert answer.out == "tables/few.toml\n"
    assert "3 cells, 6 trainings" in answer.err
    told = harness("data", "import", "tables/few.toml").out
    assert told == "own/few: imported, 3 of 729 configurations, 0 of their entries without a loss\n"
    table, made = registry.benchmark("own/few"), trainings()
    assert len(made) == 2 * CELLS
    assert table.space.parameters[0].values == ("none", "skip_connect", "nor_conv_1x1")
    assert table.fidelities.tolist() == [1, 2]
    assert table.test is not None
    for row in range(CELLS):
        text = Architecture.of(table, row).text
        for repeat, seed in enumerate((5, 6)):
            curve = made[text, seed].curve
            np.testing.assert_allclose(table.loss[row, :, repeat], 1 - curve.val_accuracy, atol=1e-12)
            np.testing.assert_allclose(table.cost[row, :, repeat], curve.seconds.cumsum(), rtol=1e-6)
            assert table.test[row, 1, repeat] == pytest.approx(1 - curve.test_accuracy, abs=1e-12)
            assert np.isnan(table.test[row, 0, repeat])
    assert table.facts.images == "digits"
    assert not table.facts.separate
    assert table.facts.splits.startswith("719 images to train, 719 to validate")
    command = "--data digits --name few --only nor_conv_1x1,none,skip_connect --sample 3 --recipe tiny.toml"
    assert table.facts.citation.endswith(f": harness tabulate nb201 {command}")
    run = harness(
        *("run", "--bench", "own/few", "--algo", "rs,hb", "--evals", 20, "--seeds", 3, "--continuation"),
        *("--log", "all", "--processes", 1),
    )
    assert run.status == 0, run.err
    said = harness("train", "--arch", "own/few:2", "--data", "digits", "--epochs", 1, "--repeats", 1, "--device", "cpu")
    assert said.status == 0, said.err
    assert not validation.transfer(results.read(Path(said.out.strip())))


def test_the_file_says_how_it_was_made(harness: Harness, here: None) -> None:
    assert harness(*COMMAND).status == 0
    table = pq.read_table("tables/few.parquet")
    made = json.loads(table.schema.metadata[tabulate.KEY])
    assert made["recipe"] == recipes.read("tiny.toml").to_json()
    assert made["images"]["name"] == "digits"
    assert made["devices"] == ["cpu"]
    assert "--device" not in made["command"]
    assert set(table.column("seed").to_pylist()) == {5, 6}
    errors = np.array(table.column("val_error").to_pylist())
    np.testing.assert_array_equal(errors, np.round(errors * 719) / 719)
    np.testing.assert_array_equal(table.column("test_error").is_null().to_numpy(), table.column("epoch").to_numpy() < 2)


def test_it_goes_on_and_makes_nothing_twice(harness: Harness, here: None, monkeypatch: pytest.MonkeyPatch) -> None:
    count: list[int] = []
    proceed = Here.next

    def interrupted(pool: Here) -> Any:
        if len(count) == 2:
            raise KeyboardInterrupt
        count.append(1)
        return proceed(pool)

    monkeypatch.setattr(Here, "next", interrupted)
    answer = harness(*COMMAND)
    assert (answer.status, answer.out) == (130, "")
    assert answer.err.splitlines()[-1] == (
        "interrupted: 2 of 6 trainings are done; the same command goes on from them."
    )
    assert not Path("tables/few.parquet").exists()

    def counted(pool: Here) -> Any:
        count.append(1)
        return proceed(pool)

    monkeypatch.setattr(Here, "next", counted)
    assert harness(*COMMAND).status == 0
    assert len(count) == 6
    whole = Path("tables/few.parquet").read_bytes()
    assert harness(*COMMAND).status == 0
    assert len(count) == 6
    assert Path("tables/few.parquet").read_bytes() == whole
    other = harness(*COMMAND, "--seed", 1)
    assert other.status == 2
    assert "tables/few.toml is another table" in other.err
    assert len(count) == 6


def test_a_full_disk_is_said_and_what_is_done_is_kept(harness: Harness, here: None) -> None:
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        answer = harness(*COMMAND)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert answer.status == 2
    assert "cannot write to tables/trained" in answer.err
    assert "free some space" in answer.err
    assert harness(*COMMAND).status == 0


def test_diverged_trainings_leave_entries_empty(harness: Harness, data_folder: Path, here: None) -> None:
    assert harness(*COMMAND).status == 0
    made = [*trainings().values()]
    lost = replace(made[0].curve.first(1), diverged=True, val_accuracy=np.array([np.nan]))
    made[0] = replace(made[0], curve=lost)
    used = images.load("digits", None, made[0].job.recipe, CPU)
    path = tabulate.write(Path("other"), "some", "nb201", made, used, "by hand")
    told = harness("data", "import", path).out
    assert told == "own/some: imported, 3 of 729 configurations, 0 of their entries without a loss\n"
    assert sorted(registry.benchmark("own/some").repeats.ravel().tolist()) == [1, 1] + [2] * 4
    with pytest.raises(HarnessError, match="every training diverged"):
        tabulate.write(Path("other"), "none", "nb201", made[:1], used, "by hand")


def test_listed_cells(harness: Harness, here: None) -> None:
    nine = Architecture.at("nb201", np.array([1, 2, 3, 4, 0, 1])).text
    Path("cells.txt").write_text(f"{nine}\n\nnb201:6111\n{nine}\n")
    answer = harness(*COMMAND[:6], "--name", "two", "--archs", "cells.txt", "--repeats", 1, "--device", "cpu")
    assert answer.status == 0, answer.err
    assert {text for text, _ in trainings()} == {nine, Architecture.of(registry.benchmark("nb201"), 6111).text}
    assert set(pq.read_table("tables/two.parquet").column("edge_0_1").to_pylist()) == {"skip_connect", "nor_conv_3x3"}


def test_samples_are_of_the_seed() -> None:
    first, again, other = (tabulate.chosen("nb201", sample=20, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert len({*first, *other}) > 30
    assert len(tabulate.chosen("nb201", ("none", "nor_conv_3x3", "skip_connect"))) == 729
    assert len({*tabulate.chosen("nb201", ("none", "skip_connect"))}) == 64
    assert {*tabulate.chosen("nb201", ("none", "skip_connect"), sample=64)} == {
        *tabulate.chosen("nb201", ("skip_connect", "none"))
    }


FULL = ("nb201", "--data", "digits", "--name", "x", "--device", "cpu")
BAD = [
    (("nb202", *FULL[1:]), "unknown search space 'nb202'", "did you mean nb201?"),
    (("nb101", *FULL[1:]), "cells of nb101 cannot be tabulated", "harness train --arch"),
    ((*FULL, "--only", "none,nor_conv_3x"), "unknown operator of nb201 'nor_conv_3x'", "did you mean nor_conv_3x3"),
    ((*FULL, "--sample", "15626"), "there are 15,625 cells of these operators", "--sample from 1 to 15625"),
    ((*FULL, "--only", "none,skip_connect", "--sample", "65"), "there are 64 cells of these operators", "--sample"),
    ((*FULL, "--sample", "0"), "a sample cannot be 0", "--sample"),
    ((*FULL, "--name", "My Table"), "a table cannot be called 'My Table'", "small letters"),
    ((*FULL, "--recipe", "darts-cifar10"), "the recipe holds no images of digits out", "validation = 0.25"),
    ((*FULL, "--arch", "nb201:0", "--sample", "3"), "cells are either listed or taken by --only and --sample", ""),
    ((*FULL, "--archs", "none.txt"), "cannot read none.txt", "a cell in each line"),
    ((*FULL, "--arch", "conv3x3-bn-relu;0-1,1-2"), "cells of nb101 cannot be tabulated", "harness train --arch"),
    ((*FULL, "--arch", "|x|"), "'|x|' is not an architecture", ""),
    ((*FULL, "--epochs", "0"), "epochs must be at least 1", ""),
    ((*FULL, "--repeats", "-1"), "repeats must be at least 1", ""),
    ((*FULL, "--processes", "0"), "processes must be at least 1", ""),
    ((*FULL[:-1], "gpu"), "unknown device 'gpu'", ""),
    (("nb201", "--data", "digtis", "--name", "x"), "unknown image set 'digtis'", "did you mean digits?"),
    (("nb201", "--data", "digits"), "Missing option '--name'", ""),
]


@pytest.mark.parametrize(("arguments", "message", "hint"), BAD, ids=lambda value: " ".join(value)[-30:])
def test_bad_input_gets_a_sentence_and_a_hint(
    harness: Harness, tmp_path: Path, arguments: tuple[str, ...], message: str, hint: str
) -> None:
    answer = harness("tabulate", *arguments)
    answer.refuses(message, hint)
    assert [*tmp_path.iterdir()] == []


def test_a_file_in_the_way(harness: Harness, here: None) -> None:
    Path("tables").mkdir()
    Path("tables/few.toml").write_text("name = 'mine'")
    answer = harness(*COMMAND)
    assert answer.status == 2
    assert "tables/few.toml is another table" in answer.err
