"""Whisper's log-mel features in NumPy.

The definition is that of OpenAI's Whisper (whisper/audio.py): Hann windows of 25 ms every 10 ms,
power spectrum, Slaney mel filters, log10, nothing more than 8 below the loudest, (x + 4) / 4. The
silence that fills a window up is not computed: its value follows from the loudest.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.records import SAMPLE_RATE

if TYPE_CHECKING:
    from xlerobot_asr_opt.backends.base import Samples

__all__ = ['FRAME_RATE', 'HOP', 'Features', 'log_mel', 'mel_filters', 'widen']

Features = npt.NDArray[np.float32]
"""float32[1, mels, frames]."""

FFT = 400
HOP = 160
FRAME_RATE = SAMPLE_RATE // HOP
"""Frames per second [Hz]."""

_HALF = FFT // 2
_LOWEST = -10.0
"""log10 of the least power that counts."""
_RANGE = 8.0
"""What is further below the loudest is raised to it, in powers of ten."""
_BLOCK = 512
"""Frames that are transformed at a time: their spectra stay within the second-level cache."""


def _squeeze(log_power: float) -> float:
    return (log_power + 4.0) / 4.0


def log_mel(samples: Samples, frames: int, mels: int = 80) -> Features:
    """Features of samples, filled up with silence to a window.

    Args:
        samples: int16[n] at SAMPLE_RATE, n at most frames * HOP.
        frames: length of the window, in steps of HOP samples.
        mels: mel bands, 80 or 128.

    Returns:
        float32[1, mels, frames]; refers to samples no more.
    """
    spoken = min(frames, -(-(len(samples) + _HALF) // HOP)) if len(samples) else 0
    features = np.empty((1, mels, frames), np.float32)
    bands = features[0, :, :spoken]
    wave = _centred(samples, spoken)
    for start in range(0, spoken, _BLOCK):
        stop = min(start + _BLOCK, spoken)
        np.matmul(mel_filters(mels), _power(wave, start, stop).T, out=bands[:, start:stop])
    np.maximum(bands, 10.0 ** _LOWEST, out=bands)
    np.log10(bands, out=bands)
    loudest = float(bands.max(initial=_LOWEST))
    np.maximum(bands, loudest - _RANGE, out=bands)
    bands += 4.0
    bands /= 4.0
    features[0, :, spoken:] = _silence(_squeeze(loudest))
    return features


def widen(features: Features, samples: int, frames: int) -> Features:
    """The same speech in a longer window, with zeros behind it in place of silence.

    faster-whisper fills its windows so. A model that is unsure of what it hears before silence is
    often sure of it then, and the other way round.

    Args:
        features: float32[1, mels, n] of log_mel.
        samples: of the speech that they were made of.
        frames: at least n.

    Returns:
        float32[1, mels, frames].
    """
    spoken = min(features.shape[2], -(-samples // HOP))
    wide = np.zeros((1, features.shape[1], frames), np.float32)
    wide[:, :, :spoken] = features[:, :, :spoken]
    return wide


def _silence(loudest: float) -> float:
    """Feature of digital silence beside the loudest feature."""
    return max(loudest - _RANGE / 4.0, _squeeze(_LOWEST))


def _centred(samples: Samples, frames: int) -> npt.NDArray[np.float32]:
    """Samples as -1 to 1, so placed that frame i begins at i * HOP; the begin is mirrored."""
    wave = np.zeros(max(frames - 1, 0) * HOP + FFT + 1, np.float32)
    take = min(len(samples), len(wave) - _HALF)
    np.multiply(samples[:take], np.float32(1 / 32768), out=wave[_HALF:_HALF + take])
    wave[:_HALF] = wave[_HALF + 1:FFT + 1][::-1]
    return wave


def _power(wave: npt.NDArray[np.float32], start: int, stop: int) -> npt.NDArray[np.float32]:
    """Power spectrum of frames start to stop, float32[stop - start, FFT // 2 + 1]."""
    framed = np.lib.stride_tricks.sliding_window_view(wave, FFT)[start * HOP:stop * HOP:HOP]
    spectrum = np.fft.rfft(framed * _hann(), axis=1)
    power = np.empty(spectrum.shape, np.float32)
    np.square(spectrum.real, out=power)
    power += np.square(spectrum.imag)
    return power


@functools.cache
def _hann() -> npt.NDArray[np.float32]:
    """Periodic Hann window of FFT samples."""
    phase = np.arange(FFT) * (2 * np.pi / FFT)
    window: npt.NDArray[np.float64] = 0.5 - 0.5 * np.cos(phase)
    return window.astype(np.float32)


@functools.cache
def mel_filters(mels: int) -> npt.NDArray[np.float32]:
    """Triangular filters on Slaney's mel scale, each of unit area per hertz.

    The scale (Slaney, Auditory Toolbox, 1998) is linear to 1 kHz, 15 mel there, and logarithmic
    above, 27 mel to a factor of 6.4.

    Returns:
        float32[mels, FFT // 2 + 1].
    """
    knee, step = 15.0, 27.0 / np.log(6.4)
    top = knee + step * np.log(SAMPLE_RATE / 2 / 1000.0)
    mel = np.linspace(0.0, top, mels + 2)
    edges = np.where(mel < knee, mel * (1000.0 / knee), 1000.0 * np.exp((mel - knee) / step))
    bins = np.arange(FFT // 2 + 1) * (SAMPLE_RATE / FFT)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising = (bins - low) / (centre - low)
    falling = (high - bins) / (high - centre)
    triangles: npt.NDArray[np.float64] = np.maximum(0.0, np.minimum(rising, falling))
    triangles *= 2.0 / (high - low)
    return triangles.astype(np.float32)
