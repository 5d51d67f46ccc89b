"""What the dispatcher takes at each level of degradation."""

from __future__ import annotations

import pytest
from dispatch_world import World

from xlerobot_asr_opt.records import (
    SAMPLE_RATE,
    Degradation,
    DegradationLevel,
    Flag,
    TranscriptStatus,
)

BPU, CPU, CPU_SMALL, FINALS, COMMANDS, REFUSE = DegradationLevel
SHORT, LONG = 2 * SAMPLE_RATE, 2 * SAMPLE_RATE + 1


@pytest.fixture
def world():
    world = World(longest_command=2.0)
    world.worker(capacity=2)
    return world


def heed(world, level):
    world.dispatcher.heed(Degradation(level, 'too hot'))


def test_all_is_refused_at_once_with_the_reason(world):
    heed(world, REFUSE)
    world.speak('a', length=SHORT)
    (said,) = world.transcripts
    assert said.status is TranscriptStatus.REJECTED
    assert said.reason == 'the graph is at the level refuse: too hot'
    assert not world.grants
    assert not world.kept


def test_what_is_longer_than_a_command_is_refused(world):
    heed(world, COMMANDS)
    world.speak('a', length=LONG)
    world.speak('a', length=SHORT)
    (grant,) = world.grants
    world.answer(grant, 'Stop.')
    long, short = world.transcripts
    assert long.status is TranscriptStatus.REJECTED
    assert 'at the level commands the longest is 2 s: too hot' in long.reason
    assert short.text == 'Stop.'
    assert world.sequences('a') == [0, 1]


@pytest.mark.parametrize('level', [BPU, CPU, CPU_SMALL, FINALS])
def test_up_to_finals_all_is_taken(world, level):
    heed(world, level)
    world.speak('a', length=LONG)
    assert world.grants


@pytest.mark.parametrize('flags', [Flag.PROVISIONAL, Flag.PROVISIONAL | Flag.PARTIAL])
def test_from_finals_on_nothing_is_begun_ahead(world, flags):
    heed(world, FINALS)
    world.pause('a', flags=flags)
    assert not world.grants
    heed(world, CPU)
    world.pause('a', flags=flags)
    assert world.grants


def test_what_was_admitted_before_is_answered(world):
    world.worker(capacity=1)
    for stream in 'abc':
        world.speak(stream, length=LONG)
    heed(world, REFUSE)
    world.speak('d', length=SHORT)
    while len(world.transcripts) < 4:
        world.answer(world.grants[len(world.transcripts) - 1], 'said before')
    assert [said.status for said in world.transcripts] == [
        TranscriptStatus.REJECTED, *[TranscriptStatus.DONE] * 3]


def test_a_refusal_keeps_the_order_of_its_stream(world):
    world.speak('a', length=LONG)
    heed(world, REFUSE)
    world.speak('a', length=SHORT)
    assert not world.transcripts
    world.answer(world.grants[0], 'First.')
    assert world.sequences('a') == [0, 1]


def test_a_level_survives_a_new_activation(world):
    heed(world, REFUSE)
    world.restart()
    world.speak('a', length=SHORT)
    assert world.transcripts[-1].status is TranscriptStatus.REJECTED
