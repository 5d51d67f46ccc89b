"""Says from samples of a process's memory whether it grows, how fast, and when it meets a limit.

The slope is Theil and Sen's: the median of the slopes of all pairs of samples, which spikes do
not move. Its interval is Sen's, by ranks: Kendall's S of samples without a trend has a known
variance, and that tells how many ranks the true slope may lie off the median. Two corrections keep
it honest:

- samples that follow each other are alike, above all those of a collector's sawtooth, so that they
  say less than their number: the variance is inflated by the autocorrelation of the residuals
  (Hamed and Rao, Journal of Hydrology 204, 1998);
- a single step, such as a model that was loaded, is no slope: pairs across one are left out, and
  the variance is the sum over what lies between the steps (Hirsch and Slack, Water Resources
  Research 20, 1984).
"""

from __future__ import annotations

import enum
import functools
import math
from collections import deque
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.errors import MeasurementError

__all__ = ['CONFIDENCE', 'Forecast', 'MemoryTrend', 'Trend', 'Verdict', 'theil_sen']

Floats = npt.NDArray[np.float64]

CONFIDENCE = 0.999
"""Of the interval, nominally: where neighbours are alike, fewer intervals hold the true slope, as
a short window does not tell in full how much alike they are."""
FEWEST = 12
"""Samples below which nothing is said."""
SHORTEST = 0.5
"""Share of the window below which nothing is said."""
STEP_SIDE = 8
"""Samples on each side of a step that its size is taken from: spikes of half as many are none."""
STEP_SPREADS = 8.0
"""A step is larger than this many spreads (of a normal distribution) of all jumps in its window: a
sawtooth jumps too often for that."""
MOST_STEPS = 3
"""Steps that are looked for in one window."""
SPREAD = 1.4826
"""Median absolute deviation to the standard deviation of a normal distribution."""


class Verdict(enum.Enum):
    """What a window of samples says."""

    TOO_SHORT = 'too short'
    NO_TREND = 'no trend'
    GROWING = 'growing'
    SHRINKING = 'shrinking'


@dataclass(frozen=True)
class Forecast:
    """Memory at a later time, with its interval [bytes]."""

    expected: float
    low: float
    high: float


@dataclass(frozen=True)
class Trend:
    """What a window of samples says.

    Attributes:
        verdict: NO_TREND where the interval of the slope includes 0.
        slope: the median slope [bytes/s]; NaN where the window is too short, as all below.
        low: lower end of its interval [bytes/s].
        high: upper end of its interval [bytes/s].
        level: the present memory, without spikes [bytes].
        span: from the first to the last sample [s].
        steps: single steps that were left out.
    """

    verdict: Verdict
    slope: float
    low: float
    high: float
    level: float
    span: float
    steps: int

    def forecast(self, horizon: float) -> Forecast:
        """Return the memory after so many seconds: the level, where there is no trend."""
        if self.verdict is Verdict.TOO_SHORT:
            return Forecast(math.nan, math.nan, math.nan)
        slope = 0.0 if self.verdict is Verdict.NO_TREND else self.slope
        expected, low, high = (
            max(0.0, self.level + each * horizon) for each in (slope, self.low, self.high))
        return Forecast(expected, low, high)

    def time_to(self, limit: float) -> float | None:
        """Return when the memory meets a limit in bytes [s]; None: not by this trend."""
        if self.verdict is not Verdict.GROWING:
            return None
        return max(0.0, (limit - self.level) / self.slope)


class MemoryTrend:
    """A sliding window of samples of one process.

    Args:
        window: length [s].
        confidence: of the interval, two-sided.
        most: samples kept; those that come more often than window / most are left out, evenly.
    """

    def __init__(self, window: float, confidence: float = CONFIDENCE, most: int = 150) -> None:
        self._window = window
        self._spacing = window / most
        self._z = NormalDist().inv_cdf(0.5 + confidence / 2)
        self._samples: deque[tuple[float, float]] = deque(maxlen=most + 1)

    def add(self, time_s: float, size: float) -> None:
        """Take a sample.

        Args:
            time_s: on any clock that goes forward [s].
            size: memory [bytes].

        Raises:
            MeasurementError: one of them is not finite, the size is negative, or the time is not
                later than that of the sample before.
        """
        if not (math.isfinite(time_s) and math.isfinite(size) and size >= 0):
            raise MeasurementError(
                f'got {size} bytes at {time_s} s, expected finite numbers, and no less than 0')
        if not self._samples:
            self._samples.append((time_s, size))
            return
        last = self._samples[-1][0]
        if time_s <= last:
            raise MeasurementError(
                f'got a sample of {time_s} s after one of {last} s, expected a later time')
        # A tenth early is in time: timers waver.
        if time_s - last >= 0.9 * self._spacing:
            self._samples.append((time_s, size))
            # Where samples are rare the window is longer, rather than blind.
            while len(self._samples) > FEWEST and time_s - self._samples[0][0] > self._window:
                self._samples.popleft()

    def trend(self) -> Trend:
        """Say what the window says; the cost grows with the square of its samples."""
        times, sizes = np.array(self._samples, np.float64).reshape(-1, 2).T
        span = float(times[-1] - times[0]) if times.size else 0.0
        if times.size < FEWEST or span < SHORTEST * self._window:
            nan = math.nan
            return Trend(Verdict.TOO_SHORT, nan, nan, nan, nan, span, 0)
        slope, low, high, level, steps = theil_sen(times, sizes, self._z)
        verdict = (Verdict.GROWING if low > 0 else Verdict.SHRINKING if high < 0
                   else Verdict.NO_TREND)
        return Trend(verdict, slope, low, high, level, span, steps)


def theil_sen(
    times: Floats, values: Floats, z: float,
) -> tuple[float, float, float, float, int]:
    """Estimate the slope of a series.

    Args:
        times: float64[n], rising [s].
        values: float64[n].
        z: half width of the interval, in standard deviations of a normal distribution.

    Returns:
        The slope, the lower and the upper end of its interval [1/s], the value at the last time,
        and the number of steps that were left out.
    """
    stretches = _stretches(values)
    first, second = _pairs(times.size)
    together = stretches[first] == stretches[second]
    first, second = first[together], second[together]
    slopes = np.sort((values[second] - values[first]) / (times[second] - times[first]))
    slope = float(_middle(slopes))
    residuals = values - slope * (times - times[-1])
    levels = np.array([_median(residuals[stretches == stretch])
                       for stretch in range(stretches[-1] + 1)])
    counts = np.bincount(stretches).astype(np.float64)
    variance = float((counts * (counts - 1) * (2 * counts + 5)).sum() / 18)
    half = z * math.sqrt(variance * _inflation(residuals - levels[stretches]))
    last = slopes.size - 1
    low = slopes[max(0, math.floor((slopes.size - half) / 2))]
    high = slopes[min(last, math.ceil((slopes.size + half) / 2))]
    return slope, float(low), float(high), float(levels[-1]), int(stretches[-1])


def _median(values: Floats) -> Floats:
    """Return the median along the last axis.

    NumPy's own imports its masked arrays at the first call: 2 MB for the life of the process.
    """
    return _middle(np.sort(values))


def _middle(ordered: Floats) -> Floats:
    """Return the median along the last axis, which is sorted."""
    count = ordered.shape[-1]
    middle: Floats = (ordered[..., (count - 1) // 2] + ordered[..., count // 2]) / 2
    return middle


@functools.lru_cache(maxsize=4)
def _pairs(count: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the indices of all pairs of so many samples."""
    first, second = np.triu_indices(count, 1)
    return first, second


def _inflation(residuals: Floats) -> float:
    """Return how many samples of these say as much as one independent one, at least 1.

    The autocorrelation of the ranks is summed up to where it is no longer positive: what comes
    after is mostly noise, and of a sawtooth it would be another tooth.
    """
    ranks = np.argsort(np.argsort(residuals, kind='stable')).astype(np.float64)
    ranks -= ranks.mean()
    count = ranks.size
    correlation = np.correlate(ranks, ranks, 'full')[count:] / (ranks @ ranks)
    lags = np.arange(1, count)
    gone = np.flatnonzero(correlation <= 0.0)
    some = slice(0, int(gone[0]) if gone.size else count - 1)
    weights = (count - lags) * (count - lags - 1.0) * (count - lags - 2.0)
    share = float((weights * correlation)[some].sum()) / (count * (count - 1.0) * (count - 2.0))
    return max(1.0, 1.0 + 2.0 * share)


def _stretches(values: Floats) -> npt.NDArray[np.intp]:
    """Number what lies between the steps, int[n] from 0."""
    stretches = np.zeros(values.size, np.intp)
    if values.size < 4 * STEP_SIDE:
        return stretches
    sides = _median(np.lib.stride_tricks.sliding_window_view(values, STEP_SIDE))
    jumps = sides[STEP_SIDE:] - sides[:-STEP_SIDE]
    jumps = np.abs(jumps - _median(jumps))
    spread = SPREAD * float(_median(jumps))
    for _ in range(MOST_STEPS):
        at = int(np.argmax(jumps))
        if jumps[at] <= STEP_SPREADS * spread or jumps[at] == 0.0:
            break
        stretches[at + STEP_SIDE:] += 1
        jumps[max(0, at - STEP_SIDE):at + STEP_SIDE] = 0.0
    return stretches
