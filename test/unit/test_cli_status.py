"""What status says of a graph's manager, and how it ends; the graph itself: test/system."""

import json

import pytest

from xlerobot_asr_opt.cli import main as entry
from xlerobot_asr_opt.cli import status
from xlerobot_asr_opt.records import Degradation, DegradationLevel
from xlerobot_asr_opt.ros import activity


@pytest.fixture
def manager(monkeypatch):
    """Has a manager answer; returns what was asked for, and the answer to set."""
    class Stand:
        asked = None
        answer = None
        degradation = None

        def __init__(self, namespace, domain=None, manager='manager'):
            Stand.asked = namespace, manager

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def watch_level(self):
            Stand.watched = True

        def poll(self, seconds):
            return Stand.answer

    monkeypatch.setattr(activity, 'Activity', Stand)
    monkeypatch.setattr(status, 'LEVEL_S', 0.0)
    monkeypatch.setattr(entry.signal, 'signal', lambda *_: None)
    return Stand


def test_all_active(manager, capsys):
    manager.answer = True, ()
    assert entry.main(['status', '--namespace', 'kitchen']) == 0
    assert manager.asked == ('/kitchen', 'manager')
    assert capsys.readouterr().out == '/kitchen is active\n'


def test_the_level_is_told(manager, capsys):
    manager.answer = True, ()
    manager.degradation = Degradation(
        DegradationLevel.FINALS, 'too hot', best=DegradationLevel.CPU)
    assert entry.main(['status']) == 0
    assert manager.watched
    assert capsys.readouterr().out == '/asr is active\nlevel finals: too hot\n'
    assert entry.main(['status', '--json']) == 0
    assert json.loads(capsys.readouterr().out)['level'] == {
        'name': 'finals', 'reason': 'too hot', 'forced': False, 'best': 'cpu'}


def test_who_is_not_active_and_why(manager, capsys):
    manager.answer = False, ('inference_0: inactive, no model', 'ingest: unconfigured')
    assert entry.main(['status', '--manager', 'manager_desk']) == 1
    assert manager.asked == ('/asr', 'manager_desk')
    assert capsys.readouterr().err.splitlines() == list(manager.answer[1])


def test_nobody_answers(manager, capsys):
    assert entry.main(['status', '--timeout', '0.01', '--json']) == 1
    assert json.loads(capsys.readouterr().out) == {
        'namespace': '/asr', 'active': False, 'inactive': ['manager: does not answer'],
        'level': None}


@pytest.mark.parametrize('timeout', ['0', '-1', 'nan', 'inf'])
def test_a_timeout_that_is_none(manager, timeout, capsys):
    assert entry.main(['status', f'--timeout={timeout}']) == 2
    assert 'expected more than 0 s' in capsys.readouterr().err
