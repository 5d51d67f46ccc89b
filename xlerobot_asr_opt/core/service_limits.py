"""How often each service is answered, and how much it takes: one table, and a bucket for each.

A node works in one thread. Who asks it faster than it can work, out of malice or in a loop that
went wrong, would keep everybody else waiting; what is over the limit is refused at once and in
words. The limits are far above what the graph itself asks for (docs/security.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = [
    'LONGEST_PATH', 'LONGEST_RECORDING_S', 'MOST_RECORDINGS', 'MOST_WORKERS', 'RATES', 'Rate',
    'ServiceLimits']

LONGEST_RECORDING_S = 600.0
"""Of one request of ingest/transcribe; longer ones are files, for ingest/open_stream."""
MOST_RECORDINGS = 64
"""Requests of ingest/transcribe that wait for their transcripts."""
LONGEST_PATH = 4096
"""Characters of a source of ingest/open_stream."""
MOST_WORKERS = 64
"""Workers that ingest has a publisher for; each takes a megabyte."""


@dataclass(frozen=True)
class Rate:
    """A limit in the long run, and at once.

    Attributes:
        per_s: requests a second.
        burst: requests at once, after a pause.
    """

    per_s: float
    burst: int


RATES: Mapping[str, Rate] = {
    'cache/lookup': Rate(5000, 10_000),
    'cache/store': Rate(2000, 4000),
    'cache/trim': Rate(2, 20),
    'cache/patterns': Rate(2, 20),
    'ingest/open_stream': Rate(50, 2000),
    'ingest/transcribe': Rate(50, 200),
    'manager/manage_nodes': Rate(2, 20),
    'manager/force_level': Rate(2, 20),
    '~/force_backend': Rate(10, 50),
    '~/release_memory': Rate(1, 20),
}
"""By the name of the service, as in ros/names.py."""


class ServiceLimits:
    """A token bucket for each service that is asked.

    Args:
        clock: seconds, monotonic.
        rates: by service.
    """

    def __init__(
        self, clock: Callable[[], float], rates: Mapping[str, Rate] = RATES,
    ) -> None:
        self._clock = clock
        self._rates = rates
        self._left: dict[str, tuple[float, float]] = {}

    def refusal(self, service: str) -> str:
        """Count a request; say why it is not answered, empty where it is."""
        rate, now = self._rates[service], self._clock()
        left, at = self._left.get(service, (float(rate.burst), now))
        left = min(float(rate.burst), left + (now - at) * rate.per_s)
        if left >= 1.0:
            self._left[service] = left - 1.0, now
            return ''
        self._left[service] = left, now
        return (f'{service} is asked too often: {rate.per_s:g} requests a second are answered, '
                f'{rate.burst} at once; ask again in {(1.0 - left) / rate.per_s:.2g} s')
