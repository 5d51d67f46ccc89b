"""xlerobot-asr up with real processes: up, down, faults of one stage, faults of its arguments."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from xlerobot_asr_opt.ros.activity import Activity
from xlerobot_asr_opt.ros.shared_memory import inspect_shared_memory

DOMAIN = 141
PATIENCE_S = 30.0
STOP_S = 3.0
NODES = ('cache', 'inference_0', 'scheduler', 'ingest', 'manager')
UP = (sys.executable, '-m', 'xlerobot_asr_opt.cli.main', 'up', '--source', 'none',
      '--backends', 'scripted')


class Up:
    """A process that runs xlerobot-asr up; its output is read as it comes."""

    def __init__(self, directory, *arguments, **variables):
        environment = {
            **os.environ, 'ROS_DOMAIN_ID': str(DOMAIN), 'ROS_LOCALHOST_ONLY': '1',
            'XDG_STATE_HOME': str(directory / 'state'), **variables}
        overrides = ('--parameters', f'cache.directory={directory / "cache"}')
        self.process = subprocess.Popen(
            [*UP, *overrides, *arguments], env=environment, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self._lines = []
        self._thread = threading.Thread(
            target=lambda: self._lines.extend(self.process.stderr), daemon=True)
        self._thread.start()

    @property
    def output(self):
        return ''.join(self._lines)

    def children(self):
        """Process of each node, by name."""
        pids = {}
        for path in Path('/proc').glob('[0-9]*/status'):
            try:
                parent = re.search(r'^PPid:\t(\d+)$', path.read_text(), re.MULTILINE)[1]
                words = path.with_name('cmdline').read_text().split('\0')
            except OSError:
                continue
            names = [word.removeprefix('__node:=') for word in words if '__node:=' in word]
            if int(parent) == self.process.pid and names:
                pids[names[0]] = int(path.parent.name)
        return pids

    def ended(self):
        """Exit status, once everything has been read."""
        status = self.process.wait(PATIENCE_S)
        self._thread.join(PATIENCE_S)
        return status

    def kill(self):
        """End it without a word; the kernel ends its children."""
        self.process.kill()
        self.ended()


@pytest.fixture
def start(tmp_path):
    """Starts up, and sees to it that nothing of it outlives the test."""
    started = []

    def start(*arguments, **variables):
        started.append(Up(tmp_path, *arguments, **variables))
        return started[-1]

    yield start
    for up in started:
        if up.process.poll() is None:
            up.kill()


def until(condition, what):
    """Wait for a condition, and return what it gave."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f'not within {PATIENCE_S:g} s: {what() if callable(what) else what}')


def wait_active(up, namespace='/asr'):
    with Activity(namespace, DOMAIN) as activity:
        until(lambda: (activity.poll(0.05) or (False,))[0], lambda: up.output)


def mapped(pids):
    """Names of Fast DDS's files in /dev/shm that processes have mapped."""
    maps = ''.join(Path(f'/proc/{pid}/maps').read_text() for pid in pids)
    return set(re.findall(r'/dev/shm/((?:sem\.)?fast\S+)', maps))


def is_gone(pid):
    return not Path(f'/proc/{pid}').exists()


def test_brings_all_up_in_order_and_down_without_a_trace(start):
    up = start()
    wait_active(up)
    # The manager may have answered before its line was read.
    until(lambda: 'all 4 nodes are active' in up.output, lambda: up.output)
    active = re.findall(r'asr\.manager\]: (\w+) is active', up.output)
    assert active == ['cache', 'inference_0', 'scheduler', 'ingest']
    pids = up.children()
    assert set(pids) == set(NODES)
    files = mapped(pids.values())
    assert files
    begin = time.monotonic()
    up.process.send_signal(signal.SIGINT)
    assert up.ended() == 0
    assert time.monotonic() - begin < STOP_S
    assert all(is_gone(pid) for pid in pids.values())
    assert not files.intersection(inspect_shared_memory().stale)
    assert 'Traceback' not in up.output


def test_a_killed_up_leaves_no_process_and_the_next_one_sweeps_its_memory(start):
    up = start()
    wait_active(up)
    pids = up.children()
    files = mapped(pids.values())
    up.kill()
    until(lambda: all(is_gone(pid) for pid in pids.values()), 'children are still there')
    following = start()
    wait_active(following)
    assert not files.intersection(inspect_shared_memory().stale)


def test_a_killed_stage_alone_is_started_again(start):
    up = start()
    wait_active(up)
    before = up.children()
    os.kill(before['inference_0'], signal.SIGKILL)
    until(lambda: up.output.count('inference_0 is active') == 2, lambda: up.output)
    after = up.children()
    assert after.pop('inference_0') != before.pop('inference_0')
    assert after == before, up.output
    assert re.findall(r'asr\.manager\]: (\w+) is active', up.output)[4:] == ['inference_0']


def test_a_hung_stage_is_found_and_started_again(start):
    up = start()
    wait_active(up)
    before = up.children()
    os.kill(before['scheduler'], signal.SIGSTOP)
    until(lambda: up.output.count('scheduler is active') == 2, lambda: up.output)
    after = up.children()
    assert 'scheduler: no progress for 4 s' in up.output
    assert is_gone(before['scheduler'])
    assert after.pop('scheduler') != before.pop('scheduler')
    assert after == before, up.output


def test_a_killed_manager_finds_the_others_active_and_leaves_them_be(start):
    up = start()
    wait_active(up)
    before = up.children()
    os.kill(before['manager'], signal.SIGKILL)
    until(lambda: up.output.count('all 4 nodes are active') == 2, lambda: up.output)
    after = up.children()
    assert after.pop('manager') != before.pop('manager')
    assert after == before, up.output
    assert len(re.findall(r'asr\.manager\]: \w+ is active', up.output)) == 4


def test_a_second_instance_ends_and_the_first_goes_on(start):
    first = start()
    wait_active(first)
    before = first.children()
    second = start()
    assert second.ended() == 2
    last = second.output.rpartition('xlerobot-asr up:')[2]
    holder = re.search(r'/asr/\w+ runs already \(process (\d+)\)', last)
    assert int(holder[1]) in before.values()
    assert 'choose another namespace' in last
    wait_active(first)
    assert first.children() == before
    assert len(re.findall(r'asr\.manager\]: \w+ is active', first.output)) == 4


def test_two_namespaces_live_side_by_side(start):
    one, other = start(), start('--namespace', 'kitchen')
    wait_active(one)
    wait_active(other, '/kitchen')


@pytest.mark.parametrize(('content', 'complaint'), [
    ('/**/ingest:\n  ros__parameters:\n    hangovr: 0.3\n', 'did you mean hangover?'),
    ('/**/inference:\n  ros__parameters:\n    threads: 99\n', 'expected 0 to 64'),
    ('/**/inference:\n  ros__parameters:\n    threads: many\n', 'expected a int'),
    ('/**/inference_7:\n  ros__parameters:\n    threads: 1\n', 'no node of this graph'),
    ('ingest: [\n', 'not valid YAML'),
])
def test_a_wrong_file_is_refused_before_anything_starts(start, tmp_path, content, complaint):
    file = tmp_path / 'wrong.yaml'
    file.write_text(content)
    up = start('--config', str(file))
    assert up.ended() == 2
    assert complaint in up.output
    assert str(file) in up.output
    assert '[cache]' not in up.output


def test_a_stage_that_cannot_be_configured_ends_it_with_the_reason(start):
    up = start('--parameters', 'inference.backends=onnxruntime', '--model', 'nonesuch')
    assert up.ended() == 1
    last = up.output.rpartition('xlerobot-asr up:')[2]
    assert 'inference_0' in last
    assert "'nonesuch' is neither a recogniser" in last
