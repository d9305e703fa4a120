"""Benchmark families: each file turns one benchmark's published numbers into a `Table`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from harness.table import Facts, Table


@dataclass(frozen=True)
class Family:
    """What the entry points of `nas_harness.benchmarks` name: the datasets of a benchmark and how to load one.

    The benchmark `<entry point>/<dataset>` is `load(dataset)`; the entry point's name alone stands for the first.
    """

    datasets: Mapping[str, Facts]
    load: Callable[[str], Table]
