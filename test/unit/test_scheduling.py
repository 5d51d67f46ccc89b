"""The scheduler that people call: tasks in, results out, and every one of them counted."""

from __future__ import annotations

import asyncio
import functools
import random
import threading

import pytest

from xlerobot_asr_opt import WorkStealingScheduler
from xlerobot_asr_opt.errors import ConfigurationError, ExpiredError, RefusedError

PATIENCE_S = 20.0


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """A scheduler whose tasks hold at a gate until the test opens it."""

    def __init__(self, workers: int = 2, **arguments) -> None:
        self.scheduler = WorkStealingScheduler(workers, **arguments)
        self.gate = threading.Event()
        self.order: list[object] = []
        self.threads: dict[object, str] = {}

    def task(self, name: object, error: Exception | None = None):
        def call():
            assert self.gate.wait(PATIENCE_S)
            return self.note(name, error)
        return call

    def note(self, name: object, error: Exception | None = None):
        self.order.append(name)
        self.threads[name] = threading.current_thread().name
        if error is not None:
            raise error
        return name

    async def until(self, **stats) -> None:
        """Let the loop run until the statistics say so."""
        async def reached():
            while any(self.scheduler.get_stats()[name] != value for name, value in stats.items()):
                await asyncio.sleep(0)
        await asyncio.wait_for(reached(), PATIENCE_S)

    async def occupy(self) -> list[asyncio.Future]:
        """Have every worker hold one task at the gate."""
        count = self.scheduler.get_stats()['workers']
        held = [await self.scheduler.submit_task(self.task(f'held {number}'), number)
                for number in range(count)]
        await self.until(running=count)
        return held


def play(story, **arguments) -> dict:
    """Run a test's story with a scheduler; whatever it did, everything is counted once."""
    bench = Bench(**arguments)

    async def told():
        await bench.scheduler.start()
        try:
            await asyncio.wait_for(story(bench), PATIENCE_S)
            check(bench.scheduler.get_stats())
        finally:
            bench.gate.set()
            await bench.scheduler.stop()
            await asyncio.sleep(0)

    asyncio.run(told())
    stats = bench.scheduler.get_stats()
    check(stats)
    assert stats['open'] == stats['waiting'] == stats['running'] == 0
    return stats


def check(stats: dict) -> None:
    assert stats['admitted'] == (stats['done'] + stats['rejected'] + stats['expired']
                                 + stats['cancelled'] + stats['open'])
    assert stats['done'] == stats['success_count'] + stats['failure_count']
    assert stats['compute_duration_s'] <= stats['busy_duration_s']
    assert 0.0 <= stats['efficiency'] <= 1.0
    assert all(0.0 <= busy <= stats['wall_s'] for busy in stats['worker_busy_duration_s'])
    assert stats['steal_count'] <= stats['steal_operations']


class TestResults:
    def test_a_callable_runs_in_a_thread_and_a_coroutine_function_on_the_loop(self):
        async def story(bench):
            async def on_the_loop():
                await asyncio.sleep(0)
                return bench.note('coroutine')

            bench.gate.set()
            answers = [await bench.scheduler.submit_task(call) for call in (
                bench.task('callable'), on_the_loop, functools.partial(bench.note, 'partial'))]
            assert await asyncio.gather(*answers) == ['callable', 'coroutine', 'partial']
            assert bench.threads['coroutine'] == threading.current_thread().name
            assert bench.threads['callable'].startswith('stealing')

        stats = play(story)
        assert stats['success_count'] == 3
        assert stats['park_count'] >= 2

    def test_what_a_task_raises_is_raised_to_who_waits(self):
        async def story(bench):
            bench.gate.set()
            answer = await bench.scheduler.submit_task(bench.task('a', ZeroDivisionError('no')))
            with pytest.raises(ZeroDivisionError, match='no'):
                await answer
            assert await (await bench.scheduler.submit_task(bench.task('b'))) == 'b'

        assert play(story)['failure_count'] == 1

    def test_as_many_run_at_a_time_as_there_are_workers(self):
        async def story(bench):
            await bench.occupy()
            await bench.scheduler.submit_task(bench.task('waits'))
            assert bench.scheduler.get_stats()['running'] == 3
            assert bench.scheduler.get_stats()['waiting'] == 1

        play(story, workers=3)

    def test_there_is_a_worker_for_each_processor_unless_said(self):
        assert WorkStealingScheduler().get_stats()['workers'] >= 1

    def test_it_starts_again_after_a_stop(self):
        async def story(bench):
            bench.gate.set()
            await bench.scheduler.start()
            await bench.scheduler.stop()
            await bench.scheduler.stop()
            await bench.scheduler.start()
            assert await (await bench.scheduler.submit_task(bench.task('a'))) == 'a'

        play(story)


class TestOrder:
    def order(self, workers, *submissions):
        """Submit behind occupied workers; returns what ran after they were freed."""
        async def story(bench):
            held = await bench.occupy()
            answers = [await bench.scheduler.submit_task(bench.task(name), preferred, **keywords)
                       for name, preferred, keywords in submissions]
            bench.gate.set()
            await asyncio.gather(*held, *answers)
            ran.extend(name for name in bench.order if not str(name).startswith('held'))

        ran: list[object] = []
        return ran, play(story, workers=workers)

    def test_class_then_deadline(self):
        ran, _ = self.order(
            1, ('low', 0, {'priority': 1}), ('late', 0, {'deadline_s': 900.0, 'stream': 'a'}),
            ('soon', 0, {'deadline_s': 500.0, 'stream': 'b'}), ('any', 0, {'stream': 'c'}))
        assert ran == ['soon', 'late', 'any', 'low']

    def test_a_hog_does_not_keep_the_others_waiting(self):
        ran, _ = self.order(1, *[(f'hog {place}', 0, {'stream': 'hog'}) for place in range(9)],
                            ('a', 0, {'stream': 'a'}), ('b', 0, {'stream': 'b'}))
        assert ran[:3] == ['hog 0', 'a', 'b']

    def test_whoever_has_nothing_to_do_steals(self):
        ran, stats = self.order(3, *[(place, 0, {}) for place in range(30)])
        assert sorted(ran) == list(range(30))
        assert stats['local_schedule_count'] == 33
        assert stats['steal_count'] >= 1

    def test_a_stream_stays_with_its_worker(self):
        async def story(bench):
            bench.gate.set()
            for name in range(5):
                await (await bench.scheduler.submit_task(bench.task(name), stream='kitchen'))

        assert play(story, workers=4)['local_schedule_count'] == 4


class TestWhatIsNotDone:
    def test_a_task_that_waits_is_taken_back(self):
        async def story(bench):
            await bench.occupy()
            waits = await bench.scheduler.submit_task(bench.task('never'))
            waits.cancel()
            await bench.until(waiting=0, cancelled=1)
            bench.gate.set()
            await bench.until(open=0)
            assert 'never' not in bench.order

        assert play(story)['cancelled'] == 1

    def test_a_coroutine_that_runs_is_cancelled(self):
        async def story(bench):
            stopped = asyncio.Event()

            async def endless():
                try:
                    await asyncio.Event().wait()
                finally:
                    stopped.set()

            answer = await bench.scheduler.submit_task(endless)
            await bench.until(running=1)
            answer.cancel()
            await stopped.wait()
            await bench.until(running=0)

        assert play(story)['cancelled'] == 1

    def test_a_callable_that_runs_runs_to_its_end_in_vain(self):
        async def story(bench):
            held = await bench.occupy()
            held[0].cancel()
            await bench.until(cancelled=1)
            bench.gate.set()
            await bench.until(running=0)

        stats = play(story)
        assert (stats['cancelled'], stats['success_count']) == (1, 1)

    def test_what_is_not_done_in_time_expires_waiting_or_running(self):
        async def story(bench):
            running = await bench.scheduler.submit_task(bench.task('running'), deadline_s=0.02)
            waiting = await bench.scheduler.submit_task(bench.task('waiting'), deadline_s=0.02)
            for answer in (running, waiting):
                with pytest.raises(ExpiredError, match='not done within'):
                    await answer
            bench.gate.set()
            await bench.until(running=0)
            assert bench.order == ['running']

        assert play(story, workers=1)['expired'] == 2

    def test_what_cannot_be_in_time_is_refused_with_the_numbers(self):
        async def story(bench):
            def takes_two_seconds():
                clock.now += 2.0

            await (await bench.scheduler.submit_task(takes_two_seconds))
            await bench.occupy()
            with pytest.raises(RefusedError, match='needs about 4000 ms: 2000 ms queued before it '
                               'on 1 worker, 3000 ms are left'):
                await bench.scheduler.submit_task(bench.task('no'), deadline_s=3.0)
            await bench.scheduler.submit_task(bench.task('yes'), deadline_s=5.0)

        clock = Clock()
        stats = play(story, workers=1, clock=clock)
        assert (stats['rejected'], stats['cancelled']) == (1, 1)

    def test_too_many_are_refused(self):
        async def story(bench):
            await bench.occupy()
            for name in range(3):
                await bench.scheduler.submit_task(bench.task(name))
            with pytest.raises(RefusedError, match='3 tasks wait already, allowed are 3'):
                await bench.scheduler.submit_task(bench.task('no'))

        assert play(story, waiting=3)['rejected'] == 1

    def test_what_waits_is_cancelled_by_a_stop(self):
        async def story(bench):
            await bench.occupy()
            waits.append(await bench.scheduler.submit_task(bench.task('never')))

        waits: list[asyncio.Future] = []
        assert play(story)['cancelled'] == 1
        assert waits[0].cancelled()

    def test_nothing_is_taken_before_it_is_started(self):
        scheduler = WorkStealingScheduler(1)
        with pytest.raises(RefusedError, match=r'call start\(\) first'):
            asyncio.run(scheduler.submit_task(print))

    @pytest.mark.parametrize('number', [-1, 2])
    def test_a_worker_that_is_not_there_is_refused(self, number):
        async def story(bench):
            with pytest.raises(ConfigurationError, match=f'got {number}, expected 0 to 1'):
                await bench.scheduler.submit_task(print, number)

        assert play(story)['admitted'] == 0

    def test_nobody_works_for_no_worker(self):
        with pytest.raises(ConfigurationError, match='got 0, expected at least 1'):
            WorkStealingScheduler(0)


@pytest.mark.parametrize('seed', range(5))
def test_everything_is_counted_once_whatever_happens(seed):
    chance = random.Random(seed)

    async def story(bench):
        bench.gate.set()
        answers = []
        for name in range(200):
            error = ValueError('drawn') if chance.random() < 0.2 else None
            try:
                answers.append(await bench.scheduler.submit_task(
                    bench.task(name, error), chance.choice([None, 0, 1, 2]),
                    priority=chance.randrange(3), stream=chance.choice(['', 'a', 'b']),
                    deadline_s=chance.choice([float('inf'), 1.0, 1e-4])))
            except RefusedError:
                continue
            if chance.random() < 0.2:
                chance.choice(answers).cancel()
            if chance.random() < 0.2:
                await asyncio.sleep(0)
                check(bench.scheduler.get_stats())
        await asyncio.gather(*answers, return_exceptions=True)
        await bench.until(open=0)

    stats = play(story, workers=3)
    assert stats['admitted'] == 200
