"""Algorithms that no entry point names: a class of one's own file, of a module, or of a notebook."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import inspect
import linecache
import sys
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from harness.algorithm import Algorithm, Factory, Problem, per_seed
from harness.errors import HarnessError, unknown
from harness.rng import Streams

_FORM = (
    'the page "Add an algorithm" of the documents shows the forms: ask and tell, for one seed or for many, or a '
    "function of an objective."
)
_FILE = "_harness_file_"
"""What the names of modules that were read from a file by its path begin with."""

_BROUGHT: dict[str, set[str]] = {}
"""The modules beside such a file that came with it, by the name of its module."""


class Local:
    """A factory for what a user handed over as `name`; `source` is the hash of what defines it, if no file does.

    `drives`: it is a function of an objective, which is called once for each seed and asks by calling.
    """

    def __init__(self, name: str, made: Callable[..., Any], factory: Factory, *, drives: bool = False) -> None:
        self.name = name
        self.drives = drives
        self.__wrapped__ = made
        self.__doc__ = made.__doc__
        self.factory = factory
        self.files = {path: _digest(path) for path in sorted(_files_of(made))}
        self.source = _source(made, self.files)
        if drives:
            self.shard = 8
        for attribute in ("shard", "note", "evaluations", "parts"):
            if hasattr(factory, attribute):
                setattr(self, attribute, getattr(factory, attribute))

    def __call__(self, problem: Problem, streams: Streams, /, **params: Any) -> Algorithm:
        return self.factory(problem, streams, **params)

    def check_unchanged(self) -> None:
        """Raise HarnessError if a file that defines it is another now than when it was read."""
        new = [path.name for path, digest in self.files.items() if path.is_file() and _digest(path) != digest]
        if new:
            raise HarnessError(
                f"{', '.join(new)} changed while {self.name} ran.",
                "run it again: as it is now, it is a study of its own.",
            )


def adapted(name: str, given: object) -> Local:
    """The factory that `given` is, or can be made into, under the name `name`.

    A class with ask and tell of one seed or of many (`OneSeed`, `Algorithm`), a factory as entry points name them, or
    a function whose only positional argument is an objective. Raises HarnessError for anything else.
    """
    if not callable(given):
        raise HarnessError(f"'{name}' is {_a(given)}, not an algorithm.", _FORM)
    if getattr(given, "__name__", "") == "<lambda>":
        raise HarnessError(
            f"'{name}' is a lambda, which has no source of its own to be known by.", "write it as a def."
        )
    if not inspect.isclass(given):
        if hasattr(given, "shard") or len(_positional(given)) == 2:
            return Local(name, given, given)
        if len(_positional(given)) == 1:
            return Local(name, given, _no_steps, drives=True)
        raise HarnessError(f"'{name}' takes {len(_positional(given))} arguments, which no algorithm does.", _FORM)
    for method in ("ask", "tell"):
        if not callable(getattr(given, method, None)):
            raise HarnessError(f"'{name}' (class {given.__name__}) has no {method}.", _FORM)
    asks = len(_positional(given.ask)) - 1
    if asks == 0:
        return Local(name, given, per_seed(given))
    if asks == 2:
        return Local(name, given, given)
    raise HarnessError(
        f"'{name}' (class {given.__name__}) has an ask of {asks} arguments: it takes none, or seeds and worker.", _FORM
    )


def _no_steps(problem: Problem, streams: Streams, /, **params: Any) -> Algorithm:
    raise HarnessError("a function of an objective runs from its beginning to its end and cannot be asked.", _FORM)


def _positional(call: Callable[..., Any]) -> list[inspect.Parameter]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p for p in inspect.signature(call).parameters.values() if p.kind in kinds and p.default is p.empty]


def _a(thing: object) -> str:
    kind = type(thing).__name__
    return f"a{'n' * (kind[0].lower() in 'aeiou')} {kind}"


def load(spec: str, libraries: Iterable[str] = ()) -> tuple[str, object]:
    """What `path/file.py:Class` or `package.module:Class` names, and its name without the path.

    Raises HarnessError, in one sentence, for what is not there, cannot be read or fails when it is imported; its hint
    may be one of `libraries` whose name is close.
    """
    where, _, attribute = spec.rpartition(":")
    if not where.strip("."):
        raise HarnessError(
            f"'{spec}' names no file or module before the colon.", "write it as --algo path/mine.py:Mine"
        )
    is_file = where.endswith(".py")
    module = _from_file(Path(where)) if is_file else _from_package(where, attribute, libraries)
    found = vars(module).get(attribute)
    if found is None:
        if not is_file and (close := _meant(where, attribute, libraries)):
            raise HarnessError(f"there is no {attribute} in the module {where}.", close)
        own = [name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
        raise unknown(f"name in {where}", attribute, own)
    return (f"{Path(where).name}:{attribute}" if is_file else spec), found


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise HarnessError(f"there is no file {path}.", "write the path of your own file: --algo path/mine.py:Mine")
    path = path.resolve()
    name = f"{_FILE}{hashlib.sha256(str(path).encode()).hexdigest()[:8]}_{path.stem}"
    loader = SourceFileLoader(name, str(path))
    module = importlib.util.module_from_spec(ModuleSpec(name, loader, origin=str(path)))
    module.__file__ = str(path)
    for old in _BROUGHT.pop(name, set()):  # what lies beside the file may have changed too
        sys.modules.pop(old, None)
    before = {*sys.modules}
    sys.modules[name] = module  # dataclasses and pickles look for it there
    linecache.checkcache(str(path))
    try:
        _imported(str(path), path.parent, lambda: loader.exec_module(module))
    except HarnessError:
        del sys.modules[name]
        raise
    _BROUGHT[name] = {new for new in {*sys.modules} - before if _belongs(sys.modules[new], module)}
    return module


def _from_package(name: str, attribute: str, libraries: Iterable[str]) -> ModuleType:
    try:
        return _imported(name, Path.cwd(), lambda: importlib.import_module(name))
    except HarnessError as error:
        if isinstance(error.__cause__, ModuleNotFoundError) and name.startswith(str(error.__cause__.name)):
            raise HarnessError(
                f"there is no module {name}, installed or in the working folder.",
                _meant(name, attribute, libraries)
                or "a file of your own is named by its path: --algo path/mine.py:Mine; packages of optimizers are in "
                "`harness list libraries`.",
            ) from None
        raise


def _meant(library: str, optimizer: str, libraries: Iterable[str]) -> str:
    """A hint where the name of a library was mistyped, else empty."""
    close = [f"{name}:{optimizer}" for name in get_close_matches(library, libraries)]
    return f"did you mean {' or '.join(close)}?" if close else ""


def _imported(what: str, folder: Path, load: Callable[[], Any]) -> Any:
    """What `load` imports, with `folder` searched for what is imported in turn, as it is when a script runs."""
    sys.path.insert(0, str(folder))
    try:
        return load()
    except SyntaxError as error:
        where = f"line {error.lineno}" if error.filename == what else f"{error.filename}, line {error.lineno}"
        raise HarnessError(f"{what} is not valid Python: {error.msg} ({where}).", "mend it first.") from error
    except Exception as error:
        line = next((f" (line {t.lineno})" for t in reversed(inspect.trace()) if t.filename == what), "")
        raise HarnessError(
            f"{what} cannot be imported: {type(error).__name__}: {error}{line}.",
            "mend it first, or install what it needs.",
        ) from error
    finally:
        sys.path.remove(str(folder))


def _source(made: Callable[..., Any], files: Iterable[Path]) -> str:
    """Hash of the `files` that define `made` or, where a script or a notebook does, of its text there; or empty."""
    if not files and str(getattr(inspect.unwrap(made), "__module__", "")) == "__main__":
        return definition(made)
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16] if files else ""


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _files_of(made: Callable[..., Any]) -> set[Path]:
    """The files that define `made`, none where a script or a notebook does: these are read once."""
    home = sys.modules.get(str(getattr(inspect.unwrap(made), "__module__", "")))
    path = Path(str(getattr(home, "__file__", None)))
    if home is None or home.__name__ == "__main__" or path.suffix != ".py":
        return set()
    if home.__name__.startswith(_FILE):
        return _files(path, path.parent)
    folder = path.parents[home.__name__.count(".") + (path.name == "__init__.py")]
    return _files(path, folder, "" if folder == Path.cwd() else home.__name__.split(".")[0])


def _files(path: Path, folder: Path, package: str = "") -> set[Path]:
    """The file at `path` and those of `folder`, or of a `package` in it, that it imports, and they in turn."""
    found, ahead = set[Path](), [path]
    while ahead:
        file = ahead.pop()
        found.add(file)
        for node in ast.walk(ast.parse(file.read_bytes())):
            names, within = [], folder
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom):
                within = file.parents[node.level - 1] if node.level else folder
                names = [node.module, *(f"{node.module}.{name}" for name in names)] if node.module else names
            places = [within.joinpath(*name.split(".")) for name in names]
            beside = [p for place in places for p in (place.with_suffix(".py"), place / "__init__.py") if p.is_file()]
            ahead += {p for p in beside if folder / package in (p.with_suffix(""), *p.parents)} - found
    return found


def _belongs(home: ModuleType, root: ModuleType) -> bool:
    """Whether the module `home` lies in the folder of `root`, which was read from a file by its path."""
    if not root.__name__.startswith(_FILE) or not getattr(home, "__file__", None):
        return False
    return Path(str(root.__file__)).parent in Path(str(home.__file__)).parents


def definition(made: Callable[..., Any]) -> str:
    """Hash of the source of a class or function of a script or notebook, and of all of theirs that it uses.

    What it uses are the classes, functions and plain constants that its code names, wherever in the script they are.
    """
    digest, seen, ahead = hashlib.sha256(), set[str](), [made]
    while ahead:
        part = ahead.pop()
        digest.update(source(part).encode())
        for name, value in sorted(_used(part)):
            if name in seen:
                continue
            seen.add(name)
            if getattr(value, "__module__", None) == "__main__" and (
                inspect.isclass(value) or inspect.isfunction(value)
            ):
                ahead.append(value)
            elif isinstance(value, str | int | float | bool | tuple | list | dict | None):
                digest.update(f"{name}={value!r}".encode())
    return digest.hexdigest()[:16]


def source(made: Callable[..., Any]) -> str:
    """The text that defines a class or a function, in a notebook's cell too. Raises HarnessError if there is none."""
    made = inspect.unwrap(made)
    functions = [made] if inspect.isfunction(made) else _methods(made)
    for function in functions:
        text = "".join(linecache.getlines(function.__code__.co_filename))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == made.__name__:
                first, last = node.lineno, node.end_lineno or node.lineno
                if first <= function.__code__.co_firstlineno <= last or function is made:
                    return ast.get_source_segment(text, node) or ""
    raise HarnessError(
        f"the source of '{made.__name__}' cannot be found, by which its studies would be known.",
        "write it into a file, and give that: file.py:Class",
    )


def _methods(made: Any) -> list[Any]:
    return [inspect.unwrap(m) for m in vars(made).values() if inspect.isfunction(inspect.unwrap(m)) and not _made(m)]


def _made(function: Any) -> bool:
    """Whether a method was made by a decorator such as `dataclass` rather than written."""
    return bool(function.__code__.co_filename == "<string>")


def _used(made: Callable[..., Any]) -> list[tuple[str, Any]]:
    """The globals that the code of `made` names."""
    made = inspect.unwrap(made)
    functions = [made] if inspect.isfunction(made) else _methods(made)
    bases = [(base.__name__, base) for base in getattr(made, "__bases__", ())]
    found = dict(bases)
    for function in functions:
        for name in _names(function.__code__):
            if name in function.__globals__:
                found[name] = function.__globals__[name]
    return [*found.items()]


def _names(code: CodeType) -> set[str]:
    inner = (_names(constant) for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*inner)


def packed(algorithms: dict[str, Local]) -> bytes:
    """The algorithms for another process, with the code of their files as it is now.

    Raises HarnessError if they hold what no other process can have.
    """
    import cloudpickle  # noqa: PLC0415

    mine = [m for m in sys.modules.values() if _by_value(m, algorithms)]
    for module in mine:
        cloudpickle.register_pickle_by_value(module)
    try:
        return bytes(cloudpickle.dumps(algorithms))
    except Exception as error:
        names = ", ".join(algorithms)
        raise HarnessError(
            f"{names} cannot be sent to other processes: {type(error).__name__}: {error}.",
            "keep open files, locks and the like out of its globals, or use one process.",
        ) from error
    finally:
        for module in mine:
            cloudpickle.unregister_pickle_by_value(module)


def _by_value(module: ModuleType, algorithms: dict[str, Local]) -> bool:
    roots = [sys.modules.get(a.__wrapped__.__module__) for a in algorithms.values()]
    return any(r is not None and (module is r or _belongs(module, r)) and r.__name__ != "__main__" for r in roots)
