"""Maps the records of the core onto messages, and back.

Plain messages are structured NumPy views (see loans.py): write_* fills one in place, read_* makes
a record of it. What is not plain is an ordinary message object.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
from builtin_interfaces.msg import Time

from xlerobot_asr_interfaces import msg
from xlerobot_asr_opt.core import lifecycle
from xlerobot_asr_opt.core.breaker import State
from xlerobot_asr_opt.core.managed_node import Heartbeat
from xlerobot_asr_opt.core.message_rules import recognition_fault, ticket_fault, worker_fault
from xlerobot_asr_opt.errors import MessageError
from xlerobot_asr_opt.records import (
    Acknowledgement,
    Chunk,
    Degradation,
    DegradationLevel,
    Fault,
    Flag,
    Grant,
    Recognition,
    RecognitionStatus,
    StreamState,
    StreamStatus,
    Ticket,
    Transcript,
    TranscriptStatus,
    Word,
    WorkerStatus,
)
from xlerobot_asr_opt.sources.messages import NANOSECONDS, known, nanoseconds, read_transcript

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xlerobot_asr_opt.backends.link import LinkStatistics
    from xlerobot_asr_opt.core.dispatch import DispatchStatistics

__all__ = [
    'known', 'level_message', 'nanoseconds', 'read_acknowledgement', 'read_grant',
    'read_heartbeat', 'read_level', 'read_recognition', 'read_status', 'read_text', 'read_ticket',
    'read_transcript', 'read_worker',
    'recognition_message', 'states_message', 'time_message', 'transcript_message',
    'write_acknowledgement', 'write_chunk', 'write_grant', 'write_scheduler', 'write_status',
    'write_text', 'write_ticket', 'write_time', 'write_worker',
]

Record = TypeVar('Record')

View = npt.NDArray[Any]
"""A structured array of no dimension over one plain message."""

COUNTERS = ('chunks', 'missing', 'duplicated', 'refused', 'clipped', 'clicks', 'dropped',
            'segments', 'kept', 'muted')
"""Fields of StreamStatus that count."""
BREAKER_STATES = {
    State.CLOSED: msg.BackendState.STATE_CLOSED,
    State.OPEN: msg.BackendState.STATE_OPEN,
    State.HALF_OPEN: msg.BackendState.STATE_HALF_OPEN,
}


def read_text(field: npt.NDArray[np.uint8]) -> str:
    """Return a name that a fixed field holds as UTF-8 padded with zeros."""
    return field.tobytes().split(b'\0', 1)[0].decode(errors='replace')


def write_text(field: npt.NDArray[np.uint8], text: str) -> None:
    """Write a name into a fixed field as UTF-8 padded with zeros.

    Raises:
        ValueError: the name is longer than the field, less one.
    """
    encoded = text.encode()
    if len(encoded) >= field.size:
        raise ValueError(
            f'got the name {text!r} of {len(encoded)} bytes, expected at most {field.size - 1}')
    field[:len(encoded)] = np.frombuffer(encoded, np.uint8)
    field[len(encoded):] = 0


def read_time(field: View) -> int:
    """Return nanoseconds of a builtin_interfaces/Time field."""
    return int(field['sec']) * NANOSECONDS + int(field['nanosec'])


def write_time(field: View, time_ns: int) -> None:
    """Write nanoseconds into a builtin_interfaces/Time field."""
    field['sec'], field['nanosec'] = divmod(time_ns, NANOSECONDS)


def time_message(time_ns: int) -> Time:
    """Return nanoseconds as a message."""
    sec, nanosec = divmod(time_ns, NANOSECONDS)
    return Time(sec=sec, nanosec=nanosec)


def write_chunk(view: View, chunk: Chunk) -> None:
    """Fill an AudioChunk."""
    write_text(view['stream'], chunk.stream)
    write_time(view['stamp'], chunk.stamp_ns)
    view['sequence'] = chunk.sequence
    view['rate'] = chunk.rate
    view['channels'] = chunk.channels
    view['length'] = chunk.samples.size
    view['samples'][:chunk.samples.size] = chunk.samples


def _believed(record: Record, fault: str) -> Record:
    if fault:
        raise MessageError(fault)
    return record


def read_ticket(view: View) -> Ticket:
    """Return a SpeechTicket.

    Raises:
        MessageError: it does not keep core/message_rules.py.
    """
    ticket = Ticket(
        segment=int(view['segment']), stream=read_text(view['stream']),
        sequence=int(view['sequence']), oldest_kept=int(view['oldest_kept']),
        begin_ns=read_time(view['begin']), length=int(view['length']),
        digest=view['digest'].tobytes(), language=read_text(view['language']),
        priority=int(view['priority']), flags=Flag(int(view['flags'])),
        missing_chunks=int(view['missing_chunks']), budget_s=float(view['budget']),
        ingest_latency_ms=float(view['ingest_latency']))
    return _believed(ticket, ticket_fault(ticket))


def write_ticket(view: View, ticket: Ticket) -> None:
    """Fill a SpeechTicket."""
    view['segment'] = ticket.segment
    write_text(view['stream'], ticket.stream)
    view['sequence'] = ticket.sequence
    view['oldest_kept'] = ticket.oldest_kept
    write_time(view['begin'], ticket.begin_ns)
    view['length'] = ticket.length
    view['digest'] = np.frombuffer(ticket.digest, np.uint8)
    write_text(view['language'], ticket.language)
    view['priority'] = ticket.priority
    view['flags'] = int(ticket.flags)
    view['missing_chunks'] = ticket.missing_chunks
    view['budget'] = ticket.budget_s
    view['ingest_latency'] = ticket.ingest_latency_ms


def read_grant(view: View) -> Grant:
    """Return a Grant."""
    return Grant(
        segment=int(view['segment']), attempt=int(view['attempt']),
        worker=read_text(view['worker']))


def write_grant(view: View, grant: Grant) -> None:
    """Fill a Grant."""
    view['segment'] = grant.segment
    view['attempt'] = grant.attempt
    write_text(view['worker'], grant.worker)


def read_acknowledgement(view: View) -> Acknowledgement:
    """Return an Acknowledgement.

    Raises:
        MessageError: its outcome is none.
    """
    return Acknowledgement(
        segment=int(view['segment']), outcome=known(TranscriptStatus, int(view['outcome'])))


def write_acknowledgement(view: View, acknowledgement: Acknowledgement) -> None:
    """Fill an Acknowledgement."""
    view['segment'] = acknowledgement.segment
    view['outcome'] = int(acknowledgement.outcome)


def read_heartbeat(message: msg.Heartbeat) -> Heartbeat:
    """Return a Heartbeat of a message object: its few readers subscribe without a loan."""
    return Heartbeat(
        node=read_text(message.node), incarnation=message.incarnation, pid=message.pid,
        state=known(lifecycle.State, message.state), progress=message.progress,
        working=message.working)


def read_worker(view: View) -> WorkerStatus:
    """Return a WorkerStatus.

    Raises:
        MessageError: it does not keep core/message_rules.py.
    """
    status = WorkerStatus(
        worker=read_text(view['worker']), incarnation=int(view['incarnation']),
        active=bool(view['active']), capacity=int(view['capacity']),
        longest=int(view['longest']), recogniser=view['recogniser'].tobytes())
    return _believed(status, worker_fault(status))


def write_worker(view: View, status: WorkerStatus) -> None:
    """Fill a WorkerStatus."""
    write_text(view['worker'], status.worker)
    view['incarnation'] = status.incarnation
    view['active'] = status.active
    view['capacity'] = status.capacity
    view['longest'] = status.longest
    view['recogniser'] = np.frombuffer(status.recogniser, np.uint8)


def states_message(worker: str, backends: Sequence[LinkStatistics]) -> msg.BackendStates:
    """Return the state of a worker's backends as a message."""
    return msg.BackendStates(worker=worker, backends=[
        msg.BackendState(
            backend=link.backend, state=BREAKER_STATES[link.breaker.state],
            forced=link.breaker.forced, loaded=link.loaded, busy=link.busy,
            reason=link.breaker.reason, good=link.breaker.good,
            failures=sum(link.breaker.faults.values()), opened=link.breaker.opened,
            abandoned=link.abandoned)
        for link in backends])


def write_status(view: View, status: StreamStatus) -> None:
    """Fill a StreamStatus."""
    write_time(view['stamp'], status.stamp_ns)
    write_text(view['stream'], status.stream)
    view['state'] = int(status.state)
    view['level'] = status.level_dbfs
    view['position'] = status.position_s
    view['duration'] = status.duration_s
    view['speaking'] = status.speaking_s
    view['faults'] = int(status.faults)
    for counter in COUNTERS:
        view[counter] = getattr(status, counter)


def write_scheduler(
    view: View, incarnation: int, active: bool, statistics: DispatchStatistics,
) -> None:
    """Fill a SchedulerStatus."""
    view['incarnation'] = incarnation
    view['active'] = active
    for field in dataclasses.fields(statistics):
        view[field.name] = getattr(statistics, field.name)


def word_message(word: Word) -> msg.Word:
    """Return a word as a message."""
    return msg.Word(
        text=word.text, begin=word.begin_s, end=word.end_s, confidence=word.confidence)


def recognition_message(recognition: Recognition) -> msg.Recognition:
    """Return a recognition as a message."""
    return msg.Recognition(
        segment=recognition.segment, attempt=recognition.attempt, worker=recognition.worker,
        status=int(recognition.status), text=recognition.text, language=recognition.language,
        confidence=recognition.confidence, words=[word_message(w) for w in recognition.words],
        emotion=recognition.emotion, event=recognition.event, backend=recognition.backend,
        reason=recognition.reason, wait=recognition.wait_ms,
        features=recognition.features_ms, encode=recognition.encode_ms,
        decode=recognition.decode_ms, worker_time=recognition.worker_ms,
        recogniser=np.frombuffer(recognition.recogniser, np.uint8))


def read_recognition(message: msg.Recognition) -> Recognition:
    """Return the record of a Recognition message.

    Raises:
        MessageError: it does not keep core/message_rules.py.
    """
    recognition = Recognition(
        segment=message.segment, attempt=message.attempt, worker=message.worker,
        status=known(RecognitionStatus, message.status), text=message.text,
        language=message.language, confidence=message.confidence,
        words=tuple(Word(w.text, w.begin, w.end, w.confidence) for w in message.words),
        emotion=message.emotion, event=message.event,
        backend=message.backend, reason=message.reason, wait_ms=message.wait,
        features_ms=message.features, encode_ms=message.encode, decode_ms=message.decode,
        worker_ms=message.worker_time, recogniser=message.recogniser.tobytes())
    return _believed(recognition, recognition_fault(recognition))


def transcript_message(transcript: Transcript) -> msg.Transcript:
    """Return a transcript as a message."""
    message = msg.Transcript(
        stream=transcript.stream, segment=transcript.segment, sequence=transcript.sequence,
        status=int(transcript.status), text=transcript.text, language=transcript.language,
        confidence=transcript.confidence, begin=time_message(transcript.begin_ns),
        end=time_message(transcript.end_ns), words=[word_message(w) for w in transcript.words],
        emotion=transcript.emotion, event=transcript.event,
        flags=int(transcript.flags), worker=transcript.worker, backend=transcript.backend,
        reason=transcript.reason, cache=transcript.cache, attempts=transcript.attempts,
        missing_chunks=transcript.missing_chunks,
        latency=msg.Latency(**vars(transcript.latency)))
    message.header.stamp = message.begin
    message.header.frame_id = transcript.stream
    return message


def read_status(message: msg.StreamStatus) -> StreamStatus:
    """Return the record of a StreamStatus message."""
    return StreamStatus(
        stream=read_text(message.stream), state=known(StreamState, message.state),
        stamp_ns=nanoseconds(message.stamp), level_dbfs=message.level,
        position_s=message.position, duration_s=message.duration, speaking_s=message.speaking,
        faults=Fault(message.faults),
        **{counter: getattr(message, counter) for counter in COUNTERS})


def level_message(degradation: Degradation, stamp: Time) -> msg.DegradationLevel:
    """Return a level of degradation as a message."""
    return msg.DegradationLevel(
        stamp=stamp, level=int(degradation.level), name=degradation.level.word,
        reason=degradation.reason, since=time_message(degradation.since_ns),
        forced=degradation.forced, best=int(degradation.best), pressure=degradation.pressure)


def read_level(message: msg.DegradationLevel) -> Degradation:
    """Return the record of a DegradationLevel message."""
    return Degradation(
        level=known(DegradationLevel, message.level), reason=message.reason, forced=message.forced,
        best=known(DegradationLevel, message.best), pressure=message.pressure,
        since_ns=nanoseconds(message.since))
