"""What is foretold: a segment whose budget cannot suffice is refused at once, with the numbers."""

from __future__ import annotations

import pytest
from dispatch_world import World

from xlerobot_asr_opt.core.cache_values import to_json
from xlerobot_asr_opt.records import Recognition, RecognitionStatus, TranscriptStatus

DONE, _, REJECTED, EXPIRED, _ = TranscriptStatus


def measured(seconds: float = 1.0, *, workers: str = 'w', **parameters) -> World:
    """A world whose workers have taken so long for a segment of 1 s."""
    world = World(worker_timeout=60.0, **parameters)
    for name in workers:
        world.worker(name)
    for place, stream in enumerate('xyz'[:len(workers)]):
        world.speak(stream)
        assert world.grants[-1].worker == workers[place]
    world.now += seconds
    for grant in list(world.grants):
        world.answer(grant)
    world.transcripts.clear()
    return world


def test_is_refused_at_once_with_the_numbers():
    world = measured(1.0)
    for stream in 'abc':
        world.speak(stream, budget_s=3.4)
    world.speak('d', budget_s=3.5)
    (said,) = world.transcripts
    assert said.status is REJECTED
    assert said.reason.startswith(
        'needs about 4000 ms: 3000 ms queued before it on 1 worker, 3500 ms are left of its '
        'budget of 3500 ms')
    assert world.statistics.foretold == world.statistics.rejected == 1


def test_what_can_be_done_in_time_is_not_refused():
    world = measured(1.0)
    for stream in 'abc':
        world.speak(stream, budget_s=3.0)
    for _ in range(3):
        world.now += 0.99
        world.answer(world.grants[-1])
    assert [said.status for said in world.transcripts] == [DONE] * 3


def test_nothing_is_refused_before_anything_was_measured():
    world = World(worker_timeout=60.0)
    world.worker()
    for stream in 'abcd':
        world.speak(stream, budget_s=0.01)
    assert not world.transcripts


def test_what_can_begin_at_once_is_not_refused_however_slow_the_worker_was():
    world = measured(5.0)
    world.speak('a', budget_s=1.0)
    world.now += 0.5
    world.answer(world.grants[-1])
    assert [said.status for said in world.transcripts] == [DONE]


def test_all_workers_count():
    world = measured(1.0, workers='vw')
    for stream in 'abcd':
        world.speak(stream, budget_s=2.5)
    world.speak('e', budget_s=3.1)
    world.speak('f', budget_s=2.9)
    (said,) = world.transcripts
    assert said.stream == 'f'
    assert 'on 2 workers' in said.reason


def test_a_worker_of_which_nothing_is_known_may_be_fast():
    world = measured(1.0)
    world.worker('new')
    for stream in 'abcd':
        world.speak(stream, budget_s=1.1)
    assert not world.transcripts


def test_is_refused_as_soon_as_it_is_certain():
    world = measured(1.0)
    world.speak('a')
    world.speak('b', budget_s=2.5)
    world.wait(1.49, 'w')
    assert not world.transcripts
    world.wait(0.02, 'w')
    (said,) = world.transcripts
    assert (said.stream, said.status) == ('b', REJECTED)
    assert 'are left of its budget of 2500 ms' in said.reason


def test_what_waited_when_nothing_was_known_is_judged_once_something_is():
    world = World(worker_timeout=60.0)
    world.worker()
    for stream in 'abcd':
        world.speak(stream, budget_s=2.5)
    world.now += 1.0
    world.answer(world.grants[0])
    assert [(said.stream, said.status) for said in world.transcripts] == [
        ('a', DONE), ('c', REJECTED), ('d', REJECTED)]


def test_those_who_share_a_job_are_judged_one_by_one():
    world = measured(1.0)
    for stream in 'ab':
        world.speak(stream, budget_s=2.0)
    world.speak('c', 'stop')
    world.speak('d', 'stop', budget_s=3.5)
    world.speak('e', 'stop', budget_s=2.5)
    assert [said.stream for said in world.transcripts] == ['e']
    world.now += 1.0
    world.answer(world.grants[-1])
    world.wait(1.6, 'w')
    world.answer(world.grants[-1])
    world.answer(world.grants[-1])
    assert {said.stream: said.status for said in world.transcripts} == {
        'e': REJECTED, 'a': DONE, 'b': EXPIRED, 'd': REJECTED, 'c': DONE}


def test_the_cache_is_asked_before_anything_is_refused():
    world = measured(1.0, use_cache=False)
    known = to_json(Recognition(9, 9, 'gone', RecognitionStatus.DONE, text='Stop.'))
    world = World(use_cache=True, worker_timeout=60.0)
    world.worker()
    world.speak('x')
    world.cache_says(None)
    world.now += 1.0
    world.answer(world.grants[0])
    world.speak('a')
    world.cache_says(None)
    world.speak('b', budget_s=0.5)
    world.speak('c', budget_s=0.5)
    world.cache_says(known)
    world.cache_says(None)
    assert [(said.stream, said.status) for said in world.transcripts[1:]] == [
        ('b', DONE), ('c', REJECTED)]


def test_what_was_granted_is_not_refused_but_expires():
    world = measured(1.0)
    world.speak('a', budget_s=1.2)
    world.wait(1.3, 'w')
    world.answer(world.grants[-1])
    assert [said.status for said in world.transcripts] == [EXPIRED]


def test_a_refusal_is_told_in_its_turn():
    world = measured(1.0)
    world.speak('a')
    world.speak('a', budget_s=1.5)
    assert not world.transcripts
    world.answer(world.grants[-1])
    assert [said.status for said in world.transcripts] == [DONE, REJECTED]


def test_a_repeated_grant_that_would_come_too_late_is_refused():
    world = measured(1.0)
    world.speak('a', budget_s=3.0)
    world.speak('b')
    world.now += 1.5
    world.fail(world.grants[-1])
    world.answer(world.grants[-1])
    assert [(said.stream, said.status) for said in world.transcripts] == [('a', DONE)]


class TestStealing:
    def test_who_has_nothing_to_do_takes_what_waits_for_another(self):
        world = measured(1.0, workers='vw')
        for _ in range(5):
            world.speak('x')
        assert [grant.worker for grant in world.grants[2:]] == ['v', 'w']
        for _ in range(3):
            world.answer([grant for grant in world.grants if grant.worker == 'w'][-1])
        assert [grant.worker for grant in world.grants[4:]] == ['w', 'w', 'w']
        assert world.statistics.stolen >= 1

    def test_a_hog_does_not_keep_the_others_waiting(self):
        world = measured(1.0)
        for _ in range(20):
            world.speak('a')
        for stream in 'bcd':
            world.speak(stream)
        for _ in range(6):
            world.answer(world.grants[-1])
        assert {said.stream for said in world.transcripts} == {'a', 'b', 'c', 'd'}


@pytest.mark.parametrize('leader', ['dies', 'is cut off', 'fails', 'is withdrawn'])
def test_32_equal_requests_cost_one_inference_also_when_the_leader_dies(leader):
    world = World(worker_timeout=2.0)
    for name in 'vw':
        world.worker(name)
    segments = [world.speak(f'{chr(97 + number)}', 'stop') for number in range(26)]
    segments += [world.speak(f'{chr(65 + number)}', 'stop') for number in range(6)]
    (first,) = world.grants
    assert first.worker == 'v'
    if leader == 'dies':
        world.worker('v', incarnation=2)
    elif leader == 'is cut off':
        world.wait(2.5, 'w', step=0.5)
    elif leader == 'fails':
        world.fail(first)
    else:
        world.carry_out(world.dispatcher.cancel(segments[0]))
    world.answer(world.grants[-1], 'Stop.')
    answered = 1 if leader == 'is withdrawn' else 2
    assert len(world.grants) == answered
    assert world.texts.count('Stop.') == (31 if leader == 'is withdrawn' else 32)
    assert world.statistics.open == 0
