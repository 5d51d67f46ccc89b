"""Which of the chunks that come in under one stream's name belong to it, and when they were.

Decided from sequence numbers and stamps alone, without a clock: a replay is judged like the
original, at any pace. A chunk that does not fit is held until the next ones tell what it was:

    the old numbering goes on       it was late, doubled, or from a second publisher: dropped
    the held ones go on (4 in row)  the publisher began again, or its clock was set: taken over

so that nothing is lost at a restart, and the first of two publishers is kept.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import NamedTuple

from xlerobot_asr_opt.core.clocks import NS, REMEMBERED, SMOOTHING, TOLERANCE_NS, Clocks
from xlerobot_asr_opt.records import Chunk

__all__ = ['Arrival', 'Continuity', 'Link']

_LONGEST_FILL_NS = 250_000_000
"""Holes up to this length are filled with silence."""
_LARGEST_HOLE = 1000
"""Chunks; a larger step of the sequence is no hole but another numbering."""
_CONVINCING = 4
"""Chunks in a row that make a new numbering or a new time base."""
_PATIENCE = 32
"""Chunks that do not fit, in a row, after which the newest of them is followed in any case."""
_NUMBERS = 2**64
"""Sequence numbers that there are."""


class Link(enum.Enum):
    """How a chunk follows the one that was taken before it."""

    FIRST = 'first'
    """It begins a session: the first chunk, or the publisher began again."""
    NEXT = 'next'
    """It follows without a gap."""
    FILL = 'fill'
    """A few chunks are missing: silence of Arrival.fill frames stands in for them."""
    BREAK = 'break'
    """Audio is missing, or the clock was set: the speech before it has ended."""


class Arrival(NamedTuple):
    """A chunk that is taken.

    Attributes:
        chunk: it.
        link: how it follows.
        time_ns: ROS time of its first sample by the stream's own clock [ns].
        missing: chunks lost in front of it.
        fill: frames of silence in front of it.
    """

    chunk: Chunk
    link: Link
    time_ns: int
    missing: int = 0
    fill: int = 0


class _Heard(NamedTuple):
    """What is remembered of a chunk: its samples may be loaned and are not."""

    sequence: int
    stamp_ns: int
    length_ns: int
    form: tuple[int, int]


class Continuity:
    """Judges the chunks of one stream.

    Attributes:
        missing: chunks that the sequence numbers show as lost.
        duplicated: chunks that came again, or late, or from another publisher, and were dropped.
        refused: chunks of another rate or channel count than their session, dropped.
        remarks: what should be told to a person, in words; the reader empties it.
    """

    def __init__(self, clocks: Clocks | None = None, row: int = 0) -> None:
        """Begin with no chunk.

        Args:
            clocks: keep the place of this stream among many; None: of its own.
            row: of the stream in them.
        """
        self._clock = (clocks or Clocks(1)).begin(row)
        self.missing = 0
        self.duplicated = 0
        self.refused = 0
        self.remarks: list[str] = []
        self._held: list[Chunk] = []
        self._rival: _Heard | None = None
        self._held_is_rivals = False

    @property
    def end_ns(self) -> int:
        """ROS time after the last sample taken, by the stream's own clock [ns]."""
        return int(self._clock['end_ns'])

    @property
    def holding(self) -> bool:
        """Whether chunks wait for others that tell what they are."""
        return bool(self._held)

    def sort(self, chunk: Chunk) -> list[Arrival]:
        """Take a valid chunk of the stream; return those that are to be heard now, in order."""
        last = self._last
        if last is None:
            return [self._take(chunk, Link.FIRST)]
        goes_on = bool(self._held) and _follows(_heard(self._held[-1]), chunk)
        if _heard(chunk).form != last.form and chunk.sequence > last.sequence and not goes_on:
            return self._refuse(chunk, last)
        if self._heals(chunk, last):
            held = self._let_go()
            return [self._take(item, Link.NEXT) for item in (*held, chunk)]
        arrival = self._next(chunk, last)
        if arrival is None and not goes_on:
            arrival = self._after_hole(chunk, last)
        if arrival is None:
            return self._hold(chunk, goes_on=goes_on)
        self._drop_held()
        return [arrival]

    def flush(self) -> list[Arrival]:
        """Decide about the chunks that are held, since no others come."""
        if self._held_is_rivals or not self._strangers():
            self._drop_held()
        return self._follow_held() if self._held else []

    # What fits

    def _next(self, chunk: Chunk, last: _Heard) -> Arrival | None:
        """Take the chunk if it goes on where the last one ended."""
        if (chunk.sequence != last.sequence + 1
                or abs(self._error(chunk, self.end_ns)) > TOLERANCE_NS
                or self._is_rivals(chunk)):
            return None
        return self._take(chunk, Link.NEXT)

    def _after_hole(self, chunk: Chunk, last: _Heard) -> Arrival | None:
        """Take the chunk if stamp and sequence agree on what is lost in front of it."""
        step = chunk.sequence - last.sequence - 1
        if not 1 <= step <= _LARGEST_HOLE or self._is_rivals(chunk):
            return None
        gap_ns = step * last.length_ns
        lost_ns = self._error(chunk, self.end_ns) if self._is_timed(chunk) else gap_ns
        if not _agree(gap_ns, lost_ns):
            return None
        if lost_ns > _LONGEST_FILL_NS:
            return self._take(chunk, Link.BREAK, missing=step)
        fill = (max(lost_ns, 0) * chunk.rate + NS // 2) // NS
        return self._take(chunk, Link.FILL, missing=step, fill=fill)

    def _heals(self, chunk: Chunk, last: _Heard) -> bool:
        """Tell whether the chunk shows the held ones to have had a wrong stamp only."""
        if not self._held or self._held[0].sequence != last.sequence + 1:
            return False
        due_ns = self.end_ns + sum(_heard(item).length_ns for item in self._held)
        before = _heard(self._held[-1])
        return (chunk.sequence == before.sequence + 1
                and self._is_timed(chunk) and abs(chunk.stamp_ns - due_ns) <= TOLERANCE_NS
                and not _follows(before, chunk))

    def _is_rivals(self, chunk: Chunk) -> bool:
        """Tell whether the chunk goes on from a stranger better than from the last."""
        rival = self._rival
        if rival is None or chunk.sequence != rival.sequence + 1:
            return False
        theirs = abs(chunk.stamp_ns - rival.stamp_ns - rival.length_ns)
        return theirs < abs(chunk.stamp_ns - self.end_ns)

    # What does not

    def _refuse(self, chunk: Chunk, last: _Heard) -> list[Arrival]:
        self.refused += 1
        self.remarks.append(
            f'got {chunk.channels} channels at {chunk.rate} Hz in a session of {last.form[1]} at '
            f'{last.form[0]} Hz: dropped; a publisher that changes them begins again at '
            f'sequence 0')
        return []

    def _hold(self, chunk: Chunk, *, goes_on: bool) -> list[Arrival]:
        if not goes_on:
            self._drop_held()
            rival = self._rival
            self._held_is_rivals = rival is not None and chunk.sequence == rival.sequence + 1
        self._held.append(dataclasses.replace(chunk, samples=chunk.samples.copy()))
        if not self._was_taken(chunk):
            self._watch(_heard(chunk))
        clock = self._clock
        clock['held'] += 1
        clock['misfits'] += 1
        convinced = clock['held'] >= _CONVINCING or clock['misfits'] >= _PATIENCE
        return self._follow_held() if convinced else []

    def _drop_held(self) -> None:
        strangers = self._strangers()
        if strangers:
            self.remarks.append(
                f'chunk {strangers[0].sequence} does not follow: it is late, or a second '
                f'publisher uses the name of this stream; the first one is kept')
        self.duplicated += len(self._let_go())

    def _strangers(self) -> list[Chunk]:
        """List the held chunks that are no copies of what was taken."""
        return [item for item in self._held if not self._was_taken(item)]

    def _was_taken(self, chunk: Chunk) -> bool:
        clock = self._clock
        known = slice(min(int(clock['taken']), REMEMBERED))
        return bool(((clock['sequences'][known] == chunk.sequence)
                     & (clock['stamps_ns'][known] == chunk.stamp_ns)).any())

    def _watch(self, rival: _Heard | None) -> None:
        """Remember the newest stranger."""
        self._rival = rival
        self._clock['rival'] = rival is not None
        if rival is not None:
            self._clock['rival_next'] = (rival.sequence + 1) % _NUMBERS

    def _let_go(self) -> list[Chunk]:
        """Hold nothing any more; return what was held."""
        held, self._held = self._held, []
        self._clock['held'] = 0
        return held

    def _follow_held(self) -> list[Arrival]:
        """Take the held chunks as what the stream is from now on."""
        held = self._let_go()
        self._watch(None)
        return [self._turn(held[0]), *(self._take(item, Link.NEXT) for item in held[1:])]

    def _turn(self, chunk: Chunk) -> Arrival:
        """Take the first chunk of a new numbering or a new time base."""
        last = self._last
        step = chunk.sequence - last.sequence - 1 if last else -1
        jump_ns = self._error(chunk, self.end_ns)
        gap_ns = step * last.length_ns if last else 0
        if step < 0 or (step > _LARGEST_HOLE and not _agree(gap_ns, jump_ns)):
            self.remarks.append(
                f'the publisher began again, at sequence {chunk.sequence}: a new session')
            return self._take(chunk, Link.FIRST)
        if jump_ns < -TOLERANCE_NS:
            self.remarks.append(
                f'stamps jumped back by {-jump_ns / NS:.3f} s: times go on by the count of '
                f'samples, since they never run backwards')
            self._clock['coasting'] = True
        elif jump_ns > TOLERANCE_NS:
            self.remarks.append(f'stamps jumped ahead by {jump_ns / NS:.3f} s')
        whole = step == 0 and jump_ns <= TOLERANCE_NS
        return self._take(chunk, Link.NEXT if whole else Link.BREAK, missing=step)

    # The stream's own clock

    @property
    def _last(self) -> _Heard | None:
        """The newest chunk that was taken."""
        clock = self._clock
        if not clock['taken']:
            return None
        return _Heard(
            int(clock['sequence']), int(clock['stamp_ns']), int(clock['length_ns']),
            (int(clock['rate']), int(clock['channels'])))

    def _take(self, chunk: Chunk, link: Link, missing: int = 0, fill: int = 0) -> Arrival:
        time_ns = self._time(chunk, link, fill)
        self.missing += missing
        clock, heard = self._clock, _heard(chunk)
        place = clock['taken'] % REMEMBERED
        clock['taken'] += 1
        clock['misfits'] = 0
        clock['sequence'] = clock['sequences'][place] = chunk.sequence
        clock['stamp_ns'] = clock['stamps_ns'][place] = chunk.stamp_ns
        clock['length_ns'] = heard.length_ns
        clock['rate'], clock['channels'] = heard.form
        clock['begin_ns'] = time_ns
        clock['end_ns'] = time_ns + heard.length_ns
        return Arrival(chunk, link, time_ns, missing, fill)

    def _time(self, chunk: Chunk, link: Link, fill: int) -> int:
        """Set the stream's clock by a chunk; return the time of its first sample."""
        due_ns = self.end_ns + fill * NS // chunk.rate
        if link is Link.FIRST or chunk.stamp_ns >= due_ns - TOLERANCE_NS:
            self._clock['coasting'] = False
        if link is Link.FIRST:
            return chunk.stamp_ns
        if link is Link.BREAK:
            return max(due_ns, chunk.stamp_ns)
        error_ns = self._error(chunk, due_ns)
        if abs(error_ns) > TOLERANCE_NS:
            return due_ns
        return max(due_ns + int(error_ns / SMOOTHING), int(self._clock['begin_ns']))

    def _error(self, chunk: Chunk, due_ns: int) -> int:
        """Return how far the stamp is ahead of the count of samples; 0 if it says nothing."""
        return chunk.stamp_ns - due_ns if self._is_timed(chunk) else 0

    def _is_timed(self, chunk: Chunk) -> bool:
        """Tell whether the stamp says anything.

        0 is a publisher that gives none; behind the stream's clock it was set back before.
        """
        behind = chunk.stamp_ns < self.end_ns - TOLERANCE_NS
        return chunk.stamp_ns != 0 and not (self._clock['coasting'] and behind)


def _heard(chunk: Chunk) -> _Heard:
    frames = chunk.samples.size // chunk.channels
    return _Heard(chunk.sequence, chunk.stamp_ns, frames * NS // chunk.rate,
                  (chunk.rate, chunk.channels))


def _agree(gap_ns: int, lost_ns: int) -> bool:
    """Tell whether what the sequence shows as lost and what the stamps show can be the same."""
    return gap_ns // 2 - TOLERANCE_NS <= lost_ns <= 2 * gap_ns + TOLERANCE_NS


def _follows(before: _Heard, chunk: Chunk) -> bool:
    due_ns = before.stamp_ns + before.length_ns
    return (chunk.sequence == before.sequence + 1
            and (chunk.rate, chunk.channels) == before.form
            and (not chunk.stamp_ns or abs(chunk.stamp_ns - due_ns) <= TOLERANCE_NS))
