"""Deadlines, admission, restarts and order: what is published, and when."""

from __future__ import annotations

import math

import pytest
from dispatch_world import World

from xlerobot_asr_opt.core.dispatch import Publish, Settle
from xlerobot_asr_opt.records import Recognition, RecognitionStatus, TranscriptStatus

DONE, NO_SPEECH, REJECTED, EXPIRED, CANCELLED = TranscriptStatus


class TestDeadlines:
    def test_expires_while_it_waits(self):
        world = World()
        world.speak(budget_s=1.0)
        world.wait(0.9)
        assert not world.transcripts
        world.wait(0.2)
        transcript = world.transcripts[0]
        assert transcript.status is EXPIRED
        assert 'budget of 1 s' in transcript.reason
        assert world.kept == {}

    def test_expires_in_flight(self):
        world = World()
        world.worker()
        world.speak(budget_s=1.0)
        world.wait(1.1, 'w')
        world.answer(world.grants[0])
        assert [(said.status, said.attempts) for said in world.transcripts] == [(EXPIRED, 1)]

    def test_ingests_own_time_is_part_of_the_budget(self):
        world = World()
        world.speak(budget_s=1.0, ingest_latency_ms=500.0)
        world.wait(0.6)
        assert world.transcripts[0].status is EXPIRED

    def test_a_budget_that_is_used_up_costs_no_grant(self):
        world = World()
        world.worker()
        world.speak(budget_s=1.0, ingest_latency_ms=1500.0)
        assert world.transcripts[0].status is EXPIRED
        assert not world.grants

    def test_without_a_budget_it_never_expires(self):
        world = World()
        world.speak()
        world.wait(1e6)
        assert not world.transcripts

    def test_is_told_in_its_turn(self):
        world = World()
        world.worker()
        world.speak('a')
        world.speak('a', budget_s=1.0)
        world.wait(1.5, 'w')
        assert not world.transcripts
        world.answer(world.grants[0])
        assert [said.status for said in world.transcripts] == [DONE, EXPIRED]
        assert world.sequences() == [0, 1]

    def test_an_answer_whose_turn_comes_too_late_is_expired(self):
        world = World()
        world.worker(capacity=2)
        world.speak('a')
        world.speak('a', budget_s=1.0)
        world.answer(world.grants[1])
        world.wait(1.5, 'w')
        world.answer(world.grants[0], 'In time.')
        assert [(said.status, said.text) for said in world.transcripts] == [
            (DONE, 'In time.'), (EXPIRED, '')]

    def test_total_counts_from_the_last_chunk(self):
        world = World()
        world.worker()
        world.speak(ingest_latency_ms=40.0)
        world.wait(0.5, 'w')
        world.answer(world.grants[0], worker_ms=300.0, decode_ms=200.0)
        latency = world.transcripts[0].latency
        assert latency.total == pytest.approx(540.0)
        assert latency.ingest == 40.0
        assert latency.transport == pytest.approx(200.0)
        assert latency.decode == 200.0


class TestAdmission:
    def test_too_many_are_refused_and_told(self):
        world = World(waiting=2)
        for stream in 'abc':
            world.speak(stream)
        transcript = world.transcripts[0]
        assert (transcript.stream, transcript.status) == ('c', REJECTED)
        assert '2 segments wait already, allowed are 2' in transcript.reason
        assert world.statistics.waiting == 2

    def test_a_refusal_waits_for_its_turn(self):
        world = World(waiting=2)
        for _ in range(3):
            world.speak('a')
        assert not world.transcripts
        world.worker(capacity=2)
        for grant in list(world.grants):
            world.answer(grant)
        assert [said.status for said in world.transcripts] == [DONE, DONE, REJECTED]

    def test_what_costs_nothing_is_not_refused(self):
        world = World(waiting=1)
        world.worker()
        world.speak('a', 'stop')
        world.speak('b')
        world.speak('c', 'stop')
        assert not world.transcripts

    def test_an_open_segment_is_not_admitted_twice(self):
        world = World()
        world.worker(capacity=2)
        world.speak()
        world.announce()
        assert len(world.grants) == 1
        assert world.statistics.admitted == 1

    def test_a_settled_segment_is_settled_again(self):
        world = World()
        world.worker()
        segment = world.speak()
        ticket = world.kept[segment]
        world.answer(world.grants[0])
        actions = world.dispatcher.on_ticket(ticket)
        assert [type(action) for action in actions] == [Settle]
        assert actions[0].acknowledgement.outcome is DONE

    def test_a_withdrawn_segment_is_cancelled(self):
        world = World()
        world.worker()
        segment = world.speak()
        world.carry_out(world.dispatcher.cancel(segment))
        assert [said.status for said in world.transcripts] == [CANCELLED]
        world.carry_out(world.dispatcher.cancel(segment))
        world.answer(world.grants[0])
        assert len(world.transcripts) == 1

    def test_a_transcript_is_published_before_it_is_settled(self):
        world = World()
        world.worker()
        world.speak()
        grant = world.grants[0]
        actions = world.dispatcher.on_recognition(
            Recognition(grant.segment, 1, 'w', RecognitionStatus.NO_SPEECH, reason='silence'))
        assert [type(action) for action in actions] == [Publish, Settle]
        assert actions[0].transcript.status is NO_SPEECH
        assert actions[0].transcript.reason == 'silence'
        assert math.isnan(actions[0].transcript.confidence)


class TestRestart:
    def test_what_was_open_is_announced_again_and_answered_once(self):
        world = World()
        world.worker(capacity=2)
        for _ in range(3):
            world.speak('a')
        world.restart()
        assert world.statistics.cancelled == 3
        world.worker(capacity=2)
        for grant in world.grants[2:]:
            world.answer(grant)
        world.answer(world.grants[-1])
        assert world.sequences() == [0, 1, 2]
        assert world.kept == {}

    def test_an_answer_to_the_earlier_life_is_used_or_ignored_never_doubled(self):
        world = World()
        world.worker()
        world.speak()
        early = world.grants[0]
        world.restart()
        world.answer(early)
        assert not world.transcripts
        world.worker()
        world.answer(world.grants[1])
        world.answer(early)
        assert len(world.transcripts) == 1

    def test_a_lost_acknowledgement_is_repeated_and_nothing_waits_for_it(self):
        world = World()
        world.worker()
        first = world.speak('a')
        world.answer(world.grants[0])
        world.keep_again(first)
        second = world.speak('a')
        world.restart()
        world.worker()
        world.answer(world.grants[-1])
        assert world.sequences() == [0, 1]
        assert world.settled == [first, first, second]

    def test_a_new_scheduler_begins_at_the_oldest_that_is_kept(self):
        world = World()
        world.worker()
        for _ in range(3):
            world.speak('a')
            world.answer(world.grants[-1])
        fourth = world.speak('a')
        successor = World()
        successor.kept = {fourth: world.kept[fourth]}
        successor.worker()
        successor.announce()
        successor.answer(successor.grants[0])
        assert successor.sequences() == [3]


class TestOrder:
    def test_is_kept_within_a_stream(self):
        world = World()
        world.worker(capacity=3)
        for _ in range(3):
            world.speak('a')
        for grant in reversed(world.grants):
            assert not world.transcripts
            world.answer(grant)
        assert world.sequences() == [0, 1, 2]

    def test_streams_do_not_wait_for_each_other(self):
        world = World()
        world.worker(capacity=2)
        world.speak('a')
        world.speak('b')
        world.answer(world.grants[1])
        assert [said.stream for said in world.transcripts] == ['b']

    def test_a_segment_that_is_never_announced_is_given_up(self):
        world = World(order_timeout=5.0)
        world.worker()
        world.speak('a', skip=1)
        world.answer(world.grants[0])
        world.wait(4.9)
        assert not world.transcripts
        world.wait(0.2)
        assert world.sequences() == [1]

    def test_each_missing_one_is_waited_for_anew(self):
        world = World(order_timeout=5.0, worker_timeout=60.0)
        world.worker(capacity=2)
        world.speak('a', skip=1)
        world.speak('a', skip=1, oldest_kept=0)
        for grant in list(world.grants):
            world.answer(grant)
        world.wait(5.0)
        assert world.sequences() == [1]
        world.wait(4.9)
        assert world.sequences() == [1]
        world.wait(0.2)
        assert world.sequences() == [1, 3]

    def test_a_gap_that_closes_leaves_the_next_one_its_full_time(self):
        world = World(order_timeout=5.0, worker_timeout=60.0)
        world.worker(capacity=3)
        world.speak('a', skip=1)
        world.speak('a', skip=1, oldest_kept=0)
        for grant in list(world.grants):
            world.answer(grant)
        world.wait(4.0)
        world.speak('a', oldest_kept=1)
        assert world.sequences() == [1]
        world.wait(4.9)
        assert world.sequences() == [1]
        world.wait(0.2)
        assert world.sequences() == [1, 3]

    def test_a_late_one_is_still_published(self):
        world = World(order_timeout=5.0)
        world.worker()
        world.speak('a', skip=1)
        world.answer(world.grants[0])
        world.wait(5.1, 'w')
        world.count_from(0)
        world.speak('a')
        world.answer(world.grants[1])
        assert world.sequences() == [1, 0]

    def test_a_stream_that_begins_again_goes_behind_itself(self):
        world = World()
        world.worker(capacity=4)
        world.speak('a')
        world.speak('a')
        world.count_from(0)
        world.speak('a', oldest_kept=0)
        for grant in reversed(world.grants):
            world.answer(grant)
        assert world.sequences() == [0, 1, 0]

    def test_what_ingest_has_lost_is_refused(self):
        world = World()
        world.speak('a')
        world.speak('a', oldest_kept=1)
        assert [said.status for said in world.transcripts] == [REJECTED]
        assert 'has lost segment 0' in world.transcripts[0].reason

    def test_what_ingest_has_lost_in_flight_may_still_be_answered(self):
        world = World()
        world.worker()
        world.speak('a')
        world.speak('a', oldest_kept=1)
        world.answer(world.grants[0])
        assert world.transcripts[0].status is DONE

    def test_what_ingest_has_lost_in_flight_is_not_granted_again(self):
        world = World()
        world.worker()
        lost = world.speak('a')
        world.speak('a', oldest_kept=1)
        world.fail(world.grants[0])
        assert lost not in [grant.segment for grant in world.grants[1:]]
        assert 'ingest has lost it' in world.transcripts[0].reason
