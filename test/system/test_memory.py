"""A node that really leaks is found, asked to release memory, and restarted alone."""

import json
import sys
import time
from pathlib import Path

import pytest

from xlerobot_asr_interfaces.msg import MemoryReport, ProcessMemory
from xlerobot_asr_opt.cli.process_group import Child, ProcessGroup
from xlerobot_asr_opt.ros import names

DOMAIN = 153
PATIENCE_S = 60.0
NAMESPACE = 'leaky'
LEAKING = str(Path(__file__).with_name('leaking_node.py'))
MANAGER = {
    'nodes': ['cache', 'leaking'], 'memory_period': 0.1, 'memory_window': 10.0,
    'memory_settle': 0.5, 'memory_horizon': 40.0, 'memory_limit': 350.0, 'memory_interval': 30.0,
    'leak_slope': 60.0,
}
"""A leak of 600 MB/min fills what is left within half a minute."""


def child(name, command, directory, parameters):
    path = directory / f'{name}.json'
    path.write_text(json.dumps({'/**': {'ros__parameters': parameters}}))
    return Child(name, (
        sys.executable, *command, '--ros-args', '-r', f'__node:={name}',
        '-r', f'__ns:=/{NAMESPACE}', '--params-file', str(path)))


@pytest.fixture
def graph(tmp_path, monkeypatch):
    monkeypatch.setenv('ROS_DOMAIN_ID', str(DOMAIN))
    monkeypatch.setenv('ROS_LOCALHOST_ONLY', '1')
    monkeypatch.setenv('XDG_STATE_HOME', str(tmp_path / 'state'))
    lines = []
    cache = {'directory': str(tmp_path / 'cache')}
    group = ProcessGroup([
        child('cache', ['-m', 'xlerobot_asr_opt.nodes.cache'], tmp_path, cache),
        child('leaking', [LEAKING], tmp_path, cache),
        child('manager', ['-m', 'xlerobot_asr_opt.nodes.manager'], tmp_path, MANAGER),
    ], lambda name, line: lines.append(f'{name}: {line}'))
    group.start()
    yield group, lines
    group.stop()


@pytest.fixture
def reports(graph):
    """Gives what was reported so far, and works until a condition holds of it."""
    import rclpy

    context = rclpy.Context()
    rclpy.init(context=context, domain_id=DOMAIN)
    node = rclpy.create_node('listener', namespace=NAMESPACE, context=context)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)
    heard = []
    node.create_subscription(MemoryReport, names.MEMORY, heard.append, names.LATCHED_QOS)

    def until(condition):
        deadline = time.monotonic() + PATIENCE_S
        while not condition(heard):
            assert time.monotonic() < deadline, '\n'.join(graph[1])
            executor.spin_once(0.1)
        return heard
    yield until
    executor.shutdown()
    node.destroy_node()
    rclpy.try_shutdown(context=context)


def verdict(report, node):
    return next((one for one in report.processes if one.node == node), ProcessMemory())


def test_a_leaking_node_is_found_released_and_restarted_alone(graph, reports):
    group, lines = graph
    heard = reports(lambda heard: heard and 0 < heard[-1].rung < MemoryReport.RUNG_RESTART
                    and verdict(heard[-1], 'leaking').verdict == ProcessMemory.VERDICT_GROWING)
    before = group.pids
    leak = verdict(heard[-1], 'leaking')
    assert leak.verdict == ProcessMemory.VERDICT_GROWING
    assert 100 < leak.slope_low <= leak.slope <= leak.slope_high
    assert leak.time_to_limit > 0
    assert leak.forecast > leak.uss
    assert not verdict(heard[-1], 'cache').slope_low > MANAGER['leak_slope']

    def restarted(heard):
        return any(step.rung == MemoryReport.RUNG_RESTART for step in heard[-1].steps)
    steps = list(reports(restarted)[-1].steps)
    taken = [step for step in steps if step.taken]
    # An early look may see too steep a slope, and have memory released once more later.
    assert list(dict.fromkeys(step.rung for step in taken)) == [1, 2, 3, 4]
    release, restart = taken[0], taken[-1]
    assert release.before - release.after > 15_000_000
    assert restart.node == 'leaking'
    assert restart.before - restart.after > 50_000_000
    assert 0 < restart.duration < 20
    assert 'leaking leaks, full in' in restart.reason
    after = group.pids
    assert after.pop('leaking') != before.pop('leaking')
    assert after == before
    # It is no failure of the node, and the ladder is left as it was climbed.
    assert not any('attempt 1 of' in line for line in lines)
    reports(lambda heard: any(
        step.rung == MemoryReport.RUNG_RESTART and not step.taken for step in heard[-1].steps))
