"""The picture and the tables of docs/degradation.md are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

from xlerobot_asr_opt.core.degradation import EDGES
from xlerobot_asr_opt.core.degradation_signals import SIGNALS
from xlerobot_asr_opt.parameters import ManagerParameters
from xlerobot_asr_opt.records import DegradationLevel

PAGE = (Path(__file__).resolve().parents[2] / 'docs' / 'degradation.md').read_text('utf-8')
HEADS = {'>': (0, 1), '<': (0, -1), 'v': (1, 0), '^': (-1, 0)}
TURNS = {(0, 1): '|v^', (0, -1): '|v^', (1, 0): '-<>', (-1, 0): '-<>'}
"""By the direction of a line, what goes on behind its corner."""


def section(heading: str) -> str:
    return PAGE.partition(f'\n## {heading}\n')[2].partition('\n## ')[0]


def rows(heading: str, head: str) -> list[list[str]]:
    """The cells of the table with this head."""
    lines = section(heading).partition(f'\n{head}\n')[2].splitlines()[1:]
    table = lines[:next((at for at, line in enumerate(lines) if not line.startswith('|')), None)]
    return [[cell.strip().strip('`') for cell in line.split('|')[1:-1]] for line in table]


class Picture:
    """Boxes with names, and lines with heads between them.

    Args:
        text: each box has its name between two bars, and room of its own above and below.
    """

    def __init__(self, text: str) -> None:
        lines = text.splitlines()
        width = max(map(len, lines))
        self._lines = [line.ljust(width) for line in lines]
        self.boxes: dict[str, set[tuple[int, int]]] = {}
        for row, line in enumerate(self._lines):
            for found in re.finditer(r'\| +([A-Z_]+) +\|', line):
                self.boxes[found[1]] = self._box(row, found.start(), found.end())

    def _box(self, row: int, left: int, right: int) -> set[tuple[int, int]]:
        """The places of a box, its frame included."""
        frame = '-' * (right - left - 2)
        top = next(at for at in range(row, -1, -1)
                   if self._lines[at][left:right] == f'.{frame}.')
        bottom = next(at for at in range(row, len(self._lines))
                      if self._lines[at][left:right] == f"'{frame}'")
        return {(at, column) for at in range(top, bottom + 1) for column in range(left, right)}

    def at(self, place: tuple[int, int]) -> str:
        row, column = place
        inside = 0 <= row < len(self._lines) and 0 <= column < len(self._lines[0])
        return self._lines[row][column] if inside else ' '

    def owner(self, place: tuple[int, int]) -> str:
        return next((name for name, places in self.boxes.items() if place in places), '')

    def edges(self) -> set[tuple[str, str]]:
        """From and to of every head, each with the box at the other end of its line."""
        found = set()
        for row in range(len(self._lines)):
            for column, char in enumerate(self._lines[row]):
                down, right = HEADS.get(char, (0, 0))
                target = self.owner((row + down, column + right))
                if char in HEADS and not self.owner((row, column)):
                    assert target, f'a head points nowhere: line {row}, column {column}'
                    found.add((self._follow((row, column), (-down, -right)), target))
        return found

    def _follow(self, place: tuple[int, int], step: tuple[int, int]) -> str:
        """Go along a line, away from its head, and return the box where it ends."""
        while True:
            place = place[0] + step[0], place[1] + step[1]
            box = self.owner(place)
            if box:
                return box
            char = self.at(place)
            assert char != ' ', f'a line ends at line {place[0]}, column {place[1]}'
            if char in ".'":
                step = next(
                    turn for turn in HEADS.values()
                    if turn not in (step, (-step[0], -step[1]))
                    and self.at((place[0] + turn[0], place[1] + turn[1])) in TURNS[step])


def test_the_picture_has_every_edge_and_no_other():
    picture = Picture(section('Levels').split('```')[1])
    assert set(picture.boxes) == {level.name for level in DegradationLevel}
    assert picture.edges() == {(edge.start.name, edge.end.name) for edge in EDGES}


def test_a_head_that_is_missing_in_the_picture_is_noticed():
    text = section('Levels').split('```')[1]
    assert Picture(text.replace('|<---.', '|----.')).edges() == {
        (edge.start.name, edge.end.name) for edge in EDGES} - {('FINALS', 'CPU')}


def test_the_table_has_every_edge_with_its_condition():
    assert rows('Levels', '| from | to | when | for |') == [
        [edge.start.word, edge.end.word, edge.condition,
         'level_enter' if edge.is_worse else 'level_leave'] for edge in EDGES]


def test_every_level_is_told_of():
    told = rows('Levels', '| level | what the nodes do |')
    assert [row[0] for row in told] == [level.word for level in DegradationLevel]


def test_the_thresholds_are_the_defaults():
    limits = ManagerParameters()
    expected = []
    for name in SIGNALS:
        begin, end = (getattr(limits, f'level_{name}_{edge}') for edge in ('begin', 'end'))
        expected.append([name, *(f'{begin + (end - begin) * step / 3:g}' if begin else 'off'
                                 for step in range(4))])
    assert [[row[0], *row[2:]] for row in rows(
        'What presses', '| signal | what | 1 | 2 | 3 | 4 |')] == expected


def test_the_times_are_the_defaults():
    limits = ManagerParameters()
    text = ' '.join(section('Levels').split())
    assert f'`level_enter` ({limits.level_enter:g} s)' in text
    assert f'`level_leave` ({limits.level_leave:g} s)' in text
    assert f'`level_hysteresis` ({limits.level_hysteresis:g})' in text
