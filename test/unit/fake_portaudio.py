"""A stand-in for the module sounddevice: test machines have no sound card."""

from types import SimpleNamespace

import numpy as np


class FakeError(Exception):
    """Stands in for sounddevice.PortAudioError."""


class FakeStream:
    """Stands in for RawInputStream: the test says what is heard, and when."""

    def __init__(self, **settings):
        self.settings = settings
        self.active = False
        self.closed = False

    def start(self):
        self.active = True

    def close(self):
        self.active = False
        self.closed = True

    def hear(self, samples, *, overflow=False):
        """Call back as PortAudio does; the memory is used again afterwards."""
        memory = bytearray(samples.astype(np.int16).tobytes())
        frames = samples.size // self.settings['channels']
        self.settings['callback'](
            memory, frames, None, SimpleNamespace(input_overflow=overflow))
        memory[:] = bytes(len(memory))


class FakePortAudio:
    """Stands in for the module sounddevice; refuses is a rule of (rate, channels)."""

    PortAudioError = FakeError

    def __init__(self, names=('HDA Analog', 'USB Audio'), default=-1, rate=48_000, channels=2,
                 refuses=lambda rate, channels: False):
        self.default = SimpleNamespace(device=[default, -1])
        self.streams = []
        self.stream_type = FakeStream
        self._refuses = refuses
        self._devices = [
            {'name': 'HDMI', 'max_input_channels': 0, 'default_samplerate': 44_100.0,
             'hostapi': 0},
            *({'name': name, 'max_input_channels': channels, 'default_samplerate': float(rate),
               'hostapi': 1} for name in names)]

    def query_devices(self):
        return self._devices

    def query_hostapis(self):
        return ({'name': 'OSS'}, {'name': 'ALSA'})

    def check_input_settings(self, device, channels, dtype, samplerate):
        assert dtype == 'int16'
        if self._refuses(samplerate, channels):
            raise FakeError('Invalid sample rate')

    def RawInputStream(self, **settings):
        self.streams.append(self.stream_type(**settings))
        return self.streams[-1]
