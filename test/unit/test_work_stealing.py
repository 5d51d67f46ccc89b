"""Who takes which job, case by case."""

from __future__ import annotations

import math
import random
from typing import NamedTuple

import pytest

from xlerobot_asr_opt.core.ranked_line import NOTHING, Work
from xlerobot_asr_opt.core.work_stealing import ANYBODY, OLDEST_EVERY, WorkStealingDeques


class Waiting(NamedTuple):
    order: int
    priority: int = 0
    deadline: float = math.inf
    length: int = 1
    stream: str = ''


def anybody(_demand) -> bool:
    return True


@pytest.fixture
def deques() -> WorkStealingDeques[Waiting]:
    return WorkStealingDeques(random.Random(1))


def fill(deques, worker, *jobs):
    for job in jobs:
        deques.push(job, worker)


def taken(deques, worker, count) -> list[int]:
    return [deques.take(worker, anybody).order for _ in range(count)]


def test_the_owner_takes_by_class_then_deadline_then_age(deques):
    fill(deques, 'v', Waiting(1, priority=1, stream='a'), Waiting(2, stream='b'),
         Waiting(3, deadline=9.0, stream='c'), Waiting(4, deadline=5.0, stream='d'),
         Waiting(5, stream='e'))
    assert taken(deques, 'v', 5) == [4, 3, 2, 5, 1]
    assert deques.take('v', anybody) is None
    assert len(deques) == 0


def test_a_thief_takes_from_the_far_end(deques):
    fill(deques, 'v', *[Waiting(order, stream=f'{order}') for order in range(4)])
    assert taken(deques, 'w', 2) == [3, 2]
    assert taken(deques, 'v', 2) == [0, 1]
    counters = deques.counters()
    assert (counters.steal_count, counters.steal_operations) == (2, 2)


def test_of_two_victims_the_one_with_more_is_robbed(deques):
    fill(deques, 'v', Waiting(1))
    fill(deques, 'w', Waiting(2, stream='a'), Waiting(3, stream='b'))
    assert taken(deques, 'x', 1) == [3]


def test_a_thief_takes_nothing_of_a_later_round_before_its_time(deques):
    fill(deques, 'v', *[Waiting(order, stream='hog') for order in range(9)])
    fill(deques, 'w', Waiting(9, stream='a'), Waiting(10, stream='b'))
    assert taken(deques, 'x', 4) == [0, 10, 9, 1]


def test_the_owner_of_a_hog_looks_after_the_others_first(deques):
    fill(deques, 'v', *[Waiting(order, stream='hog') for order in range(9)])
    fill(deques, 'w', *[Waiting(order, stream=f'{order}') for order in range(9, 12)])
    assert taken(deques, 'v', 6) == [0, 1, 11, 10, 9, 2]


def test_victims_are_drawn(deques):
    for order in range(300):
        deques.push(Waiting(order, stream=f'{order}'), f'{order % 3}')
    robbed = {order % 3 for order in taken(deques, 'x', 20)}
    assert robbed == {0, 1, 2}


def test_nothing_of_ones_own_comes_before_a_more_urgent_class_elsewhere(deques):
    fill(deques, 'v', Waiting(1, priority=1))
    fill(deques, 'w', Waiting(2, priority=1), Waiting(3, priority=0))
    assert taken(deques, 'v', 3) == [3, 1, 2]


def test_a_lower_class_does_not_starve(deques):
    fill(deques, 'v', Waiting(0, priority=9),
         *[Waiting(order) for order in range(1, 3 * OLDEST_EVERY)])
    assert 0 in taken(deques, 'v', OLDEST_EVERY)


def test_a_thief_takes_only_what_fits_it(deques):
    deques.push(Waiting(1), 'v', (200, frozenset()))
    deques.push(Waiting(2), 'v', (100, frozenset('x')))
    deques.push(Waiting(3), 'v', (100, frozenset()))

    def fits(demand):
        return demand[0] <= 100 and 'x' not in demand[1]

    assert deques.take('x', fits).order == 3
    assert deques.take('x', fits) is None
    assert taken(deques, 'v', 2) == [1, 2]


def test_what_nobody_could_take_is_taken_from_the_near_end(deques):
    fill(deques, None, Waiting(1, stream='a'), Waiting(2, stream='b'))
    assert taken(deques, 'v', 2) == [1, 2]
    assert deques.counters().steal_count == 0


def test_who_was_withdrawn_is_not_taken(deques):
    jobs = [Waiting(order, priority=order % 2) for order in range(4)]
    fill(deques, 'v', *jobs)
    for job in (jobs[0], jobs[0], jobs[3]):
        deques.discard(job)
    assert jobs[0] not in deques
    assert jobs[1] in deques
    assert taken(deques, 'v', 2) == [2, 1]


def test_what_is_before_a_job_is_known_for_each_worker(deques):
    fill(deques, 'v', Waiting(1, priority=0, length=5), Waiting(2, priority=2, length=7))
    fill(deques, 'v', Waiting(3, priority=1, length=11, deadline=3.0, stream='a'))
    asked = Waiting(9, priority=1, deadline=5.0, stream='b')
    rank = deques.rank(asked)
    assert deques.before(1, rank, 'v') == Work(2, 16)
    assert deques.before(1, rank, 'w') == NOTHING
    deques.push(asked, 'v')
    assert deques.rank(asked) == rank
    assert deques.before(1, rank, 'v') == Work(2, 16)


def test_all_are_taken_out_in_the_order_in_which_they_came(deques):
    for order in (3, 1, 2):
        deques.push(Waiting(order, priority=order % 2), f'{order}')
    assert [job.order for job in deques.clear()] == [1, 2, 3]
    assert len(deques) == 0
    assert deques.take('1', anybody) is None


def test_where_it_was_queued_is_counted(deques):
    deques.push(Waiting(1), 'v', ANYBODY, preferred=True)
    deques.push(Waiting(2), 'v')
    counters = deques.counters()
    assert (counters.local_schedule_count, counters.remote_schedule_count) == (1, 1)
