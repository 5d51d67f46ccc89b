"""Greedy decoding over scripted logits: what is fed, what is chosen, when it stops."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_vocabulary import build_small, token, tokens
from small_whisper import FIRST_SPECIAL, SPECIAL, VOCABULARY

from xlerobot_asr_opt.backends.decoding import GreedyDecoder, Stop, looped
from xlerobot_asr_opt.backends.tokens import Vocabulary
from xlerobot_asr_opt.errors import BackendError
from xlerobot_asr_opt.models.layout import open_model

SPECIALS = {name: FIRST_SPECIAL + index for index, name in enumerate(SPECIAL)}
END, START = SPECIALS['endoftext'], SPECIALS['startoftranscript']
NO_TIMESTAMPS = SPECIALS['notimestamps']
POSITIONS = 448


class Feed:
    """Says, whatever it is fed, the logits of a script, one row a position; remembers calls."""

    def __init__(self, *rows):
        self.calls = []
        self._rows = rows
        self._position = 0

    def __call__(self, fed, rows):
        self.calls.append((tuple(fed), tuple(rows)))
        begin = self._position
        self._position += len(fed)
        return np.stack([self._rows[min(begin + row, len(self._rows) - 1)] for row in rows])


def row(*likely, **others):
    """Logits of one position: the first of these tokens is the likeliest, then the next."""
    logits = np.zeros(VOCABULARY, np.float32)
    for rank, number in enumerate(likely):
        logits[number] = 10.0 - rank
    for name, value in others.items():
        logits[SPECIALS[name]] = value
    return logits


def text_rows(text):
    """What a model says that is sure of a text, and of its end."""
    return [row(number) for number in (*tokens(text), END)]


@pytest.fixture(scope='module')
def vocabularies(tmp_path_factory):
    return {name: Vocabulary(open_model(str(build_small(
        tmp_path_factory.mktemp(name), multilingual=name == 'many')))) for name in ('en', 'many')}


@pytest.fixture
def decode(vocabularies):
    """Decodes with an English-only model; the rows begin with the first text token's."""
    def decode(*rows, most_tokens=224, digits=True, positions=POSITIONS, silence=None):
        decoder = GreedyDecoder(
            vocabularies['en'], digits=digits, most_tokens=most_tokens, positions=positions)
        return decoder.decode(Feed(row() if silence is None else silence, *rows), '')
    return decode


# What is fed.

def test_an_english_model_is_fed_one_prompt_and_then_its_own_words(vocabularies):
    feed = Feed(row(), *text_rows('go'))
    decoded = GreedyDecoder(
        vocabularies['en'], digits=True, most_tokens=224, positions=POSITIONS).decode(feed, '')
    first, second = tokens('go')
    assert feed.calls == [
        ((START, NO_TIMESTAMPS), (0, 1)), ((first,), (0,)), ((second,), (0,))]
    assert decoded.tokens == (first, second)
    assert decoded.language == 'en'
    assert decoded.stop is Stop.END


def test_a_given_language_is_part_of_the_prompt(vocabularies):
    feed = Feed(row(), row(), row(), *text_rows('go'))
    decoded = GreedyDecoder(
        vocabularies['many'], digits=True, most_tokens=224, positions=POSITIONS).decode(feed, 'de')
    prompt = START, SPECIALS['de'], SPECIALS['transcribe'], NO_TIMESTAMPS
    assert feed.calls[0] == (prompt, (0, 3))
    assert decoded.tokens == tuple(tokens('go'))
    assert decoded.language == 'de'


def test_a_language_is_detected_among_those_that_the_model_knows(vocabularies):
    # The likeliest token is none of a language.
    feed = Feed(row(token('a'), SPECIALS['de'], SPECIALS['en']), row(), row(), *text_rows('go'))
    decoded = GreedyDecoder(
        vocabularies['many'], digits=True, most_tokens=224, positions=POSITIONS).decode(feed, '')
    prompt = SPECIALS['de'], SPECIALS['transcribe'], NO_TIMESTAMPS
    assert feed.calls[:2] == [((START,), (0,)), (prompt, (2,))]
    assert decoded.tokens == tuple(tokens('go'))
    assert decoded.language == 'de'


def test_nothing_is_kept_between_segments(vocabularies):
    decoder = GreedyDecoder(
        vocabularies['en'], digits=True, most_tokens=224, positions=POSITIONS)
    first = decoder.decode(Feed(row(), *text_rows('go')), '')
    decoder.decode(Feed(row(nospeech=20.0), *text_rows('stop')), '')
    assert decoder.decode(Feed(row(), *text_rows('go')), '') == first


# What is chosen.

def test_what_is_suppressed_is_never_said(decode):
    decoded = decode(row(token('('), token('g')), row(token('-'), token('o')), row(END))
    assert decoded.tokens == tuple(tokens('go'))


@pytest.mark.parametrize(('digits', 'said'), [(True, '7'), (False, 's')], ids=['yes', 'no'])
def test_numbers_are_in_digits_only_where_that_is_wanted(decode, digits, said):
    decoded = decode(row(token('7'), token('s')), row(END), digits=digits)
    assert decoded.tokens == (token(said),)


def test_a_text_begins_neither_with_a_space_alone_nor_with_its_end(decode):
    decoded = decode(row(END, token('Ġ'), token('a')), row(END))
    assert decoded.tokens == (token('a'),)


@pytest.mark.parametrize('name', [name for name in SPECIAL if name != 'endoftext'])
def test_no_special_token_is_part_of_a_text(decode, name):
    assert decode(row(SPECIALS[name], token('a')), row(END)).tokens == (token('a'),)


# How sure it is.

def softmax(logits, allowed):
    exponentials = {number: math.exp(logits[number]) for number in allowed}
    total = sum(exponentials.values())
    return {number: value / total for number, value in exponentials.items()}


def test_the_mean_log_probability_is_that_of_the_tokens_and_the_end(decode, vocabularies):
    suppressed = set(vocabularies['en'].suppressed(digits=True).tolist())
    never_first = set(vocabularies['en'].suppressed_at_first().tolist())
    later = set(range(END + 1)) - suppressed
    random = np.random.default_rng(0)
    rows = [row(number) + random.normal(0, 2, VOCABULARY).astype(np.float32)
            for number in (*tokens('go'), END)]
    wanted = [softmax(logits, allowed)[number] for logits, allowed, number in zip(
        rows, (later - never_first, later, later), (*tokens('go'), END), strict=True)]
    decoded = decode(*rows)
    assert decoded.tokens == tuple(tokens('go'))
    assert decoded.mean_log_probability == pytest.approx(
        sum(map(math.log, wanted)) / 3, rel=1e-5)


def test_the_no_speech_probability_is_that_after_the_start(decode):
    silence = row(token('a'), nospeech=9.5)
    wanted = softmax(silence, range(VOCABULARY))[SPECIALS['nospeech']]
    decoded = decode(*text_rows('go'), silence=silence)
    assert decoded.no_speech_probability == pytest.approx(wanted, rel=1e-5)


def test_the_no_speech_probability_of_a_multilingual_model_is_that_after_the_start(vocabularies):
    silence = row(SPECIALS['en'], nospeech=9.5)
    wanted = softmax(silence, range(VOCABULARY))[SPECIALS['nospeech']]
    decoder = GreedyDecoder(
        vocabularies['many'], digits=True, most_tokens=224, positions=POSITIONS)
    for language in ('', 'en'):
        decoded = decoder.decode(Feed(silence, row(), row(), *text_rows('go')), language)
        assert decoded.no_speech_probability == pytest.approx(wanted, rel=1e-5)


# When it stops.

def varied(count):
    """Rows of a text without an end and without a loop."""
    random = np.random.default_rng(1)
    letters = tokens('abdefgkmnoprst')
    return [row(random.choice(letters)) for _ in range(count)]


@pytest.mark.parametrize(('most_tokens', 'positions', 'length'), [
    (8, POSITIONS, 8), (448, 16, 14), (13, 16, 13)], ids=['parameter', 'model', 'both'])
def test_a_text_is_cut_where_the_parameter_or_the_model_ends(
        decode, most_tokens, positions, length):
    decoded = decode(*varied(500), most_tokens=most_tokens, positions=positions)
    assert decoded.stop is Stop.LENGTH
    assert len(decoded.tokens) == length
    # Of a row, the likeliest has 10 and the others 0.
    choices = 30 - 7
    assert decoded.mean_log_probability == pytest.approx(
        -math.log1p((choices - 1) * math.exp(-10)), rel=0.2)


def test_of_a_loop_the_first_round_is_kept_and_its_probability_told(decode):
    decoded = decode(*[row(number) for number in tokens('go') * 40])
    assert decoded.stop is Stop.LOOP
    assert decoded.tokens == tuple(tokens('go'))
    assert decoded.mean_log_probability > -0.01


def test_what_comes_before_a_loop_is_kept(decode):
    decoded = decode(*[row(number) for number in tokens('do') + tokens('stop') * 40])
    assert decoded.stop is Stop.LOOP
    assert decoded.tokens == tuple(tokens('dostop'))


def test_somebody_may_say_stop_ten_times(decode):
    stop = [token('Ġstop')] * 10
    decoded = decode(*[row(number) for number in (*stop, END)])
    assert decoded.stop is Stop.END
    assert decoded.tokens == tuple(stop)


@given(prefix=st.lists(st.integers(100, 199), max_size=30), length=st.integers(1, 24),
       rounds=st.integers(4, 12), data=st.data())
def test_every_loop_is_seen_and_cut_to_its_first_round(prefix, length, rounds, data):
    rounds = max(rounds, -(-24 // length))
    begun = data.draw(st.integers(0, length - 1))
    # Different tokens, so that the round is no loop in itself.
    once = list(range(length))
    text = prefix + once * rounds + once[:begun]
    extra = looped(text)
    assert text[:len(text) - extra] == prefix + once


@given(length=st.integers(1, 24), count=st.integers(0, 23))
def test_what_is_short_is_no_loop(length, count):
    assert looped((list(range(length)) * 24)[:count]) == 0


@given(length=st.integers(6, 24))
def test_three_rounds_are_no_loop(length):
    assert looped([*range(length)] * 3) == 0


@given(st.lists(st.integers(0, 999), unique=True, max_size=100))
def test_what_does_not_repeat_is_no_loop(text):
    assert looped(text) == 0


# What is wrong.

@pytest.mark.parametrize('value', [math.nan, math.inf], ids=str)
@pytest.mark.parametrize('at', [0, 1, 2], ids=['start', 'first token', 'second token'])
def test_a_number_that_is_none_is_told(decode, at, value):
    rows = [row(), *text_rows('go')]
    rows[at][token('m')] = value
    with pytest.raises(BackendError, match=f'a logit of {value}, expected finite numbers; try'):
        decode(*rows[1:], silence=rows[0])


def test_logits_that_exclude_everything_are_told(decode):
    with pytest.raises(BackendError, match='a logit of -inf'):
        decode(np.full(VOCABULARY, -np.inf, np.float32))


# What a text is worth.

@pytest.mark.parametrize('text', ['a', 'ab', 'aba'])
def test_a_text_is_as_likely_as_its_decoding_says(vocabularies, text):
    decoder = GreedyDecoder(
        vocabularies['en'], digits=True, most_tokens=224, positions=POSITIONS)
    rows = [row(), *text_rows(text)]
    decoded = decoder.decode(Feed(*rows), '')
    assert decoded.stop is Stop.END
    total = decoder.log_probability(Feed(*rows), decoded)
    assert total == pytest.approx(
        decoded.mean_log_probability * (len(decoded.tokens) + 1), rel=1e-5)


def test_a_text_that_the_model_does_not_say_is_less_likely(vocabularies):
    decoder = GreedyDecoder(
        vocabularies['en'], digits=True, most_tokens=224, positions=POSITIONS)
    said, other = (decoder.decode(Feed(row(), *text_rows(text)), '') for text in ('ab', 'ba'))
    values = [decoder.log_probability(Feed(row(), *text_rows('ab')), decoded)
              for decoded in (said, other)]
    assert values[0] > values[1]
