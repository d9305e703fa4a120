"""A caller of its own: `python -m caller ADDRESS FOLDER` runs the tests' studies on a cluster, ten seeds a shard."""

from __future__ import annotations

import sys
from pathlib import Path

import schedulers
import workers

from harness.studies import study
from harness.studies.cluster import Cluster
from harness.studies.run import run
from harness.studies.store import ResultStore

if __name__ == "__main__":
    study.SHARD = 10
    run(schedulers.studies(), ResultStore(Path(sys.argv[2])), workers.slow, executor=Cluster(sys.argv[1], print))
