"""Whether the memory of any node grows while the graph is at work.

    python bench/soak.py [--minutes 30] [--streams 4] [--speed 1] [--json FILE] [--picture FILE]

A graph of its own, with the default model, hears a person's recording on several streams at once,
again and again, --speed times as fast as it was spoken; each round is a little quieter than the
one before, so that no cache answers. The unique and proportional set size of every node are read
every 2 s. After the first fifth of the time, which fills caches and heaps, the slope of each node
is told with its interval, as the manager tells it (core/memory_trend.py). Goals, for each
node: the interval includes 0, or lies below it, and less than 5 MB are gained in 30 minutes.
"""

import argparse
import itertools
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import rclpy
import report
import soak_picture

from xlerobot_asr_interfaces.msg import AudioChunk, Transcript
from xlerobot_asr_opt.cli.graph import Graph
from xlerobot_asr_opt.core.memory_trend import MemoryTrend
from xlerobot_asr_opt.models.layout import asset_path
from xlerobot_asr_opt.models.speech import read
from xlerobot_asr_opt.process_memory import MemoryReader
from xlerobot_asr_opt.processes import GraphArguments
from xlerobot_asr_opt.records import CHUNK_CAPACITY, SAMPLE_RATE, Chunk, TranscriptStatus
from xlerobot_asr_opt.ros import names
from xlerobot_asr_opt.ros.conversions import write_chunk
from xlerobot_asr_opt.ros.executor import DirectExecutor
from xlerobot_asr_opt.ros.loans import LoanedPublisher

NAMESPACE = 'asr_soak'
READ_S = 2.0
WARM_UP = 0.2
MOST_SAMPLES = 300
CHUNK_S = CHUNK_CAPACITY / SAMPLE_RATE
ROUND_GAIN = 0.995
QUIETEST = 0.2
MB = 1e6
GOAL_MB = 5.0
HALF_AN_HOUR_S = 1800.0


def main():
    """Run the bench, print a table and end with 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--minutes', type=float, default=30.0)
    parser.add_argument('--streams', type=int, default=4)
    parser.add_argument('--speed', type=float, default=1.0, help='times real time')
    parser.add_argument('--model', default='')
    parser.add_argument('--json', type=Path, metavar='FILE')
    parser.add_argument('--picture', type=Path, metavar='FILE')
    args = parser.parse_args()
    arguments = GraphArguments(
        model=args.model, namespace=NAMESPACE, source='topic', log_level='warn',
        parameters=('cache.l3_entries=0',))
    rclpy.init()
    with Graph(arguments) as graph:
        graph.wait_active()
        soak = Soak(graph, args.streams, args.speed)
        soak.run(60.0 * args.minutes)
    rclpy.shutdown()
    warm = WARM_UP * 60.0 * args.minutes
    rows = {name: row(soak.samples[name], warm) for name in sorted(soak.samples)}
    print(f'{args.minutes:g} min, {args.streams} streams at {args.speed:g} times real time: '
          f'{soak.audio_s / 60:.1f} min of audio, {sum(soak.heard.values())} transcripts '
          f'({", ".join(f"{count} {status}" for status, count in soak.heard.items())})')
    print(f'{"":12}{"USS":>9}{"PSS":>9}  slope [MB/min]{"":14}in 30 min   restarts')
    for name, one in rows.items():
        print(f'{name:12}{one["uss"]:6.1f} MB{one["pss"]:6.1f} MB  {one["slope"]:+.3f} '
              f'({one["low"]:+.3f} to {one["high"]:+.3f})  {one["growth"]:+8.2f} MB'
              f'{soak.restarts[name]:8d}   {one["verdict"]}')
    figures = list(itertools.chain.from_iterable(
        as_figures(name, one) for name, one in rows.items()))
    if args.json:
        report.write(args.json, figures)
    if args.picture:
        args.picture.write_text(soak_picture.draw(
            {name: [(at / 60.0, memory.uss / MB) for at, memory in samples]
             for name, samples in sorted(soak.samples.items())},
            {name: f'{one["slope"]:+.3f} MB/min ({one["low"]:+.3f} to {one["high"]:+.3f})'
             for name, one in rows.items()}, warm / 60.0), encoding='utf-8')
    return int(any(report.held(figure) is False for figure in figures))


class Soak:
    """Speaks into a graph, and reads the memory of its processes.

    Attributes:
        samples: by node: time since the begin [s] and ProcessMemory, of its newest process.
        heard: transcripts, by status.
        restarts: times that a node's process was another one than before.
        audio_s: audio that was published, of all streams together [s].
    """

    def __init__(self, graph, streams, speed):
        """Join the graph."""
        self._graph, self._speed = graph, speed
        self._reader = MemoryReader()
        self._node = rclpy.create_node('soak', namespace=NAMESPACE)
        self._publisher = LoanedPublisher(
            self._node, AudioChunk, names.AUDIO, names.AUDIO_QOS)
        self._node.create_subscription(
            Transcript, names.TRANSCRIPT, self._on_transcript, names.TRANSCRIPT_QOS)
        self._executor = DirectExecutor()
        self._executor.add_node(self._node)
        recording = read(asset_path('two_cities'))
        self._streams = [
            (f'soak {number}', pieces(np.roll(recording, number * 3 * SAMPLE_RATE)))
            for number in range(streams)]
        self._pids = {}
        self.samples = defaultdict(list)
        self.heard, self.restarts = Counter(), Counter()
        self.audio_s = 0.0

    def run(self, seconds):
        """Speak and read for so long."""
        self._spin_until(lambda: self._publisher.matched, time.monotonic() + 10.0)
        begin = due = read_at = time.monotonic()
        begin_ns = time.time_ns()
        for sequence in itertools.count():
            due += CHUNK_S / self._speed
            self._spin_until(lambda: False, due)
            if due - begin > seconds:
                break
            stamp_ns = begin_ns + round(1e9 * CHUNK_S) * sequence
            for stream, speech in self._streams:
                with self._publisher.loan() as view:
                    write_chunk(view, Chunk(
                        stream, sequence, stamp_ns, SAMPLE_RATE, 1, next(speech)))
            self.audio_s += CHUNK_S * len(self._streams)
            if due >= read_at:
                read_at += READ_S
                self._read(due - begin)
        self._node.destroy_node()

    def _read(self, now):
        for name, pid in self._graph.pids.items():
            memory = self._reader.process(pid)
            if memory is not None:
                if self._pids.get(name, pid) != pid:
                    # A trend is that of one process.
                    self.restarts[name] += 1
                    self.samples[name].clear()
                self._pids[name] = pid
                self.samples[name].append((now, memory))

    def _on_transcript(self, transcript):
        self.heard[TranscriptStatus(transcript.status).name.lower()] += 1

    def _spin_until(self, condition, deadline):
        while not condition() and (left := deadline - time.monotonic()) > 0.0:
            self._executor.spin_once(timeout_sec=left)


def pieces(recording):
    """Yield chunks of a recording without end, each round quieter, and after all loud again."""
    size = len(recording) // CHUNK_CAPACITY * CHUNK_CAPACITY
    gain = 1.0
    while True:
        yield from (recording[:size] * gain).astype(np.int16).reshape(-1, CHUNK_CAPACITY)
        gain = gain * ROUND_GAIN if gain > QUIETEST else 0.9999


def row(samples, warm):
    """Say what became of one node's memory."""
    late = [(at, memory) for at, memory in samples if at >= warm]
    window = MemoryTrend(late[-1][0] - late[0][0] + 1.0, most=MOST_SAMPLES)
    for at, memory in late:
        window.add(at, memory.uss)
    trend = window.trend()
    return {
        'uss': late[-1][1].uss / MB, 'pss': late[-1][1].pss / MB,
        'slope': 60.0 * trend.slope / MB, 'low': 60.0 * trend.low / MB,
        'high': 60.0 * trend.high / MB, 'growth': HALF_AN_HOUR_S * trend.slope / MB,
        'verdict': trend.verdict.value}


def as_figures(name, one):
    """The figures of one node, two of them with goals."""
    return [
        {'name': f'{name}: lower end of the slope', 'value': round(one['low'], 4),
         'unit': 'MB/min', 'goal': 0.0},
        {'name': f'{name}: growth', 'value': round(one['growth'], 3), 'unit': 'MB in 30 min',
         'goal': GOAL_MB},
        {'name': f'{name}: slope', 'value': round(one['slope'], 4), 'unit': 'MB/min'},
        {'name': f'{name}: upper end of the slope', 'value': round(one['high'], 4),
         'unit': 'MB/min'},
        {'name': f'{name}: USS', 'value': round(one['uss'], 2), 'unit': 'MB'},
        {'name': f'{name}: PSS', 'value': round(one['pss'], 2), 'unit': 'MB'},
    ]


if __name__ == '__main__':
    sys.exit(main())
