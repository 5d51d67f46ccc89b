"""The CTC backend: languages, tags, times, confidence, silence and searches, on small models."""

import dataclasses
import math

import numpy as np
import onnx
import pytest
from generated_ctc import HAN, HANGUL, KANA, write_generic, write_sense_voice

from xlerobot_asr_opt.backends.base import candidate
from xlerobot_asr_opt.backends.ctc import CtcBackend
from xlerobot_asr_opt.backends.ctc_greedy import Emission
from xlerobot_asr_opt.backends.ctc_vocabulary import CtcVocabulary, tag
from xlerobot_asr_opt.backends.whisper import WhisperBackend
from xlerobot_asr_opt.errors import BackendError, ConfigurationError, ModelError
from xlerobot_asr_opt.models.layout import open_model
from xlerobot_asr_opt.parameters import InferenceParameters
from xlerobot_asr_opt.records import RecognitionStatus


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    return str(write_sense_voice(tmp_path_factory.mktemp('model') / 'sense-voice'))


def noise(seconds=3.0, seed=0):
    random = np.random.default_rng(seed)
    return (random.normal(0, 1, int(16000 * seconds))
            * np.repeat(random.uniform(50, 9000, int(10 * seconds)), 1600)).astype(np.int16)


def loaded(model, **parameters):
    backend = candidate('onnxruntime', InferenceParameters(model=model, **parameters)).backend
    backend.load()
    return backend


def hear(backend, samples=None, language=''):
    return backend.recognise(backend.prepare(noise() if samples is None else samples, language))


def edited(directory, write, **options):
    """Write a model, and have its graph changed."""
    write_sense_voice(directory, **options)
    path = directory / 'model.onnx'
    graph = onnx.load(path)
    write(graph.graph)
    onnx.save(graph, path)
    return str(directory)


def test_the_model_alone_says_which_backend_it_needs(model):
    for named, kind in ((model, CtcBackend), ('whisper-tiny.en', WhisperBackend)):
        parameters = InferenceParameters(model=named)
        assert isinstance(candidate('onnxruntime', parameters).backend, kind)


def test_either_backend_refuses_the_other_model(model):
    with pytest.raises(ModelError, match=r'is a CTC model \(sense_voice\), expected a Whisper'):
        WhisperBackend(InferenceParameters(model=model)).load()


@pytest.mark.parametrize(('name', 'value'), [
    ('beam', 4), ('hotwords', ('stop',)), ('grammar', 'commands')])
def test_what_only_ctc_models_have_is_refused_for_a_whisper(name, value):
    told = f'{name}: got .* whisper-tiny.en is no CTC model'
    with pytest.raises(ConfigurationError, match=told):
        candidate('onnxruntime', InferenceParameters(**{name: value}))


# Languages and tags.

def test_a_detected_language_is_that_of_the_tag(model):
    result = hear(loaded(model))
    assert (result.language, result.emotion, result.event) == ('en', 'happy', 'speech')
    assert result.status is RecognitionStatus.DONE


@pytest.mark.parametrize('language', ['zh', 'en', 'yue', 'ja', 'ko'])
def test_a_language_that_is_asked_for_is_told_to_the_model(model, language):
    by_ticket = hear(loaded(model), language=language)
    by_setting = hear(loaded(model, language=language))
    assert by_ticket.language == by_setting.language == language
    assert by_ticket.text == by_setting.text != hear(loaded(model)).text


@pytest.mark.parametrize(('language', 'forbidden'), [
    ('en', HAN + KANA + HANGUL), ('zh', KANA + HANGUL), ('yue', KANA + HANGUL), ('ja', HANGUL),
    ('ko', HAN + KANA)])
def test_a_forced_language_is_written_in_its_own_script(model, language, forbidden):
    backend = loaded(model)
    texts = [hear(backend, noise(seed=seed), language).text for seed in range(3)]
    assert not set(''.join(texts)) & set(forbidden)
    assert len(set(''.join(texts))) > 5
    # Without a language, all of them are written.
    free = ''.join(hear(backend, noise(seed=seed)).text for seed in range(3))
    assert set(free) & set(HAN)
    assert set(free) & set(KANA + HANGUL)


def test_the_language_of_the_ticket_wins(model):
    assert hear(loaded(model, language='zh'), language='ja').language == 'ja'


@pytest.mark.parametrize('language', ['fr', 'auto', 'ZH', 'nospeech'])
def test_a_language_that_it_does_not_know_is_refused_with_those_that_it_does(model, language):
    told = f"got '{language}'; sense-voice knows zh, en, yue, ja, ko"
    with pytest.raises(ConfigurationError, match=f'language: {told}'):
        loaded(model, language=language)
    with pytest.raises(BackendError, match=told):
        loaded(model).prepare(noise(), language)


def test_a_model_that_does_not_tell_its_language_takes_it_at_its_word(tmp_path):
    backend = loaded(str(write_generic(tmp_path / 'nemo', 'nemo_ctc')))
    assert hear(backend, language='pt').language == 'pt'
    result = hear(backend)
    assert (result.language, result.emotion, result.event) == ('', '', '')


def test_digits_choose_the_normalisation(model):
    assert hear(loaded(model)).text != hear(loaded(model, digits=False)).text


@pytest.mark.parametrize(('piece', 'name'), [
    ('<|HAPPY|>', 'happy'), ('<|Speech|>', 'speech'), ('<|EMO_UNKNOWN|>', ''),
    ('<|Event_UNK|>', ''), ('▁happy', ''), ('<unk>', '')])
def test_tags_are_names_in_lower_case(piece, name):
    assert tag(piece) == name


# Words and confidence.

def test_words_make_up_the_text_in_time(model):
    samples = noise(5.0)
    result = hear(loaded(model), samples)
    assert ''.join(word.text for word in result.words) == result.text.replace(' ', '')
    times = [time for word in result.words for time in (word.begin_s, word.end_s)]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] <= 5.0
    # A frame of logits is 60 ms, and the first four belong to the prompt.
    assert all(math.isclose(time / 0.06, round(time / 0.06), abs_tol=1e-6) for time in times[:-1])
    assert all(0 < word.confidence <= 1 for word in result.words)


def test_words_end_at_spaces_and_ideographs(model):
    files = dataclasses.replace(
        open_model(model), pieces=('<unk>', '▁open', 'ing', '▁', '打', '开', 'a', '<|en|>'))
    tokens = (1, 2, 3, 6, 6, 4, 5, 6, 1)
    emissions = [Emission(token, 10 * at, 10 * at + 2, -0.5 * at)
                 for at, token in enumerate(tokens)]
    words = CtcVocabulary(files).words(emissions, lambda frame: frame / 10)
    assert [word.text for word in words] == ['opening', 'aa', '打', '开', 'a', 'open']
    assert [(word.begin_s, word.end_s) for word in words[:2]] == [(0.0, 1.2), (2.0, 4.2)]
    assert words[0].confidence == pytest.approx(math.exp(-0.25))


def test_bytes_make_characters(model):
    raw = '灯'.encode()
    files = dataclasses.replace(
        open_model(model), pieces=('<unk>', *(f'<0x{byte:02X}>' for byte in raw), '▁on'))
    assert CtcVocabulary(files).text([1, 2, 3, 4]) == '灯 on'
    assert CtcVocabulary(files).text([1, 2]) == ''


def test_confidence_is_the_mean_of_the_surest_log_probabilities(model):
    backend = loaded(model)
    result = hear(backend)
    search = backend._loaded.search
    prepared = backend.prepare(noise(), '')
    logits = backend._loaded.graph(prepared.features, '', normalised=True)
    said = search(logits, 4)
    assert result.confidence == pytest.approx(
        math.exp(np.mean([one.log_probability for one in said])))


def test_an_unsure_text_says_so(model):
    result = hear(loaded(model, log_probability_threshold=-0.01))
    assert result.status is RecognitionStatus.DONE
    assert result.reason.startswith('mean log-probability -')


# Silence and failures.

@pytest.mark.parametrize(('length', 'reason'), [
    (0, 'no samples'), (399, 'shorter than a window of 25 ms')])
def test_too_little_is_no_speech(model, length, reason):
    result = hear(loaded(model), noise()[:length])
    assert (result.status, result.reason) == (RecognitionStatus.NO_SPEECH, reason)


def test_blanks_alone_are_no_speech(tmp_path):
    backend = loaded(str(write_sense_voice(tmp_path / 'silent', blank_bias=100.0)))
    result = hear(backend)
    assert (result.status, result.text, result.reason) == (
        RecognitionStatus.NO_SPEECH, '', 'no words')
    assert np.isnan(result.confidence)
    assert (result.emotion, result.event) == ('happy', 'speech')


@pytest.mark.parametrize('language', ['', 'zh'])
def test_the_tag_of_no_speech_is_believed(model, tmp_path, language):
    directory = write_sense_voice(tmp_path / 'nobody')
    tokens = directory / 'tokens.txt'
    text = tokens.read_text(encoding='utf-8')
    for piece in ('<|en|>', '<|zh|>'):
        text = text.replace(piece, '<|nospeech|>')
    tokens.write_text(text, encoding='utf-8')
    result = hear(loaded(str(directory)), language=language)
    assert (result.status, result.reason) == (
        RecognitionStatus.NO_SPEECH, 'the model says <|nospeech|>')


def test_nan_is_an_error_and_the_next_segment_goes_on(tmp_path):
    def poison(graph):
        for node in graph.node:
            node.output[:] = ['before' if name == 'logits' else name for name in node.output]
        # The root of a negative number is NaN.
        graph.node.append(onnx.helper.make_node('Sqrt', ['before'], ['logits']))

    backend = loaded(edited(tmp_path / 'nan', poison))
    for _ in range(2):
        with pytest.raises(BackendError, match='gave a logit of nan in frame 4, expected finite'):
            hear(backend)


def test_logits_of_another_shape_are_an_error(model):
    backend = loaded(model)
    backend._loaded.graph._files = dataclasses.replace(
        backend._loaded.files, pieces=backend._loaded.files.pieces[:50])
    with pytest.raises(BackendError, match=r'logits of shape \(1, \d+, 120\), expected'):
        hear(backend)


def test_a_static_model_takes_its_own_length_and_refuses_more(tmp_path):
    backend = loaded(str(write_sense_voice(tmp_path / 'npu', layout='static')))
    assert backend.longest == 400 + 160 * (60 * 6 - 1)
    assert backend._loaded.frontend(noise(4.0)[:backend.longest]).shape == (60, 560)
    assert hear(backend, noise(2.0)).text
    with pytest.raises(BackendError, match=r'expected at most 3\.615 s; split the segment'):
        backend.prepare(noise(4.0), '')


def test_the_layouts_of_one_model_hear_the_same(model, tmp_path):
    funasr = loaded(str(write_sense_voice(tmp_path / 'funasr', layout='funasr')))
    static = loaded(str(write_sense_voice(tmp_path / 'npu', layout='static')))
    assert hear(funasr).text == hear(loaded(model)).text
    full = noise(4.0)[:static.longest]
    # The normalisation is within this graph, which rounds otherwise.
    assert hear(static, full).text == hear(loaded(model), full).text


# Searches.

def test_settings_that_change_a_text_change_the_digest(model, tmp_path):
    grammar = tmp_path / 'commands'
    grammar.write_text('turn left\n')
    settings = [{}, {'digits': False}, {'language': 'zh'}, {'beam': 4}, {'hotwords': ('stop',)},
                {'hotwords': ('stop:2',)}, {'grammar': str(grammar)},
                {'log_probability_threshold': -2.0}]
    digests = [loaded(model, **one).digest for one in settings]
    grammar.write_text('turn right\n')
    digests.append(loaded(model, grammar=str(grammar)).digest)
    assert len(set(digests)) == len(digests)
    assert loaded(model, threads=2).digest == digests[0]


def test_a_grammar_hears_its_sentences_alone(model, tmp_path):
    grammar = tmp_path / 'commands'
    grammar.write_text('turn left\ngo to the light\n打开灯\nstop\n')
    backend = loaded(model, grammar=str(grammar))
    heard = {hear(backend, noise(seed=seed)).text for seed in range(8)}
    # Noise is none of them: where none is left in the beam, there is no text.
    assert heard <= {'turn left', 'go to the light', '打开灯', 'stop', ''}
    assert len(heard - {''}) > 1
    result = hear(backend)
    assert 0 < result.confidence < 1
    assert ''.join(word.text for word in result.words) == result.text.replace(' ', '')


def test_a_grammar_that_is_longer_than_the_speech_hears_nothing(model, tmp_path):
    grammar = tmp_path / 'commands'
    grammar.write_text('turn left and go to the open door\n')
    result = hear(loaded(model, grammar=str(grammar)), noise()[:1000])
    assert (result.status, result.reason) == (
        RecognitionStatus.NO_SPEECH, 'no sentence of the grammar fits')


def test_hotwords_are_heard_more_often(model):
    def count(backend):
        return sum(hear(backend, noise(seed=seed)).text.count('door') for seed in range(4))

    assert count(loaded(model, hotwords=('door:20',))) > count(loaded(model, beam=8))


def test_what_a_model_cannot_write_is_refused_when_it_is_loaded(model, tmp_path):
    grammar = tmp_path / 'commands'
    grammar.write_text('turn left\nübel\n')
    with pytest.raises(ConfigurationError, match="grammar: the model has no token for 'übel'"):
        loaded(model, grammar=str(grammar))
    with pytest.raises(ConfigurationError, match="hotwords: the model has no token for '机'"):
        loaded(model, hotwords=('机',))
