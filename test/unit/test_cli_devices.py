import argparse
import json

import numpy as np
import pytest
from fake_portaudio import FakePortAudio

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
    assert devices.run(argparse.Namespace(json=False, check=None)) == 0
    assert capsys.readouterr().out == (
        '    0  HDA Analog  (ALSA, 2 channels, 48000 Hz)\n'
        '*  12  Mikrofon für Küche  (ALSA, 1 channel, 16000 Hz)\n')


def test_json(machine, capsys):
    machine(LISTED)
    assert devices.run(argparse.Namespace(json=True, check=None)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [Device(**json.loads(line)) for line in lines] == LISTED


@pytest.mark.parametrize('as_json', [False, True])
def test_none(machine, capsys, as_json):
    machine([])
    assert devices.run(argparse.Namespace(json=as_json, check=None)) == 1
    shown = capsys.readouterr()
    assert shown.out == ''
    assert 'this machine has no input device' in shown.err


def test_portaudio_is_not_installed(monkeypatch, capsys):
    def refuse():
        raise SourceError('PortAudio library not found')

    monkeypatch.setattr(devices, 'devices', refuse)
    assert main.main(['devices']) == 1
    assert capsys.readouterr().err == 'xlerobot-asr devices: PortAudio library not found\n'


class Listening:
    """A microphone that gives blocks of samples as time passes.

    Attributes:
        give: makes int16[frames * channels] of a number of frames; None: it gives nothing.
    """

    def __init__(self, give, channels=1, pace=1.0):
        self.now = 100.0
        self.portaudio = FakePortAudio(
            ['USB Audio'], default=1, channels=channels,
            refuses=lambda rate, count: count != channels)
        self._give = give
        self._pace = pace
        self._owed_s = 0.0

    def sleep(self, seconds):
        """Time passes in steps of a millisecond, and brings blocks."""
        (stream,) = self.portaudio.streams
        frames = stream.settings['blocksize']
        for _ in range(round(seconds * 1000)):
            self.now += 0.001
            self._owed_s += 0.001 * self._pace
            if self._give and self._owed_s * 48_000 >= frames:
                self._owed_s -= frames / 48_000
                stream.hear(self._give(frames))

    def check(self, as_json=True):
        return devices.check('usb', 3.0, as_json=as_json, portaudio=self.portaudio,
                             clock=lambda: self.now, sleep=self.sleep)


def noise(frames, scale=1000):
    return np.random.default_rng(frames).normal(0, scale, frames).astype(np.int16)


def beside(*channels):
    return np.stack(channels, 1).ravel()


def clipping(frames):
    return np.where(np.arange(frames) % 40, noise(frames), 32767).astype(np.int16)


@pytest.mark.parametrize(('listening', 'faults', 'said'), [
    (Listening(noise), [], ''),
    (Listening(lambda frames: beside(noise(frames), noise(frames)), channels=2), [], ''),
    (Listening(None), ['ABSENT'], 'no audio in 3.0 s'),
    (Listening(lambda frames: np.zeros(frames, np.int16)), ['SILENT'], 'not one sound'),
    (Listening(clipping), ['CLIPPING'], 'samples at full scale'),
    (Listening(lambda frames: noise(frames) + 2000), ['OFFSET'], 'a mean of +6.1% of full'),
    (Listening(noise, pace=1 / 3), ['RATE'], ' samples a second, where 48000 are said'),
    (Listening(lambda frames: beside(noise(frames), np.zeros(frames, np.int16)), channels=2),
     ['CHANNEL'], 'no sound on channel 2 of 2'),
    (Listening(lambda frames: noise(frames, 4)), ['NONE'], 'a level of -79 dBFS'),
], ids=['good', 'stereo', 'absent', 'silent', 'clipping', 'offset', 'rate', 'channel', 'quiet'])
def test_check_says_what_is_wrong_and_what_to_do(capsys, listening, faults, said):
    assert listening.check() == bool(faults)
    told = json.loads(capsys.readouterr().out)
    assert [finding['fault'] for finding in told['findings']] == faults
    assert told['device'] == 'USB Audio'
    for finding in told['findings']:
        assert said in finding['text']
        assert ':' in finding['remedy']  # what it is: what to do
    assert listening.portaudio.streams[0].closed


def test_check_is_shown_to_people(capsys):
    assert Listening(lambda frames: np.zeros(frames, np.int16)).check(as_json=False) == 1
    shown = capsys.readouterr()
    assert shown.err == 'listening to USB Audio for 3 s: say something\n'
    lines = shown.out.splitlines()
    assert lines[0] == 'WARN  USB Audio: 48000 Hz, 1 channel, -inf dBFS'
    assert lines[2].startswith('      -> digitally silent, a muted or unplugged microphone: unm')


def test_check_of_a_microphone_that_is_not_there(monkeypatch, capsys):
    def refuse(*_):
        raise SourceError("no microphone is named 'Yeti'; there are: 1: USB Audio")

    monkeypatch.setattr(devices, 'Microphone', refuse)
    assert main.main(['devices', '--check', 'Yeti']) == 1
    assert "no microphone is named 'Yeti'" in capsys.readouterr().err
