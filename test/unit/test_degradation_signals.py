"""What presses how much, and who answers, from what the nodes tell."""

from __future__ import annotations

import dataclasses
import math

import pytest

from xlerobot_asr_opt.core.breaker import State
from xlerobot_asr_opt.core.degradation_signals import SIGNALS, DegradationSignals, Range, pressure
from xlerobot_asr_opt.core.dispatch_records import DispatchStatistics
from xlerobot_asr_opt.core.memory_ladder import Rung
from xlerobot_asr_opt.core.monitor.judgement import BackendReport, MemoryReport, SchedulerReport
from xlerobot_asr_opt.errors import ConfigurationError
from xlerobot_asr_opt.parameters import ManagerParameters
from xlerobot_asr_opt.records import DegradationLevel, WorkerStatus

REST = DispatchStatistics(**dict.fromkeys(
    (field.name for field in dataclasses.fields(DispatchStatistics)), 0))
CLOSED, OPEN, HALF_OPEN = State.CLOSED, State.OPEN, State.HALF_OPEN


class Graph:
    """Signals, and a graph that tells of itself every second."""

    def __init__(self, **limits):
        self.now = 1000.0
        self.signals = DegradationSignals(
            ManagerParameters(level_queue_begin=2.0, level_queue_end=8.0, **limits),
            lambda: self.now)

    def tell(self, seconds=1, *, active=True, worker=True, **counters):
        for _ in range(seconds):
            self.now += 1.0
            self.signals.on_scheduler(SchedulerReport(active, dataclasses.replace(
                REST, **{'workers': int(worker), **counters})))
            if worker:
                self.signals.on_worker(WorkerStatus('w', 1, True, 2, 480_000, bytes(32)))
        return self.signals.situation()

    def has(self, worker='w', **backends):
        self.signals.on_backends(worker, [
            BackendReport(name, state, forced=False, reason='' if state is CLOSED else 'too hot',
                          good=0, failures=0, opened=0, abandoned=0)
            for name, state in backends.items()])
        return self


@pytest.mark.parametrize(('value', 'expected'), [
    (2.0, 1.0), (4.0, 2.0), (6.0, 3.0), (8.0, 4.0), (1.0, 0.5), (0.0, 0.0), (math.nan, 0.0)])
def test_pressure_goes_evenly_from_begin_to_end(value, expected):
    assert pressure(value, Range(2.0, 8.0)) == pytest.approx(expected)


@pytest.mark.parametrize('limits', [Range(0.1, 0.7), Range(92.0, 104.0), Range(2.0, 100.0)])
def test_pressure_grows_with_the_value_and_from_nothing(limits):
    values = [limits.end * step / 1000 for step in range(1500)]
    presses = [pressure(value, limits) for value in values]
    assert presses[0] == 0.0
    assert presses == sorted(presses)
    assert pressure(limits.begin, limits) == pytest.approx(1.0)


def test_what_is_not_looked_at_presses_never():
    assert pressure(1e9, Range(0.0, 0.0)) == 0.0


def test_nothing_is_known_at_first():
    situation = Graph().signals.situation()
    assert situation.accelerator is None
    assert situation.pressure == 0.0


@pytest.mark.parametrize(('told', 'reason'), [
    (lambda graph: graph.tell(waiting=8, workers=2), '4.0 segments wait for each worker'),
    (lambda graph: graph.signals.on_heat(96.0), 'the hottest sensor has 96 degrees'),
    (lambda graph: graph.signals.on_memory(MemoryReport(
        '', 98, 100, 0, 0.0, Rung.NORMAL, ())), '98% of the memory are used'),
    (lambda graph: (graph.tell(), graph.tell(50, worker=False)), 'no worker for 50 s'),
    (lambda graph: (graph.tell(), graph.tell(done=7, expired=2, foretold=1, rejected=1)),
     '30% of the utterances were too late'),
])
def test_each_signal_presses_and_says_by_how_much(told, reason):
    graph = Graph()
    told(graph)
    situation = graph.signals.situation()
    assert situation.pressure == pytest.approx(2.0)
    assert situation.told == f'{reason}, pressure 2.0'


def test_the_signal_that_presses_most_counts():
    graph = Graph()
    graph.signals.on_heat(100.0)
    assert graph.tell(waiting=4).told == 'the hottest sensor has 100 degrees, pressure 3.0'
    assert graph.tell(waiting=8).told == '8.0 segments wait for each worker, pressure 4.0'


def test_of_few_utterances_no_share_is_told():
    graph = Graph()
    graph.tell()
    assert graph.tell(expired=4).pressure == 0.0
    assert graph.tell(expired=5).pressure > 4.0


def test_what_was_too_late_long_ago_is_forgotten():
    graph = Graph()
    graph.tell()
    assert graph.tell(expired=10).pressure > 4.0
    assert graph.tell(31, expired=10).pressure == 0.0


def test_a_graph_that_rests_or_is_not_heard_is_not_silent():
    graph = Graph()
    graph.tell()
    assert graph.tell(100, worker=False, active=False).pressure == 0.0
    assert graph.tell(25, worker=False).pressure < 1.0
    graph.now += 100.0
    assert graph.signals.situation().pressure == 0.0
    assert graph.tell(worker=False).pressure == 0.0


@pytest.mark.parametrize(('backends', 'answers', 'best'), [
    ({'bpu': CLOSED, 'onnxruntime': CLOSED}, True, 'bpu'),
    ({'bpu': OPEN, 'onnxruntime': CLOSED}, False, 'bpu'),
    ({'bpu': HALF_OPEN, 'onnxruntime': CLOSED}, False, 'bpu'),
    ({'scripted': CLOSED}, True, 'bpu'),
    ({'scripted': OPEN}, True, 'bpu'),
    ({'onnxruntime': CLOSED}, False, 'cpu'),
    ({'onnxruntime': OPEN}, False, 'cpu')])
def test_an_accelerator_answers_as_its_breaker_says(backends, answers, best):
    situation = Graph().has(**backends).tell()
    assert situation.accelerator is answers
    assert situation.best is DegradationLevel[best.upper()]


def test_it_is_told_why_no_accelerator_answers():
    assert Graph().has(bpu=OPEN, onnxruntime=CLOSED).tell().accelerators == 'w: bpu: too hot'
    assert Graph().has(bpu=CLOSED, onnxruntime=CLOSED).tell().accelerators == (
        'w: bpu is trusted')
    assert 'no accelerator is configured' in Graph().has(onnxruntime=CLOSED).tell().accelerators


def test_one_worker_with_an_accelerator_suffices():
    graph = Graph().has('w', bpu=OPEN, onnxruntime=CLOSED).has('v', bpu=CLOSED)
    graph.tell()
    assert graph.signals.situation().accelerator is False
    graph.signals.on_worker(WorkerStatus('v', 1, True, 2, 480_000, bytes(32)))
    assert graph.signals.situation().accelerator is True
    graph.signals.on_worker(WorkerStatus('v', 1, False, 2, 480_000, bytes(32)))
    assert graph.signals.situation().accelerator is False


def test_a_smaller_model_is_seen():
    assert Graph().has(onnxruntime=CLOSED, onnxruntime_small=CLOSED).tell().small
    assert not Graph().has(onnxruntime=CLOSED).tell().small
    assert not Graph().has(onnxruntime=CLOSED, onnxruntime_small=OPEN).tell().small


def test_what_is_configured_stays_known_while_a_worker_is_away():
    graph = Graph().has(onnxruntime=CLOSED, onnxruntime_small=CLOSED)
    graph.tell()
    graph.tell(10, worker=False)
    situation = graph.signals.situation()
    assert situation.accelerator is None
    assert situation.small
    assert situation.best is DegradationLevel.CPU


@pytest.mark.parametrize('name', SIGNALS)
def test_a_signal_that_ends_before_it_begins_is_refused(name):
    limits = {f'level_{name}_begin': 0.5, f'level_{name}_end': 0.5}
    with pytest.raises(ConfigurationError, match=f'level_{name}_end: got 0.5, expected more'):
        DegradationSignals(dataclasses.replace(ManagerParameters(), **limits), lambda: 0.0)
