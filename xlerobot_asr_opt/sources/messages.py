"""Reads messages that are not plain, whoever deserialised them: ROS, or the reader of a bag."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any, TypeVar

from xlerobot_asr_opt.errors import MessageError
from xlerobot_asr_opt.records import Flag, Latency, Transcript, TranscriptStatus, Word

__all__ = ['NANOSECONDS', 'known', 'nanoseconds', 'read_transcript']

Number = TypeVar('Number', bound=enum.IntEnum)

NANOSECONDS = 1_000_000_000
STAGES = tuple(field.name for field in dataclasses.fields(Latency))
"""Fields of Latency."""


def nanoseconds(stamp: Any) -> int:
    """Return a builtin_interfaces/Time as nanoseconds."""
    return int(stamp.sec * NANOSECONDS + stamp.nanosec)


def known(kind: type[Number], value: int) -> Number:
    """Return the member of an enumeration that a field names.

    Raises:
        MessageError: there is none of this number.
    """
    try:
        return kind(value)
    except ValueError:
        raise MessageError(
            f'got the {kind.__name__} {value}, expected one of {[int(one) for one in kind]}'
        ) from None


def read_transcript(message: Any) -> Transcript:
    """Return the record of a Transcript message.

    Raises:
        MessageError: its status is none.
    """
    return Transcript(
        segment=message.segment, stream=message.stream, sequence=message.sequence,
        status=known(TranscriptStatus, message.status), begin_ns=nanoseconds(message.begin),
        end_ns=nanoseconds(message.end), text=message.text, language=message.language,
        confidence=message.confidence,
        words=tuple(Word(w.text, w.begin, w.end, w.confidence) for w in message.words),
        emotion=message.emotion, event=message.event,
        flags=Flag(message.flags), worker=message.worker, backend=message.backend,
        reason=message.reason, cache=message.cache, attempts=message.attempts,
        missing_chunks=message.missing_chunks,
        latency=Latency(**{stage: getattr(message.latency, stage) for stage in STAGES}))
