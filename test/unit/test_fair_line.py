"""The order of one class before one worker, and the sorted line below it."""

from __future__ import annotations

import math
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from xlerobot_asr_opt.core.fair_line import FairLine, Shares
from xlerobot_asr_opt.core.ranked_line import NOTHING, RankedLine, Work
from xlerobot_asr_opt.core.work_stealing import ANYBODY


class Waiting(NamedTuple):
    order: int
    stream: str = ''
    deadline: float = math.inf
    length: int = 1
    priority: int = 0


def anybody(_demand) -> bool:
    return True


class Deque:
    """One line with the shares of its streams, as the deques use them."""

    def __init__(self, quantum: int, *jobs: Waiting) -> None:
        self.line, self.shares = FairLine(), Shares(quantum)
        self.push(*jobs)

    def push(self, *jobs: Waiting) -> None:
        for job in jobs:
            self.line.push(self.shares.charge(job), job.length, ANYBODY)

    def take(self) -> int:
        rank = self.line.first(anybody)
        self.line.discard(rank, ANYBODY)
        self.shares.discharge(rank)
        return rank[2]

    def served(self) -> list[int]:
        return [self.take() for _ in range(len(self.line))]


def test_deadline_then_age_while_nobody_asks_for_more_than_his_share():
    deque = Deque(1, Waiting(1, 'a'), Waiting(2, 'b', 9.0), Waiting(3, 'c', 5.0), Waiting(4, 'd'))
    assert deque.served() == [3, 2, 1, 4]


def test_who_heaps_up_jobs_is_served_one_a_round():
    deque = Deque(1, *[Waiting(order, 'hog', deadline=order) for order in range(10)],
                  *[Waiting(order, f'light {order}', 100.0 + order) for order in range(10, 13)])
    assert deque.served() == [0, 10, 11, 12, *range(1, 10)]


def test_who_comes_late_stands_in_the_round_that_is_served():
    deque = Deque(1, *[Waiting(order, 'hog') for order in range(10)])
    for order in range(5):
        assert deque.take() == order
    deque.push(Waiting(10, 'light', deadline=1.0))
    assert deque.served() == [10, 5, 6, 7, 8, 9]


def test_a_long_job_takes_several_rounds():
    deque = Deque(10, Waiting(0, 'long', length=30), Waiting(1, 'long', length=30),
                  *[Waiting(order, 'short', length=5) for order in range(2, 8)])
    assert deque.served() == [0, 2, 3, 4, 5, 6, 7, 1]


def test_each_demand_has_ends_of_its_own():
    line = FairLine()
    long, failed = (200, frozenset()), (100, frozenset('w'))
    for order, demand in enumerate([long, failed, long, failed]):
        line.push((0, math.inf, order), 1, demand)
    assert line.first(lambda demand: demand == failed)[2] == 1
    assert line.last(0, lambda demand: demand == long)[2] == 2
    assert line.first(lambda demand: demand == ANYBODY) is None
    assert line.last(0, anybody)[2] == 3
    line.push((1, math.inf, 4), 1, long)
    assert line.last(0, anybody)[2] == 3
    assert line.last(1, anybody)[2] == 4
    line.discard((1, math.inf, 4), long)
    assert line.work == Work(4, 4)
    assert line.before((0, math.inf, 3)) == Work(3, 3)


def test_a_flood_of_streams_is_swept():
    shares = Shares(1)
    last = shares.charge(Waiting(0, 'hog'))
    for order in range(1, 5000):
        before, last = last, shares.charge(Waiting(order, 'hog'))
        shares.discharge(before)
        shares.discharge(shares.charge(Waiting(order + 5000, f'{order}')))
    assert len(shares) < 100


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20), st.integers(1, 9)), max_size=900))
def test_a_ranked_line_is_a_sorted_list_with_sums(steps):
    line, model = RankedLine(), {}
    for order, (adds, number, length) in enumerate(steps):
        rank = (number, 0.0, order)
        if adds or not model:
            line.add(rank, length)
            model[rank] = length
        else:
            gone = sorted(model)[number % len(model)]
            line.remove(gone)
            del model[gone]
        before = [other for other in model if other < rank]
        assert line.before(rank) == Work(len(before), sum(model[other] for other in before))
        assert line.last_before(rank) == max(before, default=None)
    assert list(line) == sorted(model)
    assert line.work == Work(len(model), sum(model.values()))
    if model:
        assert line.first == min(model)


def test_a_long_line_is_kept_in_buckets():
    line = RankedLine()
    ranks = [(number * 7919 % 5000, 0.0, number) for number in range(5000)]
    for rank in ranks:
        line.add(rank, rank[0])
    assert list(line) == sorted(ranks)
    assert line.before((2500, 0.0, -1)) == Work(2500, sum(range(2500)))
    for rank in ranks:
        line.remove(rank)
    assert (len(line), line.work) == (0, NOTHING)
