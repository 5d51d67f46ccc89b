"""Greedy search: the likeliest token of each frame, repeats collapsed, blanks left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.errors import BackendError

__all__ = ['Emission', 'Logits', 'align', 'check_finite', 'greedy', 'log_softmax']

Logits = npt.NDArray[np.float32]
"""float32[frames, vocabulary]: logits, or log-probabilities, which are logits, too."""


@dataclass(frozen=True)
class Emission:
    """One token of a text.

    Attributes:
        token: its number.
        begin: frame of logits at which it begins.
        end: frame after its last.
        log_probability: the highest that the model gives it in these frames.
    """

    token: int
    begin: int
    end: int
    log_probability: float


def check_finite(logits: Logits) -> None:
    """Refuse what a broken model gives.

    Raises:
        BackendError: a frame's highest logit is not a number.
    """
    highest = logits.max(axis=1)
    if not np.isfinite(highest).all():
        frame = int(np.flatnonzero(~np.isfinite(highest))[0])
        raise BackendError(
            f'the model gave a logit of {highest[frame]} in frame {frame}, expected finite '
            'numbers; try another backend, or fetch the model again')


def log_softmax(logits: Logits) -> Logits:
    """Log-probabilities of each frame, float32[frames, vocabulary]."""
    shifted: Logits = logits - logits.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted


def greedy(logits: Logits, blank: int) -> list[Emission]:
    """Decode frames.

    Args:
        logits: float32[n, V], finite.
        blank: number of the blank.
    """
    if not len(logits):
        return []
    best = logits.argmax(axis=1)
    # A run is a stretch of frames with one token; each but the blanks' is a token of the text.
    begins = np.flatnonzero(np.diff(best, prepend=-1))
    ends = np.append(begins[1:], len(best))
    spoken = np.flatnonzero(best != blank)
    certain = np.full(len(best), -np.inf, np.float32)
    heard = logits[spoken]
    highest = heard[np.arange(len(spoken)), best[spoken]]
    np.subtract(heard, highest[:, None], out=heard)
    np.exp(heard, out=heard)
    certain[spoken] = -np.log(heard.sum(axis=1))
    surest = np.maximum.reduceat(certain, begins)
    runs = zip(best[begins].tolist(), begins.tolist(), ends.tolist(), surest.tolist(), strict=True)
    return [Emission(*run) for run in runs if run[0] != blank]


def align(log_probabilities: Logits, tokens: list[int], blank: int) -> list[Emission]:
    """Say when tokens were said: the likeliest path that writes them (Viterbi).

    Args:
        log_probabilities: float32[n, V].
        tokens: at most n, and a frame more for each repeat.
        blank: number of the blank.
    """
    labels = np.full(2 * len(tokens) + 1, blank)
    labels[1::2] = tokens
    scores = log_probabilities[:, labels]
    may_skip = np.zeros(len(labels), bool)
    may_skip[3::2] = labels[3::2] != labels[1:-2:2]
    best = np.full(len(labels), -np.inf, np.float32)
    best[:2] = scores[0, :2]
    steps = np.zeros(scores.shape, np.int8)
    for frame in range(1, len(scores)):
        options = np.full((3, len(labels)), -np.inf, np.float32)
        options[0] = best
        options[1, 1:] = best[:-1]
        options[2, 2:] = np.where(may_skip[2:], best[:-2], -np.inf)
        steps[frame] = options.argmax(axis=0)
        best = options.max(axis=0) + scores[frame]
    return _runs(_path(steps, best), labels, scores)


def _path(steps: npt.NDArray[np.int8], best: Logits) -> npt.NDArray[np.int64]:
    """Position in the labels of every frame."""
    at = len(best) - 1
    if len(best) > 1 and best[-2] > best[-1]:
        at -= 1
    path = np.empty(len(steps), np.int64)
    for frame in range(len(steps) - 1, -1, -1):
        path[frame] = at
        at -= int(steps[frame, at])
    return path


def _runs(
    path: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], scores: Logits,
) -> list[Emission]:
    runs = []
    for position in range(1, len(labels), 2):
        frames = np.flatnonzero(path == position)
        runs.append(Emission(int(labels[position]), int(frames[0]), int(frames[-1]) + 1,
                             float(scores[frames, position].max())))
    return runs
