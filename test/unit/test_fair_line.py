"""The order of one class before one worker, and the sorted line below it."""

from __future__ import annotations

import math
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from xlerobot_asr_opt.core.fair_line import FairLine
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


def served(line: FairLine) -> list[int]:
    """Have the owner serve all that waits for anybody."""
    orders = []
    while (rank := line.first(anybody)) is not None:
        line.discard(rank, ANYBODY)
        line.serve(rank)
        orders.append(rank[2])
    return orders


def test_deadline_then_age_while_nobody_asks_for_more_than_his_share():
    line = FairLine(quantum=1)
    for job in (Waiting(1, 'a'), Waiting(2, 'b', 9.0), Waiting(3, 'c', 5.0), Waiting(4, 'd')):
        line.push(job, ANYBODY)
    assert served(line) == [3, 2, 1, 4]


def test_who_heaps_up_jobs_is_served_one_a_round():
    line = FairLine(quantum=1)
    for order in range(10):
        line.push(Waiting(order, 'hog', deadline=order), ANYBODY)
    for order in range(10, 13):
        line.push(Waiting(order, f'light {order}', deadline=100.0 + order), ANYBODY)
    assert served(line) == [0, 10, 11, 12, *range(1, 10)]


def test_who_comes_late_stands_in_the_round_that_is_served():
    line = FairLine(quantum=1)
    for order in range(10):
        line.push(Waiting(order, 'hog'), ANYBODY)
    for _ in range(5):
        rank = line.first(anybody)
        line.discard(rank, ANYBODY)
        line.serve(rank)
    line.push(Waiting(10, 'light', deadline=1.0), ANYBODY)
    assert served(line) == [10, 5, 6, 7, 8, 9]


def test_a_long_job_takes_several_rounds():
    line = FairLine(quantum=10)
    line.push(Waiting(0, 'long', length=30), ANYBODY)
    line.push(Waiting(1, 'long', length=30), ANYBODY)
    for order in range(2, 8):
        line.push(Waiting(order, 'short', length=5), ANYBODY)
    assert served(line) == [0, 2, 3, 4, 5, 6, 7, 1]


def test_whoever_was_served_is_forgotten_once_nobody_waits():
    line = FairLine(quantum=1)
    for order in range(5):
        line.push(Waiting(order, 'hog'), ANYBODY)
    assert served(line) == [0, 1, 2, 3, 4]
    line.push(Waiting(5, 'hog', 2.0), ANYBODY)
    line.push(Waiting(6, 'light', 3.0), ANYBODY)
    assert served(line) == [5, 6]


def test_each_demand_has_ends_of_its_own():
    line = FairLine(quantum=1)
    long, failed = (200, frozenset()), (100, frozenset('w'))
    for order, demand in enumerate([long, failed, long, failed]):
        line.push(Waiting(order, f'{order}'), demand)
    assert line.first(lambda demand: demand == failed)[2] == 1
    assert line.last(lambda demand: demand == long)[2] == 2
    assert line.first(lambda demand: demand == ANYBODY) is None
    assert line.last(anybody)[2] == 3
    assert line.work == Work(4, 4)
    assert line.before(line.rank(Waiting(9, 'x'))) == Work(4, 4)


def test_a_flood_of_streams_is_swept():
    line = FairLine(quantum=1)
    line.push(Waiting(0, 'stays'), ANYBODY)
    for order in range(1, 2000):
        rank = line.push(Waiting(order, f'{order}'), ANYBODY)
        line.discard(rank, ANYBODY)
        line.serve((order, 0.0, order))
    assert len(line._ends) < 200


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
    assert list(line) == sorted(model)
    assert line.work == Work(len(model), sum(model.values()))
    if model:
        assert (line.first, line.last) == (min(model), max(model))


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
