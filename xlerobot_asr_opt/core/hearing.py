"""From the samples of many streams to the utterances in them.

What all streams need is done for all that have brought samples, by a few array operations: their
samples are written, their windows are held against their rooms, and those of the streams whose
gate is open are judged, in one run of the detector. Only a stream whose gate is open costs steps
of its own.

A stream's events come of its own samples alone, in whatever chunks, beside whatever other streams.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.core.audio import level_dbfs
from xlerobot_asr_opt.core.gate import EnergyGate, energies
from xlerobot_asr_opt.core.segmenter import Cutting, Event, Segmenter
from xlerobot_asr_opt.core.tapes import Tapes
from xlerobot_asr_opt.core.vad import CONTEXT, WINDOW, SpeechDetector
from xlerobot_asr_opt.records import CHUNK_CAPACITY

__all__ = ['Hearing']

_HOLD = 8
"""Windows without a loud one after which the gate shuts, unless somebody speaks: 0.25 s."""
_RUN_IN = 8
"""Windows before the first loud one that are judged too: 0.25 s."""
_MOST = -(-CHUNK_CAPACITY // WINDOW)
"""Windows that a chunk can make whole."""

Integers = npt.NDArray[np.int64]
Samples = npt.NDArray[np.int16]


class _Look(NamedTuple):
    """The windows that samples have made whole, by stream.

    Attributes:
        rows: int64[n].
        first: int64[n], number of the first one.
        last: int64[n], number behind the last one.
        loud: bool[n, _MOST], those louder than the room.
        stale: bool[n, _MOST], those so long after a loud one that the gate may shut.
    """

    rows: Integers
    first: Integers
    last: Integers
    loud: npt.NDArray[np.bool_]
    stale: npt.NDArray[np.bool_]


class _Stretch(NamedTuple):
    """Windows of one stream that are judged at a time: its place in the look, from, to."""

    place: int
    first: int
    last: int


class Hearing:
    """Hears a number of streams, each at its row, stretch by stretch."""

    def __init__(
        self, rows: int, cutting: Cutting, detector: SpeechDetector, gate_db: float,
    ) -> None:
        """Hear nothing yet.

        Args:
            rows: streams.
            cutting: how utterances are cut.
            detector: tells speech from the rest.
            gate_db: see IngestParameters.gate.
        """
        self._cutting = cutting
        self._tapes = Tapes(rows, cutting.pre_roll + (_RUN_IN + _MOST + 1) * WINDOW)
        self._gate = EnergyGate(rows, gate_db)
        self._tracks = detector.tracks(rows)
        self._segmenters = [self._segmenter(row) for row in range(rows)]
        self._open = np.zeros(rows, np.bool_)
        self._judged = np.zeros(rows, np.int64)
        self._loud_at = np.zeros(rows, np.int64)

    @property
    def lengths(self) -> Integers:
        """Samples of the running stretch of every row, int64[rows]."""
        return self._tapes.lengths

    def speaking(self, row: int) -> int:
        """Return the samples since the begin of the running utterance; 0: nobody speaks."""
        return self._segmenters[row].speaking

    def level_dbfs(self, row: int) -> float:
        """Return the level of the newest 0.1 s of a row [dB]; see audio.level_dbfs."""
        end = int(self._tapes.lengths[row])
        return level_dbfs(self._tapes.read(row, max(end - CHUNK_CAPACITY, 0), end))

    def begin(self, row: int) -> None:
        """Begin a new stretch, of which nothing is known."""
        self._tapes.begin(row)
        self._gate.begin(row)
        self._tracks.begin(np.array([row]))
        self._segmenters[row] = self._segmenter(row)
        self._open[row] = False
        self._judged[row] = self._loud_at[row] = 0

    def push(
        self, rows: Integers, chunks: Samples, lengths: Integers,
    ) -> list[tuple[int, list[Event]]]:
        """Take the next samples of some streams.

        Args:
            rows: int64[n], each at most once.
            chunks: int16[n, CHUNK_CAPACITY].
            lengths: int64[n], samples of each that count.

        Returns:
            Row and events, in order, of those streams that have some.
        """
        first = self._tapes.lengths[rows] // WINDOW
        self._tapes.write(rows, chunks, lengths)
        look = self._look(rows, first, self._tapes.lengths[rows] // WINDOW)
        concerned = (look.last > first) & (self._open[rows] | look.loud.any(axis=1))
        return [(int(rows[index]), events)
                for index, events in self._hear(look, np.flatnonzero(concerned).tolist()).items()
                if events]

    def finish(self, row: int) -> list[Event]:
        """End the stretch of a row: a window that is not whole is judged with zeros behind."""
        length = int(self._tapes.lengths[row])
        rest = length % WINDOW
        if not rest:
            return self._segmenters[row].finish(length, np.zeros(0, np.int16), 0.0)
        rows, last = np.array([row]), length // WINDOW
        zeros = np.zeros((1, CHUNK_CAPACITY), np.int16)
        self._tapes.write(rows, zeros, np.array([WINDOW - rest]))
        self._tapes.lengths[row] = length
        look = self._look(rows, np.array([last]), np.array([last + 1]))
        part = self._part(look, 0, last)
        if part is None:
            return self._segmenters[row].finish(length, np.zeros(0, np.int16), 0.0)
        windows, (values,) = self._judge(look, [part])
        events: list[Event] = []
        if last > part.first:
            events = self._segmenters[row].hear(
                part.first * WINDOW, windows[:-1, 0], values[:-1])
        return events + self._segmenters[row].finish(
            last * WINDOW, windows[-1, 0, :rest], values[-1])

    def _segmenter(self, row: int) -> Segmenter:
        return Segmenter(
            self._cutting, lambda begin, end: self._tapes.read(row, begin, end))

    def _look(self, rows: Integers, first: Integers, last: Integers) -> _Look:
        """Hold the new windows against the room of their streams."""
        counts = last - first
        steps = np.arange(_MOST)
        there = steps < counts[:, None]
        windows = first[:, None] + steps
        power = np.zeros(there.shape)
        power[there] = energies(
            self._tapes.frames(np.repeat(rows, counts), windows[there])[:, CONTEXT:])
        loud = self._gate.loud(rows, power, counts)
        loud_at = np.maximum.accumulate(
            np.where(loud, windows, self._loud_at[rows][:, None]), axis=1)
        self._loud_at[rows] = loud_at[:, -1]
        return _Look(rows, first, last, loud, there & (windows - loud_at >= _HOLD))

    def _hear(self, look: _Look, concerned: list[int]) -> dict[int, list[Event]]:
        """Carry the windows of some streams on to their segmenters; return events by stream."""
        events: dict[int, list[Event]] = {index: [] for index in concerned}
        since = dict(zip(concerned, look.first[concerned].tolist(), strict=True))
        while since:
            parts = [self._part(look, index, window) for index, window in since.items()]
            since = {}
            for group in _of_one_size([part for part in parts if part is not None]):
                windows, values = self._judge(look, group)
                for column, (index, first, last) in enumerate(group):
                    row = int(look.rows[index])
                    events[index] += self._segmenters[row].hear(
                        first * WINDOW, windows[:, column], values[column])
                    self._judged[row] = last
                    step = last - 1 - int(look.first[index])
                    if look.stale[index, step] and not self._segmenters[row].speaking:
                        self._open[row] = False
                    if last < look.last[index]:
                        since[index] = last
        return events

    def _part(self, look: _Look, index: int, since: int) -> _Stretch | None:
        """Find what is to be judged next of a stream; None if the gate stays shut to the end.

        The gate can shut after a stale window at which nobody speaks any more: what comes behind
        is judged apart, since the detector must not remember windows that it was to be spared.
        """
        row, before = look.rows[index], int(look.first[index])
        first = since
        if not self._open[row]:
            loud = np.flatnonzero(look.loud[index, since - before:])
            if not loud.size:
                return None
            since += int(loud[0])
            first = max(since - _RUN_IN, int(self._judged[row]))
            self._open[row] = True
        secure = first + -(-self._segmenters[row].secure // WINDOW)
        begin = max(since, secure - 1) - before
        stale = np.flatnonzero(look.stale[index, begin:])
        last = before + begin + int(stale[0]) + 1 if stale.size else int(look.last[index])
        return _Stretch(index, first, last)

    def _judge(
        self, look: _Look, parts: list[_Stretch],
    ) -> tuple[Samples, list[list[float]]]:
        """Run the detector over parts of one size.

        Returns:
            The windows int16[windows, parts, WINDOW], and the probabilities of each part.
        """
        index, first, last = np.array(parts).T
        rows = look.rows[index]
        numbers = first + np.arange(last[0] - first[0])[:, None]
        frames = self._tapes.frames(rows, numbers)
        found = self._tracks.probabilities(rows, frames)
        values: list[list[float]] = found.T.tolist()
        return frames[..., CONTEXT:], values


def _of_one_size(parts: list[_Stretch]) -> list[list[_Stretch]]:
    """Group parts by how many windows they have."""
    groups: dict[int, list[_Stretch]] = {}
    for part in parts:
        groups.setdefault(part.last - part.first, []).append(part)
    return list(groups.values())
