"""A CTC model's tokens: their text, the words that they make up, and what a language may write."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.records import Word

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from xlerobot_asr_opt.backends.ctc_greedy import Emission
    from xlerobot_asr_opt.models.ctc_files import CtcFiles

__all__ = ['CtcVocabulary', 'is_ideograph', 'tag']

_SPACE = '▁'
"""SentencePiece's mark of a space, U+2581."""

_BYTE = re.compile(r'<0x([0-9A-F]{2})>')
_SPECIAL = re.compile(r'<.+>|SIL')

_HAN = ((0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))
_KANA = ((0x3040, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9D))
_HANGUL = ((0x1100, 0x11FF), (0x3130, 0x318F), (0xAC00, 0xD7AF))
_WRITTEN_WITH = {'zh': (_HAN,), 'yue': (_HAN,), 'ja': (_HAN, _KANA), 'ko': (_HANGUL,), 'en': ()}
"""Scripts of each language beside Latin, which all of them may use for names."""


def tag(piece: str) -> str:
    """The name in a tag, ``happy`` of ``<|HAPPY|>``; empty for other pieces and unknown tags."""
    name = piece[2:-2].lower() if piece.startswith('<|') and piece.endswith('|>') else ''
    return '' if name in ('emo_unknown', 'event_unk', 'unk') else name


def is_ideograph(character: str) -> bool:
    """Whether a character is written without a space before it: Han and kana; not if empty."""
    return character != '' and _within(character, (*_HAN, *_KANA))


def _within(character: str, ranges: Iterable[tuple[int, int]]) -> bool:
    return any(low <= ord(character) <= high for low, high in ranges)


class CtcVocabulary:
    """The tokens of one CTC model.

    Args:
        files: the model.

    Attributes:
        texts: what each token writes; empty for the blank, tags and other special tokens.
        blank: number of the blank.
    """

    def __init__(self, files: CtcFiles) -> None:
        self.blank = files.blank
        self._pieces = files.pieces
        self.texts = tuple(
            '' if token == files.blank or _SPECIAL.fullmatch(piece) else piece.replace(_SPACE, ' ')
            for token, piece in enumerate(files.pieces))
        self._bytes = {token: int(match[1], 16) for token, piece in enumerate(files.pieces)
                       if (match := _BYTE.fullmatch(piece))}

    def tag(self, token: int) -> str:
        """The name in a token that is a tag; empty for other tokens."""
        return tag(self._pieces[token])

    def text(self, tokens: Sequence[int]) -> str:
        """Text of tokens; bytes that are no character are left out."""
        parts = [bytes([self._bytes[token]]) if token in self._bytes
                 else self.texts[token].encode() for token in tokens]
        return ' '.join(b''.join(parts).decode(errors='ignore').split())

    def words(
        self, emissions: Sequence[Emission], seconds: Callable[[int], float],
    ) -> tuple[Word, ...]:
        """Group tokens into words: at each space, and at each Han or kana character.

        Args:
            emissions: of the text, in its order.
            seconds: time of the begin of a frame of logits, from the begin of the segment [s].

        Returns:
            Words with begin, end and the geometric mean of their tokens' probabilities.
        """
        groups: list[list[Emission]] = []
        joined = False
        for one in emissions:
            text = self.texts[one.token]
            if not joined or text[:1] == ' ' or is_ideograph(text[:1]):
                groups.append([])
            groups[-1].append(one)
            # What follows an ideograph is a word of its own.
            joined = not is_ideograph(text[-1:])
        words = ((self.text([one.token for one in group]), group) for group in groups)
        return tuple(
            Word(text, seconds(group[0].begin), seconds(group[-1].end),
                 math.exp(math.fsum(one.log_probability for one in group) / len(group)))
            for text, group in words if text)

    def foreign_to(self, language: str) -> npt.NDArray[np.float32]:
        """Mark the tokens in a script that a language is not written with.

        Args:
            language: one that the model can be told.

        Returns:
            float32[V] to be added to logits: -inf for such a token, 0 for the others.
        """
        scripts = [script for script in (_HAN, _KANA, _HANGUL)
                   if script not in _WRITTEN_WITH[language]]
        ranges = [limits for script in scripts for limits in script]
        return np.array([-np.inf if any(_within(character, ranges) for character in text) else 0.0
                         for text in self.texts], np.float32)
