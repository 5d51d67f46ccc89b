"""A speech detector for tests, that takes everything loud for speech, and audio for it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.core.vad import CONTEXT
from xlerobot_asr_opt.records import CHUNK, Chunk

SPEECH, SILENCE = 0.9, 0.02
LOUD = 1000
"""Mean magnitude from which LoudnessDetector takes a window for speech."""


class LoudnessDetector:
    """Takes loud windows for speech. It remembers nothing, and is its own tracks."""

    def tracks(self, rows: int) -> LoudnessDetector:
        return self

    def begin(self, rows: npt.NDArray[np.int64]) -> None:
        """There is nothing to forget."""

    def probabilities(
        self, rows: npt.NDArray[np.int64], frames: npt.NDArray[np.int16],
    ) -> npt.NDArray[np.float32]:
        loud = np.abs(frames[..., CONTEXT:].astype(np.int32)).mean(axis=-1) >= LOUD
        return np.where(loud, SPEECH, SILENCE).astype(np.float32)


def sound(seconds: float, *, loud: bool, seed: int = 0, rate: int = 16_000) -> np.ndarray:
    """Make int16[n] of noise that LoudnessDetector takes for speech, or for none."""
    peak = 8000 if loud else 50
    noise = np.random.default_rng(seed).integers(-peak, peak + 1, round(seconds * rate))
    return noise.astype(np.int16)


def dialogue(*parts: float, seed: int = 0, rate: int = 16_000) -> np.ndarray:
    """Make int16[n] in which silence and speech take turns; lengths in seconds."""
    return np.concatenate([
        sound(seconds, loud=bool(index % 2), seed=seed + index, rate=rate)
        for index, seconds in enumerate(parts)])


BEGIN_NS = 1_700_000_000_000_000_000


def chunks(
    samples: np.ndarray, stream: str = 'hall', *, rate: int = 16_000, channels: int = 1,
    first: int = 0, begin_ns: int = BEGIN_NS, size: int = 1600,
) -> list[Chunk]:
    """Cut int16[frames * channels] into chunks of size values, numbered from first."""
    frames = size // channels
    return [
        Chunk(stream, first + index, begin_ns + index * frames * 1_000_000_000 // rate, rate,
              channels, samples[index * frames * channels:(index + 1) * frames * channels])
        for index in range(-(-samples.size // (frames * channels)))]


def rows(some: Sequence[Chunk]) -> np.ndarray:
    """Make CHUNK[n] of chunks, with noise wherever they say nothing."""
    made = np.full(len(some), -1, np.int8).repeat(CHUNK.itemsize).view(CHUNK)
    for row, chunk in zip(made, some, strict=True):
        row['stamp']['sec'], row['stamp']['nanosec'] = divmod(chunk.stamp_ns, 1_000_000_000)
        name = np.frombuffer(chunk.stream.encode(), np.uint8)
        row['stream'] = 0
        row['stream'][:name.size] = name
        row['sequence'], row['rate'], row['channels'] = chunk.sequence, chunk.rate, chunk.channels
        row['length'] = chunk.samples.size
        row['samples'][:chunk.samples.size] = chunk.samples
    return made
