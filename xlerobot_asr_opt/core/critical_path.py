"""What of an utterance's time lies between its endpoint and its transcript.

    last chunk          ticket                granted                             published
        |--- ingest ------|-- cache -- queue ---|-- transport wait features ... ---|-- other --|
        |                                                                                      |
        '-------------------------------------- total ----------------------------------------'

With look-ahead, speech is granted `ahead` ms before the ticket of its endpoint: cache and queue
are over by then, and so much of the work delays nobody. Thus

    total = ingest + cache + queue + max(0, transport + wait + features + encode + decode - ahead)
            + other

where `other` is what no stage accounts for: mostly a transcript that waits for the one before it
in its stream. If a stage takes less, the same sum tells by how much the total falls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.records import Latency

__all__ = ['SERIAL', 'STAGES', 'WORK', 'CriticalPaths', 'is_usable']

SERIAL = ('ingest', 'cache', 'queue')
"""Stages that always delay the transcript."""
WORK = ('transport', 'wait', 'features', 'encode', 'decode')
"""Stages that look-ahead may bring before the endpoint."""
STAGES = (*SERIAL, *WORK, 'other')
"""All stages, in the order in which they come."""

Milliseconds = npt.NDArray[np.float64]


def is_usable(latency: Latency) -> bool:
    """Whether every stage is a duration: finite, and not negative."""
    values = np.array(list(vars(latency).values()), float)
    return bool(np.all(np.isfinite(values)) and np.all(values >= 0.0))


class CriticalPaths:
    """The paths of n utterances.

    Attributes:
        stages: float64[n] of each of STAGES [ms].
        ahead: float64[n], work that was over before the endpoint [ms].
        total: float64[n], last chunk received to transcript published [ms].
    """

    def __init__(self, latencies: Sequence[Latency]) -> None:
        """Take the latencies apart.

        Args:
            latencies: usable ones.
        """
        def column(name: str) -> Milliseconds:
            return np.array([getattr(one, name) for one in latencies], np.float64)
        self.stages: dict[str, Milliseconds] = {name: column(name) for name in (*SERIAL, *WORK)}
        self.ahead = column('ahead')
        self.total = column('total')
        self.stages['other'] = np.zeros_like(self.total)
        self.stages['other'] = np.maximum(0.0, self.total - self._sum(self.stages, self.ahead))

    def __len__(self) -> int:
        return self.total.size

    @property
    def after(self) -> Milliseconds:
        """float64[n], work that lies after the endpoint [ms]."""
        return _after(self.stages, self.ahead)

    def totals(
        self, stages: Mapping[str, Milliseconds], ahead: Milliseconds | None = None,
    ) -> Milliseconds:
        """What the totals would be if some stages took another time.

        Args:
            stages: float64[n] of each stage that changes [ms].
            ahead: float64[n], another lead of the work [ms]; None: as it was.

        Returns:
            float64[n] [ms].
        """
        changed = self._sum({**self.stages, **stages}, self.ahead if ahead is None else ahead)
        # Where rounded stages add up to more than the total, the difference still counts.
        saved = self._sum(self.stages, self.ahead) - changed
        return np.maximum(0.0, self.total - saved)

    def capped(self, limits: Mapping[str, float]) -> Milliseconds:
        """What the totals would be if no stage took longer than its limit [ms]."""
        return self.totals({name: np.minimum(self.stages[name], limit)
                            for name, limit in limits.items()})

    def _sum(self, stages: Mapping[str, Milliseconds], ahead: Milliseconds) -> Milliseconds:
        return (sum((stages[name] for name in SERIAL), np.zeros_like(self.total))
                + _after(stages, ahead) + stages['other'])


def _after(stages: Mapping[str, Milliseconds], ahead: Milliseconds) -> Milliseconds:
    return np.maximum(0.0, sum((stages[name] for name in WORK), np.zeros_like(ahead)) - ahead)
