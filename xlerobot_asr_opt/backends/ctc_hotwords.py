"""Hotwords: phrases that a search prefers, by an automaton over characters (Aho, Corasick 1975).

A phrase that was found whole has its boost; on the way there it has the part that is said, so that
it is not dropped before its end, and loses it where the speech goes on otherwise.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xlerobot_asr_opt.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xlerobot_asr_opt.backends.ctc_spelling import Speller

__all__ = ['DEFAULT_BOOST', 'Hotwords', 'read_hotword']

DEFAULT_BOOST = 5.0
"""Of a hotword that says none [nats]."""
_HIGHEST_BOOST = 100.0


def read_hotword(entry: str) -> tuple[str, float]:
    """A phrase and its boost [nats], of ``phrase`` or ``phrase:boost``.

    Raises:
        ConfigurationError: the boost is no number from 0 to 100, or there is no phrase.
    """
    phrase, colon, text = entry.rpartition(':')
    if not colon:
        phrase, text = entry, str(DEFAULT_BOOST)
    try:
        boost = float(text)
    except ValueError:
        boost = -1.0
    if not phrase.strip() or not 0.0 <= boost <= _HIGHEST_BOOST:
        raise ConfigurationError(
            f'hotwords: got {entry!r}, expected a phrase, or phrase:boost with a boost from 0 to '
            f'{_HIGHEST_BOOST:g}')
    return phrase, boost


@dataclass
class _Node:
    """A prefix of phrases.

    Attributes:
        children: node after each character.
        back: node of the longest end of this prefix that begins a phrase.
        held: boost for what was said since the last whole phrase on this path [nats].
        won: boost of the phrases that end here [nats].
    """

    children: dict[str, int]
    back: int = 0
    held: float = 0.0
    won: float = 0.0


class Hotwords:
    """An automaton over characters; state 0 is outside of every phrase.

    Args:
        entries: as read_hotword reads them.
        speller: of the model.
        texts: what each token writes.

    Attributes:
        tokens: those that may be part of a hotword, sorted.

    Raises:
        ConfigurationError: an entry that is not valid, or that the model's tokens cannot write.
    """

    def __init__(self, entries: Sequence[str], speller: Speller, texts: Sequence[str]) -> None:
        self._texts = texts
        self._nodes = [_Node({})]
        self._moves: dict[tuple[int, int], tuple[int, float]] = {}
        written = []
        for entry in entries:
            phrase, boost = read_hotword(entry)
            written.append((speller.written(phrase, 'hotwords'), boost))
        for text, boost in written:
            self._add(text, boost)
        for text, boost in written:
            self._weigh(text, boost)
        self._link()
        self.tokens = tuple(token for token, text in enumerate(texts) if text and any(
            text in whole for whole, _ in written))

    def _add(self, text: str, boost: float) -> None:
        node = 0
        for character in text:
            following = self._nodes[node].children.get(character)
            if following is None:
                following = len(self._nodes)
                self._nodes[node].children[character] = following
                self._nodes.append(_Node({}))
            node = following
        self._nodes[node].won = boost

    def _weigh(self, text: str, boost: float) -> None:
        """Have each character hold its share, counted from the last whole phrase on the way."""
        node, whole = 0, 0
        for count, character in enumerate(text, 1):
            node = self._nodes[node].children[character]
            if self._nodes[node].won:
                whole = count
            share = boost * (count - whole) / len(text)
            self._nodes[node].held = max(self._nodes[node].held, share)

    def _link(self) -> None:
        """Find the way back of each node, those near the begin first."""
        queue = deque(self._nodes[0].children.values())
        while queue:
            at = queue.popleft()
            for character, following in self._nodes[at].children.items():
                back = self._step(self._nodes[at].back, character)
                self._nodes[following].back = back
                self._nodes[following].won += self._nodes[back].won
                queue.append(following)

    def _step(self, node: int, character: str) -> int:
        while character not in self._nodes[node].children:
            if node == 0:
                return 0
            node = self._nodes[node].back
        return self._nodes[node].children[character]

    def move(self, state: int, token: int) -> tuple[int, float]:
        """State after a token, and what the text gains by it [nats]."""
        key = state, token
        found = self._moves.get(key)
        if found is None:
            node, won = state, 0.0
            for character in self._texts[token]:
                node = self._step(node, character)
                won += self._nodes[node].won
            found = node, won + self._nodes[node].held - self._nodes[state].held
            self._moves[key] = found
        return found

    def held(self, state: int) -> float:
        """What a text that ends here has to give back [nats]."""
        return self._nodes[state].held
