"""The next bottleneck of runs in which it is known."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded_runs import QUICK, latency, run, samples, transcript

from xlerobot_asr_opt import PerformanceIntegrator
from xlerobot_asr_opt.core.critical_path import SERIAL, STAGES, WORK, CriticalPaths
from xlerobot_asr_opt.core.performance_paths import LEAD_MS
from xlerobot_asr_opt.core.performance_records import STAGE_TARGETS, read_targets
from xlerobot_asr_opt.core.remedies import (
    ACCELERATOR,
    CACHE_OFF,
    LOOK_AHEAD,
    RETRIES,
    SECOND_GRAPH,
    STAGE_REMEDIES,
    one_more_worker,
)
from xlerobot_asr_opt.core.run_load import waits
from xlerobot_asr_opt.errors import ConfigurationError
from xlerobot_asr_opt.processes import GraphArguments, process_table
from xlerobot_asr_opt.records import Latency, TranscriptStatus

NAN = float('nan')
BEGUN_AHEAD = 1.0
"""A lead that keeps look-ahead itself out of the ranking [ms]."""


def integrator(*stages, every_ms=1000.0, **given):
    """Of a run with one utterance for each latency."""
    return PerformanceIntegrator(run(
        [transcript(number, stages=one) for number, one in enumerate(stages)], every_ms, **given))


def test_the_targets_of_the_stages_add_up_to_that_of_the_total():
    assert set(STAGE_TARGETS) == {*STAGES, 'total'}
    assert sum(STAGE_TARGETS[name] for name in STAGES) == STAGE_TARGETS['total']


@pytest.mark.parametrize('stage', ['ingest', *[name for name in WORK if name != 'wait']])
def test_the_one_slow_stage_comes_first(stage):
    slow = latency(ahead=BEGUN_AHEAD, **{stage: 80.0})
    first = integrator(*[slow] * 20).identify_optimization_paths()[0]
    gain = 80.0 - STAGE_TARGETS[stage]
    assert first['bottleneck'] == stage
    assert first['kind'] == 'latency'
    assert first['gain_ms'] == pytest.approx(gain)
    assert first['gain_percent'] == pytest.approx(100.0 * gain / slow.total)
    assert first['p95_before_ms'] == pytest.approx(slow.total)
    assert first['p95_after_ms'] == pytest.approx(slow.total - gain)
    limit = 80.0 if stage in SERIAL else min(80.0, slow.total - 0.8)
    assert first['limit_ms'] == pytest.approx(limit)


def test_two_slow_stages_are_ranked_by_what_each_brings():
    paths = integrator(*[latency(ahead=1.0, decode=60.0, ingest=90.0)] * 5)
    assert [one['bottleneck'] for one in paths.identify_optimization_paths()[:2]] == [
        'ingest', 'decode']


def test_what_was_over_before_the_endpoint_is_no_bottleneck():
    """The encoder is by far the slowest stage, but nobody waits for it."""
    ahead = latency(ahead=300.0, encode=250.0, cache=4.0)
    found = integrator(*[ahead] * 10)
    gaps = found.analyze_performance_gaps()['stages']
    assert gaps['encode']['gap'] == pytest.approx(230.0)
    assert gaps['encode']['after'] == 0.0
    assert gaps['cache']['after'] == pytest.approx(4.0)
    told = found.identify_optimization_paths()
    assert told[0]['bottleneck'] == 'cache lookup'
    assert told[1]['bottleneck'] == 'cache'
    assert 'encode' not in [one['bottleneck'] for one in told]


def test_half_ahead_counts_half():
    half = latency(ahead=100.0, encode=150.0)
    work = sum(QUICK[name] for name in WORK) - QUICK['encode'] + 150.0
    encode = next(one for one in integrator(half, half).identify_optimization_paths()
                  if one['bottleneck'] == 'encode')
    # Of the work, so much follows the endpoint, and the encoder cannot save more than that.
    assert encode['gain_ms'] == pytest.approx(min(130.0, work - 100.0))


def test_recomputation_is_exact():
    """Totals recomputed with other stages are those of a run that had these stages."""
    rng = np.random.default_rng(7)

    def draw():
        return {name: float(rng.exponential(20.0)) for name in (*SERIAL, *WORK)}
    drawn, leads = [draw() for _ in range(50)], rng.uniform(0.0, 120.0, 50)
    measured = CriticalPaths([latency(ahead=lead, other=2.0, **stages)
                              for stages, lead in zip(drawn, leads, strict=True)])
    for name in (*SERIAL, *WORK):
        faster = [latency(ahead=lead, other=2.0, **{**stages, name: min(stages[name], 5.0)})
                  for stages, lead in zip(drawn, leads, strict=True)]
        np.testing.assert_allclose(
            measured.capped({name: 5.0}), [one.total for one in faster], atol=1e-9)
    np.testing.assert_allclose(measured.totals({}), measured.total, atol=1e-9)
    np.testing.assert_allclose(measured.stages['other'], 2.0, atol=1e-9)


def test_stages_that_add_up_to_more_than_the_total_gain_no_more_than_it():
    measured = CriticalPaths([Latency(ingest=1.0, encode=30.0, total=20.0)])
    assert measured.stages['other'] == 0.0
    np.testing.assert_allclose(measured.capped({'encode': 25.0}), 15.0)
    np.testing.assert_allclose(measured.capped({'encode': 0.0}), 0.0)


def test_a_transcript_that_was_held_back():
    first = integrator(*[latency(ahead=1.0, other=400.0)] * 3).identify_optimization_paths()[0]
    assert (first['bottleneck'], first['parameters']) == ('other', ['scheduler.order_timeout=1.0'])
    assert first['gain_ms'] == pytest.approx(399.0)


def test_look_ahead_brings_what_fits_into_the_pause():
    off = integrator(*[latency(encode=100.0)] * 4).identify_optimization_paths()[0]
    work = sum(QUICK[name] for name in WORK) - QUICK['encode'] + 100.0
    assert (off['bottleneck'], off['parameters']) == ('endpoint', ['scheduler.look_ahead=true'])
    assert off['gain_ms'] == pytest.approx(work)
    long = integrator(*[latency(encode=1000.0)] * 4).identify_optimization_paths()
    assert next(one for one in long if one['bottleneck'] == 'endpoint')['gain_ms'] == (
        pytest.approx(LEAD_MS))


def test_look_ahead_brings_nothing_where_no_worker_was_idle():
    told = integrator(*[latency(queue=50.0)] * 4).identify_optimization_paths()
    assert 'endpoint' not in [one['bottleneck'] for one in told]


def test_a_cache_that_answers_is_kept():
    own = [latency(ahead=1.0, cache=1.0)] * 2
    hit = Latency(ingest=0.5, cache=1.0, total=1.5)
    never = integrator(*own).identify_optimization_paths()
    assert next(one for one in never if one['bottleneck'] == 'cache lookup')['gain_ms'] == (
        pytest.approx(1.0))
    transcripts = [transcript(number, stages=one, cache=level) for number, (one, level)
                   in enumerate([(own[0], 'none'), (own[1], 'none'), (hit, 'l1'), (hit, 'l3')])]
    often = PerformanceIntegrator(run(transcripts)).identify_optimization_paths()
    assert 'cache lookup' not in [one['bottleneck'] for one in often]


def test_what_brings_less_than_a_hundredth_is_not_told():
    told = integrator(*[latency(ahead=1.0, cache=0.0, encode=500.0)] * 4, every_ms=10_000.0)
    assert [one['bottleneck'] for one in told.identify_optimization_paths()] == [
        'encode', 'decode']


def test_a_resource_with_room_to_spare_bounds_nothing():
    recorded = run([transcript(number, stages=latency(ahead=1.0)) for number in range(5)],
                   resources=samples(ingest=0.2, inference_0=0.1), processors=2)
    told = PerformanceIntegrator(recorded).identify_optimization_paths()
    assert 'capacity' not in {one['kind'] for one in told}


def test_repeated_grants():
    once, again = latency(ahead=1.0), latency(ahead=1.0, queue=10_000.0)
    transcripts = [transcript(number, stages=again if number == 2 else once,
                              attempts=1 + (number == 2)) for number in range(4)]
    told = PerformanceIntegrator(transcripts).identify_optimization_paths()
    assert told[0]['bottleneck'] == 'grants repeated'
    assert told[0]['gain_ms'] == pytest.approx((10_000.0 - QUICK['queue']) / 4)


def test_a_worker_that_is_always_busy_is_the_bound():
    """Two streams whose utterances end together: one of each pair waits for the other."""
    work = {'features': 2.0, 'encode': 300.0, 'decode': 98.0}
    stages = [latency(ahead=1.0, queue=400.0 * (number % 2), **work) for number in range(20)]
    transcripts = [transcript(number, stages=one) for number, one in enumerate(stages)]
    recorded = run(transcripts, resources=samples(inference_0=0.9, ingest=0.1), processors=4)
    pairs = [one.__class__(one.transcript, one.published_ns - (number % 2) * 950_000_000
                           - (number // 2) * 1_000_000_000 - (number % 2) * 50_000_000)
             for number, one in enumerate(recorded.utterances)]
    found = PerformanceIntegrator(recorded.__class__(
        tuple(pairs), recorded.resources, recorded.processors))
    told = found.identify_optimization_paths()
    assert told[0]['bottleneck'] == 'workers (capacity)'
    assert told[0]['arguments'] == {'processes': '2'}
    assert told[0]['pressing']
    used = found.load.used
    assert used['machine'] == pytest.approx(0.25)
    assert told[0]['capacity_percent'] == pytest.approx(100.0)
    waiting = next(one for one in told if one['bottleneck'] == 'waiting')
    # With two workers nobody waits: the mean of 0 and 400 ms is saved.
    assert waiting['gain_ms'] == pytest.approx(200.0, abs=0.5)


def test_a_single_node_can_be_the_bound():
    recorded = run([transcript(number, stages=latency(ahead=1.0)) for number in range(5)],
                   resources=samples(ingest=0.95, inference_0=0.3), processors=2)
    first = PerformanceIntegrator(recorded).identify_optimization_paths()[0]
    assert (first['kind'], first['bottleneck']) == ('capacity', 'ingest cores (capacity)')
    # The machine is the next bound: 0.95 of a core before, 1.25 of two cores then.
    assert first['capacity_percent'] == pytest.approx(100.0 * (0.95 / 0.625 - 1.0))


def test_the_machine_can_be_the_bound():
    recorded = run([transcript(number, stages=latency(ahead=1.0)) for number in range(5)],
                   resources=samples(ingest=0.2, inference_0=1.6), processors=2)
    first = PerformanceIntegrator(recorded).identify_optimization_paths()[0]
    assert first['bottleneck'] == 'machine (capacity)'
    assert first['parameters'] == ['inference.backends=bpu,onnxruntime']


def test_little_and_utilisation():
    found = integrator(*[latency(ahead=1.0)] * 11, every_ms=100.0)
    load = found.analyze_performance_gaps()['load']
    total = latency(ahead=1.0).total
    assert load['window_s'] == pytest.approx(1.0 + total / 1e3, abs=1e-6)
    assert load['rate'] == pytest.approx(11 / load['window_s'])
    assert load['in_system'] == pytest.approx(load['rate'] * total / 1e3)
    assert load['used']['workers'] == pytest.approx(11 * 0.02 / load['window_s'])


def test_waits_are_those_of_one_line():
    arrivals, service = np.array([0.0, 0.1, 0.2, 5.0]), np.array([1.0, 1.0, 0.0, 1.0])
    np.testing.assert_allclose(waits(arrivals, service, 1), [0.0, 0.9, 0.0, 0.0])
    np.testing.assert_allclose(waits(arrivals, service, 2), 0.0)
    shuffled = [2, 0, 3, 1]
    np.testing.assert_allclose(
        waits(arrivals[shuffled], service[shuffled], 1), [0.0, 0.0, 0.0, 0.9])


jobs = st.lists(st.tuples(st.floats(0.0, 50.0), st.floats(0.0, 5.0)), min_size=1, max_size=30)


@given(jobs, st.integers(1, 4))
def test_one_more_worker_never_makes_anybody_wait_longer(drawn, workers):
    arrivals, service = np.array(drawn).T
    few, more = waits(arrivals, service, workers), waits(arrivals, service, workers + 1)
    assert np.all(more <= few + 1e-9)
    assert np.all(more >= 0.0)
    assert not waits(arrivals, service, len(drawn)).any()
    # Work is neither lost nor done twice: no more runs at a time than there are workers.
    begins = (arrivals + few)[service > 0]
    ends = begins + service[service > 0]
    running = [np.count_nonzero((begins <= at) & (ends > at + 1e-9)) for at in begins]
    assert max(running, default=0) <= workers


@given(st.lists(st.fixed_dictionaries(
    {name: st.floats(0.0, 1e4) for name in ('ingest', 'queue', 'transport', 'encode', 'ahead')}),
    min_size=1, max_size=8))
def test_a_remedy_never_promises_more_than_there_is(drawn):
    found = integrator(*[latency(**one) for one in drawn])
    mean = float(np.mean(found.paths.total))
    for path in found.identify_optimization_paths():
        assert path['gain_ms'] <= path['limit_ms'] + 1e-6 * mean
        assert path['limit_ms'] <= mean * (1.0 + 1e-9)
        assert path['p95_after_ms'] <= path['p95_before_ms'] + 1e-6 * mean


def test_an_empty_run():
    found = PerformanceIntegrator([])
    gaps = found.analyze_performance_gaps()
    assert gaps['outcomes']['count'] == 0
    assert gaps['stages']['total'] == {
        'target': 50.0, 'unit': 'ms', 'count': 0, 'p50': None, 'p90': None, 'p95': None,
        'p99': None, 'max': None, 'gap': None, 'after': None}
    assert gaps['load']['window_s'] == 0.0
    assert found.identify_optimization_paths() == []


def test_one_transcript():
    found = PerformanceIntegrator([transcript(stages=latency(ahead=1.0, decode=70.0))])
    row = found.analyze_performance_gaps()['stages']['decode']
    assert [row[name] for name in ('count', 'p50', 'p99', 'max')] == [1, 70.0, 70.0, 70.0]
    assert found.identify_optimization_paths()[0]['bottleneck'] == 'decode'


@pytest.mark.parametrize('wrong', [NAN, math.inf, -1.0])
def test_what_is_no_duration_is_counted_and_left_out(wrong):
    found = PerformanceIntegrator([
        transcript(0, stages=latency()), transcript(1, stages=Latency(encode=wrong, total=5.0))])
    gaps = found.analyze_performance_gaps()
    assert gaps['outcomes']['unusable'] == 1
    assert gaps['stages']['total']['count'] == 1
    assert np.isfinite(found.identify_optimization_paths()[0]['gain_ms'])


def test_those_without_an_answer_are_counted_and_left_out():
    statuses = [*TranscriptStatus, TranscriptStatus.REJECTED]
    found = PerformanceIntegrator([transcript(number, status)
                                   for number, status in enumerate(statuses)])
    gaps = found.analyze_performance_gaps()
    outcomes = gaps['outcomes']
    assert (outcomes['done'], outcomes['no_speech'], outcomes['rejected'], outcomes['expired'],
            outcomes['cancelled'], outcomes['count']) == (1, 1, 2, 1, 1, 6)
    assert outcomes['unusable'] == 0
    assert gaps['stages']['total']['count'] == 2


def test_resources_have_rows():
    recorded = run([transcript(number) for number in range(3)],
                   resources=samples(ingest=0.9, inference_0=1.0), processors=2)
    rows = PerformanceIntegrator(recorded).analyze_performance_gaps()['resources']
    assert rows['ingest cores']['gap'] == pytest.approx(0.2)
    assert rows['all cores']['p95'] == pytest.approx(1.9)
    assert rows['all cores']['gap'] == pytest.approx(1.9 - 1.6)
    assert rows['all PSS']['max'] == pytest.approx(200.0)
    assert rows['inference_0 busy']['unit'] == 'share'


@pytest.mark.parametrize('remedy', [
    *itertools.chain(*STAGE_REMEDIES.values()), LOOK_AHEAD, CACHE_OFF, RETRIES, ACCELERATOR,
    SECOND_GRAPH, one_more_worker(1)], ids=lambda remedy: remedy.command)
def test_every_remedy_is_a_graph_that_can_be_started(remedy):
    arguments = {name: int(value) if name == 'processes' else value
                 for name, value in remedy.arguments.items()}
    assert remedy.parameters or arguments
    assert process_table(GraphArguments(**arguments, parameters=remedy.parameters))


def test_targets_are_read():
    assert read_targets(['encode=5', 'total=20.5'])['encode'] == 5.0
    assert read_targets([]) == dict(STAGE_TARGETS)


@pytest.mark.parametrize(('text', 'said'), [
    ('encod=5', 'no stage encod; known: ingest'), ('encode=fast', "got 'fast', expected millis"),
    ('encode=-1', "got '-1', expected"), ('encode=nan', 'expected milliseconds'),
    ('encode', "got '', expected")])
def test_targets_that_are_none(text, said):
    with pytest.raises(ConfigurationError, match=said):
        read_targets([text])


def test_a_stage_without_a_target():
    with pytest.raises(ConfigurationError, match='no target for cache, decode'):
        PerformanceIntegrator([], {name: 1.0 for name in STAGE_TARGETS
                                   if name not in ('cache', 'decode')})
