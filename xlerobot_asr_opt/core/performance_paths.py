"""What to do next: each remedy with what it would bring, computed from the run itself.

No gain here is an estimate of how well a remedy works. It is what the totals of the recorded
utterances would be if the bottleneck came down to its target: a stage, the waits that one more
worker would leave, the lead that look-ahead gives. What the remedy really does is then measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.core.critical_path import WORK, CriticalPaths
from xlerobot_asr_opt.core.performance_records import RESOURCE_TARGETS
from xlerobot_asr_opt.core.remedies import (
    ACCELERATOR,
    CACHE_OFF,
    LOOK_AHEAD,
    RETRIES,
    SECOND_GRAPH,
    STAGE_REMEDIES,
    Remedy,
    one_more_worker,
)
from xlerobot_asr_opt.core.segmenter import Cutting
from xlerobot_asr_opt.records import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xlerobot_asr_opt.core.run_load import Load
    from xlerobot_asr_opt.records import Transcript

__all__ = ['LEAD_MS', 'Remedies']

LEAD_MS = (Cutting().hangover - Cutting().tail) / SAMPLE_RATE * 1e3
"""How long before the endpoint a pause is told, with the default hangover [ms]."""
LEAST = 0.01
"""What brings less than this share of the mean latency, or of the capacity, is not told."""
SPARE = 0.25
"""A resource of which less than this share is used bounds nothing yet."""
IDLE_MS = 1.0
"""A worker that took a segment within this time was idle [ms]."""

Milliseconds = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Change:
    """A remedy and what it does to the run.

    Attributes:
        bottleneck: the stage or resource.
        remedies: the first is what to do, the others are alternatives.
        totals: float64[n], of the utterances with the bottleneck at its target [ms].
        limit: the same with the bottleneck at zero [ms].
        evidence: the measurements.
        capacity: utterances a second with the remedy, per those without; 1: as before.
        pressing: whether a resource is above its target.
    """

    bottleneck: str
    remedies: tuple[Remedy, ...]
    totals: Milliseconds
    limit: Milliseconds
    evidence: str
    capacity: float = 1.0
    pressing: bool = False


class Remedies:
    """Finds what would make one run faster, or let it take more.

    Args:
        transcripts: the usable ones of the run.
        paths: theirs.
        load: of the run.
        targets: of each stage [ms].
    """

    def __init__(self, transcripts: Sequence[Transcript], paths: CriticalPaths, load: Load,
                 targets: Mapping[str, float]) -> None:
        self._transcripts = transcripts
        self._paths = paths
        self._load = load
        self._targets = targets

    def ranked(self) -> list[dict[str, Any]]:
        """List what brings anything: what limits the capacity first, then the largest gain."""
        if not len(self._paths):
            return []
        changes = [*self._stages(), *self._waiting(), *self._look_ahead(), *self._cache_off(),
                   *self._retries(), *self._bound()]
        least_ms = LEAST * float(np.mean(self._paths.total))
        told = [one for one in map(self._tell, changes)
                if max(one['gain_ms'], one['limit_ms']) > least_ms
                or one['capacity_percent'] > 100.0 * LEAST]
        return sorted(told, key=lambda one: (
            not one['pressing'], -one['gain_ms'], -one['limit_ms'], -one['capacity_percent']))

    def _tell(self, change: _Change) -> dict[str, Any]:
        before, total = self._paths.total, float(np.mean(self._paths.total))
        gain = total - float(np.mean(change.totals))
        first, *others = change.remedies
        return {
            'kind': 'capacity' if change.capacity > 1.0 else 'latency',
            'bottleneck': change.bottleneck,
            'advice': first.advice,
            'command': first.command,
            'parameters': list(first.parameters),
            'arguments': dict(first.arguments),
            'alternatives': [one.command for one in others],
            'gain_ms': gain,
            'gain_percent': 100.0 * gain / total if total else 0.0,
            'limit_ms': total - float(np.mean(change.limit)),
            'p95_before_ms': float(np.percentile(before, 95)),
            'p95_after_ms': float(np.percentile(change.totals, 95)),
            'capacity_percent': 100.0 * (change.capacity - 1.0),
            'pressing': change.pressing,
            'evidence': change.evidence,
        }

    def _stages(self) -> Iterator[_Change]:
        """Each stage at its target."""
        for stage, remedies in STAGE_REMEDIES.items():
            values, target = self._paths.stages[stage], self._targets[stage]
            limit = self._paths.capped({stage: 0.0})
            delay = float(np.mean(self._paths.total - limit))
            yield _Change(
                stage, remedies, self._paths.capped({stage: target}), limit,
                f'{stage}: p95 {np.percentile(values, 95):.2f} ms, target {target:g} ms; of its '
                f'mean {np.mean(values):.2f} ms, {delay:.2f} ms delay the transcript')

    def _waiting(self) -> Iterator[_Change]:
        """Queue and wait as one more worker would leave them, by serving the run again."""
        waited = self._paths.stages['queue'] + self._paths.stages['wait']
        if not self._load.workers:
            return
        now = self._load.waits_with(self._load.workers)
        then = self._load.waits_with(self._load.workers + 1)
        left = np.maximum(0.0, waited - 1e3 * (now - then))
        yield _Change(
            'waiting', (one_more_worker(self._load.workers),), self._wait_for(left),
            self._wait_for(np.zeros_like(waited)),
            f'queue and wait: p95 {np.percentile(waited, 95):.2f} ms with '
            f'{self._load.workers} workers that are busy for {self._busy:.0%} of the time; the '
            f'same arrivals served by {self._load.workers + 1} wait '
            f'{np.mean(then) * 1e3:.2f} ms instead of {np.mean(now) * 1e3:.2f} ms in the mean')

    def _wait_for(self, waits: Milliseconds) -> Milliseconds:
        """Totals with other waits, shared out as before between scheduler and worker."""
        queue, wait = self._paths.stages['queue'], self._paths.stages['wait']
        whole = queue + wait
        share = np.divide(queue, whole, out=np.ones_like(whole), where=whole > 0.0)
        return self._paths.totals({'queue': waits * share, 'wait': waits * (1.0 - share)})

    def _look_ahead(self) -> Iterator[_Change]:
        """The work begun in the pause before the endpoint, where a worker was idle."""
        if np.any(self._paths.ahead > 0.0):
            return
        work = sum((self._paths.stages[name] for name in WORK), np.zeros(len(self._paths)))
        idle = (self._paths.stages['queue'] <= IDLE_MS) & (work > 0.0)
        totals = self._paths.totals({}, ahead=np.where(idle, LEAD_MS, 0.0))
        yield _Change(
            'endpoint', (LOOK_AHEAD,), totals, totals,
            f'no utterance was begun ahead; {np.mean(work):.2f} ms of work follow the endpoint, '
            f'for {np.mean(idle):.0%} of the utterances a worker was idle, and a pause is told '
            f'{LEAD_MS:g} ms earlier')

    def _cache_off(self) -> Iterator[_Change]:
        """No lookup; what the cache answered costs what the others cost in the median."""
        own = np.array([one.cache == 'none' for one in self._transcripts])
        hit = np.array([one.cache in ('l1', 'l2', 'l3') for one in self._transcripts])
        if not np.any(self._paths.stages['cache'] > 0.0) or not np.any(own):
            return
        without = np.zeros(len(self._paths))
        totals = self._paths.totals({'cache': without})
        totals = totals + np.where(hit, np.median(self._paths.after[own]), 0.0)
        yield _Change(
            'cache lookup', (CACHE_OFF,), totals, totals,
            f'{np.mean(hit):.0%} of {len(self._paths)} utterances were answered by the cache; a '
            f'lookup takes {np.mean(self._paths.stages["cache"]):.2f} ms in the mean')

    def _retries(self) -> Iterator[_Change]:
        """What was granted again, as if its first grant had been answered."""
        again = np.array([one.attempts > 1 for one in self._transcripts])
        if not np.any(again) or np.all(again):
            return
        limits = {name: np.where(again, np.minimum(values, np.median(values[~again])), values)
                  for name, values in self._paths.stages.items() if name in ('queue', 'transport')}
        totals = self._paths.totals(limits)
        yield _Change(
            'grants repeated', (RETRIES,), totals, totals,
            f'{np.count_nonzero(again)} of {len(self._paths)} utterances took more than one grant')

    @property
    def _busy(self) -> float:
        return self._load.used.get('workers', 0.0)

    def _bound(self) -> Iterator[_Change]:
        """The resource that is used most, and what comes next when it is relieved."""
        used = self._load.used
        if not used:
            return
        bound = max(used, key=lambda name: used[name])
        if used[bound] < SPARE:
            return
        relieved = dict(used)
        remedy = SECOND_GRAPH
        if bound == 'workers':
            remedy = one_more_worker(self._load.workers)
            relieved[bound] *= self._load.workers / (self._load.workers + 1)
        elif bound == 'machine':
            remedy = ACCELERATOR
            relieved[bound] -= sum(
                cores for node, cores in self._load.cores.items()
                if node.startswith('inference')) / self._load.processors
        else:
            relieved[bound] /= 2.0
        following = max(relieved.values())
        if following <= 0.0:
            return
        limit = RESOURCE_TARGETS[{'workers': 'busy', 'machine': 'machine'}.get(bound, 'cores')]
        yield _Change(
            f'{bound} (capacity)', (remedy,), self._paths.total, self._paths.total,
            f'{self._load.rate:.2f} utterances/s, {self._load.in_system:.2f} in the graph at a '
            f'time (Little), use '
            + ', '.join(f'{share:.0%} of {name}' for name, share in used.items())
            + f'; {bound} would be full at {self._load.rate / used[bound]:.2f} utterances/s, if '
            'its use grew in proportion',
            capacity=used[bound] / following, pressing=used[bound] > limit)
