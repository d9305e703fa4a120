"""Plots that need no script, as SVG: axes, and a place on them for everything else."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from matplotlib.ticker import MaxNLocator

from harness.report.markup import Node, element

_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 366.0, 10.0, 262.0
_WIDTH, _HEIGHT = 388, 304


@dataclass(frozen=True)
class Axis:
    """An axis of numbers from `low` to `high`, drawn from `start` to `stop`, with labelled `ticks`."""

    label: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    start: float
    stop: float
    log: bool = False

    def at(self, value: float) -> float:
        """Where a value lies."""
        low, high, here = (math.log(x) if self.log else x for x in (self.low, self.high, value))
        return self.start + (here - low) / (high - low) * (self.stop - self.start)


def span(values: Iterable[float]) -> tuple[float, float, list[tuple[float, str]]]:
    """An interval that holds all `values` with some room, and the ticks in it."""
    found = [*values]
    low, high = min(found), max(found)
    room = 0.07 * (high - low) or 0.05 * abs(high) or 1.0
    low, high = low - room, high + room
    ticks = [float(tick) for tick in MaxNLocator(4).tick_values(low, high) if low <= tick <= high]
    return low, high, [(tick, f"{tick:.6g}") for tick in ticks]


def across(label: str, low: float, high: float, ticks: Sequence[tuple[float, str]], *, log: bool = False) -> Axis:
    """The x axis."""
    return Axis(label, low, high, ticks, _LEFT, _RIGHT, log)


def upwards(label: str, low: float, high: float, ticks: Sequence[tuple[float, str]]) -> Axis:
    """The y axis."""
    return Axis(label, low, high, ticks, _BOTTOM, _TOP)


def plot(caption: str, spoken: str, x: Axis, y: Axis, marks: Iterable[Element]) -> Element:
    """A figure of `marks` on the axes `x` and `y`; `spoken` is what it shows, for those who do not see it."""
    parts = []
    for value, text in x.ticks:
        here = f"{x.at(value):.1f}"
        parts += [_rule(here, here, _TOP, _BOTTOM), _text(text, here, _BOTTOM + 16)]
    for value, text in y.ticks:
        here, below = f"{y.at(value):.1f}", f"{y.at(value) + 4:.1f}"
        parts += [_rule(_LEFT, _RIGHT, here, here), _text(text, _LEFT - 6, below, anchor="end")]
    parts.append(element("path", d=f"M{_LEFT} {_TOP}V{_BOTTOM}H{_RIGHT}", class_="axis"))
    parts.append(_text(x.label, (_LEFT + _RIGHT) / 2, _HEIGHT - 8, class_="title"))
    turned = f"translate(12 {(_TOP + _BOTTOM) / 2}) rotate(-90)"
    parts.append(element("text", y.label, transform=turned, text_anchor="middle", class_="title"))
    drawing = element(
        "svg", *parts, *marks, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img", aria_label=spoken, class_="still"
    )
    return element("figure", element("figcaption", caption), drawing)


def _rule(x1: object, x2: object, y1: object, y2: object) -> Element:
    return element("line", x1=x1, x2=x2, y1=y1, y2=y2, class_="grid")


def _text(text: Node, x: object, y: object, *, anchor: str = "middle", class_: str | None = None) -> Element:
    return element("text", text, x=x, y=y, text_anchor=anchor, class_=class_)
