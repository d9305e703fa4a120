"""The generated folder of bench/nats.py, where it is imported whole: three architectures of it, number for number."""

from __future__ import annotations

from pathlib import Path

import nats


def test_a_generated_folder_is_read_number_for_number(tmp_path: Path) -> None:
    nats.generate(tmp_path / "simple", 3)
    assert nats.check_reader(tmp_path / "simple", 3) > 40_000
    assert len({nats.name(index) for index in range(nats.ARCHITECTURES)}) == nats.ARCHITECTURES
