"""Types of options that the commands share."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType, NoneType
from typing import Any, Literal, NamedTuple, TypeVar, get_args, get_origin

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from harness.errors import HarnessError, unknown
from harness.params import BELOW_1, Option

F = TypeVar("F", bound=Callable[..., Any])


class Names(click.ParamType[list[str]]):
    """Names separated by commas; those of a `kind` of plugins are completed by the shell."""

    name = "name[,name...]"

    def __init__(self, kind: str = "") -> None:
        self.kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        names = [name.strip() for name in value.split(",")] if isinstance(value, str) else list(value)
        if not all(names):
            raise HarnessError(f"'{value}' has an empty name in it.", "separate names by single commas: rs,re")
        return list(dict.fromkeys(names))

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        done, comma, last = incomplete.rpartition(",")
        return [CompletionItem(f"{done}{comma}{name}") for name in _named(self.kind) if name.startswith(last)]


def _named(kind: str) -> list[str]:
    """The names of what is installed of a kind."""
    from harness import registry

    if kind == "benchmarks":
        return [*registry.families(), *registry.benchmark_facts()]
    if kind == "spaces":
        from harness import spaces

        return spaces.names()
    find = {
        "algorithms": registry.algorithm_names,
        "predictors": registry.predictor_names,
        "methods": registry.method_names,
    }
    return find.get(kind, list)()


class Assignment(click.ParamType[str]):
    """`re.population=50`; the shell completes parameters of the plugins that the option of their `kind` names."""

    name = "text"

    def __init__(self, kind: str, option: str) -> None:
        self.kind, self.option = kind, option

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from harness import registry
        from harness.params import declared

        find = registry.predictor if self.kind == "predictors" else registry.algorithm
        found = []
        for name in ctx.params.get(self.option) or _named(self.kind):
            with suppress(HarnessError):
                for parameter, said in declared(find(name)).items():
                    found.append(CompletionItem(f"{name}.{parameter}=", help=said.param.doc))
        return [item for item in found if item.value.startswith(incomplete)]


class Name(click.ParamType[str]):
    """One name of a `kind` of plugins, which the shell completes."""

    name = "text"

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(name) for name in _named(self.kind) if name.startswith(incomplete)]


class NameOrPath(click.ParamType[str]):
    """The name of a benchmark or algorithm, or a path."""

    name = "text"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        names = [*_named("algorithms"), *_named("benchmarks")]
        found = [CompletionItem(name) for name in names if name.startswith(incomplete)]
        return found or [CompletionItem(incomplete, type="file")]


class Pairs(click.ParamType[dict[str, str]]):
    """Names and what to show in place of them, separated by commas."""

    name = "name=text[,name=text...]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, str]:
        if not isinstance(value, str):
            return dict(value)
        found = dict(pair.partition("=")[::2] for pair in value.split(","))
        if not all(name.strip() and shown.strip() for name, shown in found.items()):
            raise HarnessError(f"'{value}' does not say what to show.", "write it as re=evolution,rs=random search")
        return {name.strip(): shown.strip() for name, shown in found.items()}


class OneOf(click.ParamType[str]):
    """One of a few words; a mistyped one is answered with its closest matches."""

    def __init__(self, choices: Sequence[str]) -> None:
        self.choices = choices
        self.name = "|".join(choices)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return self.name

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in self.choices:
            raise unknown(
                f"value of {param.opts[0]}" if isinstance(param, click.Option) else "choice", value, self.choices
            )
        return value

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(choice) for choice in self.choices if choice.startswith(incomplete)]


class Seeds(click.ParamType[range]):
    """`500` for the seeds 0 to 499, `17:42` for 17 to 41."""

    name = "n|first:stop"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> range:
        from harness.studies.selection import seed_range

        return seed_range(value)


def selects(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that select among results, as its argument `selection`."""

    @functools.wraps(command)
    def selecting(
        *, algo: Sequence[str], bench: Sequence[str], seeds: range | None, budget: float | None, **rest: Any
    ) -> None:
        from harness.studies.selection import Selection

        command(selection=Selection(algo, bench, seeds, budget), **rest)

    for option in (
        click.option("--budget", type=float, help="Only studies of this budget in simulated seconds."),
        click.option("--seeds", type=Seeds(), help="Only these seeds, e.g. 0:100."),
        click.option(
            "--bench",
            type=Names("benchmarks"),
            default=(),
            help="Only these benchmarks, or patterns such as 'nb201/*'.",
        ),
        click.option(
            "--algo", type=Names("algorithms"), default=(), help="Only these algorithms, in this order; or patterns."
        ),
    ):
        selecting = option(selecting)
    return selecting


def declared_options(kinds: Mapping[str, Any], defaults: Mapping[str, Any] = MappingProxyType({})) -> Callable[[F], F]:
    """An option for each declared setting: `kinds` are their types, `Annotated` with an `Option` of harness.params."""

    def decorated(command: F) -> F:
        for name in reversed([*kinds]):
            command = _option(name, kinds[name], defaults.get(name))(command)
        return command

    return decorated


def _option(name: str, kind: Any, default: Any) -> Callable[[F], F]:
    said = next(note for note in get_args(kind) if isinstance(note, Option))
    kind = get_args(kind)[0]
    if NoneType in get_args(kind):
        (kind,) = {*get_args(kind)} - {NoneType}
    default = None if said.absent or default in (None, ()) else default
    return click.option(
        f"--{(said.each or name).replace('_', '-')}",
        name,
        type=None if kind is bool else _type(kind, said),
        is_flag=kind is bool,
        multiple=bool(said.each),
        default=default,
        show_default=default is not None and kind is not bool,
        metavar=said.metavar,
        help=f"{said.doc} [default: {said.absent}]" if said.absent else said.doc,
    )


def _type(kind: Any, said: Option) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if said.each:
        return _type(arguments[0], replace(said, each=""))
    if origin is Literal:
        return OneOf(arguments)
    if origin is dict:
        return Pairs()
    if origin in (list, tuple):
        return Names() if arguments[0] is str else Numbers("numbers", "separate them by commas: 1e5,1e6")
    return Share() if said.high == BELOW_1 else kind


class Numbers(click.ParamType[list[float]]):
    """Positive numbers separated by commas; `what` they are, and a hint how to write them."""

    name = "number[,number...]"

    def __init__(self, what: str = "times", hint: str = "give simulated seconds: 1e5,1e6") -> None:
        self.what, self.hint = what, hint

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[float]:
        if not isinstance(value, str):
            return list(value)
        try:
            numbers = [float(number) for number in value.split(",")]
        except ValueError:
            raise HarnessError(f"'{value}' is not a list of numbers.", self.hint) from None
        if not all(number > 0 for number in numbers):
            raise HarnessError(f"{self.what} must be positive, got {value}.", self.hint)
        return numbers


class Processes(click.ParamType[int]):
    """A number of processes."""

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        processes: int = click.INT.convert(value, param, ctx)
        if processes < 1:
            raise HarnessError(f"processes must be at least 1, got {processes}.")
        return processes


def refuse_unused(of: str, *names: str, hint: str) -> None:
    """Raise HarnessError if an option among `names` was given, which is `of` something that was not asked for."""
    ctx = click.get_current_context()
    for name in names:
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise HarnessError(f"--{name} is of {of}.", hint)


def _use_data_folder(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None:
        os.environ["NAS_HARNESS_DATA"] = os.path.abspath(value)


class Where(NamedTuple):
    """A cluster by its address, and whether its workers store what they make in the caller's folders."""

    address: str
    shared: bool


def _prepared(context: click.Context, _parameter: click.Parameter, address: str | None) -> str | None:
    """The workers of `local:N` import while other options are read, which imports as well."""
    if address is not None and address.startswith("local:") and not context.resilient_parsing:
        from harness.studies.local_workers import prepare

        prepare()
    return address


def cluster_option(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a cluster, as its argument `cluster`, which is None without one."""

    @functools.wraps(command)
    def placed(*, cluster: str | None, store_on_workers: bool, **rest: Any) -> None:
        if store_on_workers and cluster is None:
            raise HarnessError("--store-on-workers is of a --cluster.", "give its address, or leave it out.")
        command(cluster=None if cluster is None else Where(cluster, store_on_workers), **rest)

    for option in (
        click.option("--store-on-workers", is_flag=True, help="Workers of the cluster share this file system."),
        click.option(
            "--cluster",
            is_eager=True,
            callback=_prepared,
            help="Run on the workers of Dask: tcp://HOST:PORT, a scheduler file, local:N, or slurm:FILE.yaml.",
        ),
    ):
        placed = option(placed)
    return placed


data_folder = click.option(
    "--data",
    type=click.Path(file_okay=False),
    expose_value=False,
    is_eager=True,
    callback=_use_data_folder,
    help="Folder of imported tables. [default: NAS_HARNESS_DATA, or the user's data directory]",
)
"""The option --data; worker processes inherit it through the environment."""


class Share(click.ParamType[float]):
    """A share below 1, as `5%` or `0.05`; above 0 unless `low` is given."""

    name = "share"

    def __init__(self, low: float = math.nextafter(0.0, 1.0)) -> None:
        self.low = low

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value).strip()
        try:
            share = float(text[:-1]) / 100 if text.endswith("%") else float(text)
        except ValueError:
            raise HarnessError(f"'{value}' is not a share.", "write it as 5% or 0.05") from None
        if not self.low <= share < 1:
            raise HarnessError(f"{param.opts[0] if param else 'a share'} cannot be {value}.", "write it as 5% or 0.05")
        return share


precision_option = click.option(
    "--precision",
    type=OneOf(["auto", "fp32", "bf16", "fp16"]),
    default="auto",
    show_default=True,
    help="auto: bf16 or fp16 on a GPU, fp32 on a CPU.",
)


def parameters(
    options: tuple[str, ...], algorithms: list[str], *, kind: str = "algorithm", example: str = "re.population=50"
) -> dict[str, dict[str, str]]:
    """`re.population=50` by algorithm, or another `kind` of plugin, and name."""
    from harness import registry

    given: dict[str, dict[str, str]] = {name: {} for name in algorithms}
    for option in options:
        target, equals, value = option.partition("=")
        whole = max((name for name in algorithms if target.startswith(f"{name}.")), key=len, default="")
        algorithm, dot, name = (whole, ".", target[len(whole) + 1 :]) if whole else target.partition(".")
        if not (dot and name):
            raise HarnessError(f"'{option}' is not a parameter.", f"write it as {example}")
        if algorithm not in given:
            others = registry.predictor_names() if kind == "predictor" else registry.algorithm_names()
            if algorithm in others:
                raise HarnessError(
                    f"--param {target} is for {algorithm}, which is not among the {kind}s: {', '.join(algorithms)}.",
                    f"name {algorithm} too, or leave the parameter out.",
                )
            raise unknown(f"{kind} in --param", algorithm, algorithms)
        if not equals:
            raise HarnessError(f"the parameter {target} is given no value.", f"write it as {example}")
        if name in given[algorithm]:
            raise HarnessError(f"parameter '{target}' is given twice.")
        given[algorithm][name] = value
    return given
