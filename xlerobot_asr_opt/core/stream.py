"""One stream of audio: from chunks, in whatever state they come, to tickets."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.core.audio import Resampler, count_clipped, is_silent, level_dbfs, peak
from xlerobot_asr_opt.core.chunk_rules import fault
from xlerobot_asr_opt.core.continuity import Arrival, Continuity, Link
from xlerobot_asr_opt.core.segment_store import SegmentStore
from xlerobot_asr_opt.core.segment_writer import Request, SegmentWriter
from xlerobot_asr_opt.core.segmenter import Cutting, Segmenter
from xlerobot_asr_opt.core.vad import SpeechDetector
from xlerobot_asr_opt.records import SAMPLE_RATE, Chunk, StreamState, StreamStatus, Ticket

__all__ = ['Source', 'Stream']

_NS = 1_000_000_000
_FULL = 32767
"""A chunk whose peak is below this has no clipped sample."""
_CLIPPING_PAUSE_S = 10.0
"""Clipping is told once in this much audio."""


@dataclass(frozen=True)
class Source:
    """What is known of a stream before its first chunk.

    Attributes:
        stream: its name.
        request: for its tickets.
        duration_s: its length [s]; 0: not known.
        owned: somebody says when it ends; otherwise its chunks simply stop to come.
    """

    stream: str
    request: Request
    duration_s: float = 0.0
    owned: bool = False


class Stream:
    """Hears one stream. Its state tells whether somebody speaks, or whether it has ended.

    Attributes:
        source: what it was opened as.
        state: as in StreamStatus.
        heard_at: clock's time of the newest valid chunk [s].
        received_at: clock's time of the newest chunk, a refused one included [s].
        remarks: what should be told to a person, in words; the reader empties it.
    """

    def __init__(
        self, source: Source, cutting: Cutting, detector: SpeechDetector, store: SegmentStore,
        silence_warning_s: float, clock: Callable[[], float],
    ) -> None:
        """Begin to hear; see Ingest for the arguments."""
        self.source = source
        self.state = StreamState.WAITING
        self.heard_at = self.received_at = clock()
        self.remarks: list[str] = []
        self._cutting = cutting
        self._detector = detector
        self._silence_warning_s = silence_warning_s
        self._clock = clock
        self._continuity = Continuity()
        self._writer = SegmentWriter(
            source.stream, store, source.request, lambda: (clock() - self.heard_at) * 1e3)
        self._stretch: _Stretch | None = None
        self._chunks = 0
        self._refused = 0
        self._meter = _Meter(silence_warning_s)

    @property
    def idle(self) -> bool:
        """Whether nothing is under way that would need an end."""
        return self._stretch is None and not self._continuity.holding

    @property
    def preview(self) -> Ticket | None:
        """Foretells the segment that there will be if the newest pause is its end."""
        return self._writer.preview

    @property
    def dropped(self) -> int:
        """How many of its utterances were lost, in whole or in part, as the store had no room."""
        return self._writer.dropped

    @property
    def ended(self) -> bool:
        """Whether nothing more is expected."""
        return self.state in (StreamState.ENDED, StreamState.FAILED)

    def take(self, chunk: Chunk) -> list[Ticket]:
        """Hear the next chunk; what is not valid is refused, counted and told."""
        wrong = fault(chunk)
        if wrong:
            self.refuse(f'chunk {chunk.sequence} refused: {wrong}')
            return []
        self.heard_at = self.received_at = self._clock()
        self._chunks += 1
        tickets = self._hear(self._continuity.sort(chunk))
        self._settle()
        return tickets

    def refuse(self, wrong: str) -> None:
        """Count a chunk that could not even be read, and tell what is wrong with it."""
        self.received_at = self._clock()
        self._chunks += 1
        self._refused += 1
        self.remarks.append(wrong)

    def pause(self) -> list[Ticket]:
        """End the speech that runs: no chunk has come for too long."""
        tickets = self._hear(self._continuity.flush()) + self._end_stretch()
        self._settle()
        return tickets

    def end(self, state: StreamState) -> list[Ticket]:
        """End the stream, as ENDED or FAILED."""
        tickets = self.pause()
        self.state = state
        return tickets

    def status(self, kept: int) -> StreamStatus:
        """Return what is known; kept: its segments that are not acknowledged."""
        continuity, writer, meter = self._continuity, self._writer, self._meter
        speaking = self._stretch.segmenter.speaking if self._stretch else 0
        return StreamStatus(
            stream=self.source.stream, state=self.state, stamp_ns=continuity.end_ns,
            level_dbfs=meter.level_dbfs, position_s=meter.position_s,
            duration_s=self.source.duration_s, speaking_s=speaking / SAMPLE_RATE,
            chunks=self._chunks, missing=continuity.missing, duplicated=continuity.duplicated,
            refused=self._refused + continuity.refused, clipped=meter.clipped,
            clicks=writer.clicks, dropped=writer.dropped, segments=writer.segments, kept=kept)

    def _hear(self, arrivals: list[Arrival]) -> list[Ticket]:
        return [ticket for arrival in arrivals for ticket in self._hear_one(arrival)]

    def _hear_one(self, arrival: Arrival) -> list[Ticket]:
        chunk = arrival.chunk
        self._meter.read(chunk)
        tickets = []
        if arrival.link in (Link.FIRST, Link.BREAK):
            tickets = self._end_stretch(arrival.missing)
        if self._stretch is None:
            self._stretch = _Stretch(
                chunk.rate, Resampler(chunk.rate, chunk.channels),
                Segmenter(self._cutting, self._detector.track()))
        stretch = self._stretch
        if arrival.fill:
            self._writer.note_hole(stretch.segmenter.position, arrival.missing)
            silence = np.zeros(arrival.fill * chunk.channels, np.int16)
            tickets += self._feed(stretch, silence, arrival.fill)
        self._writer.origin_ns = arrival.time_ns - stretch.frames * _NS // chunk.rate
        return tickets + self._feed(stretch, chunk.samples, chunk.samples.size // chunk.channels)

    def _feed(
        self, stretch: _Stretch, samples: npt.NDArray[np.int16], frames: int,
    ) -> list[Ticket]:
        stretch.frames += frames
        return self._writer.write(stretch.segmenter.push(stretch.resampler.push(samples)))

    def _end_stretch(self, missing: int = 0) -> list[Ticket]:
        """End what runs; chunks that are missing behind it belong to the speech they cut."""
        stretch, self._stretch = self._stretch, None
        if stretch is None:
            return []
        events = stretch.segmenter.push(stretch.resampler.flush())
        if missing:
            self._writer.note_hole(stretch.segmenter.position, missing)
        tickets = self._writer.write(events + stretch.segmenter.finish())
        self._writer.forget_holes()
        return tickets

    def _settle(self) -> None:
        """Note what the newest chunks have changed."""
        speaks = self._stretch is not None and self._stretch.segmenter.speaking
        self.state = StreamState.SPEECH if speaks else StreamState.SILENCE
        for room in (self._continuity, self._writer, self._meter):
            self.remarks += room.remarks
            room.remarks.clear()


@dataclass
class _Stretch:
    """A piece of the stream without a break: one filter's and one detector's memory."""

    rate: int
    resampler: Resampler
    segmenter: Segmenter
    frames: int = 0


class _Meter:
    """Reads level, length, clipping and digital silence off the chunks that are taken."""

    def __init__(self, silence_warning_s: float) -> None:
        self.level_dbfs = -math.inf
        self.position_s = 0.0
        self.clipped = 0
        self.remarks: list[str] = []
        self._silence_warning_s = silence_warning_s
        self._sounded_s = 0.0
        self._silence_told = False
        self._clipping_told_s = -math.inf

    def read(self, chunk: Chunk) -> None:
        """Take the next chunk."""
        self.level_dbfs = level_dbfs(chunk.samples)
        self.position_s += chunk.samples.size / (chunk.rate * chunk.channels)
        loudest = peak(chunk.samples)
        self._watch_silence(loudest)
        clipped = count_clipped(chunk.samples) if loudest >= _FULL else 0
        self.clipped += clipped
        if clipped and self.position_s - self._clipping_told_s >= _CLIPPING_PAUSE_S:
            self._clipping_told_s = self.position_s
            self.remarks.append(
                f'clipping: {clipped} samples of one chunk at full scale; lower the gain')

    def _watch_silence(self, loudest: int) -> None:
        if not is_silent(loudest):
            self._sounded_s = self.position_s
            self._silence_told = False
        elif self.position_s - self._sounded_s >= self._silence_warning_s:
            if not self._silence_told:
                self.remarks.append(
                    f'digitally silent for {self.position_s - self._sounded_s:.0f} s: a muted or '
                    f'unplugged microphone')
            self._silence_told = True
