"""Ctrl-C at any moment of any command: exit status 130, one true sentence, no traceback, nothing lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from conftest import Answer

from harness.processes import uninterrupted
from harness.studies.store import STUDIES
from harness.testing import assert_same

Harness = Callable[..., Answer]
ENTRY = """
from harness.__main__ import leave, main
try:
    print("here", flush=True)
    main()
except KeyboardInterrupt:
    leave()
"""
"""The entry point, and word that it was reached; what Python does before it is none of ours."""

QUICK = ("--seeds", "1100", "--processes", "1")
GRID = (
    'seeds = 1100\nreport = "page.html"\n[[studies]]\nalgo = ["re"]\nbench = ["nb201"]\nevals = 400\n'
    '[[figures]]\nfigure = "regret"\noutput = ["a.svg"]\n'
)
RECIPE = 'title = "a"\nsource = "b"\nseeds = 1100\n[[studies]]\nalgo = ["re"]\nbench = ["nb201"]\nevals = 400\n'
COMMANDS: dict[str, tuple[str, ...]] = {
    "run": ("run", "--algo", "re", "--bench", "nb201", "--evals", "400", *QUICK),
    "grid": ("grid", "grid.toml", "--processes", "1"),
    "reproduce": ("reproduce", "recipe.toml", "--processes", "2"),
    "plot": ("plot", "there", "-o", "a.pdf", "-o", "b.svg"),
    "report": ("report", "there", "-o", "a.html"),
    "search": ("search", "--space", "digits201", "--algo", "re", "--data", "digits", "--evals", "40", "--epochs", "2"),
}
STORES = ("run", "grid", "reproduce")
TOLD = {
    "interrupted.",
    "interrupted. Nothing half-done is left: every file is whole or absent.",
    "interrupted. Finished shards are stored: the same command goes on from them.",
}


def start(*words: str) -> subprocess.Popen[str]:
    """The command, which has reached its entry point, in the terminal's foreground: SIGINT is not ignored."""
    pipe, handler = subprocess.PIPE, signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-c", ENTRY, *words], stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )
    signal.signal(signal.SIGINT, handler)
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    return process


def interrupt(process: subprocess.Popen[str], *, late: bool = False) -> str:
    """Press Ctrl-C, and return the sentence that answers. There is none where it may be too `late`, and is."""
    os.killpg(process.pid, signal.SIGINT)
    told = process.communicate(timeout=60)[1]
    if late and process.returncode == 0:
        return ""
    assert process.returncode == 130, told
    assert "Traceback" not in told
    assert "Exception ignored" not in told
    return told.splitlines()[-1]


@pytest.fixture
def there(harness: Harness) -> None:
    """Results to draw, and files to run."""
    few = ("--seeds", 9, "--evals", 9, "--processes", 1, "--out", "there")
    assert harness("run", "--algo", "rs,re", "--bench", "nb201", *few).status == 0
    Path("grid.toml").write_text(GRID)
    Path("recipe.toml").write_text(RECIPE)


@pytest.mark.usefixtures("there")
@pytest.mark.parametrize("command", COMMANDS)
def test_an_early_interrupt_is_one_sentence(command: str) -> None:
    before = {*Path().rglob("*")}
    for delay in (0.0, 0.05, 0.15, 0.5):
        process = start(*COMMANDS[command])
        time.sleep(delay)
        told = interrupt(process, late=delay > 0.3)
        assert told in {*TOLD, ""} or (command == "search" and "goes on from" in told)
    if command in ("plot", "report"):
        assert {*Path().rglob("*")} - before <= {Path(word) for word in COMMANDS[command]}


@pytest.mark.usefixtures("there")
@pytest.mark.parametrize("command", STORES)
def test_a_late_interrupt_keeps_what_is_stored(command: str, harness: Harness) -> None:
    process = start(*COMMANDS[command])
    while not (stored := [*Path("results").glob(".unfinished/*/*.parquet")]):
        assert process.poll() is None
        time.sleep(0.005)
    assert interrupt(process) == "interrupted. Finished shards are stored: the same command goes on from them."
    kept = {path: STUDIES.read(path) for path in [*stored, *Path("results").rglob("*.parquet")] if path.exists()}
    assert kept
    assert harness(*COMMANDS[command]).status == 0
    assert not [*Path("results").rglob("*.tmp")]
    whole = {STUDIES.read(path).study.id: STUDIES.read(path) for path in Path("results").glob("*.parquet")}
    assert len(whole) == 1
    for part in kept.values():
        shard = STUDIES.shard(part)
        again = STUDIES.portion(part.study, whole[part.study.id], shard).trajectory
        assert_same(replace(again, pace=part.trajectory.pace), part.trajectory)


@pytest.mark.usefixtures("there")
def test_a_late_interrupt_of_a_search_says_what_is_kept() -> None:
    process = start(*COMMANDS["search"])
    while not [*Path("results").glob("searches/*")]:
        assert process.poll() is None
        time.sleep(0.01)
    told = interrupt(process)
    assert told.endswith("the same command goes on from there.")
    assert told.startswith("stopped after ")


def test_an_interrupt_that_another_thread_is_given_waits_for_the_start_of_a_process() -> None:
    done, steps = threading.Event(), list[int]()
    threading.Thread(target=done.wait).start()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), uninterrupted():  # noqa: PT012
            os.kill(os.getpid(), signal.SIGINT)
            steps.extend(range(100))
        assert steps == list(range(100))
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    finally:
        signal.signal(signal.SIGINT, before)
        done.set()


@pytest.mark.parametrize("command", ["plot", "report"])
@pytest.mark.usefixtures("there")
def test_a_late_interrupt_of_a_writer_leaves_whole_files_or_none(command: str) -> None:
    process = start(*COMMANDS[command])
    time.sleep(1.5)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
    told = process.communicate(timeout=60)[1]
    assert process.returncode in (0, 130), told
    assert process.returncode == 0 or told.splitlines()[-1] in TOLD
    assert not [*Path().rglob("*.tmp")]


LATE = """
import os, signal, sys
from harness import __main__, cli

class Late:
    def __del__(self, kill=os.kill, pid=os.getpid(), number=signal.SIGINT):
        kill(pid, number)

late = Late()
cli.main = lambda: print("done")
__main__.main()
"""


def test_an_interrupt_as_python_ends_does_not_kill_what_is_done() -> None:
    """It comes after Python has given its handlers up, which would end the command by the signal."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen([sys.executable, "-c", LATE], stdout=subprocess.PIPE, text=True)
    signal.signal(signal.SIGINT, handler)
    assert process.communicate(timeout=60)[0] == "done\n"
    assert process.returncode == 0


class _Drops:
    """An interrupt comes into its finalizer, from which Python lets no exception out."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):
            pass


def _dropped() -> None:
    _Drops()
    for _ in range(100):
        time.sleep(0.05)


def _swallowed() -> None:
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
    except BaseException:
        return


def _became_another() -> None:
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
    except BaseException:
        raise ImportError("numpy.core.multiarray failed to import") from None


@pytest.mark.parametrize("how", [_dropped, _swallowed, _became_another])
def test_an_interrupt_is_answered_whatever_becomes_of_it(
    how: Callable[[], None], monkeypatch: pytest.MonkeyPatch, harness: Harness
) -> None:
    def main(**_: Any) -> None:
        how()

    monkeypatch.setattr("harness.cli.group.main", main)
    answer = harness("list")
    assert answer.status == 130
    assert answer.err == "interrupted. Nothing half-done is left: every file is whole or absent.\n"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_who_is_told_to_ignore_interrupts_does(monkeypatch: pytest.MonkeyPatch, harness: Harness) -> None:
    """As a shell tells jobs in the background."""

    def main(**_: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        click.echo("done")

    monkeypatch.setattr("harness.cli.group.main", main)
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert harness("list") == (0, "done\n", "")
    finally:
        signal.signal(signal.SIGINT, handler)


ENDLESS = """
class Ask:
    def __init__(self, problem, streams):
        pass

    def ask(self, seeds, worker):
        while True:
            try:
                print("asked", flush=True)
                while True:
                    pass
            except {caught}:
                pass

    def tell(self, results):
        pass
"""


@pytest.mark.parametrize(("processes", "caught", "times"), [("1", "()", 1), ("2", "()", 1), ("1", "BaseException", 3)])
def test_an_algorithm_that_never_answers_is_ended(processes: str, caught: str, times: int) -> None:
    """One that even catches the interrupt, by the third."""
    Path("mine.py").write_text(ENDLESS.format(caught=caught))
    run = ("run", "--algo", "mine.py:Ask", "--bench", "nb201", "--seeds", "600", "--evals", "3")
    process = start(*run, "--processes", processes)
    assert process.stdout is not None
    assert process.stdout.readline() == "asked\n"
    for _ in range(times - 1):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.2)
    assert interrupt(process) in TOLD
