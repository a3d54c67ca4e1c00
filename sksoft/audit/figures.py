"""Figures of the report as inline SVG: they draw what the tables beside them hold.

Colours are those of Okabe and Ito, told apart by people with any colour vision; shape or position always says the same.
Sizes are in CSS pixels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sksoft.audit.formatting import number, percent, shortened
from sksoft.audit.markup import Markup, joined, tag

BLUE, VERMILION, GREY, LIGHT, INK = "#0072B2", "#D55E00", "#6B7280", "#E5E7EB", "#1F2933"
ROW = 22
LABELS = 200
STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)


@dataclass(frozen=True)
class Axis:
    """Maps [low, high] to pixels [start, end]."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value) -> float:
        span = (self.high - self.low) or 1.0
        return float(self.start + (min(max(value, self.low), self.high) - self.low) / span * (self.end - self.start))


def figure(svg: Markup, caption, title: str | None = None) -> Markup:
    """A figure with its caption below, or a title above it."""
    if title is not None:
        return tag("figure", tag("figcaption", title, class_="title"), svg)
    return tag("figure", svg, tag("figcaption", caption))


def _svg(width: float, height: float, label: str, *children) -> Markup:
    box = f"0 0 {width:g} {height:g}"
    return tag("svg", *children, viewBox=box, width=f"{width:g}", height=f"{height:g}", role="img", aria_label=label)


def _text(x: float, y: float, text, anchor: str = "start", class_: str = "t", **more) -> Markup:
    return tag("text", text, x=float(x), y=float(y), text_anchor=anchor, class_=class_, **more)


def _line(x1, y1, x2, y2, colour=LIGHT, width=1.0, dashes=None) -> Markup:
    return tag(
        "line",
        x1=float(x1),
        y1=float(y1),
        x2=float(x2),
        y2=float(y2),
        stroke=colour,
        stroke_width=width,
        stroke_dasharray=dashes,
    )


def reliability(
    curve: pd.DataFrame, xlabel: str, ylabel: str, *, after: pd.DataFrame | None = None, size: int = 300
) -> Markup:
    """Observed rate against mean probability with intervals, over the share of rows in each bin.

    `after` adds a second curve, drawn with open squares.
    """
    left, top, foot, gap = 48, 12, 44, 54
    x, y = Axis(0, 1, left, left + size), Axis(0, 1, top + size, top)
    parts = [_frame(x, y, xlabel, ylabel), _line(x(0), y(0), x(1), y(1), GREY, 1.0, "4 4")]
    for frame, colour, square in ((after, VERMILION, True), (curve, BLUE, False)):
        if frame is not None:
            parts.append(_curve(frame[frame["weight"] > 0], x, y, colour, square))
    base = top + size + foot + gap
    parts.append(_histogram(curve, x, Axis(0, 1, base, base - gap + 8)))
    parts.append(_text(left + size / 2, base + 16, "share of rows in each bin", "middle"))
    return _svg(left + size + 14, base + 24, f"{ylabel} against {xlabel}", *parts)


def _frame(x: Axis, y: Axis, xlabel: str, ylabel: str) -> Markup:
    parts = []
    for tick in (0, 0.2, 0.4, 0.6, 0.8, 1):
        parts += [_line(x(tick), y(0), x(tick), y(1)), _line(x(0), y(tick), x(1), y(tick))]
        parts += [
            _text(x(tick), y(0) + 15, f"{tick:g}", "middle"),
            _text(x(0) - 6, y(tick) + 4, f"{tick:g}", "end"),
        ]
    middle = (y(0) + y(1)) / 2
    parts.append(_text((x(0) + x(1)) / 2, y(0) + 32, xlabel, "middle", "t b"))
    parts.append(_text(14, middle, ylabel, "middle", "t b", transform=f"rotate(-90 14 {middle:g})"))
    return joined(parts)


def _curve(bins: pd.DataFrame, x: Axis, y: Axis, colour: str, square: bool) -> Markup:
    parts = []
    points = " ".join(f"{x(b.mean_proba):.1f},{y(b.observed_rate):.1f}" for b in bins.itertuples())
    parts.append(
        tag(
            "polyline",
            points=points,
            fill="none",
            stroke=colour,
            stroke_width=1.2,
            stroke_dasharray="2 3" if square else None,
        )
    )
    for b in bins.itertuples():
        px, py = x(b.mean_proba), y(b.observed_rate)
        if not square:
            parts.append(_line(px, y(b.rate_low), px, y(b.rate_high), colour, 2.0))
            parts.append(tag("circle", cx=px, cy=py, r=3.5, fill=colour))
        else:
            parts.append(
                tag("rect", x=px - 3, y=py - 3, width=6, height=6, fill="#fff", stroke=colour, stroke_width=1.5)
            )
    return joined(parts)


def _histogram(curve: pd.DataFrame, x: Axis, height: Axis) -> Markup:
    shares = curve["weight"].to_numpy() / curve["weight"].sum()
    most = shares.max()
    parts = [_line(x(0), height(0), x(1), height(0), GREY)]
    for b, share in zip(curve.itertuples(), shares):
        top = height(share / most)
        left, right = x(b.bin_low), x(b.bin_high)
        width = max(right - left - 1, 0.5)
        parts.append(tag("rect", x=left + 0.5, y=top, width=width, height=height(0) - top, fill=BLUE, opacity="0.55"))
    parts.append(_text(x(0) - 6, height(1) + 8, percent(most, 0), "end"))
    return joined(parts)


def decomposition(rows: pd.DataFrame) -> Markup:
    """For each score: uncertainty, what discrimination takes away, what miscalibration adds, and the score."""
    width, bar = 640, 18
    parts, top = [], 6.0
    for row in rows.itertuples():
        start = LABELS + 10
        axis = Axis(0, max(row.uncertainty, row.value, 1e-12) * 1.02, start, width - 90)
        refined = row.uncertainty - row.discrimination
        steps = [
            (f"{row.score}: uncertainty", 0.0, row.uncertainty, GREY, number(row.uncertainty)),
            ("− discrimination", refined, row.uncertainty, BLUE, "−" + number(row.discrimination)),
            (
                "+ miscalibration",
                min(refined, row.value),
                max(refined, row.value),
                VERMILION,
                _sign(row.miscalibration),
            ),
            (f"= {row.score}", 0.0, row.value, INK, number(row.value)),
        ]
        for name, low, high, colour, said in steps:
            parts.append(_text(LABELS, top + 13, name, "end", "t b" if colour == INK else "t"))
            length = max(axis(high) - axis(low), 1.5)
            parts.append(tag("rect", x=axis(low), y=top, width=length, height=bar - 3, fill=colour))
            parts.append(_text(max(axis(high), axis(low) + length) + 6, top + 13, said))
            top += bar
        parts.append(_line(start, top - 4 * bar - 2, start, top, GREY))
        top += 14
    return _svg(width, top, "decomposition of the scores", *parts)


def _sign(value: float) -> str:
    return number(value) if value < 0 else f"+{number(value)}"


@dataclass(frozen=True)
class Panel:
    """One column of a dot plot: a title and, for every row, value and interval (NaN for none)."""

    title: str
    values: Sequence[float]
    lows: Sequence[float]
    highs: Sequence[float]
    others: Sequence[float] | None = None
    marker: float | None = None
    show: Callable = percent


def dots(names: list[str], panels: list[Panel], width: int = 860) -> Markup:
    """Values with intervals, one line per name; `others` are open diamonds, `marker` a dashed line."""
    top, height = 34, 34 + ROW * len(names) + 26
    span = (width - LABELS - 20) / len(panels)
    parts = []
    for i, name in enumerate(names):
        y = top + ROW * i + ROW / 2
        if i % 2 == 0:
            parts.append(tag("rect", x=0, y=top + ROW * i, width=width, height=ROW, fill="#F6F7F9"))
        parts.append(_text(LABELS - 8, y + 4, shortened(name, 30), "end"))
    for number_, panel in enumerate(panels):
        start = LABELS + 8 + number_ * span
        ticks = _ticks(panel)
        axis = Axis(float(ticks[0]), float(ticks[-1]), start, start + span - 44)
        parts.append(_panel(panel, ticks, axis, top, top + ROW * len(names)))
    return _svg(width, height, ", ".join(panel.title for panel in panels), *parts)


def _ticks(panel: Panel) -> np.ndarray:
    """Round numbers, evenly spaced from 0 or below to beyond all that is drawn."""
    series = [panel.values, panel.lows, panel.highs, panel.others if panel.others is not None else []]
    known = np.concatenate([np.asarray(values, dtype=np.float64) for values in series])
    known = np.append(known[np.isfinite(known)], [0.0] if panel.marker is None else [0.0, panel.marker])
    low, high = known.min(), max(known.max(), known.min() + 1e-3)
    step = next((s for s in STEPS if (high - low) / s <= 5), (high - low) / 4)
    first, last = np.floor(low / step + 1e-9), np.ceil(high / step - 1e-9)
    return np.arange(first, last + 1) * step


def _panel(panel: Panel, ticks: np.ndarray, x: Axis, top: float, bottom: float) -> Markup:
    parts = [_text((x.start + x.end) / 2, 14, panel.title, "middle", "t b")]
    for tick in ticks:
        parts += [_line(x(tick), top, x(tick), bottom), _text(x(tick), bottom + 16, panel.show(tick), "middle")]
    if panel.marker is not None:
        parts.append(_line(x(panel.marker), top - 6, x(panel.marker), bottom, VERMILION, 1.2, "5 3"))
    for i, (value, low, high) in enumerate(zip(panel.values, panel.lows, panel.highs)):
        y = top + ROW * i + ROW / 2
        if np.isfinite(low) and np.isfinite(high):
            parts.append(_line(x(low), y, x(high), y, BLUE, 2.0))
        if panel.others is not None and np.isfinite(panel.others[i]):
            px = x(panel.others[i])
            shape = f"{px:.1f},{y - 5:.1f} {px + 5:.1f},{y:.1f} {px:.1f},{y + 5:.1f} {px - 5:.1f},{y:.1f}"
            parts.append(tag("polygon", points=shape, fill="#fff", stroke=VERMILION, stroke_width=1.6))
        if np.isfinite(value):
            parts.append(tag("circle", cx=x(value), cy=y, r=3.8, fill=BLUE))
    return joined(parts)
