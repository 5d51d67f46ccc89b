"""Windows of people's speech that an encoder's int8 ranges are taken from; never random."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.backends.log_mel import HOP, log_mel
from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.speech import Samples, Utterance

__all__ = ['MOST_WINDOWS', 'calibration_windows', 'write_windows']

MOST_WINDOWS = 24

Windows = list[npt.NDArray[np.float32]]


def calibration_windows(
    utterances: Sequence[Utterance], frames: int, margin: int, mels: int,
) -> Windows:
    """Features as the recogniser makes them, of the longest utterances that fit.

    Args:
        utterances: of people.
        frames: of the window.
        margin: frames of silence behind the speech.
        mels: mel bands.

    Returns:
        float32[1, mels, 1, frames] each, at most MOST_WINDOWS.

    Raises:
        ModelError: no utterance fits.
    """
    room = (frames - margin) * HOP
    fitting = sorted((one for one in utterances if len(one.samples) <= room),
                     key=lambda one: -len(one.samples))
    if not fitting:
        raise ModelError(
            f'no recording of at most {room / HOP / 100:g} s to calibrate with; name some with '
            '--speech')
    taken = fitting[:2 * MOST_WINDOWS:2]
    return [_window(one.samples, frames, mels) for one in taken]


def write_windows(windows: Windows, directory: Path) -> None:
    """Write each window into a file of its own, as hb_mapper reads them.

    Raises:
        OSError: one cannot be written.
    """
    for index, window in enumerate(windows):
        window.tofile(directory / f'{index:02}.bin')


def _window(samples: Samples, frames: int, mels: int) -> npt.NDArray[np.float32]:
    return log_mel(samples, frames, mels)[:, :, None, :]
