"""Whether a node runs on this machine, as its lock tells."""

import os
import subprocess
import sys

import pytest

from xlerobot_asr_opt.ros.instance import lock_path, runs_here

NODE = '/asr/manager'


@pytest.fixture(autouse=True)
def _own_state(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_STATE_HOME', str(tmp_path))
    monkeypatch.setenv('ROS_DOMAIN_ID', '7')


@pytest.fixture
def node():
    """A process with the command line of the manager; it ends with its standard input."""
    with subprocess.Popen(
            [sys.executable, '-c', 'import sys; print(flush=True); sys.stdin.read()',
             '--ros-args', '-r', '__node:=manager'],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process


def test_a_node_that_holds_its_lock_runs(node):
    lock_path(NODE).write_text(f'{node.pid}\n')
    assert runs_here(NODE)


def test_a_node_that_has_ended_does_not(node):
    lock_path(NODE).write_text(f'{node.pid}\n')
    node.communicate()
    assert not runs_here(NODE)


@pytest.mark.parametrize('content', [None, '', f'{os.getpid()}\n'],
                         ids=['no-lock', 'just-made', 'number-of-another'])
def test_a_lock_of_nobody_tells_of_no_node(content):
    if content is not None:
        lock_path(NODE).write_text(content)
    assert not runs_here(NODE)


def test_namespaces_and_domains_have_their_own(node, monkeypatch):
    lock_path(NODE).write_text(f'{node.pid}\n')
    assert not runs_here('/kitchen/manager')
    monkeypatch.setenv('ROS_DOMAIN_ID', '8')
    assert not runs_here(NODE)
