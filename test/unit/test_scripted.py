"""The scripted backend: answers in turn and by length, and every fault on command."""

import json
import math
import re

import numpy as np
import pytest
import yaml

from xlerobot_asr_opt.backends.script import Answer, Kind, Script, read_script
from xlerobot_asr_opt.backends.scripted import WORDS, ScriptedBackend
from xlerobot_asr_opt.core.breaker import Health, HealthLimits
from xlerobot_asr_opt.errors import BackendError, ConfigurationError
from xlerobot_asr_opt.records import SAMPLE_RATE, RecognitionStatus


@pytest.fixture
def script(tmp_path):
    """Writes a script; returns its path."""
    def write(*answers):
        path = tmp_path / 'script.yaml'
        path.write_text(yaml.safe_dump({'answers': list(answers)}))
        return path
    return write


@pytest.fixture
def play(script):
    """Makes a loaded backend of a script, and the list of its waits [s]."""
    def make(*answers):
        waits = []
        backend = ScriptedBackend(read_script(script(*answers)), sleep=waits.append)
        backend.load()
        return backend, waits
    return make


def hear(backend, seconds=1.0, language='', seed=0):
    samples = np.random.default_rng(seed).integers(-99, 99, round(seconds * SAMPLE_RATE))
    return backend.recognise(backend.prepare(samples.astype(np.int16), language))


def test_answers_come_in_turn_and_begin_again(play):
    backend, _ = play({'text': 'one'}, {'text': 'two'})
    assert [hear(backend).text for _ in range(5)] == ['one', 'two', 'one', 'two', 'one']
    backend.load()
    assert hear(backend).text == 'one'


def test_an_answer_by_length_takes_no_turn(play):
    backend, _ = play({'text': 'one'}, {'text': 'long', 'length_s': [2, 3]}, {'text': 'two'})
    assert [hear(backend, seconds).text for seconds in (1, 2, 2.9, 3, 1)] == [
        'one', 'long', 'long', 'two', 'one']


def test_a_text_is_given_with_all_that_the_script_says_of_it(play):
    backend, waits = play({'text': 'geh', 'language': 'de', 'confidence': 0.5, 'reason': 'hm',
                           'delay_s': 1.5})
    result = hear(backend, language='en')
    assert (result.text, result.language, result.confidence, result.reason) == (
        'geh', 'de', 0.5, 'hm')
    assert waits == [1.5]


def test_what_the_script_does_not_say_is_not_made_up(play):
    result = hear(play({'text': 'go'})[0], language='en')
    assert result.language == 'en'
    assert math.isnan(result.confidence)
    assert (result.words, result.reason) == ((), '')


def test_no_speech_has_neither_text_nor_language(play):
    result = hear(play({'no_speech': True, 'reason': 'a door'})[0], language='en')
    assert result.status is RecognitionStatus.NO_SPEECH
    assert (result.text, result.language, result.reason) == ('', '', 'a door')


@pytest.mark.parametrize(('answer', 'said', 'wait'), [
    ({'error': 'it is gone'}, 'it is gone', []),
    ({'error': 'it is gone', 'delay_s': 2}, 'it is gone', [2]),
    ({'nan': True}, 'the model gave NaN, expected finite numbers', []),
    ({'shape': True}, 'arrays of another shape', []),
    ({'hang_s': 60}, 'no answer within 60 s; try another backend', [60]),
], ids=['error', 'late error', 'NaN', 'shape', 'hang'])
def test_a_fault_comes_on_command_and_the_next_answer_after_it(play, answer, said, wait):
    backend, waits = play(answer, {'text': 'go'})
    with pytest.raises(BackendError, match=said):
        hear(backend)
    assert waits == wait
    assert hear(backend).text == 'go'


class Clock:
    now = 5.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize(('kind', 'limits'), [
    ('hot_s', {'temperature_c': 100.0}), ('busy_s', {'load': 0.99})])
def test_heat_and_load_come_on_command_and_go(script, kind, limits):
    clock = Clock()
    backend = ScriptedBackend(read_script(script({kind: 2.0})), clock=clock)
    limits = HealthLimits(**limits)
    assert limits.exceeded(backend.health(), recovering=True) is None
    assert set(hear(backend).text.split()) <= set(WORDS)
    assert limits.exceeded(backend.health(), recovering=False)
    clock.now += 2.0
    assert limits.exceeded(backend.health(), recovering=True) is None


def outcome(backend, seed):
    try:
        text = hear(backend, seed=seed).text
    except BackendError as error:
        return type(error).__name__, str(error)
    return backend.health(), len(text.split())


def test_faults_come_at_random_and_are_the_same_for_the_same_seed(tmp_path):
    def play(seed, share=0.5):
        path = tmp_path / 'script.yaml'
        path.write_text(json.dumps({'faults': {
            'seed': seed, 'share': share, 'hang_s': 9.0, 'hot_s': 1.0, 'busy_s': 1.0}}))
        backend = ScriptedBackend(read_script(path), sleep=lambda _: None, clock=Clock())
        return [outcome(backend, number) for number in range(60)]

    assert play(1) == play(1) != play(2)
    assert len({failure for failure in play(1) if isinstance(failure[0], str)}) == 4
    assert any(isinstance(said[0], Health) and said[0].load == 1.0 for said in play(1))
    assert set(play(1, share=0.0)) == {(Health(40.0, 0.0), 4)}


def test_warming_up_takes_no_turn(play):
    backend, waits = play({'text': 'one', 'delay_s': 1}, {'text': 'two'})
    backend.warm_up()
    assert waits == []
    assert hear(backend).text == 'one'


def test_without_a_script_the_words_follow_from_the_samples():
    backend = ScriptedBackend()
    texts = [hear(backend, seed=seed).text for seed in (0, 1, 0)]
    assert texts[0] == texts[2] != texts[1]
    assert all(len(text.split()) == 4 and set(text.split()) <= set(WORDS) for text in texts)


def test_the_digest_follows_the_script():
    one, two = Answer(Kind.TEXT, 'one'), Answer(Kind.TEXT, 'two')
    digests = {ScriptedBackend(Script(answers)).digest
               for answers in ((), (one,), (two,), (one, two))}
    assert len(digests) == 4
    assert ScriptedBackend(Script((one,))).digest == ScriptedBackend(Script((one,))).digest
    assert ScriptedBackend(name='first').digest != ScriptedBackend(name='second').digest


@pytest.mark.parametrize(('answer', 'said'), [
    ('go', 'answers[0]: got "go", expected keys'),
    ({}, 'answers[0]: expected exactly one of text, no_speech, error, nan, shape, hang_s, '
     'hot_s, busy_s'),
    ({'text': 'go', 'nan': True}, 'expected exactly one of'),
    ({'text': 'go', 'colour': 'red'}, 'answers[0]: unknown key colour beside text; allowed:'),
    ({'hang_s': 1, 'delay_s': 1}, 'unknown key delay_s beside hang_s'),
    ({'text': True}, 'answers[0]: text: got True, expected a string; quote it'),
    ({'no_speech': False}, 'no_speech: got False, expected true'),
    ({'hang_s': -1}, 'hang_s: got -1, expected a number from 0 to 3600'),
    ({'text': 'go', 'delay_s': float('nan')}, 'delay_s: got nan, expected a number'),
    ({'text': 'go', 'delay_s': True}, 'delay_s: got True, expected a number'),
    ({'text': 'go', 'confidence': 1.5}, 'confidence: got 1.5, expected a number from 0 to 1'),
    ({'text': 'go', 'length_s': [1]}, 'length_s: got [1], expected [at least, below]'),
    ({'text': 'go', 'length_s': [2, 1]}, 'expected the first below the second'),
], ids=['no keys', 'no kind', 'two kinds', 'unknown', 'not beside a hang', 'no text', 'false',
        'negative', 'NaN', 'truth for a number', 'above 1', 'one length', 'turned round'])
def test_a_wrong_answer_is_told_with_its_place(script, answer, said):
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        read_script(script(answer))


@pytest.mark.parametrize(('content', 'said'), [
    (b'', 'expected the keys answers'), (b'answers: []', 'a list of at least one answer'),
    (b'answers: 7', 'a list of at least one answer'), (b'a: [', 'script'),
    (b'faults: {seed: 1}', 'got {"seed": 1}, expected at least seed and share'),
    (b'faults: {seed: 1.5, share: 1}', 'seed: got 1.5, expected a whole number'),
    (b'faults: {seed: 1, share: 2}', 'share: got 2, expected a number from 0 to 1'),
    (b'faults: {seed: 1, share: 1, rate: 2}', 'faults: unknown key rate; allowed: seed, share'),
    (b'answers: [{text: a}]\nmore: 1', 'expected the keys answers'), (b'\xff\xfe\xff', 'script'),
], ids=['empty', 'no answers', 'a number', 'cut', 'faults without share', 'no seed', 'no share',
        'unknown fault', 'more', 'no text'])
def test_a_file_that_is_no_script_is_told(tmp_path, content, said):
    path = tmp_path / 'script.yaml'
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=said):
        read_script(path)


def test_a_missing_script_is_told(tmp_path):
    with pytest.raises(ConfigurationError, match='No such file'):
        ScriptedBackend.from_file(str(tmp_path / 'nonesuch'))
