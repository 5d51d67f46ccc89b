"""A small coverage-guided fuzzer: inputs that reach new lines are kept and mutated further.

It sees pairs of lines that follow one another, by sys.monitoring where Python has it (3.12), else
by sys.settrace. For a Python that atheris has no wheel for; some ten times slower than that.
"""

import random
import sys

MOST_KEPT = 2000
LONGEST = 20_000
PIECES = (b'\0', b'\xff', b'..', b'/', b'"', b'{', b'[', b':', b'\n', b'-1', b'9' * 40, b'nan',
          b'\xff\xff\xff\xff', b'\0\0\0\x80', b'\xed\xa0\x80')


class Fuzzer:
    """Mutates seeds.

    Args:
        seeds: inputs to begin with.
        seed: of chance.
        packages: whose lines count.
    """

    def __init__(self, seeds, seed, packages):
        self._chance = random.Random(seed)
        self._kept = list(seeds) or [b'']
        self._seen = set()
        self._packages = tuple(f'/{name}/' for name in packages)
        self._wanted = {}
        self._last = {}

    def run(self, lane):
        """Give a lane inputs until it has enough."""
        while not lane.over:
            # The newest ones have got furthest.
            which = max(self._chance.randrange(len(self._kept)) for _ in range(3))
            data = self._mutated(self._kept[which])
            before = len(self._seen)
            with _watched(self._line, self._is_wanted):
                lane.read(data)
            if len(self._seen) > before:
                self._kept.append(data)
                if len(self._kept) > MOST_KEPT:
                    del self._kept[self._chance.randrange(len(self._kept))]

    def _is_wanted(self, name):
        if name not in self._wanted:
            self._wanted[name] = any(package in name for package in self._packages)
        return self._wanted[name]

    def _line(self, name, line):
        self._seen.add((name, self._last.get(name), line))
        self._last[name] = line

    def _mutated(self, data):
        data, chance = bytearray(data), self._chance
        for _ in range(1 << chance.randrange(4)):
            at = chance.randrange(len(data) + 1)
            kind = chance.randrange(6)
            if kind == 0 and data:
                data[at % len(data)] ^= 1 << chance.randrange(8)
            elif kind == 1 and data:
                data[at % len(data)] = chance.randrange(256)
            elif kind == 2:
                data[at:at] = chance.choice(PIECES)
            elif kind == 3:
                del data[at:at + 1 + chance.randrange(16)]
            elif kind == 4:
                other = chance.choice(self._kept)
                begin = chance.randrange(len(other) + 1)
                data[at:at] = other[begin:begin + 1 + chance.randrange(64)]
            else:
                piece = chance.choice(PIECES)
                data[at:at + len(piece)] = piece
        return bytes(data[:LONGEST])


class _watched:  # noqa: N801 - reads as a statement
    """Tells of every line of the files that are wanted while the block runs."""

    def __init__(self, line, is_wanted):
        self._line, self._is_wanted = line, is_wanted

    def __enter__(self):
        monitoring = getattr(sys, 'monitoring', None)
        if monitoring is None:
            sys.settrace(self._call)
            return
        monitoring.use_tool_id(monitoring.PROFILER_ID, 'fuzz')
        monitoring.register_callback(
            monitoring.PROFILER_ID, monitoring.events.LINE, self._on_line)
        monitoring.set_events(monitoring.PROFILER_ID, monitoring.events.LINE)

    def __exit__(self, *exception):
        monitoring = getattr(sys, 'monitoring', None)
        if monitoring is None:
            sys.settrace(None)
            return
        monitoring.set_events(monitoring.PROFILER_ID, 0)
        monitoring.free_tool_id(monitoring.PROFILER_ID)

    def _on_line(self, code, line):
        if not self._is_wanted(code.co_filename):
            return sys.monitoring.DISABLE
        self._line(code.co_filename, line)
        return None

    def _call(self, frame, _event, _argument):
        return self._local if self._is_wanted(frame.f_code.co_filename) else None

    def _local(self, frame, event, _argument):
        if event == 'line':
            self._line(frame.f_code.co_filename, frame.f_lineno)
        return self._local
