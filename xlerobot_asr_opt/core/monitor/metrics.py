"""Counters, gauges and histograms of bounded cardinality, as Prometheus takes them."""

from __future__ import annotations

import bisect
import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ['BUCKETS_S', 'Family', 'Histogram', 'Kind', 'Labels', 'Metric', 'Metrics',
           'Odometers']

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets of every histogram, the last one, infinity, left out [s]."""
SERIES = 256
"""Series of one metric at most: names come from outside, and a new one is a new series."""

Labels = tuple[str, ...]
"""Values of the labels of one series, in the order of their names."""


class Kind(enum.Enum):
    """How a metric behaves."""

    COUNTER = 'counter'
    GAUGE = 'gauge'
    HISTOGRAM = 'histogram'


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: as Prometheus shows it; of a counter, with its _total.
        kind: how it behaves.
        help: one sentence.
        labels: names of its labels.
        also: what Triton or Tokio call the same; empty: neither has it.
    """

    name: str
    kind: Kind
    help: str
    labels: Labels = ()
    also: str = ''


@dataclass(frozen=True)
class Histogram:
    """A histogram at one point in time.

    Attributes:
        counts: observations in each bucket of BUCKETS_S, and of those above all of them.
        total: sum of the observations [s].
    """

    counts: tuple[int, ...]
    total: float


@dataclass(frozen=True)
class Family:
    """A metric and its series at one point in time."""

    metric: Metric
    series: Mapping[Labels, float | Histogram]


class _Durations:
    """A histogram that grows."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BUCKETS_S) + 1)
        self._total = 0.0

    def observe(self, seconds: float) -> None:
        """Take one duration [s]."""
        self._counts[bisect.bisect_left(BUCKETS_S, seconds)] += 1
        self._total += seconds

    def snapshot(self) -> Histogram:
        """What it holds."""
        return Histogram(tuple(self._counts), self._total)


class Metrics:
    """Holds the values of some metrics.

    What would be a series too many of a metric is not taken, and counted in refused.

    Args:
        table: the metrics that there are.
        series: most series of one metric.

    Attributes:
        refused: values that were not taken.
    """

    def __init__(self, table: tuple[Metric, ...], series: int = SERIES) -> None:
        self._table = table
        self._limit = series
        self._values: dict[str, dict[Labels, float]] = {
            metric.name: {} for metric in table if metric.kind is not Kind.HISTOGRAM}
        self._durations: dict[str, dict[Labels, _Durations]] = {
            metric.name: {} for metric in table if metric.kind is Kind.HISTOGRAM}
        self.refused = 0

    def add(self, name: str, amount: float, *labels: str) -> None:
        """Add to a counter; adding 0 makes its series, so that a rate finds a begin."""
        series = self._values[name]
        if self._has_room(series, labels):
            series[labels] = series.get(labels, 0.0) + amount

    def replace(self, name: str, series: Mapping[Labels, float]) -> None:
        """Set every series of a gauge: what is not there any more is not shown any more."""
        kept = dict(list(series.items())[:self._limit])
        self.refused += len(series) - len(kept)
        self._values[name] = kept

    def observe(self, name: str, seconds: float, *labels: str) -> None:
        """Take one duration [s]; what is no number is no duration."""
        series = self._durations[name]
        if math.isfinite(seconds) and self._has_room(series, labels):
            series.setdefault(labels, _Durations()).observe(seconds)

    def families(self) -> list[Family]:
        """A snapshot of everything, in the order of the table."""
        return [
            Family(metric, {labels: durations.snapshot() for labels, durations
                            in self._durations[metric.name].items()}
                   if metric.kind is Kind.HISTOGRAM else dict(self._values[metric.name]))
            for metric in self._table]

    def _has_room(self, series: Mapping[Labels, object], labels: Labels) -> bool:
        if labels in series or len(series) < self._limit:
            return True
        self.refused += 1
        return False


class Odometers:
    """Makes one growing total of counters that begin again with every process that has them."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, ...]] = {}

    def advance(self, source: str, values: tuple[float, ...]) -> tuple[float, ...]:
        """What was added to each counter of a source since it was read last.

        One that fell has begun again at 0: so have the others of its source.
        """
        last = self._last.get(source, (0.0,) * len(values))
        self._last[source] = values
        if any(new < old for new, old in zip(values, last, strict=True)):
            return values
        return tuple(new - old for new, old in zip(values, last, strict=True))

    def forget(self, source: str) -> None:
        """Drop a source that is gone."""
        self._last.pop(source, None)
