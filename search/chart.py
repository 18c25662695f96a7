"""A line over runs, as points in an SVG of a fixed size (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 720, 220
"""Of the picture, in its own units."""
LEFT, RIGHT, TOP, BOTTOM = 40, 12, 12, 28
"""Margins, which hold the words at the axes."""


@dataclass(frozen=True)
class Point:
    """A value, and where it lies."""

    x: float
    y: float
    value: float
    label: str


@dataclass(frozen=True)
class Chart:
    """One line. Values are from 0 to 1."""

    points: tuple[Point, ...]
    lines: tuple[Point, ...]
    """The lines across, and what is written at them."""

    width, height, left, right = WIDTH, HEIGHT, LEFT, WIDTH - RIGHT

    @property
    def path(self) -> str:
        """The points, as a polyline has them."""
        return " ".join(f"{one.x:.1f},{one.y:.1f}" for one in self.points)

    @property
    def first(self) -> Point:
        """The oldest point."""
        return self.points[0]

    @property
    def last(self) -> Point:
        """The newest point."""
        return self.points[-1]


def chart(values: Sequence[tuple[str, float]]) -> Chart | None:
    """The line through these labelled values, which are from 0 to 1; None where there are fewer than two."""
    if len(values) < 2:
        return None
    step = (WIDTH - LEFT - RIGHT) / (len(values) - 1)
    points = tuple(
        Point(LEFT + place * step, _height(value), value, label) for place, (label, value) in enumerate(values)
    )
    lines = tuple(Point(LEFT, _height(value), value, f"{value:.2f}") for value in (0.0, 0.25, 0.5, 0.75, 1.0))
    return Chart(points, lines)


def _height(value: float) -> float:
    return TOP + (1 - value) * (HEIGHT - TOP - BOTTOM)
