"""What every backend promises, so that a worker can run any of them.

Work on a segment has two phases. ``prepare`` turns the samples into features and lets go of
them: they are a view of loaned shared memory, which has to go back at once. ``recognise`` turns
the features into a text and may take its time.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeGuard

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.core.degradation_effects import SMALL
from xlerobot_asr_opt.errors import BackendError, ConfigurationError, GarbageError
from xlerobot_asr_opt.records import NOT_GIVEN, SAMPLE_RATE, RecognitionStatus, Word

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from xlerobot_asr_opt.backends.chain import BackendChain
    from xlerobot_asr_opt.core.breaker import Health
    from xlerobot_asr_opt.models.ctc_files import CtcFiles
    from xlerobot_asr_opt.models.files import ModelFiles
    from xlerobot_asr_opt.parameters import InferenceParameters

__all__ = ['Admit', 'BatchBackend', 'Candidate', 'InferenceBackend', 'Prepared', 'Result',
           'Samples', 'admit_all', 'candidate', 'check_result', 'check_samples', 'create',
           'recognise_each', 'takes_batches']

Samples = npt.NDArray[np.int16]
"""int16[n], mono at SAMPLE_RATE; may be a read-only view of loaned memory."""


Admit: TypeAlias = 'Callable[[ModelFiles | CtcFiles], None]'
"""Lets a model be opened; raises MemoryBudgetError where it would not fit into memory."""


def admit_all(_files: ModelFiles | CtcFiles) -> None:
    """Let every model be opened: for whoever has nobody to ask."""


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
        language: as in ISO 639-1, yue for Cantonese; empty if the backend does not know it.
        confidence: 0 to 1, or NaN where the model gives none.
        words: words with their times, or empty where the model gives none.
        emotion: how it was said, in lower case, for example happy; empty where the model gives
            none.
        event: what was heard, in lower case, for example speech or laughter; empty where the model
            gives none.
        backend: what made the text.
        reason: what was out of the ordinary; empty for nothing.
        features_ms: samples to features [ms].
        encode_ms: features to encoder output [ms].
        decode_ms: encoder output to text [ms].
        lost_ms: spent before on backends that gave no text [ms].
        recogniser: digest of the backend that made the text; empty: the only one there is.
    """

    status: RecognitionStatus
    text: str = ''
    language: str = ''
    confidence: float = NOT_GIVEN
    words: tuple[Word, ...] = ()
    emotion: str = ''
    event: str = ''
    backend: str = ''
    reason: str = ''
    features_ms: float = 0.0
    encode_ms: float = 0.0
    decode_ms: float = 0.0
    lost_ms: float = 0.0
    recogniser: bytes = b''


@dataclass(frozen=True)
class Candidate:
    """A backend that a chain may use.

    Attributes:
        backend: not loaded.
        health: reads the state of its accelerator, in well under a millisecond; None: it has none.
    """

    backend: InferenceBackend
    health: Callable[[], Health] | None = None


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
            MemoryBudgetError: it does not fit into the memory that is left.
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


class BatchBackend(InferenceBackend, Protocol):
    """An InferenceBackend that takes several segments at once, where that is faster."""

    def recognise_batch(self, batch: Sequence[Prepared]) -> list[Result | BackendError]:
        """Turn the features of several segments into their texts, as ``recognise`` would.

        Args:
            batch: at least one.

        Returns:
            For each of them the result, or the error of that one alone.

        Raises:
            BackendError: the model failed on all.
        """


def takes_batches(backend: InferenceBackend) -> TypeGuard[BatchBackend]:
    """Whether a backend takes several segments at once."""
    return hasattr(backend, 'recognise_batch')


def recognise_each(
    backend: InferenceBackend, batch: Sequence[Prepared],
) -> list[Result | BackendError]:
    """Do for any backend what BatchBackend does, one segment after the other."""
    return [_or_error(backend.recognise, prepared) for prepared in batch]


def _or_error(
    recognise: Callable[[Prepared], Result], prepared: Prepared,
) -> Result | BackendError:
    try:
        return recognise(prepared)
    except BackendError as error:
        return error


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


def check_result(result: Result) -> None:
    """Refuse what no backend may give, so that it is not taken for speech.

    Raises:
        GarbageError: a text without words or where nobody spoke, or a confidence or a time out of
            bounds.
    """
    spoken = result.status is RecognitionStatus.DONE
    if not spoken and result.status is not RecognitionStatus.NO_SPEECH:
        raise GarbageError(f'got the status {result.status.name}, expected DONE or NO_SPEECH')
    if spoken != bool(result.text.strip()):
        raise GarbageError(f'got the text {result.text!r} with the status {result.status.name}, '
                           'expected one exactly where somebody spoke')
    if not math.isnan(result.confidence) and not 0.0 <= result.confidence <= 1.0:
        raise GarbageError(f'got a confidence of {result.confidence}, expected 0 to 1, or NaN '
                           'where the model gives none')
    times = result.features_ms, result.encode_ms, result.decode_ms
    if not all(0.0 <= time_ms < math.inf for time_ms in times):
        raise GarbageError(f'got times of {times} ms, expected finite ones')


def create(
    parameters: InferenceParameters, keep: Callable[[Samples], Samples] = np.copy,
    admit: Admit = admit_all,
) -> BackendChain:
    """Make the backends that the parameters name, as one; it is not loaded yet.

    Args:
        parameters: of the inference node.
        keep: copies the samples that another backend may need.
        admit: lets a model be opened; raises MemoryBudgetError where it would not fit.

    Raises:
        ConfigurationError: a script or a parameter that is not valid, or the same backend twice.
    """
    # Imported here, as each backend is: the chain is made of what this module declares.
    from xlerobot_asr_opt.backends.chain import BackendChain, Policy

    candidates = [candidate(name, parameters, admit) for name in parameters.backends]
    if parameters.small_model:
        candidates.append(Candidate(_on_cpu(
            dataclasses.replace(parameters, model=parameters.small_model), SMALL, admit)))
    return BackendChain(candidates, Policy.of(parameters), keep=keep)


def candidate(
    name: str, parameters: InferenceParameters, admit: Admit = admit_all,
) -> Candidate:
    """Make one backend, with what reads the state of its accelerator.

    Args:
        name: one of those that the parameter ``backends`` allows.
        parameters: of the inference node.
        admit: lets its model be opened; see create().

    Raises:
        ConfigurationError: a script that is not valid, or a parameter that is not for this model.
    """
    # Imported here: a worker with scripted answers starts without onnxruntime.
    if name == 'scripted':
        from xlerobot_asr_opt.backends.scripted import ScriptedBackend

        scripted = ScriptedBackend.from_file(parameters.script)
        return Candidate(scripted, scripted.health)
    if name == 'bpu':
        from xlerobot_asr_opt.backends.board_health import Board
        from xlerobot_asr_opt.backends.bpu_board import BoardRunner
        from xlerobot_asr_opt.backends.bpu_graphs import whisper_on

        runner = BoardRunner(parameters.bpu_priority)
        return Candidate(whisper_on(runner, parameters, admit), Board().health)
    if name == 'bpu_exact':
        from xlerobot_asr_opt.backends.bpu_exact import ExactRunner
        from xlerobot_asr_opt.backends.bpu_graphs import whisper_on
        from xlerobot_asr_opt.models.bpu.environment import VendorEnvironment, vendor_directory

        exact = ExactRunner(VendorEnvironment(vendor_directory()))
        return Candidate(whisper_on(exact, parameters, admit))
    return Candidate(_on_cpu(parameters, name, admit))


def _on_cpu(parameters: InferenceParameters, name: str, admit: Admit) -> InferenceBackend:
    """Make the backend of a model on onnxruntime, under this name."""
    from xlerobot_asr_opt.models.layout import is_ctc

    if is_ctc(parameters.model):
        from xlerobot_asr_opt.backends.ctc import CtcBackend

        return CtcBackend(parameters, name=name, admit=admit)
    _refuse_search(parameters)
    from xlerobot_asr_opt.backends.whisper import WhisperBackend

    return WhisperBackend(parameters, name=name, admit=admit)


def _refuse_search(parameters: InferenceParameters) -> None:
    """Refuse what only CTC models have, rather than leave it out in silence."""
    asked = {'beam': parameters.beam > 1, 'hotwords': bool(parameters.hotwords),
             'grammar': bool(parameters.grammar)}
    for name in (name for name, is_set in asked.items() if is_set):
        raise ConfigurationError(
            f'{name}: got {getattr(parameters, name)!r}, but {parameters.model} is no CTC model; '
            'leave it out, or take a CTC model (docs/ctc.md)')
