"""Answers from a script instead of a model: for tests of robots, and for this package's own.

A script is a YAML file with one list, ``answers``. An answer without ``length_s`` is due in its
turn, and after the last one comes the first again; an answer with ``length_s: [at least, below]``
is given to every segment of that length and takes no turn. Each answer is one of

    - text: go to the kitchen    # with language, confidence and reason if wanted
    - no_speech: true            # with reason if wanted
    - error: the accelerator is gone
    - nan: true                  # the model gave NaN
    - hang_s: 60                 # nothing for that long, then an error: a time-out

and all but the last may carry ``delay_s``, the time that they take. Without a script every
segment is answered with four words that follow from its samples alone.
"""

from __future__ import annotations

import enum
import hashlib
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from xlerobot_asr_opt.backends.base import Prepared, Result, Samples, check_samples
from xlerobot_asr_opt.errors import BackendError, ConfigurationError
from xlerobot_asr_opt.records import NOT_GIVEN, SAMPLE_RATE, RecognitionStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ['Answer', 'Kind', 'ScriptedBackend', 'read_script']

NAME = 'scripted'
LONGEST = 30 * SAMPLE_RATE
WORDS = ('alpha', 'bravo', 'charlie', 'delta', 'echo', 'foxtrot', 'golf', 'hotel',
         'india', 'juliett', 'kilo', 'lima', 'mike', 'november', 'oscar', 'papa')


class Kind(enum.Enum):
    """What an answer does; the value is the key that says so in a script."""

    TEXT = 'text'
    NO_SPEECH = 'no_speech'
    ERROR = 'error'
    NAN = 'nan'
    HANG = 'hang_s'


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
    """

    kind: Kind
    text: str = ''
    language: str = ''
    confidence: float = NOT_GIVEN
    reason: str = ''
    delay_s: float = 0.0
    length_s: tuple[float, float] | None = None

    def answers(self, seconds: float) -> bool:
        """Whether it is meant for a segment of this length."""
        return self.length_s is not None and self.length_s[0] <= seconds < self.length_s[1]


class ScriptedBackend:
    """An InferenceBackend that answers from a script.

    Args:
        answers: what it says; empty: four words that follow from the samples.
        sleep: waits for a number of seconds; handed in by tests.
        clock: seconds, monotonic; handed in by tests.
    """

    name = NAME
    longest = LONGEST

    def __init__(
        self,
        answers: tuple[Answer, ...] = (),
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._in_turn = tuple(answer for answer in answers if answer.length_s is None)
        self._by_length = tuple(answer for answer in answers if answer.length_s is not None)
        self._turn = 0
        self._sleep = sleep
        self._clock = clock
        self.digest = hashlib.blake2b(repr((NAME, answers)).encode(), digest_size=32).digest()

    @classmethod
    def from_file(cls, script: str) -> ScriptedBackend:
        """Make one from a YAML file; an empty path: without a script.

        Raises:
            ConfigurationError: the file cannot be read, or a key or value is not valid.
        """
        return cls(read_script(Path(script)) if script else ())

    def load(self) -> None:
        """Begin with the first answer."""
        self._turn = 0

    def warm_up(self) -> None:
        """Nothing to warm; takes no turn."""

    def close(self) -> None:
        """Nothing to close."""

    def prepare(self, samples: Samples, language: str) -> Prepared:
        """Keep a digest of the samples."""
        check_samples(samples, self.longest)
        start = self._clock()
        digest = hashlib.blake2b(np.ascontiguousarray(samples).data, digest_size=8).digest()
        features = np.frombuffer(digest, np.uint8)
        return Prepared(features, len(samples), language, 1e3 * (self._clock() - start))

    def recognise(self, prepared: Prepared) -> Result:
        """Give the answer that is due.

        Raises:
            BackendError: the script says so.
        """
        start = self._clock()
        answer = self._due(prepared)
        if answer.delay_s:
            self._sleep(answer.delay_s)
        if answer.kind is Kind.ERROR:
            raise BackendError(answer.text)
        if answer.kind is Kind.NAN:
            raise BackendError('the model gave NaN, expected finite numbers; try another backend')
        if answer.kind is Kind.HANG:
            raise BackendError(f'no answer within {answer.delay_s:g} s; try another backend')
        spoken = answer.kind is Kind.TEXT
        return Result(
            status=RecognitionStatus.DONE if spoken else RecognitionStatus.NO_SPEECH,
            text=answer.text,
            language=(answer.language or prepared.language) if spoken else '',
            confidence=answer.confidence,
            backend=self.name,
            reason=answer.reason,
            features_ms=prepared.features_ms,
            decode_ms=1e3 * (self._clock() - start),
        )

    def _due(self, prepared: Prepared) -> Answer:
        """The answer for this segment; moves on in the script."""
        seconds = prepared.length / SAMPLE_RATE
        for answer in self._by_length:
            if answer.answers(seconds):
                return answer
        if not self._in_turn:
            return _answer_from(prepared)
        answer = self._in_turn[self._turn % len(self._in_turn)]
        self._turn += 1
        return answer


def _answer_from(prepared: Prepared) -> Answer:
    """Four words that follow from the digest of the samples; nothing for no samples."""
    if prepared.length == 0:
        return Answer(Kind.NO_SPEECH, reason='no samples')
    return Answer(Kind.TEXT, ' '.join(WORDS[byte % len(WORDS)] for byte in prepared.features[:4]))


def read_script(path: Path) -> tuple[Answer, ...]:
    """Read the answers of a script.

    Raises:
        ConfigurationError: the file cannot be read, or a key or value (named) is not valid.
    """
    try:
        script = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f'script {path}: {error}') from error
    if not isinstance(script, dict) or set(script) != {'answers'}:
        raise ConfigurationError(f'script {path}: expected one key, answers, with a list')
    answers = script['answers']
    if not isinstance(answers, list) or not answers:
        raise ConfigurationError(f'script {path}: answers: expected a list of at least one answer')
    return tuple(_read_answer(answer, f'script {path}: answers[{index}]')
                 for index, answer in enumerate(answers))


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
    Kind.HANG: (),
}

_VALUES: dict[str, Callable[[Any, str], Any]] = {
    'text': _text,
    'no_speech': _true,
    'error': _text,
    'nan': _true,
    'hang_s': _number,
    'delay_s': _number,
    'language': _text,
    'confidence': _probability,
    'reason': _text,
    'length_s': _range,
}
