"""A tabular-benchmark simulator and evaluation harness for NAS and HPO.

    import harness as h

    r = h.run({"mine": Mine, "re": "re"}, "nb201", seeds=500)
    r.plot(), r.compare(), r.curves()

From a notebook or a script:

    run             Run algorithms on benchmarks on a simulated clock.
    load            Load finished studies from files or folders (default: `results`), or those of them that are
                    selected.
    benchmark       The benchmark `name`, in full or by its family, to look at.
    simulator       A clock with simulated workers for a loop of one's own: `submit(config, fidelity)`, `wait()`,
                    `time`.
    objective       An objective function that keeps the clock: `objective(config, fidelity=None) -> loss`.
    optimizer       One of our algorithms for an objective of one's own, to `ask()` and `tell()`.

The vocabulary of plugins:

    Algorithm       One object that steps all seeds.
    Bools           A numpy array of truth values.
    Facts           What a reader of a result has to know about the table behind it.
    Factory         What the entry points of `nas_harness.algorithms` name; its keyword-only arguments are its
                    parameters.
    Floats          A numpy array of numbers.
    HarnessError    Bad input or a broken environment; anything else that is raised is a bug.
    Ints            A numpy array of integers.
    Jobs            Answer to `ask`: what each asking worker runs next.
    OneSeed         An optimizer that knows one run only, as most libraries have it.
    Param           What `Annotated[type, Param(...)]` says of a factory's keyword-only argument; the bounds are
                    inclusive.
    Parameter       One parameter; code `i` stands for `values[i]`.
    Predictor       A model of the loss for each of S seeds.
    Problem         All an algorithm may know; its arrays are read-only copies.
    Results         Argument of `tell`: one finished job for each of the seeds at positions `seeds` Int[n].
    Rules           How runs are simulated.
    SearchSpace     The product of `d` parameters.
    Seen            What k seeds have observed: codes Int[k, n, d], fidelity (index) Int[k, n], loss Float[k, n], inf
                    for invalid.
    Streams         One stream of uniform numbers for each of `seeds` Int[S], told apart from others by `purpose`.
    Table           A benchmark: everything that was ever measured, and nothing else.
    Trajectory      Logged results of S runs, sorted by seed and, within a seed, by finish.
    per_seed        Turn `make(problem, generator, **params) -> OneSeed` into an algorithm over many seeds.
    simulate        Run the algorithm on `table` once for each of `seeds` Int[S], by the dialogue of a `Simulation`.
"""

TYPE_CHECKING = False  # what type checkers take for true; the module `typing` takes longer to import than all of this

if TYPE_CHECKING:
    from typing import Any

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
    from harness.api.interactive import (
        benchmark as benchmark,
    )
    from harness.api.interactive import (
        objective as objective,
    )
    from harness.api.interactive import (
        optimizer as optimizer,
    )
    from harness.api.interactive import (
        simulator as simulator,
    )
    from harness.api.running import load as load
    from harness.api.running import run as run
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
    "benchmark": "api.interactive",
    "load": "api.running",
    "objective": "api.interactive",
    "optimizer": "api.interactive",
    "per_seed": "algorithm",
    "run": "api.running",
    "simulate": "simulation",
    "simulator": "api.interactive",
}

__all__ = list(_HOME)


def __dir__() -> list[str]:
    return [*__all__, "__doc__", "__file__", "__name__", "__path__", "__version__"]


def __getattr__(name: str) -> "Any":
    """Load a public name when it is first used, so that `harness --help` does not wait for numpy."""
    if name not in _HOME:
        raise AttributeError(f"module 'harness' has no attribute '{name}'")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(f"harness.{_HOME[name]}"), name)
