"""launch/asr.launch.py under launch itself: its arguments, its processes, its end.

Most tests put stand-ins in the place of the nodes: programs that write down what they were given.
The last ones start the graph as it is.
"""

import argparse
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml

from xlerobot_asr_opt.cli.graph import command
from xlerobot_asr_opt.cli.up import add_parser
from xlerobot_asr_opt.core.respawning import EXIT_CONFIGURATION, MOST_FAILURES
from xlerobot_asr_opt.parameters import NODES, table
from xlerobot_asr_opt.processes import GraphArguments, process_table, read_arguments
from xlerobot_asr_opt.ros.activity import Activity
from xlerobot_asr_opt.ros.shared_memory import inspect_shared_memory

try:
    from launch_ros.actions import Node  # noqa: F401  # a folder of that name is no launch
except ImportError as error:
    if os.environ.get('REQUIRE_ROS_LAUNCH') == '1':
        raise
    pytest.skip(f'launch_ros is not installed ({error}): it comes with a ROS distribution',
                allow_module_level=True)

from launch.launch_description_sources import get_launch_description_from_python_launch_file

FILE = Path(__file__).resolve().parents[2] / 'launch' / 'asr.launch.py'
DOMAIN = 151
PATIENCE_S = 30.0
STOP_S = 3.0

STAND_IN = """\
#!{python} -IS
import json, os, pathlib, signal, sys
signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
record = {{'argv': sys.argv, 'environment': dict(os.environ), 'files': {{
    after: pathlib.Path(after).read_text()
    for word, after in zip(sys.argv, sys.argv[1:]) if word == '--params-file'}}}}
unfinished = pathlib.Path({records!r}, f'{{os.getpid()}}.part')
unfinished.write_text(json.dumps(record))
unfinished.rename(unfinished.with_suffix('.json'))
status = {status!r}
signal.pause() if status is None else sys.exit(status)
"""

AT_ONCE = """\
import dataclasses, sys
from launch import LaunchService
from launch.launch_description_sources.python_launch_file_utilities import (
    load_python_launch_file_as_module)
module = load_python_launch_file_as_module(sys.argv[1])
table = module.process_table
module.process_table = lambda arguments: [
    dataclasses.replace(process, respawn_delay=0.001) for process in table(arguments)]
service = LaunchService()
service.include_launch_description(module.generate_launch_description())
sys.exit(service.run())
"""
"""Launches as it is, but without the wait before a restart."""


class Running:
    """A process whose output is read as it comes."""

    def __init__(self, words, **variables):
        self.process = subprocess.Popen(
            words, env={**os.environ, **variables}, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self._lines = []
        self._thread = threading.Thread(
            target=lambda: self._lines.extend(self.process.stdout), daemon=True)
        self._thread.start()

    @property
    def output(self):
        return ''.join(self._lines)

    def interrupt(self, whole_group):
        """Send SIGINT, as a Ctrl-C in the terminal does, or as a program does."""
        (os.killpg if whole_group else os.kill)(self.process.pid, signal.SIGINT)

    def ended(self):
        """Exit status, once everything has been read."""
        status = self.process.wait(PATIENCE_S)
        self._thread.join(PATIENCE_S)
        return status


@pytest.fixture
def start(tmp_path):
    """Starts a command line, and sees to it that nothing of it outlives the test."""
    started = []

    def start(*words, **variables):
        started.append(Running(
            words, ROS_DOMAIN_ID=str(DOMAIN), ROS_AUTOMATIC_DISCOVERY_RANGE='LOCALHOST',
            ROS_LOG_DIR=str(tmp_path / 'log'), XDG_STATE_HOME=str(tmp_path / 'state'),
            **variables))
        return started[-1]

    yield start
    for running in started:
        if running.process.poll() is None:
            # The processes are in the group of launch.
            os.killpg(running.process.pid, signal.SIGKILL)
            running.ended()


@pytest.fixture
def stand_ins(tmp_path, monkeypatch):
    """Puts stand-ins in the place of the nodes; returns what lists what they wrote down."""
    records = tmp_path / 'records'
    records.mkdir()
    prefix = tmp_path / 'prefix'
    index = prefix / 'share' / 'ament_index' / 'resource_index' / 'packages'
    programs = prefix / 'lib' / 'xlerobot_asr_opt'
    index.mkdir(parents=True)
    programs.mkdir(parents=True)
    (index / 'xlerobot_asr_opt').touch()
    monkeypatch.setenv(
        'AMENT_PREFIX_PATH', f'{prefix}{os.pathsep}{os.environ["AMENT_PREFIX_PATH"]}')

    def put(**statuses):
        for name in NODES:
            program = programs / name
            program.write_text(STAND_IN.format(
                python=sys.executable, records=str(records), status=statuses.get(name)))
            program.chmod(0o755)
        return lambda: [
            {'pid': int(path.stem), **json.loads(path.read_text())}
            for path in sorted(records.glob('*.json'))]
    return put


def ros2_launch(*arguments):
    return [shutil.which('ros2') or 'ros2', 'launch', str(FILE), *arguments]


def until(condition, what):
    """Wait for a condition, and return what it gave."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f'not within {PATIENCE_S:g} s: {what()}')


def is_gone(pid):
    return not Path(f'/proc/{pid}').exists()


def described(words, text_of):
    """What a command line tells a node: its names, the level of its log, its parameters."""
    options = list(itertools.pairwise(words))
    names = dict(after.split(':=') for word, after in options if word == '-r')
    parameters = {}
    for word, after in options:
        if word == '--params-file':
            (section,) = yaml.safe_load(text_of(after)).values()
            parameters.update(section['ros__parameters'])
    levels = [after for word, after in options if word == '--log-level']
    return {'node': f'{names["__ns"]}/{names["__node"]}', 'parameters': parameters,
            'levels': levels}


def launched(record):
    """What a stand-in was told by launch."""
    return {'executable': Path(record['argv'][0]).name,
            **described(record['argv'], record['files'].__getitem__)}


def brought_up(process, directory):
    """What xlerobot-asr up tells the same process."""
    words = command(process, directory)
    module = words[words.index('-m') + 1]
    return {'executable': module.rpartition('.')[2],
            **described(words, lambda path: Path(path).read_text())}


def nodes_of(records):
    return sorted(launched(record)['node'] for record in records)


def test_every_argument_of_up_is_one_of_launch():
    description = get_launch_description_from_python_launch_file(str(FILE))
    declared = {item.name: item for item in description.get_launch_arguments()}
    assert list(declared) == [item.name for item in table(GraphArguments)]
    for item in table(GraphArguments):
        assert declared[item.name].description.startswith(item.description)
        assert (declared[item.name].choices or ()) == item.choices
    defaults = {
        name: ''.join(part.text for part in item.default_value)
        for name, item in declared.items()}
    assert read_arguments(defaults) == GraphArguments()


def test_every_option_of_up_is_an_argument_of_launch():
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    options = set(vars(parser.parse_args(['up']))) - {'quiet'}
    assert options == {item.name for item in table(GraphArguments)}


@pytest.mark.parametrize('arguments', [
    {},
    {'processes': '3', 'namespace': 'kitchen/left', 'source': 'topic', 'topics': 'head,hand',
     'model': '7', 'use_sim_time': 'true', 'zero_copy': 'loan', 'log_level': 'debug',
     'parameters': 'ingest.hangover=0.3,inference_1.threads=2,cache.l3_entries=0'},
], ids=['none', 'many'])
def test_the_processes_are_those_of_up(start, stand_ins, tmp_path, arguments):
    records = stand_ins()
    processes = process_table(read_arguments(arguments))
    running = start(*ros2_launch(*(f'{name}:={text}' for name, text in arguments.items())))
    until(lambda: len(records()) == len(processes), lambda: running.output)
    running.interrupt(whole_group=False)
    assert running.ended() == 0
    told = {launched(record)['node']: launched(record) for record in records()}
    assert told == {
        process.full_name: brought_up(process, tmp_path) for process in processes}
    environments = {launched(record)['node']: record['environment'] for record in records()}
    for process in processes:
        assert process.environment.items() <= environments[process.full_name].items()


@pytest.mark.parametrize(('arguments', 'said'), [
    (['source:=radio'], r'"source" provided value "radio" is not valid. Valid options are: .*mic'),
    (['processes:=17'], 'processes: got 17, expected 1 to 16'),
    (['processes:=many'], r"processes: got 'many' \(str\), expected a"),
    (['use_sim_time:=1'], r"use_sim_time: got '1' \(str\), expected a bool"),
    (['namespace:=7up'], "namespace: got '7up', expected letters"),
    (['parameters:=ingest.hangovr=0.3'], r'unknown parameter hangovr; did you mean hangover\?'),
    (['config:=/nonesuch.yaml'], '/nonesuch.yaml: cannot be read: No such file or directory'),
], ids=lambda value: value[0].partition(':=')[0] if isinstance(value, list) else '')
def test_a_wrong_argument_is_told_before_anything_starts(start, stand_ins, arguments, said):
    records = stand_ins()
    running = start(*ros2_launch(*arguments))
    assert running.ended() == 1
    assert re.search(rf'\[ERROR\] \[launch\].*{said}', running.output)
    assert 'process started' not in running.output
    assert records() == []


def test_what_keeps_ending_is_started_again_and_then_given_up_alone(start, stand_ins):
    records = stand_ins(cache=0)
    running = start(sys.executable, '-c', AT_ONCE, str(FILE))
    until(lambda: 'given up: it ends whenever it starts' in running.output,
          lambda: running.output)
    others = ['/asr/inference_0', '/asr/ingest', '/asr/manager', '/asr/scheduler']
    until(lambda: len(records()) == 1 + MOST_FAILURES + len(others), lambda: running.output)
    assert nodes_of(records()) == ['/asr/cache'] * (1 + MOST_FAILURES) + others
    running.interrupt(whole_group=False)
    assert running.ended() == 0
    assert len(records()) == 1 + MOST_FAILURES + len(others)


def test_what_cannot_run_as_told_ends_all_of_it(start, stand_ins):
    records = stand_ins(ingest=EXIT_CONFIGURATION)
    running = start(sys.executable, '-c', AT_ONCE, str(FILE))
    assert running.ended() == 1
    assert '/asr/ingest cannot run: its last line says why' in running.output
    assert nodes_of(records()).count('/asr/ingest') == 1
    assert all(is_gone(record['pid']) for record in records())


def pids_in(namespace):
    """The processes of nodes in a namespace, whoever started them."""
    pids = set()
    for path in Path('/proc').glob('[0-9]*/cmdline'):
        try:
            words = path.read_text().split('\0')
        except OSError:
            continue
        if f'__ns:=/{namespace}' in words:
            pids.add(int(path.parent.name))
    return pids


def mapped(pids):
    """Names of Fast DDS's files in /dev/shm that processes have mapped."""
    maps = ''.join(Path(f'/proc/{pid}/maps').read_text() for pid in pids)
    return set(re.findall(r'/dev/shm/((?:sem\.)?fast\S+)', maps))


@pytest.mark.parametrize('whole_group', [True, False], ids=['in the terminal', 'to launch alone'])
def test_the_graph_becomes_active_and_ends_in_time_without_a_trace(start, tmp_path, whole_group):
    namespace = f'launch_{os.getpid()}'
    running = start(*ros2_launch(
        'source:=none', 'backend:=scripted', f'namespace:={namespace}',
        f'parameters:=cache.directory={tmp_path / "cache"}'))
    with Activity(f'/{namespace}', DOMAIN) as activity:
        until(lambda: (activity.poll(0.05) or (False,))[0], lambda: running.output)
    pids = pids_in(namespace)
    assert len(pids) == len(process_table(GraphArguments()))
    files = mapped(pids)
    assert files
    begin = time.monotonic()
    running.interrupt(whole_group)
    assert running.ended() == 0
    assert time.monotonic() - begin < STOP_S
    assert all(is_gone(pid) for pid in pids)
    assert not files.intersection(inspect_shared_memory().stale)
    assert 'Traceback' not in running.output
    assert running.output.count('process has finished cleanly') == len(pids)
