"""The entry point: what it imports, what it returns, what it says."""

import argparse
import subprocess
import sys
import types

import pytest

from xlerobot_asr_opt.cli import main as entry
from xlerobot_asr_opt.errors import AudioError, ConfigurationError


@pytest.fixture
def command(monkeypatch):
    """Makes a command of a function; returns what runs it."""
    def make(function):
        module = types.ModuleType('xlerobot_asr_opt.cli.spoken')
        module.add_parser = lambda subparsers: subparsers.add_parser('spoken').add_argument(
            '--word', default='')
        module.run = function
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr(entry, 'COMMANDS', (entry.Command('spoken', 'spoken', 'say it'),))
        monkeypatch.setattr(entry.signal, 'signal', lambda *_: None)
        return lambda *arguments: entry.main(['spoken', *arguments])
    return make


def raising(error):
    def function(_args: argparse.Namespace) -> int:
        raise error
    return function


def test_arguments_reach_the_command(command):
    assert command(lambda args: len(args.word))('--word', 'seven') == 5


@pytest.mark.parametrize(('error', 'code', 'said'), [
    (AudioError('no sound'), 1, 'xlerobot-asr spoken: no sound'),
    (ConfigurationError('no such key'), 2, 'xlerobot-asr spoken: no such key'),
    (KeyboardInterrupt(), 130, ''),
])
def test_errors_become_exit_codes(command, capsys, error, code, said):
    assert command(raising(error))() == code
    assert capsys.readouterr().err.strip() == said


def test_a_fault_of_ours_is_not_hidden(command):
    with pytest.raises(ZeroDivisionError):
        command(raising(ZeroDivisionError()))()


@pytest.mark.parametrize('arguments', [[], ['sing'], ['doctor', '--colour', 'red']])
def test_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        entry.main(arguments)
    assert caught.value.code == 2
    assert 'usage: xlerobot-asr' in capsys.readouterr().err


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as caught:
        entry.main(['--help'])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for command in entry.COMMANDS:
        assert f'    {command.name} ' in text
        assert command.help in text


@pytest.mark.parametrize('name', [command.name for command in entry.COMMANDS])
def test_every_command_has_help(name, capsys):
    with pytest.raises(SystemExit) as caught:
        entry.main([name, '--help'])
    assert caught.value.code == 0
    assert f'usage: xlerobot-asr {name}' in capsys.readouterr().out


def test_help_needs_neither_ros_nor_models():
    code = ('import sys\n'
            'from xlerobot_asr_opt.cli.main import main\n'
            'try: main(["--help"])\n'
            'except SystemExit: pass\n'
            'print([name for name in ("rclpy", "numpy", "onnx", "rich") if name in sys.modules])')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == '[]'
