import argparse
import json

import pytest

from xlerobot_asr_opt.cli import devices, main
from xlerobot_asr_opt.errors import SourceError
from xlerobot_asr_opt.sources.microphone import Device

LISTED = [
    Device(0, 'HDA Analog', 2, 48_000, 'ALSA', is_default=False),
    Device(12, 'Mikrofon für Küche', 1, 16_000, 'ALSA', is_default=True),
]


@pytest.fixture
def machine(monkeypatch):
    """Sets the devices of the machine."""
    return lambda listed: monkeypatch.setattr(devices, 'devices', lambda: listed)


def test_lines(machine, capsys):
    machine(LISTED)
    assert devices.run(argparse.Namespace(json=False)) == 0
    assert capsys.readouterr().out == (
        '    0  HDA Analog  (ALSA, 2 channels, 48000 Hz)\n'
        '*  12  Mikrofon für Küche  (ALSA, 1 channel, 16000 Hz)\n')


def test_json(machine, capsys):
    machine(LISTED)
    assert devices.run(argparse.Namespace(json=True)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [Device(**json.loads(line)) for line in lines] == LISTED


@pytest.mark.parametrize('as_json', [False, True])
def test_none(machine, capsys, as_json):
    machine([])
    assert devices.run(argparse.Namespace(json=as_json)) == 1
    shown = capsys.readouterr()
    assert shown.out == ''
    assert 'this machine has no input device' in shown.err


def test_portaudio_is_not_installed(monkeypatch, capsys):
    def refuse():
        raise SourceError('PortAudio library not found')

    monkeypatch.setattr(devices, 'devices', refuse)
    assert main.main(['devices']) == 1
    assert capsys.readouterr().err == 'xlerobot-asr devices: PortAudio library not found\n'
