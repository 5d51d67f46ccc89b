"""The picture that bench/soak.py draws."""

import re
import runpy
from pathlib import Path
from xml.etree import ElementTree as ET

DRAW = runpy.run_path(
    str(Path(__file__).resolve().parents[2] / 'bench' / 'soak_picture.py'))['draw']
SVG = '{http://www.w3.org/2000/svg}'


def test_every_node_has_a_strip_with_its_samples_within_it():
    series = {'cache': [(0.0, 40.0), (1.0, 41.0), (2.0, 40.5)], 'a<b': [(0.0, 10.0), (2.0, 90.0)]}
    root = ET.fromstring(DRAW(series, {'cache': 'no trend', 'a<b': '& more'}, 0.4))
    _, _, width, _ = map(float, root.get('viewBox').split())
    lines = [[tuple(map(float, point.split(','))) for point in line.get('points').split()]
             for line in root.iter(f'{SVG}polyline')]
    assert list(map(len, lines)) == [3, 2]
    for number, points in enumerate(lines):
        assert all(0 < x < width and number * 110 < y < (number + 1) * 110 for x, y in points)
    # The larger a sample, the higher it lies.
    assert lines[1][1][1] < lines[1][0][1]
    words = ' '.join(''.join(one.itertext()) for one in root.iter(f'{SVG}text'))
    assert 'a<b: USS, & more' in words
    assert re.search(r'90\.0 MB', words)


def test_memory_that_does_not_change_is_a_line_and_no_error():
    root = ET.fromstring(DRAW({'cache': [(0.0, 40.0), (1.0, 40.0)]}, {'cache': ''}, 0.2))
    heights = {point.split(',')[1] for line in root.iter(f'{SVG}polyline')
               for point in line.get('points').split()}
    assert len(heights) == 1
