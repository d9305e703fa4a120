"""The command lines that make a number again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from harness.rules import RULES
from harness.studies.study import Study


def runs(studies: Sequence[Study]) -> list[str]:
    """The fewest commands that run the studies: by the same code, on the same tables, results have the same ids."""
    by_rest: dict[tuple[str, tuple[str, ...]], list[Study]] = {}
    for study in studies:
        by_rest.setdefault((study.benchmark, _rest(study)), []).append(study)
    merged: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for (benchmark, rest), same in by_rest.items():
        merged.setdefault((tuple(dict.fromkeys(s.algorithm for s in same)), rest), []).append(benchmark)
    return [
        shlex.join(["harness", "run", "--algo", ",".join(algorithms), "--bench", ",".join(benchmarks), *rest])
        for (algorithms, rest), benchmarks in merged.items()
    ]


def _rest(study: Study) -> tuple[str, ...]:
    """The words of a command beside algorithm and benchmark."""
    words = ["--seeds", f"{study.first}:{study.stop}"]
    for name, value in study.changed.items():
        words += ["--param", f"{study.algorithm}.{name}={value}"]
    for name, value in study.rules.changed.items():
        option = f"--{(RULES[name].each or name).replace('_', '-')}"
        if RULES[name].each:
            words += [word for entry in value for word in (option, entry)]
        else:
            words += [option] if value is True else [option, _word(value)]
    return tuple(words)


def _word(value: object) -> str:
    """`1e+07` rather than `10000000.0`, where nothing is lost."""
    if isinstance(value, tuple):
        return ",".join(value)
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)
