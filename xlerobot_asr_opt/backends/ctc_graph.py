"""Runs the graph of a CTC model, whatever its inputs are called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.backends.onnx_sessions import failing_as_backend
from xlerobot_asr_opt.errors import BackendError
from xlerobot_asr_opt.models.onnx_session import open_session

if TYPE_CHECKING:
    from xlerobot_asr_opt.backends.ctc_greedy import Logits
    from xlerobot_asr_opt.models.ctc_files import CtcFiles, Prompt

__all__ = ['CtcGraph']

_EVENT_AND_EMOTION = (1, 2)
"""The prompt's ids between language and text_norm, as in FunASR."""


class CtcGraph:
    """One graph, one segment at a time.

    Args:
        files: the model.
        threads: of the graph; 0: one for each core.

    Raises:
        ModelError: the graph is damaged.
    """

    def __init__(self, files: CtcFiles, threads: int) -> None:
        self._files = files
        self._session = open_session(files.graph, threads)

    def __call__(
        self, features: npt.NDArray[np.float32], language: str, *, normalised: bool,
    ) -> Logits:
        """Run the model.

        Args:
            features: float32[n, width], n at least 1.
            language: one that the model can be told; empty: it detects it.
            normalised: ask for punctuation and digits, of a model that can be told.

        Returns:
            float32[frames, V], writable: of the frames that were spoken, the prompt's first.

        Raises:
            BackendError: onnxruntime failed, or gave another shape.
        """
        names = self._files.inputs
        outputs = [names.logits, *([names.logits_length] if names.logits_length else [])]
        with failing_as_backend('model'):
            found = self._session.run(outputs, self._feed(features, language, normalised))
        logits = found[0]
        count = self._count(len(features), found[1:], logits)
        vocabulary = len(self._files.pieces)
        if logits.ndim != 3 or len(logits) != 1 or not 0 < logits.shape[2] <= vocabulary:
            raise BackendError(
                f'the model gave logits of shape {logits.shape}, expected [1, frames, at most '
                f'{vocabulary}]; try another backend')
        frames: Logits = logits[0, :count]
        return frames

    def _count(self, features: int, lengths: list[Any], logits: Logits) -> int:
        """Frames of logits that count."""
        if lengths:
            return int(lengths[0].reshape(-1)[0])
        prompt: Prompt | None = self._files.prompt
        if prompt is not None:
            return features + prompt.FRAMES
        return min(features // self._files.subsampling, logits.shape[1])

    def _feed(
        self, features: npt.NDArray[np.float32], language: str, normalised: bool,
    ) -> dict[str, npt.NDArray[Any]]:
        names, integer = self._files.inputs, np.dtype(self._files.inputs.integer)
        frames = features
        if names.frames:
            frames = np.zeros((names.frames, features.shape[1]), np.float32)
            frames[:len(features)] = features
        if names.transposed:
            frames = np.ascontiguousarray(frames.T)
        feed: dict[str, npt.NDArray[Any]] = {names.features: frames[None]}
        if names.length:
            feed[names.length] = np.array([len(features)], integer)
        if self._files.prompt is not None:
            told, written = self._told(self._files.prompt, language, normalised)
            if names.prompt:
                feed[names.prompt] = np.array([told, *_EVENT_AND_EMOTION, written], integer)
            else:
                feed[names.language] = np.array([told], integer)
                feed[names.text_norm] = np.array([written], integer)
        return feed

    @staticmethod
    def _told(prompt: Prompt, language: str, normalised: bool) -> tuple[int, int]:
        """Ids of language and text normalisation."""
        told = dict(prompt.languages)[language] if language else prompt.automatic
        return told, prompt.with_itn if normalised else prompt.without_itn
