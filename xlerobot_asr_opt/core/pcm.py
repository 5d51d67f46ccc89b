"""Raw samples in the encodings that audio messages carry, as int16."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.core.audio import FULL_SCALE
from xlerobot_asr_opt.core.encodings import WIDTHS
from xlerobot_asr_opt.errors import AudioError

__all__ = ['coded', 'from_numbers', 'to_int16']

Numbers = npt.NDArray[Any]
Samples = npt.NDArray[np.int16]


def from_numbers(numbers: Numbers) -> Samples:
    """Return numbers in the full scale of their type as int16.

    Args:
        numbers: int8, uint8, int16, int32 or floating, [n]; floats from -1 to 1, what is beyond is
            limited and will count as clipped.

    Returns:
        int16[n]; the lowest bits of what is wider are dropped.

    Raises:
        AudioError: a float that is no number.
    """
    kind, bits = numbers.dtype.kind, 8 * numbers.dtype.itemsize
    if kind == 'f':
        if not np.isfinite(numbers).all():
            raise AudioError('got samples that are NaN or infinite, expected numbers from -1 to 1')
        scaled = np.rint(numbers.astype(np.float64) * FULL_SCALE)
        return np.clip(scaled, -32768, 32767).astype(np.int16)
    if kind == 'u':
        return (numbers.astype(np.int16) - 128) << np.int16(8)
    if bits == 8:
        return numbers.astype(np.int16) << np.int16(8)
    if bits == 16:
        return numbers.astype(np.int16, copy=False)
    narrow: Samples = (numbers >> (bits - 16)).astype(np.int16)
    return narrow


def _plain(dtype: str) -> Callable[[bytes], Samples]:
    return lambda data: from_numbers(np.frombuffer(data, dtype))


def _packed(order: str) -> Callable[[bytes], Samples]:
    """Three bytes a sample: the two that count make an int16."""
    high = slice(1, 3) if order == '<' else slice(0, 2)

    def read(data: bytes) -> Samples:
        pairs = np.ascontiguousarray(np.frombuffer(data, np.uint8).reshape(-1, 3)[:, high])
        return pairs.view(f'{order}i2').ravel().astype(np.int16, copy=False)
    return read


def _padded(order: str) -> Callable[[bytes], Samples]:
    """24 bits in the low end of 32, whatever the highest byte holds."""
    return lambda data: (np.frombuffer(data, f'{order}i4') >> 8).astype(np.int16)


_READERS: dict[str, Callable[[bytes], Samples]] = {
    'S8': _plain('i1'),
    'U8': _plain('u1'),
    **{f'{kind}{name}': read
       for order, name in (('<', 'LE'), ('>', 'BE'))
       for kind, read in (
           ('S16', _plain(f'{order}i2')), ('S24', _packed(order)), ('S24_32', _padded(order)),
           ('S32', _plain(f'{order}i4')), ('F32', _plain(f'{order}f4')),
           ('F64', _plain(f'{order}f8')))},
}
"""Encoding to what makes int16[n] of whole samples."""


def to_int16(data: bytes, encoding: str, channels: int) -> Samples:
    """Read raw samples.

    Args:
        data: whole frames, interleaved.
        encoding: of encodings.WIDTHS.
        channels: 1 or more.

    Returns:
        int16[frames * channels]; it may be a view of data.

    Raises:
        AudioError: part of a frame, floats that are no numbers, or bytes that are plainly those
            of a file or of a compressed stream.
    """
    size = WIDTHS[encoding]
    kind = coded(data)
    if kind:
        raise AudioError(
            f'got bytes of {kind}, expected raw samples in {encoding}; set the publisher to raw '
            f'samples (format wave, S16LE)')
    if len(data) % (size * channels):
        raise AudioError(
            f'got {len(data)} bytes of {encoding} in {channels} channels, expected whole frames '
            f'of {size * channels} bytes: the encoding, or the number of channels, is another one')
    return _READERS[encoding](data)


_MAGIC = ((b'RIFF', 'a WAV file'), (b'OggS', 'an Ogg stream'), (b'fLaC', 'a FLAC file'),
          (b'ID3', 'MP3'))
_RATES = (44_100, 48_000, 32_000)
_KILOBITS = {
    # (MPEG 1, layer III), (MPEG 2 and 2.5, layer III)
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


def coded(data: bytes) -> str:
    """Say what bytes are that are no raw samples; empty for samples.

    MP3 is told by its frames: each names its length, so that the next one, or the end, lies where
    it says. Samples that look like that by chance are rarer than one message in a million.
    """
    for magic, kind in _MAGIC:
        if data.startswith(magic):
            return kind
    first = _mp3_frame(data, 0)
    if not first:
        return ''
    return 'MP3' if first == len(data) or _mp3_frame(data, first) else ''


def _mp3_frame(data: bytes, at: int) -> int:
    """Return the length of the MPEG audio frame of layer III that begins there; 0: none does."""
    if len(data) < at + 4 or data[at] != 0xFF or data[at + 1] & 0xE6 != 0xE2:
        return 0
    version, bits, rate = data[at + 1] >> 3 & 3, data[at + 2] >> 4, data[at + 2] >> 2 & 3
    if version == 1 or bits in (0, 15) or rate == 3:
        return 0
    first = version == 3
    hertz = _RATES[rate] // (1 if first else 2 if version == 2 else 4)
    padding = data[at + 2] >> 1 & 1
    return (144 if first else 72) * _KILOBITS[first][bits] * 1000 // hertz + padding
