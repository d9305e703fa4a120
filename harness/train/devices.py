"""Where a training runs: the device, the precision, and the processes that torchrun started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from harness.arrays import Ints
from harness.errors import HarnessError

T = TypeVar("T")
Precision = Literal["fp32", "bf16", "fp16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Place:
    """`rank` is the number of this process among `world` that train one network together."""

    device: torch.device
    precision: Precision = "fp32"
    rank: int = 0
    world: int = 1
    deterministic: bool = False
    compiled: bool = False

    def sum(self, values: Tensor) -> Tensor:
        """The sum of `values` over all processes, in their place and without gradients."""
        if self.world > 1:
            dist.all_reduce(values)
        return values

    def total(self, values: Tensor) -> Tensor:
        """The sum of `values` over all processes; gradients of each process's sum are added up too."""
        return _Total.apply(values) if self.world > 1 else values  # type: ignore[no-untyped-call]

    def told(self, codes: Ints) -> Ints:
        """The `codes` of the first process, of which all have as many."""
        if self.world == 1:
            return codes
        told = torch.tensor(codes, device=self.device)
        dist.broadcast(told, 0)
        return told.cpu().numpy()

    def awaited(self, found: T) -> T:
        """What the first process has found; the others wait as long as it takes."""
        if self.world == 1:
            return found
        box = [found]
        dist.broadcast_object_list(box, 0, group=dist.new_group(backend="gloo", timeout=timedelta(weeks=1)))
        return box[0]


def device_of(name: str) -> torch.device:
    """The device `cpu`, `cuda`, `cuda:N`, or the best there is for `auto`. Raises HarnessError if it is not there."""
    kind, _, index = name.partition(":")
    if name == "auto":
        return device_of("cuda" if torch.cuda.is_available() else "cpu")
    if kind not in ("cpu", "cuda") or (index and not index.isdecimal()) or (kind == "cpu" and index):
        raise HarnessError(f"unknown device '{name}'.", "choose from auto, cpu, cuda and cuda:0.")
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if index and here > 1:
        raise HarnessError(f"{name} is one device, and here are {here} processes.", "--device cuda gives each its own.")
    if kind == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        why = "finds no GPU" if torch.version.cuda else "was built without CUDA"
        raise HarnessError(f"there is no CUDA device: torch {torch.__version__} {why}.", "train with --device cpu.")
    here = torch.cuda.device_count()
    number = int(index or os.environ.get("LOCAL_RANK", "0"))
    if number >= here:
        named = ", ".join(f"cuda:{i}" for i in range(here))
        raise HarnessError(f"there is no device cuda:{number}.", f"here are {named}.")
    return torch.device("cuda", number)


def slots(names: str, workers: int | None) -> list[str]:
    """The device of each of so many workers, by default one per device, out of `cpu`, `cuda:0,cuda:1` and the like.

    Raises HarnessError if one is not there.
    """
    found = [str(device_of(name.strip())) for name in names.split(",")]
    return [found[i % len(found)] for i in range(workers or len(found))]


def precision_of(name: str, device: torch.device) -> Precision:
    """`auto` is bf16 on a GPU that has it, fp16 on an older one, and fp32 on a CPU."""
    if name != "auto":
        return name  # type: ignore[return-value]
    if device.type == "cpu":
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported() else "fp16"


def is_first() -> bool:
    """Whether this is the first of the processes that torchrun started, or the only one."""
    return int(os.environ.get("WORLD_SIZE", "1")) == 1 or os.environ.get("RANK", "0") == "0"


@contextmanager
def processes(device: torch.device) -> Iterator[tuple[int, int]]:
    """Rank and number of the processes that torchrun started, in a group for as long as this lasts; else (0, 1)."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield 0, 1
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield dist.get_rank(), world
    finally:
        dist.destroy_process_group()


@contextmanager
def settings(place: Place) -> Iterator[None]:
    """Deterministic algorithms where asked for; global random states and threads are as before in the end.

    Memory that is about to be written is not filled first, which torch does for whoever reads what was never written.
    """
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    memory: Any = torch.utils.deterministic
    filled = memory.fill_uninitialized_memory
    threads = torch.get_num_threads()
    if place.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    devices = [place.device] if place.device.type == "cuda" else []
    try:
        torch.use_deterministic_algorithms(place.deterministic)
        torch.backends.cudnn.benchmark = not place.deterministic
        memory.fill_uninitialized_memory = False
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]
        memory.fill_uninitialized_memory = filled
        torch.set_num_threads(threads)


def reseed(seed: int, device: torch.device) -> None:
    """Set the generators of the CPU and of a GPU; `torch.manual_seed` formats three stacks for devices it never saw."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed_all(seed)


def synchronized(network: nn.Module, place: Place) -> nn.Module:
    """`network` with the statistics of batch normalisation over the batches of all processes."""
    if place.world == 1:
        return network
    if place.device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SharedBatchNorm
    return network


class _Total(torch.autograd.Function):
    """Sum over processes; so is the gradient."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation over several processes on CPUs, for which torch has none."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        about = self.weight, self.bias, self.momentum, self.eps
        return shared_batch_norm(x, self.running_mean, self.running_var, *about)


def shared_batch_norm(
    x: Tensor,
    running_mean: Tensor,
    running_variance: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    momentum: float,
    eps: float,
) -> Tensor:
    """`F.batch_norm` in training, of `x` Float[n, c, h, w] by the batches of all processes."""
    exact = x.to(torch.promote_types(x.dtype, torch.float32))
    count = exact.new_full((1,), float(x.numel() // x.shape[1]))
    total = _Total.apply(torch.cat([exact.sum((0, 2, 3)), (exact * exact).sum((0, 2, 3)), count]))  # type: ignore[no-untyped-call]
    mean, square = (total[:-1] / total[-1]).chunk(2)
    variance = (square - mean * mean).clamp(min=0.0)
    with torch.no_grad():
        n = total[-1]
        running_mean.lerp_(mean, momentum)
        running_variance.lerp_(variance * n / (n - 1), momentum)
    scale = torch.rsqrt(variance + eps)
    scale = scale if weight is None else weight * scale
    shift = -mean * scale if bias is None else bias - mean * scale
    return (exact * scale[:, None, None] + shift[:, None, None]).to(x.dtype)
