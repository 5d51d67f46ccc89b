"""How long a worker takes for a job, learnt from what it took for the last ones."""

from __future__ import annotations

from xlerobot_asr_opt.core.ranked_line import Work

__all__ = ['ServiceTime']

DECAY = 0.95
"""Weight of an observation against the next one: about the last twenty count."""
LEAST_SPREAD = 0.05
"""Variance of the lengths, in squares of their mean, from which on a slope is believed."""
FAR = 4.0
"""An observation counts for so many times what was expected at most: a hiccup is no trend."""
LEAST = 1e-4
"""An expectation below this is no measure of what is far [s]."""
FEW = 4.0
"""Up to this weight one that is as far below what was expected begins anew: the first was slow."""


class ServiceTime:
    """Foretells the time of a job by a line over its length: a share for each job, one for length.

    The line is fitted by least squares with exponentially decaying weights, and never falls with
    the length nor begins below zero.
    """

    def __init__(self) -> None:
        self._per_job = self._per_length = 0.0
        self._weight = self._length = self._time = self._squares = self._products = 0.0

    @property
    def measured(self) -> bool:
        """Whether anything was observed."""
        return self._weight > 0.0

    def of(self, work: Work) -> float:
        """The time that so much work takes one worker [s]; 0 as long as nothing was observed."""
        return self._per_job * work.jobs + self._per_length * work.length

    def of_one(self, length: int) -> float:
        """The time that one job of this length takes [s]."""
        return self._per_job + self._per_length * length

    def observe(self, length: int, seconds: float) -> None:
        """Learn that a job of this length took the worker so long."""
        if self.measured:
            expected = self.of_one(length)
            seconds = min(seconds, FAR * max(expected, LEAST))
            if self._weight < FEW and FAR * seconds < expected:
                self._weight = self._length = self._time = self._squares = self._products = 0.0
        self._weight = DECAY * self._weight + 1.0
        self._length = DECAY * self._length + length
        self._time = DECAY * self._time + seconds
        self._squares = DECAY * self._squares + length * length
        self._products = DECAY * self._products + length * seconds
        self._fit()

    def _fit(self) -> None:
        length, time = self._length / self._weight, self._time / self._weight
        variance = self._squares / self._weight - length * length
        self._per_job, self._per_length = time, 0.0
        if length > 0.0 and variance <= LEAST_SPREAD * length * length:
            # All of one length: which share it has is not known; half is wrong by half at most.
            self._per_job, self._per_length = time / 2, time / 2 / length
        elif length > 0.0:
            slope = (self._products / self._weight - length * time) / variance
            self._per_length = min(max(slope, 0.0), time / length)
            self._per_job = time - self._per_length * length
