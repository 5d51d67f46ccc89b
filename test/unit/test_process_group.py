"""Processes that are kept running, and ended without a trace; the children are small shells."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from xlerobot_asr_opt.cli import process_group
from xlerobot_asr_opt.cli.process_group import Child, ProcessGroup

PATIENCE_S = 10.0


class Output:
    """Takes the lines of all children, and lets a test wait for one."""

    def __init__(self):
        self.lines = []
        self._came = threading.Condition()

    def __call__(self, name, line):
        with self._came:
            self.lines.append((name, line))
            self._came.notify_all()

    def wait_for(self, name, line, times=1):
        with self._came:
            assert self._came.wait_for(
                lambda: self.lines.count((name, line)) >= times, PATIENCE_S), self.lines


@pytest.fixture
def output():
    return Output()


@pytest.fixture
def run(output):
    """Starts a group of children, and ends it with the test."""
    groups = []

    def run(*children):
        group = ProcessGroup(children, output)
        groups.append(group)
        group.start()
        return group

    yield run
    for group in groups:
        group.stop()


def shell(name, script, **more):
    return Child(name, ('sh', '-c', script), respawn_delay=0.01, **more)


LIVES = 'echo ready; exec sleep 60'
DEAF = 'trap "" INT TERM; echo ready; while :; do sleep 0.1; done'


def test_output_goes_by_the_name_of_the_child(run, output):
    run(shell('a', 'echo one; echo two >&2; exec sleep 60'))
    output.wait_for('a', 'one')
    output.wait_for('a', 'two')


def test_a_child_has_its_own_variables_beside_the_common_ones(run, output, monkeypatch):
    monkeypatch.setenv('COMMON', 'all')
    run(shell('a', 'echo $COMMON $OWN; exec sleep 60', environment={'OWN': 'mine'}))
    output.wait_for('a', 'all mine')


def test_what_is_killed_is_started_again_and_the_others_go_on(run, output):
    group = run(shell('a', LIVES), shell('b', LIVES))
    output.wait_for('a', 'ready')
    output.wait_for('b', 'ready')
    before = group.pids
    os.kill(before['a'], signal.SIGKILL)
    output.wait_for('a', 'ready', times=2)
    after = group.pids
    assert after['a'] != before['a']
    assert after['b'] == before['b']


def test_a_clean_end_is_an_end_too(run, output):
    run(shell('a', 'echo ready; exit 0'))
    output.wait_for('a', 'ready', times=2)


def test_a_child_that_cannot_run_as_told_is_left_alone(run):
    group = run(shell('a', 'echo wrong; exit 2'))
    assert group.wait(PATIENCE_S)
    assert group.refused == ('a',)
    assert group.given_up == {'a': 'ended with status 2 and is not started again'}
    assert group.tail('a') == ['wrong']
    assert group.pids == {}


def test_a_child_that_keeps_failing_is_given_up(run):
    group = run(shell('a', 'echo again; exit 1'))
    assert group.wait(PATIENCE_S)
    assert group.refused == ()
    assert group.tail('a').count('again') == 6


def test_a_program_that_is_not_there_is_reported(run):
    group = run(Child('a', ('/nonesuch',)))
    assert group.wait(PATIENCE_S)
    assert 'cannot be started' in group.given_up['a']


def test_stages_end_one_after_the_other(run, output):
    said = 'trap "echo bye; exit" INT; echo ready; while :; do sleep 0.02; done'
    group = run(shell('c', said, stop_stage=2), shell('a', said, stop_stage=0),
                shell('b', said, stop_stage=1))
    for name in 'abc':
        output.wait_for(name, 'ready')
    group.stop()
    assert [name for name, line in output.lines if line == 'bye'] == ['a', 'b', 'c']


def test_stop_also_ends_the_deaf_and_starts_nothing_again(run, output, monkeypatch):
    monkeypatch.setattr(process_group, 'STAGE_S', 0.05)
    monkeypatch.setattr(process_group, 'TERMINATE_S', 0.1)
    monkeypatch.setattr(process_group, 'KILL_S', 0.2)
    group = run(shell('a', DEAF))
    output.wait_for('a', 'ready')
    pid = group.pids['a']
    group.stop()
    assert group.pids == {}
    assert not Path(f'/proc/{pid}').exists()


def test_stop_while_a_child_waits_for_its_next_start(run, output):
    group = run(Child('a', ('sh', '-c', 'echo ready; exit 1'), respawn_delay=60.0))
    output.wait_for('a', 'ready')
    group.stop()
    assert group.wait(0.0)


def test_children_do_not_outlive_a_killed_parent(tmp_path):
    script = tmp_path / 'parent.py'
    script.write_text(
        'import time\n'
        'from xlerobot_asr_opt.cli.process_group import Child, ProcessGroup\n'
        f'child = Child("a", ("sh", "-c", {DEAF.replace("echo ready", "echo $$")!r}))\n'
        'ProcessGroup([child], lambda _, line: print(line, flush=True)).start()\n'
        'time.sleep(60)\n')
    with subprocess.Popen(
            [sys.executable, script], stdout=subprocess.PIPE, text=True) as parent:
        child = Path(f'/proc/{int(parent.stdout.readline())}')
        assert child.exists()
        parent.kill()
    until = time.monotonic() + PATIENCE_S
    while child.exists() and time.monotonic() < until:
        os.sched_yield()
    assert not child.exists()
