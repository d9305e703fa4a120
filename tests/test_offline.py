"""No command reaches for the network, but for those that are told to fetch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HOOK = """
import os, sys

def refuse(event, given):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr") or (
        event in ("socket.connect", "socket.bind", "socket.sendto") and isinstance(given[1], tuple)
    ):
        with open(os.environ["REACHED"], "a") as file:
            file.write(f"{sys.argv}: {event} {given!r}\\n")
        raise OSError(f"no network: {event}")

sys.addaudithook(refuse)
"""
"""A sitecustomize: it holds in worker processes, too."""

COMMANDS = """
import sys
from harness import cli

QUICK = ["--bench", "nb201", "--seeds", "6", "--evals", "30"]
for words in (
    ["list"], ["show", "nb201"], ["data", "list"],
    ["run", "--algo", "rs,re", *QUICK, "--processes", "2"],
    ["show", "results", "--per-seed"], ["verify", "results"], ["compare", "results"],
    ["plot", "results", "-o", "a.pdf"], ["report", "results", "-o", "a.html"],
    ["export", "summary", "results", "-o", "a.csv"],
    ["baseline", "save", "kept", "results"], ["regress", "--baseline", "kept", "--processes", "1"],
    ["predict", "nb201", "--predictor", "ridge", "--train", "20", "--seeds", "2", "--processes", "1"],
):
    sys.argv = ["harness", *words]
    try:
        cli.main()
    except SystemExit as left:
        assert left.code == 0, words
"""


def python(code: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(HOOK)
    path = os.pathsep.join(filter(None, [str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")]))
    env = {**os.environ, "PYTHONPATH": path, "REACHED": str(tmp_path / "reached")}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)


def test_commands_need_no_network(tmp_path: Path) -> None:
    done = python(COMMANDS, tmp_path)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "reached").exists(), (tmp_path / "reached").read_text()


def test_the_hook_would_tell(tmp_path: Path) -> None:
    code = (
        "import multiprocessing, socket\ntry: socket.create_connection(('127.0.0.1', 9))\nexcept OSError as e: print(e)"
    )
    assert python(code, tmp_path).stdout.startswith("no network: ")
    assert "socket.getaddrinfo" in (tmp_path / "reached").read_text()
