"""One target of bench/fuzz.py under one engine, in a process of its own.

    python fuzz_lane.py TARGET ENGINE TOLD CURRENT INPUTS SECONDS SEED
    python fuzz_lane.py TARGET repeat FILE

An input is written to CURRENT before it is read, so that it is there after a crash of the process.
"""

import contextlib
import faulthandler
import json
import logging
import os
import resource
import signal
import sys
import time
import warnings
from pathlib import Path

MEMORY = 6 << 30
WORK_S, WAIT_S = 5.0, 120.0
"""For one input: processor time, and time in which it may also wait on a busy machine."""
INSTRUMENTED = ('xlerobot_asr_opt', 'yaml', 'rosbags', 'ruamel', 'diskcache')


class Lane:
    """Reads inputs one after the other and counts them.

    Attributes:
        inputs: read.
        taken: of these, not refused.
        over: whether there were enough of them.
    """

    def __init__(self, target, read, told, current, most, seconds):
        self.inputs = self.taken = 0
        self._target, self._read = target, read
        self._told, self._current = told, current
        self._most = most
        self._until = time.monotonic() + (seconds or 1e9)

    @property
    def over(self):
        return self.inputs >= self._most or time.monotonic() > self._until

    def read(self, data):
        self._current.write_bytes(data)
        signal.setitimer(signal.ITIMER_PROF, WORK_S)
        signal.setitimer(signal.ITIMER_REAL, WAIT_S)
        try:
            self.taken += self._read(self._target, data)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
        self.inputs += 1
        self._current.unlink()

    def tell(self):
        self._told.write_text(json.dumps({'inputs': self.inputs, 'taken': self.taken}))


def main():
    name, engine, *rest = sys.argv[1:]
    logging.disable(logging.CRITICAL)
    warnings.simplefilter('ignore')
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Kills the process whatever it is in, with a traceback of it.
    faulthandler.enable()
    for alarm in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(alarm, signal.SIG_DFL)
        faulthandler.register(alarm, chain=True)
    if engine == 'atheris':
        import atheris

        with atheris.instrument_imports(include=list(INSTRUMENTED)):
            import hostile_targets
    else:
        import hostile_targets
    target = hostile_targets.TARGETS[name]
    if engine == 'repeat':
        print('taken' if hostile_targets.run(target, Path(rest[0]).read_bytes()) else 'refused')
        return 0
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    told, current, inputs, seconds, seed = rest
    lane = Lane(target, hostile_targets.run, Path(told), Path(current), int(inputs),
                float(seconds))
    try:
        for data in target.seeds:
            lane.read(data)
        {'hypothesis': draw, 'atheris': follow, 'coverage': trace}[engine](lane, target, int(seed))
    finally:
        lane.tell()
    return 0


def draw(lane, target, seed):
    """Inputs that hypothesis draws, a thousand for each of its runs."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded

    while not lane.over:
        def one(data):
            if not lane.over:
                lane.read(data)

        settings(
            max_examples=1000, database=None, deadline=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck))(seeded(seed)(given(target.inputs)(one)))()
        seed += 1


def follow(lane, target, seed):
    """Inputs of libFuzzer, by atheris; it ends the process itself."""
    import tempfile

    import atheris

    corpus = Path(tempfile.mkdtemp())
    for number, data in enumerate(target.seeds):
        (corpus / str(number)).write_bytes(data)

    def one(data):
        if not lane.over:
            lane.read(data)
        if lane.over:
            lane.tell()
            os._exit(0)

    atheris.Setup(
        [sys.argv[0], f'-seed={seed}', '-timeout=0', '-rss_limit_mb=0', '-verbosity=0',
         f'-artifact_prefix={corpus}/', '-max_len=20000', str(corpus)], one)
    atheris.Fuzz()


def trace(lane, target, seed):
    """Inputs of fuzz_coverage.py."""
    import fuzz_coverage

    fuzz_coverage.Fuzzer(target.seeds, seed, INSTRUMENTED).run(lane)


if __name__ == '__main__':
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
