"""What the graph itself costs: its latency beside the recogniser's, its start, its memory.

    python bench/graph.py [--utterances 40] [--starts 5] [--json FILE]

Latency: utterances of 2 to 6 s, cut out of a recording at its pauses, are published by this
process, chunk by chunk in real time; taken is the time from the publication of the chunk that ends
an utterance to the reception of its transcript, less what the recogniser (features, encoder,
decoder) took after that chunk: what it did before has delayed nothing. Start: from the start of
the first process to every node active, with a cached model. Memory: proportional set size (PSS) of
each process after the utterances.
"""

import argparse
import bisect
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import rclpy
import report

from xlerobot_asr_interfaces.msg import AudioChunk, Latency, Transcript
from xlerobot_asr_opt.cli.graph import Graph
from xlerobot_asr_opt.models.speech import two_cities
from xlerobot_asr_opt.processes import GraphArguments
from xlerobot_asr_opt.records import CHUNK_CAPACITY, SAMPLE_RATE, Chunk
from xlerobot_asr_opt.ros import names
from xlerobot_asr_opt.ros.conversions import write_chunk
from xlerobot_asr_opt.ros.executor import DirectExecutor
from xlerobot_asr_opt.ros.loans import LoanedPublisher

PAUSE_S = 1.5
CHUNK_S = CHUNK_CAPACITY / SAMPLE_RATE
NAMESPACE = 'asr_bench'
GOALS = {'own cost p50': 3.0, 'own cost p95': 10.0, 'start': 4.0, 'memory': 500.0}


def main():
    """Run the bench, print a table and end with 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--utterances', type=int, default=40)
    parser.add_argument('--starts', type=int, default=5)
    parser.add_argument('--model', default='')
    parser.add_argument('--json', type=Path, metavar='FILE')
    args = parser.parse_args()
    arguments = GraphArguments(
        model=args.model, namespace=NAMESPACE, source='topic', log_level='warn',
        parameters=('scheduler.use_cache=true', 'cache.l3_entries=0'))
    starts = []
    for _ in range(args.starts - 1):
        with Graph(arguments) as graph:
            starts.append(graph.wait_active())
    with Graph(arguments) as graph:
        starts.append(graph.wait_active())
        costs, transcripts = own_costs(args.utterances)
        memory = {name: pss_mb(pid) for name, pid in graph.pids.items()}
    figures = [
        figure('own cost p50', statistics.median(costs), 'ms'),
        figure('own cost p95', float(np.percentile(costs, 95)), 'ms'),
        figure('start', statistics.median(starts), 's'),
        figure('memory', sum(memory.values()), 'MB'),
    ]
    for item in figures:
        verdict = 'held' if report.held(item) else 'NOT HELD'
        print(f'{item["name"]:14} {item["value"]:8.2f} {item["unit"]:3} '
              f'goal {item["goal"]:g}: {verdict}')
    stages = stage_medians(transcripts)
    print('median of each stage [ms]: '
          + ', '.join(f'{name} {value:.2f}' for name, value in stages.items()))
    print('PSS [MB]: ' + ', '.join(f'{name} {value:.0f}' for name, value in memory.items()))
    print('starts [s]: ' + ', '.join(f'{value:.2f}' for value in starts))
    if args.json:
        report.write(args.json, [
            *figures,
            *({'name': f'median of {name}', 'value': value, 'unit': 'ms'}
              for name, value in stages.items()),
            *({'name': f'PSS of {name}', 'value': value, 'unit': 'MB'}
              for name, value in memory.items()),
            *({'name': f'start {number}', 'value': value, 'unit': 's'}
              for number, value in enumerate(starts))])
    return int(not all(map(report.held, figures)))


def figure(name, value, unit):
    """One figure with its goal."""
    return {'name': name, 'value': round(value, 3), 'unit': unit, 'goal': GOALS[name]}


class Speaker:
    """Publishes chunks in real time, and notes when their transcripts come."""

    def __init__(self):
        """Join the graph."""
        self.node = rclpy.create_node('speaker', namespace=NAMESPACE)
        self.publisher = LoanedPublisher(self.node, AudioChunk, names.AUDIO, names.AUDIO_QOS)
        self.node.create_subscription(
            Transcript, names.TRANSCRIPT, self._on_transcript, names.TRANSCRIPT_QOS)
        self.executor = DirectExecutor()
        self.executor.add_node(self.node)
        self.published = []
        self.received = []

    def _on_transcript(self, transcript):
        self.received.append((time.monotonic(), transcript))

    def spin_until(self, condition, deadline):
        """Work until the condition holds or the time has come."""
        while not condition() and (left := deadline - time.monotonic()) > 0.0:
            self.executor.spin_once(timeout_sec=left)

    def speak(self, pieces):
        """Publish every piece when its last sample would have been spoken."""
        self.spin_until(lambda: self.publisher.matched, time.monotonic() + 10.0)
        due = time.monotonic()
        for sequence, samples in enumerate(pieces):
            due += CHUNK_S
            self.spin_until(lambda: False, due)
            chunk = Chunk('bench', sequence, int(due * 1e9), SAMPLE_RATE, 1, samples)
            with self.publisher.loan() as view:
                write_chunk(view, chunk)
                self.published.append(time.monotonic())


def own_costs(count):
    """Publish utterances; return the graph's own cost of each [ms], and the transcripts."""
    utterances = [spoken.samples for spoken in two_cities()]
    pieces = []
    for index in range(count):
        # A further round is quieter, so that its samples are new and no cache answers.
        gain = 0.98 ** (index // len(utterances))
        speech = (utterances[index % len(utterances)] * gain).astype(np.int16)
        silence = round(PAUSE_S * SAMPLE_RATE) + -speech.size % CHUNK_CAPACITY
        pieces.extend(np.pad(speech, (0, silence)).reshape(-1, CHUNK_CAPACITY))
    rclpy.init()
    speaker = Speaker()
    speaker.speak(pieces)
    speaker.node.destroy_node()
    rclpy.shutdown()
    return [own_cost(speaker.published, *one) for one in speaker.received], [
        transcript for _, transcript in speaker.received]


def own_cost(published, received, transcript):
    """Time from the publication of the chunk that ended the utterance, less recognition [ms]."""
    latency = transcript.latency
    recognition = latency.features + latency.encode + latency.decode
    # What was over before the endpoint has not delayed anything.
    recognition = max(0.0, recognition - latency.ahead) / 1e3
    # That chunk is the newest one before the rest: chunks come a tenth of a second apart, the
    # graph's own cost is far below that.
    ended = published[bisect.bisect_left(published, received - recognition) - 1]
    return (received - ended - recognition) * 1e3


def stage_medians(transcripts):
    """Median of each stage that the transcripts carry [ms]."""
    stages = Latency.get_fields_and_field_types()
    return {stage: statistics.median(getattr(one.latency, stage) for one in transcripts)
            for stage in stages}


def pss_mb(pid):
    """Proportional set size of a process [MB]."""
    return psutil.Process(pid).memory_full_info().pss / 1e6


if __name__ == '__main__':
    sys.exit(main())
