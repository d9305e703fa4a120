"""Which studies may be compared, and what the comparison says: a table, tests by seed, and sentences to quote."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.errors import HarnessError
from harness.outcome import Kind, Outcome

_SHARED = ("table", *(f"rules.{name}" for name in ("budget", "evals", "noise", "incumbent", "workers", "overhead")))


def by_benchmark(outcomes: Iterable[Outcome]) -> dict[str, list[Outcome]]:
    """The outcomes of each benchmark, in the order in which they are first named."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.study.benchmark, []).append(outcome)
    return groups


def measured(outcomes: Sequence[Outcome], kind: Kind) -> dict[str, list[Outcome]]:
    """The outcomes that have this kind of regret, by benchmark. Raises HarnessError if there are none."""
    if not outcomes:
        raise HarnessError("there are no studies to compare.", "make some: harness run --algo rs,re --bench nb201")
    found = [o for o in outcomes if kind == "val" or o.reference.test_optimum is not None]
    if not found:
        names = ", ".join(by_benchmark(outcomes))
        raise HarnessError(f"there is no test metric in the table of {names}.", "use --kind val instead.")
    return by_benchmark(found)


def require_comparable(outcomes: Sequence[Outcome]) -> None:
    """Raise HarnessError, naming the difference, unless all are of one table and under the same rules."""
    first = outcomes[0].study
    for study in (o.study for o in outcomes[1:]):
        for what in _SHARED:
            a, b = (_field(s, what) for s in (first, study))
            if a != b:
                raise HarnessError(
                    f"studies {first.id} and {study.id} on {first.benchmark} cannot be compared: {what} is {a} in "
                    f"one and {b} in the other.",
                    "name the files of those that belong together.",
                )


def distinct(outcomes: Sequence[Outcome]) -> None:
    """Raise HarnessError if two studies of one benchmark have the same label."""
    labels = [o.study.label for o in outcomes]
    for label in labels:
        if labels.count(label) > 1:
            same = ", ".join(o.study.id for o in outcomes if o.study.label == label)
            raise HarnessError(
                f"there are several studies of {label} on {outcomes[0].study.benchmark}: {same}.",
                "name the files, one for each label.",
            )


def _field(study: object, path: str) -> object:
    for name in path.split("."):
        study = getattr(study, name)
    return study


def require_paired(outcomes: Sequence[Outcome], least: int = 2) -> None:
    """Raise HarnessError unless the outcomes are of the same seeds, and of enough of them for a test."""
    first = outcomes[0].study
    for study in (o.study for o in outcomes):
        if (study.first, study.stop) != (first.first, first.stop):
            raise HarnessError(
                f"studies {first.id} and {study.id} on {first.benchmark} cannot be paired: seeds are "
                f"{first.first}:{first.stop} in one and {study.first}:{study.stop} in the other.",
                "run both with the same --seeds.",
            )
        if study.stop - study.first < least:
            count = study.stop - study.first
            raise HarnessError(
                f"study {study.id} ({study.label} on {study.benchmark}) has {count} seed{'s' if count > 1 else ''}; "
                f"a test needs at least {least}.",
                "run it with more --seeds.",
            )
