"""Compares our CTC recogniser with sherpa-onnx: tokens, their times, and how long it takes.

    python bench/ctc.py [--rounds 5] [--threads 1] [--models NAME...] [--utterances 60]
                        [--speech FOLDER] [--json FILE] [--pin FILE]

The models are generated with random weights (test/unit/generated_ctc.py) in the layouts that
sherpa-onnx loads: what they write is nonsense, but both have to write the same. Both get the same
samples, each in a process of its own that stays loaded, and take turns in every round. The time of
an utterance is the median over the rounds. sherpa-onnx runs in an environment of its own, made on
the first run. The models of full size (0.9 GB in float32) run if they are named, since they take
long; all are made under build/bench when they are first asked for.
The utterances are the cuts of two_cities and, if installed, prompts of Debian's
asterisk-core-sounds-en-wav; a FOLDER of WAV files can take the place of the latter. --pin writes
the tokens that sherpa-onnx gives for cuts of two_cities, which test_ctc_conformance.py expects.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import report
from peers import environment, process

from xlerobot_asr_opt.models.layout import asset_path
from xlerobot_asr_opt.models.speech import errors, read, two_cities

ROOT = Path(__file__).resolve().parents[1]
LANE = Path(__file__).with_name('ctc_lane.py')
PEER = ROOT / 'build' / 'bench' / 'sherpa-onnx'
MODELS = ROOT / 'build' / 'bench' / 'ctc-models-1'
"""Its number is raised when the generator changes."""
REQUIREMENTS = ROOT / 'requirements' / 'bench.txt'
PROMPTS = Path('/usr/share/asterisk/sounds/en')
SHORTEST_S, LONGEST_S = 1.0, 6.0
STYLES = ('itn', 'words')
PINNED = ('small-0', 'small-1', 'nemo', 'zipformer')
CUTS = ((16000, 80000), (200000, 248000), (400000, 440000))
"""Of two_cities, for --pin [samples]."""


def generator():
    """Load the generator of models, which the tests have."""
    spec = importlib.util.spec_from_file_location(
        'generated_ctc', ROOT / 'test' / 'unit' / 'generated_ctc.py')
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def recipes(made):
    """Give each model's name its family and a function of a directory that writes it."""
    def sense_voice(**options):
        return 'sense_voice', lambda directory: made.write_sense_voice(directory, **options)

    def generic(family, **options):
        return family, lambda directory: made.write_generic(directory, family, **options)

    middle = made.Size(width=128, heads=4, inner=512, blocks=6, vocabulary=4000)
    return {
        'small-0': sense_voice(seed=0), 'small-1': sense_voice(seed=1),
        'middle-2': sense_voice(seed=2, size=middle),
        'middle-3-int8': sense_voice(seed=3, size=middle, int8=True),
        'nemo': generic('nemo_ctc', seed=4), 'zipformer': generic('zipformer_ctc', seed=5),
        'wenet': generic('wenet_ctc', seed=6),
        'full-7-int8': sense_voice(seed=7, size=made.FULL, int8=True),
        'full-8': sense_voice(seed=8, size=made.FULL),
    }


def main():
    """Run the bench, print a table, and end with 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    known = recipes(generator())
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--models', nargs='+', choices=list(known), default=[
        name for name in known if not name.startswith('full')])
    parser.add_argument('--utterances', type=int, default=60, help='of the prompts, at most')
    parser.add_argument('--speech', type=Path, default=PROMPTS, metavar='FOLDER')
    parser.add_argument('--json', type=Path, metavar='FILE')
    parser.add_argument('--pin', type=Path, metavar='FILE')
    args = parser.parse_args()
    if args.pin:
        return pin(known, args)
    utterances = [one.samples for one in two_cities()] + prompts(args.speech, args.utterances)
    print(f'{len(utterances)} utterances, {sum(map(len, utterances)) / 16000:.0f} s, '
          f'load {os.getloadavg()[0]:.1f}')
    python = peer_environment()
    figures = []
    for name in args.models:
        family, write = known[name]
        passes = measure(python, family, model(name, write), args, utterances)
        figures += compare(name, passes)
    if args.json:
        report.write(args.json, figures)
    return int(any(report.held(figure) is False for figure in figures))


def pin(known, args):
    """Write what sherpa-onnx hears in cuts of two_cities with the small models."""
    whole = read(asset_path('two_cities'))
    cuts = [whole[begin:end] for begin, end in CUTS]
    args.rounds = 1
    heard = {}
    for name in PINNED:
        family, write = known[name]
        passes = measure(peer_environment(), family, model(name, write), args, cuts)
        heard[name] = {style: [{'tokens': tokens, 'times': times} for _, tokens, times in turn]
                       for style in STYLES for turn in passes['peer', style]}
    args.pin.write_text(json.dumps({'cuts': CUTS, 'heard': heard}, ensure_ascii=False) + '\n')
    return 0


def prompts(folder, most):
    """Read recordings of a folder, spread evenly over it; none if it is not there."""
    paths = sorted(folder.rglob('*.wav')) if folder.is_dir() and most else []
    found = []
    for path in paths[::max(1, len(paths) // (2 * max(1, most)))]:
        samples = read(path)
        if SHORTEST_S <= len(samples) / 16000 <= LONGEST_S and len(found) < most:
            found.append(samples)
    return found


def model(name, write):
    """Generate a model, unless it is there."""
    directory = MODELS / name
    if not directory.is_dir():
        print(f'generating {name} (once)', file=sys.stderr)
        with tempfile.TemporaryDirectory(dir=PEER.parent) as scratch:
            write(Path(scratch) / name)
            MODELS.mkdir(exist_ok=True)
            (Path(scratch) / name).rename(directory)
    return directory


def measure(python, family, directory, args, utterances):
    """Give {(lane, style): [pass of each round]}; a pass has time, tokens and times of each."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        path = Path(folder) / 'utterances.npz'
        np.savez(path, *utterances)
        processes = {
            lane: stack.enter_context(process(
                start, LANE, lane, family, directory, args.threads, path))
            for lane, start in (('ours', [sys.executable]), ('peer', [python, '-I']))}
        passes = {(lane, style): [] for lane in processes for style in STYLES}
        for number in range(args.rounds):
            for (lane, style), turns in passes.items():
                print(f'\r{directory.name}, round {number + 1}/{args.rounds}, {lane:<8}', end='',
                      file=sys.stderr)
                print(style, file=processes[lane].stdin, flush=True)
                turns.append(json.loads(processes[lane].stdout.readline()))
    print(file=sys.stderr)
    return passes


def peer_environment():
    """Make the environment that has sherpa-onnx, unless it is there; return its Python."""
    lines = REQUIREMENTS.read_text().splitlines()
    (wanted,) = (line for line in lines if line.startswith('sherpa-onnx=='))
    return environment(PEER, wanted, wanted, f'numpy=={np.__version__}')


def compare(name, passes):
    """Turn the passes over one model into figures, and print them.

    sherpa-onnx adds noise to what WeNet's models hear, so that it does not hear the same twice;
    where it is at odds with itself, the goal is to be no more at odds with it.
    """
    itself = disagreement(passes, ('peer', 0), ('peer', 1)) if len(
        passes['peer', 'itn']) > 1 else 0.0
    ours = disagreement(passes, ('ours', 0), ('peer', 0))
    different = [
        (style, index) for style in STYLES
        for index, (mine, theirs) in enumerate(zip(
            passes['ours', style][0], passes['peer', style][0], strict=True))
        if mine[1:] != theirs[1:]]
    files = sum(len(passes['ours', style][0]) for style in STYLES)
    tokens = [token for style in STYLES for one in passes['peer', style][0] for token in one[1]]
    times = {lane: total(passes, lane) for lane in ('ours', 'peer')}
    rounds = [sum(one[0] for style in STYLES for one in passes['ours', style][number])
              / sum(one[0] for style in STYLES for one in passes['peer', style][number])
              for number in range(len(passes['ours', 'itn']))]
    ratio = times['ours'] / times['peer']
    print(f'{name:<14} tokens differ in {len(different)} of {files} ({len(tokens)} tokens, '
          f'{len(set(tokens))} different), {times["ours"] / files:8.1f} ms an utterance, '
          f'sherpa-onnx {times["peer"] / files:8.1f}, ratio {ratio:.2f} '
          f'({min(rounds):.2f} to {max(rounds):.2f})')
    same = {'name': f'files with other tokens or times, {name}', 'unit': 'files',
            'value': len(different), 'goal': 0}
    if itself:
        print(f'{"":<14} tokens at odds: {ours:.1%}, sherpa-onnx with itself {itself:.1%}')
        same = {'name': f'tokens at odds, {name}', 'unit': '1', 'value': ours, 'goal': itself,
                'peer': 'sherpa-onnx with itself', 'peer_value': itself, 'ratio': ours / itself}
    return [
        same,
        {'name': f'time beside the peer, {name}', 'unit': 'times', 'value': ratio, 'goal': 1.0,
         'peer': 'sherpa-onnx [ms]', 'peer_value': times['peer'] / files, 'ratio': ratio}]


def disagreement(passes, one, other):
    """Tokens to replace, leave out or put in, of those that the second of two passes has."""
    wrong = said = 0
    for style in STYLES:
        for mine, theirs in zip(passes[one[0], style][one[1]], passes[other[0], style][other[1]],
                                strict=True):
            wrong += errors(theirs[1], mine[1])
            said += len(theirs[1])
    return wrong / max(1, said)


def total(passes, lane):
    """Sum of the utterances' median times [ms]."""
    return sum(
        statistics.median(turn[index][0] for turn in passes[lane, style])
        for style in STYLES for index in range(len(passes[lane, style][0])))


if __name__ == '__main__':
    sys.exit(main())
