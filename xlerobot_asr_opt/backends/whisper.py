"""The Whisper family on onnxruntime."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime

from xlerobot_asr_opt.backends.base import Prepared, Result, Samples, check_samples
from xlerobot_asr_opt.backends.decoding import GreedyDecoder
from xlerobot_asr_opt.backends.guards import Thresholds, doubt, silence
from xlerobot_asr_opt.backends.log_mel import FRAME_RATE, HOP, log_mel, widen
from xlerobot_asr_opt.backends.onnx_hub import HubGraphs
from xlerobot_asr_opt.backends.onnx_own import OwnGraphs
from xlerobot_asr_opt.backends.tokens import Vocabulary
from xlerobot_asr_opt.errors import BackendError, ConfigurationError
from xlerobot_asr_opt.models.layout import open_model
from xlerobot_asr_opt.records import RecognitionStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from xlerobot_asr_opt.backends.decoding import Decoded
    from xlerobot_asr_opt.backends.log_mel import Features
    from xlerobot_asr_opt.backends.onnx_sessions import Graphs
    from xlerobot_asr_opt.models.files import ModelFiles
    from xlerobot_asr_opt.parameters import InferenceParameters

__all__ = ['WhisperBackend', 'window']

_log = logging.getLogger(__name__)

DECODING = 3
"""Raised whenever this package's decoding changes a text: cached texts are then made anew."""

_STEP = FRAME_RATE
"""Windows come in steps of a second, so that onnxruntime's buffers are used again."""
_MARGIN = 4 * FRAME_RATE
"""Silence that is encoded together with the speech [frames]: docs/recogniser.md has why."""


def window(samples: int, longest: int) -> int:
    """Frames to encode for so many samples, at most longest."""
    frames = -(-samples // HOP) + _MARGIN
    return min(longest, -(-frames // _STEP) * _STEP)


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

    A text that the guards doubt is decoded a second time, in the longest window, and so is one of
    little confidence, of which the likelier stays. Confidence is exp(mean log-probability of the
    text's tokens and its end): the model's own opinion.

    Args:
        parameters: of the inference node.
        clock: seconds, monotonic; handed in by tests.
    """

    name = 'onnxruntime'

    def __init__(
        self, parameters: InferenceParameters, clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._parameters = parameters
        self._clock = clock
        self._thresholds = Thresholds(
            parameters.no_speech_threshold, parameters.log_probability_threshold,
            parameters.compression_threshold)
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
            **dataclasses.asdict(self._thresholds),
        }
        told = json.dumps(settings, sort_keys=True).encode()
        return hashlib.blake2b(self._model.files.digest + told, digest_size=32).digest()

    @property
    def longest(self) -> int:
        """Longest segment [samples at SAMPLE_RATE]."""
        return self._model.files.dims.frames * HOP

    def load(self) -> None:
        """Open the model.

        Raises:
            ModelError: it is missing, damaged or of another kind.
            ConfigurationError: the model does not know the language.
        """
        files = open_model(self._parameters.model)
        vocabulary = Vocabulary(files)
        language = self._parameters.language
        if language and language not in vocabulary.languages:
            raise ConfigurationError(f'language: {_unknown(language, files)}')
        graphs = OwnGraphs if files.layout == 'own' else HubGraphs
        decoder = GreedyDecoder(
            vocabulary, digits=self._parameters.digits, most_tokens=self._parameters.most_tokens,
            positions=files.dims.text_positions)
        self._loaded = _Loaded(files, vocabulary, graphs(files, self._parameters.threads), decoder)

    def warm_up(self) -> None:
        """Recognise two seconds of silence, or as much as the model takes."""
        length = min(2 * FRAME_RATE * HOP, self.longest)
        self.recognise(self.prepare(np.zeros(length, np.int16), ''))

    def close(self) -> None:
        """Let go of the model."""
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
        dims = model.files.dims
        frames = window(len(samples), dims.frames) if model.graphs.any_window else dims.frames
        features = log_mel(samples, frames, dims.mel_bins)
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
        unsure = look.confidence < self._parameters.retry_confidence
        if (why or unsure) and prepared.features.shape[2] < self._model.files.dims.frames:
            look, why = self._second_look(look, why, prepared)
        return self._result(look, why, prepared)

    def _second_look(self, first: _Look, doubted: str, prepared: Prepared) -> tuple[_Look, str]:
        """Decode in the longest window; return the text that stays, and why it was necessary."""
        longest = self._model.files.dims.frames
        why = doubted or f'confidence {first.confidence:.2f}'
        _log.debug('%s: %r; decoding again in the longest window', why, first.text)
        second = self._look(widen(prepared.features, longest), prepared.language)
        stays = first if not doubted and first.confidence >= second.confidence else second
        look = dataclasses.replace(
            stays, encode_ms=first.encode_ms + second.encode_ms,
            decode_ms=first.decode_ms + second.decode_ms)
        told = f'decoded in {longest / FRAME_RATE:g} s, for in a shorter window: {why}'
        return look, doubt(look.text, look.decoded, self._thresholds) or told

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
            confidence=look.confidence,
            backend=self.name,
            reason=silent or doubted,
            features_ms=prepared.features_ms,
            encode_ms=look.encode_ms,
            decode_ms=look.decode_ms,
        )

    @property
    def _model(self) -> _Loaded:
        if self._loaded is None:
            raise BackendError('the model is not loaded; call load() first')
        return self._loaded


def _unknown(language: str, files: ModelFiles) -> str:
    return f'got {language!r}; {files.name} knows {", ".join(files.languages)}'
