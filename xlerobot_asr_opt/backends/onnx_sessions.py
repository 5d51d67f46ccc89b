"""How onnxruntime opens and runs graphs, and what both layouts of Whisper have in common."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

from xlerobot_asr_opt.errors import BackendError, ModelError, ShapeError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from xlerobot_asr_opt.backends.decoding import Feed
    from xlerobot_asr_opt.backends.log_mel import Features

__all__ = ['Graphs', 'failing_as_backend', 'open_session']


class Graphs(Protocol):
    """The graphs of one Whisper model; one segment at a time.

    Attributes:
        longest: longest window that ``encode`` takes [frames].
        digest: of what can change a text beside the model's own files.
    """

    longest: int
    digest: bytes

    def window(self, samples: int) -> int:
        """The window that ``encode`` wants for so many samples [frames].

        Args:
            samples: at most ``longest`` frames of them.
        """

    def encode(self, features: Features) -> Feed:
        """Run the encoder.

        Args:
            features: of log_mel, the whole segment.

        Returns:
            The decoder with this segment before it; valid until the next call.

        Raises:
            BackendError: what runs it failed.
        """

    def close(self) -> None:
        """Let go of what lives outside of this process, or outside of Python."""


def open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """Open one graph.

    Args:
        path: the .onnx file.
        threads: of this graph; 0: one for each core.

    Raises:
        ModelError: it is missing, damaged, or asks for what this onnxruntime does not know.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads that spin while they wait take the cores that the other nodes need.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    try:
        return onnxruntime.InferenceSession(
            str(path), options, providers=['CPUExecutionProvider'])
    # Its errors have no common root but Exception.
    except Exception as error:
        raise ModelError(
            f'{path}: onnxruntime cannot open it ({error}); fetch the model again') from error


@contextmanager
def failing_as_backend(what: str) -> Iterator[None]:
    """Turn an error of onnxruntime into a BackendError that names the graph."""
    try:
        yield
    # Its errors have no common root but Exception; this one is of an array that does not fit.
    except Exception as error:
        kind = ShapeError if isinstance(error, InvalidArgument) else BackendError
        raise kind(f'the {what} failed: {error}; try another backend') from error
