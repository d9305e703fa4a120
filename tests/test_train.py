"""Training: reproducible, resumable to the bit, the same in two processes, and sensible about what goes wrong."""

from __future__ import annotations

import json
import math
import os
import resource
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy
from torchrun import two_processes

from harness import HarnessError, registry
from harness.spaces.architecture import Architecture
from harness.train import recipes, results, validation
from harness.train.image_files import Arrays
from harness.train.results import Curve, Job, Origin, Training

torch = pytest.importorskip("torch")
from harness.train import checkpoint, devices, images, loop, networks, optimizers  # noqa: E402

Harness = Callable[..., Any]
CPU = torch.device("cpu")
PLACE = devices.Place(CPU)
GOOD = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
POOR = "|avg_pool_3x3~0|+|none~0|avg_pool_3x3~1|+|none~0|none~1|avg_pool_3x3~2|"
TINY = replace(recipes.read("digits"), channels=4, epochs=3, batch=32, cutout=2, flip=True)


def image_set(recipe: recipes.Recipe = TINY, count: int = 200) -> images.ImageSet:
    """Some of scikit-learn's digits."""
    from harness.train.image_files import read

    whole = read("digits", None)
    (x, y), (x_test, y_test) = whole.train, whole.test
    few = Arrays("digits", (x[:count], y[:count]), (x_test[:count], y_test[:count]), 10)
    return images.of_arrays(few, recipe, CPU)


def job(recipe: recipes.Recipe = TINY, seed: int = 777, text: str = GOOD, **changed: Any) -> Job:
    found = image_set(recipe)
    return replace(Job(Architecture.parse(text), found.name, found.checksum, recipe, seed), **changed)


def same(a: Curve, b: Curve) -> None:
    for name in (n for n in Curve.COLUMNS if n != "seconds"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    assert (a.test_loss, a.test_accuracy) == (b.test_loss, b.test_accuracy)


def test_a_seed_gives_its_curve_again_and_another_seed_another() -> None:
    before = torch.random.get_rng_state()
    threads = torch.get_num_threads()
    first, again, other = (loop.train(job(seed=seed), image_set(), PLACE) for seed in (1, 1, 2))
    same(first, again)
    assert not np.array_equal(first.train_loss, other.train_loss)
    assert torch.equal(before, torch.random.get_rng_state())
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == (threads, False)
    assert (first.seconds > 0).all()
    assert first.lr[0] == TINY.lr


class StopIn(loop.Watch):
    """Sends SIGINT to this process in the middle of an epoch."""

    def __init__(self, epoch: int, share: float) -> None:
        self.at = epoch, share

    def step(self, epoch: int, done: float, images_per_second: float) -> None:
        if epoch == self.at[0] and done >= self.at[1]:
            self.at = (-1, 0.0)
            os.kill(os.getpid(), signal.SIGINT)


FEATURES: dict[str, dict[str, Any]] = {
    "plain": {},
    "auxiliary and drop-path": {"auxiliary": 0.4, "drop_path": 0.3, "label_smoothing": 0.1, "clip": 1.0},
    "rmsprop": {"optimizer": "rmsprop", "lr": 0.02},
}


@pytest.mark.parametrize("features", FEATURES)
def test_a_stopped_training_goes_on_as_if_it_had_not_been(tmp_path: Path, features: str) -> None:
    recipe = replace(TINY, **FEATURES[features])
    found, asked, path = image_set(recipe), job(recipe), tmp_path / "one.pt"
    whole = loop.train(asked, found, PLACE)
    partly = loop.train(asked, found, PLACE, checkpoint=path, until=1)
    assert len(partly.lr) == 1
    assert math.isnan(partly.test_accuracy)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(loop.Interrupted, match="stopped in epoch 2 of 3"):
        loop.train(asked, found, PLACE, checkpoint=path, watch=StopIn(1, 0.4))
    state = checkpoint.load(path, asked, CPU)
    assert (len(state["rows"]), state["step"]) == (1, 2)
    assert signal.getsignal(signal.SIGINT) is handler
    same(loop.train(asked, found, PLACE, checkpoint=path), whole)
    same(loop.train(asked, found, PLACE, checkpoint=path), whole)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_learns_about_as_well(precision: Any) -> None:
    recipe = replace(TINY, epochs=2)
    exact = loop.train(job(recipe), image_set(recipe), PLACE)
    mixed = loop.train(job(recipe, precision=precision), image_set(recipe), replace(PLACE, precision=precision))
    assert abs(mixed.train_loss[-1] - exact.train_loss[-1]) < 0.15
    assert not np.array_equal(mixed.train_loss, exact.train_loss)


def test_deterministic_mode_is_left_again_and_changes_nothing_on_a_cpu() -> None:
    recipe = replace(TINY, epochs=1)
    plain = loop.train(job(recipe), image_set(recipe), PLACE)
    same(loop.train(job(recipe), image_set(recipe), replace(PLACE, deterministic=True)), plain)
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_loss_that_is_not_finite_ends_the_training() -> None:
    recipe, heard = replace(TINY, lr=1e30), []

    class Watch(loop.Watch):
        def note(self, text: str) -> None:
            heard.append(text)

    curve = loop.train(job(recipe), image_set(recipe), PLACE, watch=Watch())
    assert curve.diverged
    assert len(curve.lr) < 3
    assert math.isnan(curve.accuracy)
    assert math.isnan(curve.test_accuracy)
    assert "this training ends here" in heard[0]


def test_too_little_memory_is_answered_with_smaller_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 8 images are what one would get from batches of 8 whose gradients are added up."""
    recipe, heard, sizes = replace(TINY, epochs=1), [], []
    build = networks.build

    def small(*arguments: Any, **named: Any) -> Any:
        network = build(*arguments, **named)

        def forward(module: Any, inputs: Any) -> None:
            sizes.append(len(inputs[0]))
            if module.training and len(inputs[0]) > limit[0]:
                raise torch.OutOfMemoryError("CUDA out of memory")

        network.register_forward_pre_hook(forward)
        return network

    class Watch(loop.Watch):
        def note(self, text: str) -> None:
            heard.append(text)

    monkeypatch.setattr(loop, "build", small)
    limit = [10]
    curve = loop.train(job(recipe), image_set(recipe), PLACE, watch=Watch())
    assert [text.split(" images")[0].split()[-1] for text in heard] == ["16", "8"]
    assert sizes[1:8] == [32, 16, 8, 8, 8, 8, 8]
    assert math.isfinite(curve.train_loss[0])
    limit = [1]
    with pytest.raises(HarnessError, match="cpu has too little memory for 2 images"):
        loop.train(job(recipe), image_set(recipe), PLACE)


def test_other_errors_are_not_taken_for_a_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setattr(loop.Run, "_gradients", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        loop.train(job(), image_set(), PLACE)


def test_compiled_networks_train_alike(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By the backend that needs no C++ compiler."""
    recipe, plain = replace(TINY, epochs=1), torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: plain(module, backend="eager"))
    place, path = replace(PLACE, compiled=True), tmp_path / "one.pt"
    compiled = loop.train(job(recipe), image_set(recipe), place, checkpoint=path)
    np.testing.assert_allclose(
        compiled.train_loss, loop.train(job(recipe), image_set(recipe), PLACE).train_loss, rtol=1e-4
    )
    same(loop.train(job(recipe), image_set(recipe), PLACE, checkpoint=path), compiled)


def test_a_compiler_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    error = type("InductorError", (RuntimeError,), {"__module__": "torch._inductor.exc"})

    def fail(*_: Any, **__: Any) -> Any:
        raise error("CppCompileError: C++ compile error\n\nCommand: ...")

    monkeypatch.setattr(loop.Run, "_gradients", fail)
    with pytest.raises(HarnessError, match=r"torch.compile fails here: CppCompileError: C\+\+ compile error"):
        loop.train(job(), image_set(), PLACE)


def test_checkpoints_are_whole_and_of_their_job(tmp_path: Path) -> None:
    path, asked = tmp_path / "one.pt", job()
    loop.train(asked, image_set(), PLACE, checkpoint=path, until=1)
    for other, differs in (
        (job(text=POOR), "architecture differs"),
        (job(replace(TINY, lr=0.2)), "recipe differs"),
        (job(seed=1, checksum="0"), "checksum and seed differ"),
    ):
        with pytest.raises(HarnessError, match=rf"is of another training: its {differs}\."):
            checkpoint.load(path, other, CPU)
    good = path.read_bytes()
    for broken in (good[:-100], b"", b"PK\x03\x04 nothing", b"x" * 100):
        path.write_bytes(broken)
        with pytest.raises(HarnessError, match="is not a checkpoint of this harness, or is broken"):
            loop.train(asked, image_set(), PLACE, checkpoint=path)


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    path, asked = tmp_path / "one.pt", job()
    loop.train(asked, image_set(), PLACE, checkpoint=path, until=1)
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(HarnessError, match="cannot write the checkpoint") as told:
            loop.train(asked, image_set(), PLACE, checkpoint=path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert "free some space; the same command goes on from the checkpoint before" in told.value.hint
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["one.pt"]


def test_rmsprop_is_that_of_tensorflow() -> None:
    recipe = replace(recipes.read("nb101"), lr=0.1)
    start, gradients = np.array([1.0, -2.0]), np.random.default_rng(0).normal(size=(6, 2))
    x, square, velocity = start.copy(), np.ones(2), np.zeros(2)
    parameter = torch.nn.Parameter(torch.tensor(start))
    ours = optimizers.optimizer(recipe, [parameter])
    for gradient in gradients:
        total = gradient + recipe.weight_decay * x
        square = 0.9 * square + 0.1 * total**2
        velocity = 0.9 * velocity + 0.1 * total / np.sqrt(square + 1.0)
        x = x - velocity
        parameter.grad = torch.tensor(gradient)
        ours.step()
    np.testing.assert_allclose(parameter.detach().numpy(), x, rtol=1e-12)


def test_a_good_cell_beats_a_poor_one_on_cifar10(shared_data: Path) -> None:
    """Images and networks made small: a cell that the table has above 90 %, one of poolings, one without a path."""
    with np.load(shared_data / "cifar10" / "cifar10_12k.npz") as file:
        train, test = (
            (file[f"x_{part}"][:n].reshape(n, 16, 2, 16, 2, 3).mean((2, 4)).astype(np.uint8), file[f"y_{part}"][:n])
            for part, n in (("train", 2000), ("test", 1000))
        )
    recipe = replace(recipes.read("nb201"), channels=8, cells=1, epochs=3, batch=32, validation=0.2)
    found = images.of_arrays(Arrays("cifar10_12k", train, test, 10), recipe, CPU)
    good, poor, none = (
        loop.train(Job(Architecture.parse(text), found.name, found.checksum, recipe, 777), found, PLACE)
        for text in (GOOD, POOR, "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    )
    assert good.train_loss[0] > good.train_loss[1] > good.train_loss[2]
    assert good.train_loss[2] < poor.train_loss[2] - 0.04
    assert good.test_accuracy > poor.test_accuracy > none.test_accuracy + 0.05
    assert good.test_accuracy > none.test_accuracy + 0.12


def test_two_processes_train_as_one_does(harness: Harness, tmp_path: Path) -> None:
    """Three steps, the last on an odd number of images; differences of rounding grow with every further one.

    They are 3e-5 of the training loss on one kind of processor and below 1e-5 on another; processes that do not share
    gradients differ by 1.4e-3 of it.
    """
    (tmp_path / "tiny.toml").write_text(
        'title = "tiny"\nepochs = 1\nbatch = 512\nlr = 0.1\nchannels = 4\ncells = 1\ncrop = 1\nflip = true\n'
        "auxiliary = 0.4\nvalidation = 0.25\nseeds = [5]\n"
    )
    options = ("train", "--arch", GOOD, "--data", "digits", "--recipe", "tiny.toml", "--device", "cpu")
    (one,) = harness(*options, "--out", "one").out.splitlines()
    answer = two_processes(*options, "--out", "two")
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr.count("images to train") == 1
    (two,) = answer.stdout.splitlines()
    alone, together = results.read(Path(one)), results.read(Path(two))
    assert together.facts["processes"] == 2
    np.testing.assert_allclose(together.curve.train_loss, alone.curve.train_loss, rtol=1e-4)
    np.testing.assert_allclose(together.curve.val_loss, alone.curve.val_loss, rtol=1e-4)
    assert together.curve.train_accuracy[0] == pytest.approx(alone.curve.train_accuracy[0], abs=0.002)
    assert (alone.job.id, Path(one).name) == (together.job.id, Path(two).name)


QUICK = ("--data", "digits", "--epochs", "1", "--device", "cpu")


def test_from_a_study_to_a_validated_table(harness: Harness) -> None:
    harness("run", "--algo", "rs", "--bench", "nb201", "--seeds", "6", "--budget", "5e4")
    answer = harness("train", "results", "--top", "3", "--repeats", "1", *QUICK)
    assert answer.status == 0, answer.err
    paths = [Path(line) for line in answer.out.splitlines()]
    assert len(paths) == 3
    assert all(path.parent == Path("results/trained") for path in paths)
    assert "100%" in answer.err
    assert "a transfer: the table is of other images" in " ".join(answer.err.split())
    table = registry.benchmark("nb201")
    trainings = [results.read(path) for path in paths]
    shown = json.loads(harness("show", "results", "--per-seed", "--json").out)
    found = sorted({row["row"] for row in shown}, key=lambda row: table.mean_loss[row, 0])[:3]
    for training, row in zip(trainings, found, strict=True):
        assert training.origin is not None
        assert training.origin.row == row
        assert training.job.architecture == Architecture.of(table, row)
        assert np.mean(training.origin.validation) == pytest.approx(1 - table.mean_loss[row, 0])
        assert training.facts["parameters"] > 0
        assert len(training.curve.lr) == 1
    again = harness("train", "results", "--top", "3", "--repeats", "1", *QUICK)
    assert again.out == answer.out
    said = harness("validate", "results")
    assert "nb201/cifar10 against digits, 1 epoch (a transfer" in said.out
    assert harness("validate", "results", "--bench", "nb201", "--algo", "rs", "--seeds", "0:6").out == said.out
    one = shown[0]["row"]
    few = (
        json.loads(harness("validate", "results", "--seeds", "0:1", "--json").out)["trainings"] if one in found else []
    )
    assert {row["row"] for row in few} <= {one}
    harness("validate", "results", "--bench", "nb201/cifar100").refuses("unknown benchmark among the results", "nb201")
    data = json.loads(harness("validate", "results", "--json").out)
    assert sorted(row["row"] for row in data["trainings"]) == sorted(found)
    (agreement,) = data["agreements"]
    assert (agreement["transfer"], agreement["architectures"], agreement["kind"]) == (True, 3, "val")
    assert harness("show", "results").status == 0
    assert (
        json.loads(harness("train", "results", "--top", "3", "--repeats", "1", *QUICK, "--json").out)[0]["row"]
        == found[0]
    )


def trained(text: str, accuracy: float, table: float, seed: int = 0, images: str = "cifar10") -> Training:
    nothing = np.array([0.1])
    curve = Curve(nothing, nothing, nothing, nothing, np.array([accuracy]), nothing, 0.5, accuracy)
    asked = Job(Architecture("nb201", text), images, "0", TINY, seed)
    origin = Origin("nb201/cifar10", 3, "epochs 200", (table, table + 0.01), ())
    return Training(asked, curve, {"parameters": 1, "multiply_adds": 1}, origin)


def test_agreement_is_over_means_of_architectures(tmp_path: Path) -> None:
    ours = [0.5, 0.6, 0.55, 0.9]
    group = [trained(f"a{i}", x + d, i / 10, seed) for i, x in enumerate(ours) for seed, d in ((0, 0.01), (1, -0.01))]
    lost = trained("a9", 0.1, 0.2)
    group.append(replace(lost, curve=replace(lost.curve, diverged=True)))
    (found,) = validation.agreements(group)
    assert (found.architectures, found.trainings, found.transfer, found.kind) == (4, 8, False, "val")
    assert found.tau is not None
    assert found.tau.value == pytest.approx(scipy.stats.kendalltau(range(4), ours).statistic)
    assert "Kendall's tau of val accuracy 0.67" in validation.sentence(found)
    (two,) = validation.agreements(group[:4])
    assert two.tau is None
    assert "no rank correlation of 2 architectures" in validation.sentence(two)
    assert validation.transfer(trained("a", 0.5, 0.5, images="digits"))
    written = tmp_path / "one.parquet"
    results.write(group[0], written)
    back = results.read(written)
    assert (back.job, back.origin) == (group[0].job, group[0].origin)
    same(back.curve, group[0].curve)


def test_a_training_that_diverges_leaves_the_others(harness: Harness, tmp_path: Path) -> None:
    """A learning rate without bounds: what each training leaves is marked, and the next one starts."""
    (tmp_path / "wild.toml").write_text(
        'title = "wild"\nepochs = 1\nbatch = 64\nlr = 1e30\nchannels = 4\ncells = 1\nvalidation = 0.2\nseeds = [1, 2]\n'
    )
    answer = harness("train", "--arch", GOOD, "--arch", "nb201:6111", *QUICK, "--recipe", "wild.toml", "--out", "wild")
    assert answer.status == 0
    assert len(answer.out.splitlines()) == 4
    assert " ".join(answer.err.split()).count("this training ends here") == 4
    assert "diverged" in answer.err
    assert all(results.read(Path(line)).curve.diverged for line in answer.out.splitlines())


def test_ctrl_c_says_how_to_go_on(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    keep, calls = checkpoint.save, []

    def save(path: Path, asked: Job, state: Any) -> None:
        keep(path, asked, state)
        calls.append(path)
        if len(calls) == 1:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(checkpoint, "save", save)
    options = ("train", "--arch", GOOD, "--repeats", "1", "--data", "digits", "--epochs", "2", "--device", "cpu")
    answer = harness(*options)
    assert answer.status == 130
    assert "stopped in epoch 2 of 2, seed 777" in answer.err
    assert "the same command goes on from there" in answer.err
    done = harness(*options)
    assert done.status == 0
    assert len(results.read(Path(done.out.strip())).curve.lr) == 2
    assert not calls[0].exists()


BAD = [
    (("--data", "digits"), "there is nothing to train", "harness run"),
    (("--arch", GOOD), "Missing option '--data'", "harness train --help"),
    (("--arch", "|nonsense|", *QUICK), "'|nonsense|' is not an architecture", "conv3x3-bn-relu"),
    (("--arch", "nb201:20000", *QUICK), "nb201/cifar10 has no row 20000", "0 to 15624"),
    (("--arch", "fcnet:3", *QUICK), "fcnet/protein has no architectures that can be trained", "nb201"),
    (("--arch", GOOD, "--data", "digtis"), "unknown image set 'digtis'", "did you mean digits?"),
    (("--arch", GOOD, "--data", "cifar10"), "cifar10 is not embedded", "--data-root"),
    (("--arch", GOOD, "--data", "cifar10", "--data-root", "."), "expected the folder cifar-10-batches-py", "extracted"),
    (("--arch", GOOD, "--data", "no.npz"), "nothing at no.npz", "--data"),
    (("--arch", GOOD, "--data", "digits", "--device", "cuda"), "there is no CUDA device", "--device cpu"),
    (("--arch", GOOD, "--data", "digits", "--device", "gpu"), "unknown device 'gpu'", "cpu"),
    (("--arch", GOOD, *QUICK, "--recipe", "nb210"), "unknown recipe 'nb210'", "did you mean nb201 or nb101?"),
    (("--arch", GOOD, *QUICK, "--recipe", "no.toml"), "there is no file no.toml", "name a readable"),
    (("--arch", GOOD, *QUICK, "--precision", "fp8"), "unknown value of --precision 'fp8'", "fp16"),
    (("--arch", GOOD, "--data", "digits", "--epochs", "0"), "epochs must be at least 1, got 0", ""),
    (("--arch", GOOD, *QUICK, "--repeats", "0"), "repeats must be at least 1", ""),
    (("nowhere", *QUICK), "there is nothing at nowhere", "harness run"),
    (("nowhere", *QUICK, "--top", "0"), "top must be at least 1", ""),
]


@pytest.mark.parametrize(("arguments", "message", "hint"), BAD, ids=lambda value: " ".join(value)[:40])
def test_bad_input_gets_a_sentence_and_a_hint(
    harness: Harness, tmp_path: Path, arguments: tuple[str, ...], message: str, hint: str
) -> None:
    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    answer = harness("train", *arguments)
    answer.refuses(message, hint)
    assert [*tmp_path.iterdir()] == []


def test_a_device_index_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert devices.device_of("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(HarnessError, match=r"there is no device cuda:3\. here are cuda:0, cuda:1"):
        devices.device_of("cuda:3")


def test_studies_without_architectures_are_refused(harness: Harness) -> None:
    harness("run", "--algo", "rs", "--bench", "hpobench/car", "--seeds", "2", "--budget", "50")
    answer = harness("train", "results", *QUICK)
    assert answer.status == 2
    assert "hpobench/car has no architectures that can be trained: its configurations are" in answer.err


def test_a_study_of_another_table_is_refused(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    harness("run", "--algo", "rs", "--bench", "nb201", "--seeds", "2", "--budget", "5e4")
    other = replace(registry.benchmark("nb201"), source="another")
    monkeypatch.setattr(registry, "benchmark", lambda name: other)
    answer = harness("train", "results", *QUICK)
    assert answer.status == 2
    assert "nb201/cifar10 is not the table that study" in answer.err


def test_validate_without_trainings(harness: Harness, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    for arguments, told in (("results", "no finished training in results"), ("gone", "nothing at gone")):
        answer = harness("validate", arguments)
        assert (answer.status, answer.out) == (2, "")
        assert told in answer.err
    harness("train", "--arch", GOOD, "--repeats", "1", *QUICK)
    answer = harness("validate", "results")
    assert "none of these trainings is of an architecture with a table" in answer.err
    (tmp_path / "results" / "trained" / "broken.parquet").write_bytes(b"PAR1")
    assert "broken.parquet" in harness("validate", "results").err


def test_tensorboard_is_optional(harness: Harness, tmp_path: Path) -> None:
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        answer = harness("train", "--arch", GOOD, *QUICK, "--tensorboard", "curves")
        assert answer.status == 2
        assert "--tensorboard needs the package tensorboard" in answer.err
        return
    assert harness("train", "--arch", GOOD, "--repeats", "1", *QUICK, "--tensorboard", "curves").status == 0
    assert list((tmp_path / "curves").glob("events*"))


def test_tensorboard_is_of_one_machine(harness: Harness) -> None:
    away = ("--cluster", "tcp://127.0.0.1:1", "--tensorboard", "curves")
    harness("train", "--arch", GOOD, *QUICK, *away).refuses("--tensorboard is of one machine.", "leave it out")
