"""silero-vad itself on a person's voice and on what is none, and files that are not it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import soundfile
from onnx import TensorProto, helper

from xlerobot_asr_opt.core.audio import Resampler
from xlerobot_asr_opt.core.vad import CONTEXT, FRAME, WINDOW, SileroDetector
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


def frames(samples):
    """The whole windows of a stretch, each with what was before it."""
    padded = np.pad(samples[:samples.size - samples.size % WINDOW], (CONTEXT, 0))
    return np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::WINDOW]


class Track:
    """One stream of a detector."""

    def __init__(self, detector):
        self._tracks = detector.tracks(1)

    def probabilities(self, some):
        return self._tracks.probabilities(np.zeros(1, np.int64), some[:, None])[:, 0]


def probabilities(track, samples):
    return track.probabilities(frames(samples))


def between(values, begin_s, end_s):
    return values[int(begin_s * RATE / WINDOW):int(end_s * RATE / WINDOW)]


def noise(level):
    rng = np.random.default_rng(0)
    return rng.integers(-level, level + 1, COUNT * WINDOW).astype(np.int16)


def test_a_person_speaks_and_pauses(detector, speech):
    said = probabilities(Track(detector), speech)
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
    assert probabilities(Track(detector), samples).max() < 0.35


BATCHES = [1, 2, 3, 4, 7, 16, 33, 100]


@pytest.mark.parametrize('streams', BATCHES)
def test_a_stream_is_judged_alike_whatever_comes_with_it(detector, speech, streams):
    """Bit for bit: a transcript must not depend on who else was speaking."""
    whole, count = frames(speech), 6
    begins = [(17 * stream) % (len(whole) - count) for stream in range(streams)]
    rows = np.random.default_rng(streams).permutation(streams)
    tracks = detector.tracks(streams)
    together = np.empty((count, streams), np.float32)
    for first in range(0, count, 3):
        together[first:first + 3] = tracks.probabilities(rows, np.stack(
            [whole[begin + first:begin + first + 3] for begin in begins], axis=1))
    for stream, begin in enumerate(begins):
        np.testing.assert_array_equal(
            together[:, stream], Track(detector).probabilities(whole[begin:begin + count]))


def test_a_row_that_begins_anew_remembers_nothing(detector, speech):
    tracks, whole, other = detector.tracks(2), frames(speech)[60:90], frames(noise(20_000))
    both = np.array([0, 1])
    tracks.probabilities(both, np.stack([whole, other[:30]], axis=1))
    tracks.begin(np.array([1]))
    again = tracks.probabilities(both, np.stack([whole, whole], axis=1))
    np.testing.assert_array_equal(again[:, 1], Track(detector).probabilities(whole))
    assert (again[:, 0] != again[:, 1]).any()


def test_a_track_remembers_the_windows_before(detector, speech):
    at = int(2.0 * RATE)
    window = frames(speech[at:at + WINDOW])
    follows, alone = Track(detector), Track(detector)
    probabilities(follows, speech[at - 20 * WINDOW:at])
    assert follows.probabilities(window) != alone.probabilities(window)


@pytest.mark.parametrize('at_a_time', [1, 2, 3, 4, 31])
def test_windows_are_judged_alike_however_many_come_at_a_time(detector, speech, at_a_time):
    track, all_of_them = Track(detector), frames(speech)
    values = [value for first in range(0, len(all_of_them), at_a_time)
              for value in track.probabilities(all_of_them[first:first + at_a_time])]
    np.testing.assert_array_equal(values, probabilities(Track(detector), speech))


def test_a_window_may_be_a_loan_that_ends(detector, speech):
    track, loaned = Track(detector), np.empty((1, FRAME), np.int16)
    values = []
    for window in frames(speech):
        loaned[:] = window
        values += track.probabilities(loaned).tolist()
        loaned[:] = 32767
    np.testing.assert_array_equal(values, probabilities(Track(detector), speech))


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
