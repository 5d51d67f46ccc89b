"""Calls that wait for a recognition: equal ones share it, and what came of it is kept."""

from __future__ import annotations

import itertools
import math
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xlerobot_asr_opt.core.cache_memory import MemoryTier
from xlerobot_asr_opt.core.cache_values import cache_key, from_json, to_json
from xlerobot_asr_opt.core.outcomes import ANSWERED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from xlerobot_asr_opt.records import Recognition

__all__ = ['Flight', 'Flights']


@dataclass(frozen=True, eq=False)
class Flight:
    """One recognition that is under way.

    Attributes:
        number: below 0, by which the answer names it: the segments of a graph are not.
        digest: of the samples.
        language: that was asked for.
        answer: becomes the recognition.
    """

    number: int
    digest: bytes
    language: str
    answer: Future[Recognition]


class Flights:
    """What is under way, and the last results. It may be used from any thread.

    Args:
        results: most results that are kept; the least recently used goes first.
        clock: seconds, monotonic.
    """

    def __init__(self, results: int, clock: Callable[[], float]) -> None:
        self._results = MemoryTier(results, math.inf, clock, lambda _key, _value: None)
        self._lock = threading.Lock()
        self._numbers = itertools.count(-1, -1)
        self._by_number: dict[int, Flight] = {}
        self._by_samples: dict[tuple[bytes, str], Flight] = {}
        self.asked = self.hits = self.joined = 0

    def kept(self, digest: bytes, recogniser: bytes, language: str) -> Recognition | None:
        """The result of an equal call to this recogniser, if it is still here."""
        key = cache_key(digest, recogniser, language)
        with self._lock:
            self.asked += 1
            value = self._results.get(key)
            self.hits += value is not None
        return None if value is None else from_json(value)

    def join(self, digest: bytes, language: str) -> tuple[Flight, bool]:
        """The flight of an equal call, or a new one; and whether it is new."""
        with self._lock:
            flight = self._by_samples.get((digest, language))
            if flight is not None:
                self.joined += 1
                return flight, False
            flight = Flight(next(self._numbers), digest, language, Future())
            self._by_number[flight.number] = self._by_samples[digest, language] = flight
            return flight, True

    def land(self, recognition: Recognition) -> bool:
        """Hand an answer to all who wait for it, and keep it; returns whether anybody asked."""
        flight = self._take(recognition.segment)
        if flight is None:
            return False
        if recognition.status in ANSWERED:
            key = cache_key(flight.digest, recognition.recogniser, flight.language)
            with self._lock:
                self._results.put(key, to_json(recognition))
        flight.answer.set_result(recognition)
        return True

    def fail(self, number: int, error: Exception) -> None:
        """Raise an error in all who wait for a flight, if it has not ended."""
        flight = self._take(number)
        if flight is not None:
            flight.answer.set_exception(error)

    def fail_all(self, error: Exception, numbers: Iterable[int] | None = None) -> None:
        """Raise an error in all who wait for these flights; None: for any."""
        for number in list(self._by_number) if numbers is None else numbers:
            self.fail(number, error)

    def _take(self, number: int) -> Flight | None:
        """End a flight; only one caller gets it."""
        with self._lock:
            flight = self._by_number.pop(number, None)
            if flight is not None:
                del self._by_samples[flight.digest, flight.language]
            return flight
