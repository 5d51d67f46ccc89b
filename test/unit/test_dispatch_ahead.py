"""Speech that is recognised at a pause of its speaker, before anybody knows that it has ended."""

from __future__ import annotations

import pytest
from dispatch_world import LONGEST, World

from xlerobot_asr_opt.core.cache_values import to_json
from xlerobot_asr_opt.core.dispatch import AHEAD_S
from xlerobot_asr_opt.core.pauses import PATIENCE_S
from xlerobot_asr_opt.records import Flag, Recognition, RecognitionStatus

TIMES = {'wait_ms': 2.0, 'features_ms': 3.0, 'encode_ms': 50.0, 'decode_ms': 45.0,
         'worker_ms': 100.0}


def paused(world, samples='stop', **fields):
    """Somebody pauses, and a worker is granted what was said so far; returns the grant."""
    before = len(world.grants)
    preview = world.pause('a', samples, **fields)
    (grant,) = world.grants[before:]
    assert grant.segment == preview
    return grant


@pytest.fixture
def world():
    world = World()
    world.worker(capacity=2)
    return world


def test_an_answer_made_ahead_is_told_at_the_endpoint(world):
    grant = paused(world)
    world.answer(grant, 'Stop.')
    assert not world.transcripts
    segment = world.speak('a', 'stop')
    (said,) = world.transcripts
    assert (said.segment, said.text, said.worker) == (segment, 'Stop.', 'w')
    assert (said.attempts, said.cache) == (1, 'none')
    assert len(world.grants) == 1
    assert (world.statistics.ahead, world.statistics.ahead_used) == (1, 1)


def test_an_answer_that_is_still_made_is_waited_for(world):
    grant = paused(world)
    world.speak('a', 'stop')
    assert not world.transcripts
    world.answer(grant, 'Stop.')
    (said,) = world.transcripts
    assert (said.text, said.attempts, said.cache) == ('Stop.', 1, 'none')
    assert world.statistics.ahead_used == 1


def test_who_goes_on_speaking_gets_an_answer_to_all_of_it(world):
    world.answer(paused(world, 'go'), 'Go.')
    world.speak('a', 'go to the kitchen')
    world.answer(world.grants[1], 'Go to the kitchen.')
    assert world.texts == ['Go to the kitchen.']
    assert (world.statistics.ahead, world.statistics.ahead_used) == (1, 0)


def test_nothing_is_counted_or_told_of_what_was_foretold_alone(world):
    world.answer(paused(world))
    world.wait(2 * AHEAD_S, 'w', step=0.5, capacity=2)
    count = world.statistics
    assert (count.admitted, count.open, count.done, count.shared) == (0, 0, 0, 0)
    assert not world.transcripts
    assert not world.settled


def test_an_answer_waits_for_its_segment_for_a_while_only(world):
    world.answer(paused(world))
    world.wait(1.1 * AHEAD_S, 'w', step=0.5, capacity=2)
    world.speak('a', 'stop')
    assert len(world.grants) == 2


def test_two_equal_segments_are_an_answer_and_a_new_job(world):
    world.answer(paused(world), 'Stop.')
    world.speak('a', 'stop')
    world.speak('b', 'stop')
    assert world.texts == ['Stop.']
    assert len(world.grants) == 2


def test_two_who_wait_for_an_answer_made_ahead_share_it(world):
    grant = paused(world)
    world.speak('a', 'stop')
    world.speak('b', 'stop')
    world.answer(grant, 'Stop.')
    assert world.texts == ['Stop.', 'Stop.']
    assert [said.cache for said in world.transcripts] == ['none', 'shared']


class TestTimes:
    def test_all_of_it_before_the_endpoint(self, world):
        grant = paused(world)
        world.now += 0.101
        world.answer(grant, **TIMES)
        world.now += 0.2
        world.speak('a', 'stop', ingest_latency_ms=1.0)
        latency = world.transcripts[0].latency
        assert latency.total == pytest.approx(1.0)
        assert latency.transport == pytest.approx(1.0)
        assert (latency.features, latency.encode, latency.decode) == (3.0, 50.0, 45.0)
        assert latency.ahead == pytest.approx(101.0)
        assert (latency.cache, latency.queue) == (0.0, 0.0)

    def test_a_part_of_it_before_the_endpoint(self, world):
        grant = paused(world)
        world.now += 0.06
        world.speak('a', 'stop')
        world.now += 0.041
        world.answer(grant, **TIMES)
        latency = world.transcripts[0].latency
        assert latency.total == pytest.approx(41.0)
        assert latency.ahead == pytest.approx(60.0)

    def test_none_of_it_is_ahead_without_a_pause(self, world):
        world.speak('a', 'stop')
        world.now += 0.1
        world.answer(world.grants[0], **TIMES)
        assert world.transcripts[0].latency.ahead == 0.0


class TestWhoComesFirst:
    def test_a_busy_worker_is_not_troubled(self, world):
        world.speak('b')
        world.pause('a', 'stop')
        assert len(world.grants) == 1
        assert world.statistics.ahead == 0

    def test_the_worker_without_work_is_taken(self):
        world = World()
        world.worker('v', capacity=2)
        world.speak('a')
        world.worker('w', capacity=2)
        assert paused(world).worker == 'w'

    def test_one_that_does_not_take_so_much_is_not_asked(self):
        world = World()
        world.worker(longest=8_000)
        world.pause('a', 'stop')
        assert not world.grants

    def test_speech_that_has_ended_is_granted_beside_it(self, world):
        paused(world)
        segment = world.speak('b')
        assert world.grants[1].segment == segment

    def test_nobody_waits_for_it(self):
        world = World(waiting=1)
        world.worker()
        paused(world)
        world.speak('b')
        assert (world.statistics.open, world.statistics.waiting) == (1, 1)

    def test_it_can_be_switched_off(self):
        world = World(look_ahead=False)
        world.worker()
        world.pause('a', 'stop')
        assert not world.grants


class TestWhoWaits:
    """A pause at which all workers are busy."""

    @pytest.fixture
    def world(self):
        world = World()
        world.worker()
        world.speak('b')
        return world

    def test_it_is_looked_at_as_soon_as_a_worker_is_idle(self, world):
        preview = world.pause('a', 'stop')
        world.now += 0.9 * PATIENCE_S
        world.answer(world.grants[0])
        assert world.grants[1].segment == preview
        world.answer(world.grants[1], 'Stop.')
        world.speak('a', 'stop')
        assert world.texts[1:] == ['Stop.']
        assert (world.statistics.ahead, world.statistics.ahead_used) == (1, 1)

    def test_a_worker_that_comes_is_idle(self):
        world = World()
        preview = world.pause('a', 'stop')
        world.worker()
        assert world.grants[0].segment == preview

    def test_after_a_while_it_is_over(self, world):
        world.pause('a', 'stop')
        world.now += 1.1 * PATIENCE_S
        world.answer(world.grants[0])
        assert len(world.grants) == 1

    def test_the_oldest_comes_first(self, world):
        previews = [world.pause(stream, stream) for stream in 'dca']
        for number, preview in enumerate(previews):
            world.answer(world.grants[number])
            assert world.grants[number + 1].segment == preview

    def test_speech_that_has_ended_comes_before_it(self, world):
        preview = world.pause('a', 'stop')
        segment = world.speak('c')
        world.answer(world.grants[0])
        assert world.grants[1].segment == segment
        world.answer(world.grants[1])
        assert world.grants[2].segment == preview

    def test_of_one_stream_only_the_newest_word_counts(self, world):
        world.pause('a', 'go')
        newest = world.pause('a', 'go to the kitchen')
        world.answer(world.grants[0])
        world.answer(world.grants[1])
        assert [grant.segment for grant in world.grants[1:]] == [newest]

    def test_who_goes_on_speaking_has_not_paused(self, world):
        world.pause('a', 'go')
        world.pause('a', 'go to', flags=Flag.PROVISIONAL | Flag.PARTIAL)
        world.answer(world.grants[0])
        assert len(world.grants) == 1

    def test_what_has_ended_meanwhile_is_granted_once(self, world):
        world.pause('a', 'stop')
        segment = world.speak('a', 'stop')
        world.answer(world.grants[0])
        world.answer(world.grants[1], 'Stop.')
        assert [grant.segment for grant in world.grants[1:]] == [segment]
        assert world.texts[1:] == ['Stop.']
        assert (world.statistics.ahead, world.statistics.ahead_used) == (0, 0)

    def test_whom_another_one_has_overtaken_at_the_cache_waits_on(self):
        world = World(use_cache=True)
        world.worker()
        previews = [world.pause(stream, stream) for stream in 'ab']
        for _ in previews:
            world.cache_says(None)
        assert [grant.segment for grant in world.grants] == previews[:1]
        assert world.statistics.ahead == 1
        world.answer(world.grants[0])
        world.cache_says(None)
        assert [grant.segment for grant in world.grants] == previews
        assert world.statistics.ahead == 2


class TestMishap:
    def test_a_failure_is_forgotten_until_somebody_needs_it(self, world):
        world.fail(paused(world))
        assert len(world.grants) == 1
        world.speak('a', 'stop')
        world.answer(world.grants[1], 'Stop.')
        assert world.texts == ['Stop.']
        assert world.transcripts[0].attempts == 1

    def test_a_failure_is_made_good_for_who_waits_already(self, world):
        world.worker('v')
        grant = paused(world)
        segment = world.speak('a', 'stop')
        world.fail(grant)
        again = world.grants[1]
        assert (again.segment, again.attempt) == (segment, 2)
        assert again.worker != grant.worker
        world.answer(again, 'Stop.')
        assert world.texts == ['Stop.']

    def test_a_worker_that_dies_takes_nothing_along(self, world):
        paused(world)
        world.worker(incarnation=2, capacity=2)
        world.speak('a', 'stop')
        world.answer(world.grants[1], 'Stop.')
        assert world.texts == ['Stop.']

    def test_a_grant_that_is_lost_gives_its_credit_back(self):
        world = World(grant_timeout=1.0)
        world.worker()
        paused(world)
        world.speak('b')
        world.wait(1.5, 'w', step=0.5)
        assert len(world.grants) == 2


class TestCache:
    def ask(self, answer):
        """What the cache says of a pause; it is asked before a worker is."""
        world = World(use_cache=True)
        world.worker()
        world.pause('a', 'stop')
        assert not world.grants
        world.cache_says(answer, 'l2')
        return world

    def test_what_is_known_is_not_made_again(self):
        recognition = Recognition(9, 9, 'gone', RecognitionStatus.DONE, text='Stop.')
        world = self.ask(to_json(recognition))
        world.speak('a', 'stop')
        (said,) = world.transcripts
        assert (said.text, said.cache) == ('Stop.', 'l2')
        assert not world.grants
        assert not world.questions
        assert world.statistics.cache_hits == 1

    def test_what_is_not_known_is_made_and_kept(self):
        world = self.ask(None)
        world.answer(world.grants[0], 'Stop.')
        world.speak('a', 'stop')
        assert world.texts == ['Stop.']
        assert len(world.values) == 1

    def test_a_worker_that_found_work_meanwhile_is_not_troubled(self):
        world = World(use_cache=True)
        world.worker(longest=LONGEST)
        world.pause('a', 'stop')
        world.speak('b', 'go')
        question = world.questions.pop(0)
        world.cache_says(None)
        world.questions.append(question)
        world.cache_says(None)
        assert len(world.grants) == 1
        assert world.statistics.waiting == 0
