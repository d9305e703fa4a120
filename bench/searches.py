"""How long searches that fit models take, whole commands: `python -m bench.searches [--seeds 500] [--device cpu]`.

All cores work on each. Numbers are of one run on one machine; gpnas with a tenth of the seeds shows whether a seed
costs the same in a small study.
"""

from __future__ import annotations

import argparse
import resource
from tempfile import TemporaryDirectory

from bench.evidence import told

SIZES = "20,50,100,172,344,860"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=500)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    given = parser.parse_args()
    networks = ("--bench", "nb201/cifar10", "--device", given.device)
    with TemporaryDirectory() as out:
        for algorithm, seeds, more in (
            ("gpnas", given.seeds, networks),
            ("gpnas", given.seeds // 10, networks),
            ("npred", given.seeds, networks),
            ("tpe", given.seeds, ("--bench", "nb201/cifar10", "--budget", 1e6)),
            ("bohb", given.seeds, ("--bench", "nb201/cifar10", "--budget", 1e6)),
        ):
            what = f"{algorithm}, {seeds} seeds{', to 1e6 s' if '--budget' in more else ''}"
            told(what, "run", "--algo", algorithm, *more, "--seeds", seeds, "--out", out)
        for predictor in ("gcn", "neural"):
            seeds = given.seeds // 5
            learnt = ("--predictor", predictor, "--train", SIZES, "--seeds", seeds, "--device", given.device)
            told(f"predict with {predictor}, six sizes, {seeds} seeds", "predict", "nb201", *learnt, "--out", out)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(f"peak memory of any one process: {peak / 2**10:,.0f} MiB")


if __name__ == "__main__":
    main()
