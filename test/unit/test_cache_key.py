"""A changed model, decoder setting, language or sample never finds what was kept before."""

from __future__ import annotations

import dataclasses

import pytest
from generated_ctc import write_sense_voice
from hypothesis import given, settings
from hypothesis import strategies as st
from small_vocabulary import build_small

from xlerobot_asr_opt.backends.ctc import CtcBackend
from xlerobot_asr_opt.backends.ctc_search import read_search
from xlerobot_asr_opt.backends.whisper import WhisperBackend
from xlerobot_asr_opt.core.cache_values import cache_key
from xlerobot_asr_opt.parameters import InferenceParameters, table

BOTH = {
    'language': st.sampled_from(['', 'en', 'zh', 'ja']),
    'digits': st.booleans(),
    'log_probability_threshold': st.floats(-20.0, -0.001),
}
WHISPER = BOTH | {
    'most_tokens': st.integers(8, 448),
    'no_speech_threshold': st.floats(0.0, 1.0),
    'noise_threshold': st.floats(0.0, 1.0),
    'compression_threshold': st.floats(1.0, 10.0),
    'retry_confidence': st.floats(0.0, 1.0),
    'retry_shortest': st.floats(0.0, 30.0),
}
CTC = BOTH | {
    # Below that, hotwords and a grammar widen the beam: other parameters, the same search.
    'beam': st.integers(32, 64),
    'hotwords': st.sampled_from([(), ('stop',), ('stop:2',), ('left',), ('stop', 'left')]),
    'grammar': st.sampled_from(['', 'turn left\n', 'turn right\n', 'turn left\nturn right\n']),
}
FILES = {'model', 'small_model', 'script'}
"""What lies there is in the digest, not the path."""
WITHOUT_EFFECT = {
    # Which backend answers: its own digest says so. How fast, and when another one is asked.
    'backends', 'timeout', 'backoff', 'longest_backoff', 'route', 'accuracy_loss', 'good_probes',
    'temperature_limit', 'load_limit', 'bpu_priority', 'threads', 'capacity', 'batch',
    'batch_delay', 'memory_share'}


def test_of_every_parameter_it_is_said_whether_it_can_change_a_text():
    said = [*WHISPER, *(CTC.keys() - WHISPER.keys()), *FILES, *WITHOUT_EFFECT]
    assert sorted(said) == sorted(item.name for item in table(InferenceParameters))


@pytest.fixture(scope='module')
def whisper(tmp_path_factory):
    """Gives the digest of a Whisper with some parameters, without opening it anew."""
    model = str(build_small(tmp_path_factory.mktemp('whisper'), multilingual=True))
    opened = WhisperBackend(InferenceParameters(model=model))
    opened.load()

    def digest(parameters):
        backend = WhisperBackend(InferenceParameters(model=model, **parameters))
        backend._loaded = opened._loaded
        return backend.digest
    yield digest
    opened.close()


@pytest.fixture(scope='module')
def ctc(tmp_path_factory):
    """Gives the digest of a CTC model with some parameters, without opening it anew."""
    model = str(write_sense_voice(tmp_path_factory.mktemp('ctc')))
    grammar = tmp_path_factory.mktemp('grammars') / 'commands'
    opened = CtcBackend(InferenceParameters(model=model))
    opened.load()

    def digest(parameters):
        text = parameters.get('grammar', '')
        grammar.write_text(text)
        given = InferenceParameters(
            model=model, **parameters | {'grammar': str(grammar) if text else ''})
        backend = CtcBackend(given)
        backend._loaded = dataclasses.replace(
            opened._loaded, search=read_search(given, opened._loaded.vocabulary))
        return backend.digest
    yield digest
    opened.close()


@settings(max_examples=50, deadline=None)
@given(one=st.fixed_dictionaries({}, optional=WHISPER),
       other=st.fixed_dictionaries({}, optional=WHISPER))
def test_two_settings_of_whisper_share_nothing(whisper, one, other):
    assert (whisper(one) == whisper(other)) == (
        InferenceParameters(**one) == InferenceParameters(**other))


@settings(max_examples=30, deadline=None)
@given(one=st.fixed_dictionaries(CTC), other=st.fixed_dictionaries(CTC))
def test_two_settings_of_a_ctc_model_share_nothing(ctc, one, other):
    assert (ctc(one) == ctc(other)) == (one == other)


@pytest.mark.parametrize('name', sorted(WITHOUT_EFFECT - {'backends', 'route'}))
def test_what_cannot_change_a_text_loses_nothing(whisper, ctc, name):
    (item,) = (item for item in table(InferenceParameters) if item.name == name)
    other = item.default + 1 if item.default + 1 <= item.high else item.low
    assert whisper({name: other}) == whisper({})
    assert ctc({name: other}) == ctc({})


digests = st.sampled_from([bytes(32), b'\1' * 32, b'\1' * 31 + b'\2'])
languages = st.sampled_from(['', 'en', 'e', 'zh', '\0'])
asked = st.tuples(digests, digests, languages)


@given(one=asked, other=asked)
def test_a_key_is_that_of_one_question(one, other):
    assert (cache_key(*one) == cache_key(*other)) == (one == other)
    assert len(cache_key(*one)) == 32


@settings(max_examples=30)
@given(one=st.tuples(*[st.binary(min_size=32, max_size=32)] * 2, st.text(max_size=8)),
       bit=st.integers(0, 511))
def test_any_bit_of_samples_and_recogniser_counts(one, bit):
    changed = bytearray(one[0] + one[1])
    changed[bit // 8] ^= 1 << bit % 8
    assert cache_key(*one) != cache_key(bytes(changed[:32]), bytes(changed[32:]), one[2])
