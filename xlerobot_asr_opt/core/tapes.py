"""The newest samples of every stream, in one block of memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.core.vad import CONTEXT, FRAME, WINDOW
from xlerobot_asr_opt.records import CHUNK_CAPACITY

__all__ = ['Tapes']

Integers = npt.NDArray[np.int64]
Samples = npt.NDArray[np.int16]


class Tapes:
    """A ring of samples for each stream. Positions count from the begin of a stretch.

    A row of memory is the ring, with the last CONTEXT samples of it repeated in front, and its
    first CHUNK_CAPACITY repeated behind: so a chunk is written, and a window is read together with
    the samples before it, in one piece, and those of many streams by one array operation.

    Attributes:
        lengths: int64[rows], samples of the stretch so far.
    """

    def __init__(self, rows: int, reach: int) -> None:
        """Make empty tapes.

        Args:
            rows: streams.
            reach: samples before the newest one of a row that can still be read.
        """
        # A chunk is written whole, beyond its own length, over what is oldest.
        self._ring = -(-(reach + 2 * CHUNK_CAPACITY) // WINDOW) * WINDOW
        self._row = CONTEXT + self._ring + CHUNK_CAPACITY
        self.lengths = np.zeros(rows, np.int64)
        # The last frame of the last row reaches beyond its ring, and never beyond its row.
        self._memory: Samples = np.zeros(rows * self._row, np.int16)
        self._chunks = self._pieces(CHUNK_CAPACITY)
        self._frames = self._pieces(FRAME)
        self._edges = self._pieces(CONTEXT)

    def begin(self, row: int) -> None:
        """Begin a new stretch: silence is before it."""
        self.lengths[row] = 0
        self._memory[row * self._row:(row + 1) * self._row] = 0

    def write(self, rows: Integers, chunks: Samples, lengths: Integers) -> None:
        """Write behind what was written.

        Args:
            rows: int64[n], each at most once.
            chunks: int16[n, CHUNK_CAPACITY].
            lengths: int64[n], samples of each that count.
        """
        at = self.lengths[rows] % self._ring
        begin = rows * self._row + CONTEXT
        self._chunks[begin + at] = chunks
        self.lengths[rows] += lengths
        around = at + lengths >= self._ring
        if around.any():
            begin = begin[around]
            self._chunks[begin] = self._chunks[begin + self._ring]
            self._edges[begin - CONTEXT] = self._edges[begin - CONTEXT + self._ring]

    def frames(self, rows: Integers, windows: Integers) -> Samples:
        """Return windows with the CONTEXT samples before them, int16[..., streams, FRAME], a copy.

        Args:
            rows: int64[streams].
            windows: int64[..., streams], their numbers in the stretch; what was not written yet
                is noise.
        """
        frames: Samples = self._frames[rows * self._row + windows * WINDOW % self._ring]
        return frames

    def read(self, row: int, begin: int, end: int) -> Samples:
        """Return samples of a row from position begin to end, a copy."""
        at = np.arange(begin, end) % self._ring
        samples: Samples = self._memory[row * self._row + CONTEXT + at]
        return samples

    def _pieces(self, size: int) -> Samples:
        """Every run of so many samples, by its place in the memory; overlapping and writable."""
        return np.lib.stride_tricks.sliding_window_view(self._memory, size, writeable=True)
