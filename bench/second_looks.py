"""Measures what it is worth to decode unsure texts a second time, by the length of the speech.

    python bench/second_looks.py [--model NAME] [--threads N] [--speech FOLDER TEXTS] [--json FILE]

Every utterance is recognised without a second decoding, and with one of every text whose own
confidence is below inference.retry_confidence, however short. Counted are words to replace, leave
out or put in; timed are encoder and decoder. The utterances are cuts of two_cities and prompts of
a professional speaker (bench/prompts.py), 0.5 to 6 s; a FOLDER of WAV files, with a file of TEXTS
that has a line `name: text` for each, takes the place of the prompts.
"""

import argparse
import statistics
from itertools import pairwise
from pathlib import Path

import report
from prompts import prompts

from xlerobot_asr_opt.backends.whisper import WhisperBackend
from xlerobot_asr_opt.models.speech import errors, from_folder, two_cities, words
from xlerobot_asr_opt.parameters import InferenceParameters

FETCHED = Path(__file__).resolve().parents[1] / 'build' / 'bench'
LENGTHS = 0.5, 6.0
EDGES_S = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.01)
LANES = {'once': {'retry_confidence': 0.0}, 'again': {'retry_shortest': 0.0}}
COLUMNS = '{:>10} {:>10} {:>6} {:>12} {:>12} {:>14} {:>14} {:>7}'


def main():
    """Recognise all in both ways, and print a line for each length."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--model', default='whisper-tiny.en')
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--speech', type=Path, nargs=2, metavar=('FOLDER', 'TEXTS'))
    parser.add_argument('--json', type=Path, metavar='FILE')
    args = parser.parse_args()
    spoken = two_cities() + (
        from_folder(*args.speech, LENGTHS) if args.speech else prompts(FETCHED, LENGTHS))
    heard = {lane: listen(spoken, InferenceParameters(
        model=args.model, threads=args.threads, **setting)) for lane, setting in LANES.items()}
    print(COLUMNS.format('length [s]', 'utterances', 'words', 'wrong, once', 'wrong, again',
                         'time, once', 'time, again', 'looks'))
    figures = []
    for low, high in pairwise(EDGES_S):
        chosen = [index for index, one in enumerate(spoken) if low <= one.seconds < high]
        if chosen:
            figures += tell(f'{low:g} to {high:.3g}', spoken, heard, chosen)
    if args.json:
        report.write(args.json, figures)


def listen(spoken, parameters):
    """Recognise all; give wrong words, time [ms] and whether it was decoded again, of each."""
    backend = WhisperBackend(parameters)
    backend.load()
    backend.warm_up()
    heard = []
    for one in spoken:
        said = backend.recognise(backend.prepare(one.samples, ''))
        heard.append((errors(one.words, words(said.text)), said.encode_ms + said.decode_ms,
                      'decoded in' in said.reason))
    return heard


def tell(length, spoken, heard, chosen):
    """Print one line, and give its figures."""
    wrong = {lane: sum(of[index][0] for index in chosen) for lane, of in heard.items()}
    ms = {lane: statistics.mean(of[index][1] for index in chosen) for lane, of in heard.items()}
    said = sum(len(spoken[index].words) for index in chosen)
    looks = sum(heard['again'][index][2] for index in chosen)
    print(COLUMNS.format(
        length, len(chosen), said, wrong['once'], wrong['again'], f'{ms["once"]:.0f} ms',
        f'{ms["again"]:.0f} ms', looks))
    return [
        {'name': f'words wrong of {said}, {length} s', 'unit': 'words', 'value': wrong['again'],
         'peer': 'once', 'peer_value': wrong['once']},
        {'name': f'time, {length} s', 'unit': 'ms', 'value': ms['again'], 'peer': 'once',
         'peer_value': ms['once'], 'ratio': ms['again'] / ms['once']}]


if __name__ == '__main__':
    main()
