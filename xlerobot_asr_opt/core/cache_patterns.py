"""What is asked of the cache, and what follows for its sizes."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xlerobot_asr_opt.core.cache_heat import HeatList
from xlerobot_asr_opt.core.cache_reuse import ReuseSample

if TYPE_CHECKING:
    from xlerobot_asr_opt.parameters import CacheParameters

__all__ = ['AccessPatterns', 'Recommendation']

FEWEST = 200
"""Lookups before anything is recommended."""

HOTTEST = 10
"""Keys that are named."""

SIZES = (10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000)
"""For which the hit rate is estimated, beside those of the levels [entries]."""

WORTH_DISK = 0.02
"""A gain in hit rate for which more room on disk is recommended."""

WORTH_MEMORY = 0.05
"""A share of the lookups that memory would answer, and disk does now, worth more memory."""

FREE = 0.005
"""A loss in hit rate that is none."""


@dataclass(frozen=True)
class Recommendation:
    """A parameter, with the value it should have.

    Attributes:
        parameter: node.name.
        value: to set it to.
        gain: in hit rate, of the cache or of its levels in memory; 0: saves room or time.
        reason: what was seen.
    """

    parameter: str
    value: int | bool
    gain: float
    reason: str


class AccessPatterns:
    """Sees every lookup; its memory is bounded.

    Args:
        parameters: of the node cache.
    """

    def __init__(self, parameters: CacheParameters) -> None:
        self._parameters = parameters
        self._in_memory = parameters.l1_entries + parameters.l2_entries
        self.heat = HeatList(self._in_memory)
        self._reuse = ReuseSample()
        self._lookups = 0

    def asked(self, key: bytes) -> None:
        """Note a lookup, whether or not it is a hit."""
        self._lookups += 1
        self.heat.asked(key)
        self._reuse.asked(key)

    def analyse(self) -> dict[str, Any]:
        """All that is known, as plain values that JSON can carry; None: nothing was asked for.

        Returns:
            lookups: since the cache was opened.
            distinct_keys: among them.
            one_hit_share: of the keys, those that were asked for only once.
            repeated_share: of the lookups, those whose key was asked for before.
            reuse_distance: p50 and p90 of the repeated ones [distinct keys].
            hit_rate_by_entries: of an LRU of that many entries, without an age limit.
            hottest: pairs of key, in hexadecimal, and how often it was asked for of late.
            recommendations: as of Recommendation, the most useful first.
        """
        reuse = self._reuse
        sizes = sorted({*SIZES, self._in_memory, self._parameters.l3_entries} - {0})
        return {
            'lookups': self._lookups,
            'distinct_keys': reuse.distinct_keys,
            'one_hit_share': _known(reuse.one_hit_share),
            'repeated_share': _known(reuse.repeated_share),
            'reuse_distance': {
                'p50': _known(reuse.distance(0.5)), 'p90': _known(reuse.distance(0.9))},
            'hit_rate_by_entries': {size: _known(reuse.hit_rate(size)) for size in sizes},
            'hottest': [(key.hex(), count) for key, count in self.heat.hottest()[:HOTTEST]],
            'recommendations': [dataclasses.asdict(one) for one in self._recommend()],
        }

    def _recommend(self) -> list[Recommendation]:
        if self._lookups < FEWEST:
            return []
        repeated = self._reuse.repeated_share
        if repeated < FREE:
            return [Recommendation(
                'scheduler.use_cache', False, 0.0,
                f'{repeated:.1%} of the lookups repeat one before: nothing is said twice')]
        found = [self._on_disk(), self._more_memory() or self._less_memory()]
        return sorted((one for one in found if one), key=lambda one: -one.gain)

    def _on_disk(self) -> Recommendation | None:
        entries = self._parameters.l3_entries
        now = self._rate(max(entries, self._in_memory))
        for factor in (2, 4, 8):
            value = factor * max(entries, self._in_memory)
            if self._rate(value) - now >= WORTH_DISK:
                return Recommendation(
                    'cache.l3_entries', value, self._rate(value) - now,
                    f'the hit rate would rise from {now:.1%} to {self._rate(value):.1%}')
        return None

    def _more_memory(self) -> Recommendation | None:
        now = self._rate(self._in_memory)
        for factor in (2, 4, 8):
            size = factor * self._in_memory
            if self._rate(size) - now >= WORTH_MEMORY:
                return Recommendation(
                    'cache.l2_entries', size - self._parameters.l1_entries,
                    self._rate(size) - now,
                    f'memory would answer {self._rate(size):.1%} instead of {now:.1%}')
        return None

    def _less_memory(self) -> Recommendation | None:
        size, least = self._in_memory, self._rate(self._in_memory) - FREE
        while size // 2 > self._parameters.l1_entries and self._rate(size // 2) >= least:
            size //= 2
        if size == self._in_memory:
            return None
        return Recommendation(
            'cache.l2_entries', size - self._parameters.l1_entries, 0.0,
            f'{size} entries in memory find as much as {self._in_memory}')

    def _rate(self, entries: int) -> float:
        return self._reuse.hit_rate(entries)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
