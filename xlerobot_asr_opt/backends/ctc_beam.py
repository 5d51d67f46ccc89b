"""Prefix beam search for CTC (Graves 2012; Hannun et al. 2014), with hotwords and a grammar.

Each prefix has the probability of all paths that write it, once of those that end in a blank and
once of those that do not. All prefixes go through a frame together, as arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from xlerobot_asr_opt.backends.ctc_grammar import Grammar
    from xlerobot_asr_opt.backends.ctc_greedy import Logits
    from xlerobot_asr_opt.backends.ctc_hotwords import Hotwords

__all__ = ['BeamSearch']

_CANDIDATES = 32
"""Likeliest tokens of a frame that may lengthen a prefix, where no grammar says which."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass
class _Beam:
    """The prefixes after a frame, by index; identity is the index in the tree of prefixes.

    Attributes:
        node: in the tree.
        blank: log-probability of the paths that end in a blank.
        token: of those that end in the prefix's last token.
        gained: by hotwords [nats].
        words: state of the hotwords.
        sentence: state of the grammar.
    """

    node: Ints
    blank: Floats
    token: Floats
    gained: Floats
    words: Ints
    sentence: Ints


class BeamSearch:
    """Searches segments of one model; keeps nothing between them.

    Args:
        width: prefixes that are kept after each frame.
        blank: number of the blank.
        hotwords: preferred phrases.
        grammar: None: every text.
    """

    def __init__(
        self, width: int, blank: int, hotwords: Hotwords | None, grammar: Grammar | None,
    ) -> None:
        self._width = width
        self._blank = blank
        self._hotwords = hotwords
        self._grammar = grammar
        self._always = np.array(hotwords.tokens if hotwords else (), np.int64)

    def search(self, log_probabilities: Logits) -> list[int] | None:
        """The likeliest text.

        Args:
            log_probabilities: float32[n, V].

        Returns:
            Its tokens; None if no prefix that is left is a sentence of the grammar.
        """
        parents, lasts = [-1], [-1]
        beam = _Beam(*(np.array([value]) for value in (0, 0.0, -np.inf, 0.0, 0, 0)))
        for row in log_probabilities.astype(np.float64):
            beam = self._advance(beam, row, parents, lasts)
        best = self._best(beam)
        if best is None:
            return None
        tokens = []
        while best > 0:
            tokens.append(lasts[best])
            best = parents[best]
        return tokens[::-1]

    def _best(self, beam: _Beam) -> int | None:
        scores = np.logaddexp(beam.blank, beam.token) + beam.gained
        if self._hotwords is not None:
            scores -= [self._hotwords.held(int(state)) for state in beam.words]
        if self._grammar is not None:
            inside = [not self._grammar.is_sentence(int(state)) for state in beam.sentence]
            scores[inside] = -np.inf
        best = int(scores.argmax())
        return int(beam.node[best]) if np.isfinite(scores[best]) else None

    def _advance(
        self, beam: _Beam, row: Floats, parents: list[int], lasts: list[int],
    ) -> _Beam:
        """Take one frame: keep each prefix, lengthen each prefix, let the best go on."""
        last = np.array([lasts[node] for node in beam.node])
        total = np.logaddexp(beam.blank, beam.token)
        stays_blank = total + row[self._blank]
        stays_token = np.where(last >= 0, beam.token + row[last], -np.inf)
        origin, token, sentence = self._extensions(beam, row)
        # After its own token, a token is another one only behind a blank.
        longer = np.where(token == last[origin], beam.blank[origin], total[origin]) + row[token]
        self._merge(beam, parents, last, (origin, token, longer), stays_token)
        words, gained = self._move(beam, origin, token)
        count = len(total)
        scores = np.concatenate([np.logaddexp(stays_blank, stays_token) + beam.gained,
                                 longer + gained])
        keep = np.argsort(-scores, kind='stable')[:self._width]
        keep = keep[np.isfinite(scores[keep])]
        old, new = keep[keep < count], keep[keep >= count] - count
        first = len(parents)
        parents.extend(beam.node[origin[new]].tolist())
        lasts.extend(token[new].tolist())
        return _Beam(
            np.concatenate([beam.node[old], np.arange(first, len(parents))]),
            np.concatenate([stays_blank[old], np.full(len(new), -np.inf)]),
            np.concatenate([stays_token[old], longer[new]]),
            np.concatenate([beam.gained[old], gained[new]]),
            np.concatenate([beam.words[old], words[new]]),
            np.concatenate([beam.sentence[old], sentence[new]]))

    def _extensions(self, beam: _Beam, row: Floats) -> tuple[Ints, Ints, Ints]:
        """Index of the prefix, token, and state of the grammar of all longer prefixes."""
        count = len(beam.node)
        if self._grammar is not None:
            arcs = [self._grammar.arcs(int(state)) for state in beam.sentence]
            origin = np.repeat(np.arange(count), [len(tokens) for tokens, _ in arcs])
            return (origin, np.concatenate([tokens for tokens, _ in arcs]),
                    np.concatenate([after for _, after in arcs]))
        likely = np.argpartition(-row, min(_CANDIDATES, len(row) - 1))[:_CANDIDATES]
        tokens = np.union1d(likely, self._always)
        tokens = tokens[tokens != self._blank]
        return (np.repeat(np.arange(count), len(tokens)), np.tile(tokens, count),
                np.zeros(count * len(tokens), np.int64))

    @staticmethod
    def _merge(
        beam: _Beam, parents: list[int], last: Ints, longer: tuple[Ints, Ints, Floats],
        stays_token: Floats,
    ) -> None:
        """Give what lengthens a prefix into another one of the beam to that one."""
        origin, token, scores = longer
        index = {int(node): at for at, node in enumerate(beam.node)}
        for at, node in enumerate(beam.node):
            parent = index.get(parents[node])
            if parent is not None:
                same = np.flatnonzero((origin == parent) & (token == last[at]))
                for one in same:
                    stays_token[at] = np.logaddexp(stays_token[at], scores[one])
                    scores[one] = -np.inf

    def _move(self, beam: _Beam, origin: Ints, token: Ints) -> tuple[Ints, Floats]:
        """State of the hotwords after each longer prefix, and what it has gained by then."""
        if self._hotwords is None:
            return np.zeros(len(token), np.int64), np.zeros(len(token))
        moves = [self._hotwords.move(state, one) for state, one in zip(
            beam.words[origin].tolist(), token.tolist(), strict=True)]
        words = np.array([state for state, _ in moves], np.int64)
        return words, beam.gained[origin] + np.array([gain for _, gain in moves])
