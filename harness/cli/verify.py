"""`harness verify`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from harness import escapes
from harness.errors import HarnessError


@click.command("verify", short_help="Check that stored results are what was written.")
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(results: tuple[Path, ...], as_json: bool) -> None:
    """Read all that is stored in RESULTS, files or folders, and compare it with the digests that it was written with.

    Studies, predictions, trainings, searches, and shards and checkpoints of what is not finished. Damaged files are
    named, and so are studies of one run with different numbers for the same seed; the command exits with 2.
    """
    from harness.train.stored import checked

    found = checked(results)
    wrong = [check for check in found if check.wrong]
    bare = sum(not check.protected for check in found)
    if as_json:
        rows = [{"file": str(c.path), "whole": not c.wrong, "digest": c.protected, "wrong": c.wrong} for c in found]
        click.echo(json.dumps(rows, indent=1))
    else:
        for sentence in dict.fromkeys(check.wrong for check in wrong):
            click.echo(escapes.plain(sentence))
        older = f"; {bare} of an earlier version have no digest, and are readable" if bare else ""
        click.echo(f"{len(found) - len(wrong)} of {len(found)} files are what was written{older}.", err=True)
    damaged = sum(not check.contradicted for check in wrong)
    if damaged:
        raise HarnessError(
            f"{damaged} of {len(found)} files are damaged.",
            "move them away, and run the commands that made them again: what is whole is kept.",
        )
    if wrong:
        raise HarnessError(
            f"{len(wrong)} of {len(found)} files have different numbers for the same seeds.",
            "keep the one of them that is right, and move the others away.",
        )
