"""The small fuzzer that takes atheris's place goes where new lines are."""

import importlib.util
from pathlib import Path

PROGRAM = Path(__file__).resolve().parents[2] / 'bench' / 'fuzz_coverage.py'
READER = """
def read(data):
    if data[:1] == b'F':
        if data[1:2] == b'U':
            return True
    return False
"""


def load(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Lane:
    def __init__(self, read):
        self._read = read
        self.inputs, self.found = 0, False

    @property
    def over(self):
        return self.found or self.inputs == 60_000

    def read(self, data):
        self.inputs += 1
        self.found = self._read(data)


def test_it_goes_on_from_what_reached_new_lines(tmp_path):
    (tmp_path / 'needle').mkdir()
    (tmp_path / 'needle' / 'reader.py').write_text(READER)
    reader = load('reader', tmp_path / 'needle' / 'reader.py')
    lane = Lane(reader.read)
    load('fuzz_coverage', PROGRAM).Fuzzer([b'abcdef'], 0, ['needle']).run(lane)
    assert lane.found
