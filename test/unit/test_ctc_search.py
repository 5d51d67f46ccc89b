"""Greedy search, beam search, hotwords, grammars and spelling, against the definitions."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlerobot_asr_opt.backends.ctc_beam import BeamSearch
from xlerobot_asr_opt.backends.ctc_grammar import Grammar
from xlerobot_asr_opt.backends.ctc_greedy import align, check_finite, greedy, log_softmax
from xlerobot_asr_opt.backends.ctc_hotwords import DEFAULT_BOOST, Hotwords, read_hotword
from xlerobot_asr_opt.backends.ctc_spelling import Speller
from xlerobot_asr_opt.errors import BackendError, ConfigurationError

TEXTS = ('', ' a', 'b', 'c', ' ab')
"""Of a vocabulary with the blank first."""


def frames(seed, count, vocabulary=5, spread=1.5):
    random = np.random.default_rng(seed)
    return log_softmax(random.normal(0, spread, (count, vocabulary)).astype(np.float32))


def collapse(path, blank=0):
    return [token for token, _ in itertools.groupby(path) if token != blank]


def probabilities(rows):
    """Token sequence to the sum over all of its paths, by writing down every path."""
    found = {}
    for path in itertools.product(range(rows.shape[1]), repeat=len(rows)):
        score = math.exp(sum(float(rows[at, token]) for at, token in enumerate(path)))
        key = tuple(collapse(path))
        found[key] = found.get(key, 0.0) + score
    return found


# Greedy search.

@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1000), count=st.integers(1, 30))
def test_greedy_is_the_best_of_each_frame_collapsed(seed, count):
    rows = frames(seed, count)
    found = greedy(rows, 0)
    best = rows.argmax(axis=1)
    assert [one.token for one in found] == collapse(best.tolist())
    for one in found:
        run = slice(one.begin, one.end)
        assert (best[run] == one.token).all()
        assert one.log_probability == pytest.approx(rows[run, one.token].max(), abs=1e-5)
        assert one.begin == 0 or best[one.begin - 1] != one.token


def test_greedy_of_no_frame_is_nothing():
    assert greedy(np.zeros((0, 5), np.float32), 0) == []


def test_logits_need_not_be_normalised():
    rows = frames(1, 12)
    shifted = (rows + np.arange(12)[:, None] * 7.0).astype(np.float32)
    for one, other in zip(greedy(rows, 0), greedy(shifted, 0), strict=True):
        assert (one.token, one.begin, one.end) == (other.token, other.begin, other.end)
        assert one.log_probability == pytest.approx(other.log_probability, abs=1e-4)


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_what_is_no_number_is_refused_with_its_frame(value):
    rows = frames(0, 6)
    rows[4, 2] = value
    with pytest.raises(BackendError, match=r'in frame 4, expected finite numbers'):
        check_finite(rows)


def test_frames_of_minus_infinity_alone_are_refused():
    rows = frames(0, 3)
    rows[1] = -np.inf
    with pytest.raises(BackendError, match='frame 1'):
        check_finite(rows)


# Alignment.

@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1000), count=st.integers(1, 6))
def test_alignment_is_the_likeliest_path_of_its_tokens(seed, count):
    rows = frames(seed, count)
    tokens = collapse(np.random.default_rng(seed + 1).integers(0, 5, count).tolist())
    if not tokens:
        return
    paths = [path for path in itertools.product(range(5), repeat=count)
             if collapse(path) == tokens]
    best = max(paths, key=lambda path: sum(rows[at, token] for at, token in enumerate(path)))
    found = align(rows, tokens, 0)
    score = sum(rows[at, one.token] for one in found for at in range(one.begin, one.end))
    score += sum(rows[at, 0] for at in range(count)
                 if not any(one.begin <= at < one.end for one in found))
    assert [one.token for one in found] == tokens
    assert score == pytest.approx(sum(rows[at, token] for at, token in enumerate(best)), abs=1e-4)
    assert all(before.end <= after.begin for before, after in itertools.pairwise(found))


# Beam search.

@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), count=st.integers(1, 5))
def test_a_wide_beam_finds_the_likeliest_text(seed, count):
    rows = frames(seed, count, vocabulary=4)
    sums = probabilities(rows)
    found = BeamSearch(400, 0, None, None).search(rows)
    assert sums[tuple(found)] == pytest.approx(max(sums.values()), rel=1e-6)


def test_a_beam_sums_over_paths_where_greedy_takes_one():
    # Graves's example: 'a' in some frame is likelier than in none, though blank wins each frame.
    rows = np.log(np.array([[0.6, 0.4], [0.6, 0.4]], np.float32))
    assert greedy(rows, 0) == []
    assert BeamSearch(8, 0, None, None).search(rows) == [1]


def test_a_token_is_doubled_only_over_a_blank():
    rows = np.full((3, 3), -20.0, np.float32)
    rows[0, 1] = rows[1, 0] = rows[2, 1] = 0.0
    assert BeamSearch(8, 0, None, None).search(log_softmax(rows)) == [1, 1]
    rows[1] = [-20.0, 0.0, -20.0]
    assert BeamSearch(8, 0, None, None).search(log_softmax(rows)) == [1]


# Hotwords.

def hotwords(*entries, texts=TEXTS):
    return Hotwords(entries, Speller(texts), texts)


@pytest.mark.parametrize(('entry', 'wanted'), [
    ('stop', ('stop', DEFAULT_BOOST)), ('go left:2.5', ('go left', 2.5)),
    ('打开:0', ('打开', 0.0)), ('at 10:30:4', ('at 10:30', 4.0))])
def test_a_hotword_may_say_its_boost(entry, wanted):
    assert read_hotword(entry) == wanted


@pytest.mark.parametrize('entry', ['', ' ', ':3', 'stop:', 'stop:loud', 'stop:-1', 'stop:101',
                                   'stop:nan'])
def test_a_hotword_of_another_form_is_refused(entry):
    with pytest.raises(ConfigurationError, match=r'hotwords: got .*boost from 0 to 100'):
        read_hotword(entry)


def gain(words, tokens):
    """What a text gains in all, with what it has to give back."""
    state, total = 0, 0.0
    for token in tokens:
        state, gained = words.move(state, token)
        total += gained
    return total - words.held(state)


@pytest.mark.parametrize(('tokens', 'wanted'), [
    ([1, 2, 3], 6.0), ([4, 3], 6.0), ([1, 2], 0.0), ([1, 3], 0.0), ([1, 1, 2, 3], 6.0),
    ([1, 2, 3, 1, 2, 3], 12.0), ([1, 2, 1, 2, 3], 6.0), ([], 0.0)])
def test_a_whole_phrase_gains_its_boost_however_it_is_spelled(tokens, wanted):
    assert gain(hotwords('abc:6'), tokens) == pytest.approx(wanted)


def test_a_phrase_within_a_longer_one_keeps_its_own():
    words = hotwords('ab:2', 'abc:5')
    assert gain(words, [1, 2]) == pytest.approx(2)
    assert gain(words, [1, 2, 3]) == pytest.approx(7)
    assert gain(words, [1, 2, 2]) == pytest.approx(2)


@settings(max_examples=60, deadline=None)
@given(tokens=st.lists(st.integers(1, 4), max_size=12))
def test_the_gain_is_the_boost_of_each_phrase_in_the_text(tokens):
    text = ''.join(TEXTS[token] for token in tokens)
    wanted = sum(boost * sum(text.startswith(phrase, at) for at in range(len(text)))
                 for phrase, boost in ((' ab', 3.0), (' abc', 4.0), (' ac', 2.0)))
    assert gain(hotwords('ab:3', 'abc:4', 'ac:2'), tokens) == pytest.approx(wanted)


def test_a_hotword_wins_over_what_is_a_little_likelier():
    rows = np.full((2, len(TEXTS)), -9.0, np.float32)
    rows[0, 1], rows[1, 2], rows[1, 3] = 0.0, 0.0, -1.0
    rows = log_softmax(rows)
    assert BeamSearch(8, 0, None, None).search(rows) == [1, 2]
    assert BeamSearch(8, 0, hotwords('ac:3'), None).search(rows) == [1, 3]
    assert BeamSearch(8, 0, hotwords('ac:0.5'), None).search(rows) == [1, 2]


def test_half_a_hotword_wins_nothing():
    rows = np.full((1, len(TEXTS)), -9.0, np.float32)
    rows[0, 1], rows[0, 0] = -1.0, 0.0
    assert BeamSearch(8, 0, hotwords('ab:6'), None).search(log_softmax(rows)) == []


# Grammar and spelling.

def grammar(*sentences, texts=TEXTS):
    return Grammar(sentences, Speller(texts))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1000), count=st.integers(1, 5))
def test_a_grammar_finds_its_likeliest_sentence(seed, count):
    rows = frames(seed, count)
    sums = probabilities(rows)
    # Every spelling of the sentences: a b, ab c and a.
    spellings = [key for key in sums if ''.join(TEXTS[token] for token in key)
                 in (' ab', ' abc', ' a')]
    found = BeamSearch(100, 0, None, grammar('ab', 'abc', 'a')).search(rows)
    assert tuple(found) in spellings
    assert sums[tuple(found)] == pytest.approx(max(sums[key] for key in spellings), rel=1e-6)


def test_a_sentence_that_is_longer_than_the_speech_does_not_fit():
    assert BeamSearch(8, 0, None, grammar('abcbcb')).search(frames(0, 2)) is None


def test_sentences_are_written_in_the_case_and_with_the_spaces_of_the_model():
    speller = Speller(['', '▁TURN'.replace('▁', ' '), ' LEFT', '打', '开', ' L', 'E', 'F', 'T'])
    assert speller.written('  turn   left', 'grammar') == ' TURN LEFT'
    assert speller.written('打开', 'grammar') == '打开'
    assert speller.written('打开 left', 'grammar') == '打开 LEFT'


def test_a_model_of_letters_has_no_space_before_the_first():
    speller = Speller(['', ' ', 'a', 'b'])
    assert speller.written('ab ba', 'grammar') == 'ab ba'


@pytest.mark.parametrize(('text', 'unknown'), [
    ('ab xylophone', 'xylophone'), ('ad', 'd'), ('ab 打', '打')])
def test_what_the_tokens_cannot_write_is_named(text, unknown):
    told = f'the model has no token for .*{unknown}'
    with pytest.raises(ConfigurationError, match=f'grammar: {told}'):
        grammar(text)
    with pytest.raises(ConfigurationError, match=f'hotwords: .*{unknown}.*use words that it can'):
        hotwords(text)
