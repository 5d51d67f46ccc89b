"""Who tells speech from the rest: silero-vad, or whatever else follows the protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime

from xlerobot_asr_opt.core.audio import FULL_SCALE
from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.records import SAMPLE_RATE

__all__ = ['WINDOW', 'SileroDetector', 'SpeechDetector', 'SpeechTrack']

WINDOW = 512
"""Samples that are judged at a time: 32 ms."""

_CONTEXT = 64
"""Samples of the window before that silero-vad 5 and 6 want in front of each window."""

_STATE = (2, 1, 128)


class SpeechTrack(Protocol):
    """Judges the windows of one stream, in order; may remember the windows before."""

    def probability(self, window: npt.NDArray[np.int16]) -> float:
        """Return how sure it is, 0 to 1, that int16[WINDOW] is speech."""
        ...


class SpeechDetector(Protocol):
    """Gives each stream its own track. Tracks know nothing of each other."""

    def track(self) -> SpeechTrack:
        """Begin with a new stretch of audio, nothing remembered."""
        ...


class SileroDetector:
    """silero-vad's ONNX graph, version 5 or 6, on one thread; one session for all streams.

    A window costs 0.11 to 0.17 ms of an x86 core, half a percent of it a stream (docs/ingest.md).
    """

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
        if inputs - {'sr'} != {'input', 'state'}:
            raise ModelError(
                f'voice activity model: {path} has the inputs {sorted(inputs)}, expected input, '
                f'state and sr as in silero-vad 5 and 6')
        self._rate = (
            {'sr': np.array(SAMPLE_RATE, np.int64)} if 'sr' in inputs else {})

    def track(self) -> SileroTrack:
        """Begin with a new stretch of audio."""
        return SileroTrack(self._session, self._rate)


class SileroTrack:
    """The memory that silero-vad has of one stream."""

    def __init__(self, session: Any, constants: dict[str, npt.NDArray[np.int64]]) -> None:
        self._session = session
        self._input = np.zeros((1, _CONTEXT + WINDOW), np.float32)
        self._feed: dict[str, Any] = {
            'input': self._input, 'state': np.zeros(_STATE, np.float32), **constants}

    def probability(self, window: npt.NDArray[np.int16]) -> float:
        """Return the speech probability of int16[WINDOW], which follows the window before."""
        line = self._input[0]
        line[:_CONTEXT] = line[WINDOW:]
        np.divide(window, FULL_SCALE, out=line[_CONTEXT:], dtype=np.float32)
        output, self._feed['state'] = self._session.run(None, self._feed)
        return float(output[0, 0])


def _onnx_errors() -> tuple[type[Exception], ...]:
    """Everything onnxruntime raises for a file that it cannot load.

    Its exceptions have no common base below Exception and are not exported by name.
    """
    state: Any = onnxruntime.capi.onnxruntime_pybind11_state
    return (state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf,
            state.NoSuchFile, state.NotImplemented, state.RuntimeException)


_ONNX_ERRORS = _onnx_errors()
