"""Processor time and memory of real processes that look like nodes."""

import os
import subprocess
import sys
import threading
import time

import pytest

from xlerobot_asr_opt.cli.node_samples import NodeSampler, find_nodes, sampling


@pytest.fixture
def node(monkeypatch):
    """A process that looks like a node of /perf_samples and does nothing."""
    monkeypatch.setenv('ROS_DOMAIN_ID', '163')
    process = subprocess.Popen(
        [sys.executable, '-c', 'input()', '--ros-args', '-r', '__node:=ear', '-r',
         '__ns:=/perf_samples'], stdin=subprocess.PIPE)
    yield process
    if process.poll() is None:
        process.communicate(b'\n')


def test_nodes_are_found_by_namespace_and_domain(node, monkeypatch):
    deadline = time.monotonic() + 10.0
    # Until the interpreter runs, the process is still a copy of this one.
    while not find_nodes('perf_samples') and time.monotonic() < deadline:
        time.sleep(0.01)
    assert find_nodes('/perf_samples/') == {'ear': node.pid}
    assert find_nodes('perf') == {}
    monkeypatch.setenv('ROS_DOMAIN_ID', '164')
    assert find_nodes('perf_samples') == {}


def test_what_a_process_uses_is_sampled():
    sampler = NodeSampler(lambda: {'me': os.getpid(), 'gone': 2 ** 22 + 1})
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    sampler.sample()
    (one,) = sampler.samples
    assert one.node == 'me'
    assert 0.0 < one.cores < 64.0
    assert 1.0 < one.pss_mb < 10_000.0


def test_a_node_that_is_started_again_is_sampled_again(node):
    pids = {'ear': node.pid}
    sampler = NodeSampler(lambda: pids)
    node.communicate(b'\n')
    sampler.sample()
    assert sampler.samples == []
    # Another process has the node by now; the time that it used before is not of this interval.
    pids['ear'] = os.getpid()
    sampler.sample()
    sampler.sample()
    (one,) = sampler.samples
    assert one.node == 'ear'
    assert one.cores < 64.0


def test_a_thread_samples_until_the_block_ends():
    with sampling(lambda: {'me': os.getpid()}) as samples:
        deadline = time.monotonic() + 20.0
        while not samples and time.monotonic() < deadline:
            time.sleep(0.01)
    assert samples
    assert not any(thread.name == 'samples the nodes' for thread in threading.enumerate())
