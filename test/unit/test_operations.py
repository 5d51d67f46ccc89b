"""Every command of docs/operations.md: run where it can be, parsed where it cannot."""

import argparse
import ast
import functools
import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from xlerobot_asr_opt.cli import main as entry

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / 'docs' / 'operations.md').read_text('utf-8')
PROGRAMS = {
    'apt', 'arecord', 'cat', 'cd', 'df', 'docker', 'git', 'id', 'install', 'journalctl',
    'loginctl', 'ls', 'lsusb', 'make', 'ros2', 'source', 'sudo', 'systemctl', 'systemd-analyze',
    'tar', 'udevadm', 'xlerobot-asr',
}
TESTED = '# tested'
ENDS = {
    # What a command that is run may end with, beside 0.
    'devices': {1},   # no microphone here
    'doctor': {1},    # a machine of which something is wrong
    'status': {1},    # no graph runs
}


def blocks():
    """Lines of code; a line that is tested keeps its mark."""
    return [line.strip() for line in re.findall(r'^ {4,}(\S.*)$', PAGE, re.MULTILINE)]


def spans():
    """Commands in the text and in the tables: more than one word, the first a program's name."""
    text = re.sub(r'^ {4,}\S.*$', '', PAGE, flags=re.MULTILINE)
    for span in re.findall(r'`([^`\n]+)`', text):
        words = span.split()
        if words[0] in PROGRAMS and len(words) > 1:
            yield span


LINES = list(dict.fromkeys([*blocks(), *spans()]))
COMMANDS = [line.removesuffix(TESTED).strip() for line in LINES]
RUN = [line.removesuffix(TESTED).strip() for line in LINES if line.endswith(TESTED)]

commands = pytest.mark.parametrize('command', COMMANDS)


def parts(command):
    """The simple commands of a line as words, without sudo and assignments."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars='&|;')
    lexer.whitespace_split = True
    words = []
    for word in [*lexer, ';']:
        if set(word) <= set('&|;'):
            while words and (words[0] == 'sudo' or re.match(r'\w+=', words[0])):
                words = words[1:]
            if words:
                yield words
            words = []
        else:
            words.append(word)


@functools.cache
def parser():
    """The real parser, with every command of the program."""
    top = argparse.ArgumentParser(prog='xlerobot-asr', exit_on_error=False)
    subparsers = top.add_subparsers(required=True)
    for command in entry.COMMANDS:
        importlib.import_module(f'xlerobot_asr_opt.cli.{command.module}').add_parser(subparsers)
    return top


@functools.cache
def interfaces():
    """Topics and services that ros/names.py declares, and the types of the messages' package."""
    tree = ast.parse((ROOT / 'xlerobot_asr_opt' / 'ros' / 'names.py').read_text('utf-8'))
    names = {node.value.value for node in tree.body if isinstance(node, ast.Assign)
             and isinstance(node.value, ast.Constant)}
    types = {f'xlerobot_asr_interfaces/{path.suffix[1:]}/{path.stem}' for path in
             (ROOT / 'xlerobot_asr_interfaces').glob('*/*.*') if path.suffix in ('.msg', '.srv')}
    return names, types


def test_the_page_has_commands_of_every_kind():
    assert len(RUN) >= 5
    assert {words[0] for command in COMMANDS for words in parts(command)} >= {
        'xlerobot-asr', 'ros2', 'systemctl', 'journalctl', 'install'}


@commands
def test_a_shell_takes_the_command(command):
    done = subprocess.run(
        ['bash', '-n', '-c', command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, '')


@commands
def test_its_programs_are_known(command):
    assert {words[0] for words in parts(command)} <= PROGRAMS


@commands
def test_the_parser_takes_it(command, capsys):
    for words in parts(command):
        if words[0] == 'xlerobot-asr' and words[1:] != ['-v']:
            parser().parse_args(words[1:])


@commands
def test_its_topics_services_and_types_are_those_of_the_graph(command):
    names, types = interfaces()
    for words in parts(command):
        if words[0] == 'ros2':
            verb, name, kind = words[1:3], words[3], words[4]
            assert verb in (['topic', 'echo'], ['service', 'call'])
            own = name.removeprefix('/asr/')
            assert own in names or f'~/{own.partition("/")[2]}' in names, name
            assert kind in types, kind


@commands
def test_the_files_of_the_checkout_that_it_names_are_there(command):
    for words in parts(command):
        for word in words[1:]:
            if re.match(r'(deploy|config|docs|test)/', word):
                assert (ROOT / word).exists(), word


@pytest.mark.parametrize('wrong', [
    'xlerobot-asr up --sorce mic', 'xlerobot-asr models fetsh x', 'xlerobot-asr status 7'])
def test_a_wrong_command_would_be_noticed(wrong, capsys):
    with pytest.raises((SystemExit, argparse.ArgumentError)):
        test_the_parser_takes_it(wrong, capsys)


@pytest.mark.parametrize('command', RUN)
def test_what_the_page_says_is_run_is_run(command, tmp_path):
    (words,) = parts(command)
    assert words[0] == 'xlerobot-asr', 'a command of another program depends on the machine'
    (tmp_path / 'old.yaml').write_text('asr: {max_sentence_silence: 800, appkey: x}\n')
    environment = {
        **os.environ, 'XLEROBOT_ASR_CACHE': str(tmp_path / 'cache'), 'ROS_LOCALHOST_ONLY': '1',
        'ROS_DOMAIN_ID': '143', 'XDG_STATE_HOME': str(tmp_path / 'state'),
        'PYTHONPATH': os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])}
    done = subprocess.run(
        [sys.executable, '-m', 'xlerobot_asr_opt.cli.main', *words[1:]], cwd=tmp_path,
        env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode in {0, *ENDS.get(words[1], ())}, done.stderr
    assert 'Traceback' not in done.stderr
    assert done.stdout or done.stderr


def test_the_directories_of_the_page_are_those_of_the_unit():
    unit = (ROOT / 'deploy' / 'systemd' / 'xlerobot-asr.service').read_text()
    named = set(re.findall(r'/(?:var/(?:lib|cache|log)|run)/xlerobot-asr\b', PAGE))
    assert named == set(re.findall(r'=(/(?:var/\w+|run)/xlerobot-asr)$', unit, re.MULTILINE))
