"""What becomes of a segment, and the transcript that says so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xlerobot_asr_opt.records import (
    Latency,
    Recognition,
    RecognitionStatus,
    Transcript,
    TranscriptStatus,
)

if TYPE_CHECKING:
    from xlerobot_asr_opt.records import Ticket

__all__ = ['ANSWERED', 'Outcome', 'answered', 'expired', 'refused', 'transcript']

ANSWERED = {
    RecognitionStatus.DONE: TranscriptStatus.DONE,
    RecognitionStatus.NO_SPEECH: TranscriptStatus.NO_SPEECH,
}
"""The recognitions that answer a segment, and what becomes of it."""

NO_ANSWER = Recognition(segment=0, attempt=0, worker='', status=RecognitionStatus.FAILED)
"""Stands for the recognition where there is none: no text, no worker."""


@dataclass(frozen=True)
class Outcome:
    """What became of one segment; its transcript is made when its turn in the stream comes.

    Attributes:
        status: as it was decided; a budget that runs out before the turn makes it EXPIRED.
        reason: why there is no text.
        recognition: the answer, from a worker or the cache.
        cache: Transcript.cache.
        attempts: grants that it took.
        stages: where the time went until it was decided; ingest and total are not in it [ms].
    """

    status: TranscriptStatus
    reason: str = ''
    recognition: Recognition | None = None
    cache: str = 'none'
    attempts: int = 0
    stages: Latency = field(default_factory=Latency)

    @property
    def has_answer(self) -> bool:
        """Whether it came from a recognition."""
        return self.recognition is not None


def answered(recognition: Recognition, cache: str, attempts: int, stages: Latency) -> Outcome:
    """A recogniser, now or at an earlier time, said what was spoken."""
    return Outcome(ANSWERED[recognition.status], recognition.reason, recognition,
                   cache, attempts, stages)


def refused(reason: str, attempts: int = 0) -> Outcome:
    """It is not, or cannot be, recognised."""
    return Outcome(TranscriptStatus.REJECTED, reason, attempts=attempts)


def expired(ticket: Ticket, attempts: int = 0) -> Outcome:
    """It took too long."""
    return Outcome(TranscriptStatus.EXPIRED, f'its budget of {ticket.budget_s:g} s ran out',
                   attempts=attempts)


def transcript(ticket: Ticket, outcome: Outcome, total_ms: float) -> Transcript:
    """Write the transcript of one segment.

    Args:
        ticket: as it was announced.
        outcome: what became of it.
        total_ms: last chunk received to now [ms].
    """
    stages = outcome.stages
    latency = Latency(
        ingest=ticket.ingest_latency_ms, cache=stages.cache, queue=stages.queue,
        transport=stages.transport, wait=stages.wait, features=stages.features,
        encode=stages.encode, decode=stages.decode, ahead=stages.ahead, total=total_ms)
    said = outcome.recognition or NO_ANSWER
    return Transcript(
        segment=ticket.segment, stream=ticket.stream, sequence=ticket.sequence,
        status=outcome.status, begin_ns=ticket.begin_ns, end_ns=ticket.end_ns,
        flags=ticket.flags, missing_chunks=ticket.missing_chunks,
        reason=outcome.reason, cache=outcome.cache, attempts=outcome.attempts, latency=latency,
        text=said.text, language=said.language, confidence=said.confidence, words=said.words,
        emotion=said.emotion, event=said.event, worker=said.worker, backend=said.backend)
