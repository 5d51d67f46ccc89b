"""Runs tasks on a number of workers by the deques that the scheduler node decides with.

    scheduler = WorkStealingScheduler(num_workers=4)
    await scheduler.start()
    answer = await scheduler.submit_task(work, deadline_s=0.5)
    print(await answer)
    await scheduler.stop()

A worker is a coroutine; a callable runs in a thread of its own, a coroutine function on the loop.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import math
import os
import random
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, cast

from xlerobot_asr_opt.core.forecast import foretell
from xlerobot_asr_opt.core.task_counters import Outcome, TaskCounters, TaskWorker
from xlerobot_asr_opt.core.work_stealing import WorkStealingDeques
from xlerobot_asr_opt.errors import ConfigurationError, ExpiredError, RefusedError

__all__ = ['WorkStealingScheduler']

Call = Callable[[], Any]

STREAMS_REMEMBERED = 10_000
"""Streams whose worker is remembered."""


@dataclass(eq=False)
class _Task:
    """A submitted task; what the deques need of it does not change.

    Attributes:
        call: the task itself.
        answer: becomes what it returns.
        submitted: on the scheduler's clock [s].
        budget_s: that it was given [s].
        settled: whether its outcome is counted.
        timer: calls when it comes due.
        running: the coroutine that runs, to be cancelled with it.
    """

    order: int
    length: int
    priority: int
    deadline: float
    stream: str
    call: Call
    answer: asyncio.Future[Any]
    submitted: float
    budget_s: float
    settled: bool = False
    timer: asyncio.TimerHandle | None = None
    running: asyncio.Future[Any] | None = field(default=None, repr=False)


class WorkStealingScheduler:
    """Workers that take tasks by class, fairness and deadline, and steal from each other.

    To be used from one event loop. ``admitted = done + rejected + expired + cancelled + open`` at
    any time, and ``open`` is 0 once nothing waits or runs.

    Args:
        num_workers: tasks that run at a time; None: one for each processor.
        waiting: most tasks that wait; more are refused.
        clock: seconds, monotonic.
        chance: draws victims; None: the same ones at every start.

    Raises:
        ConfigurationError: fewer than one worker.
    """

    def __init__(
        self,
        num_workers: int | None = None,
        *,
        waiting: int = 10_000,
        clock: Callable[[], float] = time.perf_counter,
        chance: random.Random | None = None,
    ) -> None:
        count = os.cpu_count() or 1 if num_workers is None else num_workers
        if count < 1:
            raise ConfigurationError(f'num_workers: got {count}, expected at least 1')
        self._most_waiting = waiting
        self._clock = clock
        self._chance = chance or random.Random(0)  # noqa: S311 - no secret hangs on it
        self._deques: WorkStealingDeques[_Task] = WorkStealingDeques(self._chance)
        self._workers = [TaskWorker(number) for number in range(count)]
        self._counters = TaskCounters()
        self._homes: dict[str, TaskWorker] = {}
        self._orders = itertools.count()
        self._parked: dict[TaskWorker, asyncio.Future[None]] = {}
        self._threads: ThreadPoolExecutor | None = None
        self._loops: list[asyncio.Task[None]] = []
        self._started = 0.0
        self._wall_s = 0.0

    async def start(self) -> None:
        """Start the workers; starting twice is allowed."""
        if self._threads is None:
            self._started = self._clock()
            self._threads = ThreadPoolExecutor(len(self._workers), 'stealing')
            self._loops = [asyncio.create_task(self._work(worker, self._threads))
                           for worker in self._workers]

    async def stop(self) -> None:
        """Cancel what waits, wait for what runs, end the workers. Stopping twice is allowed."""
        threads, self._threads = self._threads, None
        if threads is None:
            return
        for task in self._deques.clear():
            self._settle(task, Outcome.CANCELLED)
            task.answer.cancel('the scheduler was stopped before it began')
        for wake in self._parked.values():
            if not wake.done():
                wake.set_result(None)
        await asyncio.gather(*self._loops)
        threads.shutdown()
        self._wall_s += self._clock() - self._started

    async def submit_task(
        self,
        task: Call | Callable[[], Awaitable[Any]],
        preferred_worker: int | None = None,
        *,
        priority: int = 0,
        deadline_s: float = math.inf,
        stream: str = '',
        length: int = 1,
    ) -> asyncio.Future[Any]:
        """Queue a task.

        Args:
            task: takes nothing; a callable runs in a thread, a coroutine function on the loop.
            preferred_worker: whom it is queued with; None: the worker that ran its stream last,
                else the one with the shortest backlog.
            priority: class, 0 is served first.
            deadline_s: from now, after which nobody wants the result [s].
            stream: tasks of one stream share what is fair for one.
            length: what it asks for, in any unit that all tasks share.

        Returns:
            What becomes the result, or raises what the task raised, or ExpiredError. Cancelled, it
            takes the task back; a callable that runs already runs to its end in vain.

        Raises:
            RefusedError: it could not be done in time, too many wait, or nobody works.
            ConfigurationError: no worker of this number.
        """
        if self._threads is None:
            raise RefusedError('the scheduler is not running; call start() first')
        if preferred_worker is not None and not 0 <= preferred_worker < len(self._workers):
            raise ConfigurationError(f'preferred_worker: got {preferred_worker}, expected 0 to '
                                     f'{len(self._workers) - 1}')
        now = self._clock()
        queued = _Task(
            next(self._orders), length, priority, now + deadline_s, stream, task,
            asyncio.get_running_loop().create_future(), now, deadline_s)
        self._counters.admit()
        self._refuse(queued, now)
        self._queue(queued, preferred_worker, now)
        return queued.answer

    def get_stats(self) -> dict[str, Any]:
        """A snapshot. Counters only rise; durations are sums over all tasks or workers [s].

        ``workers``, ``running`` and ``waiting`` are of now. ``admitted``, ``done``, ``rejected``,
        ``expired``, ``cancelled`` and ``open`` are of tasks. As Triton has them:
        ``success_count`` (returned) and ``failure_count`` (raised), together ``done``;
        ``queue_duration_s``, from submission to begin; ``compute_duration_s``, of tasks that have
        ended, whatever their outcome. As Tokio has them: ``local_schedule_count`` (queued with the
        preferred worker) and ``remote_schedule_count`` (with another), ``steal_count`` (tasks
        stolen), ``steal_operations`` (looks into other deques, fruitless ones included),
        ``park_count`` (times a worker found nothing to do) and ``busy_duration_s``, that tasks
        have run, with ``worker_busy_duration_s`` of each worker. ``wall_s``: since the start,
        stops left out. ``efficiency``: busy time / (workers x wall time), 0 to 1.
        """
        now = self._clock()
        outcomes, deques = self._counters.outcomes, self._deques.counters()
        busy = [worker.busy_so_far_s(now) for worker in self._workers]
        wall_s = self._wall_s + (now - self._started if self._threads is not None else 0.0)
        capacity_s = wall_s * len(self._workers)
        return {
            'workers': len(self._workers),
            'running': sum(worker.began is not None for worker in self._workers),
            'waiting': len(self._deques),
            'admitted': self._counters.admitted,
            'done': outcomes[Outcome.SUCCESS] + outcomes[Outcome.FAILURE],
            'rejected': outcomes[Outcome.REJECTED],
            'expired': outcomes[Outcome.EXPIRED],
            'cancelled': outcomes[Outcome.CANCELLED],
            'open': self._counters.open,
            'success_count': outcomes[Outcome.SUCCESS],
            'failure_count': outcomes[Outcome.FAILURE],
            'queue_duration_s': self._counters.queue_duration_s,
            'compute_duration_s': sum(worker.busy_duration_s for worker in self._workers),
            'local_schedule_count': deques.local_schedule_count,
            'remote_schedule_count': deques.remote_schedule_count,
            'steal_count': deques.steal_count,
            'steal_operations': deques.steal_operations,
            'park_count': sum(worker.park_count for worker in self._workers),
            'busy_duration_s': sum(busy),
            'worker_busy_duration_s': busy,
            'wall_s': wall_s,
            'efficiency': sum(busy) / capacity_s if capacity_s > 0.0 else 0.0,
        }

    # Admission

    def _refuse(self, task: _Task, now: float) -> None:
        """Refuse what cannot be done in time, or has no room to wait.

        Raises:
            RefusedError: with the reason.
        """
        waiting, why = len(self._deques), ''
        if waiting >= self._most_waiting and not self._parked:
            why = f'{waiting} tasks wait already, allowed are {self._most_waiting}'
        elif task.deadline < math.inf:
            why = self._too_late(task, now)
        if why:
            self._settle(task, Outcome.REJECTED)
            raise RefusedError(why)

    def _too_late(self, task: _Task, now: float) -> str:
        """Say why a task cannot be done in time; empty: it can, or can begin at once."""
        forecast = foretell(task, self._workers, self._deques, now)
        if (forecast is None or forecast.queue_s <= 0.0
                or now + forecast.total_s <= task.deadline):
            return ''
        return forecast.refusal(task.deadline - now, task.budget_s)

    def _queue(self, task: _Task, preferred: int | None, now: float) -> None:
        favourite = (self._homes.get(task.stream) if preferred is None
                     else self._workers[preferred])
        home = favourite or self._shortest(task, now)
        self._deques.push(task, home.name, preferred=home is favourite)
        task.answer.add_done_callback(lambda _: self._withdrawn(task))
        if task.deadline < math.inf:
            self._arm(task, now)
        self._wake(home)

    def _shortest(self, task: _Task, now: float) -> TaskWorker:
        """The worker with the shortest backlog, of two that chance has drawn."""
        choices = list(self._parked) or self._workers
        if len(choices) > 2:
            choices = self._chance.sample(choices, 2)

        rank = self._deques.rank(task)

        def backlog(worker: TaskWorker) -> tuple[float, int]:
            before = self._deques.before(task.priority, rank, worker.name)
            return (worker.busy_s(now) + worker.service.of(before),
                    before.jobs + (worker.began is not None))

        return min(choices, key=backlog)

    # What comes due

    def _arm(self, task: _Task, now: float) -> None:
        """Look at a task again when it would have to begin, or has to be done."""
        service_s = min(worker.service.of_one(task.length) for worker in self._workers)
        latest = task.deadline - (service_s if task in self._deques else 0.0)
        task.timer = asyncio.get_running_loop().call_later(
            max(0.0, latest - now), self._come_due, task)

    def _come_due(self, task: _Task) -> None:
        now = self._clock()
        if task.answer.done():
            return
        if now >= task.deadline:
            self._deques.discard(task)
            self._settle(task, Outcome.EXPIRED)
            task.answer.set_exception(ExpiredError(
                f'not done within {task.budget_s:g} s, which was its deadline'))
        elif task in self._deques and (why := self._too_late(task, now)):
            self._deques.discard(task)
            self._settle(task, Outcome.REJECTED)
            task.answer.set_exception(RefusedError(why))
        else:
            self._arm_again(task, now)

    def _arm_again(self, task: _Task, now: float) -> None:
        task.timer = asyncio.get_running_loop().call_later(
            max(0.001, task.deadline - now), self._come_due, task)

    def _withdrawn(self, task: _Task) -> None:
        """An answer is there; if it was cancelled, take the task back."""
        if task.timer is not None:
            task.timer.cancel()
        if task.answer.cancelled():
            self._deques.discard(task)
            self._settle(task, Outcome.CANCELLED)
            if task.running is not None:
                task.running.cancel()

    def _settle(self, task: _Task, outcome: Outcome) -> None:
        if not task.settled:
            task.settled = True
            self._counters.settle(outcome)

    # The workers

    def _wake(self, home: TaskWorker) -> None:
        """Wake the worker that a task was queued with, or another one to steal it."""
        worker = home if home in self._parked else next(reversed(self._parked), None)
        if worker is not None:
            wake = self._parked.pop(worker)
            if not wake.done():
                wake.set_result(None)

    async def _work(self, worker: TaskWorker, threads: ThreadPoolExecutor) -> None:
        while self._threads is threads:
            task = self._deques.take(worker.name, lambda _demand: True)
            if task is None:
                worker.park_count += 1
                wake = self._parked[worker] = asyncio.get_running_loop().create_future()
                await wake
                self._parked.pop(worker, None)
            elif not task.answer.done():
                await self._run(worker, task, threads)

    async def _run(self, worker: TaskWorker, task: _Task, threads: ThreadPoolExecutor) -> None:
        begin = self._clock()
        worker.begin(task.length, begin)
        self._counters.queue_duration_s += begin - task.submitted
        self._remember(task.stream, worker)
        if inspect.iscoroutinefunction(task.call):
            running: asyncio.Future[Any] = asyncio.ensure_future(task.call())
        else:
            running = asyncio.get_running_loop().run_in_executor(threads, task.call)
        task.running = running if isinstance(running, asyncio.Task) else None
        (outcome,), _ = await asyncio.wait([running])
        worker.end(self._clock())
        self._answer(task, cast('asyncio.Future[Any]', outcome))

    def _remember(self, stream: str, worker: TaskWorker) -> None:
        """Note who ran a stream last; tasks without one stay where their backlog is short."""
        if stream:
            self._homes.pop(stream, None)
            self._homes[stream] = worker
            if len(self._homes) > STREAMS_REMEMBERED:
                del self._homes[next(iter(self._homes))]

    def _answer(self, task: _Task, ended: asyncio.Future[Any]) -> None:
        """Tell how a task ended, if anybody still wants to know."""
        error = None if ended.cancelled() else ended.exception()
        if task.answer.done():
            return
        if self._clock() > task.deadline:
            self._come_due(task)
        elif ended.cancelled():
            self._settle(task, Outcome.CANCELLED)
            task.answer.cancel()
        elif error is not None:
            self._settle(task, Outcome.FAILURE)
            task.answer.set_exception(error)
        else:
            self._settle(task, Outcome.SUCCESS)
            task.answer.set_result(ended.result())
