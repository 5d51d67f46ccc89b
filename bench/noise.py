"""Has the recogniser hear what is no speech, and people, and counts what each rule drops.

    python bench/noise.py [--json FILE]

The recordings of bench/noises.py go to Whisper-tiny.en as they are, past the voice activity
detector, which lets none of them through: this is what stands behind it. The people are those of
bench/prompts.py, words of half a second included, and the demo's reader. Noise of which words are
made must be dropped, speech must stay.
"""

import argparse
from pathlib import Path

import report
from noises import NOISES, noise
from prompts import prompts

from xlerobot_asr_opt.backends.whisper import WhisperBackend
from xlerobot_asr_opt.models.speech import two_cities
from xlerobot_asr_opt.parameters import InferenceParameters
from xlerobot_asr_opt.records import RecognitionStatus

LENGTHS_S = (0.7, 1.5, 4.0, 10.0)
PEAKS = (300.0, 3000.0, 20_000.0)
CACHE = Path(__file__).resolve().parents[1] / 'build' / 'bench'


def main():
    """Run the bench, print a table, and end with 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--json', type=Path, metavar='FILE')
    args = parser.parse_args()
    noises = [noise(name, seconds, peak) for name in NOISES for seconds in LENGTHS_S
              for peak in PEAKS]
    speech = [one.samples for one in (*two_cities(), *prompts(CACHE, (0.4, 6.0)))]
    figures = []
    for kind, parameters in (('off', InferenceParameters(noise_threshold=1.0)),
                             ('on', InferenceParameters())):
        backend = WhisperBackend(parameters)
        backend.load()
        worded, lost = words_of(backend, noises), len(speech) - words_of(backend, speech)
        backend.close()
        goals = {'goal': 0} if kind == 'on' else {}
        figures += [
            {'name': f'noise_threshold {kind}: noises with words, of {len(noises)}',
             'value': worded, 'unit': '', **goals},
            {'name': f'noise_threshold {kind}: speech dropped, of {len(speech)}',
             'value': lost, 'unit': '', **({'goal': figures[1]['value']} if goals else {})}]
    for figure in figures:
        print(f'{figure["name"]:60} {figure["value"]:6}')
    if args.json:
        report.write(args.json, figures)
    return int(any(report.held(figure) is False for figure in figures))


def words_of(backend, recordings):
    """Count the recordings of which words are made."""
    return sum(
        backend.recognise(backend.prepare(samples, '')).status is RecognitionStatus.DONE
        for samples in recordings)


if __name__ == '__main__':
    raise SystemExit(main())
