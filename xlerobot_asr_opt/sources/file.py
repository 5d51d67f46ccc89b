"""Recordings of whatever format libsndfile reads (WAV, FLAC, OGG and others), as chunks."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import soundfile

from xlerobot_asr_opt.errors import AudioError, SourceError
from xlerobot_asr_opt.records import CHANNELS, CHUNK_CAPACITY, RATES, Chunk
from xlerobot_asr_opt.sources.completeness import missing_part

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

__all__ = ['AudioFile']

_NS = 1_000_000_000
_FULL_SCALE = 32768.0
_CHUNKS_AT_ONCE = 16
"""Chunks that are read together: soundfile seeks after each read, which compressed files feel."""
_LENGTH_NOT_KNOWN = 2**63 - 1
"""Frames of a FLAC file that was written into a pipe."""
_BAD_SEEK = 39
"""libsndfile's error for soundfile's seek to the end of such a file."""


class AudioFile:
    """A recording that is read while it is played, never as a whole.

    Attributes:
        path: of the file.
        rate: samples per second and channel [Hz].
        channels: how many.
        duration_s: length of what the file holds [s]; 0: its header does not tell.
    """

    def __init__(self, path: Path) -> None:
        """Open the file and read its header.

        Raises:
            SourceError: there is no such file, or it may not be read.
            AudioError: it is empty, no audio, or of a form that cannot be carried.
        """
        self.path = path
        self._file = _open(path)
        self.rate = int(self._file.samplerate)
        self.channels = int(self._file.channels)
        self._frames = int(self._file.frames)
        self._length_known = self._frames != _LENGTH_NOT_KNOWN
        self.duration_s = self._frames / self.rate if self._length_known else 0.0
        try:
            self._check_form()
        except AudioError:
            self._file.close()
            raise

    def chunks(self, stream: str, start_ns: int) -> Iterator[Chunk]:
        """Read the recording once, in chunks of at most CHUNK_CAPACITY values.

        Args:
            stream: name for the chunks.
            start_ns: ROS time of the first sample [ns].

        Raises:
            AudioError: after the last chunk, where the file is cut short or damaged there, or
                where it held values that are no numbers.
        """
        frames = CHUNK_CAPACITY // self.channels
        pieces = (block[first:first + frames]
                  for block in self._blocks(frames * _CHUNKS_AT_ONCE)
                  for first in range(0, len(block), frames))
        for sequence, piece in enumerate(pieces):
            stamp_ns = start_ns + sequence * frames * _NS // self.rate
            yield Chunk(stream, sequence, stamp_ns, self.rate, self.channels, piece.reshape(-1))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def _check_form(self) -> None:
        if self.rate not in RATES:
            raise AudioError(
                f'{self.path}: got a rate of {self.rate} Hz, expected {RATES[0]} to {RATES[-1]}; '
                f'convert it, for example with sox')
        if self.channels not in CHANNELS:
            raise AudioError(
                f'{self.path}: got {self.channels} channels, expected {CHANNELS[0]} to '
                f'{CHANNELS[-1]}; convert it, for example with sox')
        if not self._frames:
            raise AudioError(
                f'{self.path}: got a recording without samples, expected some; if the program '
                f'that wrote it was killed, `sox --ignore-length` may repair it')

    def _blocks(self, frames: int) -> Iterator[npt.NDArray[np.int16]]:
        """Read int16[frames, channels], fewer frames in the last one; raise behind it."""
        heard = 0
        odd = 0
        fault = ''
        while not fault:
            block, fault = self._read(frames)
            heard += len(block)
            odd += _silence_odd(block)
            yield _to_int16(block)
            if len(block) < frames:
                break
        fault = fault or self._shortfall(heard)
        faults = [f'broken off at {heard / self.rate:.2f} s ({fault})'] if fault else []
        if odd:
            faults.append(f'{odd} values are no numbers (NaN or infinite), heard as silence')
        if faults:
            raise AudioError(f'{self.path}: {"; ".join(faults)}; copy or record it again')

    def _read(self, frames: int) -> tuple[npt.NDArray[np.float32], str]:
        """Read float32[frames, channels], or what comes before a fault, and that in words."""
        # Other types than float wrap around where a lossy codec overshoots full scale.
        block = np.full((frames, self.channels), np.nan, np.float32)
        try:
            return self._file.read(out=block), ''
        except soundfile.LibsndfileError as error:
            at_end = error.code == _BAD_SEEK and not self._length_known
            # soundfile does not tell how much came before the fault; what it left is still NaN.
            came = np.flatnonzero(~np.isnan(block).all(axis=1))
            whole = block[:came[-1] + 1] if came.size else block[:0]
            return whole, '' if at_end else error.error_string

    def _shortfall(self, heard: int) -> str:
        """Say what the file promises beyond the frames that were heard; empty for nothing."""
        if self._length_known and heard < self._frames:
            return f'its header promises {(self._frames - heard) / self.rate:.2f} s more'
        try:
            return missing_part(self.path)
        except OSError as error:
            return str(error)


def _open(path: Path) -> Any:
    descriptor = _descriptor(path)
    if not os.fstat(descriptor).st_size:
        os.close(descriptor)
        raise AudioError(f'{path}: got an empty file, expected WAV, FLAC or OGG')
    try:
        return soundfile.SoundFile(descriptor)
    except soundfile.LibsndfileError as error:
        raise AudioError(
            f'{path}: cannot be read as audio ({error.error_string}); expected WAV, FLAC or '
            f'OGG') from error


def _descriptor(path: Path) -> int:
    """Open a regular file; a pipe would hold up whoever opens it until somebody writes."""
    try:
        if stat.S_ISREG(path.stat().st_mode):
            return os.open(path, os.O_RDONLY)
    except OSError as error:
        raise SourceError(f'{path}: cannot be read: {error.strerror}') from error
    except ValueError as error:
        raise SourceError(f'got the path {str(path)!r}: {error}') from error
    what = 'a directory' if path.is_dir() else 'something that is no regular file'
    raise SourceError(f'{path}: got {what}, expected an audio file')


def _silence_odd(block: npt.NDArray[np.float32]) -> int:
    """Set what is no number to 0, in place; return how many values that were."""
    odd = ~np.isfinite(block)
    block[odd] = 0.0
    return int(np.count_nonzero(odd))


def _to_int16(block: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
    """Scale to int16; what is beyond full scale is limited, and will count as clipped."""
    # First to full scale: what is far beyond it would become infinite.
    scaled = np.rint(np.clip(block, -1.0, 1.0) * _FULL_SCALE)
    limited: npt.NDArray[np.float32] = np.clip(scaled, -32768, 32767)
    return limited.astype(np.int16)
