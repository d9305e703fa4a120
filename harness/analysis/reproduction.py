"""Recipes: TOML files that say which studies to run, which figures to draw of them, and which claim they test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args

from harness import registry, toml
from harness.analysis.claims import NEEDS
from harness.errors import HarnessError, unknown
from harness.rules import IncumbentRule, Log, Noise, Rules
from harness.studies.plan import plan
from harness.studies.study import Study

_PACKAGE = Path(__file__).parents[1]
_CHECKOUT = _PACKAGE.parent / "plots" / "reproduce"
_SEE = "see docs/figures.md."

_NAMES = {"algo", "bench", "predictor"}
_WORDS = {"noise": get_args(Noise), "incumbent": get_args(IncumbentRule), "log": get_args(Log)}
_STUDIES = {"algo", "bench", "params", *(rule.name for rule in fields(Rules))}
_PREDICT = {"predictor", "bench", "params", "train", "noise"}
_WHOLE = {"evals", "workers", "max_fidelity", "report_fidelity"}


@dataclass(frozen=True)
class Recipe:
    """What a file says: tables of `studies` and of predictions to make (`predict`), `figures` of them, and a claim.

    Its `published` numbers are accuracies in %, [mean, standard deviation] of `val` and `test` by label, of what was
    found as the table `on` measures it. A claim has a sentence, `says`, a `statistic` of `harness.analysis.claims`, and
    what that takes. `seeds` are those of everything where the command does not say otherwise.
    """

    name: str
    seeds: int
    title: str = ""
    source: str = ""
    report: str = ""
    studies: tuple[Mapping[str, Any], ...] = ()
    predict: tuple[Mapping[str, Any], ...] = ()
    figures: tuple[Mapping[str, Any], ...] = ()
    published: tuple[Mapping[str, Any], ...] = ()
    claim: Mapping[str, Any] | None = None

    @property
    def benchmarks(self) -> list[str]:
        """Full names of all benchmarks; a table of one's own is known once it is imported, and may be named before."""
        names = [name for table in (*self.studies, *self.predict) for name in table["bench"]]
        own = [name for name in names if name.startswith("own/")]
        return [*registry.expand(name for name in names if name not in own), *dict.fromkeys(own)]

    @property
    def absent(self) -> list[str]:
        """The benchmarks whose tables are not imported."""
        return [name for name in self.benchmarks if not registry.present(name)]


def ready() -> dict[str, Path]:
    """The files that come with the harness, by name; they stand in the checkout or travel in the wheel."""
    folder = _CHECKOUT if _CHECKOUT.is_dir() else _PACKAGE / "plots" / "reproduce"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def named(name: str) -> Recipe:
    """The recipe in the file `name`.toml, or the ready one called `name`. Raises HarnessError if there is none."""
    if name.endswith(".toml"):
        return load(Path(name))
    if name not in ready():
        raise unknown("figure or claim to reproduce", name, [*ready(), "claims"], see="harness reproduce")
    return load(ready()[name])


def load(path: Path) -> Recipe:
    """The recipe in a file. Raises HarnessError if it cannot be read, or says what it cannot say."""
    said = toml.read(path, _SEE)
    _known(path, "", said, {field.name for field in fields(Recipe)} - {"name"})
    if not isinstance(said.get("seeds"), int):
        raise HarnessError(f"{path} needs seeds.", "write seeds = 500")
    for name in ("title", "source", "report"):
        if not isinstance(said.get(name, ""), str):
            raise HarnessError(f"'{name}' in {path} must be a text.", f'write {name} = "..."')
    if said["seeds"] < 1:
        raise HarnessError(f"seeds in {path} must be at least 1, got {said['seeds']}.")
    for part, known in (("studies", _STUDIES), ("predict", _PREDICT), ("figures", None), ("published", None)):
        tables = said.get(part, [])
        if not (isinstance(tables, list) and all(isinstance(table, dict) for table in tables)):
            raise HarnessError(f"'{part}' in {path} must be a list of tables.", f"write [[{part}]] above each.")
        for table in tables if known else []:
            _check(path, part, table, known or set())
        said[part] = tuple(tables)
    if not said["studies"] and not said["predict"]:
        raise HarnessError(f"{path} has no studies.", "write [[studies]], and below it algo and bench.")
    _check_published(path, said["published"])
    _check_claim(path, said.get("claim"))
    return Recipe(path.stem, **said)


def _known(path: Path, where: str, table: Mapping[str, Any], known: set[str]) -> None:
    for name in table:
        if name not in known:
            raise unknown(f"setting{where} in {path}", name, known)


def _check(path: Path, part: str, table: Mapping[str, Any], known: set[str]) -> None:
    _known(path, f" of '{part}'", table, known)
    for name in sorted(_NAMES & known):
        value = table.get(name)
        if not (isinstance(value, list) and value and all(isinstance(entry, str) for entry in value)):
            raise HarnessError(f"'{name}' of '{part}' in {path} must be a list of names.", f'write {name} = ["..."]')
    for name, value in table.items():
        if name in _WORDS and value not in _WORDS[name]:
            raise unknown(f"value of '{name}' in {path}", str(value), _WORDS[name])
        right: tuple[type, ...] = (int, float) if name in ("budget", "overhead") else ()
        right = (int,) if name in _WHOLE else (bool,) if name == "continuation" else right
        right = (dict,) if name == "params" else (list,) if name == "train" else right
        if right and (not isinstance(value, right) or (isinstance(value, bool) and right != (bool,))):
            raise HarnessError(f"'{name}' of '{part}' in {path} cannot be {value}.", _SEE)
    plugins = table.get("algo", table.get("predictor"))
    for name, given in table.get("params", {}).items():
        if name not in plugins:
            raise unknown(f"plugin with params in {path}", name, plugins)
        if not isinstance(given, dict):
            raise HarnessError(f"params of '{part}' in {path} cannot be {given}.", "write params.re.population = 50")


def _check_published(path: Path, tables: Sequence[Mapping[str, Any]]) -> None:
    for table in tables:
        _known(path, " of 'published'", table, {"on", "val", "test"})
        if not isinstance(table.get("on"), str):
            raise HarnessError(f"'published' in {path} needs on.", 'write on = "nb201/cifar10"')
        numbers = [pair for kind in ("val", "test") for pair in table.get(kind, {}).values()]
        if not all(
            isinstance(pair, list) and len(pair) == 2 and all(isinstance(number, int | float) for number in pair)
            for pair in numbers
        ):
            raise HarnessError(
                f"a number of 'published' in {path} is no mean and deviation.", "write val.rs = [90.93, 0.36]"
            )


def _check_claim(path: Path, claim: Any) -> None:
    if claim is None:
        return
    if not isinstance(claim, dict) or not isinstance(claim.get("says"), str):
        raise HarnessError(f"the claim in {path} does not say anything.", 'write [claim], and below it says = "..."')
    if claim.get("statistic") not in NEEDS:
        raise unknown(f"statistic in {path}", str(claim.get("statistic")), NEEDS)
    for name in NEEDS[claim["statistic"]]:
        if name not in claim:
            raise HarnessError(f"the claim in {path} needs {name}.", _SEE)


def studies(recipe: Recipe, seeds: range, tell: Callable[[str], None]) -> list[Study]:
    """The studies of a recipe, each once. Raises HarnessError like `plan`."""
    found: dict[str, Study] = {}
    for table in recipe.studies:
        rest = {name: value for name, value in table.items() if name not in ("algo", "bench", "params")}
        for study in plan(table["algo"], table["bench"], seeds, table.get("params", {}), tell, **rest):
            found[study.id] = study
    return [*found.values()]


def selected(names: Sequence[str]) -> tuple[list[Recipe], list[Recipe]]:
    """The recipes that `names` mean, and those of them to leave out.

    `claims` stands for every ready claim, but for those whose tables are not imported.
    """
    chosen: dict[str, Recipe] = {}
    left: dict[str, Recipe] = {}
    for name in names:
        if name != "claims":
            chosen[name] = named(name)
            continue
        for recipe in map(load, ready().values()):
            if recipe.claim is not None:
                (left if recipe.absent else chosen)[recipe.name] = recipe
    return [*chosen.values()], [recipe for name, recipe in left.items() if name not in chosen]
