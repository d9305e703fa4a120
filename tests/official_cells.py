"""What the official files of NAS-Bench-101 say of connected cells: their hash, and the parameters of their network."""

from collections.abc import Iterator
from hashlib import md5

import numpy as np
import numpy.typing as npt

from harness.spaces.nasbench101_cells import VERTICES, BoolArray, IntArray, prune

HexArray = npt.NDArray[np.bytes_]

_STEM_CHANNELS, _STACKS, _CELLS_PER_STACK, _CLASSES = 128, 3, 3, 10
_KERNEL_AREA, _NORM_WEIGHTS = (9, 1, 0), (2, 2, 0)
_OUTPUT = VERTICES - 1


def graph_hashes(adjacency: BoolArray, ops: IntArray) -> npt.NDArray[np.uint8]:
    """UInt8[n, 16] isomorphism-invariant MD5 fingerprints, the keys of NASBench's official files.

    Each vertex starts from its degrees and operator and absorbs the sorted hashes of its parents
    and children, once per vertex of the pruned cell (Ying 2019, "Enumerating Unique Computational
    Graphs via an Iterative Graph Invariant", https://arxiv.org/abs/1902.06192).
    """
    pruned = prune(adjacency)
    used = np.asarray(pruned.any(axis=1) | pruned.any(axis=2))
    ends = np.broadcast_to([[-1, -2]], (len(pruned), 2))
    labels = np.concatenate([ends[:, :1], ops, ends[:, 1:]], axis=1, dtype=np.int64)

    hashes = np.empty((len(pruned), 16), np.uint8)
    for members in _batches_of_equal(used.sum(axis=1)):
        vertices = np.nonzero(used[members])[1].reshape(len(members), -1)
        inside = pruned[members[:, None, None], vertices[:, :, None], vertices[:, None, :]]
        hashes[members] = _hash_pruned(inside, labels[members[:, None], vertices])
    return hashes


def _hash_pruned(adjacency: BoolArray, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """UInt8[n, 16] fingerprints of cells that use all their v vertices.

    `adjacency` is Bool[n, v, v], `labels` Int[n, v]. Every round puts the vertices of a cell in
    the order of their hashes, so neighbours are met in sorted order.
    """
    count, vertices = labels.shape
    start = np.stack([adjacency.sum(axis=2), adjacency.sum(axis=1), labels], axis=-1)
    distinct, which = np.unique(start.reshape(-1, 3), axis=0, return_inverse=True)
    texts = np.array([str(tuple(row)).encode() for row in distinct.tolist()])
    hashes = _hexadecimal(_md5(texts))[which].reshape(count, vertices)

    cell = np.arange(count)[:, None]
    for _ in range(vertices):
        order = hashes.argsort(axis=1)
        hashes = hashes[cell, order]
        adjacency = adjacency[cell[:, :, None], order[:, :, None], order[:, None, :]]
        hashes = _absorb_neighbours(adjacency, hashes)
    ordered = np.sort(hashes, axis=1)
    quoted = [_constant(count, "['")]
    for vertex in range(vertices):
        quoted += [ordered[:, vertex], _constant(count, "', '" if vertex < vertices - 1 else "']")]
    return _md5(_joined(quoted))


def _absorb_neighbours(adjacency: BoolArray, hashes: HexArray) -> HexArray:
    """Hex[n, v]: one round, for vertices that stand in ascending order of their hashes."""
    degrees = adjacency.sum(axis=1) * VERTICES + adjacency.sum(axis=2)
    updated = np.empty_like(hashes)
    for members in _batches_of_equal(degrees.ravel()):
        cell, vertex = np.unravel_index(members, degrees.shape)
        parents = np.nonzero(adjacency[cell, :, vertex])[1].reshape(len(cell), -1)
        children = np.nonzero(adjacency[cell, vertex])[1].reshape(len(cell), -1)
        bar = _constant(len(cell), "|")
        message = [hashes[cell, parent] for parent in parents.T]
        message += [bar, *(hashes[cell, child] for child in children.T), bar, hashes[cell, vertex]]
        updated[cell, vertex] = _hexadecimal(_md5(_joined(message)))
    return updated


def _batches_of_equal(keys: IntArray, size: int = 1 << 15) -> Iterator[npt.NDArray[np.int64]]:
    """Positions of equal keys, at most `size` at a time."""
    for key in np.unique(keys):
        members = np.flatnonzero(keys == key)
        yield from (members[start : start + size] for start in range(0, len(members), size))


def _constant(count: int, text: str) -> HexArray:
    return np.full(count, text.encode())


def _joined(columns: list[HexArray]) -> HexArray:
    """Bytes[n]: the columns' fixed-width texts put together."""
    as_bytes = [np.ascontiguousarray(c).view(np.uint8).reshape(len(c), -1) for c in columns]
    joined = np.concatenate(as_bytes, axis=1)
    return joined.view(f"S{joined.shape[1]}")[:, 0]


def _md5(messages: HexArray) -> npt.NDArray[np.uint8]:
    """UInt8[n, 16] MD5 digests of Bytes[n]."""
    digests = b"".join(md5(text, usedforsecurity=False).digest() for text in messages.tolist())
    return np.frombuffer(digests, np.uint8).reshape(-1, 16)


def _hexadecimal(digests: npt.NDArray[np.uint8]) -> HexArray:
    """Hex[n] of UInt8[n, 16]."""
    return np.frombuffer(digests.tobytes().hex().encode(), "S32")


def parameter_counts(adjacency: BoolArray, ops: IntArray) -> npt.NDArray[np.int64]:
    """Int[n] trainable parameters of the CIFAR-10 network built from each cell (Ying et al. 2019).

    A 3x3 stem of 128 channels, three stacks of three cells, channels doubling from stack to stack,
    a linear classifier. The vertices feeding the output share its channels, the first ones taking
    the remainder, so that isomorphic cells may differ by a few parameters.
    """
    pruned = prune(adjacency)
    kernel_area = np.take(_KERNEL_AREA, ops, mode="clip")
    norm_weights = np.take(_NORM_WEIGHTS, ops, mode="clip")
    incoming = _STEM_CHANNELS
    total = np.full(len(pruned), (3 * _KERNEL_AREA[0] + 2) * _STEM_CHANNELS, np.int64)
    for stack in range(_STACKS):
        outgoing = _STEM_CHANNELS << stack
        channels = _vertex_channels(pruned, outgoing)
        inner = channels[:, 1:_OUTPUT]
        operators = ((kernel_area * inner + norm_weights) * inner).sum(axis=1)
        projected = (channels * pruned[:, 0]).sum(axis=1)
        fan_ins = (incoming + 2) + (_CELLS_PER_STACK - 1) * (outgoing + 2)
        total += _CELLS_PER_STACK * operators + fan_ins * projected
        incoming = outgoing
    return total + (incoming + 1) * _CLASSES


def _vertex_channels(pruned: BoolArray, outgoing: int) -> npt.NDArray[np.int64]:
    """Int[n, 7] channels a vertex puts out; 0 for the input, which each reader projects."""
    channels = np.zeros(pruned.shape[:2], np.int64)
    channels[:, _OUTPUT] = outgoing
    feeds_output = pruned[:, :, _OUTPUT] & (np.arange(VERTICES) > 0)
    share, remainder = np.divmod(outgoing, np.maximum(feeds_output.sum(axis=1), 1))
    takes_one_more = feeds_output.cumsum(axis=1) <= remainder[:, None]
    for vertex in range(_OUTPUT - 1, 0, -1):
        largest_reader = (channels * pruned[:, vertex])[:, :_OUTPUT].max(axis=1)
        channels[:, vertex] = np.where(feeds_output[:, vertex], share + takes_one_more[:, vertex], largest_reader)
    return channels
