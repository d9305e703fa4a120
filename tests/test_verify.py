"""`harness verify`, and what names and full disks do to the output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, Answer

from harness import HarnessError
from harness.studies.store import read

Harness = Callable[..., Answer]
QUICK = ("--bench", "nb201", "--seeds", "4", "--budget", "2e5", "--processes", "1")


def test_damage_is_named_and_the_rest_is_whole(harness: Harness) -> None:
    harness("run", "--algo", "rs,re", *QUICK)
    broken, fine = sorted(Path("results").glob("*.parquet"))
    answer = harness("verify", "results")
    assert (answer.status, answer.out) == (0, "")
    assert "2 of 2 files are what was written." in answer.err
    content = bytearray(broken.read_bytes())
    content[300] ^= 4
    broken.write_bytes(content)
    answer = harness("verify", "results")
    assert answer.status == 2
    assert str(broken) in answer.out
    assert str(fine) not in answer.out
    assert "1 of 2 files are damaged" in answer.err
    assert [row["whole"] for row in json.loads(harness("verify", "results", "--json").out)] == [False, True]


def test_results_of_earlier_versions_are_said_to_have_no_digest(harness: Harness) -> None:
    answer = harness("verify", ROOT / "results" / "baseline")
    assert answer.status == 0
    assert "of an earlier version have no digest, and are readable" in answer.err


def test_what_there_is_not(harness: Harness) -> None:
    Path("empty").mkdir()
    harness("verify", "nowhere").refuses("there is nothing at nowhere", "name a folder")
    harness("verify", "empty").refuses("there are no results in empty", "harness run")
    pq.write_table(pa.table({"a": [1]}), "empty/a.parquet")
    assert "a.parquet is nothing that this harness stores" in harness("verify", "empty").out


def test_names_cannot_command_a_terminal_or_a_log(harness: Harness) -> None:
    harness("run", "--algo", "rs", *QUICK)
    (path,) = Path("results").glob("*.parquet")
    table = pq.read_table(path)
    footer = json.loads(table.schema.metadata[b"nas_harness"])
    del footer["digest"]
    footer["reference"]["title"] = "\x1b[2Jgone"
    pq.write_table(table.replace_schema_metadata({"nas_harness": json.dumps(footer)}), path)
    with pytest.raises(HarnessError, match="control characters"):
        read(path)
    answer = harness("show", "a\n::error::b\x1b[2J")
    assert "\x1b" not in answer.err
    assert all(not line.startswith("::") for line in answer.err.splitlines())


def test_output_onto_a_full_disk_is_an_error_however_it_is_buffered(harness: Harness) -> None:
    harness("run", "--algo", "rs,re,ls", *QUICK)
    command = f"ulimit -f 1; {sys.executable} -m harness show results --per-seed --json > out.json"
    for unbuffered in ("", "1"):
        Path("out.json").unlink(missing_ok=True)
        answer = subprocess.run(
            ["bash", "-c", command],
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer.returncode == 2, answer
        assert "free some space" in answer.stderr
