"""What each level of degradation means to the nodes, and how long they believe in it."""

from __future__ import annotations

from collections.abc import Callable

from xlerobot_asr_opt.records import SAMPLE_RATE, Degradation, DegradationLevel

__all__ = ['ACCELERATORS', 'SMALL', 'VALID_S', 'LevelLease', 'backend_rank', 'is_finals_only',
           'refusal']

ACCELERATORS = frozenset({'bpu', 'bpu_exact', 'scripted'})
"""Backends that count as accelerators; the scripted one stands for one, heat and load included."""
SMALL = 'onnxruntime_small'
"""The backend of inference.small_model."""
VALID_S = 5.0
"""A level that was not renewed for this long is not heeded any more: its manager is gone [s]."""


def backend_rank(name: str, degradation: Degradation, *, small: bool) -> int:
    """Say when a backend is asked: those of the lowest rank first, each in its chain's order.

    An accelerator stays before all others while the level follows its breaker, so that it is tried
    out again; it goes behind them where somebody holds a level of the CPU by hand.

    Args:
        name: of the backend.
        degradation: in force.
        small: whether the chain has a smaller model.
    """
    level = degradation.level
    if name in ACCELERATORS:
        held = level in (DegradationLevel.CPU, DegradationLevel.CPU_SMALL)
        return 2 if degradation.forced and held else 0
    return int(small and level >= DegradationLevel.CPU_SMALL and name != SMALL)


def is_finals_only(degradation: Degradation) -> bool:
    """Whether nothing is recognised but what is complete."""
    return degradation.level >= DegradationLevel.FINALS


def refusal(degradation: Degradation, length: int, longest_s: float) -> str:
    """Say why a new utterance is refused; empty: it is not.

    Args:
        degradation: in force.
        length: of the utterance [samples at SAMPLE_RATE].
        longest_s: of an utterance that is taken at the level commands [s].
    """
    if degradation.level is DegradationLevel.REFUSE:
        return f'the graph is at the level refuse: {degradation.reason}'
    if degradation.level is DegradationLevel.COMMANDS and length > longest_s * SAMPLE_RATE:
        return (f'the segment has {length / SAMPLE_RATE:.1f} s; at the level commands the longest '
                f'is {longest_s:g} s: {degradation.reason}')
    return ''


class LevelLease:
    """The level as a node knows it: the newest one, or the first one where nobody renews it.

    Args:
        clock: monotonic [s].
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._degradation = Degradation()
        self._renewed = float('-inf')

    @property
    def degradation(self) -> Degradation:
        """What is to be heeded now."""
        if self._clock() - self._renewed > VALID_S:
            return Degradation()
        return self._degradation

    def renew(self, degradation: Degradation) -> None:
        """Take what the manager tells."""
        self._degradation, self._renewed = degradation, self._clock()
