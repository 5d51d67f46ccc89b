"""Translates the settings of a cloud recogniser into parameters of this graph.

The keys are those of Alibaba Cloud's Intelligent Speech Interaction, as its API reference for
real-time and for short sentence recognition lists them, and of Model Studio; in the spelling of
the protocol (max_sentence_silence) or of the SDKs (maxSentenceSilence), anywhere in a file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from xlerobot_asr_opt.cloud_settings import LEFT_OUT
from xlerobot_asr_opt.errors import ConfigurationError
from xlerobot_asr_opt.parameters import NODES, table

__all__ = ['Left', 'Mapped', 'Translation', 'as_parameter_file', 'translate']

MOST_KEYS = 10_000
"""Keys that a file may have: aliases of YAML can make a few lines into billions."""
HOTWORD_BEAM = 8
"""Narrowest beam with which hotwords are heard (parameters.py)."""
LANGUAGES = {'cn': 'zh', 'mandarin': 'zh', 'cantonese': 'yue', 'auto': ''}
"""Names of languages that are not the codes that this package knows."""


@dataclass(frozen=True)
class Mapped:
    """A setting that has an equivalent.

    Attributes:
        key: where it was found, with dots.
        node: executable of the node that takes it.
        name: of the parameter.
        value: of the parameter, checked.
        note: what is not quite the same; may be empty.
    """

    key: str
    node: str
    name: str
    value: Any
    note: str = ''


@dataclass(frozen=True)
class Left:
    """A setting that has none, and why. Its value is not told: it may be a secret."""

    key: str
    why: str


@dataclass(frozen=True)
class Translation:
    """What became of each setting of a file, in the file's order."""

    mapped: tuple[Mapped, ...]
    left: tuple[Left, ...]

    @property
    def parameters(self) -> dict[str, dict[str, Any]]:
        """Values by the executable of the node and the name of the parameter."""
        values: dict[str, dict[str, Any]] = {}
        for item in self.mapped:
            values.setdefault(item.node, {})[item.name] = item.value
            if item.name == 'hotwords':
                values[item.node]['beam'] = HOTWORD_BEAM
        return values


class _Rule(NamedTuple):
    """Which parameter a setting becomes, and how its value does."""

    node: str
    name: str
    convert: Callable[[Any], Any]
    note: str = ''


def translate(content: object, section: str = '') -> Translation:
    """Translate the content of a file.

    Args:
        content: mappings, sequences and scalars, as YAML and JSON have them.
        section: dotted path of the only part that is read; empty: all of it.

    Raises:
        ConfigurationError: the content is no mapping, has no such section or too many keys, a
            value is of another type than its key says, or two settings contradict each other.
    """
    mapped: dict[tuple[str, str], Mapped] = {}
    left: list[Left] = []
    for key, value in _settings(_part(content, section), section):
        outcome = _outcome(key, value)
        if isinstance(outcome, Left):
            left.append(outcome)
            continue
        first = mapped.setdefault((outcome.node, outcome.name), outcome)
        if first.value != outcome.value:
            raise ConfigurationError(
                f'{first.key} and {key} are both {outcome.node}.{outcome.name}, and differ; '
                'name the part that counts with --section')
    return Translation(tuple(mapped.values()), tuple(left))


def as_parameter_file(translation: Translation, origin: str) -> str:
    """Write a ROS 2 parameter file, as config/asr.yaml is one.

    Args:
        translation: with at least one setting that was mapped.
        origin: name of the file that was translated, for the comment at the top.
    """
    lines = [f'# Translated from {json.dumps(origin)} by xlerobot-asr config import.']
    for node, values in translation.parameters.items():
        lines += ['', f'/**/{node}:', '  ros__parameters:']
        # JSON's scalars and lists are YAML's, and no text of the file can break out of them.
        lines += [
            f'    {name}: {json.dumps(list(value) if isinstance(value, tuple) else value)}'
            for name, value in values.items()]
    return '\n'.join(lines) + '\n'


def _part(content: object, section: str) -> object:
    """Go down to a section."""
    for name in filter(None, section.split('.')):
        if not isinstance(content, Mapping) or name not in content:
            raise ConfigurationError(f'there is no section {section}: {name} is not there')
        content = content[name]
    if not isinstance(content, Mapping):
        got = 'nothing' if content is None else f'a {type(content).__name__}'
        raise ConfigurationError(
            f'got {got}{f" in {section}" if section else ""}, expected settings by name, such as '
            'max_sentence_silence: 800')
    return content


def _settings(content: object, section: str) -> Iterator[tuple[str, Any]]:
    """Give each setting with its dotted path, in the order of the file."""
    waiting: list[tuple[str, Any]] = [(section, content)]
    count = 0
    while waiting:
        path, value = waiting.pop()
        count += 1
        if count > MOST_KEYS:
            raise ConfigurationError(f'more than {MOST_KEYS} keys: this is no configuration')
        if isinstance(value, Mapping) and _name(path) not in RULES:
            inner = [(f'{path}.{key}' if path else str(key), one) for key, one in value.items()]
            waiting.extend(reversed(inner))
        elif path:
            yield path, value


def _outcome(key: str, value: object) -> Mapped | Left:
    """Decide what becomes of one setting."""
    name = _name(key)
    rule = RULES.get(name)
    if rule is None:
        return Left(key, LEFT_OUT.get(name, 'it is not known here'))
    if value is None or value == '':
        return Left(key, 'it is empty')
    try:
        converted = rule.convert(value)
    except ConfigurationError as error:
        raise ConfigurationError(f'{key}: {error}') from None
    parameter = next(item for item in table(NODES[rule.node]) if item.name == rule.name)
    try:
        return Mapped(key, rule.node, rule.name, parameter.check(converted), rule.note)
    except ConfigurationError as error:
        return Left(key, f'{rule.node}.{error}')


def _name(path: str) -> str:
    """Last part of a path in the protocol's spelling: maxSentenceSilence, MAX-SENTENCE-SILENCE."""
    last = path.rpartition('.')[2].replace('-', '_')
    return re.sub(r'(?<=[a-z0-9])(?=[A-Z])', '_', last).lower()


def _seconds(value: object) -> float:
    """Read milliseconds."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ConfigurationError(f'got {value!r}, expected milliseconds')
    try:
        return float(value) / 1000.0
    except (ValueError, OverflowError):
        raise ConfigurationError(f'got {value!r}, expected milliseconds') from None


def _switch(value: object) -> bool:
    """Read true or false, which may be quoted."""
    words = {'true': True, 'false': False, '1': True, '0': False}
    known = words.get(str(value).lower())
    if known is None:
        raise ConfigurationError(f'got {value!r}, expected true or false')
    return known


def _phrases(value: object) -> tuple[str, ...]:
    """Read phrases: a list, the keys of weights, or a text with one phrase a line or comma."""
    if isinstance(value, str):
        value = re.split(r'[\n,]', value)
    if not isinstance(value, (list, tuple, Mapping)):
        raise ConfigurationError(f'got {value!r}, expected a list of phrases')
    phrases = []
    for item in value:
        phrase = item.get('text') if isinstance(item, Mapping) else item
        if not isinstance(phrase, str):
            raise ConfigurationError(f'got {value!r}, expected a list of phrases')
        # A colon would be taken for the one before a boost.
        phrases.append(phrase.replace(':', ' ').strip())
    return tuple(filter(None, phrases))


def _language(value: object) -> str:
    """Read one code of a language, of which the region says nothing here."""
    if isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]
    if not isinstance(value, str):
        raise ConfigurationError(f'got {value!r}, expected one language, such as zh')
    code = re.split(r'[-_]', value.strip().lower())[0]
    return LANGUAGES.get(code, code)


def _text(value: object) -> str:
    """Read a name or a number as text."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise ConfigurationError(f'got {value!r}, expected a name or a number')
    return str(value)


_HANGOVER = _Rule('ingest', 'hangover', _seconds)
_DIGITS = _Rule(
    'inference', 'digits', _switch,
    'SenseVoice writes punctuation with digits alone; Whisper always writes it')
_HOTWORDS = _Rule(
    'inference', 'hotwords', _phrases,
    'only a CTC model, such as SenseVoice, takes hotwords; weights are of another scale and were '
    f'left out; inference.beam becomes {HOTWORD_BEAM}')
_DEVICE = _Rule('ingest', 'device', _text)
_PARTIALS = _Rule(
    'ingest', 'partials', lambda value: 1.0 if _switch(value) else 0.0,
    'a text so far after every second of speech, on the topic partial')

RULES: Mapping[str, _Rule] = {
    'max_sentence_silence': _HANGOVER,
    'max_end_silence': _HANGOVER,
    'enable_inverse_text_normalization': _DIGITS,
    'inverse_text_normalization_enabled': _DIGITS,
    'enable_itn': _DIGITS,
    'enable_intermediate_result': _PARTIALS,
    'enable_partial_result': _PARTIALS,
    'hotwords': _HOTWORDS,
    'hot_words': _HOTWORDS,
    'vocabulary': _HOTWORDS,
    'language': _Rule('inference', 'language', _language),
    'language_hints': _Rule('inference', 'language', _language),
    'device': _DEVICE,
    'device_name': _DEVICE,
    'input_device': _DEVICE,
    'device_index': _DEVICE._replace(
        note='a number may be another microphone after the next boot; a name is not'),
}
"""What has an equivalent, by the protocol's name."""
