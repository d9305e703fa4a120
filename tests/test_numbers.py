"""Numbers of the pages are what their commands give: ten of docs/numbers.toml, others every day."""

from __future__ import annotations

import random
import re
import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import documented
import pytest
from conftest import ROOT
from documented import Documented

NUMBERS = documented.listed()


@pytest.mark.parametrize("number", NUMBERS, ids=lambda n: f"{n.page}: {n.number}")
def test_a_number_is_in_its_page(number: Documented) -> None:
    assert number.says in (ROOT / number.page).read_text(encoding="utf-8")
    assert number.number in number.says


@pytest.mark.parametrize("drawn", range(10))
def test_a_number_is_what_its_command_gives(
    drawn: int, harness: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cheap = [number for number in NUMBERS if number.cheap]
    number = random.Random(datetime.now(UTC).date().toordinal()).sample(cheap, 10)[drawn]
    program, *words = shlex.split(number.command)
    if program == "harness":
        answer = harness(*words, *(["--processes", 1] if words[0] == "run" else []))
        assert answer.status == 0, answer.err
        printed = answer.out
    else:
        assert words[:2] == ["-m", "bench.documented"]
        printed = getattr(documented, words[2])()
    assert number.agrees(number.made(printed)), (number, number.made(printed))


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MEASURED = re.compile(r"\d ± \d|\d \(0\.\d+\)|\b\d[.\d]*e-\d|\b\d+\.\d+ s\b|\| *-?\d+\.\d\d+[^|]*\|[^|]*\d\.\d\d")
COMMAND = re.compile(r"harness [a-z]+|bench[./]\w+|tests/test_\w+\.py|no command", re.ASCII)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_section_with_measured_numbers_names_what_makes_them(page: Path) -> None:
    listed = [number.says for number in NUMBERS if ROOT / number.page == page]
    for section in re.split(r"(?m)^(?=#{1,4} )", page.read_text(encoding="utf-8")):
        said = MEASURED.search(re.sub(r"(?s)```.*?```", "", section))
        assert not said or COMMAND.search(section) or any(text in section for text in listed), said


def test_a_number_that_changed_is_noticed() -> None:
    number = Documented("README.md", "3.6e-4", "3.6e-4", "harness list", "regret ([0-9.e-]+)")
    assert number.agrees(number.made("regret 0.000364"))
    assert not number.agrees(number.made("regret 0.000366"))
    assert Documented("", "", "9,445", "", "([0-9,]+)").agrees(9445.0)
    assert not Documented("", "", "9,445", "", "").agrees(9446.0)
    with pytest.raises(ValueError, match="prints nothing like"):
        number.made("no such thing")
