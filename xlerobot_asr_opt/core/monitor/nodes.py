"""Watches the nodes by their heartbeats, the workers and the breakers of their backends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from xlerobot_asr_opt.core.breaker import State as Breaker
from xlerobot_asr_opt.core.lifecycle import State
from xlerobot_asr_opt.core.monitor.judgement import (
    SILENT_AFTER_S,
    BackendReport,
    Judgement,
    Level,
    worst,
)
from xlerobot_asr_opt.core.monitor.metrics import SERIES, Odometers

if TYPE_CHECKING:
    from xlerobot_asr_opt.core.managed_node import Heartbeat
    from xlerobot_asr_opt.core.monitor.metrics import Metrics
    from xlerobot_asr_opt.parameters import ManagerParameters
    from xlerobot_asr_opt.records import WorkerStatus

__all__ = ['BREAKER_NUMBERS', 'NodeWatch']

BREAKER_NUMBERS = {Breaker.CLOSED: 0, Breaker.OPEN: 1, Breaker.HALF_OPEN: 2}
"""States of a breaker as BackendState.msg and the gauge number them."""


START_S = 10.0
"""Time that the nodes are given to be heard, from the first judgement on [s]."""
FOUND_LATER = 'not heard yet'


class NodeWatch:
    """Counts and judges by Heartbeat, WorkerStatus and BackendStates.

    Args:
        parameters: of the manager; its nodes are expected, others are told of as well.
        metrics: where it counts.
    """

    def __init__(self, parameters: ManagerParameters, metrics: Metrics) -> None:
        self._expected = parameters.nodes
        self._metrics = metrics
        self._beats: dict[str, tuple[Heartbeat, float]] = {}
        self._workers: dict[str, tuple[WorkerStatus, float]] = {}
        self._backends: dict[str, tuple[BackendReport, ...]] = {}
        self._odometers = Odometers()
        self._begun: float | None = None

    def beat(self, beat: Heartbeat, now: float) -> None:
        """Take a heartbeat."""
        before = self._beats.get(beat.node)
        if before is None and len(self._beats) >= SERIES:
            return
        renewed = before is not None and before[0].incarnation != beat.incarnation
        self._metrics.add('asr_node_restarts_total', float(renewed), beat.node)
        self._beats[beat.node] = beat, now

    def worker(self, status: WorkerStatus, now: float) -> None:
        """Take the status of a worker."""
        if status.worker in self._workers or len(self._workers) < SERIES:
            self._workers[status.worker] = status, now

    def backends(self, worker: str, reports: Sequence[BackendReport]) -> None:
        """Take the state of a worker's backends."""
        if worker not in self._backends and len(self._backends) >= SERIES:
            return
        self._backends[worker] = tuple(reports)
        add = self._metrics.add
        for report in reports:
            counters = report.good, report.failures, report.opened, report.abandoned
            good, failures, opened, abandoned = self._odometers.advance(
                f'{worker}/{report.backend}', tuple(map(float, counters)))
            labels = worker, report.backend
            add('asr_backend_answers_total', good, *labels, 'good')
            add('asr_backend_answers_total', failures, *labels, 'failed')
            add('asr_backend_opened_total', opened, *labels)
            add('asr_backend_abandoned_total', abandoned, *labels)

    def states(self, now: float) -> dict[str, str]:
        """State of every node that is expected or was heard, in words."""
        told = {}
        for name in (*self._expected, *sorted(self._beats)):
            beat = self._beats.get(name)
            if beat is None:
                told[name] = FOUND_LATER
            elif now - beat[1] > SILENT_AFTER_S:
                told[name] = f'not heard for {now - beat[1]:.0f} s'
            else:
                told[name] = beat[0].state.name.lower()
        return told

    def judge_nodes(self, now: float) -> Judgement:
        """Say whether every node is there, and active."""
        if self._begun is None:
            self._begun = now
        starting = now - self._begun < START_S
        mild = {'inactive', 'unconfigured', *([FOUND_LATER] if starting else [])}
        states = self.states(now)
        findings = [
            (Level.WARN if state in mild else Level.ERROR,
             f'{name} {"was" if state.startswith("not") else "is"} {state}')
            for name, state in states.items() if state != 'active']
        return worst('nodes', findings, f'all {len(states)} nodes are active', states)

    def judge_backends(self, now: float) -> Judgement:
        """Say whether some backend is left out, and whether a worker has none."""
        findings, values = [], {}
        for worker, reports in sorted(self._backends.items()):
            if self._is_gone(worker, now):
                continue
            for report in reports:
                values[f'{worker} {report.backend}'] = report.state.name.lower()
            out = [report for report in reports if report.state is not Breaker.CLOSED]
            level = Level.ERROR if len(out) == len(reports) else Level.WARN
            findings += [(level, f'{worker}: {_told(report)}') for report in out]
            findings += [(Level.WARN, f'{worker}: {report.backend} is held by hand')
                         for report in reports if report.forced and report not in out]
        if not values:
            return Judgement('backends', Level.STALE, 'no worker has told of its backends yet')
        return worst('backends', findings, f'{len(values)} answer, none is left out', values)

    def measure(self, now: float) -> None:
        """Set the gauges."""
        replace = self._metrics.replace
        alive = {name: beat for name, (beat, heard) in self._beats.items()
                 if now - heard <= SILENT_AFTER_S}
        replace('asr_node_active', {
            (name,): float(name in alive and alive[name].state is State.ACTIVE)
            for name in {*self._expected, *self._beats}})
        replace('asr_node_working_seconds', {
            (name,): beat.working for name, beat in alive.items()})
        replace('asr_worker_capacity', {(): sum(
            status.capacity for status, heard in self._workers.values()
            if status.active and now - heard <= SILENT_AFTER_S)})
        replace('asr_backend_state', {
            (worker, report.backend): BREAKER_NUMBERS[report.state]
            for worker, reports in self._backends.items() if not self._is_gone(worker, now)
            for report in reports})

    def _is_gone(self, worker: str, now: float) -> bool:
        """Whether a worker is not heard any more; its backends are told of once, and latched."""
        heard = self._workers.get(worker)
        return heard is None or now - heard[1] > SILENT_AFTER_S


def _told(report: BackendReport) -> str:
    by = ', by hand' if report.forced else ''
    return (f'{report.backend} is {report.state.name.lower().replace("_", " ")}{by}: '
            f'{report.reason or "no reason given"}')
