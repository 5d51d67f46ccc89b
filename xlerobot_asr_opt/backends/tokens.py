"""Whisper's vocabulary: prompts, what is suppressed, and text from tokens.

The numbering is OpenAI's: text tokens come first, then ``<|endoftext|>``, then all other special
tokens, then the timestamps. So what may be said, and the end, are the logits up to ``end``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from xlerobot_asr_opt.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xlerobot_asr_opt.models.files import ModelFiles

__all__ = ['Vocabulary']

Ids = npt.NDArray[np.int64]

_MARKS = (
    *'"#()*+/:;<=>@[\\]^_`{|}~「」『』',
    '<<', '>>', '<<<', '>>>', '--', '---', '-(', '-[', "('", '("', '((', '))', '(((', ')))',
    '[[', ']]', '{{', '}}', '♪♪', '♪♪♪',
)
"""Written where nobody says them: annotations, speakers' names. OpenAI's list."""

_NOTES = tuple('♩♪♫♬♭♮♯')
"""Each begins with a token of its own, that begins nothing spoken."""

_NUMERIC = frozenset('0123456789%$')
"""A token with one of these writes a number in digits."""


class Vocabulary:
    """The tokens of one Whisper model.

    Args:
        files: the model.

    Attributes:
        start: ``<|startoftranscript|>``.
        end: ``<|endoftext|>``; every token before it is text.
        no_speech: ``<|nospeech|>``, by its older name ``<|nocaptions|>``.
        multilingual: whether a language belongs to the prompt.
        languages: language, as in ISO 639-1, to its token; ``en`` alone if not multilingual.

    Raises:
        ModelError: tokenizer.json cannot be read, or is not Whisper's.
    """

    def __init__(self, files: ModelFiles) -> None:
        try:
            self._tokenizer = Tokenizer.from_str(files.tokenizer.read_text(encoding='utf-8'))
        # The library raises a bare Exception for every text that it cannot use.
        except Exception as error:
            raise ModelError(
                f'{files.tokenizer}: {error}; expected the tokenizer.json of a Whisper') from error
        special = files.tokens
        self.start = special.start_of_transcript
        self.end = special.end_of_text
        self.no_speech = special.no_speech
        if self.end >= min(self.start, self.no_speech, special.no_timestamps):
            raise ModelError(
                f'{files.tokenizer}: <|endoftext|> is {self.end} and not the first special token; '
                'not Whisper')
        self.multilingual = files.multilingual
        self.languages = {
            code: token for code, token in special.languages if code in files.languages}
        self._task = (special.transcribe,) if files.multilingual else ()
        self._no_timestamps = special.no_timestamps
        self._suppress = files.suppress

    def prompt(self, language: str) -> tuple[int, ...]:
        """What follows ``start`` before the text: language and task, no timestamps."""
        spoken = (self.languages[language],) if self.multilingual else ()
        return (*spoken, *self._task, self._no_timestamps)

    def suppressed(self, *, digits: bool) -> Ids:
        """Text tokens that are never written: what nobody says, and digits if not wanted.

        Returns:
            int64[n], sorted, each below ``end``.
        """
        tokens = self._unspoken() | set(self._suppress)
        if not digits:
            vocabulary = self._tokenizer.get_vocab(with_added_tokens=False)
            tokens |= {token for text, token in vocabulary.items() if _NUMERIC & set(text)}
        return np.array(sorted(token for token in tokens if token < self.end), np.int64)

    def suppressed_at_first(self) -> Ids:
        """What a text never begins with: a space alone, and its end.

        Returns:
            int64[n].
        """
        return np.array([*self._encode(' '), self.end], np.int64)

    def _unspoken(self) -> set[int]:
        tokens = {*self._encode(" '")[:1], *self._encode(' -')[:1]}
        for mark in (*_MARKS, *_NOTES):
            for encoded in (self._encode(mark), self._encode(' ' + mark)):
                if len(encoded) == 1 or mark in _NOTES:
                    tokens.update(encoded[:1])
        return tokens

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def text(self, tokens: Sequence[int]) -> str:
        """Text of tokens; a character that was cut off at the end is left out."""
        text: str = self._tokenizer.decode(list(tokens), skip_special_tokens=True)
        return text.rstrip('\ufffd').strip()
