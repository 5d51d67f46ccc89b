"""Spares the detector what is no louder than the room: an energy gate for each stream.

The room is what the stream itself was at its quietest, over the last two to four seconds (minimum
statistics: speech has gaps, noise has none). A window passes that is louder than that by a margin,
that comes while the room is still unknown, or from a room so loud that speech may drown in it. The
gate only tells loud from quiet; Hearing keeps it open around that.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.core.audio import FULL_SCALE
from xlerobot_asr_opt.core.vad import WINDOW

__all__ = ['EnergyGate', 'energies']

_SPAN = 64
"""Windows over which the quietest is looked for, the span before that one included: 2 s."""
_SMOOTHING = 0.25
_LEAST = 1.0
"""Mean square of int16 that no working microphone stays below."""
_LOUD_ROOM = FULL_SCALE**2 * 1e-5
"""Mean square from which a room is so loud that every window passes: -50 dBFS."""

Integers = npt.NDArray[np.int64]
Energies = npt.NDArray[np.float64]


class EnergyGate:
    """Tells the loud windows of many streams; each stream is judged by its own samples alone."""

    def __init__(self, rows: int, margin_db: float) -> None:
        """Know nothing of any room.

        Args:
            rows: streams.
            margin_db: how much louder than the room a window must be [dB]; 0: every one passes.
        """
        self._ratio = 10.0 ** (margin_db / 10.0) if margin_db else 0.0
        self._seen = np.zeros(rows, np.int64)
        self._smooth = np.zeros(rows)
        self._lowest = np.full(rows, np.inf)
        self._before = np.full(rows, np.inf)

    def begin(self, row: int) -> None:
        """Forget the room of a row."""
        self._seen[row] = 0
        self._lowest[row] = self._before[row] = np.inf

    def loud(self, rows: Integers, energies: Energies) -> npt.NDArray[np.bool_]:
        """Judge the next window of each row.

        Args:
            rows: int64[n], each at most once.
            energies: float64[n], mean square of each window without its mean.

        Returns:
            bool[n].
        """
        seen, smooth = self._seen[rows], self._smooth[rows]
        smooth = np.where(seen, smooth + _SMOOTHING * (energies - smooth), energies)
        turn = (seen % _SPAN == 0) & (seen > 0)
        before = np.where(turn, self._lowest[rows], self._before[rows])
        lowest = np.where(turn, smooth, np.minimum(self._lowest[rows], smooth))
        self._seen[rows] = seen + 1
        self._smooth[rows], self._before[rows], self._lowest[rows] = smooth, before, lowest
        room = np.maximum(np.minimum(before, lowest), _LEAST)
        loud: npt.NDArray[np.bool_] = (
            (energies >= self._ratio * room) | (seen < _SPAN) | (room >= _LOUD_ROOM))
        return loud


def energies(windows: npt.NDArray[np.int16]) -> Energies:
    """Return the mean square of int16[n, WINDOW] without their means, float64[n].

    Every sum is exact, so that a window has one energy whatever comes with it.
    """
    wide = windows.astype(np.float64)
    squares = np.einsum('ij,ij->i', wide, wide)
    means = wide.sum(axis=1) / WINDOW
    power: Energies = squares / WINDOW - means**2
    return power
