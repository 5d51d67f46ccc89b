"""The Whisper family on onnxruntime."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import math
import time
from collections.abc import Callable
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
from xlerobot_asr_opt.backends.calibration import CURVES, UNCHANGED
from xlerobot_asr_opt.backends.decoding import GreedyDecoder
from xlerobot_asr_opt.backends.guards import Thresholds, doubt, silence
from xlerobot_asr_opt.backends.log_mel import FRAME_RATE, HOP, log_mel, widen
from xlerobot_asr_opt.backends.onnx_hub import HubGraphs
from xlerobot_asr_opt.backends.onnx_own import OwnGraphs
from xlerobot_asr_opt.backends.onnx_sessions import Graphs
from xlerobot_asr_opt.backends.tokens import Vocabulary
from xlerobot_asr_opt.errors import BackendError, ConfigurationError, ModelError
from xlerobot_asr_opt.models.files import ModelFiles
from xlerobot_asr_opt.models.layout import open_model
from xlerobot_asr_opt.records import SAMPLE_RATE, RecognitionStatus

if TYPE_CHECKING:
    from xlerobot_asr_opt.backends.calibration import Curve
    from xlerobot_asr_opt.backends.decoding import Decoded
    from xlerobot_asr_opt.backends.log_mel import Features
    from xlerobot_asr_opt.parameters import InferenceParameters

__all__ = ['OpenGraphs', 'WhisperBackend', 'open_graphs']

_log = logging.getLogger(__name__)

DECODING = 5
"""Raised whenever this package changes a text or its confidence: what is cached is then made
anew."""

OpenGraphs = Callable[[ModelFiles, int], Graphs]
"""Opens the graphs of a model, each with so many threads; raises ModelError or BackendError."""


def open_graphs(files: ModelFiles, threads: int) -> Graphs:
    """Open the graphs of either layout on onnxruntime.

    Raises:
        ModelError: a graph is damaged.
    """
    return OwnGraphs(files, threads) if files.layout == 'own' else HubGraphs(files, threads)


@dataclass(frozen=True)
class _Loaded:
    """What load() opens and close() lets go of."""

    files: ModelFiles
    vocabulary: Vocabulary
    graphs: Graphs
    decoder: GreedyDecoder


@dataclass(frozen=True)
class _Look:
    """One decoding of one segment."""

    decoded: Decoded
    text: str
    encode_ms: float
    decode_ms: float

    @property
    def confidence(self) -> float:
        return math.exp(self.decoded.mean_log_probability)


class WhisperBackend:
    """An InferenceBackend that runs a Whisper model of either layout.

    A text that the guards doubt is decoded a second time, in the longest window, and so is a
    longer one of little confidence, of which the likelier stays: exp(mean log-probability of the
    text's tokens and its end), the model's own opinion. What is told of it is calibrated, see
    calibration.py.

    Args:
        parameters: of the inference node.
        clock: seconds, monotonic; handed in by tests.
        name: what runs the graphs, as results say it.
        graphs: opens them.
        curve: of the confidence; None: the one that was measured for the model.
        admit: lets the model be opened; raises MemoryBudgetError where it would not fit.
    """

    def __init__(
        self,
        parameters: InferenceParameters,
        clock: Callable[[], float] = time.perf_counter,
        *,
        name: str = 'onnxruntime',
        graphs: OpenGraphs = open_graphs,
        curve: Curve | None = None,
        admit: Admit = admit_all,
    ) -> None:
        self.name = name
        self._parameters = parameters
        self._clock = clock
        self._open_graphs = graphs
        self._curve = curve
        self._admit = admit
        self._thresholds = Thresholds(
            parameters.no_speech_threshold, parameters.log_probability_threshold,
            parameters.compression_threshold, parameters.noise_threshold)
        self._loaded: _Loaded | None = None

    @property
    def digest(self) -> bytes:
        """BLAKE2b-256 of the model's files and all settings that can change a text."""
        settings = {
            'decoding': DECODING,
            'onnxruntime': onnxruntime.__version__,
            'language': self._parameters.language,
            'digits': self._parameters.digits,
            'most_tokens': self._parameters.most_tokens,
            'retry_confidence': self._parameters.retry_confidence,
            'retry_shortest': self._parameters.retry_shortest,
            **dataclasses.asdict(self._thresholds),
        }
        told = json.dumps(settings, sort_keys=True).encode()
        model = self._model
        return hashlib.blake2b(
            model.files.digest + model.graphs.digest + told, digest_size=32).digest()

    @property
    def longest(self) -> int:
        """Longest segment [samples at SAMPLE_RATE]."""
        return self._model.graphs.longest * HOP

    def load(self) -> None:
        """Open the model.

        Raises:
            ModelError: it is missing, damaged or of another kind.
            ConfigurationError: the model does not know the language.
            MemoryBudgetError: it does not fit into the memory that is left.
            BackendError: what runs its graphs is not there.
        """
        files = open_model(self._parameters.model)
        if not isinstance(files, ModelFiles):
            raise ModelError(f'{files.name} is a CTC model ({files.family}), expected a Whisper')
        self._admit(files)
        vocabulary = Vocabulary(files)
        language = self._parameters.language
        if language and language not in vocabulary.languages:
            raise ConfigurationError(f'language: {_unknown(language, files)}')
        graphs = self._open_graphs(files, self._parameters.threads)
        decoder = GreedyDecoder(
            vocabulary, digits=self._parameters.digits, most_tokens=self._parameters.most_tokens,
            positions=files.dims.text_positions)
        self._loaded = _Loaded(files, vocabulary, graphs, decoder)

    def warm_up(self) -> None:
        """Recognise two seconds of silence, or as much as the model takes."""
        length = min(2 * FRAME_RATE * HOP, self.longest)
        self.recognise(self.prepare(np.zeros(length, np.int16), ''))

    def close(self) -> None:
        """Let go of the model."""
        if self._loaded is not None:
            self._loaded.graphs.close()
        self._loaded = None

    def prepare(self, samples: Samples, language: str) -> Prepared:
        """Compute log-mel features.

        Raises:
            BackendError: not int16[n], more than ``longest``, or a language that the model does
                not know.
        """
        model = self._model
        check_samples(samples, self.longest)
        language = language or self._parameters.language
        if language and language not in model.vocabulary.languages:
            raise BackendError(_unknown(language, model.files))
        start = self._clock()
        frames = model.graphs.window(len(samples))
        features = log_mel(samples, frames, model.files.dims.mel_bins)
        return Prepared(features, len(samples), language, 1e3 * (self._clock() - start))

    def recognise(self, prepared: Prepared) -> Result:
        """Decode, and once more in the longest window if the text is in doubt.

        Raises:
            BackendError: onnxruntime failed, or the model gave NaN.
        """
        if prepared.length == 0:
            return Result(RecognitionStatus.NO_SPEECH, backend=self.name, reason='no samples',
                          features_ms=prepared.features_ms)
        look = self._look(prepared.features, prepared.language)
        why = doubt(look.text, look.decoded, self._thresholds)
        unsure = (look.confidence < self._parameters.retry_confidence
                  and prepared.length >= self._parameters.retry_shortest * SAMPLE_RATE)
        if (why or unsure) and prepared.features.shape[2] < self._model.graphs.longest:
            look, why = self._second_look(look, why, prepared)
        return self._result(look, why, prepared)

    def _second_look(self, first: _Look, doubted: str, prepared: Prepared) -> tuple[_Look, str]:
        """Decode in the longest window; return the text that stays, and why it was necessary."""
        longest = self._model.graphs.longest
        why = doubted or f'own confidence {first.confidence:.2f}'
        _log.debug('%s: %r; decoding again in the longest window', why, first.text)
        start = self._clock()
        second = self._look(
            widen(prepared.features, prepared.length, longest), prepared.language)
        stays = second if doubted or self._is_likelier(second, first, prepared) else first
        spent_ms = 1e3 * (self._clock() - start) - second.encode_ms
        look = dataclasses.replace(
            stays, encode_ms=first.encode_ms + second.encode_ms,
            decode_ms=first.decode_ms + spent_ms)
        told = f'decoded in {longest / FRAME_RATE:g} s, for in a shorter window: {why}'
        return look, doubt(look.text, look.decoded, self._thresholds) or told

    def _is_likelier(self, second: _Look, first: _Look, prepared: Prepared) -> bool:
        """Whether the second text is the likelier one even by what the first look has seen.

        So it is only believed where the first search went astray, and not for what the other
        window shows otherwise.
        """
        if second.decoded.tokens == first.decoded.tokens:
            return False
        decoder, graphs = self._model.decoder, self._model.graphs
        values = [decoder.log_probability(graphs.encode(prepared.features), look.decoded)
                  for look in (first, second)]
        return values[1] > values[0]

    def _look(self, features: Features, language: str) -> _Look:
        model = self._model
        start = self._clock()
        feed = model.graphs.encode(features)
        encoded = self._clock()
        decoded = model.decoder.decode(feed, language)
        text = model.vocabulary.text(decoded.tokens)
        end = self._clock()
        return _Look(decoded, text, 1e3 * (encoded - start), 1e3 * (end - encoded))

    def _result(self, look: _Look, doubted: str, prepared: Prepared) -> Result:
        silent = silence(look.text, look.decoded, self._thresholds)
        return Result(
            status=RecognitionStatus.NO_SPEECH if silent else RecognitionStatus.DONE,
            text='' if silent else look.text,
            language='' if silent else look.decoded.language,
            confidence=self._calibrated(look.confidence),
            backend=self.name,
            reason=silent or doubted,
            features_ms=prepared.features_ms,
            encode_ms=look.encode_ms,
            decode_ms=look.decode_ms,
        )

    def _calibrated(self, confidence: float) -> float:
        curve = self._curve or CURVES.get(self._model.files.name, UNCHANGED)
        return curve(confidence)

    @property
    def _model(self) -> _Loaded:
        if self._loaded is None:
            raise BackendError('the model is not loaded; call load() first')
        return self._loaded


def _unknown(language: str, files: ModelFiles) -> str:
    return f'got {language!r}; {files.name} knows {", ".join(files.languages)}'
