"""What searches by weight sharing say of papers' claims: `python -m bench.sharing_claims RESULTS`.

RESULTS is a folder of `harness search --method` with searches by `fairnas` and `darts` on digits201, the former scored
on all cells (`harness correlate RESULTS --method fairnas`). `space` is also of searches by `darts` on nb201.

- `K`: segments of three edges and three, by the kept scores of each seed of fairnas: the true regret of what is derived
  when six architectures go on to the second segment, and when one does. Several draws of the samples a seed.
- `space`: whether the operations of the cell that DARTS ends with, without none, are among the K likeliest of each node
  at the epoch of the highest superiority, and how often as many of a random cell are. Accuracies are those of the cell
  that would be derived after each epoch.
- `collapse`: the share of skips in what each method derives, and its regret. One thread.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from harness import registry
from harness.arrays import Bools, Floats, Ints
from harness.sharing import correlate, course, log
from harness.sharing.correlate import Correlation
from harness.sharing.log import Log
from harness.sharing.segments import search
from harness.spaces import published
from harness.statistics import mean_interval
from harness.studies.store import SEARCHES

WINDOW = 2
STRIDES = np.array([243, 81, 27, 9, 3, 1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--operations", type=int, default=3, help="K of the intensive space")
    parser.add_argument("--draws", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    every = [log.read(path) for path in sorted((arguments.results / SEARCHES).glob("*.parquet"))]
    logs = [one for one in every if (one.search.space, one.search.images) == ("digits201", "digits")]
    scored = [correlate.FORM.read(path) for path in sorted(correlate.folder(arguments.results).glob("*.fairnas.*"))]
    whole = {one.search.seed: one for one in scored if len(one.codes) == 729 and one.setting.statistics == "batch"}
    if whole:
        kept([*whole.values()], arguments.draws)
    cells = [one for one in every if published(one.search.space).kind == "nb201"]
    contained([one for one in cells if one.search.method == "darts"], arguments.operations)
    collapse(logs)


def kept(found: list[Correlation], draws: int) -> None:
    gains = []
    for one in found:
        known, truth = (np.empty(729) for _ in range(2))
        number = one.codes @ STRIDES
        known[number], truth[number] = one.columns["accuracy"], one.columns["val"]

        def score(codes: Ints, known: Floats = known) -> Floats:
            return known[codes @ STRIDES]

        for draw in range(draws):
            ends = []
            for k in (6, 1):
                lookup = search(
                    np.full(6, 2), [3] * 6, (3, 3), score,
                    seed=draw, samples=20, finalists=12, kept=k, width=64, epochs=300,
                )  # fmt: skip
                codes, own = lookup.best(score, 12)
                ends += [truth.max() - truth[codes[0] @ STRIDES], own[0]]
            gains.append([one.search.seed, *ends])
    values = np.array(gains)
    seeds = np.unique(values[:, 0])
    by_seed = np.array([values[values[:, 0] == seed, 1:].mean(axis=0) for seed in seeds])
    print(f"K: regret with 6 {by_seed[:, 0].mean():.4f}, with 1 {by_seed[:, 2].mean():.4f}; {len(seeds)} seeds")
    if len(seeds) > 1:
        print(f"K: regret with 1 above that with 6: {mean_interval(by_seed[:, 2] - by_seed[:, 0])}")
        print(f"K: one-shot accuracy with 6 above that with 1: {mean_interval(by_seed[:, 1] - by_seed[:, 3])}")


def likeliest(probability: Floats, operations: int) -> Bools:
    """The likeliest operations but none, which is the first, on the edges into each node, Bool[6, k]."""
    found = np.zeros(probability.shape, dtype=np.bool_)
    for edges in ((0,), (1, 2), (3, 4, 5)):
        flat = [(edge, k) for edge in edges for k in range(1, probability.shape[1])]
        for edge, k in sorted(flat, key=lambda at: -probability[at])[:operations]:
            found[edge, k] = True
    return found


def contained(logs: list[Log], operations: int) -> None:
    for one in logs:
        rows = [row for row in one.rows if row.derived]
        sets = [likeliest(np.array(row.distribution), operations) for row in rows]
        accuracy = [row.derived.accuracy for row in rows if row.derived]
        superiority = [
            np.prod([(1 - (sets[t] & ~sets[i]).sum() / sets[t].sum()) * accuracy[i] for i in range(t - WINDOW, t + 1)])
            for t in range(WINDOW, len(sets))
        ]
        best = int(np.argmax(superiority)) + WINDOW
        last = rows[-1].without
        assert last is not None
        codes = np.array(last.codes)
        drawn = np.random.default_rng(0).integers(1, sets[best].shape[1], size=(2000, 6))
        inside = sets[best][np.arange(6), codes]
        chance = sets[best][np.arange(6), drawn].sum(axis=1)
        by_chance = (chance >= inside.sum()).mean()
        print(
            f"space: darts on {one.search.space}, seed {one.search.seed}: "
            f"epoch {best + 1} is most superior, {max(superiority):.3f}; "
            f"{inside.sum()} of 6 operations of the final cell are in it, as many in {by_chance:.0%} of random cells"
        )


def collapse(logs: list[Log]) -> None:
    table = registry.benchmark("digits201/digits")
    space = published("digits201").space
    for found in course.courses(logs):
        same = [
            one for one in logs if one.search.method == found.label.partition("(")[0] and one.search.seed in found.seeds
        ]
        ends = [[row for row in one.rows if row.derived][-1] for one in same]
        for none, column in ((True, 0), (False, 1)):
            codes = [end.derived if none else end.without for end in ends]
            rows = table.rows(np.array([table.space.from_dict(space.to_dict(np.array(d.codes))) for d in codes if d]))
            regret = table.mean_loss[rows, -1] - table.optimum.value
            skips = found.derived[:, column]
            whole = sum(log.collapsed(one.search.space, d) for one, d in zip(same, codes, strict=True) if d)
            interval = mean_interval(regret) if len(regret) > 1 else regret
            print(
                f"collapse: {found.label}, none {'may' if none else 'not'}: {whole} of {len(same)} seeds skips alone; "
                f"share of skips {np.round(skips, 2).tolist()}, regret {interval}"
            )


if __name__ == "__main__":
    main()
