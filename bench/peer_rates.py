"""Compares how much speech ours, faster-whisper and sherpa-onnx recognise in a second.

    python bench/peer_rates.py [--rounds 5] [--cores 1 2] [--phrases 60] [--json FILE]
    python bench/peer_rates.py --tune [--rounds 3] [--cores 1 2]

All have whisper-tiny.en in int8 from the very same weights, each in processes of its own that stay
loaded, reached in the same way (peer_client.py), with as many segments in flight as they can use.
The lanes take turns, a pass over all phrases each, in every round; a ratio is the median over the
rounds, beside their range. The processor time of a phrase, of all threads, is what other programs
on the machine change least; its ratio is told as well. Phrases are prompts of 0.7 to 3 s and the
cuts of two_cities.

--tune tells the rate of every setting that is worth trying, from which BEST is taken: how threads,
workers, processes and batches share the cores.
"""

import argparse
import contextlib
import dataclasses
import os
import queue
import statistics
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import report
from peer_client import Peer, Setting
from prompts import PACKAGE, prompts
from recogniser import PEER

from xlerobot_asr_opt.models.speech import errors, two_cities, words

BETWEEN_S = 0.7, 3.0


@dataclasses.dataclass(frozen=True)
class Lane:
    """Equal processes that share the work."""

    setting: Setting
    processes: int = 1

    @property
    def name(self):
        """As the table says it."""
        one = self.setting
        return (f'{one.name}, {self.processes} x {one.workers} x {one.threads}'
                + f', batch {one.batch}' * (one.batch > 1)
                + f', tail {one.tail}' * (one.tail != Setting.tail))


def lane(name, processes=1, **setting):
    """Make a lane."""
    return Lane(Setting(name, **setting), processes)


BEST = {
    cores: [lane(name, processes=cores)
            for name in ('ours', 'ours-once', 'faster-whisper', 'sherpa-onnx')]
    for cores in (1, 2)}
"""Lanes of the comparison, by the cores that they use; ours first.

One process of one thread for each core is the best for all, by their processor time: batches save
nothing of faster-whisper's, whose encoder works on 30 s of each segment and not on the decoder's
weights; sherpa-onnx recognises a batch one by one, and its threads wait for each other in a loop.
"""


def candidates(cores):
    """Every lane that is worth trying on so many cores."""
    found = []
    for name in ('ours', 'faster-whisper', 'sherpa-onnx'):
        found += [lane(name, processes=cores)]
        if cores > 1:
            found += [lane(name, workers=cores), lane(name, threads=cores)]
    for batch in (2, 4, 8):
        found += [lane('faster-whisper', processes=cores, batch=batch)]
        if cores > 1:
            found += [lane('faster-whisper', threads=cores, batch=batch)]
    found += [lane('sherpa-onnx', processes=cores, tail=tail) for tail in (300, 600, 2000)]
    return [*found, lane('sherpa-onnx', processes=cores, batch=4)]


def main():
    """Run the bench and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--cores', type=int, nargs='+', default=[1, 2], choices=[1, 2])
    parser.add_argument('--phrases', type=int, default=60, help='of each kind, at most')
    parser.add_argument('--tune', action='store_true')
    parser.add_argument('--json', type=Path, metavar='FILE')
    args = parser.parse_args()
    spoken = prompts(PEER.parent, BETWEEN_S)
    if not spoken:
        print(f'two_cities alone: {PACKAGE} cannot be had here')
    sets = {name: some[::max(1, len(some) // args.phrases)][:args.phrases]
            for name, some in (('prompts', spoken), ('two_cities', two_cities()))}
    print(', '.join(f'{len(some)} phrases of {name} ({sum(one.seconds for one in some):.0f} s)'
                    for name, some in sets.items()) + f', load {os.getloadavg()[0]:.1f}')
    figures = []
    for cores in args.cores:
        lanes = candidates(cores) if args.tune else BEST[cores]
        figures += tell(cores, lanes, sets, measure(lanes, sets, args.rounds))
    if args.json:
        report.write(args.json, figures)
    return 0


def measure(lanes, sets, rounds):
    """Give {lane: {set: [(seconds, processor seconds, texts) of each round]}}."""
    passes = {lane: {name: [] for name in sets} for lane in lanes}
    with contextlib.ExitStack() as stack:
        running = {lane: [stack.enter_context(contextlib.closing(Peer(lane.setting)))
                          for _ in range(lane.processes)] for lane in lanes}
        for number in range(rounds):
            for lane, peers in running.items():
                print(f'\rround {number + 1}/{rounds}, {lane.name:<40}', end='', file=sys.stderr)
                for name, phrases in sets.items():
                    used, begin = sum(peer.processor_s() for peer in peers), time.perf_counter()
                    texts = hear(lane.setting, peers, phrases)
                    took = time.perf_counter() - begin
                    used = sum(peer.processor_s() for peer in peers) - used
                    passes[lane][name].append((took, used, texts))
    print(file=sys.stderr)
    return passes


def hear(setting, peers, phrases):
    """Have processes share the phrases; return the texts."""
    texts, left = [''] * len(phrases), queue.SimpleQueue()
    for index, phrase in enumerate(phrases):
        left.put((index, phrase.samples))

    def feed(peer):
        room = threading.Semaphore(setting.workers * setting.batch + 1)
        answers = {}
        with contextlib.suppress(queue.Empty):
            while True:
                room.acquire()
                index, samples = left.get_nowait()
                answers[index] = peer.submit(samples)
                answers[index].add_done_callback(lambda _: room.release())
        for index, answer in answers.items():
            texts[index] = answer.result().text
    with ThreadPoolExecutor(len(peers)) as pool:
        list(pool.map(feed, peers))
    return texts


def tell(cores, lanes, sets, passes):
    """Print a line for each lane, and turn it into figures."""
    phrases = sum(map(len, sets.values()))
    speech_s = sum(one.seconds for some in sets.values() for one in some)
    took, used = ({lane: [sum(turn[kind] for turn in turns)
                          for turns in zip(*passes[lane].values(), strict=True)]
                   for lane in lanes} for kind in (0, 1))
    print(f'{cores} core(s); a lane is processes x workers x threads\n'
          f'  {"":<34}phrases/s    RTF  times faster is ours (rounds)  '
          f'processor ms   ratio  words wrong: {", ".join(sets)}')
    figures = []
    for lane in lanes:
        ratio, rounds = ratios(took[lane], took[lanes[0]])
        of_used, _ = ratios(used[lane], used[lanes[0]])
        rate, ms = phrases / statistics.median(took[lane]), 1e3 * statistics.median(used[lane])
        wrong = [wrong_words(some, passes[lane][name][-1][-1]) for name, some in sets.items()]
        print(f'  {lane.name:<34}{rate:9.2f} {phrases / rate / speech_s:6.3f} {ratio:10.2f}  '
              f'({min(rounds):.2f} to {max(rounds):.2f}) {ms / phrases:19.1f} {of_used:7.2f}  '
              f'{wrong}')
        figures += [
            {'name': f'phrases a second, {lane.name}', 'unit': '1/s', 'value': rate,
             'peer': lanes[0].name, 'peer_value': phrases / statistics.median(took[lanes[0]]),
             'ratio': ratio},
            {'name': f'processor time of a phrase, {lane.name}', 'unit': 'ms',
             'value': ms / phrases, 'peer': lanes[0].name, 'ratio': of_used},
            {'name': f'RTF, {lane.name}', 'unit': '1', 'value': phrases / rate / speech_s},
            {'name': f'words wrong, {lane.name}', 'unit': '1', 'value': sum(wrong)}]
    return figures


def ratios(theirs, mine):
    """The median of the rounds' ratios, and all of them."""
    rounds = [one / other for one, other in zip(theirs, mine, strict=True)]
    return statistics.median(rounds), rounds


def wrong_words(phrases, texts):
    """Words to replace, leave out or put in."""
    return sum(errors(one.words, words(text)) for one, text in zip(phrases, texts, strict=True))


if __name__ == '__main__':
    sys.exit(main())
