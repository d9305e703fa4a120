"""The colours of algorithms can be told apart, whatever colours one sees; numbers of CIE's difference are simulated."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from harness.plots.style import COLOURS, styles
from harness.report.page import ON_DARK

VISIONS = {
    "whole": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
"""Matrices on linear RGB at severity 1 (Machado, Oliveira and Fernandes 2009)."""

XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def lab(colour: str, vision: str = "whole") -> np.ndarray:
    """CIELAB of an sRGB colour `#rrggbb` (D65) as somebody of this vision sees it."""
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    x, y, z = XYZ @ np.clip(np.array(VISIONS[vision]) @ linear, 0, 1) / XYZ.sum(axis=1)
    fx, fy, fz = (np.cbrt(t) if t > 216 / 24389 else (24389 / 27 * t + 16) / 116 for t in (x, y, z))
    return np.array([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)])


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """CIEDE2000 (Sharma, Wu and Dalal 2005)."""
    (l1, a1, b1), (l2, a2, b2) = one, other
    c7 = ((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2) ** 7
    g = 1.5 - np.sqrt(c7 / (c7 + 25.0**7)) / 2
    c1, c2 = np.hypot(a1 * g, b1), np.hypot(a2 * g, b2)
    h1, h2 = np.degrees(np.arctan2([b1, b2], [a1 * g, a2 * g])) % 360
    turn = 0.0 if c1 * c2 == 0 else (h2 - h1 + 180) % 360 - 180
    light, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    hue = h1 + h2 if c1 * c2 == 0 else h1 + turn / 2
    cosines = np.cos(np.radians([hue - 30, 2 * hue, 3 * hue + 6, 4 * hue - 63]))
    t = 1 + np.dot([-0.17, 0.24, 0.32, -0.20], cosines)
    rotation = -2 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7))
    rotation *= np.sin(np.radians(60 * np.exp(-((((hue - 275 + 180) % 360 - 180) / 25) ** 2))))
    dl = (l2 - l1) / (1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2))
    dc = (c2 - c1) / (1 + 0.045 * chroma)
    dh = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2)) / (1 + 0.015 * chroma * t)
    return float(np.sqrt(dl**2 + dc**2 + dh**2 + rotation * dc * dh))


@pytest.mark.parametrize(
    ("one", "other", "published"),
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, -1, 2), (50, 0, 0), 2.3669),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((6.7747, -0.2908, -2.4247), (5.8714, -0.0985, -2.2286), 0.6377),
    ],
)
def test_the_difference_is_the_published_one(
    one: tuple[float, ...], other: tuple[float, ...], published: float
) -> None:
    """Pairs 1, 7, 17 and 33 of the data of Sharma, Wu and Dalal."""
    assert difference(np.array(one), np.array(other)) == pytest.approx(published, abs=1e-4)


@pytest.mark.parametrize("vision", VISIONS)
def test_every_pair_of_colours_can_be_told_apart(vision: str) -> None:
    for palette, least in ((COLOURS, 17.0), (ON_DARK, 13.0)):
        seen = [lab(colour, vision) for colour in palette]
        assert len(seen) == 8
        assert min(difference(a, b) for a, b in combinations(seen, 2)) >= least


@pytest.mark.parametrize("vision", VISIONS)
def test_the_headline_pair_is_far_apart(vision: str) -> None:
    one, other = (styles(["re", "gpnas"])[name]["color"] for name in ("re", "gpnas"))
    assert difference(lab(one, vision), lab(other, vision)) >= 17.0


def test_colours_stand_out_from_paper() -> None:
    white = lab("#FFFFFF")
    assert min(difference(lab(colour), white) for colour in COLOURS) > 24.0


def test_searches_for_several_objectives_look_the_same_in_any_company() -> None:
    names = ["rs", "nsga2", "mo-re", "motpe", "moasha"]
    together = styles(names)
    assert len({look["color"] for look in together.values()}) == len(names)
    for name in names:
        assert styles([name])[name] == together[name] == styles([name, "re", "tpe", "bohb"])[name]
