"""How many streams the graph holds: N people, each at a microphone of his own, in real time.

    python bench/streams.py [--streams 1 10 100 300 1000] [--duty 0.05 0.2] [--seconds 60]
                            [--lanes ours ours-once 1ms faster-whisper sherpa-onnx] [--most]
                            [--json FILE]

Recorded commands of 0.7 to 3 s (prompts of one professional speaker, a package of Debian and
Ubuntu; without it, phrases of two_cities) are spoken at a stated duty, the share of the time for
which a stream speaks, over the noise of a quiet room. Separate processes publish them in real time
on the audio topic of a real graph. Of every run:

    lost        commands without a transcript (DONE or NO_SPEECH) of their time in their stream
    latency     publication of the chunk that holds the endpoint, when it is due, to the reception
                of the transcript; own: less what the recogniser took after the endpoint
    cores       processor time over wall time, of the graph and of those who publish
    PSS         memory of the graph's processes

A run is held if nothing is lost and the own latency's p95 is at most 50 ms; with --most the
largest number of streams that is held is searched for in every lane. Lanes differ in the processes
of inference alone, one for each core, with one thread each:

    ours            whisper-tiny.en as it comes
    ours-once       the same, without decoding an unsure text again (inference.retry_confidence=0)
    1ms             scripted answers, each after a millisecond: what is measured is everything but
                    the recogniser
    faster-whisper  the same weights in int8, and
    sherpa-onnx     the same weights in int8, both by bench/peer_worker.py, at their best settings

Everybody's microphone is on for 5 s before he speaks. The cache is off, and no two commands have
equal samples.
"""

import argparse
import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import report
from crowd_run import Meter, judge, listening, percentile
from peer_client import made_ready
from prompts import prompts
from voices import NAMESPACE, Crowd, speakers_line

from xlerobot_asr_opt.cli.graph import Graph, command
from xlerobot_asr_opt.models.speech import cut, two_cities
from xlerobot_asr_opt.processes import GraphArguments
from xlerobot_asr_opt.records import SAMPLE_RATE

ROOT = Path(__file__).resolve().parents[1]
PEER_WORKER = Path(__file__).with_name('peer_worker.py')
LANES = ('ours', 'ours-once', '1ms', 'faster-whisper', 'sherpa-onnx')
NUMBERS = (5, 10, 15, 20, 30, 40, 50, 60, 80, 100, 125, 150, 200, 250, 300, 400, 500, 700, 1000)
COMMANDS_S = (0.7, 3.0)
STREAMS_OF_A_PROCESS = 250
LEAD_S = 8.0
"""From the start of those who publish to the first chunk; a second more for 100 streams [s]."""
SCRIPT = 'answers: [{text: go to the kitchen, delay_s: 0.001}]\n'


def main():
    """Run every number of streams at every duty, print a table; end with 1 if one is not held."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--streams', type=int, nargs='+', default=[1, 10, 100, 300, 1000])
    parser.add_argument('--duty', type=float, nargs='+', default=[0.05, 0.2])
    parser.add_argument('--seconds', type=float, default=60.0)
    parser.add_argument('--lanes', nargs='+', choices=LANES, default=['ours', '1ms'])
    parser.add_argument('--most', action='store_true', help='search for the most streams held')
    parser.add_argument('--parameters', nargs='*', default=[], help='of the graph, to try them')
    parser.add_argument('--json', type=Path, metavar='FILE')
    args = parser.parse_args()
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        path = write_commands(Path(folder) / 'commands.npz')
        print(HEADING)

        def at(lane, duty, streams):
            runs.append(run(
                Path(folder), Crowd(str(path), streams, duty, args.seconds, begin=0.0), lane,
                tuple(args.parameters)))
            print(row(runs[-1]), flush=True)
            return runs[-1].held

        for lane, duty in itertools.product(args.lanes, args.duty):
            if args.most:
                print(f'{lane} holds {most(lambda n, lane=lane, duty=duty: at(lane, duty, n))} '
                      f'streams at {duty:.0%}', flush=True)
                continue
            for streams in args.streams:
                at(lane, duty, streams)
    if args.json:
        report.write(args.json, [figure for one in runs for figure in figures(one)])
    return int(not args.most and not all(one.held for one in runs))


def most(holds):
    """Return the largest number of NUMBERS that is held, by bisection; 0: none."""
    held, missed = -1, len(NUMBERS)
    while missed - held > 1:
        middle = (held + missed) // 2
        if holds(NUMBERS[middle]):
            held = middle
        else:
            missed = middle
    return NUMBERS[held] if held >= 0 else 0


def write_commands(path):
    """Write the recorded commands that the voice detector hears in one piece; return the path."""
    found = prompts(ROOT / 'build' / 'bench', COMMANDS_S) or two_cities(COMMANDS_S)
    whole = [one.samples for one in found if len(cut(np.pad(one.samples, SAMPLE_RATE))) == 1]
    print(f'{len(whole)} recorded commands, '
          f'{np.mean([one.size for one in whole]) / SAMPLE_RATE:.2f} s in the mean')
    np.savez(path, *whole)
    return path


# One run


def run(folder, crowd, lane, parameters):
    """Let a crowd speak into a graph of its own; return the Run."""
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(tempfile.TemporaryDirectory())
        graph = stack.enter_context(graph_of(
            folder, crowd.streams, lane, (f'ingest.store_directory={store}', *parameters)))
        graph.wait_active()
        crowd, speakers = start(stack, crowd)
        listener = stack.enter_context(listening())
        meter = Meter(graph.pids)
        time.sleep(max(0.0, crowd.begin - time.monotonic()))
        meter.start()
        time.sleep(crowd.seconds)
        cores, pss = meter.stop()
        told = [json.loads(speaker.stdout.readline()) for speaker in speakers]
        listener.wait(sum(len(crowd.sequence(stream)) for stream in range(crowd.streams)))
        for speaker in speakers:
            speaker.stdin.close()
            speaker.wait(10.0)
    return judge(crowd, lane, listener, cores, pss, told)


def graph_of(folder, streams, lane, parameters):
    """Make the graph of a lane."""
    given = {'processes': os.cpu_count()}
    line, own = command, ('inference.threads=1', 'inference.capacity=3')
    if lane == '1ms':
        script = folder / 'script.yaml'
        script.write_text(SCRIPT)
        given |= {'backends': ('scripted',), 'script': str(script)}
    elif lane == 'ours-once':
        own = (*own, 'inference.retry_confidence=0.0')
    elif lane != 'ours':
        made_ready(lane)
        line = peer_line
        os.environ['BENCH_PEER'] = lane
    return Graph(GraphArguments(
        namespace=NAMESPACE, source='topic', log_level='warn', **given, parameters=(
            f'ingest.streams={streams + 8}', 'ingest.store_size=1024',
            'scheduler.use_cache=false', 'cache.l3_entries=0', *own, *parameters)), line=line)


def peer_line(process, directory):
    """The command line of a process, a peer's worker in place of ours."""
    program, *rest = command(process, directory)
    if process.executable != 'inference':
        return program, *rest
    return program, str(PEER_WORKER), *rest[rest.index('--ros-args'):]


def start(stack, crowd):
    """Start those who publish; return the crowd with its begin, and their processes."""
    later = replace(crowd, begin=time.monotonic() + LEAD_S + crowd.streams / 100)
    speakers = [
        stack.enter_context(subprocess.Popen(
            speakers_line(later, first, min(STREAMS_OF_A_PROCESS, crowd.streams - first)),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        for first in range(0, crowd.streams, STREAMS_OF_A_PROCESS)]
    for speaker in speakers:
        if speaker.stdout.readline() != 'ready\n':
            raise RuntimeError(f'{speaker.args} has ended with {speaker.wait()}')
    if time.monotonic() > later.begin:
        raise RuntimeError('the publishers were not ready in time; is the machine busy?')
    return later, speakers


HEADING = (f'{"lane":<13}{"streams":>8}{"duty":>6}{"spoken":>8}{"lost":>6}'
           f'{"latency p50/p95/p99 [ms]":>27}{"own p50/p95/p99 [ms]":>25}{"cores":>7}{"PSS":>7}'
           f'{"held":>6}')


def row(one):
    """One line of the table, and where the cores went."""
    def three(values):
        return ' / '.join(f'{percentile(values, percent):.0f}' for percent in (50, 95, 99))

    detail = ', '.join(f'{name} {value:.2f}' for name, value in one.cores.items())
    late = max((speaker['late_ms'][1] for speaker in one.speakers), default=0.0)
    stages = ', '.join(f'{name} {percentile(values, 95):.1f}'
                       for name, values in one.stages.items())
    return (f'{one.lane:<15}{one.streams:6}{one.duty:6.2f}{one.spoken:8}{one.lost:6}'
            f'{three(one.latencies):>27}{three(one.own):>25}{sum(one.cores.values()):7.2f}{sum(one.pss.values()):7.0f}'
            f'{"yes" if one.held else "no":>6}\n'
            f'    {detail}; recogniser busy {one.busy:.2f}; publishers '
            f'{sum(speaker["cores"] for speaker in one.speakers):.2f}, late p95 {late:.1f} ms; '
            f'chunks missing {one.missing}; transcripts twice {one.doubled}\n'
            f'    p95 of stages [ms]: {stages}')


def figures(one):
    """The figures of one run."""
    where = f'{one.streams} streams at {one.duty:.0%}, {one.lane}'
    return [
        {'name': f'commands lost of {one.spoken}, {where}', 'unit': '1', 'value': one.lost,
         'goal': 0},
        *({'name': f'{kind} p{percent}, {where}', 'unit': 'ms',
           'value': percentile(values, percent)}
          for kind, values in (('latency', one.latencies), ('own latency', one.own))
          for percent in (50, 95, 99)),
        {'name': f'cores of the graph, {where}', 'unit': 'cores',
         'value': sum(one.cores.values())},
        {'name': f'PSS of the graph, {where}', 'unit': 'MB', 'value': sum(one.pss.values())},
    ]


if __name__ == '__main__':
    sys.exit(main())
