"""A tabular-benchmark simulator and evaluation harness for NAS and HPO."""

from harness.algorithm import Algorithm, Factory, Jobs, OneSeed, Problem, Results, per_seed
from harness.arrays import Bools, Floats, Ints
from harness.errors import HarnessError
from harness.params import Param
from harness.rng import Streams
from harness.simulate import Rules, simulate
from harness.space import Parameter, SearchSpace
from harness.table import Facts, Table
from harness.trajectory import Trajectory

__all__ = [
    "Algorithm",
    "Bools",
    "Facts",
    "Factory",
    "Floats",
    "HarnessError",
    "Ints",
    "Jobs",
    "OneSeed",
    "Param",
    "Parameter",
    "Problem",
    "Results",
    "Rules",
    "SearchSpace",
    "Streams",
    "Table",
    "Trajectory",
    "per_seed",
    "simulate",
]
