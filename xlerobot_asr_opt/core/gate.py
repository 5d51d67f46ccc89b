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
_UNKNOWN = _LOUD_ROOM / (1.0 - _SMOOTHING) ** _SPAN
"""How loud a room is taken to be at first: it has faded below a loud one after a span."""

_SEEN, _SMOOTH, _LOWEST, _BEFORE = range(4)
"""Of one row: windows heard; their smoothed mean square, its lowest value in the running span, and
in the span before."""

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]


class EnergyGate:
    """Tells the loud windows of many streams; each stream is judged by its own samples alone."""

    def __init__(self, rows: int, margin_db: float) -> None:
        """Know nothing of any room.

        Args:
            rows: streams.
            margin_db: how much louder than the room a window must be [dB]; 0: every one passes.
        """
        self._ratio = 10.0 ** (margin_db / 10.0) if margin_db else 0.0
        self._rooms = np.zeros((4, rows))
        self.begin(np.arange(rows))

    def begin(self, rows: Integers | int) -> None:
        """Forget the rooms of some rows."""
        self._rooms[_SEEN, rows] = 0
        self._rooms[_SMOOTH, rows] = _UNKNOWN
        self._rooms[_LOWEST:, rows] = np.inf

    def loud(self, rows: Integers, energies: Floats, counts: Integers) -> Booleans:
        """Judge the next windows of each row.

        Args:
            rows: int64[n], each at most once.
            energies: float64[n, most], mean square of each window without its mean.
            counts: int64[n], windows of each row.

        Returns:
            bool[n, most], False where a row has no window.
        """
        seen, smooth, lowest, before = rooms = self._rooms[:, rows]
        smoothed = self._smoothed(smooth, energies, counts)
        lows = np.minimum(np.minimum.accumulate(smoothed, axis=1), lowest[:, None])
        befores = before[:, None]
        turn = -seen.astype(np.int64) % _SPAN
        turns = turn < counts
        if turns.any():
            behind = turns[:, None] & (np.arange(energies.shape[1]) >= turn[:, None])
            ended = np.minimum(np.where(behind, np.inf, smoothed).min(axis=1), lowest)
            begun = np.minimum.accumulate(np.where(behind, smoothed, np.inf), axis=1)
            lows = np.where(behind, begun, lows)
            befores = np.where(behind, ended[:, None], befores)
            before[turns] = ended[turns]
        lowest[:] = lows[:, -1]
        seen += counts
        self._rooms[:, rows] = rooms
        quietest = np.minimum(lows, befores)
        loud: Booleans = np.isfinite(smoothed) & (
            (quietest >= _LOUD_ROOM) | (energies >= self._ratio * np.maximum(quietest, _LEAST)))
        return loud

    @staticmethod
    def _smoothed(smooth: Floats, energies: Floats, counts: Integers) -> Floats:
        """Smooth the energies, window by window; infinite where a row has no window.

        Args:
            smooth: float64[n] so far; becomes what it is behind the last window.
            energies: float64[n, most].
            counts: int64[n], windows of each row.
        """
        smoothed = np.full(energies.shape, np.inf)
        every = int(counts.min())
        for step in range(int(counts.max())):
            if step < every:
                smooth += _SMOOTHING * (energies[:, step] - smooth)
                smoothed[:, step] = smooth
            else:
                some = counts > step
                smooth[some] += _SMOOTHING * (energies[some, step] - smooth[some])
                smoothed[some, step] = smooth[some]
        return smoothed


def energies(windows: npt.NDArray[np.int16]) -> Floats:
    """Return the mean square of int16[n, WINDOW] without their means, float64[n].

    Every sum is exact, so that a window has one energy whatever comes with it.
    """
    wide = windows.astype(np.float64)
    squares = np.einsum('ij,ij->i', wide, wide)
    means = wide.sum(axis=1) / WINDOW
    power: Floats = squares / WINDOW - means**2
    return power
