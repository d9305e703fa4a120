"""The page of claims: a section for each, with its verdict, its numbers and a figure, replaced one by one."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.analysis.claims import Finding, overall, seeds_to_decide
from harness.analysis.reproduction import Reproduction
from harness.errors import HarnessError
from harness.files import output
from harness.numbers import ratio

if TYPE_CHECKING:
    from harness.analysis.quality import QualityStudy
    from harness.studies.study import Study

_MANY = 100_000
"""Seeds above which an estimate is told to be about what is claimed."""
_MARK = "<!-- {} -->"
_SECTION = re.compile(r"^<!-- ([\w-]+) -->\n(.*?)(?=^<!-- |\Z)", flags=re.MULTILINE | re.DOTALL)
_VERDICT = re.compile(r"^Verdict: \*\*(.*?)\*\*", flags=re.MULTILINE)
_HEAD = """# Claims, tested

Made by `harness reproduce claims --write docs/claims.md`, which runs what is not there yet; `--seeds` makes it shorter.

Every estimate is written so that larger numbers favour the claim. A part of a claim holds if its whole interval is
above what is claimed, does not hold if its whole interval is below, and is undecided otherwise. A claim holds if all
its judged parts do, does not hold if one of them does not, and is undecided otherwise. Intervals of means
by seed are Student's, others of the bootstrap over whole seeds; they hold all judged parts of a claim at once with 95 %
confidence (Bonferroni), and those of parts that are only told hold one by one. Beside an undecided part stands how many
seeds would decide it, if its estimate were the truth and intervals shrank by the root of their number. Where a
verdict has no claimed number it is of a test that found the algorithm worse than the best at that time:
Wilcoxon's signed-rank test, paired by seed, corrected by Holm over the algorithms and times
of a benchmark, at the level 0.05. Where that test finds nothing, nothing is said for the claim.

Late regret is bounded by the noise of single observations: the incumbent is the best *observed* result.
"""


def grid(findings: Sequence[Finding], seeds: int) -> list[tuple[str, ...]]:
    """Texts of findings on so many seeds: benchmark, what, estimate with its interval, what is claimed, verdict."""
    return [
        (f.benchmark, f.what, ratio(*f.estimate), "" if f.claimed is None else f"> {f.claimed:g}", _verdict(f, seeds))
        for f in findings
    ]


def _verdict(finding: Finding, seeds: int) -> str:
    """What would decide a part stands beside it, where that can be told."""
    if finding.verdict != "undecided":
        return finding.verdict or ""
    needed = seeds_to_decide(finding, seeds)
    if math.isnan(needed):
        return "undecided: too few runs arrive"
    return f"undecided: {_approximately(needed)} seeds would tell" if needed < _MANY else "undecided: about equal"


def _approximately(count: float) -> str:
    """Two digits, rounded up."""
    unit = 10 ** max(math.floor(math.log10(count)) - 1, 0)
    return f"about {math.ceil(count / unit) * unit:,}"


COLUMNS = ("benchmark", "statistic", "estimate", "claimed", "verdict")


def sentence(recipe: Reproduction, findings: Sequence[Finding], seeds: int) -> str:
    """What the studies say of a claim, to quote."""
    judged = [finding.verdict for finding in findings if finding.verdict]
    counts = ", ".join(f"{judged.count(verdict)} {verdict}" for verdict in sorted({*judged}))
    return f"{recipe.name}: {overall(findings)} ({counts}; {seeds} seeds). {(recipe.claim or {})['says']}"


def section(
    recipe: Reproduction,
    findings: Sequence[Finding],
    studies: Sequence[Study | QualityStudy],
    figures: Sequence[Path],
    versions: Mapping[str, str],
) -> str:
    """The section of a claim that was tested on `studies`; `figures` are relative to the page."""
    rows = "\n".join("| " + " | ".join(cells) + " |" for cells in grid(findings, len(studies[0].seeds)))
    ids = ", ".join(f"{study.label} on {study.benchmark} `{study.id}`" for study in studies)
    seeds = f"{studies[0].first}:{studies[0].stop}"
    pictures = "\n\n".join(f"![{recipe.title}]({figure.as_posix()})" for figure in figures)
    made = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    return (
        f"{_opening(recipe)}\n\nVerdict: **{overall(findings)}**, {len(studies[0].seeds)} seeds.\n\n"
        f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}\n{rows}\n\n{pictures}\n\n"
        f"Made by `harness reproduce {recipe.name} --seeds {seeds}` ({made}) of {ids}.\n"
    )


def untested(recipe: Reproduction) -> str:
    """The section of a claim that was never tested, for want of tables."""
    absent = ", ".join(recipe.absent)
    return (
        f"{_opening(recipe)}\n\nVerdict: **not tested**: {absent} must be imported first (`harness data list`), then "
        f"`harness reproduce {recipe.name}`.\n"
    )


def _opening(recipe: Reproduction) -> str:
    claim = recipe.claim or {}
    note = f"\n\n{claim['note']}" if "note" in claim else ""
    return f"## {recipe.title}\n\n{claim['says']} ({recipe.source}){note}"


def update(path: Path, sections: Mapping[str, str], untested: Mapping[str, str]) -> None:
    """Put `sections` in their places on the page; `untested` ones only where the page has none yet.

    The other sections stay as they are. Raises HarnessError if the page cannot be read or written.
    """
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise HarnessError(f"cannot read the page {path}: {error}.", "choose another --write.") from None
    if text.strip() and not _SECTION.search(text):
        raise HarnessError(f"{path} is no page of claims: it has other text.", "choose another --write.")
    kept = {**untested, **{name: body.strip() + "\n" for name, body in _SECTION.findall(text)}, **sections}
    kept = dict(sorted(kept.items()))
    overview = "| claim | verdict |\n|---|---|\n" + "".join(
        f"| {_title(body)} | {_said(body)} |\n" for body in kept.values()
    )
    bodies = "\n".join(f"{_MARK.format(name)}\n\n{body}" for name, body in kept.items())
    with output(path) as temporary:
        temporary.write_text(f"{_HEAD}\n{overview}\n{bodies}", encoding="utf-8")


def _title(body: str) -> str:
    return next((line[3:] for line in body.splitlines() if line.startswith("## ")), "")


def _said(body: str) -> str:
    found = _VERDICT.search(body)
    return found.group(1) if found else ""
