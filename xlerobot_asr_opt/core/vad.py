"""Who tells speech from the rest: silero-vad, or whatever else follows the protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime

from xlerobot_asr_opt.core.audio import FULL_SCALE
from xlerobot_asr_opt.errors import ModelError

__all__ = ['WINDOW', 'SileroDetector', 'SpeechDetector', 'SpeechTrack']

WINDOW = 512
"""Samples that are judged at a time: 32 ms."""

_CONTEXT = 64
"""Samples of the window before that silero-vad 5 and 6 want in front of each window."""

_STATE = (2, 1, 128)


class SpeechTrack(Protocol):
    """Judges the windows of one stream, in order; may remember the windows before."""

    def probabilities(self, windows: npt.NDArray[np.int16]) -> list[float]:
        """Return how sure it is, 0 to 1, that each of int16[n, WINDOW] is speech; n at least 1.

        The same windows give the same values, however many come at a time.
        """
        ...


class SpeechDetector(Protocol):
    """Gives each stream its own track. Tracks know nothing of each other."""

    def track(self) -> SpeechTrack:
        """Begin with a new stretch of audio, nothing remembered."""
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

    def track(self) -> SileroTrack:
        """Begin with a new stretch of audio."""
        return SileroTrack(self._session)


class SileroTrack:
    """The memory that silero-vad has of one stream."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._context: npt.NDArray[np.float32] = np.zeros(_CONTEXT, np.float32)
        self._state = np.zeros(_STATE, np.float32)

    def probabilities(self, windows: npt.NDArray[np.int16]) -> list[float]:
        """Return the speech probability of each of int16[n, WINDOW], in one run of the graph."""
        feed = np.empty((len(windows), 1, _CONTEXT + WINDOW), np.float32)
        rows = feed[:, 0]
        np.divide(windows, FULL_SCALE, out=rows[:, _CONTEXT:], dtype=np.float32)
        rows[0, :_CONTEXT] = self._context
        rows[1:, :_CONTEXT] = rows[:-1, WINDOW:]
        self._context = rows[-1, WINDOW:]
        found, self._state = self._session.run(None, {'input': feed, 'state': self._state})
        values: list[float] = found[:, 0].tolist()
        return values


def _onnx_errors() -> tuple[type[Exception], ...]:
    """Everything onnxruntime raises for a file that it cannot load.

    Its exceptions have no common base below Exception and are not exported by name.
    """
    state: Any = onnxruntime.capi.onnxruntime_pybind11_state
    return (state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf,
            state.NoSuchFile, state.NotImplemented, state.RuntimeException)


_ONNX_ERRORS = _onnx_errors()
