"""Where all streams stand: the newest chunk that was taken of each, and its time.

Nearly every chunk is the next of its stream, in its form and at its time. Those are recognised and
taken here, whole batches of them by a handful of array operations. Every other chunk is judged on
its own, by the stream's Continuity, which keeps its place in the same records.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.records import SAMPLE_RATE

__all__ = ['CLOCK', 'NS', 'REMEMBERED', 'SMOOTHING', 'TOLERANCE_NS', 'Clocks']

NS = 1_000_000_000
TOLERANCE_NS = 200_000_000
"""A stamp that is further from the count of samples does not fit."""
REMEMBERED = 16
"""Chunks that are remembered, to tell a copy of one from a stranger."""
SMOOTHING = 64
"""Stamps within the tolerance pull the stream's clock by this fraction of their error."""

CLOCK = np.dtype([
    ('taken', np.int64), ('sequence', np.uint64), ('stamp_ns', np.int64),
    ('length_ns', np.int64), ('rate', np.int64), ('channels', np.int64),
    ('begin_ns', np.int64), ('end_ns', np.int64), ('coasting', np.bool_),
    ('misfits', np.int64), ('held', np.int64),
    ('rival', np.bool_), ('rival_next', np.uint64),
    ('sequences', np.uint64, (REMEMBERED,)), ('stamps_ns', np.int64, (REMEMBERED,))])
"""Of one stream: chunks taken so far; sequence, stamp, length and form of the last; ROS time of
its begin and end by the stream's own clock; whether stamps that are behind it say nothing; chunks
in a row that did not fit, and how many of them are held; whether there is a rival, and its next
sequence; sequence and stamp of the newest chunks, each at the place of its number modulo 16."""

Integers = npt.NDArray[np.int64]


class Clocks:
    """The clocks of a number of streams, each at its row of records, CLOCK[rows]."""

    def __init__(self, rows: int) -> None:
        self.records: npt.NDArray[Any] = np.zeros(rows, CLOCK)

    def begin(self, row: int) -> Any:
        """Begin anew at a row; return its record, which may be written."""
        self.records[row] = np.zeros((), CLOCK)
        return self.records[row]

    def follow(
        self, rows: Integers, sequence: npt.NDArray[np.uint64], stamp_ns: Integers,
    ) -> npt.NDArray[np.bool_]:
        """Tell which chunks of 16 kHz mono simply go on where the last one of their row ended.

        Args:
            rows: int64[n] of the chunks' streams, each at most once.
            sequence: uint64[n].
            stamp_ns: int64[n].

        Returns:
            bool[n]; Continuity.sort() would return each of these alone, as Link.NEXT.
        """
        last = self.records[rows]
        fits: npt.NDArray[np.bool_] = (
            (last['taken'] > 0) & (last['held'] == 0)
            & (last['rate'] == SAMPLE_RATE) & (last['channels'] == 1)
            & (sequence == last['sequence'] + np.uint64(1)) & (sequence > 0)
            & ~(last['rival'] & (sequence == last['rival_next']))
            & (np.abs(_error(last, stamp_ns)) <= TOLERANCE_NS))
        return fits

    def take(
        self, rows: Integers, sequence: npt.NDArray[np.uint64], stamp_ns: Integers,
        length: Integers,
    ) -> Integers:
        """Take chunks that follow; return the ROS time of their first samples, int64[n] [ns]."""
        last = self.records[rows]
        due_ns = last['end_ns'].copy()
        pull_ns = np.trunc(_error(last, stamp_ns) / SMOOTHING).astype(np.int64)
        time_ns: Integers = np.maximum(due_ns + pull_ns, last['begin_ns'])
        place = last['taken'] % REMEMBERED
        each = np.arange(rows.size)
        last['taken'] += 1
        last['sequence'] = last['sequences'][each, place] = sequence
        last['stamp_ns'] = last['stamps_ns'][each, place] = stamp_ns
        last['length_ns'] = length * NS // SAMPLE_RATE
        last['begin_ns'] = time_ns
        last['end_ns'] = time_ns + last['length_ns']
        last['coasting'] &= stamp_ns < due_ns - TOLERANCE_NS
        last['misfits'] = 0
        self.records[rows] = last
        return time_ns


def _error(last: npt.NDArray[Any], stamp_ns: Integers) -> Integers:
    """How far each stamp is ahead of the count of samples; 0 if it says nothing."""
    ahead = stamp_ns - last['end_ns']
    timed = (stamp_ns != 0) & ~(last['coasting'] & (ahead < -TOLERANCE_NS))
    return np.where(timed, ahead, 0)
