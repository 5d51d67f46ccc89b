"""Texts of what was said so far, while its speaker goes on."""

import pytest
from dispatch_world import World

from xlerobot_asr_opt.records import Flag, RecognitionStatus

PARTIAL = Flag.PROVISIONAL | Flag.PARTIAL


@pytest.fixture
def world():
    world = World()
    world.worker(capacity=2)
    return world


def so_far(world, samples, length, stream='a'):
    """Somebody goes on speaking; returns the grants that follow."""
    before = len(world.grants)
    world.pause(stream, samples, flags=PARTIAL, length=length)
    return world.grants[before:]


def shown(world):
    return [(one.text, one.sequence) for one in world.shown]


def test_what_was_said_so_far_is_shown_and_is_no_transcript(world):
    (grant,) = so_far(world, 'go', 16_000)
    world.answer(grant, 'Go.')
    assert shown(world) == [('Go.', 0)]
    assert Flag.PARTIAL in world.shown[0].flags
    assert not world.transcripts
    assert world.statistics.partials == 1
    assert world.statistics.admitted == 0


def test_no_cache_is_asked_for_it_or_keeps_it():
    world = World(use_cache=True)
    world.worker(capacity=2)
    (grant,) = so_far(world, 'go', 16_000)
    world.answer(grant, 'Go.')
    assert not world.questions
    assert not world.values


def test_the_final_text_follows_under_the_same_number(world):
    (grant,) = so_far(world, 'go', 16_000)
    world.answer(grant, 'Go.')
    world.speak('a', 'go to the kitchen')
    world.answer(world.grants[-1], 'Go to the kitchen.')
    assert shown(world) == [('Go.', 0)]
    assert [(one.text, one.sequence) for one in world.transcripts] == [('Go to the kitchen.', 0)]


def test_it_is_given_up_where_no_worker_is_idle(world):
    world.speak('b', 'stop')
    assert so_far(world, 'go', 16_000) == []
    world.answer(world.grants[0], 'Stop.')
    assert so_far(world, 'go to', 32_000)


def test_it_is_not_shown_behind_the_final_text():
    world = World()
    world.worker('slow')
    world.worker('quick')
    (grant,) = so_far(world, 'go', 16_000)
    world.speak('a', 'go on')
    world.answer(world.grants[-1], 'Go on.')
    world.answer(grant, 'Go.')
    assert world.texts == ['Go on.']
    assert not world.shown


def test_it_is_not_shown_behind_a_longer_one():
    world = World()
    world.worker('slow')
    world.worker('quick')
    (first,) = so_far(world, 'go', 16_000)
    (second,) = so_far(world, 'go on', 32_000)
    world.answer(second, 'Go on.')
    world.answer(first, 'Go.')
    assert shown(world) == [('Go on.', 0)]


def test_nothing_is_shown_of_what_is_no_speech(world):
    (grant,) = so_far(world, 'hm', 16_000)
    world.answer(grant, '', status=RecognitionStatus.NO_SPEECH)
    assert not world.shown


def test_what_fails_is_not_granted_again(world):
    (grant,) = so_far(world, 'go', 16_000)
    world.fail(grant)
    assert len(world.grants) == 1


def test_looking_ahead_may_be_off():
    world = World(look_ahead=False)
    world.worker(capacity=2)
    assert so_far(world, 'go', 16_000)
