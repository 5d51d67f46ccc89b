"""Which backend goes first by measurement: time, accuracy, and speech that tells nothing."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlerobot_asr_opt.core.routing import Figures, fastest_first, word_errors
from xlerobot_asr_opt.known_speech import known_speech
from xlerobot_asr_opt.records import SAMPLE_RATE

INF = math.inf


@pytest.mark.parametrize(('measured', 'orders'), [
    ([Figures((9.0, 9.0), 0, 50), Figures((5.0, 12.0), 0, 50)], [[1, 0], [0, 1]]),
    ([Figures((9.0,), 0, 50), Figures((5.0,), 1, 50)], [[1, 0]]),
    ([Figures((9.0,), 0, 50), Figures((5.0,), 2, 50)], [[0, 1]]),
    ([Figures((9.0,), 5, 50), Figures((5.0,), 6, 50)], [[1, 0]]),
    ([Figures((9.0,), 50, 50), Figures((5.0,), 49, 50)], [[0, 1]]),
    ([Figures((INF,), 0, 0), Figures((5.0,), 0, 50)], [[1, 0]]),
    ([Figures((9.0, INF), 0, 20), Figures((12.0, 20.0), 0, 50)], [[0, 1], [1, 0]]),
    ([Figures((INF,), 0, 0), Figures((INF,), 0, 0)], [[0, 1]]),
    ([Figures((7.0,), 20, 50), Figures((9.0,), 0, 50), Figures((8.0,), 1, 50)], [[2, 1, 0]]),
], ids=['by length', 'accurate enough', 'not accurate enough', 'beside the best',
        'another language', 'not loaded', 'too long for it', 'none', 'three'])
def test_the_fastest_of_the_accurate_goes_first(measured, orders):
    assert fastest_first(measured, loss=0.03) == orders


@given(st.lists(st.tuples(st.floats(1.0, 9.0), st.integers(0, 60)), min_size=1, max_size=5),
       st.floats(0.0, 1.0))
def test_each_backend_has_one_place_and_none_that_is_much_worse_the_first(found, loss):
    measured = [Figures((time_ms,), errors, 60) for time_ms, errors in found]
    (order,) = fastest_first(measured, loss)
    assert sorted(order) == list(range(len(measured)))
    best = min(figures.error_rate for figures in measured)
    if best <= 0.5:
        assert measured[order[0]].error_rate <= best + loss


@pytest.mark.parametrize(('said', 'heard', 'errors'), [
    ('', '', 0), ('go there', 'Go, there!', 0), ('go there', '', 2), ('', 'go there', 2),
    ('go over there', 'go there', 1), ('go there', 'go over there', 1),
    ("don't go", 'do not go', 2),
    ('one two three', 'three two one', 2), ('grüß gott', 'Grüß Gott.', 0),
])
def test_wrong_words_are_counted(said, heard, errors):
    assert word_errors(said, heard) == errors


def test_the_known_speech_is_there_and_fits_its_lengths():
    speech = known_speech()
    for one, longest in zip(speech, (2, 4, 8, 12), strict=True):
        seconds = len(one.samples) / SAMPLE_RATE
        assert longest / 2 < seconds <= longest
        assert 2.0 < len(one.text.split()) / seconds < 4.0
        assert abs(one.samples.astype(int)).max() > 3000
