"""A grammar that restricts a CTC model to a set of sentences: a trie of their characters.

A token may follow where its text is a way through the trie, whatever the spelling; the trie is
walked by need, and the tokens of a node are remembered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xlerobot_asr_opt.backends.ctc_spelling import Speller

__all__ = ['Arcs', 'Grammar']

Arcs = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""Tokens that may follow a state, and the state after each; both int64[n]."""


class Grammar:
    """The sentences that may be said; state 0 is their begin.

    Args:
        sentences: at least one.
        speller: of the model.

    Raises:
        ConfigurationError: no sentence, or one that the model's tokens cannot write.
    """

    def __init__(self, sentences: Sequence[str], speller: Speller) -> None:
        if not sentences:
            raise ConfigurationError('grammar: got no sentence, expected at least one')
        self._speller = speller
        self._children: list[dict[str, int]] = [{}]
        self._ends: set[int] = set()
        self._arcs: dict[int, Arcs] = {}
        for sentence in sentences:
            self._add(speller.written(sentence, 'grammar'))

    def _add(self, text: str) -> None:
        node = 0
        for character in text:
            following = self._children[node].get(character)
            if following is None:
                following = len(self._children)
                self._children[node][character] = following
                self._children.append({})
            node = following
        self._ends.add(node)

    def arcs(self, state: int) -> Arcs:
        """Tokens that may follow a state."""
        found = self._arcs.get(state)
        if found is None:
            pairs = list(self._walk(state, '', self._speller.longest))
            found = (np.array([token for token, _ in pairs], np.int64),
                     np.array([after for _, after in pairs], np.int64))
            self._arcs[state] = found
        return found

    def _walk(self, node: int, text: str, room: int) -> list[tuple[int, int]]:
        pairs = [(token, node) for token in self._speller.tokens(text)] if text else []
        if room:
            for character, following in self._children[node].items():
                pairs += self._walk(following, text + character, room - 1)
        return pairs

    def is_sentence(self, state: int) -> bool:
        """Whether a sentence may end in a state."""
        return state in self._ends
