"""Real inputs of a graph out of recordings: what it is calibrated and compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xlerobot_asr_opt.backends.decoding import GreedyDecoder
from xlerobot_asr_opt.backends.log_mel import FRAME_RATE, HOP, log_mel
from xlerobot_asr_opt.backends.onnx_sessions import failing_as_backend
from xlerobot_asr_opt.backends.tokens import Vocabulary
from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.files import ModelFiles
from xlerobot_asr_opt.models.layout import open_model
from xlerobot_asr_opt.models.onnx_session import open_session
from xlerobot_asr_opt.models.onnx_signature import read_signature

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any

    from xlerobot_asr_opt.backends.base import Samples
    from xlerobot_asr_opt.backends.decoding import Logits
    from xlerobot_asr_opt.models.quantization import Inputs

__all__ = ['RecordedInputs']

_HUB_FRAMES = 3000
_HUB_MELS = 80
_MARGIN = 4 * FRAME_RATE
"""Silence behind the speech [frames], as much as the recogniser encodes with it."""
_STEPS = 6
"""Steps of the decoder that are taken of each recording: the prompt, and some after it."""
_ROOM = 16
"""Tokens that the decoder's cache has room for; without binding, a call copies it all."""
_MOST_DECODED = 8
"""Recordings that are decoded: each holds keys and values of 30 s, 18 MB for the tiny Whisper."""
_SILERO_WINDOW, _SILERO_CONTEXT = 512, 64
_SILERO_WINDOWS = 32
"""Windows that are taken of each recording, evenly."""


class RecordedInputs:
    """Gives the inputs that a graph has when it recognises some recordings.

    It knows the graphs of a Whisper of the own layout (with all its files beside it), the encoder
    of the hub's layout, and silero-vad.

    Args:
        recordings: int16[n] at SAMPLE_RATE each, at most as long as the model's window.
    """

    def __init__(self, recordings: Sequence[Samples]) -> None:
        self._recordings = recordings

    def __call__(self, graph: Path) -> Sequence[Inputs]:
        """Inputs of a graph.

        Raises:
            ModelError: it is damaged, or has inputs that this package does not know.
            BackendError: the float graph cannot be run.
        """
        inputs = read_signature(graph).inputs
        if list(inputs) == ['mel']:
            dims = _open(graph).dims
            return [{'mel': log_mel(samples, _window(len(samples), dims.frames), dims.mel_bins)}
                    for samples in self._recordings]
        if list(inputs) == ['input_features']:
            mels = inputs['input_features'].shape[1]
            return [{'input_features': log_mel(
                samples, _HUB_FRAMES, mels if isinstance(mels, int) else _HUB_MELS)}
                for samples in self._recordings]
        if {'tokens', 'position', 'rows'} <= inputs.keys():
            return self._decoder_steps(graph)
        if inputs.keys() == {'input', 'state'}:
            return self._silero_windows(graph)
        raise ModelError(
            f'{graph}: has the inputs {", ".join(inputs)}; recordings can be turned into those of '
            'a Whisper and of silero-vad only; hand inputs in as arrays (ModelQuantizer)')

    def _decoder_steps(self, graph: Path) -> list[Inputs]:
        """The prompt and some steps after it, of every recording, as greedy decoding has them."""
        files = _open(graph)
        encoder, decoder = (open_session(path, 0) for path in (files.encoder, graph))
        greedy = GreedyDecoder(
            Vocabulary(files), digits=True, most_tokens=_STEPS,
            positions=_ROOM)
        taken: list[Inputs] = []
        for samples in self._recordings[:_MOST_DECODED]:
            features = log_mel(samples, files.dims.frames, files.dims.mel_bins)
            steps = _Steps(decoder, files, _run(encoder, {'mel': features}), taken)
            greedy.decode(steps, files.languages[0])
        return taken

    def _silero_windows(self, graph: Path) -> list[Inputs]:
        """Windows of every recording, with the state that the ones before have left."""
        session = open_session(graph, 1)
        taken: list[Inputs] = []
        for samples in self._recordings:
            wave = np.concatenate([np.zeros(_SILERO_CONTEXT, np.float32),
                                   samples.astype(np.float32) / np.float32(32768)])
            state = np.zeros((2, 1, 128), np.float32)
            starts = range(0, len(samples) - _SILERO_WINDOW + 1, _SILERO_WINDOW)
            for number, start in enumerate(starts):
                piece = wave[None, None, start:start + _SILERO_CONTEXT + _SILERO_WINDOW]
                inputs = {'input': piece, 'state': state}
                if number % max(1, len(starts) // _SILERO_WINDOWS) == 0:
                    taken.append(inputs)
                state = _run(session, inputs)['next']
        return taken


class _Steps:
    """A Feed that keeps what it is fed: the decoder's inputs, without the recogniser's binding."""

    def __init__(
        self, session: Any, files: ModelFiles, cross: dict[str, Any], taken: list[Inputs],
    ) -> None:
        dims = files.dims
        shape = (1, dims.heads, _ROOM, dims.head_width)
        self._session = session
        self._cross = cross
        self._cache = {f'past_{part}_{layer}': np.zeros(shape, np.float32)
                       for part in 'kv' for layer in range(dims.decoder_layers)}
        self._position = 0
        self._taken = taken

    def __call__(self, tokens: Sequence[int], rows: Sequence[int]) -> Logits:
        """Run the decoder; see Feed."""
        inputs = {
            'tokens': np.array([tokens], np.int64), 'position': np.array([self._position]),
            'rows': np.array(rows, np.int64), **self._cross, **self._cache}
        self._taken.append(inputs)
        outputs = _run(self._session, inputs)
        self._cache = {name: outputs[name.replace('past', 'present')] for name in self._cache}
        self._position += len(tokens)
        logits: Logits = outputs['logits'][0]
        return logits


def _open(graph: Path) -> ModelFiles:
    """The Whisper that a graph of the own layout is part of."""
    files = open_model(str(graph.parent))
    if not isinstance(files, ModelFiles):
        raise ModelError(f'{graph.parent}: expected a Whisper of the own layout')
    return files


def _window(samples: int, longest: int) -> int:
    """Frames of a window with some silence behind the speech, in whole seconds."""
    frames = -(-samples // HOP) + _MARGIN
    return min(longest, -(-frames // FRAME_RATE) * FRAME_RATE)


def _run(session: Any, inputs: Inputs) -> dict[str, Any]:
    """All outputs by name."""
    names = [output.name for output in session.get_outputs()]
    with failing_as_backend('float model'):
        return dict(zip(names, session.run(names, dict(inputs)), strict=True))
