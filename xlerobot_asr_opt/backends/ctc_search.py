"""Which search the parameters ask for, and its answer in one form."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlerobot_asr_opt.backends.ctc_beam import BeamSearch
from xlerobot_asr_opt.backends.ctc_grammar import Grammar
from xlerobot_asr_opt.backends.ctc_greedy import Emission, align, greedy, log_softmax
from xlerobot_asr_opt.backends.ctc_hotwords import Hotwords
from xlerobot_asr_opt.backends.ctc_sentences import read_sentences
from xlerobot_asr_opt.backends.ctc_spelling import Speller

if TYPE_CHECKING:
    from xlerobot_asr_opt.backends.ctc_greedy import Logits
    from xlerobot_asr_opt.backends.ctc_vocabulary import CtcVocabulary
    from xlerobot_asr_opt.parameters import InferenceParameters

__all__ = ['SEARCHING', 'Search', 'read_search']

SEARCHING = 1
"""Raised whenever this package's search changes a text: cached texts are then made anew."""

_WIDTH_HOTWORDS = 8
_WIDTH_GRAMMAR = 32
"""Prefixes of such a search, unless more are asked for; a grammar's are not all sentences yet."""


class Search:
    """Turns logits into tokens with their frames.

    Args:
        blank: number of the blank.
        beam: None: greedy.
        settings: all that can change a text, for the digest of the backend.
    """

    def __init__(self, blank: int, beam: BeamSearch | None, settings: dict[str, Any]) -> None:
        self._blank = blank
        self._beam = beam
        self.settings = settings

    def __call__(self, logits: Logits, begin: int) -> list[Emission] | None:
        """Search frames.

        Args:
            logits: float32[n, V], finite but for what may not be written.
            begin: frames before the text, which belong to the prompt.

        Returns:
            The text's tokens; None if no sentence of the grammar fits into the frames.
        """
        if self._beam is None:
            return [one for one in greedy(logits, self._blank) if one.begin >= begin]
        spoken = log_softmax(logits[begin:])
        tokens = self._beam.search(spoken)
        if not tokens:
            return None if tokens is None else []
        return [Emission(one.token, one.begin + begin, one.end + begin, one.log_probability)
                for one in align(spoken, tokens, self._blank)]


def read_search(parameters: InferenceParameters, vocabulary: CtcVocabulary) -> Search:
    """Make the search that the parameters ask for.

    Raises:
        ConfigurationError: a hotword or the grammar is not valid, or the model's tokens cannot
            write it.
    """
    settings: dict[str, Any] = {}
    width, hotwords, grammar = parameters.beam, None, None
    if parameters.hotwords or parameters.grammar:
        width = max(width, _WIDTH_GRAMMAR if parameters.grammar else _WIDTH_HOTWORDS)
        speller = Speller(vocabulary.texts)
        if parameters.hotwords:
            hotwords = Hotwords(parameters.hotwords, speller, vocabulary.texts)
        if parameters.grammar:
            sentences = read_sentences(Path(parameters.grammar))
            grammar = Grammar(sentences, speller)
            settings['grammar'] = sentences
        settings['hotwords'] = parameters.hotwords
    settings['width'] = width
    beam = BeamSearch(width, vocabulary.blank, hotwords, grammar) if width > 1 else None
    return Search(vocabulary.blank, beam, settings)
