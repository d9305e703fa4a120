"""Training and weight sharing on a GPU: the same as on a CPU up to rounding, and resumable to the bit."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
if not torch.cuda.is_available():
    pytest.skip("there is no CUDA device", allow_module_level=True)

from ranks import CPU, GOOD, GPU, SHARED, TINY, free_port, search_on_gpu, train_on_gpu  # noqa: E402

from harness import Rules, Seen, Streams, registry  # noqa: E402
from harness.scoring import Scoring  # noqa: E402
from harness.sharing.cells import CellSuperNetwork  # noqa: E402
from harness.sharing.product_graph import GraphRegression, ProductGraph  # noqa: E402
from harness.sharing.search import SharedRun, SharedSearch, share  # noqa: E402
from harness.spaces import published  # noqa: E402
from harness.spaces.architecture import Architecture  # noqa: E402
from harness.train import images, loop, networks, recipes  # noqa: E402
from harness.train.devices import Place, settings  # noqa: E402
from harness.train.results import Job  # noqa: E402

METHODS = registry.method_names()


@pytest.fixture(autouse=True)
def _exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions in whole float32."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def trained(place: Place, recipe: recipes.Recipe = TINY, **given: Any) -> Any:
    found = images.load("digits", None, recipe, place.device)
    job = Job(Architecture.parse(GOOD), found.name, found.checksum, recipe, 777, place.precision)
    return loop.train(job, found, place, **given)


class Stop(loop.Watch):
    """Stops the training in the second epoch, as a signal does."""

    def step(self, epoch: int, done: float, images_per_second: float) -> None:
        if epoch == 1 and done > 0.4:
            os.kill(os.getpid(), 15)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_stopped_training_goes_on_bit_for_bit(tmp_path: Path, precision: Any) -> None:
    place, path = Place(GPU, precision, deterministic=True), tmp_path / "one.pt"
    whole = trained(place)
    with pytest.raises(loop.Interrupted):
        trained(place, checkpoint=path, watch=Stop())
    again = trained(place, checkpoint=path)
    assert again.train_loss.tolist() == whole.train_loss.tolist()
    assert again.val_loss.tolist() == whole.val_loss.tolist()
    assert again.test_loss == whole.test_loss


@pytest.mark.parametrize(("precision", "apart"), [("fp32", 0.03), ("bf16", 0.15), ("fp16", 0.15)])
def test_it_learns_as_a_cpu_does(precision: Any, apart: float) -> None:
    ours, theirs = trained(Place(GPU, precision)), trained(Place(CPU))
    assert abs(ours.train_loss - theirs.train_loss).max() < apart


def test_gradients_are_those_of_a_cpu_and_memory_is_channels_last() -> None:
    torch.manual_seed(0)
    network = networks.build(Architecture.parse(GOOD), TINY, colours=1, classes=10).double()
    x, found = torch.randn(32, 1, 8, 8, dtype=torch.float64), []
    for device in (CPU, GPU):
        network.zero_grad()
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        out = network(x.to(device, memory_format=torch.channels_last))
        out.square().sum().backward()
        found.append([p.grad.cpu() for p in network.parameters() if p.grad is not None])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-8 * float(ours.abs().max()))
    weights = [p for p in network.parameters() if p.ndim == 4]
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in weights)


@pytest.mark.parametrize(("world", "backend"), [(1, "nccl"), (2, "gloo")])
def test_several_processes_on_a_gpu_train_as_one_does(tmp_path: Path, world: int, backend: str) -> None:
    out = tmp_path / "rows.npy"
    torch.multiprocessing.spawn(train_on_gpu, (world, free_port(), backend, str(out)), nprocs=world)
    alone = trained(Place(GPU), replace(TINY, epochs=1, batch=512))
    (row,) = np.load(out)
    assert row[1] == pytest.approx(alone.train_loss[0], rel=1e-3)
    assert row[3] == pytest.approx(alone.val_loss[0], rel=1e-3)


@pytest.mark.parametrize(("world", "backend"), [(1, "nccl"), (2, "gloo")])
def test_several_processes_on_a_gpu_search_as_one_does(tmp_path: Path, world: int, backend: str) -> None:
    out = tmp_path / "found.npy"
    torch.multiprocessing.spawn(search_on_gpu, (world, free_port(), backend, str(out)), nprocs=world)
    together, alone = np.load(out)
    np.testing.assert_allclose(together, alone, rtol=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_goes_on_bit_for_bit(method: str, tmp_path: Path) -> None:
    place = Place(GPU, "bf16", deterministic=True)
    recipe = replace(SHARED, epochs=10 if method == "adwp" else 2, cells=2 if method == "p-darts" else 1)
    found = images.load("digits", None, recipe, GPU)
    given: dict[str, Any] = {}
    if method in ("spos", "fairnas"):
        given = {"population": 4, "generations": 1}
    if method == "gcn":
        given = {"samples": 20, "width": 8, "fit": 5, "finalists": 3}
    search = SharedSearch.plan("digits201", method, given, found, recipe, "bf16", "batch", 0)
    whole, _ = share(search, found, place)
    with settings(place):
        first = SharedRun(search, found, place, loop.Watch())
        for _ in range(recipe.epochs - 1):
            first.train_epoch(threading.Event())
            first.end_epoch()
        stop = threading.Event()
        stop.set()
        first.train_epoch(stop)
        torch.save(first.state(), tmp_path / "state.pt")
        again = SharedRun(search, found, place, loop.Watch())
        again.restore(torch.load(tmp_path / "state.pt", map_location=GPU, weights_only=True))
        again.train_epoch(threading.Event())
        again.end_epoch()
    timeless = [repr([replace(row, seconds=0.0, scoring=0.0) for row in rows]) for rows in (again.log, whole)]
    assert timeless[0] == timeless[1]


@pytest.mark.parametrize("statistics", ["batch", "running", "recalibrated"])
def test_scores_are_those_of_a_cpu(statistics: Any) -> None:
    torch.manual_seed(1)
    net = CellSuperNetwork(published("nb201").space, replace(SHARED, channels=8), colours=1, classes=10)
    x, codes = torch.randn(30, 1, 8, 8), np.random.default_rng(0).integers(5, size=(24, 6))
    net.eval().statistics = statistics
    reference = 10 if statistics == "recalibrated" else None
    expected = net.evaluate(x, codes, reference)
    net.to(GPU, memory_format=torch.channels_last)  # type: ignore[call-overload]
    found = net.evaluate(x.to(GPU), codes, reference).cpu()
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=2e-3)


def test_the_graph_network_is_that_of_a_cpu() -> None:
    sizes, rng = (4, 3, 5), np.random.default_rng(0)
    chosen, accuracy = rng.choice(60, 30, replace=False), rng.random(30)
    found = []
    for device in (CPU, GPU):
        model = GraphRegression(ProductGraph(sizes, device=device), width=32, seed=3)
        errors = model.fit(chosen, accuracy, epochs=20)
        found.append((errors, model.predict()))
    np.testing.assert_allclose(found[1][0], found[0][0], rtol=1e-3)
    np.testing.assert_allclose(found[1][1], found[0][1], atol=5e-3)


@pytest.mark.parametrize("name", ["gcn", "neural"])
def test_predictors_are_those_of_a_cpu(name: str) -> None:
    table, seeds, rng = registry.benchmark("nb201/cifar10"), np.arange(3), np.random.default_rng(0)
    rows = rng.integers(len(table), size=(3, 40))
    seen = Seen(
        table.codes[rows], np.full(rows.shape, len(table.fidelities) - 1), table.loss[rows, -1, 0], np.full(3, 40)
    )
    problem, found = Rules(evals=1).problem(table, seeds, Scoring(table, 3)), []
    for device in ("cpu", "cuda"):
        model: Any = registry.predictor(name)(problem, Streams(seeds, "test"), device=device)
        model.fit(seen, seeds)
        found.append(model.predict(table.codes[::50], seeds))
    apart = [float(np.corrcoef(ours, theirs)[0, 1]) for ours, theirs in zip(*found, strict=True)]
    assert min(apart) > 0.9
