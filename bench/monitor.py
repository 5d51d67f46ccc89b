"""What the monitor costs the manager.

    python bench/monitor.py [--rounds 3] [--seconds 20] [--json FILE]

Graphs of scripted answers that are up, by turns without the monitor and the level of degradation
(manager.monitor_period=0, manager.level_period=0), with the level, with both, and with the port
for Prometheus, which is scraped once a second: CPU time of the manager as a share of one core,
first idle, then while 1000 transcripts of ten words a minute and the states of 16 streams, once a
second each, are published beside the graph, for the manager to hear. Then the manager's memory
(PSS). Told are medians, and the differences of the medians; the goal is
2 % of a core at that load.
"""

import argparse
import contextlib
import statistics
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import rclpy
import report

from xlerobot_asr_interfaces import msg
from xlerobot_asr_opt.cli.graph import Graph
from xlerobot_asr_opt.process_memory import MemoryReader
from xlerobot_asr_opt.processes import GraphArguments
from xlerobot_asr_opt.records import (
    Latency,
    StreamState,
    StreamStatus,
    Transcript,
    TranscriptStatus,
    Word,
)
from xlerobot_asr_opt.ros import names
from xlerobot_asr_opt.ros.conversions import transcript_message, write_status
from xlerobot_asr_opt.ros.loans import LoanedPublisher

NAMESPACE = 'asr_monitor'
PORT = 39464
VARIANTS = {
    'without': ('manager.monitor_period=0.0', 'manager.level_period=0.0'),
    'with level': ('manager.monitor_period=0.0',),
    'with': (),
    'with port': (f'manager.monitor_port={PORT}',),
}
A_MINUTE = 1000
STREAMS = 16
WORDS = tuple(Word(f'word{index}', 0.1 * index, 0.1 * index + 0.1, 0.9) for index in range(10))
SETTLE_S = 3.0
GOAL = 0.02
MB = 1e6


def main():
    """Run the bench, print a table and end with 1 where the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--seconds', type=float, default=20.0)
    parser.add_argument('--json', type=Path, metavar='FILE')
    args = parser.parse_args()
    seen = {name: [] for name in VARIANTS}
    rclpy.init()
    for _ in range(args.rounds):
        for name, parameters in VARIANTS.items():
            seen[name].append(measure(parameters, args.seconds, scrape=name == 'with port'))
    rclpy.shutdown()
    columns = ('idle', f'{A_MINUTE} transcripts a minute', 'PSS')
    medians = {name: dict(zip(columns, map(statistics.median, zip(*rows, strict=True)),
                              strict=True)) for name, rows in seen.items()}
    for name, row in medians.items():
        print(f'{name:10} idle {100 * row["idle"]:.2f} % of a core, {columns[1]} '
              f'{100 * row[columns[1]]:.2f} %, PSS {row["PSS"] / MB:.1f} MB')
    base = medians.pop('without')
    figures = []
    for name, row in medians.items():
        for column in columns[:2]:
            figure = {'name': f'monitor {name}, {column}', 'unit': 'of a core',
                      'value': round(row[column] - base[column], 5)}
            figures.append(figure | ({'goal': GOAL} if column != 'idle' else {}))
        figures.append({'name': f'monitor {name}, PSS', 'unit': 'MB',
                        'value': round((row['PSS'] - base['PSS']) / MB, 2)})
    for figure in figures:
        print(f'{figure["name"]}: {figure["value"]} {figure["unit"]}')
    if args.json:
        report.write(args.json, figures)
    return int(any(report.held(figure) is False for figure in figures))


def measure(parameters, seconds, *, scrape):
    """CPU share of the manager of a new graph, idle and at work, and its memory."""
    arguments = GraphArguments(
        namespace=NAMESPACE, source='none', backends=('scripted',), log_level='warn',
        parameters=(*parameters, 'cache.l3_entries=0'))
    with Graph(arguments) as graph, contextlib.closing(Crowd()) as crowd:
        graph.wait_active()
        time.sleep(SETTLE_S)
        pid = graph.pids['manager']
        shares = [cpu_share(pid, seconds, work, scrape=scrape) for work in (None, crowd)]
        return (*shares, MemoryReader().process(pid).pss)


class Crowd:
    """Publishes what a graph at work does."""

    def __init__(self):
        self._node = rclpy.create_node('crowd', namespace=NAMESPACE)
        self._transcripts = self._node.create_publisher(
            msg.Transcript, names.TRANSCRIPT, names.TRANSCRIPT_QOS)
        self._statuses = LoanedPublisher(
            self._node, msg.StreamStatus, names.STREAMS, names.STREAMS_QOS)
        self._said = 0

    def speak(self):
        """One more transcript, and the states that are due with it."""
        self._said += 1
        self._transcripts.publish(transcript_message(Transcript(
            segment=self._said, stream='s0', sequence=self._said, status=TranscriptStatus.DONE,
            begin_ns=0, end_ns=2_000_000_000, text=' '.join(word.text for word in WORDS),
            words=WORDS, worker='inference_0', latency=Latency(total=100.0))))
        position = 60.0 / A_MINUTE * self._said
        with self._statuses.loan() as view:
            write_status(view, StreamStatus(
                f's{self._said % STREAMS}', StreamState.SPEECH, position_s=position,
                chunks=int(10 * position)))

    def close(self):
        """End the node."""
        self._node.destroy_node()


def cpu_share(pid, seconds, crowd, *, scrape):
    """Share of a core that a process uses for so long."""
    process = psutil.Process(pid)
    before = process.cpu_times()
    begin = scraped = time.monotonic()
    said = 0
    while (passed := time.monotonic() - begin) < seconds:
        if crowd is not None:
            while said < passed * A_MINUTE / 60:
                crowd.speak()
                said += 1
        if scrape and time.monotonic() - scraped > 1.0:
            scraped = time.monotonic()
            with urllib.request.urlopen(f'http://127.0.0.1:{PORT}/metrics', timeout=5) as answer:
                answer.read()
        time.sleep(0.02)
    after = process.cpu_times()
    return (sum(after[:2]) - sum(before[:2])) / (time.monotonic() - begin)


if __name__ == '__main__':
    sys.exit(main())
