"""How texts are spelled with a CTC model's tokens: for hotwords, and for a grammar's sentences.

No tokeniser comes with these models. So a text is spelled in every way that the tokens allow, and
the search finds the one that the model was taught.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xlerobot_asr_opt.backends.ctc_vocabulary import is_ideograph
from xlerobot_asr_opt.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ['Speller']


class Speller:
    """Spells texts with the tokens of one model.

    Args:
        texts: of CtcVocabulary: what each token writes, empty for none.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._tokens: dict[str, list[int]] = {}
        for token, text in enumerate(texts):
            if text:
                self._tokens.setdefault(text, []).append(token)
        self._longest = max(map(len, self._tokens), default=0)
        self.spaced = any(len(text) > 1 and text[0] == ' ' for text in self._tokens)
        """Whether words begin with a space, the first one, too."""

    def tokens(self, text: str) -> list[int]:
        """Numbers of the tokens that write exactly this text."""
        return self._tokens.get(text, [])

    @property
    def longest(self) -> int:
        """Characters of the longest token."""
        return self._longest

    def written(self, text: str, where: str) -> str:
        """Write a text as the model writes it: spaces, and the case that its tokens have.

        Args:
            text: words, in any case, with any spaces.
            where: what it comes from, for the message of an error.

        Raises:
            ConfigurationError: the tokens cannot write it; what they cannot write is named.
        """
        words = text.split()
        if not words:
            raise ConfigurationError(f'{where}: got {text!r}, expected words')
        spelled = [self._word(word, text, where) for word in words]
        joined = ''.join(spelled)
        return joined if self.spaced else joined.removeprefix(' ')

    def _word(self, word: str, text: str, where: str) -> str:
        before = '' if is_ideograph(word[0]) else ' '
        for form in (word, word.lower(), word.upper()):
            for lead in dict.fromkeys((before, '' if self.spaced else before)):
                if self._reaches(lead + form) == len(lead + form):
                    return lead + form
        if before and not self.spaced and self._reaches(word) == len(word):
            return word
        first = max((word, word.lower(), word.upper()),
                    key=lambda form: self._reaches(before + form))
        unknown = (before + first)[self._reaches(before + first):].strip() or first
        raise ConfigurationError(
            f'{where}: the model has no token for {unknown!r} of {word!r} in {text!r}; '
            'use words that it can write')

    def _reaches(self, text: str) -> int:
        """How much of a text can be written from its begin."""
        reached = {0}
        for begin in range(len(text)):
            if begin in reached:
                reached.update(
                    end for end in range(begin + 1, min(len(text), begin + self._longest) + 1)
                    if text[begin:end] in self._tokens)
        return max(reached)
