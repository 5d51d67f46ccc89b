"""Transcripts say what became of a segment, whatever that was."""

from __future__ import annotations

import math

from xlerobot_asr_opt.core.outcomes import answered, expired, refused, transcript
from xlerobot_asr_opt.records import (
    Flag,
    Latency,
    Recognition,
    RecognitionStatus,
    Ticket,
    TranscriptStatus,
    Word,
)

TICKET = Ticket(
    segment=7, stream='kitchen', sequence=3, oldest_kept=2, begin_ns=5_000_000_000, length=8_000,
    digest=b'', language='en', flags=Flag.SPLIT, missing_chunks=2, budget_s=1.5,
    ingest_latency_ms=12.0)


def test_an_answer_is_told_whole():
    words = (Word('Hello.', 0.1, 0.4),)
    recognition = Recognition(
        segment=7, attempt=2, worker='w', status=RecognitionStatus.DONE, text='Hello.',
        language='en', confidence=0.75, words=words, backend='onnxruntime', reason='first choice',
        emotion='happy', event='speech')
    outcome = answered(recognition, 'none', 2, Latency(queue=3.0, decode=4.0))
    told = transcript(TICKET, outcome, 30.0)
    assert (told.segment, told.stream, told.sequence) == (7, 'kitchen', 3)
    assert (told.begin_ns, told.end_ns) == (5_000_000_000, 5_500_000_000)
    assert (told.status, told.text, told.language) == (TranscriptStatus.DONE, 'Hello.', 'en')
    assert (told.confidence, told.words) == (0.75, words)
    assert (told.emotion, told.event) == ('happy', 'speech')
    assert (told.worker, told.backend, told.reason) == ('w', 'onnxruntime', 'first choice')
    assert (told.cache, told.attempts) == ('none', 2)
    assert (told.flags, told.missing_chunks) == (Flag.SPLIT, 2)
    assert told.latency == Latency(ingest=12.0, queue=3.0, decode=4.0, total=30.0)


def test_silence_is_an_answer():
    recognition = Recognition(7, 1, 'w', RecognitionStatus.NO_SPEECH, reason='no-speech 0.9')
    outcome = answered(recognition, 'none', 1, Latency())
    assert outcome.has_answer
    assert transcript(TICKET, outcome, 0.0).status is TranscriptStatus.NO_SPEECH


def test_a_refusal_says_why_and_has_no_text():
    outcome = refused('too many', attempts=3)
    told = transcript(TICKET, outcome, 1.0)
    assert not outcome.has_answer
    assert (told.status, told.reason, told.attempts) == (
        TranscriptStatus.REJECTED, 'too many', 3)
    assert (told.text, told.worker, told.words) == ('', '', ())
    assert math.isnan(told.confidence)


def test_what_expired_names_its_budget():
    told = transcript(TICKET, expired(TICKET, 1), 1.0)
    assert told.status is TranscriptStatus.EXPIRED
    assert 'budget of 1.5 s' in told.reason
    assert told.attempts == 1
