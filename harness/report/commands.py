"""The command lines that make a number again."""

from __future__ import annotations

import math
import shlex

from harness.studies.study import Study


def run(study: Study) -> str:
    """The command that runs the study: by the same code, on the same table, its result has the same id."""
    rules = study.rules
    words = ["--algo", study.algorithm, "--bench", study.benchmark, "--seeds", f"{study.first}:{study.stop}"]
    for name, value in study.changed.items():
        words += ["--param", f"{study.algorithm}.{name}={value}"]
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
    return shlex.join(["harness", "run", *words, *(["--continuation"] if rules.continuation else [])])


def _word(value: object) -> str:
    """`1e+07` rather than `10000000.0`, where nothing is lost."""
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)
