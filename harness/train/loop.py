"""The loop: one network, one image set, one recipe, one seed; a curve over epochs comes out.

What is random in an epoch, the order of the images and their augmentation, is a function of (seed, epoch), so a
training that was stopped goes on as if it had not been, and several processes draw the same numbers as one.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.parallel import DistributedDataParallel

from harness.arrays import Floats, Ints
from harness.errors import HarnessError
from harness.files import reading
from harness.rng import Streams
from harness.train import checkpoint as checkpoints
from harness.train.augment import DRAWS, augmentation
from harness.train.devices import DTYPES, Place, reseed, settings, synchronized
from harness.train.images import Images, ImageSet, Resident
from harness.train.networks import build, multiply_adds
from harness.train.optimizers import optimizer
from harness.train.recipes import Recipe
from harness.train.results import Curve, Job
from harness.train.skeleton import DropPath

_HERE = np.zeros(1, dtype=np.int64)
_SMALL_BATCH = 1_000_000_000
"""Multiply-adds of a batch below which a CPU's threads wait for each other more than they work."""
_LEAST = 2
"""Images per process without which a batch is left out: batch normalisation needs a variance."""


class Watch:
    """What a caller may want to hear of a training; every method does nothing."""

    def step(self, epoch: int, done: float, images_per_second: float) -> None:
        """A share `done` in (0, 1] of the epoch that begins after `epoch` whole ones."""

    def epoch(self, job: Task, epoch: int, row: dict[str, float]) -> None:
        """What was measured after `epoch` epochs, by the names of `Curve.COLUMNS`."""

    def note(self, text: str) -> None:
        """Something the user should know."""


class Interrupted(Exception):  # noqa: N818
    """The training was asked to stop, and is in its checkpoint as far as it came."""


def train(
    job: Job,
    images: ImageSet,
    place: Place,
    *,
    checkpoint: Path | None = None,
    until: int | None = None,
    watch: Watch | None = None,
) -> Curve:
    """Train the network of `job` on `images` and return the curve of its epochs.

    With a `checkpoint` the state is kept there after every epoch, and what is there is gone on from, bit for bit the
    same on one device. It stops after `until` epochs of the recipe's schedule, by default after all; only then is it
    tested. Raises Interrupted on SIGINT or SIGTERM, HarnessError if the device has too little memory for a step or the
    checkpoint is of another job or cannot be written.
    """
    with settings(place):
        run = Run(job, images, place, watch or Watch())
        if checkpoint is not None and checkpoint.exists():
            state = checkpoints.load(checkpoint, job, place.device)
            with reading(checkpoint, "a checkpoint of this harness", checkpoints.REMOVE):
                run.restore(state)

        def keep() -> None:
            if checkpoint is not None and place.rank == 0:
                checkpoints.save(checkpoint, job, run.state())

        with stopping(place) as stop:
            while len(run.rows) < min(until or job.recipe.epochs, job.recipe.epochs) and not run.diverged:
                whole = run.train_epoch(stop)
                if whole:
                    run.end_epoch()
                keep()
                if not whole:
                    raise Interrupted(f"stopped in epoch {len(run.rows) + 1} of {job.recipe.epochs}")
        return run.curve(tested=len(run.rows) == job.recipe.epochs and not run.diverged)


def epoch_order(images: int, seed: int, epoch: int) -> tuple[Ints, Floats]:
    """Order of the images Int[n] and draws Float[n, DRAWS] that augment them, in the epoch after `epoch` whole ones."""
    streams = Streams(np.array([seed]), f"train/epoch {epoch}")
    order = np.argsort(streams.uniform(images, _HERE)[0], kind="stable")
    return order, streams.uniform(images * DRAWS, _HERE).reshape(images, DRAWS)


class Task(Protocol):
    """What a training is of; `title` names it in messages."""

    @property
    def recipe(self) -> Recipe: ...
    @property
    def seed(self) -> int: ...
    @property
    def title(self) -> str: ...
    @property
    def id(self) -> str: ...


class Run:
    """A network in training, and what was measured of it so far.

    A subclass says what else is trained than the network of a job (`make`), how several processes do it
    (`synchronized`, `parallel`), which passes a step takes (`passes`) and what comes before it (`before`).
    """

    fused = True
    alike = False
    """Whether torch's generators draw the same in all processes."""

    def __init__(self, job: Task, images: ImageSet, place: Place, watch: Watch) -> None:
        self.job, self.images, self.place, self.watch = job, images, place, watch
        if place.world > 1 and job.recipe.batch < _LEAST * place.world:
            raise HarnessError(
                f"batches of {job.recipe.batch} images are too few for {place.world} processes.",
                f"start {max(1, job.recipe.batch // _LEAST)} or fewer.",
            )
        torch.manual_seed(job.seed)
        network, work = self.make()
        if work * job.recipe.batch < _SMALL_BATCH:
            torch.set_num_threads(1)
        alone = place.world == 1 and place.device.type == "cpu" and torch.get_num_threads() == 1
        self.clock = time.thread_time if alone and isinstance(images.train, Resident) else time.perf_counter
        network = network.to(place.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network = self.synchronized(network)
        self.weights = tuple(self.network.parameters())
        self.optimizer = optimizer(job.recipe, self.weights, fused=self.fused)
        self.scaler = torch.amp.GradScaler(place.device.type, enabled=place.precision == "fp16")
        self.augment = augmentation(job.recipe)
        if place.compiled:
            self.network.compile()
        self.forward: Callable[..., Any] = self.network
        if place.world > 1:
            self.forward = self.parallel()
        self.rows: list[list[float]] = []
        self.diverged = False
        self.micro = job.recipe.batch
        self.begin()

    def make(self) -> tuple[nn.Module, int]:
        """The network, its weights out of torch's global random state, and the multiply-adds of one image."""
        assert isinstance(self.job, Job)
        network = build(
            self.job.architecture, self.job.recipe, colours=self.images.image[0], classes=self.images.classes
        )
        return network, multiply_adds(network, self.images.image)

    def synchronized(self, network: nn.Module) -> nn.Module:
        """`network` with batch normalisation over the batches of all processes."""
        return synchronized(network, self.place)

    def parallel(self) -> Callable[..., Any]:
        """The network as several processes call it: gradients are means over all of them."""
        return DistributedDataParallel(self.network, broadcast_buffers=False, find_unused_parameters=True)

    def before(self, x: Tensor, labels: Tensor, size: int) -> None:
        """Called before each step with this process's share of its batch of `size`."""

    def passes(self) -> Sequence[tuple[Any, ...]]:
        """What the network is called with besides images, once for each pass whose gradients a step adds up."""
        return [()]

    def begin(self) -> None:
        """Nothing of the epoch is done yet: its steps, seconds and sums of losses start at 0."""
        self.step = 0
        self.seconds = 0.0
        self.sums = torch.zeros(3, dtype=torch.float64, device=self.place.device)

    def state(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "sums": self.sums,
            "rows": self.rows,
            "diverged": self.diverged,
            "micro": self.micro,
            "step": self.step,
            "seconds": self.seconds,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        for name in ("sums", "rows", "diverged", "micro", "step", "seconds"):
            setattr(self, name, state[name])
        if self.place.rank:
            self.sums.zero_()

    def train_epoch(self, stop: threading.Event) -> bool:
        """Train from where the epoch stands to its end; False if it was asked to `stop` before."""
        recipe, place, epoch = self.job.recipe, self.place, len(self.rows)
        order, draws = epoch_order(len(self.images.train), self.job.seed, epoch)
        starts = [i for i in range(0, len(order), recipe.batch) if len(order) - i >= _LEAST * place.world]
        mine = [slice(i + place.rank, i + recipe.batch, place.world) for i in starts]
        for module in self.network.modules():
            if isinstance(module, DropPath):
                module.rate = recipe.drop_path * epoch / recipe.epochs
        self.network.train()
        left = mine[self.step :]
        batches = self.images.train.batches([order[i] for i in left], [draws[i] for i in left], self.augment)
        trained, began, worked = 0, time.perf_counter(), self.clock()
        for x, labels in batches:
            for group in self.optimizer.param_groups:
                group["lr"] = recipe.learning_rate(epoch, self.step / len(starts))
            reseed(_mixed(self.job.seed, epoch, self.step, 0 if self.alike else place.rank), place.device)
            size = min(recipe.batch, len(order) - starts[self.step])
            self.before(x, labels, size)
            self._update(x, labels, size)
            self.step += 1
            trained += size
            self.watch.step(epoch, self.step / len(starts), trained / (time.perf_counter() - began))
            if stop.is_set() and self.step < len(starts):
                break
        self._wait()
        self.seconds += self.clock() - worked
        return self.step == len(starts)

    def _update(self, x: Tensor, labels: Tensor, size: int) -> None:
        """One step on this process's share of a batch of `size`, in as many parts as the memory asks for."""
        passes = self.passes()
        while True:
            try:
                sums = self._gradients(x, labels, size, passes)
                break
            except RuntimeError as error:
                self._make_smaller(error, len(x))
        if not passes:
            return
        if self.job.recipe.clip:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.weights, self.job.recipe.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.sums += sums

    def _gradients(self, x: Tensor, labels: Tensor, size: int, passes: Sequence[tuple[Any, ...]]) -> Tensor:
        """Add up the gradients of the mean loss of the batch; sums of loss and hits, and the count, Float[3]."""
        recipe = self.job.recipe
        self.optimizer.zero_grad(set_to_none=True)
        sums = torch.zeros_like(self.sums)
        parts = zip(torch.split(x, self.micro), torch.split(labels, self.micro), strict=True)
        for (part, answers), more in product(parts, passes):
            with self.autocast():
                out = self.forward(part, *more)
            logits, *side = out if isinstance(out, tuple) else (out,)
            loss = _loss(logits, answers, recipe.label_smoothing)
            whole = loss + sum(recipe.auxiliary * _loss(s, answers, recipe.label_smoothing) for s in side)
            self.scaler.scale(whole * (self.place.world / size)).backward()
            hits = (logits.detach().argmax(1) == answers).sum()
            sums += torch.stack([loss.detach().double(), hits.double(), hits.new_tensor(len(part)).double()])
        return sums

    def _make_smaller(self, error: RuntimeError, images: int) -> None:
        """Halve the part of a batch that is held in memory at once, if that is what `error` is about; else raise."""
        if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            reason = str(error).strip().splitlines()[0].rstrip(".:")
            raise HarnessError(f"torch.compile fails here: {reason}.", "leave --compile out.") from error
        if not isinstance(error, torch.OutOfMemoryError) and "allocate memory" not in str(error):
            raise error
        smaller = min(self.micro, images) // 2
        if smaller < _LEAST or self.place.world > 1:
            raise HarnessError(
                f"{self.place.device} has too little memory for {min(self.micro, images)} images of {self.job.title}.",
                "use a recipe with a smaller batch, or another device.",
            ) from None
        self.micro = smaller
        self.optimizer.zero_grad(set_to_none=True)
        if self.place.device.type == "cuda":
            torch.cuda.empty_cache()
        self.watch.note(
            f"out of memory: batches are now taken in parts of {smaller} images, whose gradients are added up; "
            "batch normalisation sees the parts."
        )

    def end_epoch(self) -> None:
        """Validate, and note what was measured; a loss that is not finite ends the training."""
        loss, hits, count = self.place.sum(self.sums).tolist()
        recipe, epoch = self.job.recipe, len(self.rows)
        self.diverged = not math.isfinite(loss)
        valid = (math.nan, math.nan)
        if self.images.valid is not None and not self.diverged:
            valid = self.evaluate(self.images.valid)
        row = [recipe.learning_rate(epoch, 0.0), loss / count, hits / count, *valid, self.seconds]
        self.rows.append(row)
        self.begin()
        self.watch.epoch(self.job, epoch + 1, dict(zip(Curve.COLUMNS, row, strict=True)))
        if self.diverged:
            self.watch.note(f"the loss is {loss} in epoch {epoch + 1}: this training ends here.")

    @torch.no_grad()
    def evaluate(self, images: Images) -> tuple[float, float]:
        """Mean loss and accuracy on `images`, each process taking its share."""
        self.network.eval()
        mine = np.arange(len(images))[self.place.rank :: self.place.world]
        positions = [mine[i : i + self.micro] for i in range(0, len(mine), self.micro)]
        sums = torch.zeros_like(self.sums)
        for x, labels in images.batches(positions, [np.zeros((len(p), DRAWS)) for p in positions], None):
            with self.autocast():
                logits = self.network(x)
            hits = (logits.argmax(1) == labels).sum()
            sums += torch.stack([_loss(logits, labels, 0.0).double(), hits.double(), hits.new_tensor(len(x)).double()])
        loss, right, count = self.place.sum(sums).tolist()
        return loss / count, right / count

    def curve(self, *, tested: bool) -> Curve:
        columns = np.array(self.rows).reshape(-1, len(Curve.COLUMNS)).T
        loss, accuracy = self.evaluate(self.images.test) if tested else (math.nan, math.nan)
        named = dict(zip(Curve.COLUMNS, columns, strict=True))
        return Curve(**named, test_loss=loss, test_accuracy=accuracy, diverged=self.diverged)

    def autocast(self) -> torch.autocast:
        precision = self.place.precision
        return torch.autocast(self.place.device.type, DTYPES[precision], enabled=precision != "fp32")

    def _wait(self) -> None:
        if self.place.device.type == "cuda":
            torch.cuda.synchronize(self.place.device)


def _loss(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    return F.cross_entropy(logits.float(), labels, reduction="sum", label_smoothing=smoothing)


def _mixed(seed: int, epoch: int, step: int, rank: int) -> int:
    """A seed of its own for every step of every training."""
    mixed = 0
    for number in (seed, epoch, step, rank):
        mixed = (mixed * 1_000_003 + number + 1) % (1 << 63)
    return mixed


@contextmanager
def stopping(place: Place) -> Iterator[threading.Event]:
    """An event that is set by SIGINT or SIGTERM, so that a step is finished first; a second SIGINT does not wait.

    Several processes do not agree on the step to stop after: they end at once, and go on from the last whole epoch.
    """
    stop = threading.Event()
    if place.world > 1 or threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, _: object) -> None:
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
