"""Watches the streams: is audio coming in at its pace, and is any of it lost?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from xlerobot_asr_opt.core.microphone_faults import REMEDIES, faults_in
from xlerobot_asr_opt.core.monitor.catalog import STREAM_COUNTERS
from xlerobot_asr_opt.core.monitor.judgement import (
    SILENT_AFTER_S,
    Judgement,
    Level,
    Window,
    worst,
)
from xlerobot_asr_opt.core.monitor.metrics import Odometers
from xlerobot_asr_opt.records import StreamState, StreamStatus

if TYPE_CHECKING:
    from xlerobot_asr_opt.core.monitor.metrics import Labels, Metrics
    from xlerobot_asr_opt.parameters import ManagerParameters

__all__ = ['OTHERS', 'StreamWatch']

OTHERS = '_others'
"""Label of the streams that have none of their own."""
RATE_WINDOW_S = 10.0
"""Over which the pace of a stream is told [s]."""
LEAST_S = 2.0
"""Before this much of it has passed, nothing is said of the pace [s]."""
PAUSE_S = 2.5
"""A stream without audio for so long pauses: status comes every second [s]."""
FORGOTTEN_AFTER_S = 60.0
"""A stream that was not heard of for so long is gone [s]."""
MOST = 10_000
"""Streams that are watched at a time; ingest has no more."""
NAMED = 3
"""Streams that a message names."""
OVER = (StreamState.ENDED, StreamState.FAILED)


class _Stream:
    """What is known of one stream."""

    def __init__(self, status: StreamStatus, now: float) -> None:
        self.status = status
        self.heard = self.moved = now
        self._pace = Window(RATE_WINDOW_S)
        self._held: tuple[float, tuple[float, float]] | None = None

    def take(self, status: StreamStatus, now: float) -> None:
        """Take its newest status.

        The last one that brought audio is held back: if the publisher stopped in the midst of that
        second, it must not count as slow.
        """
        if status.position_s != self.status.position_s:
            if now - self.moved > PAUSE_S:
                self._pace, self._held = Window(RATE_WINDOW_S), None
            if self._held is not None:
                self._pace.add(*self._held)
            self._held = now, (status.position_s, status.chunks)
            self.moved = now
        self.status, self.heard = status, now

    def is_paused(self, now: float) -> bool:
        """Whether no audio comes at present."""
        return now - self.moved > PAUSE_S

    def rates(self, now: float) -> tuple[float, float]:
        """Audio in times real time, and chunks a second; NaN while it is too early to tell."""
        if self.is_paused(now):
            return 0.0, 0.0
        seconds, added = self._pace.change()
        if seconds < LEAST_S:
            return math.nan, math.nan
        return added[0] / seconds, added[1] / seconds


class StreamWatch:
    """Counts and judges by StreamStatus.

    The first monitor_streams names have a label of their own, for good; all others share one.
    """

    def __init__(self, parameters: ManagerParameters, metrics: Metrics) -> None:
        self._limits = parameters
        self._metrics = metrics
        self._streams: dict[str, _Stream] = {}
        self._labels: set[str] = set()
        self._odometers = Odometers()
        self._totals = dict.fromkeys(STREAM_COUNTERS, 0.0)
        self._window = Window(parameters.monitor_window)

    def heard(self, status: StreamStatus, now: float) -> None:
        """Take a status."""
        name = status.stream
        if name not in self._streams and len(self._streams) >= MOST:
            return
        stream = self._streams.setdefault(name, _Stream(status, now))
        stream.take(status, now)
        if len(self._labels) < self._limits.monitor_streams:
            self._labels.add(name)
        counters = tuple(float(getattr(status, field)) for field in STREAM_COUNTERS)
        for (field, (metric, _)), more in zip(
                STREAM_COUNTERS.items(), self._odometers.advance(name, counters), strict=True):
            self._metrics.add(metric, more, self._label(name))
            self._totals[field] += more

    def lost(self) -> tuple[float, float, float]:
        """Within the window: chunks received, chunks lost or refused, utterances dropped."""
        _, added = self._window.change()
        chunks, missing, refused, dropped = added or (0.0,) * 4
        return chunks, missing + refused, dropped

    def judge(self, now: float) -> Judgement:
        """Say whether audio comes in at its pace."""
        self._forget(now)
        self._window.add(now, (self._totals[field] for field in
                               ('chunks', 'missing', 'refused', 'dropped')))
        findings, slowest = [], math.inf
        running = {name: stream for name, stream in self._streams.items()
                   if stream.status.state not in OVER}
        for name, stream in sorted(running.items()):
            slowest = min(slowest, stream.rates(now)[0])
            finding = self._finding(name, stream, now)
            if finding is not None:
                findings.append(finding)
        failed = [name for name, stream in self._streams.items()
                  if stream.status.state is StreamState.FAILED]
        findings += [(Level.ERROR, f'{name}: its source broke, see the log of ingest')
                     for name in failed]
        values: dict[str, float | str] = {'streams': len(running), 'failed': len(failed)}
        if math.isfinite(slowest):
            values['slowest [times real time]'] = slowest
        told = _named(findings)
        return worst('audio', told, f'{len(running)} open, each at its pace'
                     if running else 'no stream is open', values)

    def measure(self, now: float) -> None:
        """Set the gauges."""
        states = dict.fromkeys(StreamState, 0)
        rates: dict[Labels, float] = {}
        levels: dict[Labels, float] = {}
        kept = 0
        for name, stream in self._streams.items():
            states[stream.status.state] += 1
            kept += stream.status.kept
            if name in self._labels and stream.status.state not in OVER:
                rates[(name,)] = stream.rates(now)[0]
                levels[(name,)] = stream.status.level_dbfs
        self._metrics.replace('asr_streams', {
            (state.name.lower(),): count for state, count in states.items()})
        self._metrics.replace('asr_segments_kept', {(): kept})
        self._metrics.replace('asr_stream_audio_rate', rates)
        self._metrics.replace('asr_stream_level_dbfs', levels)

    def statuses(self, now: float) -> list[tuple[StreamStatus, float]]:
        """The newest status of every stream, and its pace in times real time."""
        return [(stream.status, stream.rates(now)[0])
                for _, stream in sorted(self._streams.items())]

    def _finding(self, name: str, stream: _Stream, now: float) -> tuple[Level, str] | None:
        """What is wrong with a running stream; None: nothing."""
        silent = now - stream.heard
        if silent > SILENT_AFTER_S:
            return Level.STALE, f'{name}: ingest has not told of it for {silent:.0f} s'
        warn, error = self._limits.audio_warn, self._limits.audio_error
        if stream.is_paused(now):
            told = Level.WARN, f'{name}: no audio for {now - stream.moved:.0f} s'
            return told if warn else None
        pace, chunks = stream.rates(now)
        for level, limit in ((Level.ERROR, error), (Level.WARN, warn)):
            if pace < limit:
                return level, (f'{name}: {pace:.2f} s of audio a second ({chunks:.1f} chunks), '
                               f'expected {limit:g}')
        if stream.status.faults:
            return Level.WARN, f'{name}: ' + '; '.join(
                REMEDIES[fault] for fault in faults_in(stream.status.faults))
        return None

    def _label(self, name: str) -> str:
        return name if name in self._labels else OTHERS

    def _forget(self, now: float) -> None:
        for name in [name for name, stream in self._streams.items()
                     if now - stream.heard > FORGOTTEN_AFTER_S]:
            del self._streams[name]
            self._odometers.forget(name)


def _named(findings: list[tuple[Level, str]]) -> list[tuple[Level, str]]:
    """The first findings of each level; the rest of them as a number."""
    told = []
    for level in Level:
        own = [finding for finding in findings if finding[0] is level]
        told += own[:NAMED]
        if len(own) > NAMED:
            told.append((level, f'and {len(own) - NAMED} more streams'))
    return told
