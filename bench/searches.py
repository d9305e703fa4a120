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
    with TemporaryDirectory() as out:
        for algorithm, seeds in (("gpnas", given.seeds), ("gpnas", given.seeds // 10), ("npred", given.seeds)):
            study = ("--algo", algorithm, "--bench", "nb201/cifar10", "--seeds", seeds, "--device", given.device)
            told(f"{algorithm}, {seeds} seeds", "run", *study, "--out", out)
        for predictor in ("gcn", "neural"):
            seeds = given.seeds // 5
            learnt = ("--predictor", predictor, "--train", SIZES, "--seeds", seeds, "--device", given.device)
            told(f"predict with {predictor}, six sizes, {seeds} seeds", "predict", "nb201", *learnt, "--out", out)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(f"peak memory of any one process: {peak / 2**10:,.0f} MiB")


if __name__ == "__main__":
    main()
