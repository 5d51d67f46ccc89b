"""Watches what becomes of the segments: how long they take, and how many get no text."""

from __future__ import annotations

import dataclasses
import math
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from xlerobot_asr_opt.core.monitor.catalog import STAGES
from xlerobot_asr_opt.core.monitor.judgement import (
    SILENT_AFTER_S,
    Judgement,
    Level,
    SchedulerReport,
    Window,
    percentile,
    worst,
)
from xlerobot_asr_opt.core.monitor.metrics import Odometers
from xlerobot_asr_opt.records import Transcript, TranscriptStatus

if TYPE_CHECKING:
    from xlerobot_asr_opt.core.dispatch_records import DispatchStatistics
    from xlerobot_asr_opt.core.monitor.metrics import Metrics
    from xlerobot_asr_opt.parameters import ManagerParameters

__all__ = ['RequestWatch']

LATENCIES = 4096
"""Latencies that the percentile is told from at most."""
HEARD = (TranscriptStatus.DONE, TranscriptStatus.NO_SPEECH)
COMPUTED = ('wait', 'features', 'encode', 'decode', 'transport')
"""Stages that only a segment goes through that had a worker."""
COUNTED = ('admitted', 'done', 'rejected', 'expired', 'cancelled', 'granted', 'regranted',
           'shared', 'ahead', 'ahead_used', 'foretold', 'stolen', 'partials')


class RequestWatch:
    """Counts and judges by SchedulerStatus and by the latencies of transcripts."""

    def __init__(self, parameters: ManagerParameters, metrics: Metrics) -> None:
        self._limits = parameters
        self._metrics = metrics
        self._odometers = Odometers()
        self._report: SchedulerReport | None = None
        self._heard = -math.inf
        self._totals = dict.fromkeys(COUNTED, 0.0)
        self._window = Window(parameters.monitor_window)
        self._latencies: deque[tuple[float, float]] = deque(maxlen=LATENCIES)

    @property
    def counters(self) -> DispatchStatistics | None:
        """The newest counters of the scheduler."""
        return None if self._report is None else self._report.counters

    def heard(self, report: SchedulerReport, now: float) -> None:
        """Take a status of the scheduler."""
        self._report, self._heard = report, now
        counters = tuple(float(getattr(report.counters, name)) for name in COUNTED)
        more = dict(zip(COUNTED, self._odometers.advance('scheduler', counters), strict=True))
        for name, amount in more.items():
            self._totals[name] += amount
        add = self._metrics.add
        add('asr_requests_admitted_total', more['admitted'])
        for outcome, name in (('success', 'done'), ('rejected', 'rejected'),
                              ('expired', 'expired'), ('cancelled', 'cancelled')):
            add('asr_requests_total', more[name], outcome)
        add('asr_grants_total', more['granted'] - more['regranted'], 'first')
        add('asr_grants_total', more['regranted'], 'repeated')
        add('asr_requests_shared_total', more['shared'])
        add('asr_ahead_total', more['ahead'])
        add('asr_ahead_used_total', more['ahead_used'])
        add('asr_requests_foretold_total', more['foretold'])
        add('asr_steals_total', more['stolen'])
        add('asr_partials_total', more['partials'])

    def transcribed(self, transcript: Transcript, now: float) -> None:
        """Take a transcript: its status and where its time went."""
        self._metrics.add('asr_transcripts_total', 1, transcript.status.name.lower())
        if transcript.status not in HEARD:
            return
        self._latencies.append((now, transcript.latency.total / 1e3))
        if transcript.worker:
            self._metrics.add(
                'asr_speech_seconds_total', (transcript.end_ns - transcript.begin_ns) / 1e9)
        for stage, (metric, *_) in STAGES.items():
            if transcript.worker or stage not in COMPUTED:
                self._metrics.observe(metric, getattr(transcript.latency, stage) / 1e3)

    def latencies(self, now: float) -> list[float]:
        """Latencies of the transcripts within the window [s]."""
        while self._latencies and now - self._latencies[0][0] > self._limits.monitor_window:
            self._latencies.popleft()
        return [seconds for _, seconds in self._latencies]

    def judge_latency(self, now: float) -> Judgement:
        """Say whether transcripts come fast enough."""
        times, window = self.latencies(now), self._limits.monitor_window
        if not times:
            return Judgement('latency', Level.OK, f'no transcript in {window:g} s')
        middle, high = percentile(times, 0.5), percentile(times, 0.95)
        values: dict[str, float | str] = {
            'transcripts': len(times), 'p50 [s]': middle, 'p95 [s]': high}
        text = f'95 % of {len(times)} transcripts came within {high:.3f} s'
        findings = _above(high, self._limits.latency_warn, self._limits.latency_error,
                          lambda limit: f'{text}, expected {limit:g} s')
        return worst('latency', findings, text, values)

    def judge_losses(self, now: float, lost: tuple[float, float, float]) -> Judgement:
        """Say what was lost.

        Args:
            now: the time [s].
            lost: as StreamWatch.lost.
        """
        silent = now - self._heard
        if silent > SILENT_AFTER_S:
            never = math.isinf(silent)
            return Judgement('losses', Level.STALE, 'the scheduler was never heard' if never else
                             f'the scheduler was not heard for {silent:.0f} s')
        self._window.add(now, self._totals.values())
        _, added = self._window.change()
        more = dict(zip(COUNTED, added, strict=True))
        chunks, chunks_lost, dropped = lost
        finished = more['done'] + more['rejected'] + more['expired'] + dropped
        unheard = more['rejected'] + more['expired'] + dropped
        values: dict[str, float | str] = {
            'utterances': finished, 'rejected': more['rejected'], 'expired': more['expired'],
            'dropped': dropped, 'chunks': chunks, 'chunks lost': chunks_lost}
        findings = [
            *self._loss(unheard, finished, f'utterances got no transcript (rejected '
                        f'{more["rejected"]:.0f}, expired {more["expired"]:.0f}, '
                        f'dropped {dropped:.0f})'),
            *self._loss(chunks_lost, chunks + chunks_lost, 'chunks of audio were lost or refused')]
        return worst('losses', findings, f'nothing lost of {finished:.0f} utterances and '
                     f'{chunks:.0f} chunks' if not unheard + chunks_lost else
                     f'{unheard:.0f} of {finished:.0f} utterances and {chunks_lost:.0f} chunks '
                     f'lost, within the limits', values)

    def measure(self, now: float) -> None:
        """Set the gauges."""
        report = self._report
        current = {} if report is None or now - self._heard > SILENT_AFTER_S else (
            dataclasses.asdict(report.counters))
        for metric, name in (('asr_requests_pending', 'open'), ('asr_queue_depth', 'waiting'),
                             ('asr_workers', 'workers')):
            self._metrics.replace(metric, {(): current[name]} if current else {})

    def _loss(self, lost: float, whole: float, text: str) -> list[tuple[Level, str]]:
        share = lost / whole if whole else 0.0
        window = self._limits.monitor_window
        return _above(
            share, self._limits.loss_warn, self._limits.loss_error,
            lambda limit: f'{lost:.0f} of {whole:.0f} {text} in {window:g} s: '
            f'{100 * share:.1f} %, expected {100 * limit:g} % at most')


def _above(value: float, warn: float, error: float, text: Callable[[float], str]) -> (
        list[tuple[Level, str]]):
    """What is to be said of a value that should stay at or below its limits."""
    for level, limit in ((Level.ERROR, error), (Level.WARN, warn)):
        if value > limit:
            return [(level, text(limit))]
    return []
