"""The recogniser as a thing of its own: with ROS round it a node, without ROS a library.

    async with OptimizedBPUInferenceEngine() as engine:
        text, confidence, latency = await engine.infer_optimized(samples)

One worker runs before one chain of backends. The inference node submits segments to it and hears
each answer from the worker's thread; ``infer_optimized`` submits to the same worker and awaits the
answer. What the scheduler and the cache do for a graph, single flight and a cache of results, is
done here for those who have no graph.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xlerobot_asr_opt.backends.base import create
from xlerobot_asr_opt.core.flights import Flights
from xlerobot_asr_opt.core.memory_pool import BPUMemoryPool
from xlerobot_asr_opt.core.outcomes import ANSWERED
from xlerobot_asr_opt.core.staging import Staging
from xlerobot_asr_opt.core.worker import Job, Worker
from xlerobot_asr_opt.errors import AsrError, BackendError, ModelError, SourceError
from xlerobot_asr_opt.known_speech import known_speech
from xlerobot_asr_opt.model_admission import ModelAdmission
from xlerobot_asr_opt.parameters import InferenceParameters

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from typing_extensions import Self

    from xlerobot_asr_opt.backends.base import Samples
    from xlerobot_asr_opt.backends.chain import BackendChain
    from xlerobot_asr_opt.backends.link import LinkStatistics
    from xlerobot_asr_opt.core.flights import Flight
    from xlerobot_asr_opt.core.memory_records import BPUMemoryStatistics
    from xlerobot_asr_opt.records import Recognition

__all__ = ['EngineStatistics', 'OptimizedBPUInferenceEngine']

_log = logging.getLogger(__name__)

CLOSING_S = 1.0
"""How long the running segment is waited for when the engine closes [s]."""


@dataclass(frozen=True)
class EngineStatistics:
    """A snapshot. Counters are since the engine was made, of ``infer_optimized`` alone.

    Attributes:
        asked: calls.
        hits: of these, answered by the cache of results.
        joined: of these, answered by an equal call that was in flight.
        backends: in order of preference; empty while the engine is closed.
        memory: of the staging buffers.
    """

    asked: int
    hits: int
    joined: int
    backends: tuple[LinkStatistics, ...]
    memory: BPUMemoryStatistics


class OptimizedBPUInferenceEngine:
    """A chain of backends, a worker before it, and a way to ask it without ROS.

    Args:
        parameters: of the inference node; None: the defaults.
        name: what Recognition.worker says.
        deliver: takes the answer to each ``submit``, on the worker's thread.
        pool: staging memory; None: one of its own, of 64 MiB.
        results: most results that ``infer_optimized`` keeps; the least recently used goes first.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        parameters: InferenceParameters | None = None,
        *,
        name: str = 'engine',
        deliver: Callable[[Recognition], None] | None = None,
        pool: BPUMemoryPool | None = None,
        results: int = 100,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._parameters = parameters or InferenceParameters()
        self._name = name
        self._deliver_to = deliver
        self._staging = Staging(pool or BPUMemoryPool())
        self._clock = clock
        self._flights = Flights(results, clock)
        self._backend: BackendChain | None = None
        self._worker: Worker | None = None
        self._thread: threading.Thread | None = None
        self._preparing = threading.Lock()
        self._opening = threading.Lock()
        self._ended = False

    @property
    def backend(self) -> BackendChain:
        """The chain of backends.

        Raises:
            BackendError: the engine is closed.
        """
        if self._backend is None:
            raise BackendError('the engine is closed; call open() first')
        return self._backend

    @property
    def is_open(self) -> bool:
        """Whether it was opened, and not closed since."""
        return self._worker is not None

    @property
    def is_running(self) -> bool:
        """Whether its thread serves: an error that no backend may raise ends it.

        A thread that ends lives on while its error is written; who waits is told before that.
        """
        return self._thread is not None and self._thread.is_alive() and not self._ended

    def open(self) -> None:
        """Load the backends, run each once, and start the thread; opening twice is allowed.

        Raises:
            ModelError: no backend can be loaded.
            MemoryBudgetError: the only one's model does not fit into the memory that is left.
            BackendError: what runs the only one is not there.
            ConfigurationError: a setting that a model does not know, or a bad script.
        """
        with self._opening:
            if self.is_open:
                return
            admission = ModelAdmission(self._parameters.memory_share)
            backend = create(self._parameters, self._staging.keep, admission.admit)
            try:
                backend.load()
                backend.warm_up()
                if self._parameters.route == 'fastest':
                    _route(backend, self._parameters.accuracy_loss)
            except AsrError:
                backend.close()
                raise
            self._ended = False
            worker = Worker(
                self._name, backend, self._deliver, self._clock, batch=self._parameters.batch,
                batch_delay_s=self._parameters.batch_delay)
            self._thread = threading.Thread(
                target=self._work, args=(worker,), name='worker', daemon=True)
            self._thread.start()
            self._backend, self._worker = backend, worker

    def close(self) -> None:
        """Stop the thread, then let go of the models that it uses. Closing twice is allowed."""
        if self._worker is not None and self._thread is not None:
            self.withdraw()
            self._worker.stop()
            # A hung backend does not let its thread end; the process ends without it.
            self._thread.join(timeout=CLOSING_S)
            self._worker = self._thread = None
        self._flights.fail_all(BackendError('the engine was closed'))
        if self._backend is not None:
            self._backend.close()
            self._backend = None

    def submit(
        self, segment: int, attempt: int, samples: Samples, language: str, received_s: float,
    ) -> None:
        """Make features of a segment and queue it; the samples are used no more after that.

        Args:
            segment: Ticket.segment.
            attempt: Grant.attempt.
            samples: int16[n] at SAMPLE_RATE; may be a view of loaned memory.
            language: as in ISO 639-1; empty: the parameter's.
            received_s: when it came, on the engine's clock [s].

        Raises:
            BackendError: the engine is closed, or no backend takes the segment.
        """
        self.queue(self.prepare(segment, attempt, samples, language, received_s))

    def prepare(
        self, segment: int, attempt: int, samples: Samples, language: str, received_s: float,
    ) -> Job:
        """The first half of ``submit``: a job that refers to the samples no more."""
        backend = self.backend
        with self._preparing:
            prepared = backend.prepare(samples, language)
        return Job(segment, attempt, prepared, received_s)

    def queue(self, job: Job) -> None:
        """The second half of ``submit``.

        Raises:
            BackendError: the engine is closed, or its thread has ended.
        """
        if self._worker is None:
            raise BackendError('the engine is closed; call open() first')
        self._worker.submit(job)
        if self._ended:
            raise BackendError('the engine has ended by an error; its log says by which')

    def withdraw(self) -> None:
        """Drop what was submitted and has not been started."""
        if self._worker is not None:
            dropped = [job.segment for job in self._worker.withdraw()]
            self._flights.fail_all(BackendError('withdrawn: the engine is being closed'), dropped)

    def working_s(self) -> float:
        """Return how long the running segment has taken so far [s]; 0: idle."""
        return 0.0 if self._worker is None else self._worker.working_s()

    async def infer_optimized(
        self, audio: npt.NDArray[Any], language: str = '',
    ) -> tuple[str, float, float]:
        """Recognise one utterance; opens the engine if need be.

        Equal utterances in flight are recognised once, and results are kept.

        Args:
            audio: one channel at SAMPLE_RATE: int16[n], or floating numbers[n] from -1 to 1.
            language: as in ISO 639-1; empty: the parameter's.

        Returns:
            The text, empty where nobody spoke; the confidence, 0 to 1, or NaN where the model
            gives none; and the time from the call to the return [ms].

        Raises:
            AudioError: another form, or a sample that is no number.
            BackendError: no backend recognised it.
        """
        begin = self._clock()
        if not self.is_open:
            await asyncio.to_thread(self.open)
        samples = self._staging.take_in(audio)
        digest = hashlib.blake2b(samples.data, digest_size=32).digest()
        said = self._flights.kept(digest, self.backend.digest, language)
        if said is None:
            said = await self._recognise(samples, digest, language, begin)
        if said.status not in ANSWERED:
            raise BackendError(said.reason)
        return said.text, said.confidence, 1e3 * (self._clock() - begin)

    def statistics(self) -> EngineStatistics:
        """A snapshot."""
        return EngineStatistics(
            self._flights.asked, self._flights.hits, self._flights.joined,
            self._backend.statistics() if self._backend is not None else (),
            self._staging.statistics())

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.open)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.close)

    async def _recognise(
        self, samples: Samples, digest: bytes, language: str, begin: float,
    ) -> Recognition:
        """Wait for the equal call that is under way, or begin one."""
        flight, is_new = self._flights.join(digest, language)
        if is_new:
            await asyncio.to_thread(self._begin, flight, samples, begin)
        # Shielded: who gives up waiting does not take the others along.
        return await asyncio.shield(asyncio.wrap_future(flight.answer))

    def _begin(self, flight: Flight, samples: Samples, begin: float) -> None:
        try:
            self.submit(flight.number, 1, samples, flight.language, begin)
        except Exception as error:  # noqa: BLE001 - it is raised in all who wait for the answer
            self._flights.fail(flight.number, error)

    def _work(self, worker: Worker) -> None:
        try:
            worker.run()
        finally:
            # A thread that hung may end long after the engine was closed, and opened again.
            if self._worker is worker:
                self._ended = True
                self._flights.fail_all(BackendError('the engine was closed, or has ended'))

    def _deliver(self, recognition: Recognition) -> None:
        if not self._flights.land(recognition) and self._deliver_to is not None:
            self._deliver_to(recognition)


def _route(backend: BackendChain, accuracy_loss: float) -> None:
    """Put the backends in order by their speed, if there is a recording to measure it on."""
    try:
        speech = known_speech()
    except (ModelError, SourceError) as error:
        _log.warning('the backends stay in the order given: %s', error)
        return
    backend.measure([(one.samples, one.text) for one in speech], accuracy_loss)
