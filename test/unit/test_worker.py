"""A worker before a scripted backend: order, times, what it drops, what an error does."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from xlerobot_asr_opt.backends.script import Answer, Kind, Script
from xlerobot_asr_opt.backends.scripted import ScriptedBackend
from xlerobot_asr_opt.core.worker import Job, Worker
from xlerobot_asr_opt.records import RecognitionStatus

PATIENCE_S = 20.0


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class Bench:
    """A worker with what it delivered, on a clock that moves only while the backend is busy."""

    def __init__(self, *answers, deliver=None, sleep=None, **batching):
        self.clock = Clock()
        self.delivered = []
        self._expected = 0
        self.backend = ScriptedBackend(
            Script(answers), sleep=sleep or self.clock.sleep, clock=self.clock)
        self.worker = Worker(
            'w', self.backend, deliver or self._take, self.clock, **batching)

    def submit(self, *segments):
        for segment in segments:
            prepared = self.backend.prepare(np.zeros(160, np.int16), 'en')
            self.worker.submit(Job(segment, segment + 10, prepared, self.clock.now))

    def finish(self, expected):
        """Run, in the test's own thread, until so many answers are there."""
        self._expected = expected
        self.worker.run()

    def _take(self, recognition):
        self.delivered.append(recognition)
        if len(self.delivered) == self._expected:
            self.worker.stop()


def said(text, **fields):
    return Answer(Kind.TEXT, text, **fields)


def test_jobs_are_answered_in_the_order_in_which_they_came():
    bench = Bench(said('one'), said('two'), said('three'))
    bench.submit(3, 1, 2)
    bench.finish(3)
    assert [(it.segment, it.attempt, it.text) for it in bench.delivered] == [
        (3, 13, 'one'), (1, 11, 'two'), (2, 12, 'three')]


def test_an_answer_carries_what_the_backend_said():
    bench = Bench(said('go', confidence=0.75, reason='hm'))
    bench.submit(1)
    bench.finish(1)
    (answer,) = bench.delivered
    assert answer.status is RecognitionStatus.DONE
    assert (answer.worker, answer.backend, answer.language) == ('w', 'scripted', 'en')
    assert (answer.confidence, answer.reason) == (0.75, 'hm')


def test_waiting_and_working_are_told_by_the_clock_that_was_handed_in():
    bench = Bench(said('one', delay_s=2.0), said('two', delay_s=0.5))
    bench.submit(1, 2)
    bench.finish(2)
    first, second = bench.delivered
    assert (first.wait_ms, first.decode_ms, first.worker_ms) == (0, 2000, 2000)
    assert (second.wait_ms, second.decode_ms, second.worker_ms) == (2000, 500, 2500)


@pytest.mark.parametrize(('answer', 'reason'), [
    (Answer(Kind.ERROR, 'it is gone', delay_s=1.0), 'it is gone'),
    (Answer(Kind.NAN, delay_s=1.0), 'the model gave NaN'),
    (Answer(Kind.HANG, delay_s=1.0), 'no answer within 1 s'),
], ids=['error', 'NaN', 'hang'])
def test_a_failure_is_answered_and_the_next_job_goes_on(answer, reason):
    bench = Bench(answer, said('two'))
    bench.submit(1, 2)
    bench.finish(2)
    failed, done = bench.delivered
    assert failed.status is RecognitionStatus.FAILED
    assert failed.reason.startswith(reason)
    assert (failed.segment, failed.backend, failed.text) == (1, 'scripted', '')
    assert failed.worker_ms == 1000
    assert (done.segment, done.text) == (2, 'two')


def test_what_was_not_started_is_withdrawn_and_told():
    bench = Bench(said('one'))
    bench.submit(1, 2, 3)
    assert [job.segment for job in bench.worker.withdraw()] == [1, 2, 3]
    assert bench.worker.withdraw() == []
    bench.submit(4)
    bench.finish(1)
    assert [it.segment for it in bench.delivered] == [4]


def test_the_running_job_is_answered_though_the_worker_is_stopped():
    running, go_on = threading.Event(), threading.Event()

    def sleep(_seconds):
        running.set()
        assert go_on.wait(PATIENCE_S)

    bench = Bench(said('one', delay_s=1.0), sleep=sleep)
    assert bench.worker.working_s() == 0
    bench.submit(1, 2)
    with ThreadPoolExecutor(1) as lent:
        done = lent.submit(bench.worker.run)
        assert running.wait(PATIENCE_S)
        bench.clock.now += 7.0
        assert bench.worker.working_s() == 7.0
        bench.worker.stop()
        go_on.set()
        done.result(PATIENCE_S)
    assert [it.segment for it in bench.delivered] == [1]
    assert bench.worker.working_s() == 0


@pytest.mark.parametrize('after', [Worker.stop, Worker.withdraw], ids=['stop', 'withdraw'])
def test_a_stopped_worker_stays_stopped(after):
    bench = Bench(said('one'))
    bench.worker.stop()
    after(bench.worker)
    with ThreadPoolExecutor(1) as lent:
        lent.submit(bench.worker.run).result(PATIENCE_S)
    assert bench.delivered == []


def test_an_error_that_no_backend_may_raise_ends_the_thread_and_shows_as_work_without_end():
    def sleep(_seconds):
        raise ZeroDivisionError

    bench = Bench(said('one', delay_s=1.0), sleep=sleep)
    bench.submit(1)
    with pytest.raises(ZeroDivisionError):
        bench.worker.run()
    bench.clock.now += 60.0
    assert bench.worker.working_s() == 60.0


def test_an_answer_that_cannot_be_delivered_ends_the_thread():
    def deliver(_recognition):
        raise OSError('no middleware')

    bench = Bench(said('one'), deliver=deliver)
    bench.submit(1)
    with pytest.raises(OSError, match='no middleware'):
        bench.worker.run()


class TestBatches:
    def test_what_waits_is_recognised_at_once(self):
        bench = Bench(*[said(text, delay_s=took)
                        for text, took in (('one', 2.0), ('two', 3.0), ('three', 1.0))],
                      batch=2)
        bench.submit(1, 2, 3)
        bench.finish(3)
        assert [(it.segment, it.text, it.worker_ms) for it in bench.delivered] == [
            (1, 'one', 3000), (2, 'two', 3000), (3, 'three', 4000)]
        assert [it.wait_ms for it in bench.delivered] == [0, 0, 3000]

    def test_without_batches_they_are_recognised_one_by_one(self):
        bench = Bench(said('one', delay_s=2.0), said('two', delay_s=3.0))
        bench.submit(1, 2)
        bench.finish(2)
        assert [it.worker_ms for it in bench.delivered] == [2000, 5000]

    def test_a_failure_in_a_batch_is_of_that_segment_alone(self):
        bench = Bench(said('one'), Answer(Kind.ERROR, 'it is gone'), said('three'), batch=3)
        bench.submit(1, 2, 3)
        bench.finish(3)
        assert [(it.status, it.text or it.reason) for it in bench.delivered] == [
            (RecognitionStatus.DONE, 'one'), (RecognitionStatus.FAILED, 'it is gone'),
            (RecognitionStatus.DONE, 'three')]

    def test_a_batch_waits_for_what_comes_soon(self):
        bench = Bench(said('one', delay_s=1.0), said('two', delay_s=1.0), batch=2,
                      batch_delay_s=PATIENCE_S)
        bench.submit(1)
        with ThreadPoolExecutor(1) as lent:
            done = lent.submit(bench.finish, 2)
            bench.submit(2)
            done.result(PATIENCE_S)
        assert [it.worker_ms for it in bench.delivered] == [1000, 1000]

    def test_a_batch_waits_no_longer_than_it_may(self):
        bench = Bench(said('one'), batch=2, batch_delay_s=0.01)
        bench.submit(1)
        bench.finish(1)
        assert [it.text for it in bench.delivered] == ['one']

    def test_a_worker_stops_after_a_batch_that_is_not_full(self):
        bench = Bench(said('one'), batch=3)
        bench.submit(1)
        bench.worker._jobs.put(None)
        bench.worker.run()
        assert [it.text for it in bench.delivered] == ['one']
