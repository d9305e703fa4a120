"""Ranges of seeds: what is there of them, and what is left."""

from __future__ import annotations

from collections.abc import Iterable


def overlaps(ranges: Iterable[range], span: range) -> list[range]:
    """What of the ranges is within `span`."""
    cut = (range(max(part.start, span.start), min(part.stop, span.stop)) for part in ranges)
    return [part for part in cut if part]


def joined(ranges: Iterable[range]) -> list[range]:
    """Ascending ranges, those that follow upon each other as one."""
    found: list[range] = []
    for part in ranges:
        if found and found[-1].stop == part.start:
            found[-1] = range(found[-1].start, part.stop)
        else:
            found.append(part)
    return found


def left_of(ranges: Iterable[range], stored: Iterable[range]) -> list[range]:
    """What of ascending ranges none of the `stored` has."""
    left = [*ranges]
    for gone in stored:
        sides = (
            (range(part.start, min(part.stop, gone.start)), range(max(part.start, gone.stop), part.stop))
            for part in left
        )
        left = [side for pair in sides for side in pair if side]
    return left
