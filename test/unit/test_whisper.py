"""Whisper on onnxruntime: a voice with the real model, everything else with a small one."""

import dataclasses
import itertools
import json
import re
import shutil

import numpy as np
import pytest
import soundfile
from small_vocabulary import build_small
from small_whisper import model_bin, tensors

from xlerobot_asr_opt.backends import whisper
from xlerobot_asr_opt.backends.base import Prepared
from xlerobot_asr_opt.backends.calibration import UNCHANGED
from xlerobot_asr_opt.backends.decoding import Decoded, Stop
from xlerobot_asr_opt.backends.log_mel import HOP, widen
from xlerobot_asr_opt.backends.whisper import WhisperBackend
from xlerobot_asr_opt.core.audio import Resampler
from xlerobot_asr_opt.errors import BackendError, ConfigurationError, ModelError
from xlerobot_asr_opt.models.layout import asset_path
from xlerobot_asr_opt.parameters import InferenceParameters
from xlerobot_asr_opt.records import SAMPLE_RATE, RecognitionStatus

BELIEF = 8.5, 13.1, 'it was the epoch of belief it was the epoch of incredulity'
LIGHT = 13.2, 17.0, 'it was the season of light it was the season of darkness'
TIMES = 0.0, 8.4, ('it was the best of times it was the worst of times it was the age of wisdom '
                   'it was the age of foolishness')
UNCLEAR = 24.4, 25.9
"""Begin and end in the recording [s], and what the person says there."""


def noise(length=5000, seed=0):
    return np.random.default_rng(seed).integers(-9000, 9001, length).astype(np.int16)


def loaded(**parameters):
    backend = WhisperBackend(InferenceParameters(**parameters), curve=UNCHANGED)
    backend.load()
    return backend


def hear(backend, samples, language=''):
    return backend.recognise(backend.prepare(samples, language))


def words(text):
    return re.findall(r'[a-z]+', text.lower())


# The real model, that make test has fetched.

@pytest.fixture(scope='module')
def tiny():
    return loaded()


@pytest.fixture(scope='module')
def part():
    """Cuts a part out of the recording of a person; int16 at 16 kHz."""
    samples, rate = soundfile.read(asset_path('two_cities'), dtype='int16', stop=48_000 * 30)
    resampler = Resampler(rate, 1)
    recording = np.concatenate([resampler.push(samples), resampler.flush()])
    return lambda begin, end: recording[round(begin * SAMPLE_RATE):round(end * SAMPLE_RATE)]


@pytest.mark.parametrize(('begin', 'end', 'said'), [BELIEF, LIGHT, TIMES],
                         ids=['belief', 'light', 'times'])
def test_a_person_is_understood(tiny, part, begin, end, said):
    result = hear(tiny, part(begin, end))
    assert words(result.text) == said.split()
    assert result.status is RecognitionStatus.DONE
    assert result.language == 'en'
    assert 0.5 < result.confidence < 1
    assert result.reason == ''
    # It is decoded without timestamps.
    assert result.words == ()


def test_the_same_voice_gives_the_same_text_whatever_was_heard_before(tiny, part):
    first = hear(tiny, part(*LIGHT[:2]))
    hear(tiny, part(*TIMES[:2]))
    again = hear(tiny, part(*LIGHT[:2]))
    assert (again.text, again.confidence) == (first.text, first.confidence)
    other = hear(loaded(), part(*LIGHT[:2]))
    assert (other.text, other.confidence) == (first.text, first.confidence)


def test_noise_is_no_speech_and_the_cause_is_told(tiny):
    result = hear(tiny, noise(3 * SAMPLE_RATE))
    assert result.status is RecognitionStatus.NO_SPEECH
    assert result.text == ''
    assert result.language == ''
    assert 'no-speech probability' in result.reason


def test_a_doubted_text_is_decoded_again_in_the_longest_window(tiny, part):
    samples = part(*UNCLEAR)
    quick = hear(loaded(retry_confidence=0.0), samples)
    careful = hear(loaded(log_probability_threshold=0.0), samples)
    wide = wide_result(tiny, samples)
    assert (careful.text, careful.confidence) == (wide.text, wide.confidence)
    assert careful.confidence != quick.confidence


@pytest.mark.parametrize('heard', [BELIEF, UNCLEAR], ids=['belief', 'unclear'])
def test_of_an_unsure_text_the_likelier_of_two_stays(tiny, part, heard):
    samples = part(*heard[:2])
    quick = hear(loaded(retry_confidence=0.0), samples)
    both = hear(loaded(retry_confidence=1.0, retry_shortest=0.0), samples)
    assert not quick.reason
    assert both.reason == (
        f'decoded in 30 s, for in a shorter window: own confidence {quick.confidence:.2f}')
    wide = wide_result(tiny, samples)
    first, second = (likelihood(tiny, samples, result) for result in (quick, wide))
    assert (both.text, both.confidence) == (
        (wide.text, wide.confidence) if second > first else (quick.text, quick.confidence))


def test_an_unsure_text_of_a_short_command_stays(part):
    samples = part(*UNCLEAR)
    length = samples.size / SAMPLE_RATE
    quick = hear(loaded(retry_confidence=0.0), samples)
    command = hear(loaded(retry_confidence=1.0), samples)
    assert (command.text, command.reason) == (quick.text, '')
    for shortest, again in ((length, True), (length + 1e-3, False)):
        told = hear(loaded(retry_confidence=1.0, retry_shortest=shortest), samples).reason
        assert ('own confidence' in told) == again


def test_a_second_text_that_is_less_likely_is_not_believed(tiny, part, monkeypatch):
    """The second look hears somebody else."""
    other = widen(tiny.prepare(part(*TIMES[:2]), '').features, 5 * SAMPLE_RATE, 3000)
    monkeypatch.setattr(whisper, 'widen', lambda *_: other)
    result = hear(loaded(retry_confidence=1.0), part(*BELIEF[:2]))
    assert words(result.text) == BELIEF[2].split()
    assert 'own confidence' in result.reason


def wide_result(backend, samples):
    """What the longest window alone gives."""
    prepared = backend.prepare(samples, '')
    return backend.recognise(dataclasses.replace(
        prepared, features=widen(prepared.features, prepared.length, 3000)))


def likelihood(backend, samples, result):
    """Log-probability of a text in the window that the speech needs."""
    model = backend._model
    tokens = model.vocabulary._encode(f' {result.text}')
    decoded = Decoded(tuple(tokens), 'en', 0.0, 0.0, Stop.END)
    feed = model.graphs.encode(backend.prepare(samples, '').features)
    return model.decoder.log_probability(feed, decoded)


def test_a_text_that_is_doubted_in_the_longest_window_too_says_why(part):
    result = hear(loaded(most_tokens=8), part(*BELIEF[:2]))
    assert result.reason == 'cut after 8 tokens'
    assert words(result.text) == BELIEF[2].split()[:len(words(result.text))]


# A small model.

@pytest.fixture(scope='module')
def small(tmp_path_factory):
    return str(build_small(tmp_path_factory.mktemp('model')))


def test_a_text_ends_where_the_small_model_does(small):
    result = hear(loaded(model=small), noise())
    # 16 positions: start, language, task, no timestamps, and the text.
    assert result.reason == 'cut after 12 tokens'


def test_a_segment_may_have_its_own_language(small):
    backend = loaded(model=small, language='de')
    assert hear(backend, noise()).language == 'de'
    assert hear(backend, noise(), 'en').language == 'en'
    assert hear(loaded(model=small), noise()).language in ('en', 'de')


def test_an_unknown_language_is_refused_with_those_that_are_known(small):
    said = "got 'fr'; small knows en, de"
    with pytest.raises(ConfigurationError, match=f'language: {said}'):
        loaded(model=small, language='fr')
    with pytest.raises(BackendError, match=said):
        loaded(model=small).prepare(noise(), 'fr')


@pytest.mark.parametrize('call', [
    lambda backend: backend.prepare(noise(), ''),
    lambda backend: backend.recognise(Prepared(np.zeros((1, 8, 40), np.float32), 6400, '', 0.0)),
    lambda backend: backend.digest, lambda backend: backend.longest,
    lambda backend: backend.warm_up(),
], ids=['prepare', 'recognise', 'digest', 'longest', 'warm_up'])
def test_what_is_not_loaded_is_told(small, call):
    backend = WhisperBackend(InferenceParameters(model=small))
    with pytest.raises(BackendError, match=r'the model is not loaded; call load\(\) first'):
        call(backend)
    backend.load()
    backend.close()
    with pytest.raises(BackendError, match='the model is not loaded'):
        call(backend)


def test_the_time_of_each_phase_is_told(small):
    clock = itertools.count()
    backend = WhisperBackend(InferenceParameters(model=small), clock=lambda: next(clock))
    backend.load()
    result = hear(backend, noise())
    assert (result.features_ms, result.encode_ms, result.decode_ms) == (1000, 1000, 1000)


@pytest.mark.parametrize('changed', [
    {'language': 'de'}, {'digits': False}, {'most_tokens': 9}, {'no_speech_threshold': 0.5},
    {'log_probability_threshold': -2.0}, {'compression_threshold': 3.0},
    {'retry_confidence': 0.5}, {'retry_shortest': 1.0}],
    ids=lambda it: next(iter(it)))
def test_the_digest_follows_every_setting_that_can_change_a_text(small, changed):
    assert loaded(model=small, **changed).digest != loaded(model=small).digest


def test_the_digest_does_not_follow_what_cannot_change_a_text(small):
    digest = loaded(model=small).digest
    assert loaded(model=small, threads=2, capacity=1).digest == digest
    assert len(digest) == 32


def test_the_digest_follows_the_model(small, tmp_path):
    other = build_small(tmp_path, model=model_bin(tensors(seed=1)))
    assert loaded(model=str(other)).digest != loaded(model=small).digest


@pytest.mark.parametrize(('samples', 'frames'), [
    (0, 400), (1, 500), (100 * HOP, 500), (100 * HOP + 1, 600), (3000 * HOP, 3000)])
def test_a_window_is_the_speech_and_four_seconds_in_whole_seconds(tiny, samples, frames):
    part = np.zeros(min(samples, tiny.longest), np.int16)
    assert tiny.prepare(part, '').features.shape == (1, 80, frames)


# What goes wrong.

def test_a_model_that_gives_nan_is_told_and_goes_on(tmp_path):
    content = tensors()
    content['decoder/layer_norm/beta'][:] = np.nan
    backend = loaded(model=str(build_small(tmp_path, model=model_bin(content))))
    for _ in range(2):
        with pytest.raises(BackendError, match='a logit of nan, expected finite numbers'):
            hear(backend, noise())


@pytest.mark.parametrize('shape', [(1, 7, 40), (1, 8, 2000)], ids=['bands', 'frames'])
def test_an_error_of_onnxruntime_is_told_and_the_next_segment_is_heard(small, shape):
    backend = loaded(model=small)
    before = hear(backend, noise()).text
    with pytest.raises(BackendError, match=r'(?s)the encoder failed: .*; try another backend'):
        backend.recognise(Prepared(np.zeros(shape, np.float32), 6400, '', 0.0))
    assert hear(backend, noise()).text == before


def test_a_missing_model_is_told(tmp_path):
    with pytest.raises(ModelError, match='neither a recogniser'):
        loaded(model=str(tmp_path / 'nonesuch'))


@pytest.mark.parametrize('name', ['encoder.onnx', 'decoder.onnx'])
def test_a_graph_that_is_none_is_told(small, tmp_path, name):
    directory = tmp_path / 'damaged'
    shutil.copytree(small, directory)
    path = directory / name
    path.write_bytes(b'\xff' * path.stat().st_size)
    with pytest.raises(ModelError, match=f'{name}: onnxruntime cannot open it'):
        loaded(model=str(directory))


def test_a_tokenizer_that_is_none_is_told(small, tmp_path):
    directory = tmp_path / 'damaged'
    shutil.copytree(small, directory)
    path = directory / 'tokenizer.json'
    path.write_bytes(json.dumps({'x': 'y'}).encode().ljust(path.stat().st_size))
    with pytest.raises(ModelError, match=r'expected the tokenizer\.json of a Whisper'):
        loaded(model=str(directory))
