"""One backend of a chain: its breaker, its health, and the thread in which it may hang alone."""

from __future__ import annotations

import logging
import queue
import threading
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from xlerobot_asr_opt.core.breaker import Breaker, BreakerStatistics, Fault, State
from xlerobot_asr_opt.errors import (
    AsrError,
    GarbageError,
    MemoryBudgetError,
    ModelError,
    NoAnswerError,
    NotANumberError,
    ShapeError,
)
from xlerobot_asr_opt.records import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Callable

    from xlerobot_asr_opt.backends.base import Candidate
    from xlerobot_asr_opt.core.breaker import HealthLimits, Rules

    Task = tuple[Future[Any], Callable[[], Any]]

__all__ = ['Link', 'LinkStatistics']

T = TypeVar('T')

_log = logging.getLogger(__name__)

FAULTS: dict[type[Exception], Fault] = {
    GarbageError: Fault.GARBAGE,
    NoAnswerError: Fault.TIMEOUT,
    NotANumberError: Fault.NAN,
    ShapeError: Fault.SHAPE,
    MemoryBudgetError: Fault.LOADING,
    ModelError: Fault.LOADING,
}
"""What an error of a backend counts as; any other one is Fault.ERROR."""


@dataclass(frozen=True)
class LinkStatistics:
    """A snapshot of one backend of a chain.

    Attributes:
        backend: its name.
        loaded: whether it has its model.
        busy: whether a call that was given up has still not returned, or it is being loaded.
        abandoned: calls that were given up, since the chain was made.
        breaker: the trust in it.
    """

    backend: str
    loaded: bool
    busy: bool
    abandoned: int
    breaker: BreakerStatistics


class Link:
    """A backend with its breaker. One thread uses it; ``can_take`` and ``statistics`` any.

    A call with a time limit runs in a thread of the link's own. One that gives no answer is left
    behind there, and the backend rests until it has returned: it is never in two calls at a time.

    Args:
        candidate: the backend and its health.
        rules: of the breaker.
        limits: of its health.
        clock: seconds, monotonic.
    """

    def __init__(
        self, candidate: Candidate, rules: Rules, limits: HealthLimits,
        clock: Callable[[], float],
    ) -> None:
        self.backend = candidate.backend
        self.breaker = Breaker(rules, clock)
        self.loaded = False
        self.longest = 0
        self.digest = b''
        self._health = candidate.health
        self._limits = limits
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._running: Future[Any] | None = None
        self._loading: Future[Any] | None = None
        self._abandoned = 0

    @property
    def name(self) -> str:
        """Of the backend."""
        return self.backend.name

    @property
    def busy(self) -> bool:
        """Whether a call in the link's thread has not returned."""
        return self._running is not None and not self._running.done()

    def can_take(self, length: int) -> bool:
        """Whether it is loaded and takes so many samples."""
        return self.loaded and length <= self.longest

    def rests(self, length: int) -> str:
        """Say why it does not get a segment of so many samples; empty: it does."""
        if self.breaker.forced and self.breaker.state is State.OPEN:
            return 'switched off by hand'
        if not self.loaded:
            return self.breaker.reason or 'not loaded'
        if length > self.longest:
            return f'takes at most {self.longest / SAMPLE_RATE:g} s'
        if self.busy:
            return f'{self.breaker.reason}, and it has still not returned'
        return self.breaker.reason if self.breaker.state is State.OPEN else ''

    def load(self, timeout_s: float | None) -> None:
        """Open the model.

        Raises:
            ModelError: it is missing, damaged or of another kind.
            MemoryBudgetError: it does not fit into the memory that is left.
            BackendError: what runs it is not there, or it took longer than timeout_s.
            ConfigurationError: a setting that this model does not know.
        """
        self.call(self.backend.load, timeout_s)
        self._take_in()

    def call(self, work: Callable[[], T], timeout_s: float | None) -> T:
        """Run work, and return what it returns.

        Args:
            work: on the backend.
            timeout_s: longest time [s]; None: without a limit, in the thread that calls.

        Raises:
            NoAnswerError: it took longer.
            BackendError: as work raises it.
        """
        if timeout_s is None:
            if self._running is not None:
                wait([self._running])
            return work()
        if self.busy:
            raise NoAnswerError('a call before this one has still not returned')
        future = self._start(work)
        if future not in wait([future], timeout_s).done:
            self._abandoned += 1
            raise NoAnswerError(f'no answer within {timeout_s:g} s')
        return future.result()

    def answered(self) -> None:
        """Count a good answer."""
        trusted = self.breaker.state
        self.breaker.succeeded()
        if trusted is State.HALF_OPEN and self.breaker.state is State.CLOSED:
            _log.info('%s is back', self.name)

    def failed(self, error: Exception) -> None:
        """Count an error by its kind."""
        self._fault(FAULTS.get(type(error), Fault.ERROR), str(error))

    def look(self) -> None:
        """Take notice of what nobody has to speak for: its health, and a model to be loaded."""
        if not self.loaded:
            self._load_again()
        elif self._health is not None and not self.breaker.forced:
            state = self.breaker.state
            exceeded = self._limits.exceeded(
                self._health(), recovering=state is not State.CLOSED)
            if exceeded is not None and state is not State.OPEN:
                self._fault(*exceeded)

    def close(self) -> None:
        """Let go of the model; one that hangs does so when it returns."""
        if self.busy:
            self._tasks.put((Future(), self.backend.close))
        else:
            self.backend.close()
        if self._thread is not None:
            self._tasks.put(None)
            self._thread = None
        self.loaded = False

    def statistics(self) -> LinkStatistics:
        """A snapshot."""
        return LinkStatistics(self.name, self.loaded, self.busy, self._abandoned,
                              self.breaker.statistics())

    def _fault(self, fault: Fault, reason: str) -> None:
        state = self.breaker.state
        self.breaker.failed(fault, reason)
        if state is not State.OPEN and not self.breaker.forced:
            _log.warning('%s is left out for %g s: %s', self.name,
                         self.breaker.statistics().backoff_s, reason)

    def _load_again(self) -> None:
        """Begin to load what could not be loaded, or take note of how that went."""
        if self.busy:
            return
        if self._loading is not None:
            loading, self._loading = self._loading, None
            try:
                loading.result()
            except AsrError as error:
                self._fault(Fault.LOADING, str(error))
            else:
                self._take_in()
                # Speech is to show whether it can be trusted.
                self.breaker.withdraw()
        elif self.breaker.admit():
            self._loading = self._start(self._load_and_warm)

    def _load_and_warm(self) -> None:
        self.backend.load()
        self.backend.warm_up()

    def _take_in(self) -> None:
        self.longest, self.digest = self.backend.longest, self.backend.digest
        self.loaded = True

    def _start(self, work: Callable[[], T]) -> Future[T]:
        if self._thread is None:
            self._tasks = queue.SimpleQueue()
            # A daemon: a backend that hangs does not keep the process from its end.
            self._thread = threading.Thread(
                target=_serve, args=(self._tasks,), name=f'backend {self.name}', daemon=True)
            self._thread.start()
        future: Future[T] = Future()
        self._running = future
        self._tasks.put((future, work))
        return future


def _serve(tasks: queue.SimpleQueue[Task | None]) -> None:
    """Run what comes, until None; holds nothing of a task when it is done."""
    while (task := tasks.get()) is not None:
        _run(*task)
        del task


def _run(future: Future[Any], work: Callable[[], Any]) -> None:
    try:
        value = work()
    except Exception as error:  # noqa: BLE001 - it is raised where the call was made
        future.set_exception(error)
    else:
        future.set_result(value)
