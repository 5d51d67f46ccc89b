"""Log lines about what became of segments."""

import logging

import pytest

from xlerobot_asr_opt.core.outcome_log import OutcomeLog, structured
from xlerobot_asr_opt.records import Latency, Transcript, TranscriptStatus

NAME = 'xlerobot_asr_opt.core.outcome_log'


@pytest.fixture
def time():
    return [100.0]


@pytest.fixture
def log(time):
    return OutcomeLog(lambda: time[0])


def transcript(status, segment=7, reason=''):
    return Transcript(segment, 'hall', 3, status, 0, 1, text='open the secret door', attempts=2,
                      reason=reason, latency=Latency(total=12.34))


def test_speech_without_an_answer_is_a_warning_with_its_ids(log, caplog):
    log.tell(transcript(TranscriptStatus.REJECTED, reason='no worker took it'))
    assert caplog.messages == [
        'event=transcript stream=hall segment=7 sequence=3 status=rejected attempts=2 '
        'total_ms=12.3 reason="no worker took it"']
    assert caplog.records[0].levelno == logging.WARNING


def test_a_flood_is_told_as_a_number(log, time, caplog):
    for segment in range(1000):
        log.tell(transcript(TranscriptStatus.EXPIRED, segment))
    log.tell(transcript(TranscriptStatus.REJECTED))
    assert len(caplog.messages) == 2
    time[0] += 5.0
    log.tell(transcript(TranscriptStatus.EXPIRED, 1000))
    assert 'segment=1000 ' in caplog.messages[-1]
    assert caplog.messages[-1].endswith('more_like_it=999')


def test_what_was_answered_is_told_at_debug_and_never_what_was_said(log, caplog):
    with caplog.at_level(logging.INFO, NAME):
        log.tell(transcript(TranscriptStatus.DONE))
    assert caplog.messages == []
    with caplog.at_level(logging.DEBUG, NAME):
        log.tell(transcript(TranscriptStatus.DONE))
    assert len(caplog.messages) == 1
    assert 'status=done' in caplog.text
    assert 'secret' not in caplog.text


@pytest.mark.parametrize(('value', 'written'), [
    ('hall', 'hall'), ('', '""'), ('a b', '"a b"'), ('a=b', '"a=b"'), ('a\nb', r'"a\nb"'),
    ('say "x"', r'"say \"x\""'), ('走', r'"\u8d70"'), (7, '7'), (0.5, '0.5')])
def test_a_value_stays_one_word(value, written):
    assert structured({'key': value}) == f'key={written}'
