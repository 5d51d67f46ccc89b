"""What every backend promises, so that a worker can run any of them.

Work on a segment has two phases. ``prepare`` turns the samples into features and lets go of
them: they are a view of loaned shared memory, which has to go back at once. ``recognise`` turns
the features into a text and may take its time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.errors import BackendError
from xlerobot_asr_opt.records import NOT_GIVEN, SAMPLE_RATE, RecognitionStatus, Word

if TYPE_CHECKING:
    from xlerobot_asr_opt.parameters import InferenceParameters

__all__ = ['InferenceBackend', 'Prepared', 'Result', 'Samples', 'check_samples', 'create']

Samples = npt.NDArray[np.int16]
"""int16[n], mono at SAMPLE_RATE; may be a read-only view of loaned memory."""


@dataclass(frozen=True)
class Prepared:
    """A segment between the two phases; holds no reference to the samples.

    Attributes:
        features: what the backend made of the samples; only that backend understands it.
        length: samples of the segment.
        language: language to recognise, as in ISO 639-1; empty: detected by the model.
        features_ms: time that the features took [ms].
    """

    features: npt.NDArray[Any]
    length: int
    language: str
    features_ms: float


@dataclass(frozen=True)
class Result:
    """What a backend heard in one segment.

    Attributes:
        status: DONE, or NO_SPEECH with the cause in reason.
        text: what was said; empty unless DONE.
        language: as in ISO 639-1; empty if the backend does not know it.
        confidence: 0 to 1, or NaN where the model gives none.
        words: words with their times, or empty where the model gives none.
        backend: what made the text.
        reason: what was out of the ordinary; empty for nothing.
        features_ms: samples to features [ms].
        encode_ms: features to encoder output [ms].
        decode_ms: encoder output to text [ms].
    """

    status: RecognitionStatus
    text: str = ''
    language: str = ''
    confidence: float = NOT_GIVEN
    words: tuple[Word, ...] = ()
    backend: str = ''
    reason: str = ''
    features_ms: float = 0.0
    encode_ms: float = 0.0
    decode_ms: float = 0.0


class InferenceBackend(Protocol):
    """Runs one model. Equal samples, language and settings always give an equal text.

    ``prepare`` may be called while another thread is in ``recognise``; ``recognise`` is called by
    one thread at a time. A backend that raised BackendError goes on with the next segment.
    """

    @property
    def name(self) -> str:
        """What Result.backend says, for example ``onnxruntime``."""

    @property
    def digest(self) -> bytes:
        """BLAKE2b-256 of the model and of all settings that can change a text; once loaded."""

    @property
    def longest(self) -> int:
        """Longest segment [samples at SAMPLE_RATE]; once loaded."""

    def load(self) -> None:
        """Open the model.

        Raises:
            ModelError: it is missing, damaged or of another kind.
            ConfigurationError: a setting that this model does not know.
        """

    def warm_up(self) -> None:
        """Run the model on silence, so that the first segment does not pay for first-time work."""

    def prepare(self, samples: Samples, language: str) -> Prepared:
        """Turn samples into features; refers to the samples no more when it returns.

        Args:
            samples: int16[n] at SAMPLE_RATE, n at most ``longest``.
            language: the segment's own language; empty: the worker's setting.

        Raises:
            BackendError: not int16[n], more than ``longest``, or a language that the model does
                not know.
        """

    def recognise(self, prepared: Prepared) -> Result:
        """Turn features into a text.

        Raises:
            BackendError: the model failed, or gave NaN.
        """

    def close(self) -> None:
        """Let go of the model; ``load`` opens it again. Closing twice is allowed."""


def check_samples(samples: Samples, longest: int) -> None:
    """Refuse samples that a backend cannot take whole, or would misunderstand.

    Raises:
        BackendError: not int16[n], or more samples than longest.
    """
    if samples.dtype != np.int16 or samples.ndim != 1:
        raise BackendError(
            f'got samples of {samples.dtype}, shape {samples.shape}, expected int16 in one '
            'dimension; convert and mix them first')
    if len(samples) > longest:
        raise BackendError(
            f'got {len(samples) / SAMPLE_RATE:.2f} s of samples, expected at most '
            f'{longest / SAMPLE_RATE:g} s; split the segment')


def create(parameters: InferenceParameters) -> InferenceBackend:
    """Make the backend that the parameters name; it is not loaded yet.

    Raises:
        ConfigurationError: a script that is not valid.
    """
    # Imported here: a worker with scripted answers starts without onnxruntime.
    if parameters.backend == 'scripted':
        from xlerobot_asr_opt.backends.scripted import ScriptedBackend

        return ScriptedBackend.from_file(parameters.script)
    from xlerobot_asr_opt.backends.whisper import WhisperBackend

    return WhisperBackend(parameters)
