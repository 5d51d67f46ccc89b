"""Who may be granted what, how long that takes, and who is gone."""

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


def named(pool, name):
    return next(worker for worker in pool.candidates(job(1)) if worker.name == name)


def names(workers):
    return [worker.name for worker in workers]


def lease(worker, at: float = 0.0) -> Lease:
    taken = Lease(job(), worker, Grant(1, 1, worker.name), at)
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
    assert pool.with_credit() == []
    assert pool.longest is None
    assert pool.recogniser is None
    assert pool.candidates(job()) == []


def test_an_inactive_worker_is_not_taken_in():
    pool = WorkerPool()
    assert pool.update(status(active=False), 0.0) is None
    assert len(pool) == 0


def test_credit_is_what_is_left_of_the_capacity(pool):
    worker = named(pool, 'w')
    first, second = lease(worker), lease(worker)
    assert worker.credit == 0
    assert names(pool.with_credit()) == ['v']
    worker.returned(first, 1.0, answered=True)
    worker.returned(second, 1.0, answered=False)
    assert names(pool.with_credit()) == ['v', 'w']


def test_who_failed_on_it_is_taken_when_nobody_else_could(pool):
    assert names(pool.candidates(job(tried=frozenset('v')))) == ['w']
    assert names(pool.candidates(job(tried=frozenset('vw')))) == ['v', 'w']
    pool.update(status('w', active=False), 0.0)
    assert names(pool.candidates(job(tried=frozenset('v')))) == ['v']


def test_a_demand_names_those_who_failed_as_long_as_others_would_take_it(pool):
    for tried, named_ones in (('', ''), ('v', 'v'), ('vw', '')):
        asked = job(50, frozenset(tried))
        demand = pool.demand(asked, pool.candidates(asked))
        assert demand == (100, frozenset(named_ones))
        fit = [worker.name for worker in pool.candidates(job(1)) if worker.fits(demand)]
        assert fit == names(pool.candidates(asked))


def test_who_offers_nothing_is_no_candidate(pool):
    pool.update(status('v', capacity=0), 0.0)
    assert names(pool.candidates(job())) == ['w']
    assert pool.offers == (('w', 100),)


class TestTimes:
    def test_an_answer_took_the_time_since_the_grant_or_the_answer_before(self, pool):
        worker = named(pool, 'w')
        first, second = lease(worker, 10.0), lease(worker, 10.5)
        worker.returned(first, 12.0, answered=True)
        assert worker.service.of_one(100) == pytest.approx(2.0)
        worker.returned(second, 14.0, answered=True)
        assert worker.service.of_one(100) == pytest.approx(2.0)

    def test_a_failure_teaches_nothing(self, pool):
        worker = named(pool, 'w')
        worker.returned(lease(worker), 12.0, answered=False)
        assert not worker.service.measured

    def test_is_busy_with_the_rest_of_the_first_and_all_of_the_others(self, pool):
        worker = named(pool, 'w')
        worker.returned(lease(worker, 0.0), 2.0, answered=True)
        assert worker.busy_s(5.0) == 0.0
        lease(worker, 5.0)
        lease(worker, 5.0)
        assert worker.busy_s(5.5) == pytest.approx(3.5)
        assert worker.busy_s(50.0) == pytest.approx(2.0)


def test_limits_are_those_of_the_workers_present(pool):
    pool.update(status('x', longest=300), 0.0)
    assert [pool.limit(length) for length in (1, 100, 101, 300, 301)] == [100, 100, 300, 300, 0]
    pool.update(status('x', longest=300, active=False), 0.0)
    assert pool.limit(101) == 0


def test_the_recogniser_is_remembered_without_workers(pool):
    for name in 'vw':
        pool.update(status(name, active=False), 0.0)
    assert pool.recogniser == b'r' * 32


def test_a_worker_that_goes_loses_what_it_was_granted(pool):
    worker = named(pool, 'w')
    taken = lease(worker)
    loss = pool.update(status('w', active=False), 1.0)
    assert list(loss.worker.leases) == [taken]
    assert 'deactivated' in loss.reason
    assert not loss.fault
    assert len(pool) == 1


def test_a_restarted_worker_loses_what_it_was_granted(pool):
    lease(named(pool, 'w'))
    loss = pool.update(status('w', incarnation=2), 1.0)
    assert 'restarted' in loss.reason
    assert loss.fault
    assert named(pool, 'w').leases == {}


def test_silence_is_counted_from_what_was_heard_last(pool):
    pool.update(status('w'), 2.0)
    assert [worker.name for worker in pool.silent(1.0)] == ['v']
    assert len(pool) == 1
    assert pool.silent(1.0) == []


@pytest.mark.parametrize(('incarnation', 'held'), [(1, 1), (2, 0)])
def test_who_is_heard_again_holds_what_it_held_unless_restarted(pool, incarnation, held):
    lease(named(pool, 'w'))
    pool.silent(1.0)
    pool.update(status('w', incarnation=incarnation), 2.0)
    assert len(named(pool, 'w').leases) == held


def test_who_is_heard_again_and_rests_holds_nothing_later(pool):
    lease(named(pool, 'w'))
    pool.silent(1.0)
    pool.update(status('w', active=False), 2.0)
    pool.update(status('w'), 3.0)
    assert named(pool, 'w').leases == {}
