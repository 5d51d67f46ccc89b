"""Charts as inline SVG, drawn without a library: their colours are classes of the page's style."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

__all__ = ['Bar', 'Range', 'Series', 'ranges', 'stacked', 'waterfall']

WIDTH = 860
LABEL = 146
RIGHT = 74
ROW = 26
FOOT = 26
LOWEST = 0.01
"""A logarithmic axis begins here at the earliest: what is less lies on it."""

Scale = Callable[[float], float]


@dataclass(frozen=True)
class Bar:
    """A row of a waterfall.

    Attributes:
        name: of the row.
        begin: on the axis.
        end: on the axis.
        early: where its first part ends, that is drawn pale; begin: none of it.
        style: class of its colour.
    """

    name: str
    begin: float
    end: float
    early: float
    style: str


@dataclass(frozen=True)
class Range:
    """A row of percentiles; target None: none."""

    name: str
    low: float
    middle: float
    high: float
    most: float
    target: float | None
    style: str


@dataclass(frozen=True)
class Series:
    """One layer of a stacked chart: a value at each time."""

    name: str
    values: Sequence[float]


def waterfall(bars: Sequence[Bar], marks: Sequence[tuple[float, str]], unit: str) -> str:
    """Draw durations one below the other, on a linear axis with named vertical marks."""
    least = min([0.0, *(bar.begin for bar in bars)])
    most = max([bar.end for bar in bars] + [at for at, _ in marks] + [least + 1e-3])
    scale = _linear(least, most, LABEL, WIDTH - RIGHT)
    height = 22 + ROW * len(bars) + FOOT
    parts = [*_axis(scale, _ticks(least, most), 22, height - FOOT, unit)]
    for row, bar in enumerate(bars):
        y = 22 + ROW * row
        x, early, right = scale(bar.begin), scale(bar.early), scale(bar.end)
        length = f'{bar.end - bar.begin:.2f} {unit}'
        told = f'{bar.name}: {length}, {bar.begin:.2f} to {bar.end:.2f} {unit}'
        parts += [_text(LABEL - 10, y + 17, bar.name, 'name end'),
                  _text(right + 6, y + 17, length, 'value')]
        if bar.early > bar.begin:
            parts.append(_rect(x, y + 5, max(1.0, early - x), ROW - 10, 'early', told))
        if bar.end > bar.early or bar.end == bar.begin:
            parts.append(_rect(early, y + 5, max(1.0, right - early), ROW - 10, bar.style, told))
    for number, (at, name) in enumerate(marks):
        x = scale(at)
        # The first is named on its left, the last on its right: they may lie close together.
        left = number < len(marks) - 1 and x > LABEL + 60
        parts += [_line(x, 14, x, height - FOOT, 'mark'),
                  _text(x - 5 if left else x + 5, 12, name, 'value end' if left else 'value')]
    return _svg(height, parts, 'waterfall of one utterance')


def ranges(rows: Sequence[Range], unit: str) -> str:
    """Draw percentiles on a logarithmic axis: p50 to p95 as a bar, a line to the highest value."""
    most = max([LOWEST * 10, *(row.most for row in rows), *(row.target or 0.0 for row in rows)])
    least = 10.0 ** math.floor(math.log10(
        max(LOWEST, min([most / 10, *(row.low for row in rows)]))))
    scale = _logarithmic(least, most, LABEL, WIDTH - RIGHT)
    height = 8 + ROW * len(rows) + FOOT
    decades = range(round(math.log10(least)), math.ceil(math.log10(most)) + 1)
    ticks = [10.0 ** power for power in decades if 10.0 ** power <= most]
    parts = [*_axis(scale, ticks, 8, height - FOOT, unit)]
    for index, row in enumerate(rows):
        y = 8 + ROW * index
        middle, high = scale(row.middle), scale(row.high)
        told = (f'{row.name}: p50 {row.middle:.2f}, p95 {row.high:.2f}, highest {row.most:.2f} '
                f'{unit}')
        parts += [_text(LABEL - 10, y + 17, row.name, 'name end'),
                  _line(scale(row.low), y + ROW / 2, scale(row.most), y + ROW / 2, 'whisker'),
                  _rect(middle, y + 6, max(2.0, high - middle), ROW - 12, row.style, told),
                  _text(WIDTH - RIGHT + 8, y + 17, f'{row.high:.2f}', 'value')]
        if row.target is not None:
            x = scale(row.target)
            parts.append(_line(x, y + 3, x, y + ROW - 3, 'target', f'target {row.target:g}'))
    return _svg(height, parts, 'percentiles of each stage')


def stacked(times: Sequence[float], series: Sequence[Series], unit: str) -> str:
    """Draw layers over time, each on top of the ones before."""
    height, top = 220, 10
    sums = [sum(one.values[index] for one in series) for index in range(len(times))]
    across = _linear(times[0], max(times[-1], times[0] + 1e-3), 54, WIDTH - RIGHT)
    up = _linear(0.0, max([*sums, 1e-3]) * 1.05, height - FOOT, top)
    parts = [_line(54, up(tick), WIDTH - RIGHT, up(tick), 'grid')
             for tick in _ticks(0.0, max(sums))]
    parts += [_text(46, up(tick) + 4, f'{tick:g}', 'value end')
              for tick in _ticks(0.0, max(sums))]
    parts += [_text(across(tick), height - 8, f'{tick:g} s', 'value middle')
              for tick in _ticks(times[0], times[-1])]
    below = [0.0] * len(times)
    for index, one in enumerate(series):
        above = [low + value for low, value in zip(below, one.values, strict=True)]
        edge = [(across(at), up(value)) for at, value in zip(times, above, strict=True)]
        edge += [(across(at), up(value))
                 for at, value in zip(reversed(times), reversed(below), strict=True)]
        points = ' '.join(f'{x:.1f},{y:.1f}' for x, y in edge)
        mean = sum(one.values) / len(times)
        parts.append(f'<polygon class="c{index % 6}" points="{points}">'
                     f'<title>{html.escape(one.name)}: mean {mean:.2f} {unit}</title></polygon>')
        below = above
    parts.append(_text(WIDTH - RIGHT + 6, up(sums[-1]) + 4, f'{sums[-1]:.2f} {unit}', 'value'))
    return _svg(height, parts, f'{unit} over time')


def _axis(scale: Scale, ticks: Sequence[float], top: float, bottom: float, unit: str,
          ) -> Iterator[str]:
    for tick in ticks:
        x = scale(tick)
        yield _line(x, top, x, bottom, 'grid')
        yield _text(x, bottom + 16, f'{tick:g}', 'value middle')
    yield _text(WIDTH - RIGHT + 8, bottom + 16, unit, 'value')


def _ticks(least: float, most: float) -> list[float]:
    """About six round numbers from least to most."""
    span = max(most - least, 1e-9)
    step = 10.0 ** math.floor(math.log10(span / 6))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= 7)
    first = math.ceil(least / step - 1e-9)
    return [round(index * step, 9) for index in range(first, math.floor(most / step + 1e-9) + 1)]


def _linear(least: float, most: float, begin: float, end: float) -> Scale:
    return lambda value: begin + (value - least) / (most - least) * (end - begin)


def _logarithmic(least: float, most: float, begin: float, end: float) -> Scale:
    inner = _linear(math.log(least), math.log(most), begin, end)
    return lambda value: inner(math.log(max(value, least)))


def _svg(height: float, parts: Sequence[str], label: str) -> str:
    return (f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{html.escape(label)}">'
            f'{"".join(parts)}</svg>')


def _text(x: float, y: float, text: str, style: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{style}">{html.escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, style: str, title: str = '') -> str:
    told = f'<title>{html.escape(title)}</title>' if title else ''
    return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{style}">'
            f'{told}</line>')


def _rect(x: float, y: float, width: float, height: float, style: str, title: str) -> str:
    return (f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2" '
            f'class="{style}"><title>{html.escape(title)}</title></rect>')
