"""Whisper's two graphs in the own layout; docs/models.md is their contract.

A short window is encoded alone, and followed by silence that was encoded once. Whisper knows the
end of speech by the silence up to 30 s: without it, it says short sentences twice. To compute
that silence for every segment would take ten times as long as the speech.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from xlerobot_asr_opt.backends.log_mel import FRAME_RATE, HOP
from xlerobot_asr_opt.backends.onnx_sessions import failing_as_backend
from xlerobot_asr_opt.models.onnx_session import open_session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xlerobot_asr_opt.backends.decoding import Feed, Logits
    from xlerobot_asr_opt.backends.log_mel import Features
    from xlerobot_asr_opt.models.files import Dims, ModelFiles

__all__ = ['Encoded', 'OwnDecoder', 'OwnEncoder', 'OwnGraphs', 'cross_shapes']

Floats = npt.NDArray[np.float32]

Encoded = dict[str, Floats]
"""Keys and values of every decoder layer's cross attention, by the encoder's names."""

_STEP = FRAME_RATE
"""Windows come in steps of a second, so that onnxruntime's buffers are used again."""
_MARGIN = 4 * FRAME_RATE
"""Silence that is encoded together with the speech [frames]: docs/recogniser.md has why."""

_MOST_KEPT_ROWS = 2
"""Of a call that is kept: each row of logits takes 200 kB."""
_QUIET = -0.6
"""Feature of the silence beside speech: 2 below the loudest, which is 1.4 in common speech."""


class OwnGraphs:
    """The own layout: nothing is allocated and nothing is bound while a text is decoded.

    Args:
        files: a model of the own layout.
        threads: of either graph; 0: one for each core.

    Raises:
        ModelError: a graph is damaged.
    """

    digest = b''

    def __init__(self, files: ModelFiles, threads: int) -> None:
        self._encoder = OwnEncoder(files, threads)
        self._decoder = OwnDecoder(files, threads, self._encoder.silence())
        self.longest = files.dims.frames

    def window(self, samples: int) -> int:
        """The speech with its margin of silence, in whole seconds; see Graphs."""
        frames = -(-samples // HOP) + _MARGIN
        return min(self.longest, -(-frames // _STEP) * _STEP)

    def encode(self, features: Features) -> Feed:
        """Run the encoder; see Graphs."""
        return self._decoder.start(self._encoder.run(features))

    def close(self) -> None:
        """Nothing to do: onnxruntime lets go of a session with its last reference."""


class OwnEncoder:
    """encoder.onnx.

    Args:
        files: a model of the own layout.
        threads: 0: one for each core.

    Raises:
        ModelError: the graph is damaged.
    """

    def __init__(self, files: ModelFiles, threads: int) -> None:
        self._session = open_session(files.encoder, threads)
        self._dims = files.dims
        self._names = list(cross_shapes(files.dims))

    def run(self, features: Features) -> Encoded:
        """Encode float32[1, mels, frames], any even number of frames."""
        with failing_as_backend('encoder'):
            outputs = self._session.run(self._names, {'mel': features})
        return dict(zip(self._names, outputs, strict=True))

    def silence(self) -> Encoded:
        """What it says of 30 s of silence."""
        return self.run(np.full((1, self._dims.mel_bins, self._dims.frames), _QUIET, np.float32))


class OwnDecoder:
    """decoder.onnx, with the encoder's keys and values before it.

    Args:
        files: a model of the own layout.
        threads: 0: one for each core.
        silence: what the encoder says of 30 s of silence.

    Raises:
        ModelError: the graph is damaged.
    """

    def __init__(self, files: ModelFiles, threads: int, silence: Encoded) -> None:
        self._decoder = open_session(files.decoder, threads)
        self._dims = files.dims
        self._cross = _Cross(files.dims)
        self._cache = _cache(files.dims)
        self._calls: dict[tuple[int, int], _Call] = {}
        self._position = 0
        self._cross.keep_silence(silence)

    def start(self, encoded: Encoded) -> Feed:
        """Put a segment before the decoder; what is fed is valid until the next one."""
        self._cross.put(encoded)
        self._position = 0
        return self._feed

    def _feed(self, tokens: Sequence[int], rows: Sequence[int]) -> Logits:
        """Run the decoder; see Feed."""
        call = self._call(len(tokens), len(rows))
        logits = call.run(tokens, self._position, rows)
        self._position += len(tokens)
        return logits

    def _call(self, tokens: int, rows: int) -> _Call:
        """What decoding calls again and again is kept; a text at once has a size of its own."""
        call = self._calls.get((tokens, rows))
        if call is None:
            call = _Call(self._decoder, tokens, rows, self._dims.vocabulary)
            call.keep(self._cross.values, self._cache)
            if rows <= _MOST_KEPT_ROWS:
                self._calls[tokens, rows] = call
        return call


def cross_shapes(dims: Dims) -> dict[str, tuple[int, ...]]:
    """Names of the encoder's outputs to their shapes for 30 s."""
    heads, width, positions = dims.heads, dims.head_width, dims.audio_positions
    shapes = {'k': (1, heads, width, positions), 'v': (1, heads, positions, width)}
    return {f'cross_{part}_{layer}': shape
            for part, shape in shapes.items() for layer in range(dims.decoder_layers)}


def _cache(dims: Dims) -> dict[str, Any]:
    """Room for the decoder's own keys and values; written in place, never cleared."""
    shape = [1, dims.heads, dims.text_positions, dims.head_width]
    return {
        f'{part}_{layer}': onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, np.float32)
        for part in 'kv' for layer in range(dims.decoder_layers)}


class _Cross:
    """Keys and values of 30 s for the decoder's cross attention: speech, then silence.

    Attributes:
        values: name to OrtValue; stays the same for every segment.
    """

    def __init__(self, dims: Dims) -> None:
        arrays = {
            name: np.zeros(shape, np.float32) for name, shape in cross_shapes(dims).items()}
        self.values = {
            name: onnxruntime.OrtValue.ortvalue_from_numpy(array)
            for name, array in arrays.items()}
        self._arrays = {name: _time_last(name, array) for name, array in arrays.items()}
        self._silence: Encoded = {}
        self._spoken = dims.audio_positions

    def keep_silence(self, encoded: Encoded) -> None:
        """Take what the encoder says of 30 s of silence."""
        self._silence = {name: _time_last(name, array) for name, array in encoded.items()}

    def put(self, encoded: Encoded) -> None:
        """Write the encoder's output to the front, and silence over what is left of the last."""
        for name, array in encoded.items():
            front = _time_last(name, array)
            spoken = front.shape[-1]
            self._arrays[name][..., :spoken] = front
            self._arrays[name][..., spoken:self._spoken] = (
                self._silence[name][..., spoken:self._spoken])
        self._spoken = spoken


def _time_last(name: str, array: Floats) -> Floats:
    """A view with the positions on the last axis, where keys have them already."""
    return array if name.startswith('cross_k') else np.moveaxis(array, 2, 3)


class _Call:
    """A bound call of the decoder; its inputs and outputs are arrays that stay in place."""

    def __init__(
        self, session: onnxruntime.InferenceSession, tokens: int, rows: int, vocabulary: int,
    ) -> None:
        self._session = session
        self._binding = session.io_binding()
        self._tokens = np.zeros((1, tokens), np.int64)
        self._position = np.zeros(1, np.int64)
        self._rows = np.zeros(rows, np.int64)
        self._logits = np.zeros((1, rows, vocabulary), np.float32)
        place = onnxruntime.OrtValue.ortvalue_from_numpy
        self._binding.bind_ortvalue_input('tokens', place(self._tokens))
        self._binding.bind_ortvalue_input('position', place(self._position))
        self._binding.bind_ortvalue_input('rows', place(self._rows))
        self._binding.bind_ortvalue_output('logits', place(self._logits))

    def keep(self, cross: dict[str, Any], cache: dict[str, Any]) -> None:
        """Bind what all calls share: the encoder's keys and values, and the decoder's own."""
        for name, value in cross.items():
            self._binding.bind_ortvalue_input(name, value)
        for name, value in cache.items():
            self._binding.bind_ortvalue_input(f'past_{name}', value)
            self._binding.bind_ortvalue_output(f'present_{name}', value)

    def run(self, tokens: Sequence[int], position: int, rows: Sequence[int]) -> Logits:
        """Run the decoder; the logits [rows, V] are valid until the next run."""
        self._tokens[0] = tokens
        self._position[0] = position
        self._rows[:] = rows
        with failing_as_backend('decoder'):
            self._session.run_with_iobinding(self._binding)
        logits: Logits = self._logits[0]
        return logits
