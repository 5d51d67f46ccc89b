"""Which of several backends goes first, by what was measured on speech whose text is known."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ['Figures', 'fastest_first', 'word_errors', 'words']

MOST_ERRORS = 0.5
"""Share of wrong words from which the speech tells nothing of a model, for example of one of
another language."""


@dataclass(frozen=True)
class Figures:
    """What one backend did with the known utterances.

    Attributes:
        times_ms: samples to text, by utterance; inf for one that it does not take or failed on.
        errors: words that were wrong, in all that it answered.
        words: that were said there.
    """

    times_ms: tuple[float, ...]
    errors: int
    words: int

    @property
    def error_rate(self) -> float:
        """Wrong words by those that were said; inf where it answered nothing."""
        return self.errors / self.words if self.words else math.inf


def fastest_first(measured: Sequence[Figures], loss: float) -> list[list[int]]:
    """Put the backends in order for each utterance: who is accurate enough by time, then the rest.

    Args:
        measured: by backend, in order of preference.
        loss: share of the words by which one may be worse than the best, and still be enough.

    Returns:
        For each utterance, the numbers of the backends; in order of preference where the speech
        tells nothing of them.
    """
    preference = list(range(len(measured)))
    best = min(figures.error_rate for figures in measured)
    if best > MOST_ERRORS:
        return [preference for _ in measured[0].times_ms]
    enough = [figures.error_rate <= best + loss for figures in measured]

    def order(at: int) -> list[int]:
        accurate = [number for number in preference if enough[number]]
        accurate.sort(key=lambda number: measured[number].times_ms[at])
        return accurate + [number for number in preference if not enough[number]]

    return [order(at) for at in range(len(measured[0].times_ms))]


def words(text: str) -> list[str]:
    """Split a text into words that can be compared: lower case, no marks."""
    return re.findall(r"\w+(?:'\w+)*", text.lower())


def word_errors(said: str, heard: str) -> int:
    """Count the words to replace, leave out or put in (Levenshtein)."""
    expected = words(said)
    row = list(range(len(words(heard)) + 1))
    for number, word in enumerate(expected, start=1):
        last, row[0] = row[0], number
        for place, other in enumerate(words(heard), start=1):
            last, row[place] = row[place], min(
                row[place] + 1, row[place - 1] + 1, last + (word != other))
    return row[-1]
