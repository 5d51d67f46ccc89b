"""Compares the ways of a message from one Python process to another: copied, loaned, shared.

    python bench/transport.py [--rounds 7] [--messages 60] [--cores own|any] [--json FILE]

Publish to callback, on one machine, one publisher and one subscription:

    plain         what rclpy does by itself: create_publisher, create_subscription, its
                  SingleThreadedExecutor, no profile
    copy          LoanedPublisher, LoanedSubscription and DirectExecutor, as in the nodes, in mode
                  off: our fallback
    loan          the same in mode loan
    data_sharing  the same in mode data_sharing

The message types are plain in every lane and the same in all of them: AudioChunk (3.2 kB),
SpeechSegment (960 kB) and, between them, two of bench/interfaces, which are built on the first
run. Every sample is written. The clock starts when the message is written and its publishing
begins: before publish() of rclpy, at the end of the loan's block otherwise; it stops with the
first statement of the callback. Writing the samples is a figure of its own. All lanes run in turn,
size by size, and again in every round; a figure is the median over the rounds of each round's
median.

With --cores own, the default, the publisher runs on the first core and the subscription on the
last one, as two nodes do on a robot that has cores to spare. With --cores any the kernel chooses,
and what is measured is its choice too: it often wakes a reader on the writer's own core, which is
quick for a small message and finds the cache full of a large one.
"""

import argparse
import contextlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import message_packages
import report

from xlerobot_asr_opt.ros.profile import ZERO_COPY_VARIABLE, middleware_environment

LANES = ('plain', 'copy', 'loan', 'data_sharing')
SIZES_KB = (3.2, 32, 320, 960)
ROOT = Path(__file__).resolve().parents[1]
NAMESPACE = '/bench'
DEPTH = 4
GAP_S = 0.01
WARM_UP = 15
PATIENCE_S = 20.0
FASTER_GOAL = 5.0
FLAT_GOAL = 1.5


def main():
    """Run the bench, print a table, and end with 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--messages', type=int, default=60, help='in each round')
    parser.add_argument('--cores', choices=['own', 'any'], default='own')
    parser.add_argument('--json', type=Path, metavar='FILE')
    parser.add_argument('--role', choices=['publish', 'receive'], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.role:
        return child(args.role)
    turns = measure(args.rounds, args.messages, args.cores == 'own')
    figures = summarise(turns)
    print_table(figures)
    if args.json:
        report.write(args.json, figures)
    return int(any(report.held(figure) is False for figure in figures))


# The parent: runs the lanes in turn.


def measure(rounds, messages, own_cores):
    """Give {(lane, kB): [times of one round]}, times as columns in microseconds."""
    probes = message_packages.environment_with('bench/interfaces', 'bench')
    turns = {}
    with contextlib.ExitStack() as stack:
        pairs = {
            lane: [
                stack.enter_context(process(lane, role, probes, own_cores))
                for role in ('receive', 'publish')]
            for lane in LANES
        }
        for number, size in itertools.product(range(rounds), SIZES_KB):
            for lane, (receiver, publisher) in pairs.items():
                print(f'\rround {number + 1}/{rounds} {size:g} kB {lane:<14}', end='',
                      file=sys.stderr)
                turns.setdefault((lane, size), []).append(
                    one_turn(receiver, publisher, size, messages)
                )
        print(file=sys.stderr)
    return turns


def one_turn(receiver, publisher, size, messages):
    """Send messages of one size through one lane."""
    for peer in (receiver, publisher):
        tell(peer, 'open', size)
    for peer in (receiver, publisher):
        hear(peer)
    tell(receiver, 'take', messages + WARM_UP)
    tell(publisher, 'send', messages + WARM_UP)
    sent, arrived = hear(publisher), hear(receiver)
    for peer in (receiver, publisher):  # readers before writers
        tell(peer, 'close')
        hear(peer)
    columns = {'way': [], 'call': [], 'write': []}
    for sequence, begin, publish, published in sent[WARM_UP:]:
        if str(sequence) in arrived:
            columns['way'].append((arrived[str(sequence)] - publish) / 1e3)
            columns['call'].append((published - publish) / 1e3)
            columns['write'].append((publish - begin) / 1e3)
    return columns | {'lost': messages - len(columns['way'])}


def tell(peer, *words):
    peer.stdin.write(' '.join(map(str, words)) + '\n')
    peer.stdin.flush()


def hear(peer):
    for line in peer.stdout:
        if line.startswith(('{', '[')):
            return json.loads(line)
    raise RuntimeError(f'{peer.args} has ended with {peer.wait()}')


@contextlib.contextmanager
def process(lane, role, probes, own_cores):
    """Start one side of a lane; every lane has a domain of its own."""
    cores = sorted(os.sched_getaffinity(0))
    inherited = {
        name: value for name, value in os.environ.items()
        if not name.startswith(('RMW_', 'FAST', ZERO_COPY_VARIABLE, 'ROS_DISABLE'))
    }
    environment = inherited | probes | {'ROS_DOMAIN_ID': str(80 + LANES.index(lane))}
    if lane != 'plain':
        mode = 'off' if lane == 'copy' else lane
        workers = [worker_of(size) for size in SIZES_KB]
        environment |= middleware_environment(mode, NAMESPACE, workers, environment)
    command = [sys.executable, __file__, '--role', role]
    peer = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=environment | {'BENCH_LANE': lane},
    )
    if own_cores:  # before it has threads, which inherit this
        os.sched_setaffinity(peer.pid, {cores[0 if role == 'publish' else -1]})
    try:
        yield peer
        peer.stdin.close()
        peer.wait(PATIENCE_S)
    finally:
        peer.kill()


def worker_of(size):
    return f'probe_{size:g}'.replace('.', '_')


# The children: one endpoint at a time.


def child(role):
    """Obey the parent's commands: open KB, send COUNT, take COUNT, close."""
    import rclpy  # the parent needs no ROS

    rclpy.init()
    node = rclpy.create_node(f'{role}r')
    lane = os.environ['BENCH_LANE']
    side = {'publish': Sender, 'receive': Taker}[role](node, lane == 'plain')
    while words := sys.stdin.readline().split():
        answer = getattr(side, words[0])(*map(float, words[1:]))
        print(json.dumps(answer), flush=True)
    node.destroy_node()
    rclpy.shutdown()
    return 0


def message_type(size):
    """Give the message class of a size, and the name of its counter."""
    from transport_probes.msg import Probe32k, Probe320k

    from xlerobot_asr_interfaces.msg import AudioChunk, SpeechSegment

    return {
        3.2: (AudioChunk, 'sequence'), 32: (Probe32k, 'sequence'),
        320: (Probe320k, 'sequence'), 960: (SpeechSegment, 'segment'),
    }[size]


class Sender:
    """Publishes messages and notes when."""

    def __init__(self, node, plain):
        self.node, self.plain = node, plain

    def open(self, size):
        from xlerobot_asr_opt.ros.loans import LoanedPublisher

        kind, self.counter = message_type(size)
        topic = f'{NAMESPACE}/{worker_of(size)}/segments'
        if self.plain:
            self.publisher = self.node.create_publisher(kind, topic, DEPTH)
            wait_until(self.publisher.get_subscription_count)
            self.message = kind()
            self.samples = self.message.samples.copy()
        else:
            self.publisher = LoanedPublisher(self.node, kind, topic, DEPTH)
            wait_until(lambda: self.publisher.matched)
            self.samples = kind().samples
        return {}

    def send(self, count):
        return [self.send_one(sequence) for sequence in range(int(count))]

    def send_one(self, sequence):
        time.sleep(GAP_S)
        self.samples[[0, -1]] = sequence
        begin = time.monotonic_ns()
        if self.plain:
            self.message.samples[:] = self.samples
            setattr(self.message, self.counter, sequence)
            publish = time.monotonic_ns()
            self.publisher.publish(self.message)
        else:
            with self.publisher.loan() as view:
                view['samples'] = self.samples
                view[self.counter] = sequence
                publish = time.monotonic_ns()
        return sequence, begin, publish, time.monotonic_ns()

    def close(self):
        if self.plain:
            self.node.destroy_publisher(self.publisher)
        else:
            self.publisher.destroy()
        return {}


class Taker:
    """Notes when messages arrive."""

    def __init__(self, node, plain):
        from rclpy.executors import SingleThreadedExecutor

        from xlerobot_asr_opt.ros.executor import DirectExecutor

        self.node, self.plain = node, plain
        self.executor = SingleThreadedExecutor() if plain else DirectExecutor()
        self.executor.add_node(node)

    def open(self, size):
        from xlerobot_asr_opt.ros.loans import LoanedSubscription

        kind, self.counter = message_type(size)
        topic = f'{NAMESPACE}/{worker_of(size)}/segments'
        self.arrived = {}
        if self.plain:
            self.subscription = self.node.create_subscription(kind, topic, self.on_message, DEPTH)
        else:
            self.subscription = LoanedSubscription(self.node, kind, topic, self.on_view, DEPTH)
        wait_until(lambda: self.node.count_publishers(topic))
        return {}

    def on_message(self, message):
        now = time.monotonic_ns()
        self.note(getattr(message, self.counter), message.samples, now)

    def on_view(self, view):
        now = time.monotonic_ns()
        self.note(int(view[self.counter]), view['samples'], now)

    def note(self, sequence, samples, now):
        if samples[0] == samples[-1] == sequence:  # else it is torn, and counts as lost
            self.arrived[sequence] = now

    def take(self, count):
        deadline = time.monotonic() + 1.0
        while len(self.arrived) < count and time.monotonic() < deadline:
            known = len(self.arrived)
            self.executor.spin_once(timeout_sec=0.1)
            if len(self.arrived) > known:
                deadline = time.monotonic() + 1.0
        return self.arrived

    def close(self):
        if self.plain:
            self.node.destroy_subscription(self.subscription)
        else:
            self.subscription.destroy()
        return {}


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError('the other side was not found')
        time.sleep(0.005)


# The result.


def summarise(turns):
    """Turn the rounds into figures, each with its unit, plain rclpy's figure and the ratio."""
    figures = []
    for lane, size in turns:
        for column, name in (
            ('way', 'publish to callback'), ('call', 'publish call'), ('write', 'writing'),
        ):
            value, peer = (median_of(turns[each, size], column) for each in (lane, 'plain'))
            figures.append({
                'name': f'{name}, {lane}, {size:g} kB', 'lane': lane, 'kB': size, 'column': column,
                'unit': 'us', 'value': value, 'p95': percentile_of(turns[lane, size], column, 95),
                'peer': 'plain rclpy', 'peer_value': peer, 'ratio': peer / value,
                'lost': sum(turn['lost'] for turn in turns[lane, size]),
            })
    return figures + goals(figures)


def goals(figures):
    shared = {
        figure['kB']: figure for figure in figures
        if (figure['lane'], figure['column']) == ('data_sharing', 'way')
    }
    faster, flat = shared[320]['ratio'], shared[960]['value'] / shared[3.2]['value']
    return [
        {'name': 'plain / data_sharing at 320 kB', 'unit': '1', 'value': faster,
         'goal': f'>= {FASTER_GOAL}', 'peer': 'plain rclpy [us]',
         'peer_value': shared[320]['peer_value'], 'ratio': faster},
        {'name': 'data_sharing, 960 kB / 3.2 kB', 'unit': '1', 'value': flat,
         'goal': f'<= {FLAT_GOAL}', 'peer': 'at 3.2 kB [us]',
         'peer_value': shared[3.2]['value'], 'ratio': flat},
    ]


def median_of(rounds, column):
    return statistics.median(statistics.median(turn[column]) for turn in rounds)


def percentile_of(rounds, column, percent):
    values = sorted(value for turn in rounds for value in turn[column])
    return values[min(len(values) - 1, len(values) * percent // 100)]


def print_table(figures):
    print(f'{"":14}' + ''.join(f'{f"{size:g} kB":>24}' for size in SIZES_KB))
    for column, title in (
        ('way', 'publish to callback, p50 / p95 [us], and times faster than plain rclpy'),
        ('call', 'the publish call'), ('write', 'writing the samples'),
    ):
        print(title)
        for lane in LANES:
            cells = [
                f'{figure["value"]:8.0f} /{figure["p95"]:6.0f} {figure["ratio"]:5.1f}x'
                for figure in figures
                if (figure.get('lane'), figure.get('column')) == (lane, column)
            ]
            print(f'  {lane:<12}' + ''.join(f'{cell:>24}' for cell in cells))
    lost = {
        lane: sum(
            figure['lost'] for figure in figures
            if (figure.get('lane'), figure.get('column')) == (lane, 'way'))
        for lane in LANES
    }
    print('messages lost or torn: ' + ', '.join(f'{lane} {lost[lane]}' for lane in LANES))
    for goal in figures:
        if 'goal' in goal:
            verdict = 'held' if report.held(goal) else 'NOT HELD'
            print(f'{goal["name"]}: {goal["value"]:.2f} (goal {goal["goal"]}: {verdict})')


if __name__ == '__main__':
    sys.exit(main())
