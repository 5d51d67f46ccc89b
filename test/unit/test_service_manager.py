"""What systemd is told: over a real socket, and never more than was heard."""

import socket

import pytest

from xlerobot_asr_opt.cli import up
from xlerobot_asr_opt.cli.service_manager import Pulse, ServiceManager

PID = 4711


@pytest.fixture(params=['file', 'abstract'])
def channel(request, tmp_path):
    """A bound socket, and its address as NOTIFY_SOCKET names it."""
    name = str(tmp_path / 'notify') if request.param == 'file' else f'@asr-test-{tmp_path}'
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(name.replace('@', '\0', 1) if name.startswith('@') else name)
        bound.settimeout(5.0)
        yield bound, name


def test_states_reach_the_socket_in_one_message(channel):
    bound, name = channel
    ServiceManager({'NOTIFY_SOCKET': name}, PID).tell('READY=1', 'STATUS=all active')
    assert bound.recv(4096) == b'READY=1\nSTATUS=all active'


def test_children_do_not_inherit_what_is_ours():
    environment = {'NOTIFY_SOCKET': '/run/notify', 'WATCHDOG_USEC': '30000000',
                   'WATCHDOG_PID': str(PID), 'HOME': '/home/sunrise'}
    ServiceManager(environment, PID)
    assert environment == {'HOME': '/home/sunrise'}


@pytest.mark.parametrize(('variables', 'seconds'), [
    ({'NOTIFY_SOCKET': '/run/notify', 'WATCHDOG_USEC': '30000000'}, 30.0),
    ({'NOTIFY_SOCKET': '/run/notify', 'WATCHDOG_USEC': '1500000', 'WATCHDOG_PID': '4711'}, 1.5),
    ({'NOTIFY_SOCKET': '/run/notify', 'WATCHDOG_USEC': '30000000', 'WATCHDOG_PID': '1'}, 0.0),
    ({'NOTIFY_SOCKET': '/run/notify', 'WATCHDOG_USEC': 'soon'}, 0.0),
    ({'WATCHDOG_USEC': '30000000'}, 0.0),
    ({}, 0.0),
])
def test_the_watchdog_is_the_one_that_is_meant_for_us(variables, seconds):
    assert ServiceManager(dict(variables), PID).watchdog_s == seconds


def test_without_a_service_manager_nothing_is_said(caplog):
    ServiceManager({}, PID).tell('READY=1')
    assert not caplog.records


def test_a_socket_that_is_gone_is_logged(tmp_path, caplog):
    ServiceManager({'NOTIFY_SOCKET': str(tmp_path / 'gone')}, PID).tell('READY=1')
    assert 'cannot be told READY=1' in caplog.text


class Patient:
    """Somebody who is asked for a sign of life, at a time that the test sets."""

    def __init__(self):
        self.now = 100.0
        self.told = []
        self.pulse = Pulse(8.0, lambda text: self.told.append((self.now, text)),
                           lambda: self.now)

    def at(self, now, *, alive):
        self.now = now
        self.pulse.turn(answers=alive)


def test_of_a_living_one_it_is_told_four_times_a_period():
    patient = Patient()
    for half_seconds in range(17):
        patient.at(100.0 + half_seconds / 2, alive=True)
    assert patient.told == [(now, 'WATCHDOG=1') for now in (100.0, 102.0, 104.0, 106.0, 108.0)]


def test_without_an_answer_there_is_no_sign_of_life_and_the_next_answer_is_passed_on():
    patient = Patient()
    for now in (100.0, 100.5, 101.0, 101.5):
        patient.at(now, alive=False)
    assert patient.told == []
    patient.at(102.0, alive=True)
    assert patient.told == [(102.0, 'WATCHDOG=1')]


class Answers:
    """A client of the manager that brings its answer at the given look."""

    def __init__(self, at):
        self.looks = 0
        self._at = at

    def poll(self, seconds):
        self.looks += 1
        return (False, ('ingest: inactive',)) if self.looks == self._at else None


@pytest.mark.parametrize('at', [1, 7])
def test_an_answer_is_looked_for_until_it_is_there_and_may_be_any(at):
    client = Answers(at)
    assert up._answers(client)
    assert client.looks == at


def test_no_answer_in_time_is_none(monkeypatch):
    monkeypatch.setattr(up, 'ANSWER_S', 0.0)
    assert not up._answers(Answers(at=1000))
