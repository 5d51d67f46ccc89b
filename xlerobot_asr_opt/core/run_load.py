"""How much of what it could do a graph did in a run: utilisation, Little's law, waits foretold."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from xlerobot_asr_opt.core.performance_records import RecordedRun, Utterance

__all__ = ['Load', 'waits']

NS_PER_S = 1e9


class Load:
    """The load of one run.

    Attributes:
        window_s: first endpoint to last transcript [s]; 0: not known.
        busy: share of that time in which each worker recognised, by its name.
        cores: mean cores of each node, by its name; empty: not sampled.
        memory_mb: highest sum of the nodes' memory at one time [MB]; 0: not sampled.
        arrivals_s: float64[n], endpoint of each utterance, from the first on [s].
        service_s: float64[n], work of each; 0 for those without a grant of their own [s].
        processors: cores of the machine; 0: not known.
    """

    def __init__(self, utterances: Sequence[Utterance], run: RecordedRun) -> None:
        """Measure a run.

        Args:
            utterances: of the run, the usable ones.
            run: for its samples.
        """
        published = np.array([one.published_ns for one in utterances], np.float64) / NS_PER_S
        totals = np.array([one.transcript.latency.total for one in utterances]) / 1e3
        known = len(utterances) > 1 and bool(np.all(published > 0))
        endpoints = published - totals
        self.window_s = float(published.max() - endpoints.min()) if known else 0.0
        self.arrivals_s = endpoints - endpoints.min() if known else endpoints
        self.service_s = np.array([_service_s(one) for one in utterances])
        self.in_system = float(totals.sum() / self.window_s) if known else 0.0
        self.processors = run.processors
        self.busy = self._busy(utterances)
        self.cores = _mean_cores(run)
        self.memory_mb = _memory_mb(run)

    @property
    def rate(self) -> float:
        """Utterances a second; 0: not known."""
        return self.arrivals_s.size / self.window_s if self.window_s else 0.0

    @property
    def workers(self) -> int:
        """Workers that are known of."""
        return len(self.busy)

    @property
    def used(self) -> dict[str, float]:
        """Share of its capacity that each resource uses: workers, single nodes, all cores."""
        shares = {}
        if self.busy:
            shares['workers'] = float(np.mean(list(self.busy.values())))
        shares.update({f'{node} cores': share for node, share in self.cores.items()
                       if not node.startswith('inference')})
        if self.cores and self.processors:
            shares['machine'] = sum(self.cores.values()) / self.processors
        return shares

    def waits_with(self, workers: int) -> npt.NDArray[np.float64]:
        """float64[n], how long each would wait for one of so many workers, served in turn [s]."""
        return waits(self.arrivals_s, self.service_s, workers)

    def _busy(self, utterances: Sequence[Utterance]) -> dict[str, float]:
        if not self.window_s:
            return {}
        busy: dict[str, float] = defaultdict(float)
        for one, seconds in zip(utterances, self.service_s, strict=True):
            if one.transcript.worker and seconds:
                busy[one.transcript.worker] += float(seconds) / self.window_s
        return dict(sorted(busy.items()))


def waits(
    arrivals_s: npt.NDArray[np.float64], service_s: npt.NDArray[np.float64], workers: int,
) -> npt.NDArray[np.float64]:
    """How long each job waits in one line before several equal workers (Kiefer and Wolfowitz).

    Args:
        arrivals_s: float64[n], in any order [s].
        service_s: float64[n]; a job of 0 needs no worker [s].
        workers: at least 1.

    Returns:
        float64[n], in the order of the arguments [s].
    """
    free = [-np.inf] * workers
    waited = np.zeros_like(arrivals_s)
    for index in np.argsort(arrivals_s, kind='stable'):
        if service_s[index] > 0.0:
            begin = max(arrivals_s[index], free[0])
            waited[index] = begin - arrivals_s[index]
            heapq.heapreplace(free, begin + service_s[index])
    return waited


def _service_s(one: Utterance) -> float:
    """Time for which the utterance kept its worker busy; 0 where another's answer was taken."""
    if one.transcript.cache != 'none':
        return 0.0
    latency = one.transcript.latency
    return (latency.features + latency.encode + latency.decode) / 1e3


def _mean_cores(run: RecordedRun) -> dict[str, float]:
    samples: dict[str, list[float]] = defaultdict(list)
    for sample in run.resources:
        samples[sample.node].append(sample.cores)
    return {node: float(np.mean(values)) for node, values in sorted(samples.items())}


def _memory_mb(run: RecordedRun) -> float:
    together: dict[int, float] = defaultdict(float)
    for sample in run.resources:
        together[sample.time_ns] += sample.pss_mb
    return max(together.values(), default=0.0)
