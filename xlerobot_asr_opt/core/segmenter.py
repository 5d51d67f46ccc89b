"""Cuts one gapless stretch of audio into utterances.

The segmenter sees samples and speech probabilities only, counts in samples, and knows no clock:
the same samples give the same segments, in whatever chunks and at whatever pace they come.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.core.vad import WINDOW
from xlerobot_asr_opt.records import SAMPLE_RATE

__all__ = [
    'Audio', 'Begin', 'Click', 'Cutting', 'End', 'Event', 'Pause', 'Segmenter', 'Split',
]

_HYSTERESIS = 0.15
_LOWEST_RELEASE = 0.01
_TAIL_S = 0.2
_SEARCH_S = 5.0
_FRAME = 128
"""Samples of one frame of the search for the quietest point: 8 ms."""
_SMOOTHED = 5
"""Frames that are averaged in it: 40 ms, longer than the closure of a plosive is deep."""


@dataclass(frozen=True)
class Cutting:
    """How utterances are cut. Lengths in samples; see IngestParameters for their meaning."""

    threshold: float = 0.5
    pre_roll: int = SAMPLE_RATE // 4
    hangover: int = SAMPLE_RATE // 2
    shortest: int = SAMPLE_RATE // 10
    longest: int = 28 * SAMPLE_RATE

    @cached_property
    def release(self) -> float:
        """Probability below which a window counts as silence."""
        return max(self.threshold - _HYSTERESIS, _LOWEST_RELEASE)

    @cached_property
    def tail(self) -> int:
        """Silence that is kept behind the last speech, out of the hangover."""
        return min(self.hangover, round(_TAIL_S * SAMPLE_RATE))

    @cached_property
    def search(self) -> int:
        """Length in front of a split in which the quietest point is looked for."""
        return min(round(_SEARCH_S * SAMPLE_RATE), self.longest // 2)

    @cached_property
    def unsplit(self) -> int:
        """Length up to which no sample can come to lie in the search of a split."""
        return self.longest - self.search - 3 * WINDOW


class Begin(NamedTuple):
    """An utterance begins at this sample of the stretch; its Audio follows."""

    at: int


class Audio(NamedTuple):
    """The next samples of the running utterance, int16[n]; valid until the next push."""

    samples: npt.NDArray[np.int16]


class Split(NamedTuple):
    """The utterance has become too long: one segment ends at this sample, the next begins."""

    at: int


class Pause(NamedTuple):
    """Nobody speaks: the utterance ends before this sample, unless somebody goes on."""

    at: int


class End(NamedTuple):
    """The utterance ends before this sample; Audio beyond it is dropped."""

    at: int
    interrupted: bool


class Click(NamedTuple):
    """What had begun was too short to be speech: forget it."""


Event = Begin | Audio | Split | Pause | End | Click


class Segmenter:
    """Turns the judged windows of one stretch into events.

    Between a Begin and its End or Click lies the Audio from sample Begin.at on, without a hole;
    the last Audio may reach beyond End.at. Segments do not overlap, and none is longer than
    Cutting.longest. Without a speech window no Begin. A pause as long as the tail that is kept of
    it is told once, before it is long enough to be the end.
    """

    def __init__(
        self, cutting: Cutting, past: Callable[[int, int], npt.NDArray[np.int16]],
    ) -> None:
        """Begin a stretch.

        Args:
            cutting: how utterances are cut.
            past: gives the samples of the stretch between two positions, as far back as the
                pre-roll reaches.
        """
        self._cutting = cutting
        self._past = past
        self._position = 0
        self._free = 0
        self._utterance: _Utterance | None = None

    @property
    def speaking(self) -> int:
        """Samples since the begin of the running utterance; 0: nobody speaks."""
        return self._position - self._utterance.begin if self._utterance else 0

    @property
    def secure(self) -> int:
        """Samples behind the last window before which the running utterance cannot end."""
        utterance = self._utterance
        if utterance is None:
            return 0
        return min(self._cutting.hangover - (self._position - utterance.speech_end),
                   self._cutting.longest - (self._position - utterance.begin))

    def hear(
        self, at: int, windows: npt.NDArray[np.int16], probabilities: Sequence[float],
    ) -> list[Event]:
        """Take the next windows; return what they bring, in order.

        Args:
            at: position of the first; only while nobody speaks may some before it be left out,
                in which there was no speech.
            windows: int16[n, WINDOW].
            probabilities: n, of speech.
        """
        self._position = at
        if self._utterance is None and max(probabilities) < self._cutting.threshold:
            self._position += windows.size
            return []
        if self._utterance is not None and self._simply_speaks(
                self._utterance, windows, probabilities):
            return self._take(self._utterance, windows.reshape(-1), speech=True)
        events: list[Event] = []
        run = 0
        for index, probability in enumerate(probabilities):
            brought = self._hear(windows[index], probability)
            if len(brought) == 1 and index > run and type(brought[0]) is Audio:
                # Windows in a row are one piece of audio.
                events[-1] = Audio(windows[run:index + 1].reshape(-1))
                continue
            events += brought
            run = index if brought and type(brought[-1]) is Audio else index + 1
        return events

    def finish(
        self, at: int, rest: npt.NDArray[np.int16], probability: float,
    ) -> list[Event]:
        """End the stretch.

        Args:
            at: position of the rest.
            rest: int16[n], what has not made a whole window; may be empty.
            probability: of speech in it.
        """
        events: list[Event] = []
        if rest.size:
            self._position = at
            events = self._hear(rest, probability)
        if self._utterance is not None:
            events.append(self._end(self._utterance))
        return events

    def _hear(self, window: npt.NDArray[np.int16], probability: float) -> list[Event]:
        if self._utterance is not None:
            return self._go_on(self._utterance, window, probability)
        if probability >= self._cutting.threshold:
            return self._begin(window)
        self._position += window.size
        return []

    def _simply_speaks(
        self, utterance: _Utterance, windows: npt.NDArray[np.int16],
        probabilities: Sequence[float],
    ) -> bool:
        """Tell whether all windows are speech that is far from being too long."""
        end = self._position + windows.size
        return (min(probabilities) >= self._cutting.threshold
                and end - utterance.begin <= self._cutting.unsplit)

    def _begin(self, window: npt.NDArray[np.int16]) -> list[Event]:
        roll = min(self._cutting.pre_roll, self._position - self._free,
                   self._cutting.longest // 2)
        begin = self._position - roll
        before = [Audio(self._past(begin, self._position))] if roll else []
        self._utterance = _Utterance(begin, self._position, self._cutting.search)
        return [Begin(begin), *before, *self._take(self._utterance, window, speech=True)]

    def _go_on(
        self, utterance: _Utterance, window: npt.NDArray[np.int16], probability: float,
    ) -> list[Event]:
        cutting = self._cutting
        events: list[Event] = []
        if self._position + window.size - utterance.begin > cutting.longest:
            if self._position - utterance.speech_end >= cutting.tail:
                # A pause has begun: a split would announce speech that may not come.
                return [self._end(utterance), *self._hear(window, probability)]
            events.append(self._split(utterance))
        quiet = utterance.quiet and probability < cutting.threshold
        speech = not quiet and probability >= cutting.release
        events += self._take(utterance, window, speech=speech)
        silence = self._position - utterance.speech_end
        if silence >= cutting.hangover:
            events.append(self._end(utterance))
        elif silence >= cutting.tail and not utterance.paused and not self._is_click(utterance):
            utterance.paused = True
            events.append(Pause(utterance.speech_end + cutting.tail))
        return events

    def _take(
        self, utterance: _Utterance, window: npt.NDArray[np.int16], *, speech: bool,
    ) -> list[Event]:
        self._position += window.size
        if self._position - utterance.begin > self._cutting.unsplit:
            utterance.hear(window, self._position)
        utterance.quiet = not speech
        if speech:
            utterance.speech_end = self._position
            utterance.paused = False
        return [Audio(window)]

    def _split(self, utterance: _Utterance) -> Split:
        """Cut where it is quietest, so that the rest still ends in speech."""
        earliest = self._position - self._cutting.search
        latest = max(earliest, utterance.speech_end - self._cutting.shortest)
        at = utterance.quietest(earliest, latest)
        utterance.begin_again(at)
        return Split(at)

    def _end(self, utterance: _Utterance) -> Event:
        self._utterance = None
        if self._is_click(utterance):
            return Click()
        self._free = min(self._position, utterance.speech_end + self._cutting.tail)
        return End(self._free, interrupted=not utterance.quiet)

    def _is_click(self, utterance: _Utterance) -> bool:
        heard = utterance.speech_end - utterance.speech_begin
        return heard < self._cutting.shortest and not utterance.continued


class _Utterance:
    """What is remembered of the running utterance. Positions count in samples of the stretch.

    Attributes:
        begin: first sample, pre-roll included; after a split, of the newest segment.
        speech_begin: first sample of the first speech window.
        speech_end: end of the last speech window.
        quiet: the newest window was silence.
        paused: the pause that runs was told.
        continued: it was split before.
    """

    def __init__(self, begin: int, speech_begin: int, search: int) -> None:
        self.begin = begin
        self.speech_begin = speech_begin
        self.speech_end = speech_begin
        self.quiet = False
        self.paused = False
        self.continued = False
        self._end = 0
        self._energies: deque[int] = deque(maxlen=search // _FRAME + _SMOOTHED)

    def hear(self, window: npt.NDArray[np.int16], end: int) -> None:
        """Note how loud the window is that ends here."""
        if end - window.size != self._end:
            self._energies.clear()
        self._end = end
        whole = window[:window.size - window.size % _FRAME].astype(np.int64)
        self._energies.extend((whole.reshape(-1, _FRAME)**2).sum(axis=1).tolist())

    def quietest(self, earliest: int, latest: int) -> int:
        """Return the middle of the quietest 40 ms in a range, the last one of equals."""
        energies = np.array(self._energies, np.int64)
        sums = np.convolve(energies, np.ones(_SMOOTHED, np.int64), mode='valid')
        first = self._end - energies.size * _FRAME + _SMOOTHED * _FRAME // 2
        middles = first + _FRAME * np.arange(sums.size)
        inside = (middles >= earliest) & (middles <= latest)
        if not inside.any():
            return latest
        last = inside.sum() - 1 - int(np.argmin(sums[inside][::-1]))
        return int(middles[inside][last])

    def begin_again(self, at: int) -> None:
        """Go on as a new segment."""
        self.begin = at
        self.continued = True
