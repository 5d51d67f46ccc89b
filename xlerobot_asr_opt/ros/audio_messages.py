"""Audio messages of other packages: what each family of them says, and where its samples lie.

Two packages have the name audio_common_msgs, and two the name audio_msg. Their types have the same
names as far as their fields differ, so a type counts only with the fields that are read here. None
of these packages is asked for: whoever has one can have its topics heard.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.core.encodings import encoding_named
from xlerobot_asr_opt.core.pcm import from_numbers, to_int16
from xlerobot_asr_opt.core.topic_entries import Form
from xlerobot_asr_opt.errors import AudioError, ConfigurationError
from xlerobot_asr_opt.records import CHANNELS
from xlerobot_asr_opt.sources.messages import nanoseconds

__all__ = ['FAMILIES', 'NATIVE', 'Family', 'Heard', 'form_of_info', 'message_class']

NATIVE = 'xlerobot_asr_interfaces/msg/AudioChunk'
"""The type that ingest reads without an adapter."""


@dataclass(frozen=True)
class Heard:
    """The audio of one message.

    Attributes:
        samples: int16[frames * channels], interleaved; may be a view of the message.
        rate: [Hz].
        channels: as the message says; not checked.
        stamp_ns: ROS time of the first sample [ns]; 0: the message has none.
        number: counts the messages of the publisher; None: the message has none.
    """

    samples: npt.NDArray[np.int16]
    rate: int
    channels: int
    stamp_ns: int = 0
    number: int | None = None


@dataclass(frozen=True)
class Family:
    """How one type of message is read.

    Attributes:
        origin: whose package it is, for people.
        fields: that a message of it has at least; tells packages of one name apart.
        says_form: whether the messages say their rate, channels and encoding.
        read: gives the audio of a message, None for one that carries none, or raises AudioError.
            The form is for those that do not say theirs.
        has_info: whether an AudioInfo on a topic beside it says the form.
    """

    origin: str
    fields: frozenset[str]
    says_form: bool
    read: Callable[[Any, Form], Heard | None]
    has_info: bool = False


def _raw(data: Any, form: Form, stamp_ns: int = 0, number: int | None = None) -> Heard:
    """Read the bytes of a uint8[] or byte[] field."""
    if form.channels not in CHANNELS:
        raise AudioError(
            f'got {form.channels} channels, expected {CHANNELS[0]} to {CHANNELS[-1]}')
    # rclpy gives byte[] as a list with an object for each.
    octets = b''.join(data) if isinstance(data, list) else bytes(data)
    samples = to_int16(octets, form.encoding, form.channels)
    return Heard(samples, form.rate, form.channels, stamp_ns, number)


# ros-drivers/audio_common


def _audio_data(message: Any, form: Form) -> Heard:
    return _raw(message.data, form)


def _audio_data_stamped(message: Any, form: Form) -> Heard:
    return _raw(message.audio.data, form, nanoseconds(message.header.stamp))


def form_of_info(info: Any) -> Form:
    """Return what an AudioInfo of ros-drivers says of the topic beside it.

    Raises:
        AudioError: a compressed or unknown encoding.
    """
    if info.coding_format:
        encoding_named(info.coding_format)
    return Form(encoding_named(info.sample_format or 'S16LE'), info.sample_rate, info.channels)


# mgonzs13/audio_common

_PORTAUDIO = {1: 'float32_data', 2: 'int32_data', 8: 'int16_data', 16: 'int8_data',
              32: 'uint8_data'}
"""PortAudio's numbers of sample formats, to the field that carries them."""


def _audio(message: Any, _: Form, stamp_ns: int = 0) -> Heard:
    info = message.info
    field = _PORTAUDIO.get(info.format)
    if field is None:
        raise AudioError(
            f'got the sample format {info.format}, expected one of PortAudio: '
            f'{", ".join(f"{number} {name}" for number, name in _PORTAUDIO.items())}')
    data = getattr(message.audio_data, field)
    if not len(data):
        given = [name for name in _PORTAUDIO.values() if len(getattr(message.audio_data, name))]
        raise AudioError(
            f'got no {field}, which sample format {info.format} stands for, but '
            f'{", ".join(given) or "no samples at all"}')
    return Heard(from_numbers(np.asarray(data)), info.rate, info.channels, stamp_ns)


def _audio_stamped(message: Any, form: Form) -> Heard:
    return _audio(message.audio, form, nanoseconds(message.header.stamp))


# audio_msg of TogetheROS.Bot: frame_type.value is a number of AudioFrameType, SmartAudioFrameType

_FRAME_AUDIO, _FRAME_SMART = 1, 2
_SMART_VOIP = 1


def _smart_audio(
    message: Any, form: Form, stamp_ns: int = 0, number: int | None = None,
) -> Heard | None:
    """Read denoised audio; events, command words and directions are none.

    What is sent with a wake-up word, and to a recogniser, is the same audio once more.
    """
    if message.frame_type.value != _SMART_VOIP:
        return None
    return _raw(message.data, form, stamp_ns, number)


def _audio_frame(message: Any, form: Form) -> Heard | None:
    kind, stamp_ns = message.frame_type.value, nanoseconds(message.pts)
    if kind == _FRAME_AUDIO:
        return _raw(message.data, form, stamp_ns, message.index)
    if kind == _FRAME_SMART:
        return _smart_audio(message.smart_audio, form, stamp_ns, message.index)
    raise AudioError(
        f'got the frame type {kind}, expected {_FRAME_AUDIO} (audio) or {_FRAME_SMART} (smart '
        f'audio)')


# audio_msg of the earlier system


def _earlier(message: Any, _: Form) -> Heard:
    form = Form(encoding_named(message.format), message.sample_rate, message.channels)
    return _raw(message.data, form, nanoseconds(message.header.stamp))


FAMILIES = {
    'audio_common_msgs/msg/AudioData': Family(
        'ros-drivers/audio_common', frozenset({'data'}), False, _audio_data, has_info=True),
    'audio_common_msgs/msg/AudioDataStamped': Family(
        'ros-drivers/audio_common', frozenset({'header', 'audio'}), False, _audio_data_stamped,
        has_info=True),
    'audio_common_msgs/msg/Audio': Family(
        'mgonzs13/audio_common', frozenset({'audio_data', 'info'}), True, _audio),
    'audio_common_msgs/msg/AudioStamped': Family(
        'mgonzs13/audio_common', frozenset({'header', 'audio'}), True, _audio_stamped),
    'audio_msg/msg/AudioFrame': Family(
        'TogetheROS.Bot', frozenset({'index', 'pts', 'frame_type', 'data', 'smart_audio'}), False,
        _audio_frame),
    'audio_msg/msg/SmartAudioData': Family(
        'TogetheROS.Bot', frozenset({'frame_type', 'data'}), False, _smart_audio),
    'audio_msg/msg/AudioData': Family(
        'the earlier xlerobot', frozenset({'header', 'sample_rate', 'channels', 'format', 'data'}),
        True, _earlier),
}
"""Type to how it is read."""


def message_class(kind: str, load: Callable[[str], Any] = importlib.import_module) -> Any:
    """Return the class of a type of FAMILIES.

    Args:
        kind: package/msg/Type.
        load: imports a module by its name.

    Raises:
        ConfigurationError: no such type is heard; its package is not there; or it is the other
            package of that name.
    """
    family = FAMILIES.get(kind)
    if family is None:
        raise ConfigurationError(
            f'got messages of {kind}, expected one of {NATIVE}, {", ".join(FAMILIES)}')
    package, _, name = kind.split('/')
    try:
        found = getattr(load(f'{package}.msg'), name, None)
    except ImportError as error:
        raise ConfigurationError(
            f'{kind} cannot be read, as its package is not in this environment ({error}): install '
            f'{package} of {family.origin}, or source the workspace that has it') from error
    there: Iterable[str] = found.get_fields_and_field_types() if found else ()
    if not found or not family.fields <= set(there):
        raise ConfigurationError(
            f'{kind} cannot be read: the {package} of this environment is not that of '
            f'{family.origin}; it has {", ".join(there) if found else f"no {name}"}, expected '
            f'{", ".join(sorted(family.fields))}; source the workspace that has the right one')
    return found
