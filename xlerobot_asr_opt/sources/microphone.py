"""A microphone through PortAudio (sounddevice), as chunks."""

from __future__ import annotations

import importlib
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from xlerobot_asr_opt.errors import SourceError
from xlerobot_asr_opt.records import CHANNELS, CHUNK_CAPACITY, RATES, SAMPLE_RATE, Chunk

__all__ = ['Device', 'Microphone', 'devices']

_NS = 1_000_000_000
_WAITING = 400
"""Chunks that wait for the reader, 13 s at 48 kHz; what comes on top is lost, and counted."""


@dataclass(frozen=True)
class Device:
    """An input device.

    Attributes:
        index: PortAudio's number of it.
        name: what it is chosen by.
        channels: most input channels.
        rate: its own sample rate [Hz].
        api: what PortAudio reaches it through, such as ALSA.
        is_default: whether it is taken where none is named.
    """

    index: int
    name: str
    channels: int
    rate: int
    api: str
    is_default: bool


def devices(portaudio: Any = None) -> list[Device]:
    """List the input devices that were there when the process first used PortAudio.

    Args:
        portaudio: the module sounddevice, or what behaves like it; None imports it.

    Raises:
        SourceError: sounddevice or PortAudio is not installed.
    """
    portaudio = portaudio or _portaudio()
    default = portaudio.default.device[0]
    apis = portaudio.query_hostapis()
    return [
        Device(index, item['name'], int(item['max_input_channels']),
               round(item['default_samplerate']), apis[item['hostapi']]['name'],
               is_default=index == default)
        for index, item in enumerate(portaudio.query_devices())
        if item['max_input_channels'] > 0]


class Microphone:
    """An open microphone. PortAudio's thread fills a bounded queue, the reader empties it.

    Attributes:
        device: what was chosen.
        rate: of the chunks [Hz].
        channels: of the chunks.
        overflows: how often audio was lost, in the driver or because nobody read; each time the
            chunks skip a sequence number, so that the loss shows wherever they are heard.
    """

    def __init__(
        self, name: str, stream: str, clock_ns: Callable[[], int], portaudio: Any = None,
    ) -> None:
        """Open the device and begin to record.

        Args:
            name: of a device, a part of it, or its number; empty: the default.
            stream: name for the chunks.
            clock_ns: ROS time [ns]; called in PortAudio's thread.
            portaudio: the module sounddevice, or what behaves like it; None imports it.

        Raises:
            SourceError: no such device, more than one, or it cannot be opened.
        """
        portaudio = portaudio or _portaudio()
        self.device = _choose(name, devices(portaudio))
        self.rate, self.channels = _form(self.device, portaudio)
        self.overflows = 0
        self._stream_name = stream
        self._clock_ns = clock_ns
        self._sequence = 0
        # append and popleft are atomic, so the two threads need no lock.
        self._chunks: deque[Chunk] = deque()
        self._stream = self._start(portaudio)

    def take(self) -> list[Chunk]:
        """Take the chunks that have come, oldest first.

        Raises:
            SourceError: the device has stopped, for example because it was unplugged.
        """
        active = self._stream.active
        taken = [self._chunks.popleft() for _ in range(len(self._chunks))]
        if not taken and not active:
            raise SourceError(
                f'microphone {self.device.name} has stopped: unplugged, or taken by another '
                f'program; open it again')
        return taken

    def close(self) -> None:
        """Stop recording; a second call does nothing."""
        self._stream.close()

    def _start(self, portaudio: Any) -> Any:
        try:
            stream = portaudio.RawInputStream(
                device=self.device.index, samplerate=self.rate, channels=self.channels,
                dtype='int16', blocksize=CHUNK_CAPACITY // self.channels,
                callback=self._on_block)
        except portaudio.PortAudioError as error:
            raise _cannot_open(self.device, error) from error
        try:
            stream.start()
        except portaudio.PortAudioError as error:
            stream.close()
            raise _cannot_open(self.device, error) from error
        return stream

    def _on_block(self, data: Any, frames: int, _times: Any, status: Any) -> None:
        """Queue a block; PortAudio's thread."""
        end_ns = self._clock_ns()
        if status.input_overflow:
            self._lose()
        if len(self._chunks) >= _WAITING:
            self._lose()
            return
        self._chunks.append(Chunk(
            self._stream_name, self._sequence, end_ns - frames * _NS // self.rate, self.rate,
            self.channels, np.frombuffer(bytes(data), np.int16)))
        self._sequence += 1

    def _lose(self) -> None:
        self.overflows += 1
        self._sequence += 1


def _portaudio() -> Any:
    try:
        return importlib.import_module('sounddevice')
    except ImportError as error:
        raise SourceError(
            f'no microphone can be used: {error}; install it with `python3 -m pip install '
            f'sounddevice`') from error
    except OSError as error:
        raise SourceError(
            f'no microphone can be used: {error}; install it, for example with `sudo apt-get '
            f'install libportaudio2`') from error


def _choose(name: str, listed: list[Device]) -> Device:
    """Pick the device that a person means."""
    if not listed:
        raise SourceError('no microphone: this machine has no input device; see `arecord -l`')
    if not name:
        return next((item for item in listed if item.is_default), listed[0])
    if name.isdecimal():
        chosen = [item for item in listed if item.index == int(name)]
    else:
        chosen = ([item for item in listed if item.name == name]
                  or [item for item in listed if name.lower() in item.name.lower()])
    if not chosen:
        raise SourceError(f'no microphone is named {name!r}; there are: {_listing(listed)}')
    if len(chosen) > 1:
        raise SourceError(f'{len(chosen)} microphones are named {name!r}, choose one by its '
                          f'number: {_listing(chosen)}')
    return chosen[0]


def _listing(listed: Iterable[Device]) -> str:
    return ', '.join(f'{item.index}: {item.name}' for item in listed)


def _form(device: Device, portaudio: Any) -> tuple[int, int]:
    """Pick the rate [Hz] and the number of channels in which the device is recorded.

    Its own rate comes first: a driver that converts may do so without a filter, ingest has one.
    """
    forms = [(rate, channels) for rate in (device.rate, SAMPLE_RATE) if rate in RATES
             for channels in (1, min(device.channels, CHANNELS[-1]))]
    for rate, channels in forms:
        refusal = _refusal(device, rate, channels, portaudio)
        if refusal is None:
            return rate, channels
    raise _cannot_open(device, refusal)


def _refusal(device: Device, rate: int, channels: int, portaudio: Any) -> Exception | None:
    """Ask whether the device can be recorded in this form; return what speaks against it."""
    try:
        portaudio.check_input_settings(
            device=device.index, channels=channels, dtype='int16', samplerate=rate)
    except portaudio.PortAudioError as error:
        return error  # type: ignore[no-any-return]
    return None


def _cannot_open(device: Device, reason: object) -> SourceError:
    return SourceError(
        f'microphone {device.name} cannot be opened ({reason}); is another program using it?')
