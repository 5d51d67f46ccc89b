"""What may be published next, and what is given up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from xlerobot_asr_opt.core.dispatch_records import OpenSegment
from xlerobot_asr_opt.core.outcomes import refused
from xlerobot_asr_opt.core.stream_order import StreamOrder
from xlerobot_asr_opt.records import Ticket

OUTCOME = refused('for a test')


def ticket(sequence: int, oldest_kept: int = 0) -> Ticket:
    return Ticket(segment=sequence, stream='a', sequence=sequence, oldest_kept=oldest_kept,
                  begin_ns=0, length=1, digest=b'')


def entered(order: StreamOrder, sequence: int) -> OpenSegment:
    segment = OpenSegment(ticket(sequence), 0.0, 0.0, order)
    order.enter(segment)
    return segment


def released(order: StreamOrder) -> list[int]:
    return [segment.ticket.sequence for segment in order.release()]


@given(st.permutations(range(6)))
def test_releases_in_order_whatever_is_decided_first(decided):
    order = StreamOrder(ticket(0))
    segments = [entered(order, sequence) for sequence in range(6)]
    said = []
    for sequence in decided:
        assert order.decide(segments[sequence], OUTCOME)
        said += released(order)
    assert said == list(range(6))
    assert order.idle
    assert not order.stuck


@given(st.permutations(range(6)))
def test_releases_in_order_whatever_is_announced_first(announced):
    order = StreamOrder(ticket(0))
    said = []
    for sequence in announced:
        order.decide(entered(order, sequence), OUTCOME)
        said += released(order)
    assert said == list(range(6))


def test_waits_for_what_is_missing():
    order = StreamOrder(ticket(0))
    order.decide(entered(order, 1), OUTCOME)
    assert released(order) == []
    assert order.stuck


def test_is_not_stuck_behind_what_is_under_way():
    order = StreamOrder(ticket(0))
    entered(order, 0)
    order.decide(entered(order, 1), OUTCOME)
    assert released(order) == []
    assert not order.stuck


def test_begins_at_the_oldest_kept():
    order = StreamOrder(ticket(7, oldest_kept=5))
    order.decide(entered(order, 7), OUTCOME)
    assert released(order) == []
    order.decide(entered(order, 5), OUTCOME)
    order.decide(entered(order, 6), OUTCOME)
    assert released(order) == [5, 6, 7]


def test_an_oldest_kept_beyond_its_own_ticket_is_not_believed():
    order = StreamOrder(ticket(3, oldest_kept=9))
    order.decide(entered(order, 3), OUTCOME)
    assert released(order) == [3]


def test_does_not_wait_for_what_was_settled_before():
    order = StreamOrder(ticket(0))
    order.decide(entered(order, 2), OUTCOME)
    order.pass_over(ticket(0))
    order.pass_over(ticket(1))
    assert released(order) == [2]


def test_does_not_wait_below_what_is_kept():
    order = StreamOrder(ticket(0))
    segment = entered(order, 4)
    order.decide(segment, OUTCOME)
    assert order.keep(ticket(4, oldest_kept=4), segment.epoch) == []
    assert released(order) == [4]


def test_tells_what_ingest_has_lost():
    order = StreamOrder(ticket(0))
    lost, decided, kept = (entered(order, sequence) for sequence in range(3))
    order.decide(decided, OUTCOME)
    assert order.keep(ticket(2, oldest_kept=2), kept.epoch) == [lost]
    assert released(order) == [1]
    assert not order.decide(lost, OUTCOME)
    assert order.decide(kept, OUTCOME)
    assert released(order) == [2]


def test_gives_up_what_is_missing():
    order = StreamOrder(ticket(0))
    order.decide(entered(order, 2), OUTCOME)
    order.skip()
    assert released(order) == [2]
    order.decide(entered(order, 3), OUTCOME)
    assert released(order) == [3]


def test_a_new_count_goes_behind_the_old_one():
    order = StreamOrder(ticket(0))
    old = [entered(order, sequence) for sequence in range(2)]
    new = entered(order, 0)
    order.decide(new, OUTCOME)
    assert released(order) == []
    assert order.decide(old[0], OUTCOME)
    assert released(order) == [0]
    order.decide(old[1], OUTCOME)
    assert released(order) == [1, 0]


def test_is_not_held_up_for_good_by_an_old_count():
    order = StreamOrder(ticket(0))
    old = entered(order, 0)
    entered_anew = entered(order, 0)
    order.decide(entered_anew, OUTCOME)
    assert order.stuck
    order.skip()
    assert released(order) == [0]
    assert not order.decide(old, OUTCOME)
