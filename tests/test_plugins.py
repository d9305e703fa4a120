"""Plugins that are broken, or that misbehave: they harm nobody but themselves, and are named."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import HarnessError, Jobs, Problem, Results, Rules, SearchSpace, Streams, registry, simulate
from harness.predictor import Seen
from harness.testing import assert_same, synthetic_table

Harness = Callable[..., Any]
Install = Callable[..., None]
QUICK = ("--bench", "nb201", "--seeds", "4", "--evals", "5", "--processes", "1")


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a package with one module and its entry points where Python finds them."""
    site = tmp_path / "site"
    modules: list[str] = []

    def add(package: str, source: str, **points: str) -> None:
        about = site / f"{package}-1.2.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
        groups = [f"[nas_harness.{group}]\n{lines}\n" for group, lines in points.items()]
        (about / "entry_points.txt").write_text("\n".join(groups))
        (site / f"{package}.py").write_text(source)
        modules.append(package)
        monkeypatch.syspath_prepend(site)
        monkeypatch.setenv("PYTHONPATH", str(site))
        registry.forget()

    yield add
    registry.forget()
    for name in modules:
        sys.modules.pop(name, None)


BROKEN = {
    "ImportError": "import not_there_at_all",
    "RuntimeError": "raise RuntimeError('torch has other symbols')",
    "SystemExit": "raise SystemExit(0)",
    "AttributeError": "",
    "SyntaxError": "def",
    "a number": "it = 5",
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("group", ["algorithms", "predictors", "benchmarks"])
def test_a_plugin_that_cannot_be_used_is_listed_as_broken_and_harms_nobody(
    kind: str, group: str, install: Install, harness: Harness
) -> None:
    install("faulty", BROKEN[kind], **{group: "bad = faulty:it"})
    answer = harness("list", group, "--json")
    assert answer.status == 0
    (listed,) = (row for row in json.loads(answer.out)[group] if row["name"] == "bad")
    assert listed["title"].startswith(f"broken: the {group[:-1]} 'bad' of faulty ")
    bench, algo = ("bad", "rs") if group == "benchmarks" else ("nb201", "bad")
    if group != "predictors":
        harness("run", "--algo", algo, "--bench", bench).refuses("'bad' of faulty", "pip uninstall faulty")


def test_with_broken_plugins_of_every_kind_all_commands_go_on(install: Install, harness: Harness) -> None:
    line = "bad = faulty:it"
    install("faulty", "raise SystemExit(0)", algorithms=line, predictors=line, benchmarks=line)
    for command in (("list",), ("data", "list"), ("show", "nb201"), ("show", "rs"), ("run", "--algo", "rs", *QUICK)):
        assert harness(*command).status == 0, command


def test_a_name_that_two_packages_take_is_neither_of_them(install: Install, harness: Harness) -> None:
    install("greedy", "def it(problem, streams): ...", algorithms="re = greedy:it", benchmarks="nb201 = greedy:it")
    for name, command in (
        ("re", ("--algo", "re", "--bench", "fcnet")),
        ("nb201", ("--algo", "rs", "--bench", "nb201")),
    ):
        harness("run", *command).refuses(f"'{name}' is in", "remove one of them")


class Writes:
    """Random search that writes into all that it is shown; the errors are what it expects."""

    def __init__(self, problem: Problem, streams: Streams) -> None:
        self.problem, self.streams, self.refused = problem, streams, 0
        space = problem.space
        for array in (problem.fidelities, problem.seeds, space.sizes, space.strides, space.moves, space.mutable):
            self.write(array)
            with pytest.raises(ValueError, match="WRITEABLE"):
                array.flags.writeable = True

    def write(self, array: Any) -> None:
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0

    def ask(self, seeds: Any, worker: Any) -> Jobs:
        self.write(seeds)
        self.write(worker)
        self.codes = self.problem.space.sample(self.streams.uniform(self.problem.space.dimensions, seeds))
        return Jobs(self.codes, self.problem.full)

    def tell(self, results: Results) -> None:
        self.codes[...] = 0  # what was asked for is the simulator's own copy
        for array in results:
            if array is not None:
                self.write(array)


def test_an_algorithm_that_writes_into_what_it_sees_gets_an_error_and_changes_no_study() -> None:
    table = synthetic_table(1, missing=0.0)
    rules = Rules(evals=30, workers=2, log="all")

    def other() -> Any:
        return simulate(table, registry.algorithm("re"), seeds=np.arange(3), rules=rules)

    before = other()
    seeds = np.arange(3)
    run = simulate(table, Writes, seeds=seeds, rules=rules)
    assert_same(run, simulate(table, registry.algorithm("rs"), seeds=seeds, rules=rules))
    assert_same(before, other())


def test_a_predictor_cannot_write_into_what_was_observed() -> None:
    one = np.zeros((2, 3))
    seen = Seen(np.zeros((2, 3, 4), int), one.astype(int), one, np.array([3, 3]))
    for array in (seen.codes, seen.fidelity, seen.loss, seen.count, seen.of(slice(1)).loss):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 1
    one[...] = 2  # its owner can


def test_values_of_a_parameter_cannot_be_changed() -> None:
    from harness import Parameter

    space = SearchSpace((Parameter("a", [1, 2]),))
    assert space.parameters[0].values == (1, 2)


MISBEHAVING = """
import numpy as np
from harness import Jobs
from harness.registry import algorithm

class Base:
    def __init__(self, problem, streams):
        self.rs = algorithm("rs")(problem, streams)
        self.problem = problem
    def ask(self, seeds, worker):
        return self.change(self.rs.ask(seeds, worker))
    def change(self, jobs):
        return jobs
    def tell(self, results):
        self.rs.tell(results)

def bad(f):
    return type("It", (Base,), {"change": lambda self, jobs: f(jobs), "__module__": __name__})

def fail(*_):
    raise OSError("no such\\nthing")

def leave(*_):
    raise SystemExit(0)

ask_fails, ask_leaves = bad(fail), bad(leave)
nothing = bad(lambda jobs: None)
a_tuple = bad(lambda jobs: (jobs.codes, jobs.fidelity))
a_list = bad(lambda jobs: Jobs(jobs.codes.tolist(), 0))
floats = bad(lambda jobs: Jobs(jobs.codes.astype(float), 0))
bools = bad(lambda jobs: Jobs(jobs.codes > 0, 0))
one_row = bad(lambda jobs: Jobs(jobs.codes[0], 0))
one_column = bad(lambda jobs: Jobs(jobs.codes[:, :1], 0))
strings = bad(lambda jobs: Jobs(jobs.codes.astype(str), 0))
huge = bad(lambda jobs: Jobs(jobs.codes.astype(np.uint64) + np.uint64(2**63), 0))
outside = bad(lambda jobs: Jobs(jobs.codes + 5, 0))
fidelity_nan = bad(lambda jobs: Jobs(jobs.codes, np.nan))
fidelity_none = bad(lambda jobs: Jobs(jobs.codes, None))
fidelity_true = bad(lambda jobs: Jobs(jobs.codes, True))
fidelity_two = bad(lambda jobs: Jobs(jobs.codes, np.zeros(2, int)))
fidelity_high = bad(lambda jobs: Jobs(jobs.codes, 10**30))
wait_list = bad(lambda jobs: Jobs(jobs.codes, 0, [False] * len(jobs.codes)))
wait_number = bad(lambda jobs: Jobs(jobs.codes, 0, np.zeros(len(jobs.codes))))

class tell_fails(Base):
    def tell(self, results):
        return {}[5]

class made_fails(Base):
    def __init__(self, problem, streams):
        super().__init__(problem, streams)
        if len(problem.seeds) > 1:
            fail()

no_methods = lambda problem, streams: object()
"""
KINDS = {
    "ask_fails": "failed in ask for seeds 0 to 2: OSError: no such thing.",
    "ask_leaves": "failed in ask for seeds 0 to 2: SystemExit: 0.",
    "tell_fails": "failed in tell for seeds 0 to 2: KeyError: 5.",
    "made_fails": "failed as it was made for seeds 0 to 2: OSError: no such thing.",
    "no_methods": "failed in ask for seeds 0 to 2: AttributeError",
    "nothing": "answered ask with NoneType instead of harness.Jobs.",
    "a_tuple": "answered ask with tuple instead of harness.Jobs.",
    "a_list": "answered ask with codes as list instead of integers of shape (3, 6).",
    "floats": "codes as float64 of shape (3, 6) instead of integers",
    "bools": "codes as bool of shape (3, 6) instead of integers",
    "one_row": "codes as int64 of shape (6,) instead of integers of shape (3, 6).",
    "one_column": "codes as int64 of shape (3, 1) instead of integers of shape (3, 6).",
    "strings": "instead of integers of shape (3, 6).",
    "huge": "codes beyond 64 bits.",
    "outside": "asked for codes outside of the search space.",
    "fidelity_nan": "fidelity as float64 of shape () instead of integers of shape ().",
    "fidelity_none": "fidelity as object of shape () instead of integers of shape ().",
    "fidelity_true": "fidelity as bool of shape () instead of integers of shape ().",
    "fidelity_two": "fidelity as int64 of shape (2,) instead of integers of shape (3,).",
    "fidelity_high": "asked for a fidelity outside of 0..0.",
    "wait_list": "wait as list instead of bools of shape (3,).",
    "wait_number": "wait as float64 of shape (3,) instead of bools of shape (3,).",
}  # fmt: skip


def test_an_algorithm_that_misbehaves_is_named_and_the_other_studies_are_finished(
    install: Install, harness: Harness
) -> None:
    install("wrong", MISBEHAVING, algorithms="\n".join(f"w-{kind} = wrong:{kind}" for kind in KINDS))
    names = ",".join(f"w-{kind}" for kind in KINDS)
    rest = ("--bench", "nb201", "--seeds", "3", "--evals", "4", "--processes", "1")
    answer = harness("run", "--algo", f"{names},rs", *rest)
    assert answer.status == 1
    said = [line for line in answer.err.splitlines() if line.startswith("error: ")]
    for line, (kind, reason) in zip(said, KINDS.items(), strict=True):
        assert line.startswith(f"error: algorithm 'w-{kind}' (wrong 1.2) ")
        assert reason in line
    assert "Traceback" not in answer.err
    assert "already there" in harness("run", "--algo", "rs", *rest).err
    debugged = harness("run", "--algo", "w-ask_fails", *rest, "--debug")
    assert debugged.status == 1
    assert 'raise OSError("no such' in debugged.err
    assert "Traceback" in harness("--debug", "run", "--algo", "w-ask_fails", *rest).err


def test_a_plugin_that_fails_in_a_worker_process_lets_the_other_studies_finish(
    install: Install, harness: Harness
) -> None:
    install("wrong", MISBEHAVING, algorithms="w-fails = wrong:ask_fails\nw-leaves = wrong:ask_leaves")
    rest = ("--bench", "nb201", "--seeds", "3", "--evals", "4")
    answer = harness("run", "--algo", "w-fails,w-leaves,rs", *rest, "--processes", "2", "--debug")
    assert answer.status == 1
    for name, reason in (("fails", "OSError: no such thing"), ("leaves", "SystemExit: 0")):
        told = f"error: algorithm 'w-{name}' (wrong 1.2) on nb201/cifar10 failed in ask for seeds 0 to 2: {reason}."
        assert told in answer.err
    assert 'raise OSError("no such' in answer.err
    assert "already there" in harness("run", "--algo", "rs", *rest, "--processes", "1").err


@pytest.mark.parametrize("kind", [np.int8, np.uint16, np.int32, np.uint64, ">i8"])
def test_integers_of_any_width_are_codes(kind: Any) -> None:
    class Narrow:
        def __init__(self, problem: Problem, streams: Streams) -> None:
            self.problem, self.rs = problem, registry.algorithm("rs")(problem, streams)

        def ask(self, seeds: Any, worker: Any) -> Jobs:
            fidelity = np.full(len(seeds), self.problem.full).astype(kind)
            return Jobs(self.rs.ask(seeds, worker).codes.astype(kind), fidelity)

        def tell(self, results: Results) -> None:
            assert results.codes.dtype == np.int64

    table, rules = synthetic_table(1), Rules(evals=9, log="all")
    mine, theirs = (simulate(table, a, seeds=np.arange(3), rules=rules) for a in (Narrow, registry.algorithm("rs")))
    assert_same(mine, theirs)


@pytest.mark.parametrize("shard", ["0", "-1", "1.5", "None", "True"])
def test_a_shard_that_is_no_number_of_seeds_is_refused(shard: str, install: Install, harness: Harness) -> None:
    source = f"from algorithms.random_search import RandomSearch\nclass it(RandomSearch): shard = {shard}"
    install("sharding", source, algorithms="sharded = sharding:it")
    harness("run", "--algo", "sharded", *QUICK).refuses(f"'sharded' has shard = {shard}.", "seeds to step together")


FAULTY = """
from harness.benchmarks import Family
from harness.benchmarks.nasbench201 import family as nb201
facts = dict(list(nb201.datasets.items())[:1])
def fail(dataset):
    raise KeyError(dataset)
def leave(dataset):
    raise SystemExit(0)
fails, leaves, none = (Family(facts, load) for load in (fail, leave, lambda dataset: None))
no_facts = Family({"a": "not facts"}, fail)
"""


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("fails", "failed to load bad/cifar10: KeyError: 'cifar10'."),
        ("leaves", "failed to load bad/cifar10: SystemExit: 0."),
        ("none", "failed to load bad/cifar10: TypeError: load gave NoneType instead of harness.Table."),
        ("no_facts", "has no harness.Facts for 'a'"),
    ],
)
def test_a_benchmark_that_misbehaves_is_named(kind: str, reason: str, install: Install, harness: Harness) -> None:
    install("faulty", FAULTY, benchmarks=f"bad = faulty:{kind}")
    answer = harness("run", "--algo", "rs", "--bench", "bad")
    assert answer.status == 2
    assert answer.err.startswith("error: ")
    assert "benchmark 'bad' " in answer.err
    assert "faulty" in answer.err
    assert reason in answer.err
    assert harness("list", "benchmarks").status == 0


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise RuntimeError('operator nms does not exist')", "cannot be imported: operator nms does not exist."),
        ("import not_there_either", "cannot be imported: No module named 'not_there_either'."),
        ("raise ValueError", "cannot be imported: ValueError."),
    ],
)
def test_any_failure_of_an_optional_package_is_one_sentence(source: str, said: str, install: Install) -> None:
    from harness import HarnessError
    from harness.benchmarks.formats.content import extra

    install("optional_thing", source)
    with pytest.raises(HarnessError, match=f"needs the package Thing, which {said}"):
        extra("optional_thing", "Thing")
    with pytest.raises(HarnessError, match="which is not installed"):
        extra("no_such_thing_at_all", "Thing")


@pytest.mark.parametrize(
    "option",
    [
        ("--seeds", "0:10**9"),
        ("--seeds", "1000000000"),
        ("--seeds", f"{2**63 - 2}:{2**63 - 1}"),
        ("--seeds", f"0:{10**40}"),
        ("--workers", "1000000000000"),
    ],
)
def test_what_no_memory_would_hold_is_refused(option: tuple[str, str], harness: Harness) -> None:
    answer = harness("run", "--algo", "rs", "--bench", "nb201", "--evals", "3", *option)
    assert answer.status == 2
    assert answer.err.startswith("error: ")
    assert "Traceback" not in answer.err


def test_a_table_without_a_finite_loss_is_refused_before_anything_runs() -> None:
    from harness import HarnessError

    for absent in (np.nan, np.inf):
        table = synthetic_table(1)
        table.loss[:] = absent
        with pytest.raises(HarnessError, match="no finite loss at steps 9"):
            simulate(table, registry.algorithm("rs"), seeds=np.arange(2), rules=Rules(budget=10.0))


TABLES = """
from pathlib import Path
import numpy as np
from harness import HarnessError, Table
from harness.benchmarks import Family, OfficialFile, Source, imported
from harness.table import Facts
from harness.testing import synthetic_table

def convert(files, progress):
    text = files[0].read_text()
    if text != "numbers":
        raise HarnessError(f"{files[0]} is not the file.", "get it again.")
    yield "theirs/a", {"loss": synthetic_table(1).loss}, {}

FACTS = Facts("theirs/a", "theirs", "Them. 2025", "https://example.org", "CC0", "error", "s", "epochs", 9.0, "none")
FILE = OfficialFile("theirs.bin", "https://example.org/theirs.bin", "all", gigabytes=1.5, note="ask them")
SOURCE = Source("theirs", lambda dataset: f"theirs/{dataset}", convert, files=(FILE,))

def load(dataset):
    stored, made = imported.load(f"theirs/{dataset}", SOURCE), synthetic_table(1)
    return Table(FACTS, made.space, made.fidelities, made.codes, np.array(stored.arrays["loss"]), made.cost)

family = Family({"a": FACTS}, load, SOURCE)
whole = Family({"a": FACTS}, lambda dataset: load("a"), files=lambda: [Path(__file__)])
"""


def test_tables_of_another_package_are_listed_imported_and_hinted_at(
    install: Install, harness: Harness, data_folder: Path, tmp_path: Path
) -> None:
    install("others", TABLES, benchmarks="theirs = others:family\nwhole = others:whole")
    rows = {row["benchmark"]: row for row in json.loads(harness("data", "list", "--json").out)["benchmarks"]}
    assert (rows["whole"]["standing"], rows["whole"]["bytes"]) == ("embedded", len(TABLES.encode()))
    assert all(row["bytes"] > 0 for row in rows.values() if row["standing"] == "embedded")
    (row,) = (
        row for row in json.loads(harness("data", "list", "--json").out)["benchmarks"] if row["benchmark"] == "theirs"
    )
    assert (row["standing"], row["licence"], row["official_gigabytes"]) == ("not here", "CC0", 1.5)
    run = ("run", "--algo", "rs", "--bench", "theirs", "--seeds", "2", "--evals", "5", "--processes", "1")
    harness(*run).refuses("it needs the official file theirs.bin", "harness data import theirs theirs.bin")
    harness("data", "import", "theirs").refuses("no file of theirs", "theirs.bin from https://example.org/theirs.bin")
    harness("data", "fetch", "theirs").refuses("cannot be fetched by a program: ask them", "data import theirs")
    file = tmp_path / "theirs.bin"
    file.write_text("others")
    assert "theirs.bin is not the file.\nhint: get it again." in harness("data", "import", "theirs", file).err
    file.write_text("numbers")
    assert harness("data", "import", "theirs", file).status == 0
    assert harness(*run, "--out", tmp_path / "results").status == 0
    (row,) = (
        row for row in json.loads(harness("data", "list", "--json").out)["benchmarks"] if row["benchmark"] == "theirs"
    )
    assert row["standing"] == "imported"
    assert row["bytes"] > 0
    assert harness("data", "verify", "theirs/a").out == "theirs/a: whole\n"
    assert harness("data", "remove", "theirs").out == "theirs/a: removed\n"


PREDICTORS = """
import numpy as np
from harness.registry import predictor

class Base:
    def __init__(self, problem, streams):
        self.ridge = predictor("ridge")(problem, streams)
    def fit(self, seen, where):
        self.ridge.fit(seen, where)
    def predict(self, codes, where):
        return self.change(self.ridge.predict(codes, where))
    def change(self, losses):
        return losses

def bad(f):
    return type("It", (Base,), {"change": lambda self, losses: f(losses), "__module__": __name__})

def leave(*_):
    raise SystemExit(0)

predict_leaves = bad(leave)
one_seed, one_less = bad(lambda losses: losses[0]), bad(lambda losses: losses[:, 1:])
a_list, nothing = bad(lambda losses: losses.tolist()), bad(lambda losses: None)
integers = bad(lambda losses: losses.astype(int))
some_nan = bad(lambda losses: np.where(np.arange(losses.shape[-1]) == 1, np.nan, losses))

class fit_fails(Base):
    def fit(self, seen, where):
        return {}[5]

class fit_writes(Base):
    def fit(self, seen, where):
        seen.loss[...] = 0

class made_fails(Base):
    def __init__(self, problem, streams):
        raise OSError("no such thing")

class honest(Base):
    pass

class predict_writes(Base):
    def predict(self, codes, where):
        losses = super().predict(codes, where)
        codes[...] = 0
        where[...] = 0
        return losses
"""
WRONG = {
    "predict_leaves": "failed in predict: SystemExit: 0.",
    "one_seed": "predicted float64 of shape (",
    "one_less": "predicted float64 of shape (2, ",
    "a_list": "predicted list instead of floats",
    "nothing": "predicted NoneType instead of floats",
    "integers": "predicted int64 of shape (2, ",
    "some_nan": "predicted losses that are not finite.",
    "fit_fails": "failed in fit: KeyError: 5.",
    "fit_writes": "failed in fit: ValueError: assignment destination is read-only.",
    "made_fails": "failed as it was made: OSError: no such thing.",
}
USERS: dict[str, dict[str, object]] = {
    "gpnas": {"growth": 3.0},
    "gpnas+": {"growth": 3.0},
    "npred": {"random": 20, "top": 10},
    "pnas": {"ensemble": 2},
    "bananas": {"ensemble": 2, "random": 10},
}


def test_a_predictor_that_misbehaves_is_named_by_whatever_uses_it(install: Install, harness: Harness) -> None:
    install("wrong", PREDICTORS, predictors="\n".join(f"w-{kind} = wrong:{kind}" for kind in [*WRONG, "honest"]))
    table, rules = synthetic_table(1, missing=0.0, fidelities=(1,)), Rules(evals=40)
    for name, params in USERS.items():
        for kind, reason in WRONG.items():
            made = partial(registry.algorithm(name), predictor=f"w-{kind}", **params)
            with pytest.raises(HarnessError) as caught:
                simulate(table, made, seeds=np.arange(2), rules=rules)
            assert f"uses the predictor 'w-{kind}', which {reason}" in caught.value.message, (name, kind)
    asked = ("predict", "nb201", "--seeds", 2, "--train", 20, "--processes", 1, "--predictor")
    planned = harness(*asked, "w-made_fails")
    assert "predictor 'w-made_fails' (wrong 1.2) failed as it was " in planned.err
    later = [kind for kind in WRONG if kind != "made_fails"]
    answer = harness(*asked, ",".join(f"w-{kind}" for kind in [*later, "honest"]))
    assert (answer.status, len([*Path("results/predictions").glob("*.parquet")])) == (1, 1)
    said = [line for line in answer.err.splitlines() if line.startswith("error: ")]
    for line, kind in zip(said, later, strict=True):
        assert line.startswith(f"error: predictor 'w-{kind}' (wrong 1.2) ")
        assert WRONG[kind].split("2, ")[0].split("failed in ")[-1].split(": ")[-1] in line
    assert "Traceback" not in answer.err


PROCESSES = """
import numpy as np
from harness.registry import predictor

class honest:
    def __init__(self, problem, streams):
        self.gp = predictor("gp")(problem, streams)
    def fit(self, seen, where):
        self.gp.fit(seen, where)
    def predict(self, codes, where):
        return self.gp.predict(codes, where)
    def posterior(self, codes, where):
        return self.change(*self.gp.posterior(codes, where))
    def change(self, mean, deviation, lowest):
        return mean, deviation, lowest

def bad(f):
    return type("It", (honest,), {"change": lambda self, *given: f(*given), "__module__": __name__})

mean_only = bad(lambda mean, deviation, lowest: mean)
one_less = bad(lambda mean, deviation, lowest: (mean, deviation[:, 1:], lowest))
below = bad(lambda mean, deviation, lowest: (mean, -1.0 - deviation, lowest))
some_nan = bad(lambda mean, deviation, lowest: (mean, deviation, lowest * np.nan))
fails = bad(lambda mean, deviation, lowest: {}[5])

class writes(honest):
    def posterior(self, codes, where):
        answer = super().posterior(codes, where)
        codes[...] = 0
        where[...] = 0
        return answer
"""
UNSURE = {
    "mean_only": "believed something else than means, deviations and lowest means.",
    "one_less": "predicted float64 of shape (2, ",
    "below": "predicted deviations below 0.",
    "some_nan": "predicted lowest means that are not finite.",
    "fails": "failed in posterior: KeyError: 5.",
}


def test_what_a_process_believes_is_watched_too(install: Install) -> None:
    install(
        "sure", PROCESSES, predictors="\n".join(f"s-{kind} = sure:{kind}" for kind in [*UNSURE, "honest", "writes"])
    )
    table = synthetic_table(1, missing=0.0, fidelities=(1,))
    rules, seeds = Rules(evals=20, log="all"), np.arange(2)
    for kind, reason in UNSURE.items():
        made = partial(registry.algorithm("nasbowl"), predictor=f"s-{kind}")
        with pytest.raises(HarnessError) as caught:
            simulate(table, made, seeds=seeds, rules=rules)
        assert f"uses the predictor 's-{kind}', which {reason}" in caught.value.message
    runs = [
        simulate(table, partial(registry.algorithm("nasbowl"), predictor=which), seeds=seeds, rules=rules)
        for which in ("gp", "s-honest", "s-writes")
    ]
    for run in runs[1:]:
        assert_same(runs[0], run)


def test_a_predictor_that_writes_into_what_it_is_asked_changes_no_search(install: Install) -> None:
    install("wrong", PREDICTORS, predictors="w-writes = wrong:predict_writes\nw-honest = wrong:honest")
    table, rules = synthetic_table(1, missing=0.0, fidelities=(1,)), Rules(evals=40, log="all")
    for name, params in USERS.items():
        runs = [
            simulate(
                table, partial(registry.algorithm(name), predictor=which, **params), seeds=np.arange(2), rules=rules
            )
            for which in ("w-honest", "w-writes")
        ]
        assert_same(*runs)
