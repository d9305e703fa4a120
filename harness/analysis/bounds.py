"""What to hold curves of regret against: an oracle, the expectation of random search, and the floor that noise sets.

Random search is computed, not simulated. Rows i are drawn with chances p_i, and a share f_i of the repeats of row i is
better than some loss. After n draws, none of which was better, with probability

    n! [z^n] e^z prod_i (1 - f_i (1 - e^(-p_i z))),

the sum over all numbers of draws of each row, of which the first decides the repeat. Cauchy's integral on the circle
of radius n gives the coefficient to rounding (Flajolet and Sedgewick, "Analytic Combinatorics", 2009, chapter VIII).
"""

from __future__ import annotations

import cmath
import math
from typing import Any, Literal

import numpy as np

from harness.analysis.tables import ENUMERATED, uniform_rows
from harness.arrays import Floats, Ints
from harness.observations import Observations
from harness.rules import Rules
from harness.studies.reference import Kind
from harness.table import Table

Bound = Literal["oracle", "random", "floor"]
BOUNDS: tuple[Bound, ...] = ("oracle", "random", "floor")

_GRID = 48
"""Numbers of draws at which a curve is computed, evenly spread on a log axis."""

_RESOLUTION = 1000
"""Ranks are told apart where the chance of a draw that is as good grows by one part in so many."""

_NEGLIGIBLE = 25.0
"""Exponents from which on e^-x counts as nothing."""


def regrets(table: Table, rules: Rules, kind: Kind) -> Floats:
    """Validation or test regret of each row at the reported fidelity, Float[N]; NaN where it was not tested.

    A row without a validation loss there counts as the worst, as it does in outcomes.
    """
    at = table.position(rules.report_fidelity)
    loss = table.loss_at(at)
    mean = loss if kind == "val" else table.test_at(at)
    if mean is None:
        return np.full(len(table), np.nan)
    return np.where(np.isnan(loss), np.nanmax(mean), mean) - np.nanmin(mean)


def oracle(table: Table, rules: Rules, kind: Kind) -> float:
    """Regret of the architecture with the best mean validation loss: what the choice of a split leaves; 0 for `val`."""
    return float(regrets(table, rules, kind)[table.optimum_at(table.position(rules.report_fidelity)).row])


def floor(table: Table, rules: Rules, kind: Kind, seeds: Ints) -> Floats:
    """Regret of the best that each of `seeds` Int[S] can ever observe, Float[S]; of several, their mean.

    It is not 0 where single trainings, by which incumbents are chosen, rank the best configurations wrongly.
    """
    value = regrets(table, rules, kind)
    observations = Observations(rules.seen(table), seeds, rules.noise)
    first = 0 if rules.incumbent == "any" else observations.fidelities - 1
    losses = observations.loss.reshape(-1, observations.fidelities, observations.repeats)[:-1, first:]
    worst = np.where(np.isfinite(losses), losses, -np.inf).max(axis=2)
    row, fidelity = np.nonzero(losses.min(axis=2) <= worst[worst > -np.inf].min())
    where = np.repeat(np.arange(len(seeds)), len(row))
    entry = observations.draw(where, np.tile(row, len(seeds)), np.tile(fidelity + first, len(seeds)))
    seen = observations.loss[entry].reshape(len(seeds), len(row))
    best = seen == seen.min(axis=1, keepdims=True)
    return np.where(best, value[row], 0.0).sum(axis=1) / best.sum(axis=1)


def random_search(table: Table, rules: Rules, kind: Kind, end: float) -> tuple[Floats, Floats]:
    """Expected regret of random search, Float[G], around simulated times Float[G] up to `end`.

    Exact in the number n of draws, which are uniform with replacement, at the largest fidelity. The time of n is that
    at which n draws are finished in the mean, by the renewal theorem: (n / workers + (1 - v) / 2) times the mean cost,
    v being the squared coefficient of variation of the cost. Of a space of more than 2^21 configurations, as many
    uniform draws stand for it.
    """
    seen = rules.seen(table)
    loss, cost = seen.loss[:, -1], seen.cost[:, -1]
    if rules.noise == "mean":
        loss, cost = seen.mean_loss[:, -1:], seen.mean_cost[:, -1:]
    share = shares(table)
    mean, variation = _cost(cost, share, rules.overhead)
    last = (end / mean - (1 - variation) / 2) * rules.workers
    last = min(last, math.inf if rules.evals is None else rules.evals)
    draws = np.unique(np.geomspace(1, max(1.0, last), _GRID).astype(np.int64))
    times = (draws / rules.workers + (1 - variation) / 2) * mean
    loss = np.where(np.isnan(loss) & np.isfinite(cost), np.inf, loss)
    return times, expected_best(loss, share, regrets(table, rules, kind), draws)


def shares(table: Table) -> Floats:
    """The chance that a configuration drawn uniformly from the space is each row, Float[N]; the rest is invalid."""
    drawn = min(table.space.cardinality, ENUMERATED)
    counts = np.zeros(len(table) + 1, dtype=np.int64)
    for rows in uniform_rows(table, ENUMERATED):
        counts += np.bincount(rows + 1, minlength=len(counts))
    return counts[1:] / drawn


def _cost(cost: Floats, share: Floats, overhead: float) -> tuple[float, float]:
    """Mean cost of a draw in seconds, and its squared coefficient of variation; what is invalid costs the overhead."""
    there = np.isfinite(cost)
    weight = there * (share / np.maximum(there.sum(axis=1), 1))[:, None]
    seconds = np.where(there, cost, 0.0) + overhead
    invalid = 1.0 - weight.sum()
    mean = float((weight * seconds).sum() + invalid * overhead)
    square = float((weight * (seconds / mean) ** 2).sum() + invalid * (overhead / mean) ** 2)
    return mean, square - 1.0


def expected_best(loss: Floats, share: Floats, value: Floats, draws: Ints) -> Floats:
    """Expected `value` Float[N] of the row with the lowest observed loss after `draws` Int[G], Float[G].

    Each draw is row i with chance `share` Float[N]; a row shows the one of its repeats, `loss` Float[N, R] with NaN
    where there is none and inf where it has no loss, that its first draw chose. The expectation is over what found
    anything at all. Repeats with equal losses count by their chances, and so do those next to each other that make a
    thousandth of what is as good.
    """
    ordered = np.sort(np.where(share[:, None] > 0, loss, np.nan), axis=1)
    row, better = np.nonzero(np.isfinite(ordered))
    repeats = (~np.isnan(ordered)).sum(axis=1)[row]
    _, rank = np.unique(ordered[row, better], return_inverse=True)
    weight = share[row] / repeats
    reached = np.log(np.bincount(rank, weight).cumsum())
    rank = np.unique(np.floor(reached * _RESOLUTION), return_inverse=True)[1][rank]
    values = np.bincount(rank, weight * value[row]) / np.bincount(rank, weight)

    alike, kind = np.unique(np.stack([share[row], repeats, better], axis=1), axis=0, return_inverse=True)
    steps = np.bincount(rank * len(alike) + kind, minlength=len(values) * len(alike))
    steps = steps.reshape(len(values), -1).cumsum(axis=0)
    chances = (_best(n, steps.astype(np.float64), *alike.T) for n in draws.tolist())
    return np.array([(chance * values[: len(chance)]).sum() / chance.sum() for chance in chances])


def _best(n: int, steps: Floats, share: Floats, repeats: Floats, better: Floats) -> Floats:
    """The chance that the best of `n` draws has each rank, Float[k], up to the last that counts.

    `steps` Float[U, T] counts the repeats up to each rank by kind; of a kind, the row has chance `share` Float[T], so
    many `repeats`, and so many `better` ones.
    """

    def factors(z: complex) -> Any:
        """What each kind of repeat adds to the logarithm of the product, [T]."""
        return _unseen((better + 1) / repeats, -share * z) - _unseen(better / repeats, -share * z)

    kept = steps[: 1 + int(np.searchsorted(-(steps @ factors(n)), _NEGLIGIBLE))]
    nodes = math.ceil(7 * math.sqrt(n)) + 13
    angles = 2 * math.pi / nodes * np.arange(nodes // 2 + 1)
    if n > _NEGLIGIBLE:
        angles = angles[n * (1 - np.cos(angles)) < _NEGLIGIBLE]
    scale = math.exp(math.lgamma(n + 1) - n * math.log(n) + n) / nodes
    untouched = np.zeros(len(kept))
    for angle in angles.tolist():
        turn = cmath.exp(1j * angle)
        powers, shift = factors(n * turn), n * (turn - 1 - 1j * angle)
        real = np.exp(kept @ powers.real + shift.real) * np.cos(kept @ powers.imag + shift.imag)
        untouched += scale * (1 if angle in (0.0, math.pi) else 2) * real
    return -np.diff(untouched, prepend=1.0)


def _unseen(share: Floats, exponent: Any) -> Any:
    """log(1 - f + f e^x) of shares f and exponents x, also where f is 1 and e^x next to nothing."""
    whole = share == 1
    return np.where(whole, exponent, np.log1p(np.where(whole, 0.0, share) * np.expm1(exponent)))
