"""Which studies are meant, which can be compared, and what is said of the others."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

import harness as h
from harness import HarnessError, Rules, registry
from harness.analysis.comparable import comparable, completed
from harness.analysis.comparison import peculiarities
from harness.plots import draw
from harness.studies.evaluate import evaluate
from harness.studies.outcome import Outcome, within
from harness.studies.run import run
from harness.studies.selection import Selection, gathered, pooled, seed_range, spans
from harness.studies.store import ResultStore
from harness.studies.study import Study
from harness.testing import synthetic_table


def outcome(algorithm: str = "rs", seeds: str = "0:6", table: int = 3, **rules: Any) -> Outcome:
    made, chosen = synthetic_table(table), seed_range(seeds)
    made = type(made)(**{**vars_of(made), "facts": replaced(made.facts, f"synthetic/{table}")})
    ruled = Rules(**{"evals": 10, **rules})
    study = Study(made.name, made.checksum, algorithm, {}, "", chosen.start, chosen.stop, ruled)
    return evaluate(study, table=made)


def vars_of(table: Any) -> dict[str, Any]:
    return {name: getattr(table, name) for name in ("facts", "space", "fidelities", "codes", "loss", "cost", "test")}


def replaced(facts: Any, name: str) -> Any:
    from dataclasses import replace

    return replace(facts, name=name)


def labels(outcomes: list[Outcome]) -> list[str]:
    return [f"{o.label} {o.study.benchmark[-1]} {spans(o.trajectory.seeds)}" for o in outcomes]


def test_ranges_of_seeds_are_pooled() -> None:
    whole = outcome(seeds="0:12")
    (joined,) = pooled([outcome(seeds="7:12"), outcome(seeds="0:3"), outcome(seeds="2:8")])
    assert joined.study == whole.study
    for name in (*joined.trajectory.COLUMNS, *joined.trajectory.PER_SEED):
        np.testing.assert_array_equal(getattr(joined.trajectory, name), getattr(whole.trajectory, name))
    np.testing.assert_array_equal(joined.val_loss, whole.val_loss)
    (gap,) = pooled([outcome(seeds="0:3"), outcome(seeds="7:9")])
    assert spans(gap.trajectory.seeds) == "0:3,7:9"
    assert np.isnan(within(whole, range(3)).trajectory.evaluations_by(5.0))  # type: ignore[union-attr]
    spent = replace(whole, wall_seconds=6.0, cpu_seconds=12.0)
    third = within(spent, range(4))
    assert third is not None
    assert (third.wall_seconds, third.cpu_seconds) == (2.0, 4.0)
    disjoint = pooled([outcome(seeds="0:3"), outcome(seeds="3:12")])[0]
    assert disjoint.trajectory.evaluations_by(9.0) == whole.trajectory.evaluations_by(9.0)


def test_a_selection_keeps_what_it_names() -> None:
    every = [outcome(a, table=t) for t in (3, 4) for a in ("rs", "re")]
    assert labels(Selection(algo=["re"]).of(every)) == ["re 3 0:6", "re 4 0:6"]
    assert labels(Selection(bench=["*/4"], seeds=range(2, 4)).of(every)) == ["rs 4 2:4", "re 4 2:4"]
    assert labels(Selection(algo=["re", "rs"], bench=["synthetic/3"]).of(every)) == ["re 3 0:6", "rs 3 0:6"]
    for wrong, message in (
        (Selection(algo=["r"]), "unknown algorithm among the results 'r'"),
        (Selection(bench=["synthetic/5"]), "unknown benchmark among the results"),
        (Selection(budget=1e5), "no study has a budget of 100000. there are inf."),
        (Selection(seeds=range(40, 50)), "no study has seeds of 40:50. there are 0:6"),
    ):
        with pytest.raises(HarnessError, match=re.escape(message)):
            wrong.of(every)


def test_what_cannot_be_compared_is_left_out_and_said() -> None:
    kept, told = comparable([outcome("rs"), outcome("re"), outcome("ls", noise="mean")], paired=True)
    assert labels(kept) == ["rs 3 0:6", "re 3 0:6"]
    assert "its noise is mean, not sampled" in told[0]
    kept, told = comparable([outcome("rs", "0:40"), outcome("re", "0:40"), outcome("ls", "3:6")], paired=True)
    assert labels(kept) == ["rs 3 0:40", "re 3 0:40"]
    assert "it has the seeds 3:6, not 0:40 (--seeds 3:6 compares all)" in told[0]
    kept, told = comparable([outcome("rs", "0:40"), outcome("re", "2:39")], paired=True)
    assert labels(kept) == ["rs 3 2:39", "re 3 2:39"]
    assert "compared by the seeds 2:39" in told[0]
    kept, told = comparable([outcome("rs", "0:4"), outcome("rs", "0:9", log="all")], paired=False)
    assert labels(kept) == ["rs 3 0:9"]
    with pytest.raises(HarnessError, match="a test needs 2 seeds that two algorithms share"):
        comparable([outcome("rs", "0:1"), outcome("re", "5:6")], paired=True)


def test_ranks_are_over_what_is_complete() -> None:
    some = [outcome(a, table=t) for t in (3, 4, 5) for a in ("rs", "re")]
    kept, told = completed([*some, outcome("ls", table=3)])
    assert labels(kept) == labels(some)
    assert told == ["ls is left out of ranks: it has no study on synthetic/4, synthetic/5."]
    kept, told = completed([*some, outcome("rs", table=6)])
    assert told == ["synthetic/6 is left out of ranks: it has no study of re."]
    with pytest.raises(HarnessError, match="no two algorithms"):
        completed([outcome("rs", table=3), outcome("re", table=4)])


def test_the_commands_select(harness: Callable[..., Any], tmp_path: Path) -> None:
    for words in (
        "--algo rs,re --seeds 12 --evals 20",
        "--algo re --param re.population=5 --seeds 3:7 --evals 20",
        "--algo ls --seeds 12 --evals 9",
        "--algo rs --seeds 12:15 --evals 20",
    ):
        assert harness("run", "--bench", "nb201", "--processes", 1, *shlex.split(words)).status == 0
    answer = harness("compare", "results")
    assert answer.status == 0
    assert "its evals is 9, not 20" in answer.err
    assert "it has the seeds 3:7, not 0:12 (--seeds 3:7 compares all)" in answer.err
    assert "the seeds 0:12, which they share" in answer.err
    assert "12 seeds" in answer.out
    assert "re(population=5)" in harness("compare", "results", "--seeds", "3:7", "--algo", "re*").out
    assert harness("report", "results", "-o", "page.html").status == 0
    assert harness("report", "results", "--algo", "rs,re", "-o", "p.html").status == 0
    assert "harness plot results --algo rs,re" in Path("p.html").read_text(encoding="utf-8")
    assert harness("plot", "results", "--figure", "ranks", "-o", "ranks.png").status == 0
    assert harness("plot", "results", "--algo", "ls", "-o", "ls.png").status == 0
    shown = harness("show", "results", "--algo", "rs", "--seeds", "0:5")
    assert " 5 " in shown.out
    harness("compare", "results", "--algo", "rx").refuses("unknown algorithm among the results 'rx'", "did you mean")
    harness("show", "nb201", "--algo", "re").refuses("there are no results at nb201", "harness run")


def test_what_an_algorithm_is_on_one_fidelity_is_said() -> None:
    made = [outcome(name, max_fidelity=1) for name in ("rs", "hb")]
    (told,) = peculiarities(made)
    assert told.startswith("hb on synthetic/3: ")
    assert "random search" in told
    assert told in [text.get_text() for text in draw(made, {}).texts]
    assert not peculiarities([outcome("hb")])
    assert len(draw([outcome("hb")], {}).texts) < len(draw(made, {}).texts)


def test_an_unfinished_study_is_said_to_be(
    harness: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.studies.study.SHARD", 2)
    planned = Study.plan(registry.benchmark("nb201"), "rs", {}, 0, 7, Rules(evals=3))
    store = ResultStore(tmp_path / "results")
    for shard in planned.shards[1:3]:
        store.add(evaluate(planned, shard))
    told = f"rs on nb201/cifar10 ({planned.id}) is unfinished: 4 of 7 seeds"
    harness("show", "results").refuses(f"no finished study in results. {told}", "harness run")
    run([replace(planned, first=9, stop=10)], store, evaluate)
    assert told in harness("show", "results").err
    shutil.copytree("results", "copy")
    assert harness("show", "results", "results/../results", "copy").err.count(told) == 1
    assert told in h.load(tmp_path / "results").notes[0]
    run([planned], store, evaluate)
    assert "unfinished" not in harness("show", "results").err
    assert "1 " in harness("show", "results").out


def test_configurations_are_shown_by_seed(harness: Callable[..., Any]) -> None:
    harness("run", "--algo", "rs", "--bench", "nb201,fcnet", "--seeds", 2, "--evals", 3, "--processes", 1)
    rows = json.loads(harness("show", "results", "--per-seed", "--json").out)
    for row in rows:
        table = registry.benchmark(row["benchmark"])
        decoded = {name: value for name, value in row["configuration"].items() if name != "architecture"}
        assert decoded == table.space.to_dict(table.codes[row["row"]])
    shown = "".join(harness("show", "results", "--per-seed").out.split())
    for row in rows:
        text = row["configuration"].get("architecture", f"batch_size={row['configuration'].get('batch_size')}")
        assert "".join(text.split())[:20] in shown


def test_machines_that_run_a_range_each_are_joined(harness: Callable[..., Any], tmp_path: Path) -> None:
    for i in range(4):
        words = ("--algo", "rs,re", "--bench", "nb201", "--seeds", f"{5 * i}:{5 * i + 5}", "--evals", 20)
        assert harness("run", *words, "--processes", 1, "--out", f"m{i}").status == 0
    folders = sorted(p.name for p in tmp_path.glob("m*/"))
    answer = harness("compare", *folders)
    assert "20 seeds" in answer.out
    assert "note" not in answer.err
    assert harness("plot", *folders, "-o", "joined.png").status == 0
    assert harness("export", "curves", *folders, "-o", "c.csv").status == 0
    (rs, re_) = gathered(map(Path, folders), Selection())
    assert spans(rs.trajectory.seeds) == spans(re_.trajectory.seeds) == "0:20"


README = re.search(r"## Use\n\n```sh\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


def test_the_readme_block_runs_as_it_stands_in_order(harness: Callable[..., Any]) -> None:
    """With fewer seeds and shorter runs; what trains for real is left out, other tests run that."""
    ran = 0
    assert README is not None
    for line in README[1].splitlines():
        words = shlex.split(line.replace("--seeds 500", "--seeds 24").replace("17:42", "17:22"), comments=True)
        if words[1] in ("run", "show", "plot", "compare", "report", "list", "data"):
            budget = ["--budget", "3e5"] if words[1] == "run" and "--budget" not in words else []
            answer = harness(*(w.replace("1e5,1e6", "1e5").replace("1e6", "3e5") for w in words[1:]), *budget)
            assert answer.status == 0, f"{line}: {answer.err}"
            ran += 1
    assert ran >= 12
