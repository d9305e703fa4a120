"""NATS-Bench, topology space: the folders `NATS-tss-v1_0-3ffb9-simple` and `-full` as arrays.

Dong, Liu, Musial and Gabrys, "NATS-Bench: Benchmarking NAS Algorithms for Architecture Topology
and Size", IEEE TPAMI 2021.

A folder holds `meta.pickle.pbz2` (the 15,625 architecture strings) and one bzip2-compressed
pickle per architecture, {"12": ..., "200": ...}, laid out as in NAS-Bench-201: the arrays are
those of `nasbench201`. The network weights in a `-full` folder are skipped.
"""

import bz2
import multiprocessing
import os
import re
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from harness.benchmarks.formats.content import FormatError, Progress, describe
from harness.benchmarks.formats.nasbench201 import ARCHITECTURES, DATASETS, Collector, NasBench201
from harness.benchmarks.formats.safe_pickle import load
from harness.errors import HarnessError
from harness.processes import leave_with_parent, starting

__all__ = ["read"]

_WANTED = "a folder of NATS-Bench's topology space"
_HINT = "take the unpacked folder NATS-tss-v1_0-3ffb9-simple or NATS-tss-v1_0-3ffb9-full"
_META = "meta.pickle.pbz2"
_RESULT = re.compile(r"\d{1,6}\.pickle\.pbz2")
_LARGEST_PICKLE = 1 << 30
_FILES_EACH = 200
"""Files that another process is worth starting for."""
_FILES_AT_ONCE = 10
"""Files that a process reads before it answers."""


def read(
    folder: Path,
    *,
    datasets: tuple[str, ...] = DATASETS,
    architectures: int | None = ARCHITECTURES,
    progress: Progress | None = None,
) -> NasBench201:
    """Read an official folder; a large one by several processes.

    Only `datasets` are kept: each takes up to 1 GB. `architectures` is the number that the
    folder must hold results of (None: any, for samples).
    """
    if not (folder / _META).is_file():
        what = f"a folder without {_META}" if folder.is_dir() else describe(folder)
        raise FormatError(f"{folder} is {what}, not {_WANTED}; {_HINT}.")
    meta = _load(folder / _META, None)
    if not isinstance(meta, dict) or "meta_archs" not in meta:
        raise FormatError(f"{folder / _META} does not list the architectures; {_HINT}.")
    files = sorted(path for path in folder.iterdir() if _RESULT.fullmatch(path.name))
    collector, done = Collector(datasets), 0
    total = sum(path.stat().st_size for path in files)
    with closing(_collected(files, datasets)) as parts:
        for path, part in zip(files, parts, strict=True):
            if part.architectures.keys() != {int(path.name.partition(".")[0])} or not collector.add(part):
                raise FormatError(f"{path} does not hold the results of the architecture it names.")
            done += path.stat().st_size
            if progress:
                progress(done, total)
    return collector.table(meta["meta_archs"], architectures, folder)


def _collected(files: Sequence[Path], datasets: tuple[str, ...]) -> Generator[Collector]:
    """What each file holds, in order."""
    processes = min(len(os.sched_getaffinity(0)), len(files) // _FILES_EACH)
    if processes < 2:
        yield from (collected for path in files for collected in _part([path], datasets))
        return
    pieces = (files[at : at + _FILES_AT_ONCE] for at in range(0, len(files), _FILES_AT_ONCE))
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("forkserver"), leave_with_parent)
    waiting: deque[Future[list[Collector]]] = deque()

    def send(count: int) -> None:
        for piece in islice(pieces, count):
            with starting():
                waiting.append(pool.submit(_part, piece, datasets))

    try:
        send(2 * processes)
        while waiting:
            yield from waiting.popleft().result()
            send(1)
    except BrokenProcessPool:
        raise HarnessError(
            f"a process that read {files[0].parent} was killed, likely as memory ran out.", "import it once more."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _part(files: Sequence[Path], datasets: tuple[str, ...]) -> list[Collector]:
    found = []
    for path in files:
        found.append(Collector(datasets))
        _load(path, found[-1])
    return found


def _load(path: Path, collector: Collector | None) -> Any:
    try:
        with bz2.open(path) as file:
            pickled = file.read(_LARGEST_PICKLE + 1)
    except (OSError, EOFError) as error:
        raise FormatError(f"{path} is not a whole bzip2 file ({error}); {_HINT}.") from error
    if len(pickled) > _LARGEST_PICKLE:
        raise FormatError(f"{path} unpacks to more than {_LARGEST_PICKLE:,} bytes.")
    return load(pickled, str(path), on_dict=collector)[0]
