"""What every backend promises: one suite for all of them, that a new backend joins by one line."""

import json
import threading

import numpy as np
import pytest
from board_stand_ins import EASY_DNN, HBM, compiled_bundle, installed
from generated_ctc import write_generic, write_sense_voice
from small_hub import write_hub
from small_vocabulary import build_small

from xlerobot_asr_opt.backends.base import Candidate, candidate, create
from xlerobot_asr_opt.backends.chain import BackendChain, Policy
from xlerobot_asr_opt.backends.ctc import CtcBackend
from xlerobot_asr_opt.backends.scripted import ScriptedBackend
from xlerobot_asr_opt.backends.whisper import WhisperBackend
from xlerobot_asr_opt.core.breaker import State
from xlerobot_asr_opt.errors import BackendError
from xlerobot_asr_opt.parameters import InferenceParameters
from xlerobot_asr_opt.records import RecognitionStatus


@pytest.fixture(scope='module')
def makers(tmp_path_factory):
    """Name to a function that makes a backend which is not loaded."""
    many, english = (
        str(build_small(tmp_path_factory.mktemp('model'), multilingual=multilingual,
                        precision=precision))
        for multilingual, precision in ((True, 'int8'), (False, 'float32')))
    hub = str(write_hub(tmp_path_factory.mktemp('hub'), form='merged', multilingual=True))
    with installed(HBM) as compiled_model:
        compiled = str(compiled_bundle(
            tmp_path_factory.mktemp('bundle'), compiled_model.write))
    return {
        'whisper': lambda: WhisperBackend(InferenceParameters(model=many)),
        'whisper.en': lambda: WhisperBackend(InferenceParameters(model=english)),
        'whisper of the hub': lambda: WhisperBackend(InferenceParameters(model=hub)),
        'scripted': ScriptedBackend,
        'chain of one': lambda: chain(ScriptedBackend()),
        'chain': lambda: chain(
            WhisperBackend(InferenceParameters(model=many)), ScriptedBackend()),
        **{f'bpu by {library}': lambda: candidate(
            'bpu', InferenceParameters(model=compiled)).backend for library in (HBM, EASY_DNN)},
        **{name: lambda model=model: CtcBackend(InferenceParameters(model=model))
           for name, model in ctc_models(tmp_path_factory.mktemp('ctc')).items()},
    }


def chain(*backends):
    return BackendChain([Candidate(backend) for backend in backends], Policy(timeout_s=60.0))


def ctc_models(directory):
    """Name to path of a small model of each family."""
    written = {
        'sense voice': write_sense_voice(directory / 'sense_voice'),
        'static sense voice': write_sense_voice(
            directory / 'static', layout='static', blank_bias=3.0),
        'nemo': write_generic(directory / 'nemo', 'nemo_ctc'),
    }
    return {name: str(path) for name, path in written.items()}


@pytest.fixture(params=['whisper', 'whisper.en', 'whisper of the hub', 'scripted', 'chain of one',
                        'chain', f'bpu by {HBM}', f'bpu by {EASY_DNN}', 'sense voice',
                        'static sense voice', 'nemo'])
def make(request, makers):
    # Stand-ins for the vendor's libraries, made from their documentation: docs/board.md.
    with installed(request.param.removeprefix('bpu by ')):
        yield makers[request.param]


@pytest.fixture
def backend(make):
    backend = make()
    backend.load()
    yield backend
    backend.close()


def noise(length=5000, seed=0):
    return np.random.default_rng(seed).integers(-9000, 9001, length).astype(np.int16)


def hear(backend, samples, language=''):
    result = backend.recognise(backend.prepare(samples, language))
    return result.status, result.text, result.language, repr(result.confidence), result.reason


def test_it_says_who_it_is(backend):
    assert backend.name
    assert len(backend.digest) == 32
    assert backend.longest > 0


def test_an_answer_is_whole(backend):
    result = backend.recognise(backend.prepare(noise(), ''))
    assert result.status is RecognitionStatus.DONE
    assert result.text == result.text.strip() != ''
    assert result.backend == backend.name
    assert np.isnan(result.confidence) or 0 <= result.confidence <= 1
    assert min(result.features_ms, result.encode_ms, result.decode_ms) >= 0


def test_equal_samples_give_an_equal_text(make, backend):
    first = hear(backend, noise())
    hear(backend, noise(seed=1))
    assert hear(backend, noise()) == first
    other = make()
    other.load()
    assert hear(other, noise()) == first
    assert other.digest == backend.digest


def test_a_language_that_it_knows_is_the_one_of_the_answer(backend):
    assert backend.recognise(backend.prepare(noise(), 'en')).language == 'en'


def test_warming_up_changes_no_answer(make, backend):
    cold = hear(backend, noise())
    warm = make()
    warm.load()
    warm.warm_up()
    assert hear(warm, noise()) == cold


def test_the_samples_are_neither_kept_nor_changed(backend):
    samples = noise()
    wanted = hear(backend, samples)
    before = samples.copy()
    loan = samples[:]
    loan.flags.writeable = False
    prepared = backend.prepare(loan, '')
    np.testing.assert_array_equal(samples, before)
    assert not np.shares_memory(prepared.features, samples)
    assert prepared.length == len(samples)
    samples[:] = 0
    assert backend.recognise(prepared).text == wanted[1]


def test_a_segment_may_be_recognised_twice(backend):
    prepared = backend.prepare(noise(), '')
    assert backend.recognise(prepared).text == backend.recognise(prepared).text


def test_one_segment_is_prepared_while_another_is_recognised(backend):
    first, second = noise(), noise(seed=1)
    wanted = [hear(backend, first)[1], hear(backend, second)[1]]
    prepared = backend.prepare(first, '')
    found = []
    thread = threading.Thread(target=lambda: found.extend(
        backend.recognise(prepared).text for _ in range(20)))
    thread.start()
    others = [backend.prepare(second, '') for _ in range(20)]
    thread.join()
    assert found == wanted[:1] * 20
    assert backend.recognise(others[-1]).text == wanted[1]


def test_segments_may_be_prepared_ahead_and_out_of_order(backend):
    segments = [noise(seed=seed) for seed in range(3)]
    wanted = [hear(backend, samples)[1] for samples in segments]
    prepared = [backend.prepare(samples, '') for samples in segments]
    found = {index: backend.recognise(prepared[index]).text for index in (2, 0, 1)}
    assert [found[index] for index in range(3)] == wanted


def test_no_samples_are_no_speech(backend):
    status, text, *_, reason = hear(backend, noise(0))
    assert status is RecognitionStatus.NO_SPEECH
    assert text == ''
    assert reason == 'no samples'


def test_one_sample_is_taken(backend):
    assert hear(backend, noise(1))[0] in (RecognitionStatus.DONE, RecognitionStatus.NO_SPEECH)


def test_the_longest_segment_is_taken_whole_and_one_sample_more_is_refused(backend):
    assert backend.prepare(noise(backend.longest), '').length == backend.longest
    with pytest.raises(BackendError, match=r'expected at most [\d.]+ s; split the segment'):
        backend.prepare(noise(backend.longest + 1), '')


@pytest.mark.parametrize(('samples', 'told'), [
    (np.zeros(100, np.float32), r'float32, shape \(100,\)'),
    (np.full(100, np.nan), r'float64, shape \(100,\)'),
    (np.zeros(100, np.int32), r'int32, shape \(100,\)'),
    (np.zeros(100, '>i2'), r'>i2|int16'),
    (np.zeros((50, 2), np.int16), r'int16, shape \(50, 2\)'),
    (np.int16(3), r'int16, shape \(\)'),
], ids=['float', 'NaN', 'int32', 'other byte order', 'stereo', 'scalar'])
def test_samples_of_another_kind_are_refused(backend, samples, told):
    with pytest.raises(BackendError, match=f'got samples of ({told}).*, expected int16 in one'):
        backend.prepare(samples, '')


def test_it_goes_on_after_an_error(backend):
    before = hear(backend, noise())
    with pytest.raises(BackendError):
        backend.prepare(noise(backend.longest + 1), '')
    assert hear(backend, noise()) == before


def test_it_can_be_closed_twice_and_opened_again(backend):
    before, digest, longest = hear(backend, noise()), backend.digest, backend.longest
    backend.close()
    backend.close()
    backend.load()
    assert hear(backend, noise()) == before
    assert (backend.digest, backend.longest) == (digest, longest)


def test_closing_what_was_never_opened_is_allowed(make):
    make().close()


def test_loading_twice_is_loading_once(backend):
    before = hear(backend, noise())
    backend.load()
    assert hear(backend, noise()) == before


@pytest.mark.parametrize(('name', 'kind'), [
    ('onnxruntime', WhisperBackend), ('scripted', ScriptedBackend)])
def test_each_name_of_the_parameters_makes_its_backend(name, kind):
    parameters = InferenceParameters(backends=(name,))
    backend = candidate(name, parameters).backend
    assert isinstance(backend, kind)
    assert backend.name == create(parameters).name == name


def test_a_smaller_model_stands_behind_the_others_under_a_name_of_its_own(tmp_path):
    model, small = (str(build_small(tmp_path / f'{seconds}', seconds=seconds))
                    for seconds in (2.0, 1.0))
    chain = create(InferenceParameters(model=model, small_model=small))
    chain.load()
    said = chain.recognise(chain.prepare(noise(), ''))
    assert [link.backend for link in chain.statistics()] == ['onnxruntime', 'onnxruntime_small']
    chain.force('onnxruntime', State.OPEN)
    other = chain.recognise(chain.prepare(noise(), ''))
    alone = WhisperBackend(InferenceParameters(model=small))
    alone.load()
    assert (said.backend, other.backend) == ('onnxruntime', 'onnxruntime_small')
    assert other.recogniser == alone.digest != said.recogniser
    chain.close()


def test_a_script_of_the_parameters_is_read(tmp_path):
    script = tmp_path / 'script.yaml'
    script.write_text(json.dumps({'answers': [{'text': 'go to the kitchen'}]}))
    backend = create(InferenceParameters(backends=('scripted',), script=str(script)))
    backend.load()
    assert hear(backend, noise())[1] == 'go to the kitchen'
