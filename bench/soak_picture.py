"""Draws the memory of several nodes over time as one SVG, which needs nothing beside itself."""

from xml.sax.saxutils import escape

__all__ = ['draw']

WIDTH, LEFT, RIGHT = 900, 70, 20
HEIGHT, TOP, FOOT = 110, 30, 30
LEAST_RANGE = 2.0
"""Least height of a strip [MB]: noise of a few pages must not look like a mountain."""


def draw(series, notes, warm):
    """Draw one strip for each node.

    Args:
        series: by node, (minutes, MB) in the order of time.
        notes: by node, what is written beside its name.
        warm: minutes before which it is shaded, since it was left out of account.

    Returns:
        The text of the SVG.
    """
    last = max(at for points in series.values() for at, _ in points)
    height = len(series) * HEIGHT + FOOT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>']
    for number, (name, points) in enumerate(series.items()):
        parts += strip(name, points, notes[name], warm, last, number * HEIGHT)
    for tick in range(6):
        at = tick * last / 5
        parts.append(text(across(at, last), height - 10, f'{at:.3g} min', 'middle'))
    return '\n'.join([*parts, '</svg>']) + '\n'


def strip(name, points, note, warm, last, above):
    """Draw one node."""
    sizes = [size for _, size in points]
    middle = (max(sizes) + min(sizes)) / 2
    half = max(max(sizes) - min(sizes), LEAST_RANGE) / 2
    bottom = above + HEIGHT - 8

    def up(size):
        return bottom - (size - middle + half) / (2 * half) * (HEIGHT - TOP - 8)

    line = ' '.join(f'{across(at, last):.1f},{up(size):.1f}' for at, size in points)
    right = across(last, last)
    return [
        text(LEFT, above + 20, f'{name}: USS, {note}'),
        f'<rect x="{LEFT}" y="{above + TOP - 4}" width="{across(warm, last) - LEFT:.1f}" '
        f'height="{HEIGHT - TOP}" fill="#eee"/>',
        f'<path d="M{LEFT} {above + TOP - 4}V{bottom + 4}H{right:.1f}" '
        f'fill="none" stroke="#888"/>',
        text(LEFT - 6, up(middle + half) + 8, f'{middle + half:.1f} MB', 'end'),
        text(LEFT - 6, up(middle - half), f'{middle - half:.1f} MB', 'end'),
        f'<polyline points="{line}" fill="none" stroke="#0a58ca" stroke-width="1.5"/>']


def across(at, last):
    """Give the x of a time."""
    return LEFT + at / last * (WIDTH - LEFT - RIGHT)


def text(x, y, words, anchor='start'):
    """Write words."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
