"""The command `harness` in two processes of torchrun."""

from __future__ import annotations

import os
import subprocess
import sys


def two_processes(*arguments: object) -> subprocess.CompletedProcess[str]:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "harness"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    return subprocess.run(
        [*torchrun, *map(str, arguments)], capture_output=True, text=True, env=environment, check=False
    )
