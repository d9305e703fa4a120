"""What regret is measured against: the best of a table, and which regrets are told apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from harness.arrays import Floats
from harness.rules import Rules
from harness.studies.fronts import DEFINITION, Front
from harness.table import Table

Kind = Literal["val", "test"]
_PLAIN = Rules(evals=1)
_LEAST, _STEP = 1e-300, 2.0**-26
"""Regrets below are no normal numbers, halves of which may be 0."""


class Scale(NamedTuple):
    """The optimum that regret is above, the worst that a lost training counts as, the least that is not zero."""

    optimum: float | None
    worst: float | None
    least: float | None


@dataclass(frozen=True)
class Reference:
    """What regret is measured against, copied from the table so that results speak for themselves.

    `worst` is the highest validation loss in the table at the reported fidelity, as which an incumbent without a loss
    there counts, and `least` the smallest regret that is told apart from zero (`least_regret`); None in older results.
    `unit` is that of simulated time.
    """

    title: str
    loss: str
    test: str
    splits: str
    fidelity: str
    fidelities: tuple[int, ...]
    optimum: float
    optimum_row: int
    optimum_definition: str
    test_optimum: float | None
    worst: float | None = None
    test_worst: float | None = None
    least: float | None = None
    test_least: float | None = None
    unit: str = "s"

    def scale(self, kind: Kind) -> Scale:
        """What validation or test regret is measured by."""
        if kind == "val":
            return Scale(self.optimum, self.worst, self.least)
        return Scale(self.test_optimum, self.test_worst, self.test_least)

    @property
    def row(self) -> str:
        """`, row 6111`, or nothing where a front is the best."""
        return f", row {self.optimum_row}" if self.optimum_row >= 0 else ""

    @classmethod
    def of(cls, table: Table, rules: Rules = _PLAIN) -> Reference:
        """What regret by these rules is measured against: the best feasible loss or, of several objectives, the front.

        The loss of a set of results is one minus its hypervolume then.
        """
        table = rules.feasible(table)
        facts, at = table.facts, table.position(rules.report_fidelity)
        kept = f", of those with {' and '.join(rules.constraints)}" if rules.constraints else ""
        if rules.objectives:
            return cls._of_front(table, rules, at, kept)
        best, test = table.optimum_at(at), table.test_optimum_at(at)
        losses, tests = _finite(table.loss_at(at)), table.test_at(at)
        return cls(
            title=", ".join([facts.title, *rules.constraints]),
            loss=facts.loss,
            test=facts.test,
            splits=facts.splits,
            fidelity=facts.fidelity,
            fidelities=tuple(int(f) for f in table.fidelities),
            optimum=best.value,
            optimum_row=best.row,
            optimum_definition=best.definition + kept,
            test_optimum=None if test is None else test.value,
            worst=float(losses.max()),
            test_worst=None if tests is None else float(_finite(tests).max()),
            least=least_regret(losses),
            test_least=None if tests is None else least_regret(_finite(tests)),
            unit=facts.unit,
        )

    @classmethod
    def _of_front(cls, table: Table, rules: Rules, at: int, kept: str) -> Reference:
        facts, names = table.facts, ", ".join(rules.objectives)
        best, *test = fronts_of(table, rules, at)
        return cls(
            title=f"{facts.title}: {', '.join([names, *rules.constraints])}",
            loss=f"1 - hypervolume of {names}",
            test=f"1 - hypervolume of {names}, with the {facts.test}" if test else "",
            splits=facts.splits,
            fidelity=facts.fidelity,
            fidelities=tuple(int(f) for f in table.fidelities),
            optimum=1.0 - best.hypervolume,
            optimum_row=-1,
            optimum_definition=f"that of the exact front of {len(best.rows)} configurations{kept}; "
            f"hypervolume: {DEFINITION}",
            test_optimum=1.0 - test[0].hypervolume if test else None,
            unit=facts.unit,
        )


def _finite(losses: Floats) -> Floats:
    return losses[np.isfinite(losses)]


def least_regret(losses: Floats) -> float:
    """The smallest regret among `losses` Float[N], which stands for zero where logarithms are taken.

    It does not change when losses are negated and their order with them, shifted, and is scaled as they are. Regrets
    below a millionth of the median one are rounding, such as that of equal repeats in another order.
    """
    regrets = losses - losses.min()
    positive = regrets[regrets > 0]
    least = float(positive[positive > 1e-6 * np.median(positive)].min()) if positive.size else 1.0
    return max(least, _LEAST)


def settled(regrets: Floats, least: float | None) -> Floats:
    """The regrets as whole multiples of a share, 2^-26, of the `least` one of their table, where that is known.

    What only rounding tells apart is tied then, and regrets of an accuracy and of its error are equal but for the unit.
    """
    if least is None or not least > _LEAST:
        return regrets
    step = least * _STEP
    return np.rint(regrets / step) * step


def fronts_of(table: Table, rules: Rules, at: int) -> list[Front]:
    """The front of validation losses and, where the loss is an objective with a test metric, that of test losses."""
    kinds = [False, True] if table.primary in rules.objectives and table.test_at(at) is not None else [False]
    return [Front.of(table, rules.objectives, at, test=test) for test in kinds]
