"""A tabular-benchmark simulator and evaluation harness for NAS and HPO."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.algorithm import (
        Algorithm as Algorithm,
    )
    from harness.algorithm import (
        Factory as Factory,
    )
    from harness.algorithm import (
        Jobs as Jobs,
    )
    from harness.algorithm import (
        OneSeed as OneSeed,
    )
    from harness.algorithm import (
        Problem as Problem,
    )
    from harness.algorithm import (
        Results as Results,
    )
    from harness.algorithm import (
        per_seed as per_seed,
    )
    from harness.arrays import Bools as Bools
    from harness.arrays import Floats as Floats
    from harness.arrays import Ints as Ints
    from harness.errors import HarnessError as HarnessError
    from harness.params import Param as Param
    from harness.predictor import Predictor as Predictor
    from harness.predictor import Seen as Seen
    from harness.rng import Streams as Streams
    from harness.rules import Rules as Rules
    from harness.simulation import simulate as simulate
    from harness.space import Parameter as Parameter
    from harness.space import SearchSpace as SearchSpace
    from harness.table import Facts as Facts
    from harness.table import Table as Table
    from harness.trajectory import Trajectory as Trajectory

__version__ = "0.1.0"

_HOME = {
    "Algorithm": "algorithm",
    "Bools": "arrays",
    "Facts": "table",
    "Factory": "algorithm",
    "Floats": "arrays",
    "HarnessError": "errors",
    "Ints": "arrays",
    "Jobs": "algorithm",
    "OneSeed": "algorithm",
    "Param": "params",
    "Parameter": "space",
    "Predictor": "predictor",
    "Problem": "algorithm",
    "Results": "algorithm",
    "Rules": "rules",
    "SearchSpace": "space",
    "Seen": "predictor",
    "Streams": "rng",
    "Table": "table",
    "Trajectory": "trajectory",
    "per_seed": "algorithm",
    "simulate": "simulation",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used, so that `harness --help` does not wait for numpy."""
    if name not in _HOME:
        raise AttributeError(f"module 'harness' has no attribute '{name}'")
    return getattr(import_module(f"harness.{_HOME[name]}"), name)
