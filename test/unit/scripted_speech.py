"""Speech detectors for tests: one follows a script, one takes everything loud for speech."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.records import Chunk

SPEECH, SILENCE = 0.9, 0.02
LOUD = 1000
"""Mean magnitude from which LoudnessDetector takes a window for speech."""


class ScriptedTrack:
    """Gives the probabilities of a script, one a window, whatever the windows hold."""

    def __init__(self, script: list[float]) -> None:
        self._script = iter(script)

    def probabilities(self, windows: npt.NDArray[np.int16]) -> list[float]:
        return [next(self._script) for _ in windows]


class LoudnessDetector:
    """Takes loud windows for speech. It remembers nothing, and is its own track."""

    def track(self) -> LoudnessDetector:
        return self

    def probabilities(self, windows: npt.NDArray[np.int16]) -> list[float]:
        loud = np.abs(windows.astype(np.int32)).mean(axis=1) >= LOUD
        return np.where(loud, SPEECH, SILENCE).tolist()


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
