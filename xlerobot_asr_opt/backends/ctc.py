"""SenseVoice and other CTC models on onnxruntime."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime

from xlerobot_asr_opt.backends.base import (
    Admit,
    Prepared,
    Result,
    Samples,
    admit_all,
    check_samples,
)
from xlerobot_asr_opt.backends.ctc_graph import CtcGraph
from xlerobot_asr_opt.backends.ctc_greedy import check_finite
from xlerobot_asr_opt.backends.ctc_search import SEARCHING, Search, read_search
from xlerobot_asr_opt.backends.ctc_vocabulary import CtcVocabulary
from xlerobot_asr_opt.backends.kaldi_fbank import KaldiFbank
from xlerobot_asr_opt.errors import BackendError, ConfigurationError, ModelError
from xlerobot_asr_opt.models.ctc_files import CtcFiles, Prompt
from xlerobot_asr_opt.models.layout import open_model
from xlerobot_asr_opt.records import NOT_GIVEN, SAMPLE_RATE, RecognitionStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from xlerobot_asr_opt.backends.ctc_greedy import Emission, Logits
    from xlerobot_asr_opt.parameters import InferenceParameters
    from xlerobot_asr_opt.records import Word

__all__ = ['CtcBackend']

_LONGEST = 30 * SAMPLE_RATE
_HOP = SAMPLE_RATE // 100
_WINDOW = SAMPLE_RATE // 40
_NO_SPEECH = 'nospeech'
"""SenseVoice's language of a segment in which nobody speaks."""


@dataclass(frozen=True)
class _Tags:
    """What SenseVoice says of a segment as a whole, in lower case; empty for nothing."""

    language: str = ''
    emotion: str = ''
    event: str = ''


_NO_TAGS = _Tags()


@dataclass(frozen=True)
class _Loaded:
    """What load() opens and close() lets go of."""

    files: CtcFiles
    vocabulary: CtcVocabulary
    frontend: KaldiFbank
    graph: CtcGraph
    search: Search
    foreign: dict[str, npt.NDArray[np.float32]]


class CtcBackend:
    """An InferenceBackend that runs a CTC model of any layout of models/ctc.py.

    A language that is asked for is forced: SenseVoice is told it, and what its script cannot write
    is not written. Confidence is exp(mean log-probability of the text's tokens), each at the frame
    where the model is surest of it: the model's own opinion.

    Args:
        parameters: of the inference node.
        clock: seconds, monotonic; handed in by tests.
        name: as results say it.
        admit: lets the model be opened; raises MemoryBudgetError where it would not fit.
    """

    def __init__(
        self, parameters: InferenceParameters, clock: Callable[[], float] = time.perf_counter, *,
        name: str = 'onnxruntime', admit: Admit = admit_all,
    ) -> None:
        self.name = name
        self._parameters = parameters
        self._clock = clock
        self._admit = admit
        self._loaded: _Loaded | None = None

    @property
    def digest(self) -> bytes:
        """BLAKE2b-256 of the model's files and all settings that can change a text."""
        settings = {
            'searching': SEARCHING,
            'onnxruntime': onnxruntime.__version__,
            'language': self._parameters.language,
            'digits': self._parameters.digits,
            'log_probability': self._parameters.log_probability_threshold,
            'search': self._model.search.settings,
        }
        told = json.dumps(settings, sort_keys=True).encode()
        return hashlib.blake2b(self._model.files.digest + told, digest_size=32).digest()

    @property
    def longest(self) -> int:
        """Longest segment [samples at SAMPLE_RATE]."""
        files = self._model.files
        if not files.inputs.frames:
            return _LONGEST
        return min(_LONGEST, _WINDOW + _HOP * (files.inputs.frames * files.frontend.shift - 1))

    def load(self) -> None:
        """Open the model.

        Raises:
            ModelError: it is missing, damaged or of another kind.
            ConfigurationError: the model does not know the language, or cannot write a hotword or
                a sentence of the grammar.
            MemoryBudgetError: it does not fit into the memory that is left.
        """
        files = open_model(self._parameters.model)
        if not isinstance(files, CtcFiles):
            raise ModelError(f'{files.name} is a {files.family}, expected a CTC model')
        self._admit(files)
        language = self._parameters.language
        if language and files.languages and language not in files.languages:
            raise ConfigurationError(f'language: {_unknown(language, files)}')
        vocabulary = CtcVocabulary(files)
        self._loaded = _Loaded(
            files, vocabulary, KaldiFbank(files.frontend),
            CtcGraph(files, self._parameters.threads), read_search(self._parameters, vocabulary),
            {code: vocabulary.foreign_to(code) for code in files.languages})

    def warm_up(self) -> None:
        """Recognise two seconds of silence, or as much as the model takes."""
        self.recognise(self.prepare(np.zeros(min(2 * SAMPLE_RATE, self.longest), np.int16), ''))

    def close(self) -> None:
        """Let go of the model."""
        self._loaded = None

    def prepare(self, samples: Samples, language: str) -> Prepared:
        """Compute features.

        Raises:
            BackendError: not int16[n], more than ``longest``, or a language that the model does
                not know.
        """
        model = self._model
        check_samples(samples, self.longest)
        language = language or self._parameters.language
        if language and model.files.languages and language not in model.files.languages:
            raise BackendError(_unknown(language, model.files))
        start = self._clock()
        features = model.frontend(samples)
        return Prepared(features, len(samples), language, 1e3 * (self._clock() - start))

    def recognise(self, prepared: Prepared) -> Result:
        """Run the model and search its answer.

        Raises:
            BackendError: onnxruntime failed, or the model gave NaN.
        """
        if not len(prepared.features):
            return self._silent(prepared, 'shorter than a window of 25 ms' if prepared.length
                                else 'no samples')
        model = self._model
        start = self._clock()
        logits = model.graph(prepared.features, prepared.language, normalised=self._normalised)
        encoded = self._clock()
        check_finite(logits)
        tags, emissions = self._search(logits, prepared.language)
        result = self._result(tags, emissions, prepared)
        end = self._clock()
        return dataclasses.replace(
            result, encode_ms=1e3 * (encoded - start), decode_ms=1e3 * (end - encoded))

    @property
    def _normalised(self) -> bool:
        """Whether to ask for punctuation, which no sentence of a grammar has."""
        return self._parameters.digits and not self._parameters.grammar

    def _search(self, logits: Logits, language: str) -> tuple[_Tags, list[Emission] | None]:
        """Tags and text; None for a text if no sentence of the grammar fits."""
        model = self._model
        if model.files.prompt is None:
            return _Tags(language), model.search(logits, 0)
        said = [model.vocabulary.tag(int(token))
                for token in logits[:Prompt.FRAMES].argmax(axis=1)]
        heard = said[0] if said[0] == _NO_SPEECH or not language else language
        tags = _Tags(heard, said[1], said[2])
        if language:
            logits += model.foreign[language][:logits.shape[1]]
        return tags, model.search(logits, Prompt.FRAMES)

    def _result(
        self, tags: _Tags, emissions: list[Emission] | None, prepared: Prepared,
    ) -> Result:
        if emissions is None:
            return self._silent(prepared, 'no sentence of the grammar fits', tags)
        text = self._model.vocabulary.text([one.token for one in emissions])
        if tags.language == _NO_SPEECH:
            return self._silent(prepared, 'the model says <|nospeech|>', tags)
        if not any(character.isalnum() for character in text):
            return self._silent(prepared, 'no words', tags)
        mean = math.fsum(one.log_probability for one in emissions) / len(emissions)
        unsure = mean < self._parameters.log_probability_threshold
        return Result(
            status=RecognitionStatus.DONE, text=text, language=tags.language,
            confidence=math.exp(mean), words=self._words(emissions, prepared.length),
            emotion=tags.emotion, event=tags.event, backend=self.name,
            reason=f'mean log-probability {mean:.2f}' if unsure else '',
            features_ms=prepared.features_ms)

    def _silent(self, prepared: Prepared, why: str, tags: _Tags = _NO_TAGS) -> Result:
        return Result(
            RecognitionStatus.NO_SPEECH, confidence=NOT_GIVEN, emotion=tags.emotion,
            event=tags.event, backend=self.name, reason=why, features_ms=prepared.features_ms)

    def _words(self, emissions: Sequence[Emission], length: int) -> tuple[Word, ...]:
        files = self._model.files
        before = Prompt.FRAMES if files.prompt else 0
        step = files.subsampling / 100

        def seconds(frame: int) -> float:
            return min(step * (frame - before), length / SAMPLE_RATE)

        return self._model.vocabulary.words(emissions, seconds)

    @property
    def _model(self) -> _Loaded:
        if self._loaded is None:
            raise BackendError('the model is not loaded; call load() first')
        return self._loaded


def _unknown(language: str, files: CtcFiles) -> str:
    return f'got {language!r}; {files.name} knows {", ".join(files.languages)}'
