"""Blocks are handed out once, in one piece where there is room, and as low as possible."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlerobot_asr_opt.core.block_map import BlockMap


def test_a_segment_begins_at_the_lowest_run_with_room_for_all_of_it():
    blocks = BlockMap(20)
    for block in (2, 6):
        blocks.take(block)
    assert blocks.take_first(4, growing=()) == 7
    assert blocks.take_first(3, growing=()) == 3


def test_the_room_of_growing_segments_is_left_alone_while_there_is_other():
    blocks = BlockMap(10)
    first = blocks.take_first(4, growing=())
    second = blocks.take_first(4, growing=[first])
    third = blocks.take_first(4, growing=[first, second])
    assert (first, second, third) == (0, 4, 1)


def test_a_segment_grows_into_the_block_behind_it_else_the_lowest():
    blocks = BlockMap(4)
    blocks.take(1)
    assert blocks.take_after(1) == 2
    assert blocks.take_after(1) == 0
    assert blocks.take_after(3) == 3


def test_the_last_block_has_none_behind_it():
    blocks = BlockMap(2)
    blocks.take(1)
    assert blocks.take_after(1) == 0


def test_a_taken_block_is_not_taken_again():
    blocks = BlockMap(2)
    assert blocks.take(1)
    assert not blocks.take(1)
    assert blocks.free == 1


def test_nothing_is_handed_out_of_nothing():
    blocks = BlockMap(1)
    blocks.take(0)
    with pytest.raises(LookupError):
        blocks.take_first(1, growing=())
    with pytest.raises(LookupError):
        blocks.take_after(0)


@given(st.lists(st.tuples(st.sampled_from(['first', 'after', 'give']), st.integers(0, 7))))
def test_no_block_is_ever_owned_twice(steps):
    blocks, owned = BlockMap(8), []
    for step, number in steps:
        if step == 'give' and owned:
            blocks.give([owned.pop(number % len(owned))])
        elif step != 'give' and len(owned) < 8:
            owned.append(blocks.take_first(3, owned) if step == 'first'
                         else blocks.take_after(number))
        assert len(set(owned)) == len(owned)
        assert blocks.free == 8 - len(owned)
