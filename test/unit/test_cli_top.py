"""The live view: what a frame holds, and how it is drawn."""

import json
import time

import pytest
from monitored_world import NODES, MonitoredWorld
from rich.console import Console

from xlerobot_asr_opt.cli.top import frame, view
from xlerobot_asr_opt.core.monitor.judgement import Judgement, Level
from xlerobot_asr_opt.records import StreamState, StreamStatus


@pytest.fixture
def world(monkeypatch):
    world = MonitoredWorld(nodes=())
    monkeypatch.setattr(time, 'monotonic', lambda: world.now)
    return world


def drawn(told):
    console = Console(width=200, record=True)
    with console.capture() as captured:
        console.print(view(told))
    return captured.get()


def test_a_frame_is_json_and_has_the_numbers(world):
    world.live(30)
    told = json.loads(json.dumps(frame('/asr', world.monitor, {}), allow_nan=False))
    assert told['judged_by'] == 'defaults'
    assert {one['name']: one['level'] for one in told['judgements']} == dict.fromkeys(
        ('nodes', 'audio', 'latency', 'losses', 'backends', 'memory', 'cache', 'level'), 'OK')
    assert told['level'] == {
        'level': 'bpu', 'best': 'bpu', 'pressure': 0.0, 'forced': 'no'}
    assert {one['node']: one['pss_bytes'] for one in told['nodes']} == dict.fromkeys(
        NODES, 70_000_000)
    assert told['requests']['done'] == 60
    assert told['latency']['p95 [s]'] == 0.3
    assert told['streams'] == [{
        'stream': 'hall', 'state': 'speech', 'level_dbfs': -20.0, 'rate': 1.0, 'missing': 0,
        'segments': 30, 'kept': 2, 'dropped': 0}]


def test_what_the_manager_thinks_goes_before_the_defaults(world):
    world.live(10)
    told = frame('/asr', world.monitor, {
        'latency': Judgement('latency', Level.WARN, 'too slow for this robot', {'p95 [s]': 9.5})})
    assert told['latency'] == {'p95 [s]': 9.5}
    assert told['judged_by'] == 'manager'
    text = drawn(told)
    assert 'too slow for this robot' in text
    assert 'judged by the defaults' not in text


def test_a_node_that_is_missed_is_shown_as_the_manager_sees_it(world):
    world.live(10)
    told = frame('/asr', world.monitor, {'nodes': Judgement(
        'nodes', Level.ERROR, '', {'inference_1': 'not heard yet', 'cache': 'inactive'})})
    assert {one['node']: one['state'] for one in told['nodes']} == {
        **dict.fromkeys(NODES, 'active'), 'inference_1': 'not heard yet'}


def test_a_graph_that_was_not_heard_can_be_drawn(world):
    text = drawn(frame('/asr', world.monitor, {}))
    assert 'the scheduler was never heard' in text
    assert 'judged by the defaults' in text


def test_names_are_shown_as_they_are_and_many_streams_as_a_number(world):
    for index in range(25):
        world.monitor.on_stream(StreamStatus(f'[red]{index:02}', StreamState.SILENCE))
    text = drawn(frame('/asr', world.monitor, {}))
    assert '[red]00' in text
    assert '[red]20' not in text
    assert 'and 5 more streams' in text
