"""Runs as files: what was measured is kept, and read again."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from xlerobot_asr_opt.core.performance_records import RecordedRun, ResourceSample, Utterance
from xlerobot_asr_opt.errors import SourceError
from xlerobot_asr_opt.records import NOT_GIVEN, Flag, Latency, Transcript, TranscriptStatus, Word
from xlerobot_asr_opt.untrusted import parse_json

__all__ = ['read_run', 'write_run']

FORMAT = 'xlerobot-asr run 1'
"""Changes when a file of before cannot be read any more."""


def write_run(path: Path, run: RecordedRun) -> None:
    """Write a run.

    Raises:
        SourceError: the file cannot be written.
    """
    content = {
        'format': FORMAT,
        'processors': run.processors,
        'utterances': [_without_nan(dataclasses.asdict(one)) for one in run.utterances],
        'resources': [dataclasses.asdict(sample) for sample in run.resources],
    }
    try:
        path.write_text(json.dumps(content, ensure_ascii=False, allow_nan=False), 'utf-8')
    except OSError as error:
        raise SourceError(f'{path}: cannot be written: {error.strerror}') from error


def read_run(path: Path) -> RecordedRun:
    """Read a run.

    Raises:
        SourceError: no such file, or not one that write_run() wrote.
    """
    try:
        content = parse_json(path.read_bytes())
        return _run(content)
    except OSError as error:
        raise SourceError(f'{path}: cannot be read: {error.strerror}') from error
    except (KeyError, TypeError, ValueError) as error:
        what = f'no {error}' if isinstance(error, KeyError) else str(error)
        raise SourceError(
            f'{path}: not a recorded run: {what}; expected {FORMAT!r}, a file that `xlerobot-asr '
            'analyze --save FILE` wrote') from error


def _run(content: dict[str, Any]) -> RecordedRun:
    if content['format'] != FORMAT:
        raise ValueError(f'its format is {content["format"]!r}')
    return RecordedRun(
        tuple(_utterance(one) for one in content['utterances']),
        tuple(ResourceSample(**one) for one in content['resources']),
        int(content['processors']))


def _utterance(content: dict[str, Any]) -> Utterance:
    fields = dict(content['transcript'])
    fields.update(
        status=TranscriptStatus(fields['status']), flags=Flag(fields['flags']),
        confidence=_number(fields['confidence']),
        words=tuple(Word(**{**word, 'confidence': _number(word['confidence'])})
                    for word in fields['words']),
        latency=Latency(**{stage: _number(ms) for stage, ms in fields['latency'].items()}))
    return Utterance(Transcript(**fields), int(content['published_ns']))


def _number(value: float | None) -> float:
    return NOT_GIVEN if value is None else float(value)


def _without_nan(value: Any) -> Any:
    """The same with null for what is no number: JSON knows no NaN."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
