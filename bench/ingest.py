"""What ingestion costs from one stream to a thousand, and whether the gate loses speech.

    python bench/ingest.py [--streams 1 10 100 300 1000] [--seconds 10] [--node] [--json FILE]

Every stream is a person who speaks 20 % of the time: utterances of 2 to 6 s, cut out of a
recording at its pauses, and the recording's own room between them. Cost: processor time of the
core for chunks of 100 ms of 16 kHz mono, taken in batches as the node takes them (5 ms), tickets
released at once; the first seconds, in which the gate learns the rooms, are left out. --node:
processor time of the ingest node as a process, with the middleware, for chunks that another
process publishes in real time. --one-by-one: each chunk on its own and no gate figures, which the
package before batches could do, too:

    git worktree add ../before b1179c7
    PYTHONPATH=../before:$PYTHONPATH python bench/ingest.py --one-by-one

Gate: the segments of the same streams with the gate and without one.
"""

import argparse
import contextlib
import cProfile
import itertools
import pstats
import sys
import tempfile
import time
from pathlib import Path

import ingest_node
import numpy as np
import report

from xlerobot_asr_interfaces.msg import AudioChunk
from xlerobot_asr_opt.core.ingest import Ingest
from xlerobot_asr_opt.core.segment_store import SegmentStore
from xlerobot_asr_opt.core.vad import WINDOW, SileroDetector
from xlerobot_asr_opt.models.layout import asset_path
from xlerobot_asr_opt.models.speech import read, two_cities
from xlerobot_asr_opt.parameters import IngestParameters
from xlerobot_asr_opt.records import CHUNK_CAPACITY, SAMPLE_RATE, Chunk
from xlerobot_asr_opt.ros.plain import dtype_of

DUTY = 0.2
ROOM = 3.0
"""A window up to this much above the quietest twentieth is nothing but the room."""
PROGRAMMES, PROGRAMME_S = 16, 60
BATCHES = 20
"""Batches in a tenth of a second: the node rests 5 ms between two."""
WARM_S = 4
"""Longer than the gate takes to learn a room."""
TICKS = SAMPLE_RATE // CHUNK_CAPACITY
"""Chunks of a stream in a second."""
STORE_BYTES = 512 << 20
LISTED = 12
"""Functions of a profile."""
GOALS = {'core': 0.5, 'node': 1.0}
"""Of one core, for a thousand streams."""


def main():
    """Run the bench, print what it found and end with 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--streams', type=int, nargs='+', default=[1, 10, 100, 300, 1000])
    parser.add_argument('--seconds', type=int, default=10)
    parser.add_argument('--one-by-one', action='store_true')
    parser.add_argument('--node', action='store_true')
    parser.add_argument('--profile', action='store_true',
                        help='print where the time goes for the most streams, and nothing else')
    parser.add_argument('--pace', type=float, default=1.0, help='of the publisher of --node, '
                        'times real time; less where the machine has other work')
    parser.add_argument('--json', type=Path, metavar='FILE')
    args = parser.parse_args()
    programmes = make_programmes()
    if args.profile:
        return profile(programmes, max(args.streams), args.seconds, args.one_by_one)
    costs = {count: core_cost(programmes, count, args.seconds, args.one_by_one)
             for count in args.streams}
    figures = cost_figures('core', costs)
    if not args.one_by_one:
        figures += gate_figures(programmes)
    if args.node:
        nodes = {count: ingest_node.cost(
            lambda tick, count=count: chunks_of(programmes, count, tick), WARM_S, args.seconds,
            args.pace)
            for count in args.streams}
        figures += cost_figures('node', {count: cost for count, (cost, _) in nodes.items()})
        figures += [
            {'name': f'chunks lost of {count} streams', 'value': lost, 'unit': '', 'goal': 0}
            for count, (_, lost) in nodes.items()]
    for figure in figures:
        verdict = {True: ': held', False: ': NOT HELD', None: ''}[report.held(figure)]
        goal = f' goal {figure["goal"]}' if 'goal' in figure else ''
        print(f'{figure["name"]:42} {figure["value"]:9g} {figure["unit"]:4}{goal}{verdict}')
    if args.json:
        report.write(args.json, figures)
    return int(any(report.held(figure) is False for figure in figures))


def cost_figures(part, costs):
    """Figures of a cost by the number of streams, and of its growth."""
    counts = sorted(costs)
    figures = [
        {'name': f'{part}: {count} streams, each', 'value': round(costs[count] * 1e3, 3),
         'unit': 'ms/s'} for count in counts]
    figures += [
        {'name': f'{part}: {count} streams', 'value': round(costs[count] * count, 3),
         'unit': 'core', **({'goal': GOALS[part]} if count == 1000 else {})} for count in counts]
    # Linear growth is a cost of each stream that does not rise.
    figures += [
        {'name': f'{part}: cost of each, {more} to {less} streams',
         'value': round(costs[more] / costs[less], 2), 'unit': '', 'goal': 1.0}
        for less, more in itertools.pairwise(counts)]
    return figures


# Streams


def make_programmes():
    """Return int16[programmes, n]: what a person says in a minute, at random times."""
    recording = read(asset_path('two_cities'))
    rng = np.random.default_rng(0)
    utterances = [spoken.samples for spoken in two_cities()]
    return np.stack([programme(rng, room_of(recording), utterances) for _ in range(PROGRAMMES)])


def programme(rng, quiet, utterances):
    """Return int16[n]: utterances until the duty is reached, in a room."""
    samples = make_room(rng, quiet, PROGRAMME_S * SAMPLE_RATE)
    spoken = []
    while sum(map(len, spoken)) < DUTY * samples.size:
        spoken.append(utterances[rng.integers(len(utterances))])
    pauses = rng.dirichlet(np.ones(len(spoken) + 1)) * (samples.size - sum(map(len, spoken)))
    at = 0
    for pause, utterance in zip(pauses.astype(int), spoken, strict=False):
        at += pause
        samples[at:at + len(utterance)] = utterance
        at += len(utterance)
    return samples


def room_of(recording):
    """Return the places of a recording, int16[n] each, that are as quiet as any for 0.3 s."""
    windows = recording[:recording.size - recording.size % WINDOW].reshape(-1, WINDOW)
    power = windows.astype(np.float64).var(axis=1)
    quiet = np.flatnonzero(power < ROOM * np.percentile(power, 5))
    runs = np.split(quiet, np.flatnonzero(np.diff(quiet) > 1) + 1)
    return [recording[run[0] * WINDOW:(run[-1] + 1) * WINDOW] for run in runs if len(run) >= 9]


def make_room(rng, quiet, length):
    """Return int16[length]: pieces of quiet places, each faded into the next."""
    size = 8 * WINDOW
    fade = np.sin(np.pi * (np.arange(size) + 0.5) / size)
    samples = np.zeros(length + size)
    for at in range(0, length, size // 2):
        place = quiet[rng.integers(len(quiet))]
        begin = rng.integers(len(place) - size + 1)
        samples[at:at + size] += fade * place[begin:begin + size]
    return samples[:length].astype(np.int16)


def chunks_of(programmes, count, tick):
    """Return messages[count]: one chunk of every stream, each at a place of its own."""
    pieces = programmes.reshape(PROGRAMMES, -1, CHUNK_CAPACITY)
    streams = np.arange(count)
    chunks = np.zeros(count, dtype_of(AudioChunk))
    names = np.array([f'stream_{stream:04}' for stream in streams], 'S64')
    chunks['stream'] = names.view(np.uint8).reshape(count, 64)
    chunks['sequence'], chunks['rate'] = tick, SAMPLE_RATE
    chunks['stamp']['sec'], tenths = divmod(tick, TICKS)
    chunks['stamp']['sec'] += 1000
    chunks['stamp']['nanosec'] = tenths * (1_000_000_000 // TICKS)
    chunks['channels'], chunks['length'] = 1, CHUNK_CAPACITY
    at = (tick + streams * 37 // PROGRAMMES) % pieces.shape[1]
    chunks['samples'] = pieces[streams % PROGRAMMES, at]
    return chunks


# Cost


class House:
    """Ingest with a store of its own."""

    def __init__(self, directory, count, **parameters):
        """Begin without streams."""
        self.store = SegmentStore(Path(directory) / 'bench.store', STORE_BYTES)
        self.ingest = Ingest(
            IngestParameters(streams=count, **parameters), self.store,
            SileroDetector(asset_path('silero-vad')), time.monotonic)

    def hear(self, chunks, *, one_by_one=False):
        """Take chunks; return what became of them."""
        if not one_by_one:
            return self.ingest.accept_all(chunks)
        return [ticket for chunk in chunks for ticket in self.ingest.accept(Chunk(
            chunk['stream'].tobytes().rstrip(b'\0').decode(), int(chunk['sequence']),
            int(chunk['stamp']['sec']) * 1_000_000_000 + int(chunk['stamp']['nanosec']),
            int(chunk['rate']), int(chunk['channels']), chunk['samples']))]


def core_cost(programmes, count, seconds, one_by_one, profiler=None):
    """Return the processor time of one stream's second [s]; a profiler may look on."""
    spent = 0.0
    with tempfile.TemporaryDirectory() as directory:
        house = House(directory, count)
        for tick in range((WARM_S + seconds) * TICKS):
            chunks = chunks_of(programmes, count, tick)
            for batch in np.array_split(chunks, min(BATCHES, count)):
                warm = tick >= WARM_S * TICKS
                begin = time.process_time()
                with profiler if warm and profiler else contextlib.nullcontext():
                    for ticket in house.hear(batch, one_by_one=one_by_one):
                        house.store.release(ticket.segment)
                spent += (time.process_time() - begin) * warm
        house.store.close()
    return spent / count / seconds


def profile(programmes, count, seconds, one_by_one):
    """Print the functions that take the most time themselves, and their share of all."""
    profiler = cProfile.Profile(time.process_time)
    core_cost(programmes, count, seconds, one_by_one, profiler)
    rows = pstats.Stats(profiler).stats
    total = sum(row[2] for row in rows.values())
    for (file, _, name), row in sorted(rows.items(), key=lambda item: -item[1][2])[:LISTED]:
        print(f'{row[2] / total:6.1%} {row[0]:9} calls  {Path(file).stem}.{name}')
    return 0


# Gate


def gate_figures(programmes):
    """Compare the segments with the gate and without."""
    found, wanted = segments(programmes), segments(programmes, gate=0.0)
    missed = sum(not any(overlap(one, other) > 0.5 for other in found) for one in wanted)
    pairs = [(one, max(found, key=lambda other, one=one: overlap(one, other))) for one in wanted]
    begins, ends = (np.array([(other[side] - one[side]) * 1000 / SAMPLE_RATE
                              for one, other in pairs]) for side in (1, 2))
    return [
        {'name': 'gate: segments', 'value': len(wanted), 'unit': ''},
        {'name': 'gate: segments missed', 'value': missed, 'unit': '', 'goal': 0},
        {'name': 'gate: begins that moved', 'value': np.count_nonzero(begins), 'unit': ''},
        {'name': 'gate: begins earlier by at most', 'value': -begins.min(), 'unit': 'ms'},
        {'name': 'gate: begins later by at most', 'value': begins.max(), 'unit': 'ms'},
        {'name': 'gate: ends that moved', 'value': np.count_nonzero(ends), 'unit': ''},
        {'name': 'gate: ends moved by at most', 'value': np.abs(ends).max(), 'unit': 'ms'}]


def segments(programmes, **parameters):
    """Return stream, begin and end [samples] of every segment of the programmes."""
    found = []
    with tempfile.TemporaryDirectory() as directory:
        house = House(directory, PROGRAMMES, **parameters)
        for tick in range(programmes.shape[1] // CHUNK_CAPACITY):
            found += house.hear(chunks_of(programmes, PROGRAMMES, tick))
        for stream in house.ingest.statuses():
            found += house.ingest.finish(stream.stream)
        house.store.close()
    return [(ticket.stream, begin := ticket.begin_ns * 2 // 125_000, begin + ticket.length)
            for ticket in found]


def overlap(one, other):
    """Share of a segment that lies in another one of its stream."""
    common = min(one[2], other[2]) - max(one[1], other[1])
    return max(common, 0) / (one[2] - one[1]) if one[0] == other[0] else 0.0


if __name__ == '__main__':
    sys.exit(main())
