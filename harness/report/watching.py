"""What is heard of assignments while they are done, on stderr."""

from __future__ import annotations

import math
from typing import Any

from rich.progress import Progress, TaskID

from harness.train.loop import Task, Watch
from harness.train.pool import Assignment


class Noted(Watch):
    """Prints the notes of an assignment above bars."""

    def __init__(self, bars: Progress, assignment: Assignment[Any, Any]) -> None:
        self.bars, self.assignment = bars, assignment

    def note(self, text: str) -> None:
        if not self.bars.disable:
            self.bars.console.print(f"note: {self.assignment.label}: {text}")


class Searched(Noted):
    """Moves a bar by the epochs of a search by weight sharing; where it is one of `several`, the bar says which."""

    def __init__(self, bars: Progress, bar: TaskID, assignment: Assignment[Any, Any], *, several: bool) -> None:
        super().__init__(bars, assignment)
        self.bar, self.epochs = bar, 0
        self.which = f"{assignment.label}: " if several else ""

    def epoch(self, job: Task, epoch: int, row: dict[str, float]) -> None:
        self._whole(epoch)
        if math.isfinite(accuracy := row["val_accuracy"]):
            self.bars.update(self.bar, note=f"{self.which}one-shot accuracy {accuracy:.1%}")

    def end(self) -> None:
        """Nothing more will be heard of it."""
        self._whole(self.assignment.job.recipe.epochs)

    def _whole(self, epochs: int) -> None:
        self.bars.update(self.bar, advance=epochs - self.epochs)
        self.epochs = epochs
