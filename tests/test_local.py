"""Algorithms of one's own file, module, class or function, that no entry point names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Answer

from harness import HarnessError, Rules, registry
from harness.studies.store import read
from harness.studies.study import Study
from harness.testing import assert_same

MINE = '''
"""Mine."""
import numpy as np
from beside import FACTOR
from harness import Jobs, Streams

class OneSeed:
    """Random search, a seed at a time."""
    def __init__(self, problem, generator, *, skip: int = 0):
        self.problem, self.generator, self.skip = problem, generator, skip
    def ask(self):
        return self.generator.integers(self.problem.space.sizes), self.problem.full, None
    def tell(self, handle, loss, cost):
        pass

class Batched:
    """Random search, all seeds at once."""
    def __init__(self, problem, streams):
        self.problem, self.streams = problem, streams
    def ask(self, seeds, worker):
        space = self.problem.space
        return Jobs(space.sample(self.streams.uniform(space.dimensions, seeds)), self.problem.full)
    def tell(self, results):
        pass

def by_calling(objective):
    while True:
        objective(objective.generator.integers(objective.space.sizes))

class Deaf:
    def ask(self):
        ...

class Odd:
    def ask(self, seeds):
        ...
    def tell(self, results):
        ...

short = lambda objective: 0
number = 3
'''


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "beside.py").write_text("FACTOR = 2\n")
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return path


def planned(spec: str, **given: object) -> Study:
    (name,) = registry.known([spec])
    return Study.plan(registry.benchmark("nb201"), name, given, 0, 12, Rules(evals=20))


@pytest.mark.parametrize("processes", [1, 2])
def test_a_class_or_function_of_a_file_runs(harness: Callable[..., Answer], mine: Path, processes: int) -> None:
    names = "OneSeed", "Batched", "by_calling"
    specs = ",".join(f"{mine}:{name}" for name in names)
    answer = harness(
        "run", "--algo", f"{specs},rs", "--bench", "nb201", "--seeds", 12, "--evals", 20, "--processes", processes
    )
    assert answer.status == 0, answer.err
    files = [Path(line) for line in answer.out.split()]
    assert [file.name.rsplit(".", 2)[0] for file in files] == [
        *(f"nb201-cifar10.mine.py-{name}" for name in names),
        "nb201-cifar10.rs",
    ]
    one, batched, called, rs = (read(file).trajectory for file in files)
    assert_same(one, called)
    assert_same(batched, rs)
    assert harness("show", *files).status == 0


def test_the_source_is_part_of_the_identity(mine: Path) -> None:
    before = planned(f"{mine}:OneSeed").id
    assert planned(f"{mine}:OneSeed").id == before
    mine.write_text(MINE.replace("Mine.", "Mine!"))
    edited = planned(f"{mine}:OneSeed").id
    assert edited != before
    (mine.parent / "beside.py").write_text("FACTOR = 3\n")
    assert planned(f"{mine}:OneSeed").id not in (before, edited)


def test_what_a_module_uses_of_its_package_is_part_of_the_identity(mine: Path) -> None:
    package = mine.parent / "mine_too"
    package.mkdir()
    (package / "search.py").write_text(MINE.replace("from beside", "from .beside"))
    (package / "beside.py").write_text("FACTOR = 2\n")
    before = planned("mine_too.search:Batched").id
    (package / "beside.py").write_text("FACTOR = 3\n")
    assert planned("mine_too.search:Batched").id != before


CHANGING = """
from pathlib import Path
from {beside}beside import FACTOR

class Changing:
    def __init__(self, problem, generator):
        self.problem, self.generator = problem, generator
    def ask(self):
        if self.problem.seeds[0] == 3:
            Path(__file__).with_name("beside.py").write_text("FACTOR = 3")
        return self.generator.integers(self.problem.space.sizes), self.problem.full, None
    def tell(self, handle, loss, cost):
        pass
"""


@pytest.mark.parametrize(
    ("spec", "processes"), [("changing.py:Changing", 1), ("changing.py:Changing", 2), ("its.changing:Changing", 2)]
)
def test_a_file_that_changes_while_it_runs_ends_its_study_only(
    harness: Callable[..., Answer], mine: Path, spec: str, processes: int
) -> None:
    folder = mine.parent if ".py:" in spec else mine.parent / "its"
    folder.mkdir(exist_ok=True)
    (folder / "changing.py").write_text(CHANGING.format(beside="" if folder == mine.parent else "."))
    (folder / "beside.py").write_text("FACTOR = 2\n")
    rules = ("--bench", "nb201", "--seeds", 12, "--evals", 3, "--processes", processes)
    answer = harness("run", "--algo", f"{spec},rs", *rules)
    assert answer.status == 2
    assert f"beside.py changed while {spec} ran" in answer.err
    assert [path.name.split(".")[1] for path in Path("results").glob("*.parquet")] == ["rs"]


def test_parameters_are_named_after_the_whole_name(harness: Callable[..., Answer], mine: Path) -> None:
    answer = harness(
        "run",
        "--algo",
        f"{mine}:OneSeed",
        "--bench",
        "nb201",
        "--seeds",
        2,
        "--evals",
        5,
        "--param",
        "mine.py:OneSeed.skip=3",
    )
    assert answer.status == 0, answer.err
    study = read(Path(answer.out.strip())).study
    assert study.params == {"skip": 3}
    assert study.label == "mine.py:OneSeed(skip=3)"
    assert planned(f"{mine}:OneSeed", skip=0).params == {}


def test_a_module_of_the_working_folder(mine: Path) -> None:
    package = mine.parent / "mypackage"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "search.py").write_text(MINE.replace("from beside import FACTOR", ""))
    study = planned("mypackage.search:Batched")
    assert study.algorithm == "mypackage.search:Batched"
    assert study.source


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Deaf", "has no tell"),
        ("Odd", "has an ask of 1 arguments"),
        ("short", "is a lambda"),
        ("number", "is an int"),
        ("OnSeed", "unknown name in"),
    ],
)
def test_what_is_no_algorithm_is_refused(mine: Path, name: str, message: str) -> None:
    with pytest.raises(HarnessError, match=message) as caught:
        registry.known([f"{mine}:{name}"])
    assert caught.value.hint


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("x = 1\ndef f(:\n")
    failing = tmp_path / "failing.py"
    failing.write_text("x = 1\nx / 0\n")
    for spec, message in (
        (f"{broken}:X", r"not valid Python: .*line 2"),
        (f"{failing}:X", r"ZeroDivisionError.*line 2"),
        ("nothing.py:X", "there is no file"),
        ("no.such.module:X", "there is no module no.such.module"),
    ):
        with pytest.raises(HarnessError, match=message):
            registry.known([spec])


def test_two_files_of_one_name_are_told_apart(mine: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "mine.py"
    other.parent.mkdir()
    other.write_text(MINE)
    (other.parent / "beside.py").write_text("FACTOR = 2\n")
    with pytest.raises(HarnessError, match="would both be called mine"):
        registry.known([f"{mine}:Batched", f"{other}:Batched"])


def test_a_function_stops_when_its_budget_is_spent() -> None:
    from harness.driven import drive

    def two(objective: object) -> None:
        for _ in range(2):
            objective([0] * 6)  # type: ignore[operator]

    table = registry.benchmark("nb201")
    run = drive(two, table, seeds=np.array([3, 4]), rules=Rules(evals=5))
    assert run.evaluations.tolist() == [2, 2]
    run = drive(two, table, seeds=np.array([3]), rules=Rules(evals=1))
    assert run.evaluations.tolist() == [1]


def test_a_file_of_another_folder_is_found_by_its_path(harness: Callable[..., Answer], mine: Path) -> None:
    folder = Path("deeper")
    folder.mkdir()
    for name, copy in (("mine.py", "theirs.py"), ("beside.py", "beside.py")):
        (folder / copy).write_text((mine.parent / name).read_text())
    answer = harness("run", "--algo", "deeper/theirs.py:OneSeed", "--bench", "nb201", "--seeds", 2, "--evals", 3)
    assert answer.status == 0, answer.err
