"""Whom to grant, and who is gone."""

from __future__ import annotations

import pytest

from xlerobot_asr_opt.core.dispatch_records import Job, Lease
from xlerobot_asr_opt.core.worker_pool import WorkerPool
from xlerobot_asr_opt.records import Grant, WorkerStatus


def status(name: str = 'w', **fields) -> WorkerStatus:
    given = {'incarnation': 1, 'active': True, 'capacity': 2, 'longest': 100,
             'recogniser': b'r' * 32, **fields}
    return WorkerStatus(name, **given)


def job(length: int = 100, tried: frozenset[str] = frozenset()) -> Job:
    return Job((b'', ''), order=1, length=length, priority=0, deadline=0.0, tried=tried)


def lease(worker) -> Lease:
    taken = Lease(job(), worker, Grant(1, 1, worker.name), 0.0)
    worker.leases[taken] = None
    return taken


@pytest.fixture
def pool() -> WorkerPool:
    pool = WorkerPool()
    for name in 'vw':
        assert pool.update(status(name), 0.0) is None
    return pool


def test_is_empty_at_first():
    pool = WorkerPool()
    assert len(pool) == 0
    assert not pool.has_credit
    assert pool.longest is None
    assert pool.recogniser is None
    assert pool.choose(job(), '') is None


def test_an_inactive_worker_is_not_taken_in():
    pool = WorkerPool()
    assert pool.update(status(active=False), 0.0) is None
    assert len(pool) == 0


def test_credit_is_what_is_left_of_the_capacity(pool):
    worker = pool.choose(job(), 'w')
    first, second = lease(worker), lease(worker)
    assert worker.credit == 0
    assert pool.choose(job(), 'w').name == 'v'
    del worker.leases[first], worker.leases[second]
    assert pool.choose(job(), 'w').name == 'w'


def test_the_favourite_comes_before_the_idle(pool):
    lease(pool.choose(job(), 'w'))
    assert pool.choose(job(), '').name == 'v'
    assert pool.choose(job(), 'w').name == 'w'


def test_who_failed_of_late_comes_last(pool):
    pool.choose(job(), 'w').strikes = 1
    assert pool.choose(job(), 'w').name == 'v'


def test_who_failed_on_it_is_taken_when_nobody_else_could(pool):
    assert pool.choose(job(tried=frozenset('v')), 'v').name == 'w'
    assert pool.choose(job(tried=frozenset('vw')), 'v').name == 'v'
    pool.update(status('w', active=False), 0.0)
    assert pool.choose(job(tried=frozenset('v')), '').name == 'v'


def test_a_busy_one_is_waited_for_rather_than_who_failed_on_it(pool):
    worker = pool.choose(job(), 'w')
    lease(worker)
    lease(worker)
    assert pool.choose(job(tried=frozenset('v')), '') is None


def test_limits_are_those_of_the_workers_present(pool):
    pool.update(status('x', longest=300), 0.0)
    assert pool.limits == (100, 300)
    assert [pool.limit(length) for length in (1, 100, 101, 300, 301)] == [100, 100, 300, 300, 0]
    pool.update(status('x', longest=300, active=False), 0.0)
    assert pool.limits == (100,)


def test_the_recogniser_is_remembered_without_workers(pool):
    for name in 'vw':
        pool.update(status(name, active=False), 0.0)
    assert pool.recogniser == b'r' * 32


def test_a_worker_that_goes_loses_what_it_was_granted(pool):
    worker = pool.choose(job(), 'w')
    taken = lease(worker)
    loss = pool.update(status('w', active=False), 1.0)
    assert list(loss.worker.leases) == [taken]
    assert 'deactivated' in loss.reason
    assert not loss.fault
    assert len(pool) == 1


def test_a_restarted_worker_loses_what_it_was_granted(pool):
    lease(pool.choose(job(), 'w'))
    loss = pool.update(status('w', incarnation=2), 1.0)
    assert 'restarted' in loss.reason
    assert loss.fault
    assert pool.choose(job(), 'w').leases == {}


def test_silence_is_counted_from_what_was_heard_last(pool):
    pool.update(status('w'), 2.0)
    assert [worker.name for worker in pool.silent(1.0)] == ['v']
    assert len(pool) == 1
    assert pool.silent(1.0) == []


@pytest.mark.parametrize(('incarnation', 'held'), [(1, 1), (2, 0)])
def test_who_is_heard_again_holds_what_it_held_unless_restarted(pool, incarnation, held):
    lease(pool.choose(job(), 'w'))
    pool.silent(1.0)
    pool.update(status('w', incarnation=incarnation), 2.0)
    assert len(pool.choose(job(), 'w').leases) == held


def test_who_is_heard_again_and_rests_holds_nothing_later(pool):
    lease(pool.choose(job(), 'w'))
    pool.silent(1.0)
    pool.update(status('w', active=False), 2.0)
    pool.update(status('w'), 3.0)
    assert pool.choose(job(), 'w').leases == {}
