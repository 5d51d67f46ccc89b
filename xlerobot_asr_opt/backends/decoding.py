"""Greedy decoding: the likeliest token at each step, fed back through the decoder's cache."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.errors import NotANumberError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xlerobot_asr_opt.backends.tokens import Vocabulary

__all__ = ['Decoded', 'Feed', 'GreedyDecoder', 'Logits', 'Stop', 'looped']

_CHECK_EVERY = 4
"""Tokens between two looks for a loop."""
_LONGEST_ROUND = 24
"""Longest round of a loop that is looked for [tokens]."""
_FEWEST_ROUNDS = 4
_SHORTEST_LOOP = 24
"""A person says 'stop' ten times; a shorter run of tokens is no loop."""

Logits = npt.NDArray[np.float32]


class Feed(Protocol):
    """The decoder of a model, with one segment before it."""

    def __call__(self, tokens: Sequence[int], rows: Sequence[int]) -> Logits:
        """Append tokens to what was fed before.

        Args:
            tokens: at least one; the whole prompt at first, then one at a time; or all of a text.
            rows: which of them the logits are wanted of, as indices into tokens.

        Returns:
            float32[len(rows), V], writable, valid until the next call.
        """


class Stop(enum.Enum):
    """Why a text ended."""

    END = 'end'
    LENGTH = 'length'
    LOOP = 'loop'


@dataclass(frozen=True)
class Decoded:
    """One decoded segment.

    Attributes:
        tokens: of the text; of a loop, its first round alone.
        language: of the prompt, or as detected.
        mean_log_probability: over these tokens, and the end if the text has one.
        no_speech_probability: that ``<|nospeech|>`` follows ``<|startoftranscript|>``.
        stop: why the text ended.
    """

    tokens: tuple[int, ...]
    language: str
    mean_log_probability: float
    no_speech_probability: float
    stop: Stop


class GreedyDecoder:
    """Decodes segments of one model; keeps nothing between them.

    Args:
        vocabulary: of the model.
        digits: whether numbers may be written in digits.
        most_tokens: length at which a text is cut.
        positions: of the model's decoder, the prompt included; a text is cut there, too.
    """

    def __init__(
        self, vocabulary: Vocabulary, *, digits: bool, most_tokens: int, positions: int,
    ) -> None:
        self._vocabulary = vocabulary
        self._suppressed = vocabulary.suppressed(digits=digits)
        self._suppressed_at_first = vocabulary.suppressed_at_first()
        self._most_tokens = most_tokens
        self._positions = positions
        self._codes = tuple(vocabulary.languages)
        self._language_tokens = np.array(tuple(vocabulary.languages.values()), np.int64)
        self._scratch = np.empty(vocabulary.end + 1, np.float32)

    def decode(self, feed: Feed, language: str) -> Decoded:
        """Decode the segment before a decoder.

        Args:
            feed: nothing was fed yet.
            language: one that the vocabulary knows; empty: detected.

        Raises:
            NotANumberError: the model gave NaN.
        """
        language, silence, logits = self._prompt(feed, language)
        logits[self._suppressed_at_first] = -np.inf
        tokens: list[int] = []
        log_probabilities: list[float] = []
        room = min(self._most_tokens, self._positions - 1 - len(self._vocabulary.prompt(language)))
        while True:
            token, log_probability = self._choose(logits)
            log_probabilities.append(log_probability)
            if token == self._vocabulary.end:
                stop = Stop.END
                break
            tokens.append(token)
            if len(tokens) == room:
                stop = Stop.LENGTH
                break
            if len(tokens) % _CHECK_EVERY == 0 and (extra := looped(tokens)):
                stop = Stop.LOOP
                del tokens[-extra:], log_probabilities[-extra:]
                break
            logits = feed((token,), (0,))[0]
        mean = math.fsum(log_probabilities) / len(log_probabilities)
        return Decoded(tuple(tokens), language, mean, silence, stop)

    def log_probability(self, feed: Feed, decoded: Decoded) -> float:
        """Of a text that was decoded elsewhere, and its end, in the segment before a decoder.

        Args:
            feed: nothing was fed yet.
            decoded: the text, and its language.

        Raises:
            BackendError: the model gave NaN.
        """
        prompt = self._vocabulary.prompt(decoded.language)
        said = (*decoded.tokens, self._vocabulary.end)
        rows = feed((self._vocabulary.start, *prompt, *decoded.tokens),
                    range(len(prompt), len(prompt) + len(said)))
        rows[0, self._suppressed_at_first] = -np.inf
        total = 0.0
        for logits, token in zip(rows, said, strict=True):
            likeliest, log_probability = self._choose(logits)
            total += log_probability + float(logits[token] - logits[likeliest])
        return total

    def _prompt(self, feed: Feed, language: str) -> tuple[str, float, Logits]:
        """Feed the prompt.

        Returns:
            The language, the no-speech probability, and the logits of the first token.
        """
        start = self._vocabulary.start
        if language or not self._vocabulary.multilingual:
            language = language or self._codes[0]
            rest = self._vocabulary.prompt(language)
            both = feed((start, *rest), (0, len(rest)))
            return language, self._no_speech(both[0]), both[1]
        first = feed((start,), (0,))[0]
        silence = self._no_speech(first)
        language = self._codes[int(first[self._language_tokens].argmax())]
        rest = self._vocabulary.prompt(language)
        return language, silence, feed(rest, (len(rest) - 1,))[0]

    def _no_speech(self, logits: Logits) -> float:
        """Softmax of ``<|nospeech|>``."""
        highest = _finite(logits.max())
        return float(np.exp(logits[self._vocabulary.no_speech] - highest)
                     / np.exp(logits - highest).sum())

    def _choose(self, logits: Logits) -> tuple[int, float]:
        """The likeliest of the tokens allowed, and its log-probability among them."""
        allowed = logits[:self._vocabulary.end + 1]
        allowed[self._suppressed] = -np.inf
        token = int(allowed.argmax())
        np.subtract(allowed, _finite(allowed[token]), out=self._scratch)
        np.exp(self._scratch, out=self._scratch)
        return token, -math.log(float(self._scratch.sum()))


def _finite(highest: np.float32) -> np.float32:
    """The highest logit, if it is a number: NumPy's max and argmax find a NaN first."""
    if not np.isfinite(highest):
        raise NotANumberError(
            f'the decoder gave a logit of {highest}, expected finite numbers; '
            'try another backend, or fetch the model again')
    return highest


def looped(tokens: Sequence[int]) -> int:
    """How many tokens at the end repeat what is before them, if they are a loop.

    A loop is one run of tokens, over and over: at least four rounds and 24 tokens.

    Returns:
        Tokens of all rounds but the first; 0 for no loop.
    """
    for length in range(1, _LONGEST_ROUND + 1):
        repeated = 0
        while (repeated + length < len(tokens)
               and tokens[-1 - repeated] == tokens[-1 - repeated - length]):
            repeated += 1
        if repeated + length >= max(_SHORTEST_LOOP, _FEWEST_ROUNDS * length):
            return repeated
    return 0
