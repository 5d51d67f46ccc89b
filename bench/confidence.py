"""Measures how a model's confidence relates to the share of words that are right, and fits a map.

    python bench/confidence.py [--model NAME] [--speech FOLDER TEXTS] [--json FILE]

The model's own confidence is exp(mean log-probability of the text's tokens). A Platt curve,
sigmoid(slope x logit(confidence) + offset), maps it onto the share of right words; its two
numbers are what backends/calibration.py holds for the model. Each utterance counts by its words.
The error told is the expected calibration error: the difference between what is said and what is
so, in ten bins of as many words each. It is measured by cross-validation: every utterance is
judged by a curve that was fitted on other ones. The utterances are cut out of two_cities; a FOLDER
of WAV files, with a file of TEXTS that has a line `name: text` for each, is added to them.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import report

from xlerobot_asr_opt.backends.calibration import CURVES, UNCHANGED, Curve
from xlerobot_asr_opt.backends.whisper import WhisperBackend
from xlerobot_asr_opt.models.speech import errors, from_folder, two_cities, words
from xlerobot_asr_opt.parameters import InferenceParameters

BINS = 10
FOLDS = 5
ROUNDS = 50
RIDGE = 1e-6


@dataclass(frozen=True)
class Heard:
    """What a model made of some utterances, as arrays of one value each.

    Attributes:
        confidences: the model's own, 0 to 1.
        right: share of the words that are right, 0 to 1.
        words: that were said.
    """

    confidences: np.ndarray
    right: np.ndarray
    words: np.ndarray

    def where(self, chosen):
        return Heard(self.confidences[chosen], self.right[chosen], self.words[chosen])


def main():
    """Measure, fit, and print what changes by it."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--model', default='whisper-tiny.en')
    parser.add_argument('--speech', type=Path, nargs=2, metavar=('FOLDER', 'TEXTS'))
    parser.add_argument('--json', type=Path, metavar='FILE')
    args = parser.parse_args()
    sets = {'two_cities': two_cities()}
    if args.speech:
        sets[args.speech[0].name] = from_folder(*args.speech)
    heard = {name: listen(args.model, utterances) for name, utterances in sets.items()}
    all_heard = Heard(*(np.concatenate(values) for values in zip(
        *((one.confidences, one.right, one.words) for one in heard.values()), strict=True)))
    curve = fit(all_heard)
    raw, unseen = error(all_heard, all_heard.confidences), error(all_heard, cross(all_heard))
    print(f'{len(all_heard.words)} utterances, {all_heard.words.sum():.0f} words, '
          f'{(all_heard.right * all_heard.words).sum() / all_heard.words.sum():.1%} right')
    print(f'curve: {args.model!r}: Curve({curve.slope:.3f}, {curve.offset:.3f}), '
          f'held in the code: {CURVES.get(args.model)}')
    print(f'calibration error: {raw:.3f} as the model says it, {unseen:.3f} with a curve that was '
          'fitted on other utterances')
    for confidence in (0.3, 0.5, 0.7, 0.8, 0.9, 0.95):
        print(f'  the model says {confidence:.2f}: {curve(confidence):.2f} of the words are right')
    for name, one in heard.items():
        print(f'{name}: {error(one, one.confidences):.3f} -> '
              f'{error(one, np.array([curve(c) for c in one.confidences])):.3f}')
    if args.json:
        report.write(args.json, [
            {'name': 'calibration error', 'value': unseen, 'unit': '', 'goal': raw,
             'peer': 'as the model says it', 'peer_value': raw, 'ratio': unseen / raw},
            {'name': 'slope', 'value': curve.slope, 'unit': ''},
            {'name': 'offset', 'value': curve.offset, 'unit': ''}])


def listen(model, utterances):
    """Recognise all of them; texts of nobody speaking are left out, as they carry no words."""
    backend = WhisperBackend(InferenceParameters(model=model, language='en'), curve=UNCHANGED)
    backend.load()
    rows = []
    for one in utterances:
        said = backend.recognise(backend.prepare(one.samples, ''))
        if said.text:
            wrong = errors(one.words, words(said.text))
            rows.append((said.confidence, max(0.0, 1.0 - wrong / len(one.words)), len(one.words)))
    return Heard(*np.array(rows).T)


def fit(heard):
    """Fit a curve by Newton's method on the likelihood of each word's being right."""
    features = np.stack([logit(heard.confidences), np.ones_like(heard.words)], axis=1)
    weights = np.array([1.0, 0.0])
    for _ in range(ROUNDS):
        expected = 1.0 / (1.0 + np.exp(-features @ weights))
        gradient = features.T @ (heard.words * (heard.right - expected))
        curvature = (features * (heard.words * expected * (1.0 - expected))[:, None]).T @ features
        weights += np.linalg.solve(curvature + RIDGE * np.eye(2), gradient)
    return Curve(*map(float, weights))


def cross(heard):
    """Calibrate every utterance by a curve that has not seen it."""
    folds = np.random.default_rng(0).permutation(len(heard.words)) % FOLDS
    calibrated = np.empty_like(heard.confidences)
    for fold in range(FOLDS):
        curve = fit(heard.where(folds != fold))
        mine = folds == fold
        calibrated[mine] = [curve(confidence) for confidence in heard.confidences[mine]]
    return calibrated


def error(heard, said):
    """Expected calibration error of what was said of each utterance."""
    order = np.argsort(said)
    place = np.cumsum(heard.words[order]) / heard.words.sum()
    gaps = 0.0
    for number in range(BINS):
        chosen = order[(place > number / BINS) & (place <= (number + 1) / BINS)]
        if len(chosen):
            share = heard.words[chosen]
            gaps += abs((share * (said[chosen] - heard.right[chosen])).sum())
    return gaps / heard.words.sum()


def logit(values):
    clipped = np.clip(values, 1e-6, 1.0 - 1e-6)
    return np.log(clipped / (1.0 - clipped))


if __name__ == '__main__':
    main()
