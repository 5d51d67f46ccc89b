"""One stream of audio: from chunks, in whatever state they come, to tickets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.core.audio import Resampler
from xlerobot_asr_opt.core.chunk_rules import fault
from xlerobot_asr_opt.core.clocks import NS
from xlerobot_asr_opt.core.continuity import Arrival, Continuity, Link
from xlerobot_asr_opt.core.microphone_faults import REMEDIES, ChannelWatch, RateWatch
from xlerobot_asr_opt.core.segment_store import SegmentStore
from xlerobot_asr_opt.core.segment_writer import Request, SegmentWriter
from xlerobot_asr_opt.core.segmenter import Event
from xlerobot_asr_opt.core.stream_arrays import StreamArrays
from xlerobot_asr_opt.records import (
    CHUNK_CAPACITY,
    SAMPLE_RATE,
    Chunk,
    Fault,
    StreamState,
    StreamStatus,
    Ticket,
)

__all__ = ['Source', 'Stream']


@dataclass(frozen=True)
class Source:
    """What is known of a stream before its first chunk.

    Attributes:
        stream: its name.
        request: for its tickets.
        duration_s: its length [s]; 0: not known.
        owned: somebody says when it ends; otherwise its chunks simply stop to come.
        live: it comes from a microphone, now, so that it hears the robot, too.
        partials: samples of speech after which its text so far is wanted; 0: never.
    """

    stream: str
    request: Request
    duration_s: float = 0.0
    owned: bool = False
    live: bool = False
    partials: int = 0


class Stream:
    """Hears one stream. Its state tells whether somebody speaks, or whether it has ended.

    Chunks that simply follow need not come through here: StreamArrays.follow() takes those of many
    streams at once, and carry_out() what comes of them.

    Attributes:
        source: what it was opened as.
        row: where it stands in the arrays.
        state: as in StreamStatus.
        remarks: what should be told to a person, in words; the reader empties it.
    """

    def __init__(
        self, source: Source, arrays: StreamArrays, row: int, store: SegmentStore,
        clock: Callable[[], float], silence_warning_s: float = 10.0,
    ) -> None:
        """Begin to hear.

        Args:
            source: what is known of it.
            arrays: what all streams keep together.
            row: in them, of no other stream.
            store: where its segments go.
            clock: monotonic [s].
            silence_warning_s: silence of a channel, and absence of all audio, that is told [s].
        """
        self.source = source
        self.row = row
        self.state = StreamState.WAITING
        self.remarks: list[str] = []
        self._arrays = arrays
        self._clock = clock
        arrays.begin(row, clock())
        self._continuity = Continuity(arrays.clocks, row)
        self._writer = SegmentWriter(
            source.stream, store, source.request, lambda: (clock() - self.heard_at) * 1e3,
            source.partials)
        self._resampler: Resampler | None = None
        self._refused = 0
        self._muted = False
        self._muted_chunks = 0
        self._silence_warning_s = silence_warning_s
        self._channels: ChannelWatch | None = None
        self._rate = RateWatch()
        self._absent = False

    @property
    def heard_at(self) -> float:
        """Clock's time of the newest valid chunk [s]."""
        return float(self._arrays.heard_at[self.row])

    @property
    def received_at(self) -> float:
        """Clock's time of the newest chunk, a refused one included [s]."""
        return float(self._arrays.received_at[self.row])

    @property
    def idle(self) -> bool:
        """Whether nothing is under way that would need an end."""
        return self._resampler is None and not self._continuity.holding

    @property
    def preview(self) -> Ticket | None:
        """Foretells the segment that there will be if the newest pause is its end.

        Or, with the flag PARTIAL, shows what was said so far.
        """
        return self._writer.preview

    def show_every(self, partials: int) -> None:
        """Change after how many samples of speech its text so far is wanted; 0: never."""
        self._writer.partials = partials

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
        self._arrays.receive(np.array([self.row]), self._clock())
        tickets = self._hear(self._continuity.sort(chunk))
        self._settle()
        return tickets

    def refuse(self, wrong: str) -> None:
        """Count a chunk that could not even be read, and tell what is wrong with it."""
        self._arrays.received_at[self.row] = self._clock()
        self._arrays.chunks[self.row] += 1
        self._refused += 1
        self.remarks.append(wrong)

    def carry_out(self, events: Iterable[Event]) -> list[Ticket]:
        """Write what was heard of this stream among many."""
        tickets = self._write(events)
        self._settle()
        return tickets

    def mute(self, muted: bool) -> list[Ticket]:
        """Hear nothing of the chunks that come, or hear again; what was being said has ended."""
        self._muted = muted
        tickets = self._end_stretch() if muted else []
        self._settle()
        return tickets

    def examine(self) -> None:
        """Look at what only shows with time; once a second is enough."""
        clock = self._arrays.clocks.records[self.row]
        if clock['taken']:
            told = self._rate.see(
                int(clock['sequence']), int(clock['stamp_ns']), int(clock['length_ns']),
                int(clock['rate']))
            self.remarks += [told] if told else []
        silent_s = self._clock() - self.heard_at
        absent = (self.source.owned and self.source.live and not self.ended
                  and silent_s >= self._silence_warning_s)
        if absent and not self._absent:
            self.remarks.append(f'{REMEDIES[Fault.ABSENT]} (for {silent_s:.0f} s)')
        self._absent = absent

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
        continuity, writer, arrays = self._continuity, self._writer, self._arrays
        meter = arrays.meters.records[self.row]
        return StreamStatus(
            stream=self.source.stream, state=self.state, stamp_ns=continuity.end_ns,
            level_dbfs=arrays.hearing.level_dbfs(self.row),
            position_s=float(meter['position_s']), duration_s=self.source.duration_s,
            speaking_s=self.spoken_s, chunks=int(arrays.chunks[self.row]),
            missing=continuity.missing, duplicated=continuity.duplicated,
            refused=self._refused + continuity.refused, clipped=int(meter['clipped']),
            clicks=writer.clicks, dropped=writer.dropped, segments=writer.segments, kept=kept,
            muted=self._muted_chunks, faults=self._faults)

    @property
    def spoken_s(self) -> float:
        """Length of the running utterance [s]; 0: nobody speaks."""
        return self._speaking / SAMPLE_RATE

    @property
    def _speaking(self) -> int:
        """Samples of the running utterance."""
        return self._arrays.hearing.speaking(self.row) if self._resampler else 0

    @property
    def _faults(self) -> Fault:
        """What is wrong with its microphone now."""
        faults = self._arrays.meters.faults(self.row)
        if self._rate.wrong:
            faults |= Fault.RATE
        if self._channels is not None and self._channels.dead:
            faults |= Fault.CHANNEL
        return faults | (Fault.ABSENT if self._absent else Fault.NONE)

    def _watch_channels(self, chunk: Chunk, frames: int) -> None:
        if self._channels is None or self._channels.count != chunk.channels:
            self._channels = ChannelWatch(chunk.channels, self._silence_warning_s)
        told = self._channels.hear(
            chunk.samples.reshape(frames, chunk.channels), frames / chunk.rate)
        self.remarks += [told] if told else []

    def _hear(self, arrivals: list[Arrival]) -> list[Ticket]:
        return [ticket for arrival in arrivals for ticket in self._hear_one(arrival)]

    def _hear_one(self, arrival: Arrival) -> list[Ticket]:
        chunk, arrays, row = arrival.chunk, self._arrays, self.row
        frames = chunk.samples.size // chunk.channels
        read = arrays.meters.read(
            np.array([row]), chunk.samples[None], np.array([chunk.samples.size]),
            np.array([frames / chunk.rate]))
        self.remarks += [remark for _, remark in read]
        if chunk.channels > 1:
            self._watch_channels(chunk, frames)
        tickets = []
        if arrival.link in (Link.FIRST, Link.BREAK):
            tickets = self._end_stretch(arrival.missing)
        if self._muted:
            self._muted_chunks += 1
            return tickets
        if self._resampler is None:
            self._resampler = Resampler(chunk.rate, chunk.channels)
            arrays.begin_stretch(row)
        if arrival.fill:
            self._writer.note_hole(int(arrays.hearing.lengths[row]), arrival.missing)
            tickets += self._feed(
                self._resampler.push(np.zeros(arrival.fill * chunk.channels, np.int16)))
            arrays.frames[row] += arrival.fill
        arrays.origin_ns[row] = arrival.time_ns - int(arrays.frames[row]) * NS // chunk.rate
        arrays.frames[row] += frames
        return tickets + self._feed(self._resampler.push(chunk.samples))

    def _feed(self, samples: npt.NDArray[np.int16]) -> list[Ticket]:
        """Hear int16[n] at SAMPLE_RATE."""
        events: list[Event] = []
        for begin in range(0, samples.size, CHUNK_CAPACITY):
            piece = np.zeros((1, CHUNK_CAPACITY), np.int16)
            size = min(samples.size - begin, CHUNK_CAPACITY)
            piece[0, :size] = samples[begin:begin + size]
            for _, some in self._arrays.hearing.push(
                    np.array([self.row]), piece, np.array([size])):
                events += some
        return self._write(events)

    def _write(self, events: Iterable[Event]) -> list[Ticket]:
        self._writer.origin_ns = int(self._arrays.origin_ns[self.row])
        return self._writer.write(events)

    def _end_stretch(self, missing: int = 0) -> list[Ticket]:
        """End what runs; chunks that are missing behind it belong to the speech they cut."""
        resampler, self._resampler = self._resampler, None
        if resampler is None:
            return []
        arrays = self._arrays
        arrays.running[self.row] = False
        tickets = self._feed(resampler.flush())
        if missing:
            self._writer.note_hole(int(arrays.hearing.lengths[self.row]), missing)
        tickets += self._write(arrays.hearing.finish(self.row))
        self._writer.forget_holes()
        return tickets

    def _settle(self) -> None:
        """Note what the newest chunks have changed."""
        self.state = StreamState.SPEECH if self._speaking else StreamState.SILENCE
        for room in (self._continuity, self._writer):
            self.remarks += room.remarks
            room.remarks.clear()
