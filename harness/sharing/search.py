"""A search by weight sharing: the super-network and the distribution trained in turn, by the loop that trains networks.

The images of the recipe's validation split are those that the distribution learns from and by which architectures are
scored; the test split is never used. What is random in a step is a function of (seed, epoch, step), so a search that
was stopped goes on bit for bit.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from harness import registry
from harness.errors import HarnessError
from harness.params import resolve as parameters
from harness.rng import Streams
from harness.sharing.method import Choice, Method, Setting, Statistics, Step, SuperNetwork
from harness.sharing.processes import Together, synchronize
from harness.sharing.scores import Scorer
from harness.spaces import published, resolve
from harness.spaces.architecture import Architecture
from harness.studies.records import identity
from harness.studies.study import source_of
from harness.train import checkpoint as checkpoints
from harness.train.devices import Place, settings
from harness.train.images import ImageSet
from harness.train.loop import Interrupted, Run, Watch, epoch_order, stopping
from harness.train.networks import multiply_adds
from harness.train.recipes import Recipe

ENGINE = 1
"""Raised with every change of this file or of a super-network that changes what a search finds."""


@dataclass(frozen=True)
class SharedSearch:
    """Everything that decides a search by weight sharing on a given machine: one `method` for one `seed`."""

    space: str
    method: str
    params: Mapping[str, Any]
    source: str
    images: str
    checksum: str
    recipe: Recipe
    precision: str
    statistics: Statistics
    seed: int
    engine: int = ENGINE

    @classmethod
    def plan(
        cls,
        space: str,
        method: str,
        given: Mapping[str, object],
        images: ImageSet,
        recipe: Recipe,
        precision: str,
        statistics: Statistics,
        seed: int,
    ) -> SharedSearch:
        """The search of `space` by `method` with the parameters `given`, else the recipe's, else its own defaults.

        Raises HarnessError if they do not fit.
        """
        if not published(space).supernet:
            raise HarnessError(f"{space} has no super-network.", "search it by real training: harness search --algo")
        if images.valid is None:
            raise HarnessError(
                f"'{recipe.title}' holds no images of {images.name} out, by which architectures could be scored.",
                "choose a recipe that does, or write validation = 0.5 in a copy of it.",
            )
        factory = registry.method(method)
        params = parameters(method, factory, {**recipe.methods.get(method, {}), **given})
        about = (images.name, images.checksum, recipe, precision, statistics, seed)
        return cls(space, method, params, source_of(factory), *about)

    @property
    def title(self) -> str:
        """What is trained."""
        return f"the super-network of {self.space}"

    @cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits of the hash of the canonical JSON."""
        return identity(self.to_json())

    def to_json(self) -> dict[str, Any]:
        own = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**own, "params": dict(self.params), "recipe": self.recipe.to_json()}

    def supernet(self, images: ImageSet) -> SuperNetwork:
        """The super-network, its weights out of torch's global random state."""
        of = published(self.space)
        partial = getattr(registry.method(self.method), "partial", 1)
        make = resolve(of.supernet)
        net: SuperNetwork = make(
            of.space, self.recipe, colours=images.image[0], classes=images.classes, partial=partial
        )
        return net


@dataclass(frozen=True)
class Derived:
    """What a search would end with: codes, the architecture's text, and what the super-network says of it."""

    codes: tuple[int, ...]
    text: str
    loss: float
    accuracy: float


@dataclass(frozen=True)
class Row:
    """What is known after an epoch. `seconds` count from the beginning, training and derivation; `scoring` the latter.

    `derived` may choose the operator none, `without` may not; both are None after epochs in which nothing was derived.
    """

    epoch: int
    seconds: float
    scoring: float
    train_loss: float
    train_accuracy: float
    derived: Derived | None
    without: Derived | None
    distribution: tuple[tuple[float, ...], ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Row:
        def derived(name: str) -> Derived | None:
            found = data[name]
            return None if found is None else Derived(**{**found, "codes": tuple(found["codes"])})

        own = {"derived": derived("derived"), "without": derived("without")}
        return cls(**{**data, **own, "distribution": tuple(map(tuple, data["distribution"]))})


class SharedRun(Run):
    """A super-network in training, and the method that chooses what is trained."""

    fused, alike = False, True

    def __init__(self, search: SharedSearch, images: ImageSet, place: Place, watch: Watch) -> None:
        super().__init__(search, images, place, watch)
        self.search = search
        net = self.network
        assert isinstance(net, SuperNetwork)
        net.statistics = search.statistics
        steps = math.ceil(len(images.train) / search.recipe.batch)
        self.setting = Setting(net, search.recipe.epochs, steps, self.streams("begin"))
        self.method: Method = registry.method(search.method)(self.setting, **search.params)
        self.scorer = Scorer(net, images, search.statistics, place)
        self.log: list[Row] = []
        self.spent = 0.0
        self.begun = -1

    def make(self) -> tuple[nn.Module, int]:
        assert isinstance(self.job, SharedSearch)
        net = self.job.supernet(self.images)
        net.statistics = "running"  # one image may have no variance
        return net, multiply_adds(_Whole(net), self.images.image)

    def synchronized(self, network: nn.Module) -> nn.Module:
        synchronize(network, self.place)
        return network

    def parallel(self) -> Together:
        return Together(self.network, self.place)

    def streams(self, what: str) -> Streams:
        """Random numbers of this search for one purpose."""
        return Streams(np.array([self.job.seed]), f"sharing/{what}")

    def before(self, x: Tensor, labels: Tensor, size: int) -> None:
        epoch = len(self.rows)
        if self.begun < epoch:
            self.setting.streams = self.streams(f"{epoch}/begin")
            self.method.begin(epoch)
            self.begun = epoch
        self.setting.streams = self.streams(f"{epoch}/{self.step}")
        held = _Batch(self)

        def loss(choice: Choice, validation: bool) -> Tensor:
            images, answers, whole = held() if validation else (x, labels, size)
            with self.autocast():
                logits = self.forward(images, choice)
            return self.place.total(F.cross_entropy(logits.float(), answers) * (len(answers) / whole))

        @torch.no_grad()
        def accuracy(choice: Choice) -> float:
            images, answers, whole = held()
            with self.autocast():
                logits = self.forward(images, choice)
            return float(self.place.sum((logits.argmax(1) == answers).double().mean() * (len(answers) / whole)))

        self.method.update(Step(epoch, loss, accuracy, self.optimizer, self.weights, size))

    def passes(self) -> Sequence[tuple[Any, ...]]:
        return [(choice,) for choice in self.method.choices()]

    def _update(self, x: Tensor, labels: Tensor, size: int) -> None:
        super()._update(x, labels, size)
        self.method.after()

    def validation(self) -> tuple[Tensor, Tensor, int]:
        """This process's share of the batch of held-out images that belongs to this step, and the batch's size.

        Images are augmented as training images are.
        """
        valid, epoch, size = self.images.valid, len(self.rows), self.job.recipe.batch
        assert valid is not None
        per_pass, whole = max(1, len(valid) // size), min(len(valid), size)
        turn, at = divmod(epoch * self.setting.steps + self.step, per_pass)
        order, draws = epoch_order(len(valid), self.job.seed + 1_000_003, turn)
        rows = slice(at * size + self.place.rank, at * size + whole, self.place.world)
        ((x, labels),) = valid.batches([order[rows]], [draws[rows]], self.augment)
        return x, labels, whole

    def end_epoch(self) -> None:
        loss, hits, count = self.place.sum(self.sums).tolist()
        epoch, trained = len(self.rows) + 1, self.seconds
        self.diverged = not math.isfinite(loss) or not np.isfinite(self.method.distribution()).all()
        derived, without = None, None
        last = epoch == self.job.recipe.epochs
        began = self.clock()
        if not self.diverged and (last or epoch % self.method.every == 0):
            derived, without = self._derived(epoch)
        scoring = self.clock() - began
        self.spent += trained + scoring
        distribution = tuple(map(tuple, self.method.distribution().tolist()))
        mean_loss, mean_hits = (loss / count, hits / count) if count else (math.nan, math.nan)
        row = Row(epoch, self.spent, scoring, mean_loss, mean_hits, derived, without, distribution)
        self.log.append(row)
        self.rows.append([row.seconds])
        self.begin()
        accuracy = math.nan if row.derived is None else row.derived.accuracy
        self.watch.epoch(self.job, epoch, {"train_loss": row.train_loss, "val_accuracy": accuracy})
        if self.diverged:
            self.watch.note(f"the loss or the distribution is not finite in epoch {epoch}: this search ends here.")

    def _derived(self, epoch: int) -> tuple[Derived, Derived]:
        """What the search would end with now, with the operator none and without."""
        codes = []
        for none in (True, False) if published(self.search.space).may_choose_none else (True,):
            self.setting.streams = self.streams(f"{epoch}/derive")
            codes.append(self.method.derive(self.scorer, none=none))
        ends = self.place.told(np.stack(codes))
        found = [
            Derived(tuple(row.tolist()), Architecture.at(self.search.space, row).text, float(loss), float(accuracy))
            for row, loss, accuracy in zip(ends, *self.scorer.both(ends), strict=True)
        ]
        return found[0], found[-1]

    def state(self) -> dict[str, Any]:
        log = json.dumps([row.to_json() for row in self.log])
        own = {"method": self.method.state(), "log": log, "spent": self.spent, "begun": self.begun}
        return {**super().state(), **own}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self.method.load(state["method"])
        self.log = [Row.from_json(row) for row in json.loads(state["log"])]
        self.spent, self.begun = state["spent"], state["begun"]


class _Batch:
    """The validation batch of a step, made when it is first asked for."""

    def __init__(self, run: SharedRun) -> None:
        self.run = run
        self.made: tuple[Tensor, Tensor, int] | None = None

    def __call__(self) -> tuple[Tensor, Tensor, int]:
        self.made = self.made or self.run.validation()
        return self.made


class _Whole(nn.Module):
    """A super-network with all its operators at once."""

    def __init__(self, net: SuperNetwork) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x, Choice(self.net.possible))
        return logits


def share(
    search: SharedSearch, images: ImageSet, place: Place, *, checkpoint: Path | None = None, watch: Watch | None = None
) -> tuple[list[Row], SharedRun]:
    """Search, and return the log with what was trained.

    With a `checkpoint` the state is kept there after every epoch, and what is there is gone on from, bit for bit the
    same on one device. On a CPU it takes one thread, of whose number the last bits would depend. Raises Interrupted on
    SIGINT or SIGTERM, HarnessError if the checkpoint is of another search.
    """
    with settings(place):
        if place.device.type == "cpu":
            torch.set_num_threads(1)
        state = None
        if checkpoint is not None and checkpoint.exists():
            state = checkpoints.load(checkpoint, search, place.device)
        run = SharedRun(search, images, place, watch or Watch())
        if state is not None:
            run.restore(state)
        with stopping(place) as stop:
            while len(run.rows) < search.recipe.epochs and not run.diverged:
                whole = run.train_epoch(stop)
                if whole:
                    run.end_epoch()
                if checkpoint is not None and place.rank == 0:
                    checkpoints.save(checkpoint, search, run.state())
                if not whole:
                    raise Interrupted(f"stopped in epoch {len(run.rows) + 1} of {search.recipe.epochs}")
        return run.log, run
