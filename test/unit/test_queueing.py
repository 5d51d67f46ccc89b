"""Who is served first, and that nobody starves."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from xlerobot_asr_opt.core.dispatch_records import Job
from xlerobot_asr_opt.core.queueing import OLDEST_EVERY, WaitingLine


def job(order: int, priority: int = 0, deadline: float = math.inf, tried: str = '') -> Job:
    return Job((b'', ''), order, 1, priority, deadline, tried=frozenset(tried))


def served(line: WaitingLine, count: int) -> list[int]:
    orders = []
    for _ in range(count):
        first = line.heads()[0]
        line.take(first)
        orders.append(first.order)
    return orders


def test_class_then_deadline_then_age():
    line = WaitingLine()
    for waiting in (job(1, priority=1), job(2), job(3, deadline=9.0), job(4, deadline=5.0),
                    job(5)):
        line.push(waiting, 1)
    assert served(line, 5) == [4, 3, 2, 5, 1]
    assert not line


def test_nobody_starves_behind_the_urgent():
    line = WaitingLine()
    line.push(job(0, priority=9), 1)
    for order in range(1, 2 * OLDEST_EVERY):
        line.push(job(order), 1)
    assert 0 in served(line, OLDEST_EVERY)


@given(st.lists(st.tuples(st.sampled_from(['push', 'take', 'discard', 'age']),
                          st.integers(0, 3), st.integers(0, 5)), max_size=300))
def test_serves_as_a_sorted_list_would(steps):
    line, model, orders = WaitingLine(), {}, 0
    for step, priority, deadline in steps:
        if step == 'push':
            orders += 1
            model[orders] = job(orders, priority, float(deadline))
            line.push(model[orders], 1)
        elif model and step == 'discard':
            gone = model.pop(sorted(model)[deadline % len(model)])
            line.discard(gone)
            assert gone not in line
        elif model and step == 'age':
            again = model[min(model)]
            line.discard(again)
            again.deadline -= 1.0
            line.push(again, 1)
        elif model and step == 'take':
            first = line.heads()[0]
            ranks = sorted(waiting.rank for waiting in model.values())
            assert first.rank == ranks[0] or first.order == min(model)
            line.take(model.pop(first.order))
        assert len(line) == len(model)
    assert [left.order for left in line.clear()] == sorted(model)
    assert len(line) == 0


def test_each_demand_has_a_head_of_its_own():
    line = WaitingLine()
    line.push(job(1), 100)
    line.push(job(2), 200)
    line.push(job(3, tried='w'), 100)
    line.push(job(4), 100)
    assert [head.order for head in line.heads()] == [1, 2, 3]


def test_a_flood_of_withdrawals_is_swept():
    line = WaitingLine()
    last = job(0)
    line.push(last, 1)
    for order in range(1, 1000):
        passing = job(order)
        line.push(passing, 1)
        line.discard(passing)
    assert served(line, 1) == [0]
