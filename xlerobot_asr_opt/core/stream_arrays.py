"""What all streams keep together: one row of every array for each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.core.clocks import NS, Clocks
from xlerobot_asr_opt.core.hearing import Hearing
from xlerobot_asr_opt.core.meters import Meters
from xlerobot_asr_opt.core.segmenter import Cutting, Event
from xlerobot_asr_opt.core.vad import SpeechDetector
from xlerobot_asr_opt.records import CHUNK_CAPACITY, SAMPLE_RATE, Chunks

__all__ = ['Followed', 'StreamArrays']

Integers = npt.NDArray[np.int64]


class Followed(NamedTuple):
    """What came of chunks that follow.

    Attributes:
        events: rows and their events, of those streams that have some.
        remarks: rows and what should be told of them to a person.
    """

    events: list[tuple[int, list[Event]]]
    remarks: list[tuple[int, str]]


class StreamArrays:
    """The state of a number of streams, each at its row.

    Attributes:
        clocks: their place in sequence and time.
        meters: of what they brought.
        hearing: who speaks.
        running: bool[rows], whether a stretch runs.
        frames: int64[rows], of the running stretch, at the stream's own rate.
        origin_ns: int64[rows], ROS time of sample 0 of the running stretch [ns].
        chunks: int64[rows], that came in.
        heard_at: float64[rows], clock's time of the newest valid chunk [s].
        received_at: float64[rows], of the newest chunk, a refused one included [s].
    """

    def __init__(
        self, rows: int, cutting: Cutting, detector: SpeechDetector, silence_warning_s: float,
        gate_db: float,
    ) -> None:
        """Make room for so many streams; see Ingest for the other arguments."""
        self.clocks = Clocks(rows)
        self.meters = Meters(rows, silence_warning_s)
        self.hearing = Hearing(rows, cutting, detector, gate_db)
        self.running = np.zeros(rows, np.bool_)
        self.frames = np.zeros(rows, np.int64)
        self.origin_ns = np.zeros(rows, np.int64)
        self.chunks = np.zeros(rows, np.int64)
        self.heard_at = np.zeros(rows)
        self.received_at = np.zeros(rows)

    def begin(self, row: int, now: float) -> None:
        """Begin another stream at a row."""
        self.meters.begin(row)
        self.hearing.begin(row)
        self.running[row] = False
        self.chunks[row] = 0
        self.heard_at[row] = self.received_at[row] = now

    def begin_stretch(self, row: int) -> None:
        """Begin a piece of a stream without a break."""
        self.hearing.begin(row)
        self.running[row] = True
        self.frames[row] = 0

    def receive(self, rows: Integers, now: float) -> None:
        """Count a valid chunk of each row."""
        self.chunks[rows] += 1
        self.heard_at[rows] = self.received_at[rows] = now

    def follows(
        self, rows: Integers, chunks: Chunks, which: Integers,
    ) -> npt.NDArray[np.bool_]:
        """Tell which chunks need nobody's judgement: valid, 16 kHz mono, the next of their stream.

        Args:
            rows: int64[n] of their streams.
            chunks: CHUNK[n].
            which: int64[m], places of those that are asked for, no two of one stream.

        Returns:
            bool[m].
        """
        length = chunks['length']
        valid = ((chunks['rate'] == SAMPLE_RATE) & (chunks['channels'] == 1) & (length >= 1)
                 & (length <= CHUNK_CAPACITY) & (chunks['stamp']['sec'] >= 0))[which]
        rows = rows[which]
        follows: npt.NDArray[np.bool_] = valid & self.running[rows] & self.clocks.follow(
            rows, chunks['sequence'][which], _stamps_ns(chunks)[which])
        return follows

    def follow(self, rows: Integers, chunks: Chunks, now: float) -> Followed:
        """Hear chunks that follow, CHUNK[n] of int64[n] rows, at the clock's time now [s]."""
        lengths = chunks['length'].astype(np.int64)
        samples = chunks['samples']
        if lengths.min() < CHUNK_CAPACITY:
            samples = np.where(np.arange(CHUNK_CAPACITY) < lengths[:, None], samples, 0)
        self.receive(rows, now)
        time_ns = self.clocks.take(rows, chunks['sequence'], _stamps_ns(chunks), lengths)
        remarks = self.meters.read(rows, samples, lengths, lengths / SAMPLE_RATE)
        self.origin_ns[rows] = time_ns - self.frames[rows] * NS // SAMPLE_RATE
        self.frames[rows] += lengths
        return Followed(self.hearing.push(rows, samples, lengths), remarks)


def _stamps_ns(chunks: Chunks) -> Integers:
    stamps_ns: Integers = (
        chunks['stamp']['sec'].astype(np.int64) * NS + chunks['stamp']['nanosec'])
    return stamps_ns
