"""Numbers of the pages, made again by the commands of docs/numbers.toml.

    python -m bench.documented [--cheap] [PAGE ...]     # each number, what the command gives, and whether they agree
    python -m bench.documented graphs|facts             # counts of graphs; what else no other command prints

Exit status 1 says that a number is not what its command gives.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Documented:
    """A `number` of a page, in the words that it `says`, and how to make it again: see the head of the file."""

    page: str
    says: str
    number: str
    command: str
    finds: str
    times: float = 1.0
    plus: float = 0.0
    cheap: bool = True

    def made(self, printed: str) -> float:
        """The number out of what the command printed. Raises ValueError where it is not there."""
        found = re.search(self.finds, printed)
        if found is None:
            raise ValueError(f"{self.command} prints nothing like {self.finds}:\n{printed[-2000:]}")
        return float(found[1].replace(",", "")) * self.times + self.plus

    def agrees(self, value: float) -> bool:
        """Whether `value` is the number, to the digits that the page has."""
        stated = Decimal(self.number.replace(",", ""))
        unit = Decimal(1).scaleb(int(stated.as_tuple().exponent))
        return abs(Decimal(value) - stated) <= Decimal("0.51") * unit


def listed() -> list[Documented]:
    """All of docs/numbers.toml."""
    text = (ROOT / "docs" / "numbers.toml").read_text(encoding="utf-8")
    return [Documented(**entry) for entry in tomllib.loads(text)["numbers"]]


def run(command: str, folder: str) -> str:
    """What a command prints that is run in a `folder`."""
    program, *words = shlex.split(command)
    start = [sys.executable, *(["-m", "harness"] if program == "harness" else [])]
    where = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    return subprocess.run([*start, *words], cwd=folder, env=where, capture_output=True, text=True, check=True).stdout


def graphs() -> str:
    """How many graphs, ordered and up to isomorphism, and patterns of connections NAS-Bench-201 has."""
    from harness import registry
    from harness.analysis.stability import patterns
    from harness.graphs import classes

    table = registry.benchmark("nb201/cifar10")
    view = table.space.graphs
    assert view is not None
    found = view.of(table.codes)
    ordered = len(np.unique(np.concatenate([found.adjacency.reshape(len(table), -1), found.operators], axis=1), axis=0))
    return (
        f"nb201: {ordered:,} ordered graphs, {classes(found).max() + 1:,} up to isomorphism, "
        f"{len(patterns(table).count)} patterns of connections"
    )


def facts() -> str:
    """Of nb201/cifar10: what a regret of zero counts as in logarithms, what noise leaves, and a front."""
    from harness import Rules, registry
    from harness.analysis import bounds
    from harness.studies.fronts import Front
    from harness.studies.reference import least_regret

    table = registry.benchmark("nb201/cifar10")
    left = bounds.floor(table, Rules(budget=table.facts.budget), "val", np.arange(500)).mean()
    front = Front.of(table, ("error", "latency.raspi4"), 0)
    return (
        f"zero counts as {least_regret(table.loss_at(0)) / 2:.3g}, noise leaves {left:.3g}, "
        f"{len(front.rows)} cells on the front of error and latency.raspi4"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", help="such as docs/predictors.md; all without")
    parser.add_argument("--cheap", action="store_true", help="leave out what takes more than a few seconds")
    given = parser.parse_args()
    if given.pages in (["graphs"], ["facts"]):
        print({"graphs": graphs, "facts": facts}[given.pages[0]]())
        return
    wrong = 0
    for number in listed():
        if (given.pages and number.page not in given.pages) or (given.cheap and not number.cheap):
            continue
        with tempfile.TemporaryDirectory() as folder:
            value = number.made(run(number.command, folder))
        differs = "" if number.agrees(value) else "DIFFERS "
        wrong += bool(differs)
        print(f"{number.page}: {number.number}, {value:.6g} {differs}| {number.command}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
