"""Running studies with a bar for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.report import tables
from harness.studies import run as running
from harness.studies.executors import Executor
from harness.studies.records import R
from harness.studies.run import Work
from harness.studies.runs import J, Store


def run(
    studies: Sequence[J],
    store: Store[J, R],
    work: Work[J, R],
    where: Executor,
    *,
    heard: Callable[[J, float], None] = lambda _job, _share: None,
    failed: Callable[[J, Exception], None] | None = None,
    quiet: bool = False,
) -> None:
    """Bring to the store the studies that it does not have yet, as `studies.run` does, with bars on stderr.

    `heard` is called with a study and the done share of its seeds, `failed` with one and what it failed by.
    """
    present = {study.id for study in studies if store.complete(study)}
    with tables.progress(studies, present, quiet=quiet, status=lambda: where.status) as progress:

        def told(study: J, share: float) -> None:
            progress(study, share)
            heard(study, share)

        running.run(studies, store, work, executor=where, progress=told, failed=failed)
