"""Log lines about what became of segments: keys and values, and not too many of them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from xlerobot_asr_opt.records import Transcript, TranscriptStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ['OutcomeLog', 'structured']

INTERVAL_S = 5.0
"""Time between two warnings about the same status [s]."""
LOST = (TranscriptStatus.REJECTED, TranscriptStatus.EXPIRED)

logger = logging.getLogger(__name__)


class OutcomeLog:
    """Logs every transcript at DEBUG, and those of speech without an answer as warnings.

    What was said is not logged. A flood of warnings is told as a number in the next one.

    Args:
        clock: monotonic time [s].
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._told: dict[TranscriptStatus, float] = {}
        self._left_out: dict[TranscriptStatus, int] = {}

    def tell(self, transcript: Transcript) -> None:
        """Log what became of one segment."""
        status = transcript.status
        if status not in LOST:
            if logger.isEnabledFor(logging.DEBUG):
                logger.debug(structured(_fields(transcript)))
            return
        now = self._clock()
        if now - self._told.get(status, -INTERVAL_S) < INTERVAL_S:
            self._left_out[status] = self._left_out.get(status, 0) + 1
            return
        self._told[status] = now
        left_out = self._left_out.pop(status, 0)
        logger.warning(structured(
            _fields(transcript) | ({'more_like_it': left_out} if left_out else {})))


def structured(fields: Mapping[str, object]) -> str:
    """Write key=value pairs; a string that is more than a word is quoted as in JSON."""
    return ' '.join(f'{key}={_word(value)}' for key, value in fields.items())


def _fields(transcript: Transcript) -> dict[str, object]:
    fields: dict[str, object] = {
        'event': 'transcript', 'stream': transcript.stream, 'segment': transcript.segment,
        'sequence': transcript.sequence, 'status': transcript.status.name.lower(),
        'attempts': transcript.attempts, 'total_ms': round(transcript.latency.total, 1)}
    for name in ('worker', 'backend', 'reason'):
        if value := getattr(transcript, name):
            fields[name] = value
    return fields


def _word(value: object) -> str:
    text = str(value)
    plain = text.isascii() and text.isprintable() and not set(text) & set(' ="\\')
    return text if text and plain else json.dumps(text)
