"""The monitor: takes what the graph tells, and gives judgements and metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from xlerobot_asr_opt.core.monitor.catalog import METRICS
from xlerobot_asr_opt.core.monitor.levels import LevelWatch
from xlerobot_asr_opt.core.monitor.metrics import Family, Metrics
from xlerobot_asr_opt.core.monitor.nodes import NodeWatch
from xlerobot_asr_opt.core.monitor.requests import RequestWatch
from xlerobot_asr_opt.core.monitor.resources import CacheWatch, MemoryWatch
from xlerobot_asr_opt.core.monitor.streams import StreamWatch

if TYPE_CHECKING:
    from xlerobot_asr_opt.core.cache_records import CacheStatistics
    from xlerobot_asr_opt.core.managed_node import Heartbeat
    from xlerobot_asr_opt.core.monitor.judgement import (
        BackendReport,
        Judgement,
        MemoryReport,
        SchedulerReport,
    )
    from xlerobot_asr_opt.parameters import ManagerParameters
    from xlerobot_asr_opt.records import Degradation, StreamStatus, Transcript, WorkerStatus

__all__ = ['Monitor']


class Monitor:
    """Everything that is watched, in one; what it holds does not grow with time or streams.

    Args:
        parameters: of the manager: the thresholds, and the nodes that are expected.
        clock: monotonic time [s].

    Attributes:
        streams: the watch over the streams.
        requests: over what becomes of segments.
        nodes: over nodes, workers and backends.
        memory: over memory.
        cache: over the cache.
        level: over the level of degradation.
    """

    def __init__(self, parameters: ManagerParameters, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._metrics = Metrics(METRICS)
        self.streams = StreamWatch(parameters, self._metrics)
        self.requests = RequestWatch(parameters, self._metrics)
        self.nodes = NodeWatch(parameters, self._metrics)
        self.memory = MemoryWatch(parameters, self._metrics)
        self.cache = CacheWatch(parameters, self._metrics)
        self.level = LevelWatch(parameters, self._metrics)

    def on_scheduler(self, report: SchedulerReport) -> None:
        """Take a SchedulerStatus."""
        self.requests.heard(report, self._clock())

    def on_transcript(self, transcript: Transcript) -> None:
        """Take a Transcript."""
        self.requests.transcribed(transcript, self._clock())

    def on_stream(self, status: StreamStatus) -> None:
        """Take a StreamStatus."""
        self.streams.heard(status, self._clock())

    def on_heartbeat(self, beat: Heartbeat) -> None:
        """Take a Heartbeat."""
        self.nodes.beat(beat, self._clock())

    def on_worker(self, status: WorkerStatus) -> None:
        """Take a WorkerStatus."""
        self.nodes.worker(status, self._clock())

    def on_backends(self, worker: str, reports: Sequence[BackendReport]) -> None:
        """Take BackendStates."""
        self.nodes.backends(worker, reports)

    def on_memory(self, report: MemoryReport) -> None:
        """Take a MemoryReport."""
        self.memory.heard(report, self._clock())

    def on_cache(self, statistics: CacheStatistics) -> None:
        """Take an answer of cache/statistics."""
        self.cache.heard(statistics, self._clock())

    def on_level(self, degradation: Degradation) -> None:
        """Take a DegradationLevel."""
        self.level.heard(degradation, self._clock())

    def judge(self) -> list[Judgement]:
        """Judge every side of the graph; call it at a steady pace, once a second."""
        now = self._clock()
        return [
            self.nodes.judge_nodes(now),
            self.streams.judge(now),
            self.requests.judge_latency(now),
            self.requests.judge_losses(now, self.streams.lost()),
            self.nodes.judge_backends(now),
            self.memory.judge(now),
            self.cache.judge(now),
            self.level.judge(now),
        ]

    def families(self, judgements: Sequence[Judgement]) -> list[Family]:
        """A snapshot of every metric.

        Args:
            judgements: the newest ones, which are a metric as well.
        """
        now = self._clock()
        self.memory.measure()
        for watch in (self.streams, self.requests, self.nodes, self.cache, self.level):
            watch.measure(now)
        self._metrics.replace('asr_diagnostic_level', {
            (judgement.name,): int(judgement.level) for judgement in judgements})
        self._metrics.replace('asr_monitor_values_refused', {(): self._metrics.refused})
        return self._metrics.families()
