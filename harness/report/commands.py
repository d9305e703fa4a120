"""The command lines that make a number again."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence

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
    rules = study.rules
    words = ["--seeds", f"{study.first}:{study.stop}"]
    for name, value in study.changed.items():
        words += ["--param", f"{study.algorithm}.{name}={value}"]
    words += ["--objectives", ",".join(rules.objectives)] if rules.objectives else []
    for constraint in rules.constraints:
        words += ["--constraint", constraint]
    for option, given, default in (
        ("--budget", rules.budget, math.inf),
        ("--evals", rules.evals, None),
        ("--workers", rules.workers, 1),
        ("--overhead", rules.overhead, 0.0),
        ("--noise", rules.noise, "sampled"),
        ("--incumbent", rules.incumbent, "largest"),
        ("--max-fidelity", rules.max_fidelity, None),
        ("--report-fidelity", rules.report_fidelity, None),
        ("--log", rules.log, "incumbents"),
    ):
        words += [] if given == default else [option, _word(given)]
    return (*words, *(["--continuation"] if rules.continuation else []))


def _word(value: object) -> str:
    """`1e+07` rather than `10000000.0`, where nothing is lost."""
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)
