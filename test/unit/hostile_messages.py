"""What other nodes may send, as targets: chunks into an ingest, everything into a dispatcher."""

from __future__ import annotations

import itertools
import struct
from pathlib import Path

import numpy as np
from hostile_values import Script, documents
from hypothesis import strategies as st
from scripted_speech import LoudnessDetector

from xlerobot_asr_opt.core.cache_values import from_json, to_json
from xlerobot_asr_opt.core.dispatch import Dispatcher, Publish, Send, Show, Store
from xlerobot_asr_opt.core.ingest import Ingest
from xlerobot_asr_opt.core.message_rules import recognition_fault, ticket_fault, worker_fault
from xlerobot_asr_opt.core.segment_store import SegmentStore
from xlerobot_asr_opt.parameters import IngestParameters, SchedulerParameters
from xlerobot_asr_opt.records import (
    CHUNK,
    Acknowledgement,
    Flag,
    Recognition,
    RecognitionStatus,
    Ticket,
    TranscriptStatus,
    Word,
    WorkerStatus,
)

__all__ = ['MESSAGE_TARGETS']

LONGEST = 2000
"""Bytes of a script: some hundreds of messages."""
STREAMS = (b'hall', b'kitchen', b'', b'\xff\xfe', 'küche'.encode(), b'a\nb', b'x' * 64)
RATES = (16_000, 48_000, 8000, 44_100, 0, 1, 2**32 - 1, 4000, 192_000)
CHANNELS = (1, 2, 6, 0, 3, 65_535, 32)
LENGTHS = (1600, 160, 0, 1, 1601, 65_535, 1599)
STAMPS = (0, 1, 1_700_000_000, -1, 2**31 - 1, -2**31)


def hear_chunks(data: bytes, place: Path) -> None:
    """Chunks of every form, in batches, as a topic brings them, while time passes."""
    script = Script(data[:LONGEST])
    now = itertools.count(0.0, 0.05)
    store = SegmentStore(place / 'a.store', 4 << 20)
    ingest = Ingest(IngestParameters(streams=3, budget=1.0), store, LoudnessDetector(),
                    lambda: next(now))
    tickets = []
    try:
        while script.left:
            some = np.zeros(1 + script.number() % 12, CHUNK)
            for number, row in enumerate(some):
                write_chunk(row, script, number)
            tickets += ingest.accept_all(some)
            tickets += ingest.tick()
            tickets += ingest.previews()
            if script.number() & 1 and tickets:
                ingest.acknowledge(Acknowledgement(
                    tickets[script.number() % len(tickets)].segment, TranscriptStatus.DONE))
        for status in ingest.statuses():
            assert all(0 <= count < 2**64 for count in (
                status.chunks, status.missing, status.refused, status.clipped, status.dropped))
            assert np.float32(status.level_dbfs) <= 1
            assert 0 <= status.stamp_ns // 10**9 < 2**31
        for ticket in tickets:
            assert not ticket_fault(ticket)
        for ticket in ingest.unacknowledged():
            assert ingest.samples(ticket.segment).size == ticket.length
    finally:
        store.close()


def write_chunk(row: np.ndarray, script: Script, number: int) -> None:
    how = script.number()
    name = STREAMS[how % 7 if how < 64 else how & 1][:64]
    row['stream'][:len(name)] = np.frombuffer(name, np.uint8)
    row['stamp']['sec'] = script.pick(STAMPS) if how & 8 else 1_700_000_000
    row['stamp']['nanosec'] = script.number(4) if how & 16 else 0
    row['sequence'] = script.number(8) if how & 32 else script.number() + number
    row['rate'] = script.pick(RATES) if how & 64 else 16_000
    row['channels'] = script.pick(CHANNELS) if how & 128 else 1
    row['length'] = script.pick(LENGTHS)
    # Loud is speech to the detector of tests.
    row['samples'] = (3000, 0, -32_768, 32_767)[script.number() % 4]


FLOATS = (0.0, 1.0, -1.0, 0.5, float('nan'), float('inf'), float('-inf'), 1e-40, 3e38)
WHOLE = (0, 1, 2, 16_000, 480_000, 480_001, 2**31, 2**32 - 1, 2**63, 2**64 - 1)
TEXTS = ('go', '', 'en', '\ufffd', 'x' * 200, '\ud800', 'a\0b', '你好')


def decide(data: bytes, place: Path) -> None:
    """Tickets, workers, answers and cached values in any order, held to the rules of the seam."""
    script = Script(data[:LONGEST])
    now = [1000.0]
    dispatcher = Dispatcher(
        SchedulerParameters(use_cache=bool(script.number() & 1), waiting=20), lambda: now[0])
    told: list[Ticket] = []
    granted = []
    while script.left:
        kind = script.number() % 6
        now[0] += (0.0, 0.01, 0.5, 30.0)[script.number() % 4]
        for action in happen(kind, script, dispatcher, told, granted):
            check(action, granted)
    counts = dispatcher.statistics()
    assert counts.admitted == (counts.done + counts.rejected + counts.expired
                               + counts.cancelled + counts.open)
    assert counts.waiting <= counts.open or not counts.open


def happen(
    kind: int, script: Script, dispatcher: Dispatcher, told: list[Ticket], granted: list,
) -> list:
    if kind in (0, 1, 2):
        make, fault, take = (
            (ticket, ticket_fault, dispatcher.on_ticket),
            (worker, worker_fault, dispatcher.on_worker),
            (lambda given: recognition(given, granted), recognition_fault,
             dispatcher.on_recognition))[kind]
        message = make(script)
        if fault(message):
            return []
        if kind == 0:
            told.append(message)
        return take(message)
    if kind == 3:
        value = script.take(script.number()).decode(errors='replace')
        return dispatcher.on_cache(script.number(), value, 'l1')
    if kind == 4 and told:
        return dispatcher.cancel(told[script.number() % len(told)].segment)
    return dispatcher.on_tick()


def check(action: object, granted: list) -> None:
    """What goes out must fit into a message."""
    if isinstance(action, Send):
        granted.append(action.grant)
        assert 0 <= action.grant.attempt < 2**32
        assert len(action.grant.worker.encode()) < 64
    elif isinstance(action, Store):
        action.value.encode()
        from_json(action.value)
    elif isinstance(action, (Publish, Show)):
        transcript = action.transcript
        for text in (transcript.text, transcript.language, transcript.reason, transcript.stream):
            text.encode()
        for name, ms in vars(transcript.latency).items():
            assert np.isfinite(np.float32(ms)), name
        assert 0 <= transcript.sequence < 2**64
        assert -2**31 <= transcript.end_ns // 10**9 < 2**31


def ticket(script: Script) -> Ticket:
    how = script.number()
    return Ticket(
        segment=script.number() if how & 1 else script.pick(WHOLE),
        stream=('hall', 'kitchen', *TEXTS)[script.number() % 10],
        sequence=script.number() if how & 2 else script.pick(WHOLE),
        oldest_kept=script.number() if how & 4 else script.pick(WHOLE),
        begin_ns=script.pick(STAMPS) * 10**9 + script.number(4),
        length=16_000 if how & 8 else script.pick(WHOLE), digest=script.take(1) * 32,
        language=script.pick(TEXTS) if how & 16 else 'en', priority=script.number(),
        flags=Flag(script.number() if how & 32 else 0), missing_chunks=script.number(4),
        budget_s=script.pick(FLOATS) if how & 64 else 1.0,
        ingest_latency_ms=script.pick(FLOATS) if how & 128 else script.float32())


def worker(script: Script) -> WorkerStatus:
    how = script.number()
    return WorkerStatus(
        worker=('w', 'v', *TEXTS)[script.number() % 10], incarnation=script.number() & 3,
        active=bool(how & 3), capacity=script.pick(WHOLE) if how & 4 else 2,
        longest=script.pick(WHOLE) if how & 8 else 480_000,
        recogniser=bytes(32) if how & 16 else script.take(1) * 32)


def recognition(script: Script, granted: list) -> Recognition:
    how = script.number()
    grant = granted[script.number() % len(granted)] if granted and how & 7 else None
    words = tuple(Word(script.pick(TEXTS), script.pick(FLOATS), script.pick(FLOATS),
                       script.pick(FLOATS)) for _ in range(how >> 6))
    return Recognition(
        segment=grant.segment if grant else script.pick(WHOLE),
        attempt=grant.attempt if grant else script.pick(WHOLE),
        worker=grant.worker if grant else script.pick(TEXTS),
        status=RecognitionStatus(script.number() % 4), text=script.pick(TEXTS), words=words,
        confidence=script.pick(FLOATS), backend='scripted', reason=script.pick(TEXTS),
        wait_ms=script.pick(FLOATS) if how & 8 else 1.0,
        worker_ms=script.pick(FLOATS) if how & 16 else 1.0)


def read_value(data: bytes, place: Path) -> None:
    """A value of the cache: what is believed fits into a message."""
    found = from_json(data.decode(errors='replace'))
    assert not recognition_fault(found)
    from_json(to_json(found))


VALUE = {
    'status': 'DONE', 'text': 'go to the kitchen', 'language': 'en', 'confidence': 0.5,
    'words': [['go', 0.1, 0.2, None], ['to', 0.2, 0.3, 0.5]], 'emotion': '', 'event': '',
    'backend': 'onnxruntime', 'reason': ''}
SPOKEN = b''.join(struct.pack('<B', 11) + struct.pack('<BBBB', 0, at, 0, at // 9 % 2) * 12 + b'\0'
                  for at in range(0, 100, 10))
DECIDED = b'\1' + b''.join((
    b'\1\1\x1b\0\1', b'\0\1\xff\1\0\1\1\2\0\0\0\0\7\0\0\0\0\0\0\0\0\0\0', b'\5\2',
    b'\2\1\1\0\0\0\0\0\0', b'\5\3'))

MESSAGE_TARGETS = (
    ('chunks', (SPOKEN,), st.binary(max_size=600), hear_chunks),
    ('messages', (DECIDED,), st.binary(max_size=800), decide),
    ('value', (str(VALUE).replace("'", '"').replace('None', 'null').encode(),),
     documents(VALUE), read_value),
)
