"""Whisper's vocabulary: prompts, what is never written, and text from tokens."""

import dataclasses
import json

import pytest
from small_vocabulary import MERGES, PIECES, build_small, token, tokens, vocabulary_json
from small_whisper import FIRST_SPECIAL, SPECIAL

from xlerobot_asr_opt.backends.tokens import Vocabulary
from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.layout import open_model

EN, DE, TRANSCRIBE, NO_TIMESTAMPS = (
    FIRST_SPECIAL + SPECIAL.index(name) for name in ('en', 'de', 'transcribe', 'notimestamps'))


@pytest.fixture
def files(tmp_path):
    return open_model(str(build_small(tmp_path)))


@pytest.fixture
def english(tmp_path):
    return open_model(str(build_small(tmp_path, multilingual=False)))


@pytest.fixture(scope='module')
def tiny_files():
    """The model that make test has fetched."""
    return open_model('whisper-tiny.en')


@pytest.fixture(scope='module')
def tiny(tiny_files):
    return Vocabulary(tiny_files)


# Prompts.

def test_the_prompt_of_a_multilingual_model_has_language_and_task(files):
    vocabulary = Vocabulary(files)
    assert vocabulary.multilingual
    assert vocabulary.languages == {'en': EN, 'de': DE}
    assert vocabulary.prompt('de') == (DE, TRANSCRIBE, NO_TIMESTAMPS)


def test_the_prompt_of_an_english_model_has_neither(english):
    vocabulary = Vocabulary(english)
    assert not vocabulary.multilingual
    assert vocabulary.languages == {'en': EN}
    assert vocabulary.prompt('en') == (NO_TIMESTAMPS,)


def test_only_languages_that_the_model_understands_are_known(files):
    assert Vocabulary(dataclasses.replace(files, languages=('de',))).languages == {'de': DE}


# What is never written.

@pytest.mark.parametrize('digits', [True, False], ids=['digits', 'words'])
def test_digits_and_signs_of_number_are_suppressed_where_not_wanted(files, digits):
    suppressed = set(Vocabulary(files).suppressed(digits=digits).tolist())
    assert {token('7'), token('%')}.isdisjoint(suppressed) == digits
    assert suppressed.isdisjoint(tokens('stop'))


def test_marks_alone_and_at_the_begin_of_a_word_are_suppressed(files):
    suppressed = set(Vocabulary(files).suppressed(digits=True).tolist())
    assert {token('('), token('(('), token('Ġ(')} <= suppressed


def test_what_the_model_says_of_itself_is_suppressed_too(files):
    suppress = (token('k'), FIRST_SPECIAL + 3)
    vocabulary = Vocabulary(dataclasses.replace(files, suppress=suppress))
    suppressed = vocabulary.suppressed(digits=True).tolist()
    assert token('k') in suppressed
    # Special tokens are not chosen anyway.
    assert max(suppressed) < vocabulary.end
    assert suppressed == sorted(set(suppressed))


def test_the_marks_are_those_that_openai_publishes(tiny_files, tiny):
    published = {number for number in tiny_files.suppress if number < tiny.end}
    alone = Vocabulary(dataclasses.replace(tiny_files, suppress=()))
    assert set(alone.suppressed(digits=True).tolist()) == published
    assert set(tiny.suppressed(digits=True).tolist()) == published


def test_a_first_token_is_neither_a_space_nor_the_end(tiny_files, tiny):
    assert set(tiny.suppressed_at_first().tolist()) == set(tiny_files.suppress_at_begin)


def test_without_digits_no_token_with_a_digit_is_left(tiny):
    suppressed = set(tiny.suppressed(digits=False).tolist())
    left = [number for number in range(tiny.end) if number not in suppressed]
    assert not set('0123456789%$') & set(''.join(tiny.text([number]) for number in left))
    assert len(left) > 0.95 * tiny.end


# Text.

def test_tokens_make_a_text_without_space_around_it(files):
    vocabulary = Vocabulary(files)
    assert vocabulary.text([token('Ġgo'), token('Ġ'), token('Ġstop'), token('Ġ')]) == 'go  stop'
    assert vocabulary.text([]) == ''


def test_a_character_that_was_cut_off_is_left_out(files):
    assert Vocabulary(files).text([*tokens('go'), token('â'), token('Ļ')]) == 'go'


def test_special_tokens_are_no_text(files):
    assert Vocabulary(files).text([*tokens('go'), NO_TIMESTAMPS, EN]) == 'go'


# What is no vocabulary.

@pytest.mark.parametrize(('content', 'said'), [
    (b'', 'expected the tokenizer.json of a Whisper'),
    (b'{"model": 7}', 'expected the tokenizer.json of a Whisper'),
    (b'\xff\xfe', 'expected the tokenizer.json of a Whisper'),
], ids=['empty', 'foreign', 'no text'])
def test_a_foreign_or_damaged_tokenizer_is_told(files, content, said):
    files.tokenizer.write_bytes(content)
    with pytest.raises(ModelError, match=said) as caught:
        Vocabulary(files)
    assert str(files.tokenizer) in str(caught.value)


@pytest.mark.parametrize('missing', ["'", '-', 'â', '(', 'Ġ'])
def test_a_vocabulary_without_some_mark_suppresses_the_others(files, missing):
    pieces = [piece if missing not in piece else f'unused{number}'
              for number, piece in enumerate(PIECES)]
    files.tokenizer.write_bytes(json.dumps(vocabulary_json(pieces, MERGES)).encode())
    suppressed = Vocabulary(files).suppressed(digits=False)
    assert token('7') in suppressed


def test_special_tokens_before_the_end_of_text_are_told(files):
    other = dataclasses.replace(files.tokens, start_of_transcript=3)
    with pytest.raises(ModelError, match=r'<\|endoftext\|> is 30 and not the first special'):
        Vocabulary(dataclasses.replace(files, tokens=other))
