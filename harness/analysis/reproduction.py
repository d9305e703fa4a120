"""Recipes: TOML files that say which studies to run, which figures to draw of them, and which claim they test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

from harness import registry, toml
from harness.analysis.claims import NEEDS
from harness.errors import HarnessError, unknown
from harness.fields import hints, required, table
from harness.params import Param
from harness.rules import Noise, Rules
from harness.studies.plan import plan
from harness.studies.study import Study

_PACKAGE = Path(__file__).parents[1]
_CHECKOUT = _PACKAGE.parent / "plots" / "reproduce"
_SEE = 'see the page "Draw figures" of the documents.'


class _Runs(TypedDict):
    """What `[[studies]]` say; the rules of the studies stand beside it."""

    algo: list[str]
    bench: list[str]
    params: NotRequired[dict[str, dict[str, object]]]


class _Predictions(TypedDict):
    """What `[[predict]]` say."""

    predictor: list[str]
    bench: list[str]
    params: NotRequired[dict[str, dict[str, object]]]
    train: NotRequired[list[int]]
    noise: NotRequired[Noise]


class _Published(TypedDict):
    """What `[[published]]` say: accuracies in %, [mean, standard deviation] by label."""

    on: str
    val: NotRequired[dict[str, tuple[float, float]]]
    test: NotRequired[dict[str, tuple[float, float]]]


@dataclass(frozen=True)
class Reproduction:
    """What a file says: tables of `studies` and of predictions to make (`predict`), `figures` of them, and a claim.

    Its `published` numbers are accuracies in %, [mean, standard deviation] of `val` and `test` by label, of what was
    found as the table `on` measures it. A claim has a sentence, `says`, a `statistic` of `harness.analysis.claims`, and
    what that takes. `seeds` are those of everything where the command does not say otherwise.
    """

    name: str
    seeds: Annotated[int, Param("how many", 1)]
    title: str = ""
    source: str = ""
    report: str = ""
    studies: tuple[dict[str, Any], ...] = ()
    predict: tuple[_Predictions, ...] = ()
    figures: tuple[dict[str, Any], ...] = ()
    published: tuple[_Published, ...] = ()
    claim: dict[str, Any] | None = None

    @property
    def benchmarks(self) -> list[str]:
        """Full names of all benchmarks; a table of one's own is known once it is imported, and may be named before."""
        names = [name for runs in (*self.studies, *self.predict) for name in runs["bench"]]
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


def named(name: str) -> Reproduction:
    """The recipe in the file `name`.toml, or the ready one called `name`. Raises HarnessError if there is none."""
    if name.endswith(".toml"):
        return load(Path(name))
    if name not in ready():
        raise unknown("figure or claim to reproduce", name, [*ready(), "claims"], see="harness reproduce")
    return load(ready()[name])


def load(path: Path) -> Reproduction:
    """The recipe in a file. Raises HarnessError if it cannot be read, or says what it cannot say."""
    declared = {name: kind for name, kind in hints(Reproduction).items() if name != "name"}
    said = table(toml.read(path, _SEE), declared, required(Reproduction), f"{path}:", _SEE)
    rules = {**hints(_Runs), **hints(Rules)}
    said["studies"] = tuple(
        table(runs, rules, required(_Runs), f"{path}: studies[{i}]", _SEE)
        for i, runs in enumerate(said.get("studies", ()))
    )
    if not said["studies"] and not said.get("predict"):
        raise HarnessError(f"{path} has no studies.", "write [[studies]], and below it algo and bench.")
    for runs in (*said["studies"], *said.get("predict", ())):
        plugins = runs.get("algo", runs.get("predictor"))
        for names in (plugins, runs["bench"]):
            if not names:
                raise HarnessError(f"{path} has an empty list of names.", 'write algo = ["re", "rs"]')
        for name in runs.get("params", {}):
            if name not in plugins:
                raise unknown(f"plugin with params in {path}", name, plugins)
    _check_claim(path, said.get("claim"))
    return Reproduction(path.stem, **said)


def _check_claim(path: Path, claim: Mapping[str, Any] | None) -> None:
    if claim is None:
        return
    if not isinstance(claim.get("says"), str):
        raise HarnessError(f"the claim in {path} does not say anything.", 'write [claim], and below it says = "..."')
    if claim.get("statistic") not in NEEDS:
        raise unknown(f"statistic in {path}", str(claim.get("statistic")), NEEDS)
    for name in NEEDS[claim["statistic"]]:
        if name not in claim:
            raise HarnessError(f"the claim in {path} needs {name}.", _SEE)


def studies(recipe: Reproduction, seeds: range, tell: Callable[[str], None]) -> list[Study]:
    """The studies of a recipe, each once. Raises HarnessError like `plan`."""
    found: dict[str, Study] = {}
    for runs in recipe.studies:
        rules = {name: value for name, value in runs.items() if name not in hints(_Runs)}
        for study in plan(runs["algo"], runs["bench"], seeds, runs.get("params", {}), tell, **rules):
            found[study.id] = study
    return [*found.values()]


def selected(names: Sequence[str]) -> tuple[list[Reproduction], list[Reproduction]]:
    """The recipes that `names` mean, and those of them to leave out.

    `claims` stands for every ready claim, but for those whose tables are not imported.
    """
    chosen: dict[str, Reproduction] = {}
    left: dict[str, Reproduction] = {}
    for name in names:
        if name != "claims":
            chosen[name] = named(name)
            continue
        for recipe in map(load, ready().values()):
            if recipe.claim is not None:
                (left if recipe.absent else chosen)[recipe.name] = recipe
    return [*chosen.values()], [recipe for name, recipe in left.items() if name not in chosen]
