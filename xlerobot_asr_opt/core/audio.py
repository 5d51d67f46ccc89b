"""What is done to samples before anybody looks for speech in them."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import soxr

from xlerobot_asr_opt.records import SAMPLE_RATE

__all__ = ['FULL_SCALE', 'Resampler', 'count_clipped', 'down_mix', 'is_silent', 'level_dbfs',
           'peaks']

FULL_SCALE = 32768.0
"""The int16 value that counts as 1.0, 0 dBFS."""

_QUIETEST_STEP = 1
"""Dither of one step is still digital silence."""


def down_mix(samples: npt.NDArray[np.int16], channels: int) -> npt.NDArray[np.float32]:
    """Average interleaved channels.

    Args:
        samples: int16[frames * channels].
        channels: 1 or more.

    Returns:
        float32[frames], still in int16's range.
    """
    if channels == 1:
        return samples.astype(np.float32)
    mono: npt.NDArray[np.float32] = samples.reshape(-1, channels).mean(axis=1, dtype=np.float32)
    return mono


def level_dbfs(samples: npt.NDArray[np.int16]) -> float:
    """Return the RMS level against full scale [dB]; -inf for digital silence or no samples."""
    if not samples.size:
        return -math.inf
    wide = samples.astype(np.float32)
    power = float(np.dot(wide, wide)) / samples.size
    return 10.0 * math.log10(power / FULL_SCALE**2) if power else -math.inf


def count_clipped(samples: npt.NDArray[np.int16]) -> int:
    """Count the samples that stand at either end of int16's range."""
    return int(np.count_nonzero((samples == 32767) | (samples == -32768)))


def peaks(samples: npt.NDArray[np.int16]) -> npt.NDArray[np.int32]:
    """Return the largest magnitude of each int16[..., n], 0 to 32768; 0 for no samples."""
    highest = samples.max(axis=-1, initial=0).astype(np.int32)
    lowest = samples.min(axis=-1, initial=0).astype(np.int32)
    magnitudes: npt.NDArray[np.int32] = np.maximum(highest, -lowest)
    return magnitudes


def is_silent(magnitudes: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
    """Tell by their peaks digital silence, which a working microphone never gives."""
    silent: npt.NDArray[np.bool_] = magnitudes <= _QUIETEST_STEP
    return silent


class Resampler:
    """One stream's way to SAMPLE_RATE mono: channels averaged, then filtered by soxr (HQ).

    The output is the same for any cutting of the input into chunks, bit for bit. Output sample k
    lies k / SAMPLE_RATE after the first input sample; the filter holds back about 40 ms, up to
    115 ms from 8 kHz, until flush(). 16 kHz mono passes untouched.
    """

    def __init__(self, rate: int, channels: int) -> None:
        self._channels = channels
        self._stream = (
            None if rate == SAMPLE_RATE
            else soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype='float32', quality='HQ'))

    def push(self, samples: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
        """Take int16[frames * channels], interleaved; return the int16[n] that are ready.

        What comes back may be the very array that was given.
        """
        if self._stream is None:
            return samples if self._channels == 1 else _to_int16(
                down_mix(samples, self._channels))
        return _to_int16(self._stream.resample_chunk(down_mix(samples, self._channels)))

    def flush(self) -> npt.NDArray[np.int16]:
        """Return the int16[n] that the filter held back; the resampler ends with it."""
        if self._stream is None:
            return np.zeros(0, np.int16)
        return _to_int16(self._stream.resample_chunk(np.zeros(0, np.float32), last=True))


def _to_int16(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
    return np.clip(np.rint(samples), -32768, 32767).astype(np.int16)
