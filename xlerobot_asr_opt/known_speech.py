"""Speech of a person whose text is known: what a backend's speed and accuracy are measured on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xlerobot_asr_opt.core.audio import Resampler
from xlerobot_asr_opt.models.layout import asset_path
from xlerobot_asr_opt.records import SAMPLE_RATE
from xlerobot_asr_opt.sources.file import AudioFile

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ['KnownUtterance', 'known_speech']

RECORDING = 'two_cities'

CUTS = (
    (8.58, 10.57, 'it was the epoch of belief'),
    (17.32, 20.74, 'it was the spring of hope it was the winter of despair'),
    (21.0, 28.55, 'we had everything before us we had nothing before us we were all going direct '
     'to heaven we were all going direct the other way'),
    (13.22, 24.26, 'it was the season of light it was the season of darkness it was the spring of '
     'hope it was the winter of despair we had everything before us we had nothing before us'),
)
"""Begin and end of what fits into 2, 4, 8 and 12 s, at pauses of the recording [s], and its text
(Charles Dickens, A Tale of Two Cities, 1859)."""


@dataclass(frozen=True)
class KnownUtterance:
    """int16[n] at SAMPLE_RATE, and what was said."""

    samples: npt.NDArray[np.int16]
    text: str


def known_speech() -> tuple[KnownUtterance, ...]:
    """Cut the demo's recording into four utterances, the shortest first.

    Raises:
        ModelError: it was not fetched; the message says how to.
        SourceError: it cannot be read.
    """
    file = AudioFile(asset_path(RECORDING))
    resampler = Resampler(file.rate, file.channels)
    pieces = [resampler.push(chunk.samples).copy() for chunk in file.chunks('', 0)]
    samples = np.concatenate([*pieces, resampler.flush()])
    return tuple(
        KnownUtterance(samples[round(begin * SAMPLE_RATE):round(end * SAMPLE_RATE)], text)
        for begin, end, text in CUTS)
