"""A graph as a monitor hears it, healthy or broken, and a clock that the test turns."""

from __future__ import annotations

import dataclasses

from xlerobot_asr_opt.core.breaker import State as Breaker
from xlerobot_asr_opt.core.cache_records import CacheStatistics
from xlerobot_asr_opt.core.dispatch_records import DispatchStatistics
from xlerobot_asr_opt.core.lifecycle import State
from xlerobot_asr_opt.core.managed_node import Heartbeat
from xlerobot_asr_opt.core.memory_ladder import Rung
from xlerobot_asr_opt.core.monitor.judgement import (
    BackendReport,
    MemoryReport,
    ProcessMemory,
    SchedulerReport,
)
from xlerobot_asr_opt.core.monitor.monitor import Monitor
from xlerobot_asr_opt.parameters import ManagerParameters
from xlerobot_asr_opt.records import (
    Degradation,
    DegradationLevel,
    Latency,
    StreamState,
    StreamStatus,
    Transcript,
    TranscriptStatus,
    WorkerStatus,
)

NODES = ('cache', 'inference_0', 'scheduler', 'ingest')
HITS = 20
"""Of the cache, in every second."""


class MonitoredWorld:
    """A monitor, and a graph that lives through one second after the other.

    Attributes:
        monitor: what is tested.
        now: the time [s].
        broken: whether everything goes wrong that can.
        silent: kinds of messages that do not come any more.
    """

    def __init__(self, *, broken=False, **parameters):
        self.now = 1000.0
        self.broken = broken
        self.silent = set()
        self.monitor = Monitor(ManagerParameters(**parameters), lambda: self.now)
        self.seconds = 0

    def live(self, seconds):
        """Let the graph tell of so many seconds, and judge after each; return the last ones."""
        judgements = []
        for _ in range(seconds):
            self.now += 1.0
            self.seconds += 1
            for kind in ('stream', 'scheduler', 'transcript', 'beat', 'worker', 'backends',
                         'memory', 'cache', 'level'):
                if kind not in self.silent:
                    getattr(self, kind)()
            judgements = self.monitor.judge()
        return {judgement.name: judgement for judgement in judgements}

    def families(self):
        """The metrics, by name."""
        return {family.metric.name: family.series
                for family in self.monitor.families(self.monitor.judge())}

    def stream(self, name='hall', pace=None):
        """One second of audio, of which one in ten chunks is lost where things are broken."""
        n = self.seconds
        pace = pace or (0.4 if self.broken else 1.0)
        self.monitor.on_stream(StreamStatus(
            name, StreamState.SPEECH, position_s=pace * n, chunks=int(10 * pace * n),
            missing=n if self.broken else 0, dropped=n if self.broken else 0, level_dbfs=-20.0,
            segments=n, kept=2))
        if self.broken:
            self.monitor.on_stream(StreamStatus('porch', StreamState.FAILED))

    def scheduler(self):
        """Two segments a second; both are lost where things are broken."""
        n = self.seconds
        good = DispatchStatistics(
            open=1, waiting=0, workers=1, admitted=2 * n, done=2 * n, rejected=0, expired=0,
            cancelled=0, granted=2 * n, regranted=0, cache_hits=0, shared=0, ahead=n, ahead_used=n,
            foretold=0, stolen=0, partials=0)
        bad = dataclasses.replace(
            good, done=0, rejected=n, expired=n, regranted=n, waiting=500, workers=0)
        self.monitor.on_scheduler(SchedulerReport(True, bad if self.broken else good))

    def transcript(self):
        """One within 0.3 s, or within 7 s where things are broken."""
        total = 7000.0 if self.broken else 300.0
        self.monitor.on_transcript(Transcript(
            segment=self.seconds, stream='hall', sequence=self.seconds,
            status=TranscriptStatus.DONE, begin_ns=0, end_ns=2_000_000_000,
            worker='inference_0', latency=Latency(
                ingest=1.0, cache=1.0, queue=total - 60.0, transport=3.0, wait=5.0,
                features=10.0, encode=20.0, decode=20.0, total=total)))

    def beat(self):
        """A heartbeat of every node; the cache is inactive where things are broken."""
        for name in NODES:
            ill = self.broken and name == 'cache'
            self.monitor.on_heartbeat(Heartbeat(
                node=name, incarnation=self.seconds // 5 if ill else 1, pid=1,
                state=State.INACTIVE if ill else State.ACTIVE, progress=self.seconds))

    def worker(self):
        """The status of the worker."""
        self.monitor.on_worker(WorkerStatus(
            'inference_0', 1, active=not self.broken, capacity=2, longest=480_000,
            recogniser=bytes(32)))

    def backends(self):
        """Its backends, of which none answers where things are broken."""
        n = self.seconds
        state = Breaker.OPEN if self.broken else Breaker.CLOSED
        self.monitor.on_backends('inference_0', [
            BackendReport(name, state, forced=False, reason='no answer within 5 s',
                          good=n, failures=n if self.broken else 0,
                          opened=n if self.broken else 0, abandoned=n if self.broken else 0)
            for name in ('bpu', 'onnxruntime')])

    def memory(self):
        """A third of the limit, or all but a little of it."""
        self.monitor.on_memory(MemoryReport(
            ceiling='memory_limit', used=950_000_000 if self.broken else 300_000_000,
            limit=1_000_000_000, available=50_000_000, stalled=0.3 if self.broken else 0.0,
            rung=Rung.REFUSE if self.broken else Rung.NORMAL, processes=tuple(
                ProcessMemory(name, 60_000_000, 70_000_000, 12.5 if self.broken else 0.0,
                              growing=self.broken) for name in NODES)))

    def level(self):
        """The first level, or the last one."""
        self.monitor.on_level(
            Degradation(DegradationLevel.REFUSE, '95% of the memory are used', pressure=4.5)
            if self.broken else Degradation())

    def cache(self):
        """Every lookup is a hit, or, where things are broken, one in a hundred."""
        n = self.seconds
        self.monitor.on_cache(CacheStatistics(
            hits=(n if self.broken else HITS * n, 0, 0), misses=99 * n if self.broken else 0,
            stores=n, evictions=(0, 0, n), entries=(10, 20, 30), disk_bytes=4096,
            write_failures=n if self.broken else 0, hit_rate=0.5))
