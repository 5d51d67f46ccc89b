"""Who is granted what, and granted again, case by case."""

from __future__ import annotations

from dispatch_world import World

from xlerobot_asr_opt.records import RecognitionStatus, TranscriptStatus

REJECTED = TranscriptStatus.REJECTED


class TestGrants:
    def test_goes_to_a_worker_with_credit(self):
        world = World()
        world.worker()
        segment = world.speak()
        assert [(g.segment, g.attempt, g.worker) for g in world.grants] == [(segment, 1, 'w')]

    def test_waits_for_a_worker(self):
        world = World()
        world.speak()
        assert not world.grants
        assert world.statistics.waiting == 1
        world.worker()
        assert len(world.grants) == 1
        assert world.statistics.waiting == 0

    def test_credit_is_not_exceeded(self):
        world = World()
        world.worker(capacity=2)
        for _ in range(4):
            world.speak()
        assert len(world.grants) == 2
        world.answer(world.grants[0])
        assert len(world.grants) == 3

    def test_credit_that_shrinks_is_not_granted_again(self):
        world = World()
        world.worker(capacity=2)
        for _ in range(3):
            world.speak()
        world.worker(capacity=1)
        world.answer(world.grants[0])
        assert len(world.grants) == 2
        world.answer(world.grants[1])
        assert len(world.grants) == 3

    def test_a_worker_without_capacity_is_not_waited_for(self):
        world = World()
        world.worker('idle', capacity=0)
        world.worker('w')
        world.speak()
        world.fail(world.grants[0])
        assert [grant.worker for grant in world.grants] == ['w', 'w']

    def test_spreads_over_the_workers(self):
        world = World()
        world.worker('v', capacity=2)
        world.worker('w', capacity=2)
        for stream in 'abcd':
            world.speak(stream)
        assert sorted(grant.worker for grant in world.grants) == ['v', 'v', 'w', 'w']

    def test_a_stream_stays_with_its_worker(self):
        world = World()
        world.worker('v')
        world.worker('w')
        world.speak('a')
        world.speak('b')
        for grant in list(world.grants):
            world.answer(grant)
        world.speak('b')
        world.speak('a')
        assert [grant.worker for grant in world.grants] == ['v', 'w', 'w', 'v']

    def test_urgent_ones_go_first(self):
        world = World()
        late = world.speak('a', budget_s=20.0)
        soon = world.speak('b', budget_s=10.0)
        never = world.speak('c')
        second_class = world.speak('d', priority=1, budget_s=1.0)
        world.worker(capacity=4)
        assert [grant.segment for grant in world.grants] == [soon, late, never, second_class]

    def test_a_stop_word_goes_before_all_that_waits_for_any_worker(self):
        world = World()
        for name in 'vw':
            world.worker(name)
        for stream in 'abcdef':
            world.speak(stream, priority=1, budget_s=5.0)
        stop = world.speak('s', priority=0)
        world.answer(next(grant for grant in world.grants if grant.worker == 'w'))
        assert world.grants[-1].segment == stop

    def test_a_segment_that_is_too_long_for_all_is_rejected(self):
        world = World()
        world.worker(longest=16_000)
        world.speak(length=32_000)
        assert world.transcripts[0].status is REJECTED
        assert '2.0 s' in world.transcripts[0].reason
        assert '1.0 s' in world.transcripts[0].reason

    def test_a_long_one_does_not_hold_up_the_short(self):
        world = World()
        world.worker('long', longest=480_000)
        world.worker('short', longest=16_000)
        for stream in 'ab':
            world.speak(stream, length=480_000)
        world.speak('c', length=16_000)
        assert [grant.worker for grant in world.grants] == ['long', 'short']

    def test_what_waits_is_rejected_when_the_last_worker_that_takes_it_goes(self):
        world = World()
        world.worker('long', longest=480_000)
        world.worker('short', longest=16_000)
        world.speak('a', length=480_000)
        world.speak('b', length=480_000)
        world.worker('long', longest=480_000, active=False)
        assert [said.status for said in world.transcripts] == [REJECTED, REJECTED]


class TestRepeatedGrants:
    def test_a_failed_one_goes_elsewhere(self):
        world = World()
        world.worker('v')
        world.worker('w')
        world.speak()
        world.fail(world.grants[0])
        assert [(grant.worker, grant.attempt) for grant in world.grants] == [('v', 1), ('w', 2)]
        assert world.statistics.regranted == 1
        world.answer(world.grants[1])
        assert world.transcripts[0].attempts == 2

    def test_an_untried_worker_is_waited_for(self):
        world = World()
        world.worker('v')
        world.worker('w')
        world.speak('a')
        world.speak('b')
        world.fail(world.grants[0])
        assert len(world.grants) == 2
        world.answer(world.grants[1])
        assert world.grants[2].worker == 'w'

    def test_one_without_an_answer_goes_elsewhere(self):
        world = World(grant_timeout=5.0)
        world.worker('v')
        world.worker('w')
        world.speak()
        world.wait(5.0, 'v', 'w', step=0.5)
        assert [grant.worker for grant in world.grants] == ['v', 'w']

    def test_a_torn_one_may_go_to_the_same(self):
        world = World(attempts=1)
        world.worker()
        world.speak()
        for attempt in range(1, 6):
            world.tear(world.grants[-1])
            assert world.grants[-1].attempt == attempt + 1
        world.tear(world.grants[-1])
        assert world.transcripts[0].status is REJECTED

    def test_is_rejected_after_the_last_attempt(self):
        world = World(attempts=2)
        world.worker()
        world.speak()
        world.fail(world.grants[0])
        world.fail(world.grants[1], 'NaN in the logits')
        transcript = world.transcripts[0]
        assert transcript.status is REJECTED
        assert transcript.attempts == 2
        assert 'NaN in the logits' in transcript.reason
        assert world.kept == {}

    def test_a_silent_workers_segments_move(self):
        world = World(worker_timeout=2.0)
        world.worker('v', capacity=2)
        world.speak('a')
        world.speak('b')
        world.wait(2.5, 'w', step=0.5, capacity=2)
        assert [grant.worker for grant in world.grants] == ['v', 'v', 'w', 'w']
        assert world.statistics.workers == 1

    def test_a_worker_that_was_only_cut_off_still_holds_its_segments(self):
        world = World(worker_timeout=2.0)
        world.worker('v', capacity=2)
        world.speak('a')
        second = world.speak('b')
        world.wait(3.0)
        world.worker('v', capacity=2)
        assert len(world.grants) == 2
        world.answer(world.grants[0], 'Still there.')
        assert world.texts == ['Still there.']
        assert [grant.segment for grant in world.grants[2:]] == [second]

    def test_a_silent_workers_grant_does_not_fail_twice(self):
        world = World(worker_timeout=2.0, grant_timeout=6.0)
        world.worker('v')
        world.worker('w')
        world.speak()
        world.wait(7.0, 'w', step=0.5, capacity=2)
        assert [grant.worker for grant in world.grants] == ['v', 'w']

    def test_a_worker_that_comes_back_restarted_holds_nothing(self):
        world = World(worker_timeout=2.0)
        world.worker('v')
        world.speak()
        world.wait(3.0)
        world.worker('v', incarnation=2)
        assert [grant.attempt for grant in world.grants] == [1, 2]

    def test_a_restarted_workers_segments_move(self):
        world = World()
        world.worker('v', incarnation=1)
        world.worker('w')
        world.speak('a')
        world.worker('v', incarnation=2)
        assert [grant.worker for grant in world.grants] == ['v', 'w']

    def test_a_deactivated_workers_segments_move_without_blame(self):
        world = World(attempts=1)
        world.worker('v')
        world.speak()
        world.worker('v', active=False)
        assert not world.transcripts
        world.worker('v')
        assert [grant.attempt for grant in world.grants] == [1, 2]

    def test_a_worker_that_fails_is_taken_last(self):
        world = World()
        world.worker('v')
        world.worker('w')
        world.speak('a')
        world.fail(world.grants[0])
        world.answer(world.grants[1])
        world.speak('b')
        assert world.grants[-1].worker == 'w'


class TestStaleAnswers:
    def test_the_failure_of_an_earlier_grant_changes_nothing(self):
        world = World(grant_timeout=5.0)
        world.worker('v')
        world.worker('w')
        world.speak()
        world.wait(5.0, 'v', 'w', step=0.5)
        world.fail(world.grants[0])
        assert len(world.grants) == 2
        assert not world.transcripts

    def test_the_answer_of_an_earlier_grant_is_as_good(self):
        world = World(grant_timeout=5.0)
        world.worker('v')
        world.worker('w')
        world.speak()
        world.wait(5.0, 'v', 'w', step=0.5)
        world.answer(world.grants[0], 'late')
        world.answer(world.grants[1], 'again')
        assert world.texts == ['late']
        assert world.statistics.done == 1

    def test_a_failure_from_a_worker_that_was_not_granted_changes_nothing(self):
        world = World()
        world.worker('v')
        world.worker('w')
        world.speak()
        world.answer(world.grants[0], worker='w', status=RecognitionStatus.FAILED)
        assert len(world.grants) == 1
        world.answer(world.grants[0])
        assert len(world.transcripts) == 1

    def test_the_failure_of_an_earlier_life_changes_nothing(self):
        world = World()
        world.worker('v', incarnation=1)
        world.speak()
        first = world.grants[0]
        world.worker('v', incarnation=2)
        world.fail(first)
        assert [grant.attempt for grant in world.grants] == [1, 2]
        world.answer(world.grants[1], 'of the new life')
        assert world.texts == ['of the new life']

    def test_a_late_answer_does_not_free_credit_twice(self):
        world = World(grant_timeout=5.0)
        world.worker('v')
        segment = world.speak('a')
        first = world.grants[0]
        world.wait(5.0, 'v', step=0.5)
        world.speak('b')
        world.fail(first)
        assert [grant.segment for grant in world.grants] == [segment, segment]

    def test_an_answer_to_what_is_answered_changes_nothing(self):
        world = World(grant_timeout=5.0, use_cache=True)
        world.worker('v')
        world.worker('w')
        world.speak()
        world.cache_says(None)
        world.wait(5.0, 'v', 'w', step=0.5)
        world.answer(world.grants[1], 'In time.')
        world.values.clear()
        world.answer(world.grants[0], 'Late.')
        assert world.texts == ['In time.']
        assert world.values == {}

    def test_an_unknown_segment_changes_nothing(self):
        world = World()
        world.worker()
        world.speak()
        grant = world.grants[0]
        world.answer(type(grant)(77, 1, 'w'))
        assert not world.transcripts
