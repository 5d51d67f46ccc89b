"""Watches memory and the cache."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from xlerobot_asr_opt.core.cache_records import LEVELS
from xlerobot_asr_opt.core.memory_ladder import Rung
from xlerobot_asr_opt.core.monitor.judgement import (
    Judgement,
    Level,
    MemoryReport,
    Window,
    worst,
)
from xlerobot_asr_opt.core.monitor.metrics import Odometers

if TYPE_CHECKING:
    from xlerobot_asr_opt.core.cache_records import CacheStatistics
    from xlerobot_asr_opt.core.monitor.metrics import Metrics
    from xlerobot_asr_opt.parameters import ManagerParameters

__all__ = ['CacheWatch', 'MemoryWatch']

MB = 1e6
MEMORY_PERIODS = 15
"""A report of memory comes every fifth reading: three of them late, it is stale."""
LEAST_S = 30.0
"""Nothing is missed of memory before this time [s]."""
CACHE_SILENT_AFTER_S = 30.0
"""Of the cache, which is asked every few seconds [s]."""
LOOKUPS = 20
"""A hit rate of fewer lookups says nothing."""


class MemoryWatch:
    """Judges by MemoryReport."""

    def __init__(self, parameters: ManagerParameters, metrics: Metrics) -> None:
        self._limits = parameters
        self._metrics = metrics
        self._report: MemoryReport | None = None
        self._heard = -math.inf
        self._patience = max(LEAST_S, MEMORY_PERIODS * parameters.memory_period)

    @property
    def report(self) -> MemoryReport | None:
        """The newest one."""
        return self._report

    def heard(self, report: MemoryReport, now: float) -> None:
        """Take a report."""
        self._report, self._heard = report, now

    def judge(self, now: float) -> Judgement:
        """Say whether memory is about to run out."""
        report = self._report
        if not self._limits.memory_period:
            return Judgement('memory', Level.OK, 'not watched: manager.memory_period is 0')
        if report is None or now - self._heard > self._patience:
            return Judgement('memory', Level.STALE, 'memory was not told of yet' if report is None
                             else f'memory was not told of for {now - self._heard:.0f} s')
        share = report.used / report.limit if report.limit else 0.0
        text = (f'{report.used / MB:.0f} of {report.limit / MB:.0f} MB of {report.ceiling} are '
                f'used, {100 * share:.0f} %')
        findings = []
        if share >= self._limits.memory_refuse or report.rung >= Rung.REFUSE:
            findings.append((Level.ERROR, f'{text}; {report.rung.name.lower()} is in force'))
        elif share >= self._limits.memory_release or report.rung >= Rung.RELEASE:
            findings.append((Level.WARN, f'{text}; {report.rung.name.lower()} is in force'))
        findings += [
            (Level.WARN, f'{process.node} grows by {process.slope:.2f} MB/min')
            for process in report.processes
            if process.growing and process.slope > self._limits.leak_slope]
        values: dict[str, float | str] = {
            'used [MB]': report.used / MB, 'limit [MB]': report.limit / MB,
            'rung': report.rung.name.lower()}
        values.update({f'{process.node} PSS [MB]': process.pss / MB
                       for process in report.processes})
        return worst('memory', findings, text, values)

    def measure(self) -> None:
        """Set the gauges."""
        report = self._report
        if report is None:
            return
        replace = self._metrics.replace
        for name, value in (
                ('asr_memory_used_bytes', report.used), ('asr_memory_limit_bytes', report.limit),
                ('asr_memory_available_bytes', report.available),
                ('asr_memory_stalled_ratio', report.stalled),
                ('asr_memory_rung', int(report.rung))):
            replace(name, {(): value})
        replace('asr_process_memory_bytes', {
            (process.node, kind): value for process in report.processes
            for kind, value in (('uss', process.uss), ('pss', process.pss))})
        replace('asr_process_memory_slope_bytes_per_second', {
            (process.node,): process.slope * MB / 60 for process in report.processes
            if math.isfinite(process.slope)})


class CacheWatch:
    """Counts and judges by CacheStatistics."""

    def __init__(self, parameters: ManagerParameters, metrics: Metrics) -> None:
        self._limits = parameters
        self._metrics = metrics
        self._odometers = Odometers()
        self._statistics: CacheStatistics | None = None
        self._heard = -math.inf
        self._totals: tuple[float, ...] = (0.0,) * 3
        self._window = Window(parameters.monitor_window)

    def heard(self, statistics: CacheStatistics, now: float) -> None:
        """Take its statistics."""
        self._statistics, self._heard = statistics, now
        counters = (*statistics.hits, *statistics.evictions, statistics.misses, statistics.stores,
                    statistics.write_failures)
        more = self._odometers.advance('cache', tuple(map(float, counters)))
        levels = len(LEVELS)
        for metric, amounts in (('asr_cache_hits_total', more[:levels]),
                                ('asr_cache_evictions_total', more[levels:2 * levels])):
            for level, amount in zip(LEVELS, amounts, strict=True):
                self._metrics.add(metric, amount, level)
        misses, stores, failures = more[2 * levels:]
        self._metrics.add('asr_cache_misses_total', misses)
        self._metrics.add('asr_cache_stores_total', stores)
        self._metrics.add('asr_cache_write_failures_total', failures)
        hits = sum(more[:levels])
        self._totals = tuple(
            old + new for old, new in zip(self._totals, (hits, misses, failures), strict=True))
        self._window.add(now, self._totals)

    def hit_rate(self) -> float:
        """Hits / lookups within the window; NaN of too few lookups."""
        _, (hits, misses, *_) = self._window.change() if self._statistics else (0.0, (0.0, 0.0))
        lookups = hits + misses
        return hits / lookups if lookups >= LOOKUPS else math.nan

    def judge(self, now: float) -> Judgement:
        """Say whether the cache is there, and finds what is asked for."""
        statistics = self._statistics
        silent = now - self._heard
        if statistics is None:
            return Judgement('cache', Level.STALE, 'the cache has not answered yet')
        if silent > CACHE_SILENT_AFTER_S:
            return Judgement(
                'cache', Level.STALE, f'the cache has not answered for {silent:.0f} s')
        rate, least = self.hit_rate(), self._limits.hit_rate_warn
        _, (hits, misses, failures) = self._window.change()
        findings = []
        if failures:
            findings.append((Level.WARN, f'{failures:.0f} values could not be written to disk in '
                             f'{self._limits.monitor_window:g} s'))
        text = f'{hits:.0f} of {hits + misses:.0f} lookups found something'
        if rate < least:
            findings.append(
                (Level.WARN, f'{text}: {100 * rate:.1f} %, expected {100 * least:g} %'))
        values: dict[str, float | str] = {
            'hits': hits, 'lookups': hits + misses, 'write failures': failures,
            **{f'{level} entries': count
               for level, count in zip(LEVELS, statistics.entries, strict=True)}}
        return worst('cache', findings, text, values)

    def measure(self, now: float) -> None:
        """Set the gauges."""
        statistics = self._statistics
        if statistics is None or now - self._heard > CACHE_SILENT_AFTER_S:
            self._metrics.replace('asr_cache_entries', {})
            self._metrics.replace('asr_cache_disk_bytes', {})
            return
        self._metrics.replace('asr_cache_entries', {
            (level,): count for level, count in zip(LEVELS, statistics.entries, strict=True)})
        self._metrics.replace('asr_cache_disk_bytes', {(): statistics.disk_bytes})
