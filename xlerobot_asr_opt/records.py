"""The values that pass between rooms: frozen, without behaviour, without ROS.

A point in time is in nanoseconds of ROS time and its name ends in ``_ns``; durations carry their
unit in the name. Samples are int16 mono at SAMPLE_RATE unless a field says otherwise. The wire
forms are in xlerobot_asr_interfaces/msg; ros/conversions.py maps one onto the other.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    'CHANNELS',
    'CHUNK',
    'CHUNK_CAPACITY',
    'LATEST_NS',
    'LONGEST_LANGUAGE',
    'LONGEST_NAME',
    'RATES',
    'SAMPLE_RATE',
    'Acknowledgement',
    'Chunk',
    'Chunks',
    'Degradation',
    'DegradationLevel',
    'Fault',
    'Flag',
    'Grant',
    'Latency',
    'Recognition',
    'RecognitionStatus',
    'StreamState',
    'StreamStatus',
    'Ticket',
    'Transcript',
    'TranscriptStatus',
    'Word',
    'WorkerStatus',
]

SAMPLE_RATE = 16_000
"""Rate of every segment [Hz]."""
RATES = range(4_000, 192_001)
"""Sample rates of chunks that are taken [Hz]."""
CHANNELS = range(1, 33)
"""Channel counts of chunks that are taken."""
CHUNK_CAPACITY = 1600
"""int16 values that one chunk can carry, AudioChunk.CAPACITY."""
LATEST_NS = (2**31 - 366 * 86_400) * 1_000_000_000
"""Stamps are taken up to here [ns]: what follows from them must fit into a message's int32."""
LONGEST_NAME = 63
"""Bytes of UTF-8 in the name of a stream."""
LONGEST_LANGUAGE = 15
"""Bytes of UTF-8 in the language that a ticket asks for."""

NOT_GIVEN = float('nan')
"""A confidence that the model does not give."""


class Flag(enum.IntFlag):
    """Bits of Ticket.flags and Transcript.flags (SpeechTicket.FLAG_*)."""

    NONE = 0
    SPLIT = 1
    """Cut at the longest length, not at a pause: the speech goes on in the next segment."""
    RECOVERED = 2
    """Found in the store after ingest was restarted."""
    INTERRUPTED = 4
    """The stream ended, or ingest died, in mid-speech."""
    PROVISIONAL = 8
    """Of tickets alone: the speaker pauses, and this will be a segment if he does not go on."""
    PARTIAL = 16
    """Beside PROVISIONAL: the speaker goes on, and this is what he has said so far."""


class StreamState(enum.IntEnum):
    """StreamStatus.STATE_*."""

    WAITING = 0
    SILENCE = 1
    SPEECH = 2
    ENDED = 3
    FAILED = 4


class Fault(enum.IntFlag):
    """Bits of StreamStatus.faults (StreamStatus.FAULT_*): what is wrong with a microphone."""

    NONE = 0
    SILENT = 1
    """Digital silence: muted, or unplugged."""
    CLIPPING = 2
    OFFSET = 4
    """The mean of its samples is far from 0."""
    RATE = 8
    """It brings more, or fewer, samples a second than it says."""
    CHANNEL = 16
    """Digital silence on one channel of several."""
    ABSENT = 32
    """It is open, and brings nothing."""


class RecognitionStatus(enum.IntEnum):
    """Recognition.STATUS_*."""

    DONE = 0
    NO_SPEECH = 1
    TORN = 2
    FAILED = 3


class TranscriptStatus(enum.IntEnum):
    """Transcript.STATUS_*, and the outcome of an acknowledgement."""

    DONE = 0
    NO_SPEECH = 1
    REJECTED = 2
    EXPIRED = 3
    CANCELLED = 4


class DegradationLevel(enum.IntEnum):
    """DegradationLevel.LEVEL_*: what answers, and from FINALS on, what is not taken any more."""

    BPU = 0
    CPU = 1
    CPU_SMALL = 2
    FINALS = 3
    COMMANDS = 4
    REFUSE = 5

    @property
    def word(self) -> str:
        """As people read and write it."""
        return self.name.lower()


@dataclass(frozen=True)
class Chunk:
    """A piece of one stream as it came in.

    Attributes:
        stream: name of the stream, 1 to 63 bytes of UTF-8.
        sequence: counts the chunks of the stream without a hole.
        stamp_ns: ROS time of the first sample [ns].
        rate: samples per second and channel [Hz].
        channels: interleaved channels.
        samples: int16[frames * channels], interleaved; may be a view of loaned memory.
    """

    stream: str
    sequence: int
    stamp_ns: int
    rate: int
    channels: int
    samples: npt.NDArray[np.int16]


CHUNK = np.dtype([
    ('stamp', np.dtype([('sec', np.int32), ('nanosec', np.uint32)], align=True)),
    ('stream', np.uint8, (LONGEST_NAME + 1,)), ('sequence', np.uint64), ('rate', np.uint32),
    ('channels', np.uint16), ('length', np.uint16), ('samples', np.int16, (CHUNK_CAPACITY,)),
], align=True)
"""A chunk as AudioChunk.msg lays it out; nothing in it was checked."""
Chunks = npt.NDArray[Any]
"""CHUNK[n]."""


@dataclass(frozen=True)
class Ticket:
    """Announces one segment that ingest keeps; fields as in SpeechTicket.msg."""

    segment: int
    stream: str
    sequence: int
    oldest_kept: int
    begin_ns: int
    length: int
    digest: bytes
    language: str = ''
    priority: int = 0
    flags: Flag = Flag.NONE
    missing_chunks: int = 0
    budget_s: float = 0.0
    ingest_latency_ms: float = 0.0

    @property
    def provisional(self) -> bool:
        """Whether it foretells a segment that nobody has to answer for."""
        return Flag.PROVISIONAL in self.flags

    @property
    def partial(self) -> bool:
        """Whether its text is wanted although its speaker goes on."""
        return Flag.PARTIAL in self.flags

    @property
    def end_ns(self) -> int:
        """ROS time after the last sample [ns]."""
        return self.begin_ns + self.length * 1_000_000_000 // SAMPLE_RATE


@dataclass(frozen=True)
class Grant:
    """Tells ingest to hand one segment to one worker."""

    segment: int
    attempt: int
    worker: str


@dataclass(frozen=True)
class Acknowledgement:
    """Lets ingest drop a segment."""

    segment: int
    outcome: TranscriptStatus


@dataclass(frozen=True)
class WorkerStatus:
    """What a worker can take; fields as in WorkerStatus.msg."""

    worker: str
    incarnation: int
    active: bool
    capacity: int
    longest: int
    recogniser: bytes


@dataclass(frozen=True)
class Word:
    """A word or token; times from the begin of the segment [s]; confidence 0 to 1 or NaN."""

    text: str
    begin_s: float
    end_s: float
    confidence: float = NOT_GIVEN


@dataclass(frozen=True)
class Recognition:
    """A worker's answer to one grant; fields as in Recognition.msg, durations in ms."""

    segment: int
    attempt: int
    worker: str
    status: RecognitionStatus
    text: str = ''
    language: str = ''
    confidence: float = NOT_GIVEN
    words: tuple[Word, ...] = ()
    emotion: str = ''
    event: str = ''
    backend: str = ''
    reason: str = ''
    wait_ms: float = 0.0
    features_ms: float = 0.0
    encode_ms: float = 0.0
    decode_ms: float = 0.0
    worker_ms: float = 0.0
    recogniser: bytes = bytes(32)


@dataclass(frozen=True)
class Latency:
    """Where the time of one transcript went [ms]; fields as in Latency.msg."""

    ingest: float = 0.0
    cache: float = 0.0
    queue: float = 0.0
    transport: float = 0.0
    wait: float = 0.0
    features: float = 0.0
    encode: float = 0.0
    decode: float = 0.0
    ahead: float = 0.0
    total: float = 0.0


@dataclass(frozen=True)
class Transcript:
    """What was said in one segment; fields as in Transcript.msg."""

    segment: int
    stream: str
    sequence: int
    status: TranscriptStatus
    begin_ns: int
    end_ns: int
    text: str = ''
    language: str = ''
    confidence: float = NOT_GIVEN
    words: tuple[Word, ...] = ()
    emotion: str = ''
    event: str = ''
    flags: Flag = Flag.NONE
    worker: str = ''
    backend: str = ''
    reason: str = ''
    cache: str = 'none'
    attempts: int = 0
    missing_chunks: int = 0
    latency: Latency = field(default_factory=Latency)


@dataclass(frozen=True)
class StreamStatus:
    """State of one stream; fields as in StreamStatus.msg. Counters since the stream was opened."""

    stream: str
    state: StreamState
    stamp_ns: int = 0
    level_dbfs: float = float('-inf')
    position_s: float = 0.0
    duration_s: float = 0.0
    speaking_s: float = 0.0
    chunks: int = 0
    missing: int = 0
    duplicated: int = 0
    refused: int = 0
    clipped: int = 0
    clicks: int = 0
    dropped: int = 0
    segments: int = 0
    kept: int = 0
    muted: int = 0
    faults: Fault = Fault.NONE


@dataclass(frozen=True)
class Degradation:
    """At which level the graph is, and why; fields as in DegradationLevel.msg."""

    level: DegradationLevel = DegradationLevel.BPU
    reason: str = ''
    forced: bool = False
    best: DegradationLevel = DegradationLevel.BPU
    pressure: float = 0.0
    since_ns: int = 0
