"""Any number of streams: who is heard, what is kept of them, and what is told about them."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.core.segment_store import SegmentStore
from xlerobot_asr_opt.core.segment_writer import Request
from xlerobot_asr_opt.core.segmenter import Cutting
from xlerobot_asr_opt.core.stream import Source, Stream
from xlerobot_asr_opt.core.vad import SpeechDetector
from xlerobot_asr_opt.errors import AudioError, ConfigurationError, StoreError
from xlerobot_asr_opt.parameters import IngestParameters
from xlerobot_asr_opt.records import (
    LONGEST_LANGUAGE,
    LONGEST_NAME,
    SAMPLE_RATE,
    Acknowledgement,
    Chunk,
    StreamState,
    StreamStatus,
    Ticket,
)

__all__ = ['Ingest']

_PAUSE_S = 2.0
"""A stream that nobody owns and that brings no audio for this long has paused: speech ends."""
_GONE_S = 60.0
"""One that brings nothing at all for this long has ended."""
_LOOK_S = 0.1
"""How often paused streams are looked for."""
_TELL_S = 1.0
"""The same is said of one stream at most once in this time; what is left out is counted."""
_NUMBER = re.compile(r'\d+')

_log = logging.getLogger(__name__)


class Ingest:
    """Turns chunks into tickets, and keeps the speech behind each ticket until acknowledged."""

    def __init__(
        self, parameters: IngestParameters, store: SegmentStore, detector: SpeechDetector,
        clock: Callable[[], float],
    ) -> None:
        """Begin without streams.

        Args:
            parameters: of the node.
            store: keeps the segments; may hold those of an earlier life.
            detector: tells speech from the rest.
            clock: monotonic [s].

        Raises:
            ConfigurationError: the language of the parameters cannot be carried.
        """
        _check_language(parameters.language)
        self._parameters = parameters
        self._store = store
        self._detector = detector
        self._clock = clock
        self._cutting = Cutting(
            threshold=parameters.speech_threshold,
            pre_roll=round(parameters.pre_roll * SAMPLE_RATE),
            hangover=round(parameters.hangover * SAMPLE_RATE),
            shortest=round(parameters.shortest * SAMPLE_RATE),
            longest=round(parameters.longest * SAMPLE_RATE))
        self._streams: dict[str, Stream] = {}
        self._changed: set[str] = set()
        self._pausing: set[str] = set()
        self._complaints = _Complaints(clock)
        self._looked_at = clock()

    def open(self, stream: str, *, duration_s: float = 0.0, language: str = '') -> str:
        """Begin a stream that its caller will finish.

        Args:
            stream: its name, 1 to 63 bytes of UTF-8.
            duration_s: its length [s]; 0: not known.
            language: that its tickets ask for; empty: the parameter's.

        Returns:
            The name.

        Raises:
            AudioError: the name is not valid or taken, or there are too many streams.
            ConfigurationError: the language cannot be carried.
        """
        _check_language(language)
        if stream in self._streams and not self._streams[stream].ended:
            raise AudioError(f'stream {stream} is open already; choose another name')
        self._open(Source(stream, self._request(stream, language), duration_s, owned=True))
        return stream

    def accept(self, chunk: Chunk) -> list[Ticket]:
        """Hear a chunk of any stream, a new one included.

        Whatever is wrong with it is counted in the stream's status and logged; nothing is raised.
        """
        stream = self._listener(chunk.stream)
        if stream is None:
            return []
        before, preview = stream.state, stream.preview
        tickets = stream.take(chunk)
        if stream.preview is not preview:
            self._pausing.add(chunk.stream)
        if tickets or stream.state is not before:
            self._changed.add(chunk.stream)
        self._tell(stream)
        return tickets

    def previews(self) -> list[Ticket]:
        """Return provisional tickets of the pauses that have begun since this was asked last."""
        pausing, self._pausing = self._pausing, set()
        streams = [self._streams[name] for name in sorted(pausing) if name in self._streams]
        return [stream.preview for stream in streams if stream.preview is not None]

    def refuse(self, stream: str, wrong: str) -> None:
        """Count and tell a chunk of a stream that could not be read; wrong says why."""
        listener = self._listener(stream)
        if listener is not None:
            listener.refuse(wrong)
            self._tell(listener)

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
        tickets: list[Ticket] = []
        for name, stream in self._streams.items():
            if stream.ended or stream.source.owned:
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

    def statuses(self) -> list[StreamStatus]:
        """Return the state of every stream, the newest ended ones included."""
        return [self._status(name) for name in self._streams]

    def changed(self) -> list[StreamStatus]:
        """Return the states that have changed since this was asked last."""
        changed, self._changed = self._changed, set()
        return [self._status(name) for name in sorted(changed) if name in self._streams]

    def _open(self, source: Source) -> Stream:
        _check_name(source.stream)
        self._streams.pop(source.stream, None)
        self._make_room()
        stream = Stream(
            source, self._cutting, self._detector, self._store,
            self._parameters.silence_warning, self._clock)
        self._streams[source.stream] = stream
        self._changed.add(source.stream)
        return stream

    def _listener(self, name: str) -> Stream | None:
        """Find or open the stream that a chunk names; tell why it cannot be heard."""
        stream = self._streams.get(name)
        if stream is not None and not stream.ended:
            return stream
        try:
            return self._open(Source(name, self._request(name)))
        except AudioError as error:
            self._complaints.tell('', 'refused', f'a chunk is not heard: {error}')
            return None

    def _make_room(self) -> None:
        """Forget the streams that ended first, as far as there are too many."""
        surplus = len(self._streams) + 1 - self._parameters.streams
        over = [name for name, stream in self._streams.items() if stream.ended]
        if surplus > len(over):
            raise AudioError(
                f'{len(self._streams) - len(over)} streams are open, and no more are allowed; '
                f'raise the parameter streams of ingest')
        for name in over[:max(surplus, 0)]:
            del self._streams[name]
            self._complaints.forget(name)

    def _end(self, name: str, state: StreamState) -> list[Ticket]:
        stream = self._streams[name]
        tickets = stream.end(state)
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


@dataclass
class _Told:
    """When a kind of complaint was logged last, and how many were left out since."""

    at: float
    left_out: int = 0


class _Complaints:
    """Logs what is wrong with streams, without letting a bad one flood the log."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._told: dict[str, dict[str, _Told]] = {}

    def forget(self, about: str) -> None:
        """Forget a stream that is gone."""
        self._told.pop(about, None)

    def tell(self, about: str, kind: str, text: str) -> None:
        """Log a warning, unless one of its kind was logged of the same stream a moment ago."""
        now = self._clock()
        told = self._told.setdefault(about, {}).setdefault(kind, _Told(-math.inf))
        if now - told.at < _TELL_S:
            told.left_out += 1
            return
        _log.warning('%s%s', text, f' ({told.left_out} more like it)' if told.left_out else '')
        told.at, told.left_out = now, 0


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
