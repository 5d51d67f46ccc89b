"""What the messages of other nodes must be like to be believed; chunks have rules of their own.

Any process of the ROS domain can publish what it likes, unless SROS2 keeps it out
(docs/security.md). What does not keep these rules is dropped and told, before it reaches anything
that counts, sorts or publishes by it.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from xlerobot_asr_opt.core.clocks import NS
from xlerobot_asr_opt.records import LATEST_NS, LONGEST_NAME
from xlerobot_asr_opt.untrusted import is_unicode

if TYPE_CHECKING:
    from xlerobot_asr_opt.records import Recognition, Ticket, WorkerStatus

__all__ = [
    'LONGEST_SEGMENT', 'LONGEST_TEXT', 'LONGEST_WAIT_S', 'MOST_CAPACITY', 'MOST_WORDS',
    'recognition_fault', 'ticket_fault', 'worker_fault']

LONGEST_SEGMENT = 480_000
"""Samples: SpeechSegment.CAPACITY."""
LONGEST_TEXT = 100_000
"""Characters of all texts of one answer together; 30 s of fast speech have some hundreds."""
MOST_WORDS = 10_000
"""Words, or tokens, of one answer."""
_NODE = re.compile(r'[A-Za-z_][A-Za-z0-9_]*')

MOST_CAPACITY = 1000
"""Segments that one worker may say to hold."""
ROUNDING = 1e-3
"""By which a confidence may be above 1: it is a product of many numbers."""
LONGEST_WAIT_S = 86_400.0
"""A budget, or a latency, of more than a day is none."""


def ticket_fault(ticket: Ticket) -> str:
    """Say what is wrong with a ticket, and what was expected; empty for nothing."""
    if not _is_name(ticket.stream):
        return f'got the stream {ticket.stream!r}, expected a name of printable UTF-8'
    if not 1 <= ticket.length <= LONGEST_SEGMENT:
        return f'got a length of {ticket.length}, expected 1 to {LONGEST_SEGMENT} samples'
    if not 0.0 <= ticket.budget_s <= LONGEST_WAIT_S:
        return f'got a budget of {ticket.budget_s} s, expected 0 to {LONGEST_WAIT_S:g}'
    if not 0.0 <= ticket.ingest_latency_ms <= LONGEST_WAIT_S * 1e3:
        return f'got a latency of {ticket.ingest_latency_ms} ms, expected 0 or more'
    if not 0 <= ticket.begin_ns <= LATEST_NS + NS * LONGEST_WAIT_S:
        return f'got a begin of {ticket.begin_ns} ns, expected one between 1970 and 2037'
    if ticket.language and not ticket.language.isprintable():
        return f'got the language {ticket.language!r}, expected one as in ISO 639-1'
    return ''


def worker_fault(status: WorkerStatus) -> str:
    """Say what is wrong with what a worker tells of itself; empty for nothing."""
    if len(status.worker) > LONGEST_NAME or not _NODE.fullmatch(status.worker):
        return f'got the worker {status.worker!r}, expected the name of a node'
    if status.capacity > MOST_CAPACITY:
        return f'got a capacity of {status.capacity}, expected at most {MOST_CAPACITY}'
    return ''


def recognition_fault(recognition: Recognition) -> str:
    """Say what is wrong with a worker's answer, and what was expected; empty for nothing."""
    texts = (recognition.text, recognition.language, recognition.emotion, recognition.event,
             recognition.backend, recognition.reason, *(word.text for word in recognition.words))
    if sum(map(len, texts)) > LONGEST_TEXT:
        return f'got {sum(map(len, texts))} characters, expected at most {LONGEST_TEXT}'
    if len(recognition.words) > MOST_WORDS:
        return f'got {len(recognition.words)} words, expected at most {MOST_WORDS}'
    if not all(text.isascii() or is_unicode(text) for text in texts):
        return 'got half a surrogate pair, expected Unicode text'
    for confidence in (recognition.confidence, *(word.confidence for word in recognition.words)):
        if not (math.isnan(confidence) or 0.0 <= confidence <= 1.0 + ROUNDING):
            return f'got a confidence of {confidence}, expected 0 to 1, or NaN'
    for word in recognition.words:
        if not (0.0 <= word.begin_s <= LONGEST_WAIT_S and 0.0 <= word.end_s <= LONGEST_WAIT_S):
            return (f'got a word from {word.begin_s} to {word.end_s} s, expected times within the '
                    'segment')
    for ms in (recognition.wait_ms, recognition.features_ms, recognition.encode_ms,
               recognition.decode_ms, recognition.worker_ms):
        if not 0.0 <= ms <= LONGEST_WAIT_S * 1e3:
            return f'got a time of {ms} ms, expected 0 or more'
    return ''


def _is_name(name: str) -> bool:
    """Whether it can be the name of a stream, and was UTF-8."""
    return 1 <= len(name) <= LONGEST_NAME and name.isprintable() and '\ufffd' not in name
