"""How transcripts are written: lines for people, JSON for programs."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from typing import TYPE_CHECKING, Any

from xlerobot_asr_opt.errors import SourceError
from xlerobot_asr_opt.records import TranscriptStatus

if TYPE_CHECKING:
    from pathlib import Path

    from xlerobot_asr_opt.records import Transcript

__all__ = ['as_dictionary', 'as_line', 'clock', 'complain', 'show', 'write_text']


def clock(seconds: float) -> str:
    """Write a time as mm:ss.mmm."""
    milliseconds = round(seconds * 1000)
    return f'{milliseconds // 60_000:02}:{milliseconds % 60_000 / 1000:06.3f}'


def as_line(transcript: Transcript, origin_ns: int) -> str:
    """One utterance for people: begin, end, text; times from origin_ns."""
    begin, end = _times(transcript, origin_ns)
    return f'{clock(begin)}  {clock(end)}  {transcript.text}'


def as_dictionary(transcript: Transcript, origin_ns: int, file: str) -> dict[str, Any]:
    """One utterance for programs: times from origin_ns in seconds, latencies in milliseconds."""
    begin, end = _times(transcript, origin_ns)
    return {
        'file': file,
        'stream': transcript.stream,
        'begin': begin,
        'end': end,
        'text': transcript.text,
        'language': transcript.language,
        'confidence': _number(transcript.confidence),
        'emotion': transcript.emotion,
        'event': transcript.event,
        'backend': transcript.backend,
        'latencies': {
            name: _number(value)
            for name, value in dataclasses.asdict(transcript.latency).items()},
    }


def show(transcript: Transcript, origin_ns: int, file: str, *, as_json: bool) -> bool:
    """Write one transcript.

    What was said goes to standard output; a segment that could not be recognised goes to standard
    error, with its reason; silence is not shown.

    Returns:
        Whether the segment was dealt with.
    """
    if transcript.status is TranscriptStatus.NO_SPEECH:
        return True
    if transcript.status is not TranscriptStatus.DONE:
        begin, end = _times(transcript, origin_ns)
        complain(f'{file}: {clock(begin)} to {clock(end)} '
                 f'{transcript.status.name.lower()}: {transcript.reason or "no reason given"}')
        return False
    if as_json:
        text = json.dumps(as_dictionary(transcript, origin_ns, file), ensure_ascii=False)
    else:
        text = as_line(transcript, origin_ns)
    print(text, flush=True)
    return True


def complain(text: str) -> None:
    """Write one line to standard error."""
    print(text, file=sys.stderr, flush=True)


def write_text(path: Path, text: str) -> None:
    """Write a file, and say so.

    Raises:
        SourceError: it cannot be written.
    """
    try:
        path.write_text(text, 'utf-8')
    except OSError as error:
        raise SourceError(f'{path}: cannot be written: {error.strerror}') from error
    complain(f'{path}: written')


def _times(transcript: Transcript, origin_ns: int) -> tuple[float, float]:
    """Begin and end in seconds, to the millisecond."""
    return (round((transcript.begin_ns - origin_ns) / 1e9, 3),
            round((transcript.end_ns - origin_ns) / 1e9, 3))


def _number(value: float) -> float | None:
    """A number of four decimals for JSON, which knows no NaN."""
    return round(value, 4) if math.isfinite(value) else None
