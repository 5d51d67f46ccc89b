"""Who tells speech from the rest: silero-vad, or whatever else follows the protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime

from xlerobot_asr_opt.core.audio import FULL_SCALE
from xlerobot_asr_opt.errors import ModelError

__all__ = ['CONTEXT', 'FRAME', 'WINDOW', 'SileroDetector', 'SpeechDetector', 'SpeechTracks']

WINDOW = 512
"""Samples that are judged at a time: 32 ms."""
CONTEXT = 64
"""Samples of the window before that silero-vad 5 and 6 want in front of each window."""
FRAME = CONTEXT + WINDOW

_MEMORY = (2, 128)

Rows = npt.NDArray[np.int64]


class SpeechTracks(Protocol):
    """Judges the windows of many streams, those of each in order; may remember what was before."""

    def begin(self, rows: Rows) -> None:
        """Remember nothing of these rows, int64[n]."""
        ...

    def probabilities(
        self, rows: Rows, frames: npt.NDArray[np.int16],
    ) -> npt.NDArray[np.float32]:
        """Return how sure it is, 0 to 1, that windows are speech.

        The same windows of a stream give the same values, however many come at a time, and
        whichever other streams come with it.

        Args:
            rows: int64[streams] of the streams, each at most once.
            frames: int16[windows, streams, FRAME]: the next windows of each, at least one, with
                the CONTEXT samples before each.

        Returns:
            float32[windows, streams].
        """
        ...


class SpeechDetector(Protocol):
    """Gives memories for any number of streams, which know nothing of each other."""

    def tracks(self, rows: int) -> SpeechTracks:
        """Begin with nothing remembered."""
        ...


class SileroDetector:
    """silero-vad's graph as models/silero_onnx.py writes it, on one thread, for all streams."""

    def __init__(self, path: Path) -> None:
        """Load the graph.

        Raises:
            ModelError: the file is missing, damaged or another model.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry('session.intra_op.allow_spinning', '0')
        if not path.is_file():
            raise ModelError(
                f'voice activity model: no file {path}; fetch it with '
                f'`xlerobot-asr models fetch silero-vad`')
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=['CPUExecutionProvider'])
        except _ONNX_ERRORS as error:
            raise ModelError(
                f'voice activity model: {path} is damaged or no ONNX graph ({error}); fetch it '
                f'again with `xlerobot-asr models fetch silero-vad`') from error
        inputs = {item.name for item in self._session.get_inputs()}
        if inputs != {'input', 'state'}:
            raise ModelError(
                f'voice activity model: {path} has the inputs {sorted(inputs)}, expected input '
                f'and state; fetch it with `xlerobot-asr models fetch silero-vad`')

    def tracks(self, rows: int) -> SileroTracks:
        """Begin with nothing remembered of any row."""
        return SileroTracks(self._session, rows)


class SileroTracks:
    """The memory that silero-vad has of some streams."""

    def __init__(self, session: Any, rows: int) -> None:
        self._session = session
        self._memory = np.zeros((rows, *_MEMORY), np.float32)

    def begin(self, rows: Rows) -> None:
        """Remember nothing of these rows."""
        self._memory[rows] = 0

    def probabilities(
        self, rows: Rows, frames: npt.NDArray[np.int16],
    ) -> npt.NDArray[np.float32]:
        """Return the probabilities float32[windows, streams], in one run of the graph."""
        feed = np.divide(frames, FULL_SCALE, dtype=np.float32)
        state = np.ascontiguousarray(self._memory[rows].swapaxes(0, 1))
        found: npt.NDArray[np.float32]
        found, state = self._session.run(None, {'input': feed, 'state': state})
        self._memory[rows] = state.swapaxes(0, 1)
        return found


def _onnx_errors() -> tuple[type[Exception], ...]:
    """Everything onnxruntime raises for a file that it cannot load.

    Its exceptions have no common base below Exception and are not exported by name.
    """
    state: Any = onnxruntime.capi.onnxruntime_pybind11_state
    return (state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf,
            state.NoSuchFile, state.NotImplemented, state.RuntimeException)


_ONNX_ERRORS = _onnx_errors()
