"""Whether anything that was said is lost or doubled when the graph's processes are killed.

    python bench/kills.py [--kills 20] [--again 0.2] [--streams 6] [--duty 0.3] [--processes 2]
                          [--lane scripted|whisper] [--seed 1] [--json FILE]

A graph under `xlerobot-asr up` hears a person's recorded phrases on several streams at once, in
real time. Each of its processes, the manager included, is killed --kills times at random moments,
half of them by SIGKILL, half by SIGSTOP, which leaves a process that lives and does nothing; after
a share of --again of the SIGKILLs its successor is killed as well, while it comes up. The scripted
recogniser takes 0.3 s for each segment, so that kills meet segments in every stage; nobody is idle
for long. What must hold:

    lost        every segment that was announced has a transcript; so has every phrase that was
                spoken while an ingest listened
    doubled     no segment has two transcripts
    order       the transcripts of a stream come in the order of its speech
    refused     no transcript says that its segment was rejected, or expired
    books       admitted = done + rejected + expired + cancelled + open, of each status that the
                scheduler sends; ingest keeps nothing at the end
    alone       no process but the killed one was ended
    back        the node is active again, as the manager tells; goal: within 10 s of the kill
    found       the end of a process is told within 1 s
    heard       when somebody outside, who listens to the node, has found its successor; no goal
    traces      file descriptors and /dev/shm are as before half a minute after the last kill, and
                no process is left at the end

Each kill stands for itself: after it the manager is told to forget the failures (STARTUP), as ten
minutes would have it. What meets a limit is in test/unit/test_supervision.py.
"""

import argparse
import json
import os
import random
import re
import signal
import sys
import time
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import report
from kill_world import NAMESPACE, descriptors, running, shared_files
from voices import name_of

from xlerobot_asr_interfaces.msg import Transcript
from xlerobot_asr_opt.core.lifecycle import State

ANSWER_S = 0.3
REST_S = (0.3, 3.0)
"""From one recovery to the next kill [s]."""
AGAIN_S = 1.5
"""Within this time of its start a successor is killed [s]."""
SETTLE_S = 75.0
"""Longer than the middleware takes to forget who was killed (20 s), and the manager to sweep."""
HEARD_S = 1.0
"""A phrase that begins this long after a new ingest was heard of is not lost with the old one."""
TIMES = ('found', 'back', 'heard')
GOALS = {'back': 10.0, 'found': 1.0}
HEARD = (Transcript.STATUS_DONE, Transcript.STATUS_NO_SPEECH)


@dataclass
class Kill:
    """One kill and what came of it; times in seconds of the monotonic clock, or since the kill."""

    node: str
    signal: str
    at: float
    again: bool
    open: int
    found: float = float('nan')
    back: float = float('nan')
    heard: float = float('nan')


def main():
    """Run the bench, print what came of each node, and end with 1 if anything does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--kills', type=int, default=20, help='of each process')
    parser.add_argument('--again', type=float, default=0.2)
    parser.add_argument('--streams', type=int, default=6)
    parser.add_argument('--duty', type=float, default=0.3)
    parser.add_argument('--processes', type=int, default=2)
    parser.add_argument('--lane', choices=('scripted', 'whisper'), default='scripted')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--log', type=Path, metavar='FILE', help='of the graph')
    parser.add_argument('--json', type=Path, metavar='FILE')
    args = parser.parse_args()
    script = Path(f'/tmp/{NAMESPACE}-{os.getpid()}.yaml')
    script.write_text(f'answers: [{{text: go to the kitchen, delay_s: {ANSWER_S}}}]\n')
    lane = ('--backends', 'scripted', '--script', str(script)) if args.lane == 'scripted' else ()
    try:
        with running(args.streams, args.duty, args.seed, '--log-level', 'debug',
                     '--processes', str(args.processes), *lane) as world:
            run = Run(world, random.Random(args.seed))
            try:
                run.kill_all(args.kills, args.again)
                run.settle()
            except TimeoutError as error:
                run.wrong.append(str(error))
            finally:
                run.judge()
                if args.log:
                    args.log.write_text('\n'.join(line for _, line in world.up.lines))
    finally:
        script.unlink()
    left = [pid for pid in sorted(run.processes) if Path(f'/proc/{pid}').exists()]
    if left:
        run.wrong.append(f'processes that outlive the graph: {left}')
    figures = tell(run, args)
    if args.json:
        report.write(args.json, figures)
    for line in run.wrong:
        print(f'VIOLATION: {line}')
    return int(bool(run.wrong) or any(report.held(figure) is False for figure in figures))


class Run:
    """Kills, and looks at what comes of it.

    Attributes:
        kills: in order.
        wrong: what did not hold, in words.
        processes: every process that belonged to the graph.
    """

    def __init__(self, world, chance):
        """Look at the graph as it is before the first kill."""
        self.world, self._chance = world, chance
        self.kills, self.wrong, self.processes = [], [], set()
        self._struck = set()
        self.deaf = defaultdict(list)
        world.until(lambda: len(world.chunks) == world.crowd.streams and world.transcripts,
                    'every stream heard, and a first transcript')
        self._files = set()
        self.before = self._traces()
        self.after = {}

    def kill_all(self, kills, again):
        """Kill each process so many times, all of them in turns whose order is drawn."""
        nodes = sorted(self.world.up.children)
        plans = {node: self._plan(kills) for node in nodes}
        for turn in range(kills):
            self._chance.shuffle(nodes)
            for node in nodes:
                number = plans[node][turn]
                twice = number is signal.SIGKILL and self._chance.random() < again
                self.world.work(self._chance.uniform(*REST_S))
                self._kill(node, number, twice=twice)
                self.world.forgive()
            print(f'turn {turn + 1} of {kills}: {len(self.kills)} kills, '
                  f'{len(self.world.transcripts)} transcripts, {len(self.wrong)} violations',
                  flush=True)

    def _plan(self, kills):
        numbers = [signal.SIGKILL, signal.SIGSTOP] * (kills // 2) + [signal.SIGKILL] * (kills % 2)
        self._chance.shuffle(numbers)
        return numbers

    def _kill(self, node, number, *, twice):
        world = self.world
        before = world.up.children
        kill = self._strike(node, number, before[node], again=False)
        first_at = kill.at
        if twice:
            first = before[node]
            world.until(lambda: world.up.children.get(node, first) != first,
                        f'another process of {node}')
            world.work(self._chance.uniform(0.0, AGAIN_S))
            kill = self._strike(node, number, world.up.children[node], again=True)
        world.forget_answer()
        world.until(lambda: self._is_back(node) and world.is_active(),
                    f'{node} active again, all others too, after {number.name}')
        kill.back = (time.monotonic() if node == 'manager' else max(
            at for at, line in world.up.lines if line.endswith(f']: {node} is active'))) - kill.at
        world.until(lambda: node == 'manager' or self._is_heard(node),
                    f'a heartbeat of the new {node}')
        kill.heard = time.monotonic() - kill.at
        after = world.up.children
        others = {name for name in before if name != node and after.get(name) != before[name]}
        if others:
            self.wrong.append(f'{kill.signal} of {node} ended {", ".join(sorted(others))} too')
        if node == 'ingest':
            self._await_ears(first_at)
        kill.found = self._found(kill, before[node])

    def _strike(self, node, number, pid, *, again):
        world = self.world
        self._look()
        told = {one.segment for _, one in world.transcripts}
        kill = Kill(node, number.name, time.monotonic(), again, len(world.tickets.keys() - told))
        self.kills.append(kill)
        self._struck.add(pid)
        os.kill(pid, number)
        return kill

    def _is_back(self, node):
        """Whether a new process runs, and the manager has told that it is active."""
        pid = self.world.up.children.get(node, 0)
        if not pid or pid in self._struck:
            return False
        self.processes.add(pid)
        last = self.kills[-1].at
        return node == 'manager' or self.world.up.said(rf'\]: {node} is active$', last) is not None

    def _is_heard(self, node):
        return self.world.beats.get(node) == (self.world.up.children.get(node), State.ACTIVE)

    def _await_ears(self, since):
        """Note for how long nobody listened to each stream."""
        world = self.world
        streams = [name_of(stream) for stream in range(world.crowd.streams)]
        world.until(lambda: all(world.heard_anew[name] > self.kills[-1].at for name in streams),
                    'every stream heard by the new ingest')
        for name in streams:
            self.deaf[name].append((since, world.heard_anew[name] + HEARD_S))

    def _found(self, kill, pid):
        """When it was told that the process is no more, or hangs; NaN: never."""
        hung = kill.signal == 'SIGSTOP'
        if kill.node == 'manager':
            words = r'the manager \(pid \d+\) does not answer' if hung else r'manager ended with'
        elif kill.again:
            return float('nan')  # which of its processes a line is about is not told
        else:
            words = rf'\]: {kill.node}: (?:no progress|one piece of work)' if hung else (
                rf'\]: {kill.node}: its process \(pid {pid}\) ended')
        at = self.world.up.said(words, kill.at)
        return float('nan') if at is None else at - kill.at

    # Traces

    def _look(self):
        """Remember which processes there are, and what of theirs lies in /dev/shm."""
        for pid in self.world.up.children.values():
            self.processes.add(pid)
            # The ports below 7400 are those of every graph on the machine.
            self._files |= {name for name in shared_files(pid)
                            if not re.fullmatch(r'fast\w+_port7[0-3]\d\d', name)}

    def _traces(self):
        """File descriptors by process, and number of files in /dev/shm."""
        self._look()
        mine = {**self.world.up.children, 'up': self.world.up.pid}
        counts = {name: descriptors(pid) for name, pid in mine.items()}
        there = self._files.intersection(path.name for path in Path('/dev/shm').iterdir())
        return {**counts, '/dev/shm': len(there)}

    def settle(self):
        """Let everything come to its end, and look whether it did."""
        world = self.world
        world.work(3.0)
        world.speak(False)
        world.until(lambda: not self._missing() and not any(world.kept.values()),
                    lambda: f'transcripts of {self._missing()}; kept: {dict(world.kept)}')
        grown = {}
        until = time.monotonic() + SETTLE_S
        while time.monotonic() < until:
            world.work(2.0)
            self.after = self._traces()
            grown = {name: f'{self.before[name]} before, {count} after'
                     for name, count in self.after.items() if count > self.before[name]}
            if not grown:
                break
        for name, text in grown.items():
            self.wrong.append(f'traces of {name}: {text}')

    def _missing(self):
        told = {one.segment for _, one in self.world.transcripts}
        return sorted(self.world.tickets.keys() - told)

    # Judgement

    def judge(self):
        """Hold what was told against what was announced and spoken."""
        world = self.world
        told = [one for _, one in world.transcripts]
        lost = [f'segment {segment:x} of {world.tickets[segment]}' for segment in self._missing()]
        lost += self._unheard(told)
        counts = Counter(one.segment for one in told)
        doubled = [f'segment {one:x} {count} times' for one, count in counts.items() if count > 1]
        disorder = []
        for stream in {one.stream for one in told}:
            begins = [seconds(one.begin) for one in told if one.stream == stream]
            if begins != sorted(set(begins)):
                disorder.append(f'{stream}: began at {begins}')
        refused = [f'{one.stream} {one.sequence}: {one.reason}' for one in told
                   if one.status not in HEARD]
        books = [f'{books}' for books in world.schedulers if books['admitted'] != sum(
            books[name] for name in ('done', 'rejected', 'expired', 'cancelled', 'open'))]
        self.found = {'lost': lost, 'doubled': doubled, 'out of order': disorder,
                      'refused': refused, 'bad books': books}
        self.wrong += [f'{kind}: {text}' for kind, texts in self.found.items() for text in texts]

    def _unheard(self, told):
        """Phrases that were spoken while somebody listened, and have no transcript."""
        heard = defaultdict(list)
        for one in told:
            if one.status in HEARD:
                heard[one.stream].append((seconds(one.begin), seconds(one.end)))
        self.phrases = 0
        for stream, begin, end in self.world.spoken():
            name = name_of(stream)
            if any(begin < until and end > since for since, until in self.deaf[name]):
                continue
            self.phrases += 1
            if not any(first < end and last > begin for first, last in heard[name]):
                yield f'{name}: spoken at {begin:.1f} s, not heard'


def tell(run, args):
    """Print what came of it; return the figures."""
    found = run.found
    told = len(run.world.transcripts)
    print(f'{len(run.kills)} kills ({sum(one.open > 0 for one in run.kills)} while segments were '
          f'open, {sum(one.again for one in run.kills)} of a process that came up), '
          f'{len(run.world.tickets)} segments announced, {told} transcripts, '
          f'{run.phrases} phrases spoken while somebody listened')
    print(', '.join(f'{kind}: {len(texts)}' for kind, texts in found.items()))
    figures = [{'name': f'{kind}, of {told} transcripts', 'unit': '1', 'value': len(texts),
                'goal': 0} for kind, texts in found.items()]
    print(f'{"":23}{"kills":>6}' + ''.join(
        f'{name + " p50":>11}{"max [s]":>9}' for name in TIMES))
    for node, number in sorted({(one.node, one.signal) for one in run.kills}):
        kills = [one for one in run.kills if (one.node, one.signal) == (node, number)]
        line = f'{node:14}{number:9}{len(kills):6}'
        for name in TIMES:
            values = [value for value in (getattr(one, name) for one in kills) if value == value]
            line += f'{middle(values):11.2f}{max(values, default=0.0):9.2f}'
            figures += [
                {'name': f'{name} p50, {number} of {node}', 'unit': 's', 'value': middle(values)},
                {'name': f'{name} max, {number} of {node}', 'unit': 's',
                 'value': max(values, default=0.0)}]
            if (name, number) != ('found', 'SIGSTOP') and name in GOALS:
                figures[-1]['goal'] = GOALS[name]
        print(line)
    late = {one.segment for _, one in run.world.transcripts} - run.world.heard_live
    print(f'transcripts that a subscriber with the usual durability missed: {len(late)}')
    figures.append({'name': 'missed by a subscriber with the usual durability', 'unit': '1',
                    'value': len(late)})
    print('traces before and after: ' + ', '.join(
        f'{name} {count} {run.after.get(name)}' for name, count in run.before.items()))
    figures += [{'name': 'kills', 'unit': '1', 'value': len(run.kills)}]
    if args.log:
        args.log.with_suffix('.json').write_text(json.dumps([asdict(one) for one in run.kills]))
    return figures


def seconds(stamp):
    """A stamp [s]."""
    return stamp.sec + 1e-9 * stamp.nanosec


def middle(values):
    """The median; 0 of nothing."""
    return float(np.median(values)) if len(values) else 0.0


if __name__ == '__main__':
    sys.exit(main())
