"""What a person writes about an audio topic: its name, and what its messages do not say.

    audio                                                a topic of any type
    /audio/in:audio_common_msgs/AudioStamped             of this type
    /audio:audio_common_msgs/AudioData:S16LE:48000:2     which does not say its form

The type is left out by `audio::S16LE:48000:2`, encoding, rate and channels from the end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from xlerobot_asr_opt.core.encodings import encoding_named
from xlerobot_asr_opt.errors import AudioError, ConfigurationError
from xlerobot_asr_opt.records import CHANNELS, LONGEST_NAME, RATES, SAMPLE_RATE

__all__ = ['Form', 'TopicEntry', 'topic_entry']

_TYPE = re.compile(r'(\w+)/(?:msg/)?(\w+)', re.ASCII)
_NAME = re.compile(r'[\w~/]+', re.ASCII)
_VOICE = re.compile(r'/humans/voices/(\w+)/audio', re.ASCII)
_EXPECTED = 'TOPIC, TOPIC:PACKAGE/TYPE or TOPIC:PACKAGE/TYPE:ENCODING:RATE:CHANNELS'


@dataclass(frozen=True)
class Form:
    """How samples are written down.

    Attributes:
        encoding: of encodings.WIDTHS.
        rate: samples per second and channel [Hz].
        channels: interleaved channels.
    """

    encoding: str = 'S16LE'
    rate: int = SAMPLE_RATE
    channels: int = 1

    def __str__(self) -> str:
        """As it stands in an entry."""
        return f'{self.encoding}:{self.rate}:{self.channels}'


@dataclass(frozen=True)
class TopicEntry:
    """One entry of the parameter topics.

    Attributes:
        topic: its name, resolved like any other.
        type: of its messages, as package/msg/Type; empty: that of its publishers.
        form: of its samples, where neither a message nor an AudioInfo says it; None: not given.
    """

    topic: str
    type: str = ''
    form: Form | None = None

    @property
    def stream(self) -> str:
        """Name of the stream of messages that name none.

        The voice's of a topic of REP-155, so that its speech goes to the same voice; else the
        topic's, without the slash in front, and of a long one the end.
        """
        voice = _VOICE.fullmatch(self.topic)
        return (voice[1] if voice else self.topic.strip('/'))[-LONGEST_NAME:]


def topic_entry(text: str) -> TopicEntry:
    """Read an entry.

    Raises:
        ConfigurationError: it cannot be read, or what it says cannot be heard.
    """
    topic, *rest = (part.strip() for part in text.split(':'))
    if not _NAME.fullmatch(topic) or len(rest) > 4:
        raise ConfigurationError(f'topics: got {text!r}, expected {_EXPECTED}')
    kind = ''
    if rest and rest[0]:
        named = _TYPE.fullmatch(rest[0])
        if not named:
            raise ConfigurationError(
                f'topics: got the type {rest[0]!r} in {text!r}, expected {_EXPECTED}')
        kind = f'{named[1]}/msg/{named[2]}'
    return TopicEntry(topic, kind, _form(text, *rest[1:]) if len(rest) > 1 else None)


def _form(entry: str, encoding: str, rate: str = '', channels: str = '') -> Form:
    try:
        name = encoding_named(encoding) if encoding else Form.encoding
    except AudioError as error:
        raise ConfigurationError(f'topics: {entry}: {error}') from error
    return Form(name, _number(entry, rate, 'rate', RATES, Form.rate),
                _number(entry, channels, 'channels', CHANNELS, Form.channels))


def _number(entry: str, text: str, what: str, allowed: range, default: int) -> int:
    if not text:
        return default
    if not text.isdecimal() or int(text) not in allowed:
        raise ConfigurationError(
            f'topics: got the {what} {text!r} in {entry!r}, expected {allowed[0]} to '
            f'{allowed[-1]}')
    return int(text)
