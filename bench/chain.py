"""What a chain of backends adds to an utterance, beside the backend alone.

    python bench/chain.py [--json FILE]

Scripted backends answer at once, so that what is measured is the chain: alone in it, the first of
two (a copy of the samples, the way through the backend's own thread), and taking over from a first
one that rests. 3 s of speech; the three are measured in turns.
"""

import argparse
import statistics
import time

import numpy as np
import report

from xlerobot_asr_opt.backends.base import Candidate
from xlerobot_asr_opt.backends.chain import BackendChain, Policy
from xlerobot_asr_opt.backends.scripted import ScriptedBackend
from xlerobot_asr_opt.core.breaker import State
from xlerobot_asr_opt.records import SAMPLE_RATE

ROUNDS, TURNS = 15, 100
SAMPLES = np.random.default_rng(0).integers(-9000, 9001, 3 * SAMPLE_RATE).astype(np.int16)


def main():
    """Measure, print, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--json', help='write the figures there')
    args = parser.parse_args()
    resting = chain('first', 'second')
    resting.force('first', State.OPEN)
    ways = {'the backend alone': ScriptedBackend(), 'alone in a chain': chain('first'),
            'the first of two': chain('first', 'second'), 'taking over': resting}
    times = {name: [] for name in ways}
    # In turns: the load of the machine is then the same for all.
    for _ in range(ROUNDS):
        for name, backend in ways.items():
            times[name].append(statistics.median(utterance_us(backend) for _ in range(TURNS)))
    found = {name: statistics.median(values) for name, values in times.items()}
    base = found.pop('the backend alone')
    figures = [{'name': f'added, {name}', 'unit': 'us', 'value': value - base, 'goal': 1000}
               for name, value in found.items()]
    for row in figures:
        print('{name:32} {value:8.1f} {unit}'.format(**row))
    if args.json:
        report.write(args.json, figures)


def chain(*names):
    """A chain of scripted backends, the first of which tells its health."""
    backends = [ScriptedBackend(name=name) for name in names]
    made = BackendChain([Candidate(one, one.health) for one in backends], Policy())
    made.load()
    return made


def utterance_us(backend):
    """Time of one utterance from samples to text [us]."""
    begin = time.perf_counter()
    backend.recognise(backend.prepare(SAMPLES, ''))
    return 1e6 * (time.perf_counter() - begin)


if __name__ == '__main__':
    main()
