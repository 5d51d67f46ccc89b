"""Carries what the segmenter says about one stream into the segment store."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.core.segment_store import OpenSegment, SegmentStore
from xlerobot_asr_opt.core.segmenter import Audio, Begin, Click, End, Event, Pause, Split
from xlerobot_asr_opt.errors import StoreFullError
from xlerobot_asr_opt.records import SAMPLE_RATE, Flag, Ticket

__all__ = ['Request', 'SegmentWriter']

_NS = 1_000_000_000


class Request(NamedTuple):
    """What the tickets of a stream ask for; fields as in SpeechTicket.msg."""

    language: str = ''
    priority: int = 0
    budget_s: float = 0.0


class SegmentWriter:
    """Writes the segments of one stream while they are spoken.

    Attributes:
        origin_ns: ROS time of sample 0 of the running stretch [ns]; whoever feeds sets it.
        segments: how many were sealed.
        clicks: how many were too short to be speech.
        dropped: how many were lost, in whole or in part, because the store was full.
        preview: the newest provisional ticket of the segment that is written: as it is if the
            newest pause is its end, or as it is so far, for a partial text; None: there is none.
        partials: samples after which what is written is shown, again and again; 0: never.
        remarks: what should be told to a person, in words; the reader empties it.
    """

    def __init__(
        self, stream: str, store: SegmentStore, request: Request, latency_ms: Callable[[], float],
        partials: int = 0,
    ) -> None:
        """Write into store.

        Args:
            stream: its name.
            store: where the samples go.
            request: for the tickets.
            latency_ms: tells how long ago the newest chunk was received [ms].
            partials: samples after which what is written is shown, again and again; 0: never.
        """
        self.origin_ns = 0
        self.segments = 0
        self.clicks = 0
        self.dropped = 0
        self.preview: Ticket | None = None
        self.remarks: list[str] = []
        self._stream = stream
        self._store = store
        self._request = request
        self._latency_ms = latency_ms
        self.partials = partials
        self._shown = 0
        self._segment: OpenSegment | None = None
        self._begin = 0
        self._holes: list[tuple[int, int]] = []

    def note_hole(self, at: int, missing: int) -> None:
        """Remember that chunks are missing in front of this sample of the stretch."""
        self._holes.append((at, missing))

    def forget_holes(self) -> None:
        """Begin to count the samples of another stretch."""
        self._holes.clear()

    def write(self, events: Iterable[Event]) -> list[Ticket]:
        """Carry out events in order; return the tickets of the segments that end with them."""
        return [ticket for event in events for ticket in self._write(event)]

    def _write(self, event: Event) -> list[Ticket]:
        if isinstance(event, Begin):
            self._open(event.at)
        elif self._segment is None:
            # Its begin did not fit into the store, which was counted.
            return []
        elif isinstance(event, Audio):
            return self._append(self._segment, event.samples)
        elif isinstance(event, Split):
            return self._split(self._segment, event.at)
        elif isinstance(event, Pause):
            self.preview = self._store.preview(self._segment, event.at - self._begin)
        elif isinstance(event, End):
            flags = Flag.INTERRUPTED if event.interrupted else Flag.NONE
            return [self._seal(self._segment, event.at - self._begin, flags)]
        elif isinstance(event, Click):
            self._store.discard(self._segment)
            self._segment = None
            self.clicks += 1
        return []

    def _open(self, at: int) -> None:
        self._begin = at
        self._shown = 0
        begin_ns = self.origin_ns + at * _NS // SAMPLE_RATE
        try:
            self._segment = self._store.open(self._stream, begin_ns, **self._request._asdict())
        except StoreFullError as error:
            self._drop(error)

    def _append(self, segment: OpenSegment, samples: npt.NDArray[np.int16]) -> list[Ticket]:
        try:
            self._store.append(segment, samples)
        except StoreFullError as error:
            self._drop(error)
            if segment.length:
                return [self._seal(segment, segment.length, Flag.INTERRUPTED)]
            self._store.discard(segment)
        else:
            self._show(segment)
        return []

    def _show(self, segment: OpenSegment) -> None:
        """Foretell what was said so far, if enough has been said since that was done last."""
        if self.partials and segment.length - self._shown >= self.partials:
            self._shown = segment.length
            self.preview = self._store.preview(
                segment, segment.length, Flag.PROVISIONAL | Flag.PARTIAL)

    def _split(self, segment: OpenSegment, at: int) -> list[Ticket]:
        length = at - self._begin
        try:
            ticket, self._segment = self._store.split(
                segment, length, missing_chunks=self._missing_before(at),
                latency_ms=self._latency_ms())
        except StoreFullError as error:
            self._drop(error)
            return [self._seal(segment, length, Flag.SPLIT | Flag.INTERRUPTED)]
        self._begin = at
        self._shown = 0
        self.preview = None
        self.segments += 1
        return [ticket]

    def _seal(self, segment: OpenSegment, length: int, flags: Flag) -> Ticket:
        self._segment = self.preview = None
        self.segments += 1
        missing = self._missing_before(self._begin + length)
        return self._store.seal(
            segment, length, flags=flags, missing_chunks=missing, latency_ms=self._latency_ms())

    def _missing_before(self, end: int) -> int:
        """Count the missing chunks of the segment that ends here, and forget them."""
        passed = [hole for hole in self._holes if hole[0] <= end]
        self._holes = [hole for hole in self._holes if hole[0] > end]
        return sum(missing for at, missing in passed if at >= self._begin)

    def _drop(self, error: StoreFullError) -> None:
        self._segment = self.preview = None
        self.dropped += 1
        self.remarks.append(f'speech is lost: {error}')
