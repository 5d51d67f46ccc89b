"""What the cache keeps of a recognition, as JSON, and the key under which it lies.

A value comes back from disk, where anybody who is this user may have written: it is JSON, never a
pickle (CVE-2025-69872), and every field is checked.
"""

from __future__ import annotations

import hashlib
import json
import math
from reprlib import repr as short
from typing import Any

from xlerobot_asr_opt.core.message_rules import LONGEST_WAIT_S, recognition_fault
from xlerobot_asr_opt.errors import StoreError
from xlerobot_asr_opt.records import NOT_GIVEN, Recognition, RecognitionStatus, Word
from xlerobot_asr_opt.untrusted import parse_json

__all__ = ['KEY_BYTES', 'cache_key', 'from_json', 'to_json']

KEY_BYTES = 32
"""Length of a key."""

FORMAT = b'xlerobot_asr 2'
"""Part of every key, at most 16 bytes: values of another form are never found."""

KEPT = (RecognitionStatus.DONE, RecognitionStatus.NO_SPEECH)


def cache_key(samples: bytes, recogniser: bytes, language: str) -> bytes:
    """Name one recognition: what was heard, who heard it, in which language.

    Args:
        samples: Ticket.digest, 32 bytes.
        recogniser: WorkerStatus.recogniser, to look one up; Recognition.recogniser, to keep it:
            32 bytes of the model's files and the decoder's settings.
        language: Ticket.language.

    Returns:
        BLAKE2b-256, 32 bytes.
    """
    state = hashlib.blake2b(samples, digest_size=KEY_BYTES, person=FORMAT)
    state.update(recogniser)
    state.update(language.encode())
    return state.digest()


def to_json(recognition: Recognition) -> str:
    """Write down what a worker recognised.

    Args:
        recognition: DONE or NO_SPEECH.

    Returns:
        A JSON object; a confidence that was not given is null.
    """
    return json.dumps({
        'status': recognition.status.name,
        'text': recognition.text,
        'language': recognition.language,
        'confidence': _confidence_out(recognition.confidence),
        'words': [[word.text, word.begin_s, word.end_s, _confidence_out(word.confidence)]
                  for word in recognition.words],
        'emotion': recognition.emotion,
        'event': recognition.event,
        'backend': recognition.backend,
        'reason': recognition.reason,
    }, ensure_ascii=False, allow_nan=False, separators=(',', ':'))


def from_json(value: str) -> Recognition:
    """Read what to_json wrote.

    Returns:
        The recognition, with segment 0, attempt 0 and no worker.

    Raises:
        StoreError: not JSON, a field that is missing, of another type or out of bounds.
    """
    try:
        fields = parse_json(value)
    except ValueError as error:
        raise StoreError(f'cached value: got {value[:40]!r}, expected JSON ({error})') from None
    if not isinstance(fields, dict):
        raise StoreError(f'cached value: got a {type(fields).__name__}, expected an object')
    status = _get(fields, 'status', str)
    if status not in [kept.name for kept in KEPT]:
        raise StoreError(
            f'cached value: got status {short(status)}, expected DONE or NO_SPEECH')
    recognition = Recognition(
        segment=0, attempt=0, worker='',
        status=RecognitionStatus[status],
        text=_get(fields, 'text', str),
        language=_get(fields, 'language', str),
        confidence=_confidence_in(fields.get('confidence')),
        words=tuple(_word(word) for word in _get(fields, 'words', list)),
        emotion=_get(fields, 'emotion', str),
        event=_get(fields, 'event', str),
        backend=_get(fields, 'backend', str),
        reason=_get(fields, 'reason', str),
    )
    fault = recognition_fault(recognition)
    if fault:
        raise StoreError(f'cached value: {fault}')
    return recognition


def _get(fields: dict[str, Any], name: str, kind: type) -> Any:
    value = fields.get(name)
    if not isinstance(value, kind):
        raise StoreError(f'cached value: got {name} {short(value)}, expected a {kind.__name__}')
    return value


def _word(word: Any) -> Word:
    if not isinstance(word, list) or len(word) != 4 or not isinstance(word[0], str):
        raise StoreError(
            f'cached value: got word {short(word)}, expected text, begin, end, confidence')
    return Word(word[0], _seconds(word[1]), _seconds(word[2]), _confidence_in(word[3]))


def _seconds(value: Any) -> float:
    if type(value) not in (int, float) or not 0.0 <= value <= LONGEST_WAIT_S:
        raise StoreError(f'cached value: got time {short(value)}, expected seconds')
    return float(value)


def _confidence_out(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _confidence_in(value: Any) -> float:
    if value is None:
        return NOT_GIVEN
    if type(value) not in (int, float) or not 0.0 <= value <= 1.0:
        raise StoreError(f'cached value: got confidence {short(value)}, expected 0 to 1 or null')
    return float(value)
