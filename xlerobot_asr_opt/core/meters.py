"""Length, clipping, offset and digital silence of every stream, read off the chunks taken."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.core.audio import FULL_SCALE, count_clipped, is_silent, peaks
from xlerobot_asr_opt.core.microphone_faults import OFFSET, REMEDIES
from xlerobot_asr_opt.records import Fault

__all__ = ['Meters']

_FULL = 32767
"""A chunk whose peak is below this has no clipped sample."""
_CLIPPING_PAUSE_S = 10.0
"""Clipping is told once in this much audio."""
_SETTLING_S = 5.0
"""Time constant of the mean of the samples: speech has none over so long."""

METER = np.dtype([
    ('position_s', np.float64), ('clipped', np.int64), ('sounded_s', np.float64),
    ('silence_told', np.bool_), ('clipping_told_s', np.float64), ('mean', np.float64),
    ('offset_told', np.bool_)])
"""Of one stream: audio so far; samples at full scale; where it was not digitally silent last, and
whether that was told; where clipping was told last; the mean of its samples over the last seconds,
and whether its offset was told."""


class Meters:
    """The meters of a number of streams, each at its row.

    Attributes:
        records: METER[rows].
    """

    def __init__(self, rows: int, silence_warning_s: float) -> None:
        self.records = np.zeros(rows, METER)
        self._silence_warning_s = silence_warning_s

    def begin(self, row: int) -> None:
        """Begin a stream."""
        self.records[row] = (0.0, 0, 0.0, False, -np.inf, 0.0, False)

    def read(
        self, rows: npt.NDArray[np.int64], samples: npt.NDArray[np.int16],
        sizes: npt.NDArray[np.int64], lengths_s: npt.NDArray[np.float64],
    ) -> list[tuple[int, str]]:
        """Take the next chunk of each row.

        Args:
            rows: int64[n], each at most once.
            samples: int16[n, most], with zeros behind what is shorter than the longest.
            sizes: int64[n], samples of each that count.
            lengths_s: float64[n] [s].

        Returns:
            Row and words of what should be told to a person.
        """
        records, loudest = self.records, peaks(samples)
        records['position_s'][rows] += lengths_s
        position_s = records['position_s'][rows]
        silent = is_silent(loudest)
        sounds = rows[~silent]
        records['sounded_s'][sounds] = position_s[~silent]
        records['silence_told'][sounds] = False
        remarks = []
        if silent.any():
            remarks += self._warn_of_silence(rows[silent])
        for index in np.flatnonzero(loudest >= _FULL).tolist():
            remarks += self._count_clipped(int(rows[index]), samples[index])
        means = samples.sum(axis=1, dtype=np.int64) / sizes
        records['mean'][rows] += (means - records['mean'][rows]) * np.minimum(
            lengths_s / _SETTLING_S, 1.0)
        offset = np.abs(records['mean'][rows]) > OFFSET
        if offset.any():
            remarks += self._warn_of_offset(rows[offset])
        return remarks

    def faults(self, row: int) -> Fault:
        """Return what is wrong with a stream now."""
        meter, faults = self.records[row], Fault.NONE
        if meter['silence_told']:
            faults |= Fault.SILENT
        if meter['position_s'] - meter['clipping_told_s'] < _CLIPPING_PAUSE_S:
            faults |= Fault.CLIPPING
        if abs(meter['mean']) > OFFSET:
            faults |= Fault.OFFSET
        return faults

    def _warn_of_offset(self, rows: npt.NDArray[np.int64]) -> list[tuple[int, str]]:
        due = rows[~self.records['offset_told'][rows]]
        self.records['offset_told'][due] = True
        return [(row, f'{REMEDIES[Fault.OFFSET]} (a mean of '
                      f'{self.records["mean"][row] / FULL_SCALE:+.1%} of full scale)')
                for row in due.tolist()]

    def _warn_of_silence(self, rows: npt.NDArray[np.int64]) -> list[tuple[int, str]]:
        records = self.records[rows]
        silent_s = records['position_s'] - records['sounded_s']
        due = (silent_s >= self._silence_warning_s) & ~records['silence_told']
        self.records['silence_told'][rows[due]] = True
        return [(row, f'{REMEDIES[Fault.SILENT]} (for {seconds:.0f} s)')
                for row, seconds in zip(rows[due].tolist(), silent_s[due], strict=True)]

    def _count_clipped(
        self, row: int, samples: npt.NDArray[np.int16],
    ) -> list[tuple[int, str]]:
        clipped, meter = count_clipped(samples), self.records[row]
        meter['clipped'] += clipped
        if meter['position_s'] - meter['clipping_told_s'] < _CLIPPING_PAUSE_S:
            return []
        meter['clipping_told_s'] = meter['position_s']
        return [(row, f'{REMEDIES[Fault.CLIPPING]} ({clipped} samples of one chunk at full '
                      f'scale)')]
