"""Chains of inverted residual blocks (Sandler et al., "MobileNetV2", CVPR 2018), whose kernel and expansion are
chosen.

Three published spaces: that of FairNAS (Chu, Zhang and Xu, ICCV 2021), 19 blocks of six operators; that of ProxylessNAS
(Cai, Zhu and Han, ICLR 2019), 21 blocks, which may be skipped where they keep the shape; that of NAS-Bench-Macro (Su et
al., CVPR 2021), eight blocks of three, where a skipped block that changes the shape is a 1x1 convolution.

As text a chain is the space's name and an operator for each block, `mobilenet:mb_k7_e3,mb_k3_e3,...`. Skipped blocks
that keep the shape stand behind the others of their stage, so that equal networks have equal texts and graphs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from harness.arrays import Bools, Ints
from harness.graphs import FIRST_OPERATOR, Graphs, GraphView, pruned
from harness.space import Parameter, SearchSpace
from harness.spaces import Published

SKIP = "skip"
_EVERY = tuple(f"mb_k{kernel}_e{expansion}" for expansion in (3, 6) for kernel in (3, 5, 7))


@dataclass(frozen=True)
class Block:
    """Channels into and out of a block; the first of a stage may halve the image (`stride` 2)."""

    incoming: int
    outgoing: int
    stride: int
    operators: tuple[str, ...]

    @property
    def keeps(self) -> bool:
        """Whether the shape is the same behind the block."""
        return self.stride == 1 and self.incoming == self.outgoing


@dataclass(frozen=True)
class Body:
    """What is around and between the blocks of a chain.

    `stages` are (blocks, channels, stride). The 3x3 stem has `stem` channels; a separable convolution to `first`
    channels follows, unless that is 0. `large` ones are made for images of 224 pixels, which the stem halves.
    """

    stages: tuple[tuple[int, int, int], ...]
    first: int
    large: bool
    operators: tuple[str, ...] = _EVERY
    skips: str = ""
    stem: int = 32
    last: int = 1280

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks in order."""
        found, incoming = [], self.first or self.stem
        for count, outgoing, stride in self.stages:
            for i in range(count):
                block = Block(incoming, outgoing, stride if i == 0 else 1, self.operators)
                allowed = self.skips == "all" or (self.skips == "shape" and block.keeps)
                found.append(Block(incoming, outgoing, block.stride, ((SKIP,) if allowed else ()) + self.operators))
                incoming = outgoing
        return tuple(found)

    @cached_property
    def starts(self) -> Ints:
        """The stage of each block, Int[L]."""
        return np.repeat(np.arange(len(self.stages)), [count for count, _, _ in self.stages])


BODIES = {
    "mobilenet": Body(((2, 32, 2), (4, 40, 2), (4, 80, 2), (4, 96, 1), (4, 192, 2), (1, 320, 1)), 16, True),
    "mobilenet/proxyless": Body(
        ((4, 32, 2), (4, 40, 2), (4, 80, 2), (4, 96, 1), (4, 192, 2), (1, 320, 1)), 16, True, skips="shape"
    ),
    "mobilenet/macro": Body(
        ((2, 64, 2), (3, 128, 2), (3, 256, 2)), 0, False, operators=("mb_k3_e3", "mb_k5_e6"), skips="all"
    ),
}
"""By the names of their spaces."""


def body_of(space: SearchSpace) -> Body:
    """The body of one of these spaces."""
    return next(
        body for body in BODIES.values() if [b.operators for b in body.blocks] == [p.values for p in space.parameters]
    )


def read(text: str) -> tuple[Body, tuple[str, ...]]:
    """The body and the operators of a chain written as text, in canonical order. Raises ValueError if it is none."""
    name, _, names = text.rpartition(":")
    if name not in BODIES:
        raise ValueError(f"'{text}' does not begin with {', '.join(f'{known}:' for known in BODIES)}")
    body, operators = BODIES[name], names.split(",")
    if len(operators) != len(body.blocks):
        raise ValueError(f"{name} has {len(body.blocks)} blocks")
    for operator, block in zip(operators, body.blocks, strict=True):
        if operator not in block.operators:
            raise ValueError(f"no operator {operator}")
    codes = np.array([[b.operators.index(o) for o, b in zip(operators, body.blocks, strict=True)]])
    return body, _names(body, _ordered(body, codes)[0])


def _names(body: Body, codes: Ints) -> tuple[str, ...]:
    return tuple(block.operators[code] for block, code in zip(body.blocks, codes.tolist(), strict=True))


def _skipped(body: Body, codes: Ints) -> Bools:
    """Where codes Int[n, L] skip a block that keeps the shape, Bool[n, L]."""
    may = np.array([block.keeps and SKIP in block.operators for block in body.blocks])
    return may & (codes == 0)


def _ordered(body: Body, codes: Ints) -> Ints:
    """Codes Int[n, L] with the skipped blocks behind the others of their stage."""
    order = np.argsort(2 * body.starts + _skipped(body, codes), axis=1, kind="stable")
    return np.take_along_axis(codes, order, axis=1)


def _graphs(body: Body, codes: Ints) -> Graphs:
    """Chains without the skipped blocks."""
    codes = _ordered(body, codes)
    there = np.pad(~_skipped(body, codes), [(0, 0), (1, 1)], constant_values=True)
    rank = np.where(there, there.cumsum(axis=1), -9)
    names = (*((SKIP,) if body.skips else ()), *body.operators)
    offset = np.array([names.index(block.operators[0]) for block in body.blocks])
    return pruned(rank[:, None, :] == rank[:, :, None] + 1, codes + offset + FIRST_OPERATOR)


def _of(name: str, title: str) -> Published:
    body = BODIES[name]
    names = (*((SKIP,) if body.skips else ()), *body.operators)
    space = SearchSpace(
        tuple(Parameter(f"block_{i}", block.operators) for i, block in enumerate(body.blocks)),
        GraphView(len(body.blocks) + 2, names, lambda codes: _graphs(body, codes), unordered=True),
    )

    def codes(text: str) -> Ints:
        found, operators = read(text)
        if found is not body:
            raise ValueError(f"{text} is no chain of {name}")
        return np.array([b.operators.index(o) for b, o in zip(body.blocks, operators, strict=True)])

    def write(row: Ints) -> str:
        return f"{name}:{','.join(_names(body, _ordered(body, row[None])[0]))}"

    return Published(
        kind="mobilenet",
        title=title,
        space=space,
        write=write,
        read=lambda text: f"{text.rpartition(':')[0]}:{','.join(read(text)[1])}",
        example=write(np.zeros(len(body.blocks), dtype=np.int64)),
        networks="harness.train.mobile_networks:network",
        codes=codes,
        supernet="harness.sharing.chains:chain",
    )


published = _of("mobilenet", "FairNAS's chains")
proxyless = _of("mobilenet/proxyless", "ProxylessNAS's chains")
macro = _of("mobilenet/macro", "NAS-Bench-Macro's chains")
