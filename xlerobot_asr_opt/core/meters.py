"""Length, clipping and digital silence of every stream, read off the chunks taken."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.core.audio import count_clipped, is_silent, peaks

__all__ = ['Meters']

_FULL = 32767
"""A chunk whose peak is below this has no clipped sample."""
_CLIPPING_PAUSE_S = 10.0
"""Clipping is told once in this much audio."""

METER = np.dtype([
    ('position_s', np.float64), ('clipped', np.int64), ('sounded_s', np.float64),
    ('silence_told', np.bool_), ('clipping_told_s', np.float64)])
"""Of one stream: audio so far; samples at full scale; where it was not digitally silent last, and
whether that was told; where clipping was told last."""


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
        self.records[row] = (0.0, 0, 0.0, False, -np.inf)

    def read(
        self, rows: npt.NDArray[np.int64], samples: npt.NDArray[np.int16],
        lengths_s: npt.NDArray[np.float64],
    ) -> list[tuple[int, str]]:
        """Take the next chunk of each row.

        Args:
            rows: int64[n], each at most once.
            samples: int16[n, most], with zeros behind what is shorter than the longest.
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
        return remarks

    def _warn_of_silence(self, rows: npt.NDArray[np.int64]) -> list[tuple[int, str]]:
        records = self.records[rows]
        silent_s = records['position_s'] - records['sounded_s']
        due = (silent_s >= self._silence_warning_s) & ~records['silence_told']
        self.records['silence_told'][rows[due]] = True
        return [(row, f'digitally silent for {seconds:.0f} s: a muted or unplugged microphone')
                for row, seconds in zip(rows[due].tolist(), silent_s[due], strict=True)]

    def _count_clipped(
        self, row: int, samples: npt.NDArray[np.int16],
    ) -> list[tuple[int, str]]:
        clipped, meter = count_clipped(samples), self.records[row]
        meter['clipped'] += clipped
        if meter['position_s'] - meter['clipping_told_s'] < _CLIPPING_PAUSE_S:
            return []
        meter['clipping_told_s'] = meter['position_s']
        return [(row, f'clipping: {clipped} samples of one chunk at full scale; lower the gain')]
