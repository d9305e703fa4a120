"""NATS-Bench, topology space: the folders `NATS-tss-v1_0-3ffb9-simple` and `-full` as arrays.

Dong, Liu, Musial and Gabrys, "NATS-Bench: Benchmarking NAS Algorithms for Architecture Topology
and Size", IEEE TPAMI 2021.

A folder holds `meta.pickle.pbz2` (the 15,625 architecture strings) and one bzip2-compressed
pickle per architecture, {"12": ..., "200": ...}, laid out as in NAS-Bench-201: the arrays are
those of `nasbench201`. The network weights in a `-full` folder are skipped.
"""

import bz2
import re
from pathlib import Path
from typing import Any

from harness.benchmarks.formats.content import FormatError, Progress, describe
from harness.benchmarks.formats.nasbench201 import ARCHITECTURES, DATASETS, Collector, NasBench201
from harness.benchmarks.formats.safe_pickle import load

__all__ = ["read"]

_WANTED = "a folder of NATS-Bench's topology space"
_HINT = "take the unpacked folder NATS-tss-v1_0-3ffb9-simple or NATS-tss-v1_0-3ffb9-full"
_META = "meta.pickle.pbz2"
_RESULT = re.compile(r"\d{1,6}\.pickle\.pbz2")
_LARGEST_PICKLE = 1 << 30


def read(
    folder: Path,
    *,
    datasets: tuple[str, ...] = DATASETS,
    architectures: int | None = ARCHITECTURES,
    progress: Progress | None = None,
) -> NasBench201:
    """Read an official folder, one file at a time.

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
    sizes = [path.stat().st_size for path in files]
    collector = Collector(datasets)
    done = 0
    for path, size in zip(files, sizes, strict=True):
        before = len(collector.architectures)
        _load(path, collector)
        if int(path.name.partition(".")[0]) not in collector.architectures or (
            len(collector.architectures) != before + 1
        ):
            raise FormatError(f"{path} does not hold the results of the architecture it names.")
        done += size
        if progress:
            progress(done, sum(sizes))
    return collector.table(meta["meta_archs"], architectures, folder)


def _load(path: Path, collector: Collector | None) -> Any:
    try:
        with bz2.open(path) as file:
            pickled = file.read(_LARGEST_PICKLE + 1)
    except (OSError, EOFError) as error:
        raise FormatError(f"{path} is not a whole bzip2 file ({error}); {_HINT}.") from error
    if len(pickled) > _LARGEST_PICKLE:
        raise FormatError(f"{path} unpacks to more than {_LARGEST_PICKLE:,} bytes.")
    return load(pickled, str(path), on_dict=collector)[0]
