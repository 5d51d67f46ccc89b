"""Inference on a second host: two network namespaces, each with a /dev/shm of its own.

What one host knows of the other came through a virtual cable, which the test unplugs.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from xlerobot_asr_opt.records import TranscriptStatus

DOMAIN = 149
NAMESPACE = 'two_hosts'
PEOPLE = 4
PATIENCE_S = 30.0
LOCAL, REMOTE = 'inference_0', 'inference_desk_0'
BOOT = 'mount -t tmpfs tmpfs /dev/shm && ip link set lo up && echo up && exec cat'


def ip(*words):
    return subprocess.run(['ip', *words], capture_output=True, text=True, check=False)


def objection():
    """Why two hosts cannot be made here, if they cannot."""
    for program in ('ip', 'unshare', 'nsenter'):
        if shutil.which(program) is None:
            return f'{program} is not installed (iproute2, util-linux)'
    name = f'asr-try-{os.getpid()}'
    made = ip('netns', 'add', name)
    ip('netns', 'del', name)
    return f'no network namespace can be made: {made.stderr.strip()}' if made.returncode else ''


pytestmark = pytest.mark.skipif(bool(objection()), reason=objection() or 'possible')


class Host:
    """A network namespace with an end of the cable, and a /dev/shm; a process holds them."""

    def __init__(self, name, address, directory):
        self.name = name
        self.address = address
        self.lines = []
        self._environment = os.environ | {
            'ROS_DOMAIN_ID': str(DOMAIN), 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET',
            'XDG_STATE_HOME': str(directory / name / 'state'),
            'XDG_RUNTIME_DIR': str(directory / name)}
        self._environment.pop('ROS_LOCALHOST_ONLY', None)
        (directory / name).mkdir()

    @contextlib.contextmanager
    def running(self):
        """Keep the host, for as long as the block runs."""
        assert ip('netns', 'add', self.name).returncode == 0
        holder = subprocess.Popen(
            ['ip', 'netns', 'exec', self.name, 'unshare', '--mount', 'sh', '-c', BOOT],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            assert holder.stdout.readline() == 'up\n'
            self._enter = ['nsenter', '--target', str(holder.pid), '--net', '--mount']
            yield
        finally:
            holder.communicate()
            ip('netns', 'del', self.name)

    @contextlib.contextmanager
    def run(self, *command, **streams):
        """Run a program there, for as long as the block runs."""
        process = subprocess.Popen(
            [*self._enter, sys.executable, *map(str, command)],
            env=self._environment, text=True, stderr=subprocess.PIPE, **streams)
        reader = threading.Thread(target=lambda: self.lines.extend(process.stderr), daemon=True)
        reader.start()
        try:
            yield process
        finally:
            process.terminate()
            process.wait(10.0)
            reader.join(10.0)

    def up(self, *arguments):
        """Run xlerobot-asr up there."""
        return self.run(
            '-m', 'xlerobot_asr_opt.cli.main', 'up', '--namespace', NAMESPACE, *arguments)

    def until_said(self, words):
        """Wait for a line of a process of this host."""
        deadline = time.monotonic() + PATIENCE_S
        while not any(words in line for line in list(self.lines)):
            assert time.monotonic() < deadline, f'{words} is not in\n{"".join(self.lines)}'
            time.sleep(0.05)


@pytest.fixture
def hosts(tmp_path):
    """Two hosts and the cable between them."""
    pair = [Host(f'asr-{name}-{os.getpid()}', address, tmp_path)
            for name, address in (('robot', '10.77.0.1/24'), ('desk', '10.77.0.2/24'))]
    with contextlib.ExitStack() as stack:
        for host in pair:
            stack.enter_context(host.running())
        ends = [f'asr{index}-{os.getpid()}' for index in range(2)]
        assert ip('link', 'add', ends[0], 'type', 'veth', 'peer', ends[1]).returncode == 0
        for host, end in zip(pair, ends, strict=True):
            ip('link', 'set', end, 'netns', host.name, 'name', 'cable')
            ip('-n', host.name, 'address', 'add', host.address, 'dev', 'cable')
            plug(host, 'up')
        yield pair


def plug(host, state):
    """Plug the cable in (up) or out (down)."""
    assert ip('-n', host.name, 'link', 'set', 'cable', state).returncode == 0


def test_a_second_host_helps_and_a_cut_cable_costs_nobody_his_words(hosts, tmp_path):
    robot, desk = hosts
    client = Path(__file__).with_name('second_host_client.py')
    with contextlib.ExitStack() as stack:
        stack.enter_context(robot.up(
            '--source', 'topic', '--parameters', 'scheduler.use_cache=false',
            f'cache.directory={tmp_path / "cache"}'))
        robot.until_said('ingest is active')
        stack.enter_context(desk.up('--lend', 'desk'))
        desk.until_said(f'{REMOTE} is active')
        talk = stack.enter_context(robot.run(
            client, NAMESPACE, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        assert talk.stdout.readline() == '"ready"\n', ''.join(robot.lines)

        def say():
            print(PEOPLE, file=talk.stdin, flush=True)
            answers = json.loads(talk.stdout.readline())
            assert all(answers), (answers, robot.lines[-20:])
            assert {one['status'] for one in answers} == {TranscriptStatus.DONE}
            return [one['text'] for one in answers], {one['worker'] for one in answers}

        def say_until(wanted):
            deadline = time.monotonic() + PATIENCE_S
            while True:
                texts, workers = say()
                if workers == wanted:
                    return texts
                assert time.monotonic() < deadline, (workers, robot.lines[-20:])

        both = say_until({LOCAL, REMOTE})
        assert all(both)
        plug(desk, 'down')
        texts, workers = say()
        assert workers == {LOCAL}
        assert texts == both
        assert say_until({LOCAL}) == both
        plug(desk, 'up')
        assert say_until({LOCAL, REMOTE}) == both
