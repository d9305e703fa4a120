"""Malformed command lines, settings and files of settings: one sentence, exit 2, in bounded time and memory."""

from __future__ import annotations

import random
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Answer

import harness as h
from harness.cli import COMMANDS

Harness = Callable[..., Answer]
_MOST_BYTES = 1 << 30
_WORDS = (
    "", "-", "--", "=", "\x1b[31m", "é", "𝔘", "nan", "inf", "-inf", "-1", "0", "1e400", "0:0", "5:3", "0:10**9",
    "0:1000000000", "9" * 40, "9223372036854775807", "1e12", "rs", "RS", "rs,rs", "rs.x", "rs.x=", ".=.",
    "re.population=0", "re.population=1e9", "nb201", "nb201/*", "nb201/cifar", "*", "[", "../..", "/proc/self",
    "/dev/null",
    "results", "a.toml", "a.py:", "a.py:X", ":X", "x:y:z", "latency<=20", "latency.raspi4<=", "error,error",
    "<script>", "$\\input{/etc/passwd}$", "{}", "%s", "local:0", "tcp://", "a" * 5000,
)  # fmt: skip


@pytest.fixture
def bounded() -> Iterator[None]:
    """Address space for a gigabyte more than there is in use."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + _MOST_BYTES, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def options(command: str) -> list[str]:
    from importlib import import_module

    found = import_module(f"harness.cli.{command}").command
    parts = [found, *getattr(found, "commands", {}).values()]
    return [
        name
        for part in parts
        for param in part.params
        for name in param.opts
        if name.startswith("-") and name != "--debug"
    ]


def lines(count: int) -> Iterator[list[str]]:
    """Command lines of options that there are, with words that are hardly ever right."""
    rng, commands = random.Random(7), [c for c in COMMANDS if c not in ("train", "search", "tabulate")]
    for _ in range(count):
        command = rng.choice(commands)
        words = [command]
        for _ in range(rng.randint(1, 5)):
            if rng.random() < 0.6:
                words.append(rng.choice(options(command) or ["-x"]))
            words.append(rng.choice(_WORDS))
        if command in ("run", "predict", "regress", "reproduce", "grid", "stability", "baseline"):
            words += ["--seeds", rng.choice(("0:10**9", "-3", "x", "3:1", "1e3", "9" * 30))]
        yield words


@pytest.mark.usefixtures("bounded", "data_folder")
def test_no_malformed_command_line_is_a_traceback(harness: Harness) -> None:
    for words in lines(500):
        answer = harness(*words)
        assert answer.status in (0, 2), (words, answer.err[-2000:])
        assert "Traceback" not in answer.err, (words, answer.err[-2000:])
        assert answer.status == 0 or answer.err.count("error: ") >= 1, words
    assert not Path("results").exists()


@pytest.mark.parametrize(
    "words", [["run", "--out", ""], ["run", "--out="], ["plot", ""], ["report", "results", "-o", ""], ["show", ""]]
)
def test_an_empty_word_is_refused(harness: Harness, words: list[str]) -> None:
    harness(*words).refuses("is empty", "variable of the shell")
    assert not list(Path.cwd().iterdir())


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize(
    "words",
    [
        ["--seeds", "0:1000000000"], ["--workers", "100000"], ["--workers", "1e12"], ["--seeds", "9" * 30],
        ["--evals", "9" * 30], ["--budget", "1e400"], ["--budget", "nan"],
        ["--seeds", "9223372036854775800:9223372036854775900"],
    ],
)  # fmt: skip
def test_numbers_beyond_reason_are_refused_or_bounded(harness: Harness, words: list[str]) -> None:
    answer = harness(
        "run", "--algo", "rs", "--bench", "nb201", *words, *(() if "--seeds" in words else ("--seeds", "2"))
    )
    assert answer.status in (0, 2)
    assert "Traceback" not in answer.err


def _mutated(text: str, rng: random.Random) -> str:
    kind = rng.randrange(5)
    at = rng.randrange(len(text))
    if kind == 0:
        return text[:at]
    if kind == 1:
        return text[:at] + rng.choice(_WORDS) + text[at:]
    if kind == 2:
        return text[:at] + text[at + rng.randint(1, 12) :]
    if kind == 3:
        return text.replace(rng.choice(("10", "re", "nb201", "seeds", "algo", "figure", "regret")), rng.choice(_WORDS))
    return text + text[at:]


@pytest.mark.parametrize("seed", ["9223372036854775807", "9" * 30, "-1"])
def test_seeds_beyond_reason_are_refused_wherever_they_are_given(seed: str, harness: Harness) -> None:
    space = ("--space", "digits201", "--data", "digits")
    for words in (("search", *space, "--algo", "re", "--evals", "2"), ("tabulate", "digits201", "--data", "digits")):
        answer = harness(*words, "--seed", seed)
        assert answer.status == 2
        assert answer.err.startswith("error: Invalid value for '--seed'")
    Path("a.toml").write_text(
        f'title = "a"\nsource = "b"\nseeds = {seed}\n[[studies]]\nalgo = ["rs"]\nbench = ["nb201"]\n'
    )
    for command in ("grid", "reproduce"):
        assert harness(command, "a.toml").status == 2


@pytest.mark.parametrize("seeds", [range(10**12), range(2**63 - 2, 2**63), range(3, 3), range(-2, 3), range(0, 4, 2)])
def test_ranges_beyond_reason_are_refused_from_python(seeds: range) -> None:
    with pytest.raises(h.HarnessError):
        h.run("rs", "nb201", seeds=seeds, evals=2)


@pytest.mark.usefixtures("bounded")
def test_no_mutated_grid_is_a_traceback(harness: Harness) -> None:
    text = (
        'seeds = 2\nreport = "page.html"\n[[studies]]\nalgo = ["rs", "re"]\nbench = ["nb201/cifar10"]\nevals = 10\n'
        'params.re.population = 10\n[[figures]]\nfigure = "regret"\nkind = "val"\noutput = ["a.svg"]\n'
    )
    rng: Any = random.Random(3)
    for _ in range(200):
        Path("a.toml").write_text(_mutated(text, rng), encoding="utf-8")
        answer = harness("grid", "a.toml", "--dry-run")
        assert answer.status in (0, 2), (Path("a.toml").read_text(encoding="utf-8"), answer.err[-2000:])
        assert "Traceback" not in answer.err
