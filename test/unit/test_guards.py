"""What tells a text that was said from one that was made up."""

import pytest

from xlerobot_asr_opt.backends.decoding import Decoded, Stop
from xlerobot_asr_opt.backends.guards import Thresholds, compression_ratio, doubt, silence
from xlerobot_asr_opt.parameters import InferenceParameters

THRESHOLDS = Thresholds()
HALLUCINATION = 'Thank you for watching. ' * 12


def decoded(mean=-0.2, no_speech=0.01, stop=Stop.END, count=3):
    return Decoded((1,) * count, 'en', mean, no_speech, stop)


def test_the_thresholds_are_those_of_the_parameters():
    parameters = InferenceParameters()
    assert Thresholds(
        parameters.no_speech_threshold, parameters.log_probability_threshold,
        parameters.compression_threshold, parameters.noise_threshold) == THRESHOLDS


@pytest.mark.parametrize('text', ['Go to the kitchen.', 'Stop.', '去厨房', '7', 'Ärger', 'ok!'])
def test_words_that_a_model_is_sure_of_were_said(text):
    assert silence(text, decoded(), THRESHOLDS) == ''
    assert doubt(text, decoded(), THRESHOLDS) == ''


@pytest.mark.parametrize('text', ['', ' ', '.', '...', '!?', '♪', '. . .'])
def test_a_text_without_a_letter_or_digit_is_silence(text):
    assert silence(text, decoded(mean=0.0, no_speech=0.0), THRESHOLDS) == 'no words'


@pytest.mark.parametrize(('mean', 'no_speech', 'silent'), [
    (-1.2, 0.7, True), (-1.2, 0.5, False), (-0.8, 0.7, False), (-0.8, 0.5, False),
    (-1.0, 0.7, False), (-1.2, 0.6, False),
], ids=['both', 'unsure', 'no speech', 'neither', 'at the one threshold', 'at the other'])
def test_only_an_unsure_text_where_no_speech_is_likely_is_silence(mean, no_speech, silent):
    why = silence('Thank you.', decoded(mean, no_speech), THRESHOLDS)
    assert why == ('no-speech probability 0.70 and mean log-probability -1.20' if silent else '')


@pytest.mark.parametrize(('mean', 'no_speech', 'silent'), [
    (-0.61, 0.93, True), (-0.61, 0.8, False), (-0.5, 0.93, False), (-0.4, 0.99, False),
], ids=['what noise gives', 'at the threshold', 'at what is sure', 'sure'])
def test_where_no_speech_is_very_likely_a_text_has_to_be_sure(mean, no_speech, silent):
    assert bool(silence('you', decoded(mean, no_speech), THRESHOLDS)) is silent
    assert silence('you', decoded(mean, no_speech), Thresholds(noise=1.0)) == ''


def test_thresholds_move_what_is_silence():
    unsure = decoded(mean=-0.5, no_speech=0.3)
    assert silence('Thank you.', unsure, THRESHOLDS) == ''
    assert silence('Thank you.', unsure, Thresholds(no_speech=0.2, log_probability=-0.4))


@pytest.mark.parametrize(('text', 'how', 'why'), [
    ('go', decoded(stop=Stop.LOOP), 'the decoder ran in a loop'),
    ('go', decoded(stop=Stop.LENGTH, count=224), 'cut after 224 tokens'),
    (HALLUCINATION, decoded(),
     f'compression ratio {compression_ratio(HALLUCINATION):.2f}'),
    ('go', decoded(mean=-1.5), 'mean log-probability -1.50'),
], ids=['loop', 'length', 'repetition', 'unsure'])
def test_what_may_not_have_been_said_is_doubted_with_the_cause(text, how, why):
    assert doubt(text, how, THRESHOLDS) == why


@pytest.mark.parametrize(('thresholds', 'how'), [
    (Thresholds(compression=10.0), decoded()),
    (Thresholds(compression=10.0, log_probability=-2.0), decoded(mean=-1.5)),
], ids=['repetition', 'unsure'])
def test_thresholds_move_what_is_doubted(thresholds, how):
    assert doubt(HALLUCINATION, how, THRESHOLDS)
    assert doubt(HALLUCINATION, how, thresholds) == ''


def test_a_command_said_again_and_again_is_no_repetition():
    """Below some twenty words zlib's own bytes outweigh what it saves."""
    assert doubt('Stop, stop, stop, stop, stop!', decoded(), THRESHOLDS) == ''


def test_the_compression_ratio_grows_with_repetition():
    once = 'It was the best of times, it was the worst of times. '
    ratios = [compression_ratio(once * count) for count in (1, 2, 4, 8)]
    assert ratios == sorted(ratios)
    assert ratios[0] < THRESHOLDS.compression < ratios[-1]
    assert compression_ratio('') == 0


def test_the_compression_ratio_counts_bytes_not_characters():
    assert compression_ratio('厨房') == pytest.approx(3 * compression_ratio('ab'), rel=0.5)
