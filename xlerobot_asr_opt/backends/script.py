"""The script of the scripted backend: what it says, and what goes wrong with it.

A script is a YAML file with ``answers``, ``faults`` or both. An answer without ``length_s`` is due
in its turn, and after the last one comes the first again; an answer with ``length_s: [at least,
below]`` is given to every segment of that length and takes no turn. Each answer is one of

    - text: go to the kitchen    # with language, confidence and reason if wanted
    - no_speech: true            # with reason if wanted
    - error: the accelerator is gone
    - nan: true                  # the model gave NaN
    - shape: true                # the model takes arrays of another shape
    - hang_s: 60                 # nothing for that long, then an error: a time-out
    - hot_s: 5                   # four words; then for that long hotter than any limit
    - busy_s: 5                  # four words; then for that long busier than any limit

and all but hang_s may carry ``delay_s``, the time that they take. Where no answer is due, a
segment is answered with four words that follow from its samples alone. Faults come at random:

    faults: {seed: 7, share: 0.3, hang_s: 0.6, hot_s: 0.2, busy_s: 0.2}

has this share of the segments fail, each in one of the ways above, the same ones for the same
seed. Without hang_s, hot_s or busy_s the faults of that kind are left out.
"""

from __future__ import annotations

import enum
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlerobot_asr_opt.errors import ConfigurationError
from xlerobot_asr_opt.records import NOT_GIVEN
from xlerobot_asr_opt.untrusted import parse_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ['Answer', 'Faults', 'Kind', 'Script', 'read_script']


class Kind(enum.Enum):
    """What an answer does; the value is the key that says so in a script."""

    TEXT = 'text'
    NO_SPEECH = 'no_speech'
    ERROR = 'error'
    NAN = 'nan'
    SHAPE = 'shape'
    HANG = 'hang_s'
    HOT = 'hot_s'
    BUSY = 'busy_s'


LASTING = (Kind.HANG, Kind.HOT, Kind.BUSY)
"""Kinds whose value says for how long."""


@dataclass(frozen=True)
class Answer:
    """One answer of a script.

    Attributes:
        kind: what it does.
        text: of TEXT; the message of ERROR.
        language: of TEXT; empty: the language that was asked for.
        confidence: of TEXT, 0 to 1 or NaN.
        reason: of TEXT and NO_SPEECH.
        delay_s: time before the answer or the error [s].
        length_s: segments that it answers, at least and below [s]; None: due in its turn.
        lasts_s: of HOT and BUSY: how long that is so, from the answer on [s].
    """

    kind: Kind
    text: str = ''
    language: str = ''
    confidence: float = NOT_GIVEN
    reason: str = ''
    delay_s: float = 0.0
    length_s: tuple[float, float] | None = None
    lasts_s: float = 0.0

    def answers(self, seconds: float) -> bool:
        """Whether it is meant for a segment of this length."""
        return self.length_s is not None and self.length_s[0] <= seconds < self.length_s[1]


@dataclass(frozen=True)
class Faults:
    """What goes wrong at random.

    Attributes:
        seed: the same one gives the same faults.
        share: of the segments that fail, 0 to 1.
        kinds: the answers of those that fail, equally likely.
    """

    seed: int
    share: float
    kinds: tuple[Answer, ...]


@dataclass(frozen=True)
class Script:
    """What a script says.

    Attributes:
        answers: in order.
        faults: None: none.
    """

    answers: tuple[Answer, ...] = ()
    faults: Faults | None = None


def read_script(path: Path) -> Script:
    """Read a script.

    Raises:
        ConfigurationError: the file cannot be read, or a key or value (named) is not valid.
    """
    try:
        script = parse_yaml(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f'script {path}: {error}') from error
    if not isinstance(script, dict) or not script or not set(script) <= {'answers', 'faults'}:
        raise ConfigurationError(f'script {path}: expected the keys answers, with a list, or '
                                 'faults, with seed and share, or both')
    answers = script.get('answers', [])
    if 'answers' in script and (not isinstance(answers, list) or not answers):
        raise ConfigurationError(f'script {path}: answers: expected a list of at least one answer')
    return Script(
        tuple(_read_answer(answer, f'script {path}: answers[{index}]')
              for index, answer in enumerate(answers)),
        _read_faults(script['faults'], f'script {path}: faults') if 'faults' in script else None)


def _read_faults(entry: Any, where: str) -> Faults:
    """Check the faults of a script, and make answers of them."""
    if not isinstance(entry, dict) or not {'seed', 'share'} <= set(entry):
        raise ConfigurationError(
            f'{where}: got {json.dumps(entry, default=str)}, expected at least seed and share')
    for key in entry:
        if key not in _FAULT_VALUES:
            raise ConfigurationError(
                f'{where}: unknown key {key}; allowed: {", ".join(_FAULT_VALUES)}')
    fields = {key: _FAULT_VALUES[key](value, f'{where}: {key}') for key, value in entry.items()}
    kinds = [
        Answer(Kind.ERROR, 'an error at random'), Answer(Kind.NAN), Answer(Kind.SHAPE),
        *(_answer_of(kind, {kind.value: fields[kind.value]}) for kind in LASTING
          if kind.value in fields)]
    return Faults(fields['seed'], fields['share'], tuple(kinds))


def _read_answer(entry: Any, where: str) -> Answer:
    """Check one entry of a script and make an Answer of it."""
    if not isinstance(entry, dict):
        raise ConfigurationError(f'{where}: got {json.dumps(entry, default=str)}, expected keys')
    kinds = [kind for kind in Kind if kind.value in entry]
    if len(kinds) != 1:
        raise ConfigurationError(
            f'{where}: expected exactly one of {", ".join(kind.value for kind in Kind)}')
    kind = kinds[0]
    allowed = {kind.value, 'length_s', *_EXTRAS[kind]}
    for key in entry:
        if key not in allowed:
            raise ConfigurationError(
                f'{where}: unknown key {key} beside {kind.value}; '
                f'allowed: {", ".join(sorted(allowed))}')
    fields = {key: _VALUES[key](value, f'{where}: {key}') for key, value in entry.items()}
    return _answer_of(kind, fields)


def _answer_of(kind: Kind, fields: Mapping[str, Any]) -> Answer:
    """Give the checked values of an entry the names that an Answer has for them."""
    rest = {key: value for key, value in fields.items() if key != kind.value}
    if kind is Kind.HANG:
        return Answer(kind, delay_s=fields['hang_s'], **rest)
    if kind in LASTING:
        return Answer(kind, lasts_s=fields[kind.value], **rest)
    if kind in (Kind.TEXT, Kind.ERROR):
        return Answer(kind, text=fields[kind.value], **rest)
    return Answer(kind, **rest)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise ConfigurationError(f'{where}: got {value!r}, expected a string; quote it')
    return value


def _true(value: Any, where: str) -> bool:
    if value is not True:
        raise ConfigurationError(f'{where}: got {value!r}, expected true')
    return True


def _number(value: Any, where: str, high: float = 3600.0) -> float:
    if type(value) not in (int, float) or not 0 <= value <= high or math.isnan(value):
        raise ConfigurationError(f'{where}: got {value!r}, expected a number from 0 to {high:g}')
    return float(value)


def _seed(value: Any, where: str) -> int:
    if type(value) is not int:
        raise ConfigurationError(f'{where}: got {value!r}, expected a whole number')
    return value


def _probability(value: Any, where: str) -> float:
    return _number(value, where, high=1.0)


def _range(value: Any, where: str) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise ConfigurationError(f'{where}: got {value!r}, expected [at least, below] in seconds')
    low, high = (_number(item, where) for item in value)
    if low >= high:
        raise ConfigurationError(f'{where}: got {value!r}, expected the first below the second')
    return low, high


_EXTRAS = {
    Kind.TEXT: ('delay_s', 'language', 'confidence', 'reason'),
    Kind.NO_SPEECH: ('delay_s', 'reason'),
    Kind.ERROR: ('delay_s',),
    Kind.NAN: ('delay_s',),
    Kind.SHAPE: ('delay_s',),
    Kind.HANG: (),
    Kind.HOT: ('delay_s',),
    Kind.BUSY: ('delay_s',),
}

_VALUES: dict[str, Callable[[Any, str], Any]] = {
    'text': _text,
    'no_speech': _true,
    'error': _text,
    'nan': _true,
    'shape': _true,
    'hang_s': _number,
    'hot_s': _number,
    'busy_s': _number,
    'delay_s': _number,
    'language': _text,
    'confidence': _probability,
    'reason': _text,
    'length_s': _range,
}

_FAULT_VALUES: dict[str, Callable[[Any, str], Any]] = {
    'seed': _seed,
    'share': _probability,
    'hang_s': _number,
    'hot_s': _number,
    'busy_s': _number,
}
