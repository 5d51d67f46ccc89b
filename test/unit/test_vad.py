"""silero-vad itself on a person's voice and on what is none, and files that are not it."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import pytest
import soundfile
from onnx import TensorProto, helper

from xlerobot_asr_opt.core.audio import Resampler
from xlerobot_asr_opt.core.vad import WINDOW, SileroDetector
from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.layout import asset_path

RATE = 16_000
COUNT = 60
"""Windows of what is no speech."""


@pytest.fixture(scope='module')
def detector():
    return SileroDetector(asset_path('silero-vad'))


@pytest.fixture(scope='module')
def speech():
    """int16[n] at 16 kHz: a person says two sentences, from 1.2 s to 4.6 s and from 5.0 s on."""
    samples, rate = soundfile.read(asset_path('two_cities'), dtype='int16', stop=48_000 * 6)
    return Resampler(rate, 1).push(samples)


def windows(samples):
    return samples[:samples.size - samples.size % WINDOW].reshape(-1, WINDOW)


def probabilities(track, samples):
    return np.array(track.probabilities(windows(samples)))


def between(values, begin_s, end_s):
    return values[int(begin_s * RATE / WINDOW):int(end_s * RATE / WINDOW)]


def noise(level):
    rng = np.random.default_rng(0)
    return rng.integers(-level, level + 1, COUNT * WINDOW).astype(np.int16)


def test_a_person_speaks_and_pauses(detector, speech):
    said = probabilities(detector.track(), speech)
    assert between(said, 0.0, 1.0).max() < 0.35
    assert (between(said, 1.3, 4.6) >= 0.5).mean() > 0.95
    assert between(said, 4.8, 4.95).max() < 0.35


@pytest.mark.parametrize('samples', [
    np.zeros(COUNT * WINDOW, np.int16),
    noise(300), noise(20_000),
    np.rint(8000 * np.sin(2 * np.pi * 1000 / RATE * np.arange(COUNT * WINDOW))).astype(np.int16),
    np.tile(np.array([32767, -32768], np.int16), COUNT * WINDOW // 2),
], ids=['silence', 'hiss', 'loud-noise', 'tone', 'full-scale'])
def test_what_nobody_says_is_no_speech(detector, samples):
    assert probabilities(detector.track(), samples).max() < 0.35


def test_streams_know_nothing_of_each_other(detector, speech):
    one, other = speech, noise(20_000)
    together = [detector.track(), detector.track()]
    heard = [[], []]
    for pair in itertools.zip_longest(windows(one), windows(other)):
        for track, values, window in zip(together, heard, pair, strict=True):
            if window is not None:
                values.extend(track.probabilities(window[None]))
    np.testing.assert_array_equal(heard[0], probabilities(detector.track(), one))
    np.testing.assert_array_equal(heard[1], probabilities(detector.track(), other))


def test_a_track_remembers_the_windows_before(detector, speech):
    at = int(2.0 * RATE)
    window = speech[at:at + WINDOW]
    follows, alone = detector.track(), detector.track()
    probabilities(follows, speech[at - 20 * WINDOW:at])
    assert follows.probabilities(window[None]) != alone.probabilities(window[None])


@pytest.mark.parametrize('at_a_time', [1, 2, 3, 4, 31])
def test_windows_are_judged_alike_however_many_come_at_a_time(detector, speech, at_a_time):
    track, all_of_them = detector.track(), windows(speech)
    values = [value for first in range(0, len(all_of_them), at_a_time)
              for value in track.probabilities(all_of_them[first:first + at_a_time])]
    np.testing.assert_array_equal(values, probabilities(detector.track(), speech))


def test_a_window_may_be_a_loan_that_ends(detector, speech):
    track, loaned = detector.track(), np.empty((1, WINDOW), np.int16)
    values = []
    for window in windows(speech):
        loaned[:] = window
        values += track.probabilities(loaned)
        loaned[:] = 32767
    np.testing.assert_array_equal(values, probabilities(detector.track(), speech))


# Files


def test_another_model_is_named_by_its_inputs(tmp_path):
    graph = helper.make_graph(
        [helper.make_node('Identity', ['x'], ['y'])], 'g',
        [helper.make_tensor_value_info('x', TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info('y', TensorProto.FLOAT, [1])])
    onnx.save(helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8), tmp_path / 'v.onnx')
    with pytest.raises(ModelError, match=r"inputs \['x'\], expected input and state"):
        SileroDetector(tmp_path / 'v.onnx')


def test_a_file_that_is_not_there_is_to_be_fetched(tmp_path):
    with pytest.raises(ModelError, match='models fetch silero-vad'):
        SileroDetector(tmp_path / 'v.onnx')


@pytest.mark.parametrize('keep', [0, 1, 1000, 0.5, 0.999])
def test_a_cut_file_is_told(tmp_path, keep):
    whole = asset_path('silero-vad').read_bytes()
    cut = tmp_path / 'v.onnx'
    cut.write_bytes(whole[:keep if isinstance(keep, int) else int(keep * len(whole))])
    with pytest.raises(ModelError, match='damaged or no ONNX graph'):
        SileroDetector(cut)


def test_a_file_of_something_else_is_told(tmp_path):
    (tmp_path / 'v.onnx').write_bytes(b'<!doctype html><title>404</title>')
    with pytest.raises(ModelError, match='damaged or no ONNX graph'):
        SileroDetector(tmp_path / 'v.onnx')
