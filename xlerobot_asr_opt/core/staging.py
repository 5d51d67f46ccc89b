"""Copies of samples in the memory that the BPU's backends stage from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.errors import AudioError, OverSizeError, PoolFullError

if TYPE_CHECKING:
    from xlerobot_asr_opt.core.memory_pool import BPUMemoryPool
    from xlerobot_asr_opt.core.memory_records import BPUMemoryStatistics

__all__ = ['Staging']

POOL = 'samples'
"""Name under which the memory is counted."""


class Staging:
    """Copies samples into a pool; each copy goes back when nobody looks at it any more.

    Args:
        pool: where; may be used by others as well.
    """

    def __init__(self, pool: BPUMemoryPool) -> None:
        self._pool = pool

    def keep(self, samples: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
        """Copy int16[n]."""
        staged = self._room(len(samples))
        staged[:] = samples
        return staged

    def take_in(self, audio: npt.NDArray[Any]) -> npt.NDArray[np.int16]:
        """Copy an utterance as int16[n].

        Args:
            audio: int16[n], or floating numbers[n] from -1 to 1; what is beyond is clipped.

        Raises:
            AudioError: another form, or a sample that is no number.
        """
        audio = np.asarray(audio)
        floating = np.issubdtype(audio.dtype, np.floating)
        if audio.ndim != 1 or not (floating or audio.dtype == np.int16):
            raise AudioError(
                f'got audio of {audio.dtype}, shape {audio.shape}, expected int16 or floating '
                'numbers from -1 to 1 in one dimension; convert and mix it first')
        if not floating:
            return self.keep(audio)
        if not np.isfinite(audio).all():
            raise AudioError('got samples that are NaN or infinite, expected numbers from -1 to '
                             '1; see what recorded them')
        staged = self._room(len(audio))
        np.clip(np.rint(audio * 32768.0), -32768, 32767, out=staged, casting='unsafe')
        return staged

    def statistics(self) -> BPUMemoryStatistics:
        """A snapshot of the pool."""
        return self._pool.statistics()

    def _room(self, samples: int) -> npt.NDArray[np.int16]:
        """Memory for so many samples."""
        if samples == 0:
            return np.empty(0, np.int16)
        try:
            allocation = self._pool.allocate(2 * samples, POOL)
        except (OverSizeError, PoolFullError):
            # Rather slower than not at all.
            return np.empty(samples, np.int16)
        view: npt.NDArray[np.int16] = self._pool.view(allocation, np.int16, (samples,))
        # The pool hands it out again when the last view of it is gone.
        self._pool.deallocate(POOL, allocation.start_addr)
        return view
