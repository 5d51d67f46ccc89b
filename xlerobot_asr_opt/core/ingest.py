"""Any number of streams: who is heard, what is kept of them, and what is told about them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.core.chunk_rows import chunk_of, chunk_row, name_of
from xlerobot_asr_opt.core.complaints import Complaints
from xlerobot_asr_opt.core.robot_speech import RobotSpeech
from xlerobot_asr_opt.core.segment_store import SegmentStore
from xlerobot_asr_opt.core.segment_writer import Request
from xlerobot_asr_opt.core.segmenter import Cutting
from xlerobot_asr_opt.core.stream import Source, Stream
from xlerobot_asr_opt.core.stream_arrays import StreamArrays
from xlerobot_asr_opt.core.vad import SpeechDetector
from xlerobot_asr_opt.errors import AudioError, ConfigurationError, MemoryBudgetError, StoreError
from xlerobot_asr_opt.parameters import IngestParameters
from xlerobot_asr_opt.records import (
    LONGEST_LANGUAGE,
    LONGEST_NAME,
    SAMPLE_RATE,
    Acknowledgement,
    Chunk,
    Chunks,
    StreamState,
    StreamStatus,
    Ticket,
)

__all__ = ['Ingest']

STREAM_BYTES = 150_000
"""What a stream takes of memory, beside its speech in the store: 134 kB were measured."""
_PAUSE_S = 2.0
"""A stream that nobody owns and that brings no audio for this long has paused: speech ends."""
_GONE_S = 60.0
"""One that brings nothing at all for this long has ended."""
_LOOK_S = 0.1
"""How often paused streams are looked for."""
_EXAMINE_S = 1.0
"""How often every stream is examined for faults that only show with time."""
_NUMBER = re.compile(r'\d+')
T = TypeVar('T')


class Ingest:
    """Turns chunks into tickets, and keeps the speech behind each ticket until acknowledged.

    Attributes:
        refusing: why no stream is opened at present; empty: they are. Those that are open go on.
    """

    def __init__(
        self, parameters: IngestParameters, store: SegmentStore, detector: SpeechDetector,
        clock: Callable[[], float], admit: Callable[[str, int], None] = lambda *_: None,
    ) -> None:
        """Begin without streams.

        Args:
            parameters: of the node.
            store: keeps the segments; may hold those of an earlier life.
            detector: tells speech from the rest.
            clock: monotonic [s].
            admit: takes what a stream is and the memory that it needs [bytes]; raises
                MemoryBudgetError where that is not left. By default there is enough.

        Raises:
            ConfigurationError: the language of the parameters cannot be carried.
        """
        _check_language(parameters.language)
        self._parameters = parameters
        self._store = store
        self._clock = clock
        self._admit = admit
        cutting = Cutting(
            threshold=parameters.speech_threshold,
            pre_roll=round(parameters.pre_roll * SAMPLE_RATE),
            hangover=round(parameters.hangover * SAMPLE_RATE),
            shortest=round(parameters.shortest * SAMPLE_RATE),
            longest=round(parameters.longest * SAMPLE_RATE))
        self._arrays = StreamArrays(
            parameters.streams, cutting, detector, parameters.silence_warning, parameters.gate)
        self._free = list(range(parameters.streams))
        self._streams: dict[str, Stream] = {}
        self._listening: dict[bytes, Stream] = {}
        self._at_row: dict[int, Stream] = {}
        self._changed: set[str] = set()
        self._pausing: set[str] = set()
        self._complaints = Complaints(clock)
        self._looked_at = self._examined_at = clock()
        self._robot = RobotSpeech(parameters, clock)
        self._muting = False
        self.refusing = ''
        self.show_partials(wanted=True)

    def open(
        self, stream: str, *, duration_s: float = 0.0, language: str = '', live: bool = False,
    ) -> str:
        """Begin a stream that its caller will finish.

        Args:
            stream: its name, 1 to 63 bytes of UTF-8.
            duration_s: its length [s]; 0: not known.
            language: that its tickets ask for; empty: the parameter's.
            live: it is a microphone's.

        Returns:
            The name.

        Raises:
            AudioError: the name is not valid or taken, or there are too many streams.
            MemoryBudgetError: there is no memory left for it.
            ConfigurationError: the language cannot be carried.
        """
        _check_language(language)
        if stream in self._streams and not self._streams[stream].ended:
            raise AudioError(f'stream {stream} is open already; choose another name')
        self._open(Source(
            stream, self._request(stream, language), duration_s, owned=True, live=live,
            partials=self._partials))
        return stream

    def accept(self, chunk: Chunk) -> list[Ticket]:
        """Hear a chunk of any stream, a new one included.

        Whatever is wrong with it is counted in the stream's status and logged; nothing is raised.
        """
        tickets = self._attend()
        stream = self._listener(chunk.stream)
        if stream is None:
            return tickets
        one = chunk_row(chunk)
        if one is not None:
            row, first = np.array([stream.row]), np.zeros(1, np.int64)
            if self._arrays.follows(row, one, first)[0]:
                return tickets + self._follow(row, one, first)
        return tickets + self._note(stream, stream.take, chunk)

    def accept_all(self, chunks: Chunks) -> list[Ticket]:
        """Hear CHUNK[n] of any streams, those of one stream in order; like accept() of each.

        What can be done for all streams together is. The chunks need not outlive the call.
        """
        tickets = self._attend()
        names = np.ascontiguousarray(chunks['stream']).view(f'S{LONGEST_NAME + 1}').ravel()
        streams = [self._listening.get(name) or self._listener(name_of(name))
                   for name in names.tolist()]
        rows = np.array([-1 if stream is None else stream.row for stream in streams])
        for turn in _turns(rows):
            follows = self._arrays.follows(rows, chunks, turn)
            tickets += self._follow(rows, chunks, turn[follows])
            for index in turn[~follows].tolist():
                tickets += self._accept_one(streams[index], chunks[index])
        return tickets

    def refuse(self, name: str, wrong: str) -> None:
        """Count a message of a stream that cannot be heard at all, and tell what is wrong."""
        stream = self._listener(name)
        if stream is not None:
            stream.refuse(wrong)
            self._tell(stream)

    def _follow(
        self, rows: npt.NDArray[np.int64], chunks: Chunks, which: npt.NDArray[np.int64],
    ) -> list[Ticket]:
        """Hear those chunks that simply follow."""
        if not which.size:
            return []
        if which.size < rows.size:
            rows, chunks = rows[which], chunks[which]
        followed = self._arrays.follow(rows, chunks, self._clock())
        tickets: list[Ticket] = []
        for row, events in followed.events:
            stream = self._at_row[row]
            tickets += self._note(stream, stream.carry_out, events)
        for row, remark in followed.remarks:
            self._at_row[row].remarks.append(remark)
            self._tell(self._at_row[row])
        return tickets

    def _accept_one(self, stream: Stream, chunk: Any) -> list[Ticket]:
        """Hear one CHUNK of a stream that must be judged on its own."""
        try:
            read = chunk_of(stream.source.stream, chunk)
        except AudioError as error:
            stream.refuse(str(error))
            self._tell(stream)
            return []
        return self._note(stream, stream.take, read)

    def _note(
        self, stream: Stream, hear: Callable[[T], list[Ticket]], heard: T,
    ) -> list[Ticket]:
        """Let a stream hear something, and note what has changed by it."""
        before, preview = stream.state, stream.preview
        tickets = hear(heard)
        if stream.preview is not preview:
            self._pausing.add(stream.source.stream)
        if stream.state is not before:
            self._attend_to(stream)
        if tickets or stream.state is not before:
            self._changed.add(stream.source.stream)
        self._tell(stream)
        return tickets

    def previews(self) -> list[Ticket]:
        """Return provisional tickets of what has paused, or gone on, since this was asked last."""
        pausing, self._pausing = self._pausing, set()
        streams = [self._streams[name] for name in sorted(pausing) if name in self._streams]
        return [stream.preview for stream in streams if stream.preview is not None]

    def show_partials(self, *, wanted: bool) -> None:
        """Have no text wanted before its speech has ended, or have it wanted as configured."""
        self._partials = round(self._parameters.partials * SAMPLE_RATE) if wanted else 0
        for stream in self._streams.values():
            stream.show_every(self._partials)

    def robot_speaks(self, speaking: bool) -> list[Ticket]:
        """Take whether the robot itself speaks; return what had been said when it began."""
        self._robot.hear(speaking)
        return self._attend()

    def cutting_in(self) -> list[str]:
        """Return the streams on which somebody cuts in on the robot, since this was asked last."""
        return self._robot.cutting_in(lambda name: self._streams[name].spoken_s)

    def finish(self, stream: str) -> list[Ticket]:
        """End a stream whose source has come to its end."""
        return self._end(stream, StreamState.ENDED)

    def fail(self, stream: str) -> list[Ticket]:
        """End a stream whose source broke; what was heard until then is announced."""
        return self._end(stream, StreamState.FAILED)

    def tick(self) -> list[Ticket]:
        """End the speech of streams that have paused; call it often."""
        now = self._clock()
        if now - self._looked_at < _LOOK_S:
            return []
        self._looked_at = now
        tickets = self._attend()
        examined = now - self._examined_at >= _EXAMINE_S
        if examined:
            self._examined_at = now
        for name, stream in self._streams.items():
            if stream.ended:
                continue
            if examined:
                stream.examine()
                self._tell(stream)
            if stream.source.owned:
                continue
            if now - stream.received_at >= _GONE_S:
                tickets += self._end(name, StreamState.ENDED)
            elif now - stream.heard_at >= _PAUSE_S and not stream.idle:
                tickets += stream.pause()
                self._changed.add(name)
                self._tell(stream)
        return tickets

    def acknowledge(self, acknowledgement: Acknowledgement) -> None:
        """Let go of a segment; one that is not kept is no error, since words may be repeated."""
        try:
            stream = self._store.ticket(acknowledgement.segment).stream
        except StoreError:
            return
        self._store.release(acknowledgement.segment)
        self._changed.add(stream)

    def samples(self, segment: int) -> npt.NDArray[np.int16]:
        """Return the int16[n] of a kept segment, read-only, valid until it is acknowledged.

        Raises:
            StoreError: no such segment is kept.
        """
        return self._store.samples(segment)

    def language(self, segment: int) -> str:
        """Return the language that a kept segment asks for.

        Raises:
            StoreError: no such segment is kept.
        """
        return self._store.ticket(segment).language

    def dropped(self, stream: str) -> int:
        """Return how many utterances of a stream were lost, as the store had no room."""
        return self._streams[stream].dropped

    def unacknowledged(self) -> list[Ticket]:
        """List what is kept, oldest first: for a scheduler that has not heard of it."""
        return self._store.tickets()

    def room_s(self) -> float:
        """Return the speech for which the store has room [s]."""
        return self._store.room_samples / SAMPLE_RATE

    @property
    def names(self) -> list[str]:
        """The names of all streams, those of the newest ended ones included."""
        return list(self._streams)

    def statuses(self, names: Iterable[str] | None = None) -> list[StreamStatus]:
        """Return the state of the streams of these names that are known, or of all."""
        asked = self._streams if names is None else names
        return [self._status(name) for name in asked if name in self._streams]

    def changed(self) -> list[StreamStatus]:
        """Return the states that have changed since this was asked last."""
        changed, self._changed = self._changed, set()
        return self.statuses(sorted(changed))

    def _open(self, source: Source) -> Stream:
        _check_name(source.stream)
        if self.refusing:
            raise AudioError(f'stream {source.stream} is not opened: {self.refusing}')
        self._admit(f'stream {source.stream}', STREAM_BYTES)
        self._forget(source.stream)
        self._make_room()
        stream = Stream(
            source, self._arrays, self._free.pop(), self._store, self._clock,
            self._parameters.silence_warning)
        if source.live and self._muting:
            stream.mute(True)
        self._streams[source.stream] = stream
        self._listening[source.stream.encode()] = self._at_row[stream.row] = stream
        self._changed.add(source.stream)
        return stream

    def _forget(self, name: str) -> None:
        """Forget a stream, if there is one of that name, that has ended."""
        stream = self._streams.pop(name, None)
        if stream is not None:
            self._free.append(stream.row)

    def _listener(self, name: str) -> Stream | None:
        """Find or open the stream that a chunk names; tell why it cannot be heard."""
        stream = self._listening.get(name.encode())
        if stream is not None:
            return stream
        try:
            return self._open(Source(
                name, self._request(name), live=True, partials=self._partials))
        except (AudioError, MemoryBudgetError) as error:
            self._complaints.tell('', 'refused', f'a chunk is not heard: {error}')
            return None

    def _make_room(self) -> None:
        """Forget the streams that ended first, as far as there are too many."""
        surplus = len(self._streams) + 1 - self._parameters.streams
        if surplus <= 0:
            return
        over = [name for name, stream in self._streams.items() if stream.ended]
        if surplus > len(over):
            raise AudioError(
                f'{len(self._streams) - len(over)} streams are open, and no more are allowed; '
                f'raise the parameter streams of ingest')
        for name in over[:surplus]:
            self._forget(name)
            self._complaints.forget(name)

    def _attend(self) -> list[Ticket]:
        """Mute the live streams, or unmute them, when the robot has begun or ended to speak."""
        muting = self._robot.muting
        if muting is self._muting:
            return []
        self._muting = muting
        live = [one for one in self._streams.values() if one.source.live and not one.ended]
        return [ticket for stream in live
                for ticket in self._note(stream, stream.mute, muting)]

    def _attend_to(self, stream: Stream) -> None:
        """Note that somebody has begun, or ended, to speak on a stream."""
        if stream.state is StreamState.SPEECH and stream.source.live:
            self._robot.begins(stream.source.stream, stream.spoken_s)
        else:
            self._robot.ends(stream.source.stream)

    def _end(self, name: str, state: StreamState) -> list[Ticket]:
        stream = self._streams[name]
        tickets = stream.end(state)
        self._listening.pop(name.encode(), None)
        self._robot.ends(name)
        self._changed.add(name)
        self._tell(stream)
        return tickets

    def _request(self, stream: str, language: str = '') -> Request:
        return Request(
            language=language or self._parameters.language,
            priority=int(stream not in self._parameters.urgent_streams),
            budget_s=self._parameters.budget)

    def _status(self, name: str) -> StreamStatus:
        return self._streams[name].status(self._store.kept(name))

    def _tell(self, stream: Stream) -> None:
        name = stream.source.stream
        for remark in stream.remarks:
            # Remarks of one kind differ in their numbers alone.
            self._complaints.tell(name, _NUMBER.sub('', remark), f'{name}: {remark}')
        stream.remarks.clear()


def _turns(rows: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    """Give the places of the rows in turns, each row at most once in each, but for row -1."""
    if rows.size == 1 or len(set(rows.tolist())) == rows.size:
        yield np.flatnonzero(rows >= 0)
        return
    places = np.flatnonzero(rows >= 0)
    order = places[np.argsort(rows[places], kind='stable')]
    begins = np.flatnonzero(np.diff(rows[order], prepend=-1))
    turns = np.arange(order.size) - np.repeat(begins, np.diff(begins, append=order.size))
    for turn in range(int(turns.max(initial=-1)) + 1):
        yield np.sort(order[turns == turn])


def _check_name(stream: str) -> None:
    """Refuse a name that cannot be carried, or was no UTF-8."""
    size = len(stream.encode())
    if not 1 <= size <= LONGEST_NAME or not stream.isprintable() or '\ufffd' in stream:
        raise AudioError(
            f'got {stream!r} as the name of a stream, expected 1 to {LONGEST_NAME} bytes of '
            f'printable UTF-8')


def _check_language(language: str) -> None:
    """Refuse a language that no ticket can carry: cut short, it would name another one."""
    if len(language.encode()) > LONGEST_LANGUAGE or not language.isprintable():
        raise ConfigurationError(
            f'language: got {language!r}, expected at most {LONGEST_LANGUAGE} bytes, as in '
            f'ISO 639-1: en, de, zh')
