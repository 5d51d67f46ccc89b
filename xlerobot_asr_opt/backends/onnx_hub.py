"""Whisper's graphs in the layout of the Hugging Face hub, as Optimum exports them.

The decoder is one graph with both branches (use_cache_branch), or two, without and with a past, or
only the one without, which is then fed the whole text again at every step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.backends.onnx_sessions import failing_as_backend
from xlerobot_asr_opt.models.onnx_session import open_session

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnxruntime

    from xlerobot_asr_opt.backends.decoding import Feed, Logits
    from xlerobot_asr_opt.backends.log_mel import Features
    from xlerobot_asr_opt.models.files import ModelFiles

__all__ = ['HubGraphs']

Inputs = dict[str, npt.NDArray[Any]]


class HubGraphs:
    """The hub's layout: its encoder takes 30 s and nothing else.

    Args:
        files: a model of the hub's layout.
        threads: of each graph; 0: one for each core.

    Raises:
        ModelError: a graph is damaged.
    """

    digest = b''

    def __init__(self, files: ModelFiles, threads: int) -> None:
        self._encoder = open_session(files.encoder, threads)
        self._first = open_session(files.decoder, threads)
        self._next: onnxruntime.InferenceSession | None = None
        if files.decoder_is_merged:
            self._next = self._first
        elif files.decoder_with_past is not None:
            self._next = open_session(files.decoder_with_past, threads)
        dims = files.dims
        self.longest = dims.frames
        self._nothing = np.zeros((1, dims.heads, 0, dims.head_width), np.float32)
        self._hidden = np.zeros((1, 0, dims.width), np.float32)
        self._past: Inputs = {}
        self._fed: list[int] = []

    def window(self, _samples: int) -> int:
        """Always the longest; see Graphs."""
        return self.longest

    def encode(self, features: Features) -> Feed:
        """Run the encoder; see Graphs."""
        with failing_as_backend('encoder'):
            (self._hidden,) = self._encoder.run(
                ['last_hidden_state'], {'input_features': features})
        self._past = {}
        self._fed = []
        return self._feed

    def close(self) -> None:
        """Nothing to do: onnxruntime lets go of a session with its last reference."""

    def _feed(self, tokens: Sequence[int], rows: Sequence[int]) -> Logits:
        """Run the decoder; see Feed."""
        with failing_as_backend('decoder'):
            if self._next is None or not self._fed:
                logits = self._whole(tokens)
            else:
                # A graph with a past takes one token at a time.
                logits = np.stack([self._one(self._next, token) for token in tokens])
        wanted: Logits = logits[list(rows)]
        return wanted

    def _whole(self, tokens: Sequence[int]) -> Logits:
        """Feed a text from its begin, these tokens last; logits [len(tokens), V]."""
        self._fed.extend(tokens)
        return self._run(self._first, self._fed, begin=0)[-len(tokens):]

    def _one(self, session: onnxruntime.InferenceSession, token: int) -> Logits:
        """Feed one more token; logits [V]."""
        logits: Logits = self._run(session, [token], begin=len(self._fed))[0]
        self._fed.append(token)
        return logits

    def _run(
        self, session: onnxruntime.InferenceSession, tokens: list[int], *, begin: int,
    ) -> Logits:
        """Feed tokens from position begin on; logits [len(tokens), V]."""
        names = self._wanted(session, first=begin == 0)
        logits, *present = session.run(names, self._inputs(session, tokens, begin=begin))
        for name, value in zip(names[1:], present, strict=True):
            self._past[name.replace('present', 'past_key_values')] = value
        rows: Logits = logits[0]
        return rows

    def _wanted(self, session: onnxruntime.InferenceSession, *, first: bool) -> list[str]:
        """Outputs to ask for: what no later call needs is not computed."""
        if self._next is None:
            return ['logits']
        # The encoder's keys and values come with the first call; later ones give nothing for them.
        return ['logits', *(value.name for value in session.get_outputs()
                            if value.name.startswith('present.')
                            and (first or '.encoder.' not in value.name))]

    def _inputs(
        self, session: onnxruntime.InferenceSession, tokens: list[int], *, begin: int,
    ) -> Inputs:
        """What the graph asks for, by name."""
        known: Inputs = {
            'input_ids': np.array([tokens], np.int64),
            'encoder_hidden_states': self._hidden,
            'use_cache_branch': np.array([begin > 0]),
            'cache_position': np.arange(begin, begin + len(tokens), dtype=np.int64),
        }
        names = [value.name for value in session.get_inputs()]
        return {name: known[name] if name in known else self._past.get(name, self._nothing)
                for name in names}
