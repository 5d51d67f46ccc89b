"""Whisper in the hub's layout says what the own layout does, whatever form its decoder has."""

import itertools

import numpy as np
import pytest
from small_hub import FORMS, write_hub
from small_vocabulary import build_small
from small_whisper import model_bin, tensors

from xlerobot_asr_opt.backends.decoding import Stop
from xlerobot_asr_opt.backends.whisper import WhisperBackend
from xlerobot_asr_opt.errors import BackendError
from xlerobot_asr_opt.parameters import InferenceParameters

SEEDS = range(3)
LENGTHS = 1, 1600, 6400


def noise(length, seed=0):
    return np.random.default_rng(seed).integers(-9000, 9001, length).astype(np.int16)


def loaded(directory, **parameters):
    backend = WhisperBackend(InferenceParameters(model=str(directory), **parameters))
    backend.load()
    return backend


def hear(backend, samples, language=''):
    return backend.recognise(backend.prepare(samples, language))


def talkative(seed):
    """Tensors whose text depends on what is said, and ends at places of its own."""
    content = tensors(seed)
    content['decoder/position_encodings/encodings'] *= 4
    return content


@pytest.fixture(scope='module', params=[True, False], ids=['multilingual', 'english'])
def pairs(request, tmp_path_factory):
    """Seed and form to the directories of the own layout and the hub's, of the same weights."""
    found = {}
    for seed in SEEDS:
        content = talkative(seed)
        place = tmp_path_factory.mktemp('models')
        own = build_small(place, multilingual=request.param, model=model_bin(content))
        for form in FORMS:
            found[seed, form] = own, write_hub(
                place / form, form=form, content=content, multilingual=request.param)
    return found


def decoded(backend, samples, language):
    """What its decoder says, below the text."""
    model = backend._model
    features = backend.prepare(samples, language).features
    return model.decoder.decode(model.graphs.encode(features), language)


# The small model's longest window is 0.4 s, which the own layout takes for every segment.

@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('seed', SEEDS)
def test_each_form_hears_what_the_own_layout_does(pairs, seed, form):
    own, hub = (loaded(directory) for directory in pairs[seed, form])
    for length, language in itertools.product(LENGTHS, ('', *own._model.files.languages)):
        samples = noise(length, seed)
        wanted, found = hear(own, samples, language), hear(hub, samples, language)
        assert found.confidence == pytest.approx(wanted.confidence, abs=1e-3)
        assert (found.status, found.text, found.language, found.reason) == (
            wanted.status, wanted.text, wanted.language, wanted.reason)


@pytest.mark.parametrize('form', FORMS)
def test_each_form_decodes_the_same_tokens_to_the_same_stop(pairs, form):
    stops = set()
    for seed, length in itertools.product(SEEDS, LENGTHS):
        wanted, found = (decoded(loaded(directory), noise(length, seed), '')
                         for directory in pairs[seed, form])
        assert (found.tokens, found.language, found.stop) == (
            wanted.tokens, wanted.language, wanted.stop)
        assert found.no_speech_probability == pytest.approx(
            wanted.no_speech_probability, abs=1e-4)
        stops.add(found.stop)
    # The models of these seeds say texts that end, and such that are cut.
    assert stops == {Stop.END, Stop.LENGTH}


@pytest.mark.parametrize('form', FORMS)
def test_a_segment_does_not_hear_the_one_before(pairs, form):
    backend = loaded(pairs[0, form][1])
    first = hear(backend, noise(6400))
    hear(backend, noise(1600, seed=1))
    again = hear(backend, noise(6400))
    assert (again.text, again.confidence) == (first.text, first.confidence)


@pytest.mark.parametrize('form', FORMS)
def test_tokens_may_be_fed_in_any_portions(pairs, form):
    backend = loaded(pairs[0, form][1])
    model = backend._model
    features = backend.prepare(noise(6400), '').features
    tokens = [model.vocabulary.start, 3, 9, 14, 20]

    def rows(*sizes):
        feed = model.graphs.encode(features)
        begins = itertools.accumulate(sizes, initial=0)
        return np.concatenate([
            feed(tokens[begin:begin + size], range(size))
            for begin, size in zip(begins, sizes, strict=False)])

    for sizes in ((1, 1, 1, 1, 1), (1, 3, 1), (2, 3)):
        np.testing.assert_allclose(rows(*sizes), rows(5), atol=1e-4)


@pytest.mark.parametrize('language', ['', 'de'], ids=['detected', 'given'])
def test_a_decoder_may_ask_for_the_positions(tmp_path, language):
    """As exports of some versions of Optimum do: once for each token, not for each call."""
    told, asking = (
        hear(loaded(write_hub(tmp_path / str(ask_position), content=talkative(1),
                              multilingual=True, ask_position=ask_position)),
             noise(6400), language)
        for ask_position in (False, True))
    assert (asking.text, asking.language, asking.confidence) == (
        told.text, told.language, told.confidence)


def test_a_decoder_that_fails_is_told_and_the_next_segment_is_heard(pairs):
    backend = loaded(pairs[0, 'split'][1])
    before = hear(backend, noise(6400)).text
    features = backend.prepare(noise(6400), '').features
    feed = backend._model.graphs.encode(features)
    with pytest.raises(BackendError, match=r'(?s)the decoder failed: .*; try another backend'):
        feed((10 ** 6,), (0,))
    assert hear(backend, noise(6400)).text == before
