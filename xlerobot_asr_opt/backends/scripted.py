"""Answers from a script instead of a model: for tests of robots, and for this package's own.

script.py has what a script may say: texts, errors, NaN, arrays of another shape, hangs, heat and
load, each in its turn or at random by a seed.
"""

from __future__ import annotations

import hashlib
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from xlerobot_asr_opt.backends.base import Prepared, Result, Samples, check_samples
from xlerobot_asr_opt.backends.script import Answer, Kind, Script, read_script
from xlerobot_asr_opt.core.breaker import Health
from xlerobot_asr_opt.errors import BackendError, NotANumberError, ShapeError
from xlerobot_asr_opt.records import SAMPLE_RATE, RecognitionStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ['ScriptedBackend']

NAME = 'scripted'
LONGEST = 30 * SAMPLE_RATE
WORDS = ('alpha', 'bravo', 'charlie', 'delta', 'echo', 'foxtrot', 'golf', 'hotel',
         'india', 'juliett', 'kilo', 'lima', 'mike', 'november', 'oscar', 'papa')
COOL = Health(temperature_c=40.0, load=0.0)
"""What it says of itself unless the script says otherwise."""
HOT_C = 150.0
BUSY = 1.0


class ScriptedBackend:
    """An InferenceBackend that answers from a script.

    Args:
        script: what it says; empty: four words that follow from the samples.
        name: what Result.backend says, for a chain of several.
        longest: longest segment that it takes [samples].
        sleep: waits for a number of seconds; handed in by tests.
        clock: seconds, monotonic; handed in by tests.
    """

    def __init__(
        self,
        script: Script | None = None,
        *,
        name: str = NAME,
        longest: int = LONGEST,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        script = script or Script()
        self.name = name
        self.longest = longest
        self.digest = hashlib.blake2b(repr((name, script)).encode(), digest_size=32).digest()
        self._in_turn = tuple(one for one in script.answers if one.length_s is None)
        self._by_length = tuple(one for one in script.answers if one.length_s is not None)
        self._faults = script.faults
        self._sleep = sleep
        self._clock = clock
        self._begin()

    @classmethod
    def from_file(cls, script: str) -> ScriptedBackend:
        """Make one from a YAML file; an empty path: without a script.

        Raises:
            ConfigurationError: the file cannot be read, or a key or value is not valid.
        """
        return cls(read_script(Path(script)) if script else None)

    def load(self) -> None:
        """Begin with the first answer."""
        self._begin()

    def warm_up(self) -> None:
        """Nothing to warm; takes no turn."""

    def close(self) -> None:
        """Nothing to close."""

    def health(self) -> Health:
        """What the script says of its temperature and its load."""
        now = self._clock()
        return Health(HOT_C if now < self._hot_until else COOL.temperature_c,
                      BUSY if now < self._busy_until else COOL.load)

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
        self._wait(answer.delay_s)
        return self._result(prepared, answer, start)

    def recognise_batch(self, batch: Sequence[Prepared]) -> list[Result | BackendError]:
        """Give the answers that are due, all after the time that the slowest of them takes."""
        start = self._clock()
        answers = [self._due(prepared) for prepared in batch]
        self._wait(max(answer.delay_s for answer in answers))
        return [self._result_or_error(prepared, answer, start)
                for prepared, answer in zip(batch, answers, strict=True)]

    def _wait(self, seconds: float) -> None:
        if seconds:
            self._sleep(seconds)

    def _result(self, prepared: Prepared, answer: Answer, start: float) -> Result:
        """What an answer says, once its time is over; raises BackendError if it says so."""
        _fail(answer)
        if answer.kind is Kind.HOT:
            self._hot_until = self._clock() + answer.lasts_s
        if answer.kind is Kind.BUSY:
            self._busy_until = self._clock() + answer.lasts_s
        if answer.kind in (Kind.HOT, Kind.BUSY):
            answer = _answer_from(prepared)
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

    def _result_or_error(
        self, prepared: Prepared, answer: Answer, start: float,
    ) -> Result | BackendError:
        try:
            return self._result(prepared, answer, start)
        except BackendError as error:
            return error

    def _begin(self) -> None:
        self._turn = 0
        self._hot_until = self._busy_until = float('-inf')
        self._chance = random.Random(self._faults.seed if self._faults else 0)  # noqa: S311

    def _due(self, prepared: Prepared) -> Answer:
        """The answer for this segment; moves on in the script."""
        if self._faults is not None and self._chance.random() < self._faults.share:
            return self._chance.choice(self._faults.kinds)
        seconds = prepared.length / SAMPLE_RATE
        for answer in self._by_length:
            if answer.answers(seconds):
                return answer
        if not self._in_turn:
            return _answer_from(prepared)
        answer = self._in_turn[self._turn % len(self._in_turn)]
        self._turn += 1
        return answer


def _fail(answer: Answer) -> None:
    """Raise what the script says, if it does."""
    if answer.kind is Kind.ERROR:
        raise BackendError(answer.text)
    if answer.kind is Kind.NAN:
        raise NotANumberError('the model gave NaN, expected finite numbers; try another backend')
    if answer.kind is Kind.SHAPE:
        raise ShapeError('the model takes arrays of another shape; try another backend')
    if answer.kind is Kind.HANG:
        raise BackendError(f'no answer within {answer.delay_s:g} s; try another backend')


def _answer_from(prepared: Prepared) -> Answer:
    """Four words that follow from the digest of the samples; nothing for no samples."""
    if prepared.length == 0:
        return Answer(Kind.NO_SPEECH, reason='no samples')
    return Answer(Kind.TEXT, ' '.join(WORDS[byte % len(WORDS)] for byte in prepared.features[:4]))
