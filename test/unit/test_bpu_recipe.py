import numpy as np
import pytest
from small_bundle import OnnxRunner, small_weights, write_bundle
from small_whisper import MEL_BINS

from xlerobot_asr_opt.errors import ConfigurationError, ModelError
from xlerobot_asr_opt.models.bpu.accuracy import FloatRunner, measure
from xlerobot_asr_opt.models.bpu.calibration import (
    MOST_WINDOWS,
    calibration_windows,
    write_windows,
)
from xlerobot_asr_opt.models.bpu.compile import Order, _calibrating, _testing
from xlerobot_asr_opt.models.bpu.precision import Precision
from xlerobot_asr_opt.models.bpu.recipe import STEPS, good_enough, loud_neurons
from xlerobot_asr_opt.models.bpu.source import find_source
from xlerobot_asr_opt.models.bundle import Accuracy
from xlerobot_asr_opt.models.speech import Utterance


def utterances(*seconds):
    random = np.random.default_rng(0)
    return [Utterance(random.integers(-9000, 9001, round(one * 16000)).astype(np.int16), ['go'])
            for one in seconds]


def test_calibration_takes_real_windows_of_the_right_length():
    found = calibration_windows(utterances(0.2, 0.5, 0.6, 0.7, 3.0), 160, 100, MEL_BINS)
    assert [one.shape for one in found] == [(1, MEL_BINS, 1, 160)] * 2
    assert len(calibration_windows(utterances(*[0.5] * 99), 160, 100, MEL_BINS)) == MOST_WINDOWS


def test_calibration_without_a_recording_is_refused():
    with pytest.raises(ModelError, match=r'at most 0.6 s to calibrate with; name some with --sp'):
        calibration_windows(utterances(0.7), 160, 100, MEL_BINS)


def test_windows_are_written_as_the_compiler_reads_them(tmp_path):
    windows = calibration_windows(utterances(0.5), 160, 100, MEL_BINS)
    write_windows(windows, tmp_path)
    (path,) = tmp_path.iterdir()
    np.testing.assert_array_equal(np.fromfile(path, np.float32), windows[0].ravel())


def test_a_loud_neuron_is_found(tmp_path):
    weights = small_weights(tmp_path)
    windows = calibration_windows(utterances(0.5, 0.6), 160, 100, MEL_BINS)
    assert loud_neurons(weights, windows) == {}
    weights.encoder[0].feed_forward.widen.bias[7] = 1000
    assert loud_neurons(weights, windows) == {0: (7,)}


@pytest.mark.parametrize(('wrong', 'enough'), [(0, True), (9, True), (10, False)])
def test_two_points_more_than_float_are_good_enough(wrong, enough):
    assert good_enough([Accuracy('a', 150, wrong, 5), Accuracy('b', 50, 0, 0)]) is enough


def test_recordings_that_calibrate_do_not_measure_where_there_are_enough():
    many = utterances(*[0.1] * 50)
    assert not {id(one) for one in _calibrating(many)} & {id(one) for one in _testing(many)}
    assert len(_calibrating(many)) + len(_testing(many)) == 50
    few = many[:49]
    assert list(_calibrating(few)) == list(_testing(few)) == few


def test_words_wrong_are_measured_beside_float(tmp_path):
    bundle = write_bundle(tmp_path, frames=(160,))
    told = []
    single = FloatRunner({'encoder_160': bundle / 'encoder_160.onnx'})
    (found,) = measure(bundle, {'noise': utterances(0.4, 0.5), 'none': []}, OnnxRunner(), single,
                       told.append)
    assert (found.recordings, found.words) == ('noise', 2)
    assert found.wrong == found.wrong_float
    assert told == ['recognising 2 utterances of noise',
                    f'{found.wrong} of 2 words wrong, in float {found.wrong}']


@pytest.mark.parametrize(('changes', 'told'), [
    ({'march': 'bernoulli2'}, r"march: got 'bernoulli2', expected bayes-e"),
    ({'buckets': (0.5,)}, 'buckets: got 0.5 s, expected more than 1 s'),
    ({'buckets': (31,)}, 'buckets: got 31 s, .* at most 30 s'),
    ({'buckets': (4.05,)}, 'in steps of 0.16 s'),
    ({'buckets': ()}, 'at least one'),
    ({'buckets': (4.0, 4.0)}, 'none twice')])
def test_an_order_that_cannot_be_done_is_refused(tmp_path, changes, told):
    order = {'model': 'whisper-tiny.en', 'buckets': (4.0,), 'output': tmp_path / 'out', **changes}
    with pytest.raises(ConfigurationError, match=told):
        Order(**order).check()


def test_nothing_is_overwritten(tmp_path):
    Order('whisper-tiny.en', (4.0, 8.0, 12.0), tmp_path / 'out').check()
    with pytest.raises(ConfigurationError, match='is there already'):
        Order('whisper-tiny.en', (4.0,), tmp_path).check()


def test_a_source_is_a_name_or_a_directory_of_weights(tmp_path):
    small_weights(tmp_path)
    with pytest.raises(ModelError, match=r'neither a Whisper of the catalog \(whisper-tiny.en'):
        find_source(str(tmp_path), tmp_path, lambda *told: None)
    for name in ('config.json', 'tokenizer.json'):
        (tmp_path / name).write_text('{}')
    found = find_source(str(tmp_path), tmp_path, lambda *told: None)
    assert (found.name, found.directory) == (tmp_path.name, tmp_path)
    assert list(found.sources) == [tmp_path.name]


def test_the_limits_are_those_of_int8_alone():
    """In 16 bits a weight of exp(-5.6) would not round to 0: 600 of them would be heard."""
    wanted = Precision(('Mul_1',), {'Sub_1': 5.6})
    assert {step.name: step.precision(wanted) for step in STEPS} == {
        'int8': wanted, 'int16': Precision(('Mul_1',))}
