"""How onnxruntime runs graphs, and what both layouts of Whisper have in common."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

from xlerobot_asr_opt.errors import BackendError, ShapeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xlerobot_asr_opt.backends.decoding import Feed
    from xlerobot_asr_opt.backends.log_mel import Features

__all__ = ['Graphs', 'failing_as_backend']


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


@contextmanager
def failing_as_backend(what: str) -> Iterator[None]:
    """Turn an error of onnxruntime into a BackendError that names the graph."""
    try:
        yield
    # Its errors have no common root but Exception; this one is of an array that does not fit.
    except Exception as error:
        kind = ShapeError if isinstance(error, InvalidArgument) else BackendError
        raise kind(f'the {what} failed: {error}; try another backend') from error
