"""What the monitor says of a graph, and what it counts."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from monitored_world import HITS, NODES, MonitoredWorld

from xlerobot_asr_opt.core.monitor.catalog import METRICS
from xlerobot_asr_opt.core.monitor.judgement import Level, Window, percentile
from xlerobot_asr_opt.core.monitor.metrics import BUCKETS_S, Kind, Metric, Metrics, Odometers
from xlerobot_asr_opt.core.monitor.streams import OTHERS
from xlerobot_asr_opt.records import (
    Degradation,
    DegradationLevel,
    StreamState,
    StreamStatus,
)

SIDES = ['nodes', 'audio', 'latency', 'losses', 'backends', 'memory', 'cache', 'level']

_, CPU, _, FINALS, COMMANDS, _ = DegradationLevel


def levels(judgements):
    return {name: judgement.level for name, judgement in judgements.items()}


def test_a_healthy_graph_is_ok_on_every_side():
    judged = MonitoredWorld(hit_rate_warn=0.5).live(30)
    assert levels(judged) == dict.fromkeys(SIDES, Level.OK)
    assert judged['latency'].message == '95 % of 30 transcripts came within 0.300 s'
    assert judged['audio'].message == '1 open, each at its pace'


def test_a_broken_graph_is_told_of_with_numbers():
    judged = MonitoredWorld(broken=True, hit_rate_warn=0.5).live(30)
    assert levels(judged) == {
        'nodes': Level.WARN, 'audio': Level.ERROR, 'latency': Level.ERROR, 'losses': Level.ERROR,
        'backends': Level.ERROR, 'memory': Level.ERROR, 'cache': Level.WARN,
        'level': Level.ERROR}
    said = {name: judgement.message for name, judgement in judged.items()}
    assert said['nodes'] == 'cache is inactive'
    assert 'hall: 0.40 s of audio a second (4.0 chunks), expected 0.5' in said['audio']
    assert 'porch: its source broke' in said['audio']
    assert said['latency'] == '95 % of 30 transcripts came within 7.000 s, expected 5 s'
    assert '87 of 87 utterances got no transcript (rejected 29, expired 29, dropped 29)' in (
        said['losses'])
    assert 'inference_0: bpu is open: no answer within 5 s' in said['backends']
    assert '950 of 1000 MB of memory_limit are used, 95 %; refuse is in force' in said['memory']
    assert 'lookups found something: 1.0 %, expected 50 %' in said['cache']
    assert said['level'] == 'refuse: 95% of the memory are used'


def test_nothing_heard_is_stale_or_missing():
    judged = MonitoredWorld()
    judged.silent = {'stream', 'scheduler', 'transcript', 'beat', 'worker', 'backends', 'memory',
                     'cache', 'level'}
    assert levels(judged.live(1))['nodes'] is Level.WARN
    assert levels(judged.live(10)) == {
        'nodes': Level.ERROR, 'audio': Level.OK, 'latency': Level.OK, 'losses': Level.STALE,
        'backends': Level.STALE, 'memory': Level.STALE, 'cache': Level.STALE,
        'level': Level.STALE}


@pytest.mark.parametrize(('told', 'level'), [
    (Degradation(CPU, best=CPU), Level.OK), (Degradation(CPU), Level.WARN),
    (Degradation(CPU, best=CPU, forced=True), Level.WARN), (Degradation(FINALS), Level.WARN),
    (Degradation(COMMANDS), Level.ERROR)])
def test_a_level_is_judged_by_the_best_that_there_can_be(told, level):
    world = MonitoredWorld()
    world.silent = {'level'}
    world.monitor.on_level(told)
    judged = world.live(1)['level']
    assert judged.level is level
    assert judged.values['level'] == told.level.word
    assert world.families()['asr_degradation_level'] == {(): int(told.level)}
    assert world.live(10)['level'].level is Level.STALE
    assert world.families()['asr_degradation_level'] == {}


def test_a_level_that_is_not_decided_is_no_fault():
    assert MonitoredWorld(level_period=0.0).live(1)['level'].level is Level.OK


def test_an_error_is_graver_than_what_is_not_known():
    world = MonitoredWorld(broken=True)
    world.monitor.on_stream(StreamStatus('gate', StreamState.SILENCE))
    audio = world.live(10)['audio']
    assert audio.level is Level.ERROR
    assert 'gate' not in audio.message
    world.silent = {'stream'}
    world.monitor.on_stream(StreamStatus('porch', StreamState.ENDED))
    audio = world.live(10)['audio']
    assert audio.level is Level.STALE
    assert 'gate: ingest has not told of it for 20 s' in audio.message


@pytest.mark.parametrize(('kind', 'side', 'level'), [
    ('stream', 'audio', Level.STALE), ('scheduler', 'losses', Level.STALE),
    ('beat', 'nodes', Level.ERROR), ('worker', 'backends', Level.STALE),
    ('memory', 'memory', Level.STALE), ('cache', 'cache', Level.STALE)])
def test_what_falls_silent_is_noticed(kind, side, level):
    world = MonitoredWorld()
    assert world.live(10)[side].level is Level.OK
    world.silent = {kind}
    judged = world.live(40)
    assert {name for name, one in judged.items() if one.level} == {side}
    assert judged[side].level is level
    world.silent = set()
    assert world.live(15)[side].level is Level.OK


@pytest.mark.parametrize(('parameters', 'side', 'level'), [
    ({'latency_warn': 0.2}, 'latency', Level.WARN),
    ({'latency_warn': 0.2, 'latency_error': 0.25}, 'latency', Level.ERROR),
    ({'memory_release': 0.25}, 'memory', Level.WARN),
    ({'memory_refuse': 0.25}, 'memory', Level.ERROR),
    ({'nodes': (*NODES, 'inference_1')}, 'nodes', Level.ERROR)])
def test_thresholds_are_parameters(parameters, side, level):
    judged = MonitoredWorld(**parameters).live(30)
    assert {name: one.level for name, one in judged.items() if one.level} == {side: level}


def test_old_losses_are_forgotten():
    world = MonitoredWorld(broken=True, monitor_window=20.0)
    assert world.live(30)['losses'].level is Level.ERROR
    world.broken = False
    world.seconds += 100
    assert world.live(40)['losses'].level is Level.OK


def test_one_breaker_of_two_is_a_warning():
    world = MonitoredWorld()
    judged = world.live(3)
    assert judged['backends'].values == {
        'inference_0 bpu': 'closed', 'inference_0 onnxruntime': 'closed'}
    world.backends()
    reports = world.monitor.nodes._backends['inference_0']
    world.broken = True
    world.backends()
    world.monitor.on_backends(
        'inference_0', [reports[0], world.monitor.nodes._backends['inference_0'][1]])
    judged = {one.name: one for one in world.monitor.judge()}
    assert judged['backends'].level is Level.WARN
    assert judged['backends'].message == 'inference_0: onnxruntime is open: no answer within 5 s'


def test_every_metric_has_a_value_in_a_graph_that_works():
    world = MonitoredWorld()
    world.live(5)
    families = world.families()
    assert list(families) == [metric.name for metric in METRICS]
    assert [name for name, series in families.items() if not series] == []


def test_counters_follow_the_graph_over_a_restart_of_its_processes():
    world = MonitoredWorld()
    world.live(10)
    world.seconds = 0
    world.live(5)
    families = world.families()
    assert families['asr_requests_total'][('success',)] == 2 * 15
    assert families['asr_stream_chunks_total'][('hall',)] == 10 * 15
    assert families['asr_cache_hits_total'][('l1',)] == HITS * 15
    assert families['asr_backend_answers_total'][('inference_0', 'bpu', 'good')] == 15


def test_a_new_process_of_a_node_counts_as_a_restart():
    world = MonitoredWorld(broken=True)
    world.live(16)
    assert world.families()['asr_node_restarts_total'][('cache',)] == 3
    assert world.families()['asr_node_restarts_total'][('ingest',)] == 0


def test_histograms_hold_seconds():
    world = MonitoredWorld()
    world.live(4)
    total = world.families()['asr_request_duration_seconds'][()]
    assert total.counts[BUCKETS_S.index(0.5)] == sum(total.counts) == 4
    assert total.total == pytest.approx(1.2)


def test_streams_beyond_the_limit_share_one_label():
    world = MonitoredWorld(monitor_streams=2)
    for index in range(1000):
        world.monitor.on_stream(StreamStatus(f's{index}', StreamState.SILENCE, chunks=1))
    families = world.families()
    assert families['asr_stream_chunks_total'] == {('s0',): 1, ('s1',): 1, (OTHERS,): 998}
    assert set(families['asr_stream_level_dbfs']) == {('s0',), ('s1',)}
    assert families['asr_streams'][('silence',)] == 1000


def test_a_message_names_few_of_many_slow_streams():
    world = MonitoredWorld()
    for second in range(10):
        world.now += 1.0
        for index in range(50):
            world.monitor.on_stream(StreamStatus(
                f's{index:02}', StreamState.SILENCE, position_s=0.1 * second))
    audio = next(one for one in world.monitor.judge() if one.name == 'audio')
    assert audio.level is Level.ERROR
    assert audio.message.count('expected') == 3
    assert audio.message.endswith('and 47 more streams')


def test_a_stream_that_stops_is_a_pause_and_slow_neither_before_nor_after():
    world = MonitoredWorld()
    told, position = [], 0.0
    # The publisher stops in mid-second, and begins again in mid-second.
    for added in (*[1.0] * 12, 0.3, *[0.0] * 12, 0.4, *[1.0] * 12):
        position += added
        world.now += 1.0
        world.monitor.on_stream(StreamStatus('hall', StreamState.SILENCE, position_s=position))
        told.append(next(one for one in world.monitor.judge() if one.name == 'audio'))
    assert [one.level for one in told] == [
        *[Level.OK] * 15, *[Level.WARN] * 10, *[Level.OK] * 13]
    assert told[24].message == 'hall: no audio for 12 s'


def test_a_stream_that_may_pause():
    world = MonitoredWorld(audio_warn=0.0)
    world.stream()
    for _ in range(20):
        world.now += 1.0
        world.stream()
    assert world.monitor.judge()[1].level is Level.OK


def test_what_was_not_heard_of_for_long_is_forgotten():
    world = MonitoredWorld()
    world.live(5)
    world.silent = {'stream'}
    world.live(70)
    assert world.families()['asr_streams'][('speech',)] == 0
    assert world.monitor.streams.statuses(world.now) == []


@given(st.lists(st.text(), max_size=40), st.integers(0, 10))
def test_a_metric_never_has_more_series_than_it_may(labels, limit):
    metrics = Metrics((Metric('a_total', Kind.COUNTER, 'a', ('of',)),
                       Metric('b', Kind.GAUGE, 'b', ('of',)),
                       Metric('c', Kind.HISTOGRAM, 'c', ('of',))), limit)
    for label in labels:
        metrics.add('a_total', 1, label)
        metrics.observe('c', 0.1, label)
    metrics.replace('b', {(label,): 1.0 for label in labels})
    different = len(set(labels))
    for family in metrics.families():
        assert len(family.series) == min(different, limit)
    assert (metrics.refused > 0) == (different > limit)


@pytest.mark.parametrize(('readings', 'total'), [
    ([], 0), ([7], 7), ([7, 7, 9], 9), ([7, 9, 0, 2], 11), ([7, 3, 1], 11)])
def test_odometers_add_up_over_restarts(readings, total):
    odometers = Odometers()
    assert sum(odometers.advance('one', (float(reading),))[0] for reading in readings) == total


def test_a_window_forgets_and_stays_small():
    window = Window(10.0)
    for tick in range(100_000):
        window.add(tick / 1000, (tick,))
    seconds, (added,) = window.change()
    assert 10.0 <= seconds < 10.2
    assert added == pytest.approx(1000 * seconds)
    assert len(window._samples) < 200


def test_percentile():
    assert math.isnan(percentile([], 0.95))
    assert percentile([3.0], 0.95) == 3.0
    assert percentile(list(map(float, range(1, 101))), 0.95) == 95.0
