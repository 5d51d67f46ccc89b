"""xlerobot-asr up under the eyes of a service manager: a real graph, a real socket."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

DOMAIN = 142
PATIENCE_S = 30.0
WATCHDOG_S = 1.0


@pytest.fixture
def service(tmp_path):
    """A graph that was started as systemd starts one; gives its process and the socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / 'notify'))
        environment = {
            **os.environ, 'ROS_DOMAIN_ID': str(DOMAIN), 'ROS_LOCALHOST_ONLY': '1',
            'XDG_STATE_HOME': str(tmp_path / 'state'), 'NOTIFY_SOCKET': str(tmp_path / 'notify'),
            'WATCHDOG_USEC': str(int(WATCHDOG_S * 1e6))}
        up = subprocess.Popen(
            [sys.executable, '-m', 'xlerobot_asr_opt.cli.main', 'up', '--source', 'none',
             '--backends', 'scripted', '--parameters', f'cache.directory={tmp_path / "cache"}'],
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        yield up, channel
        if up.poll() is None:
            up.kill()
        up.wait(PATIENCE_S)


def told(channel, seconds):
    """The next message, or None where none comes in that time."""
    channel.settimeout(seconds)
    try:
        return channel.recv(4096).decode()
    except TimeoutError:
        return None


def process_of(up, node):
    for path in Path(f'/proc/{up.pid}/task').glob('*/children'):
        for pid in path.read_text().split():
            words = Path(f'/proc/{pid}/cmdline').read_text().split('\0')
            if f'__node:={node}' in words:
                return int(pid)
    raise AssertionError(f'{node} does not run')


def status(patience):
    return subprocess.run(
        [sys.executable, '-m', 'xlerobot_asr_opt.cli.main', 'status', '--timeout',
         str(patience)],
        env={**os.environ, 'ROS_DOMAIN_ID': str(DOMAIN), 'ROS_LOCALHOST_ONLY': '1'},
        capture_output=True, text=True, check=False)


def test_the_watchdog_hears_of_the_manager_and_one_that_hangs_is_replaced(service):
    up, channel = service
    assert told(channel, PATIENCE_S) == 'READY=1'
    assert [told(channel, PATIENCE_S) for _ in range(2)] == ['WATCHDOG=1'] * 2
    assert status(PATIENCE_S).stdout.startswith('/asr is active\n')
    manager = process_of(up, 'manager')
    os.kill(manager, signal.SIGSTOP)
    # A sign that was given before, or an answer that was under way, may still be there.
    while told(channel, WATCHDOG_S):
        pass
    silent = status(1.0)
    assert silent.returncode == 1
    assert silent.stderr.endswith('manager: does not answer\n')
    assert told(channel, PATIENCE_S) == 'WATCHDOG=1'
    assert process_of(up, 'manager') != manager
    # The new one has to find the nodes first.
    end = time.monotonic() + PATIENCE_S
    while not (told_active := status(PATIENCE_S)).stdout.startswith('/asr is active\n'):
        assert time.monotonic() < end, told_active
    up.terminate()
    end = time.monotonic() + PATIENCE_S
    messages = []
    while 'STOPPING=1' not in messages and time.monotonic() < end:
        messages.append(told(channel, PATIENCE_S))
    assert messages[-1] == 'STOPPING=1'
    assert up.wait(PATIENCE_S) == 0
