"""Has the recogniser hear what is no speech, and people, and counts what each rule drops.

    python bench/noise.py [--json FILE]

The recordings of bench/noises.py go to Whisper-tiny.en as they are, past the voice activity
detector, which lets none of them through: this is what stands behind it. The people are those of
bench/prompts.py, words of half a second included, and the demo's reader. Nearly
all noise must be dropped, and no more speech than without the parameter noise_threshold.
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

LENGTHS_S = (0.7, 1.5, 4.0)
PEAKS = (300.0, 9000.0)
NOISE_GOAL = 0.95
CACHE = Path(__file__).resolve().parents[1] / 'build' / 'bench'


def main():
    """Run the bench, print a table, and end with 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--json', type=Path, metavar='FILE')
    args = parser.parse_args()
    noises = [noise(name, seconds, peak) for name in NOISES for seconds in LENGTHS_S
              for peak in PEAKS]
    speech = [one.samples for one in (*two_cities(), *prompts(CACHE, (0.4, 6.0)))]
    with_rule, without = opened(InferenceParameters()), opened(
        InferenceParameters(noise_threshold=1.0))
    figures = []
    for kind, recordings in (('noise', noises), ('speech', speech)):
        dropped = [samples for samples in recordings if not has_words(with_rule, samples)]
        # The rule only drops more: what passes it passes without it.
        before = sum(not has_words(without, samples) for samples in dropped)
        figures.append({
            'name': f'{kind} dropped, of {len(recordings)}', 'value': len(dropped), 'unit': '',
            'goal': f'>= {NOISE_GOAL * len(recordings)}' if kind == 'noise' else before,
            'peer': 'without noise_threshold', 'peer_value': before})
    for figure in figures:
        print(f'{figure["name"]:30} {figure["value"]:6}, {figure["peer"]}: '
              f'{figure["peer_value"]}')
    if args.json:
        report.write(args.json, figures)
    return int(any(report.held(figure) is False for figure in figures))


def opened(parameters):
    """A recogniser with some parameters."""
    backend = WhisperBackend(parameters)
    backend.load()
    return backend


def has_words(backend, samples):
    """Whether words are made of int16[n]."""
    return backend.recognise(backend.prepare(samples, '')).status is RecognitionStatus.DONE


if __name__ == '__main__':
    raise SystemExit(main())
