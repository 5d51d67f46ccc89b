"""Equal segments and cached answers: what costs one inference, and what costs none."""

from __future__ import annotations

import pytest
from dispatch_world import OTHER_RECOGNISER, World

from xlerobot_asr_opt.core.cache_values import to_json
from xlerobot_asr_opt.records import Recognition, RecognitionStatus, TranscriptStatus

DONE, _, REJECTED, EXPIRED, _ = TranscriptStatus


def said(text: str) -> str:
    """What the cache holds of a recognition."""
    return to_json(Recognition(9, 9, 'gone', RecognitionStatus.DONE, text=text, backend='ort'))


class TestSingleFlight:
    def test_equal_segments_cost_one_grant(self):
        world = World()
        world.worker(capacity=3)
        world.speak('a', 'stop')
        world.speak('b', 'stop')
        world.speak('c', 'stop')
        world.answer(world.grants[0], 'Stop.')
        assert len(world.grants) == 1
        assert world.texts == ['Stop.'] * 3
        assert [said.cache for said in world.transcripts] == ['none', 'shared', 'shared']
        assert world.statistics.shared == 2

    def test_another_language_is_another_question(self):
        world = World()
        world.worker(capacity=2)
        world.speak('a', 'stop', language='en')
        world.speak('b', 'stop', language='de')
        assert len(world.grants) == 2

    def test_a_worker_that_dies_leaves_the_others_waiting(self):
        world = World()
        world.worker('v')
        world.speak('a', 'stop')
        world.speak('b', 'stop')
        world.worker('v', incarnation=2)
        assert len(world.grants) == 2
        world.answer(world.grants[1], 'Stop.')
        assert world.texts == ['Stop.', 'Stop.']

    @pytest.mark.parametrize('dies', [False, True])
    def test_32_equal_segments_cost_one_recognition(self, dies):
        world = World()
        world.worker('v', capacity=3)
        for number in range(32):
            world.speak(chr(ord('a') + number), 'stop')
        if dies:  # with the only one that it was granted
            world.worker('v', incarnation=2, capacity=3)
        world.answer(world.grants[-1], 'Stop.')
        assert len(world.grants) == 1 + dies
        assert world.texts == ['Stop.'] * 32
        assert world.statistics.shared == 31

    def test_the_others_go_on_when_the_first_expires(self):
        world = World()
        world.speak('a', 'stop', budget_s=1.0)
        other = world.speak('b', 'stop')
        world.wait(1.5)
        world.worker()
        assert [grant.segment for grant in world.grants] == [other]
        world.answer(world.grants[0], 'Stop.')
        assert [said.status for said in world.transcripts] == [EXPIRED, DONE]

    def test_the_others_are_answered_when_the_first_expires_in_flight(self):
        world = World()
        world.worker()
        world.speak('a', 'stop', budget_s=1.0)
        world.speak('b', 'stop')
        world.wait(1.5, 'w')
        world.answer(world.grants[0], 'Stop.')
        assert [(said.stream, said.status) for said in world.transcripts] == [
            ('a', EXPIRED), ('b', DONE)]
        assert len(world.grants) == 1

    def test_nobody_is_left_when_a_shared_job_is_rejected(self):
        world = World(attempts=1)
        world.worker()
        world.speak('a', 'stop')
        world.speak('b', 'stop')
        world.fail(world.grants[0])
        assert [said.status for said in world.transcripts] == [REJECTED, REJECTED]
        assert world.statistics.open == 0

    def test_an_urgent_one_makes_its_equals_urgent(self):
        world = World()
        calm = world.speak('a', 'stop', priority=1)
        world.speak('b', priority=0, budget_s=50.0)
        world.speak('c', 'stop', priority=0, budget_s=10.0)
        world.worker()
        assert [grant.segment for grant in world.grants] == [calm]


class TestCache:
    def test_a_hit_costs_no_grant(self):
        world = World(use_cache=True)
        world.worker()
        world.speak()
        world.cache_says(said('Hello.'), 'l3')
        assert not world.grants
        transcript = world.transcripts[0]
        assert (transcript.text, transcript.cache, transcript.attempts) == ('Hello.', 'l3', 0)
        assert (transcript.backend, transcript.worker) == ('ort', '')
        assert world.statistics.cache_hits == 1

    def test_a_miss_is_granted_and_stored(self):
        world = World(use_cache=True)
        world.worker()
        world.speak('a', 'hello')
        key = world.questions[0].key
        world.cache_says(None)
        world.answer(world.grants[0], 'Hello.')
        assert list(world.values) == [key]
        world.speak('b', 'hello')
        world.cache_says(world.values[world.questions[0].key])
        assert world.texts == ['Hello.', 'Hello.']
        assert len(world.grants) == 1

    def test_is_asked_once_for_equal_segments(self):
        world = World(use_cache=True)
        world.worker()
        world.speak('a', 'hello')
        world.speak('b', 'hello')
        assert len(world.questions) == 1
        world.cache_says(said('Hello.'))
        assert [said.cache for said in world.transcripts] == ['l1', 'l1']
        assert world.statistics.cache_hits == 2

    def test_is_asked_as_soon_as_a_recogniser_is_known(self):
        world = World(use_cache=True)
        world.speak()
        assert not world.questions
        world.worker()
        assert len(world.questions) == 1
        assert not world.grants
        world.cache_says(None)
        assert len(world.grants) == 1

    @pytest.mark.parametrize('change', [
        {'recogniser': OTHER_RECOGNISER}, {'language': 'de'}, {'samples': 'hello!'}])
    def test_what_changes_the_text_changes_the_key(self, change):
        keys = []
        for changes in ({}, change):
            world = World(use_cache=True)
            world.worker(recogniser=changes.get('recogniser', b'r' * 32))
            world.speak('a', changes.get('samples', 'hello'),
                        language=changes.get('language', 'en'))
            keys.append(world.questions[0].key)
        assert keys[0] != keys[1]

    def test_an_answer_is_stored_under_the_recogniser_that_made_it(self):
        world = World(use_cache=True)
        world.worker(recogniser=b'1' * 32)
        world.speak('a', 'hello')
        asked = world.questions[0].key
        world.cache_says(None)
        world.answer(world.grants[0], 'By whoever took over.', recogniser=b'2' * 32)
        assert asked not in world.values
        world.worker(incarnation=2, recogniser=b'2' * 32)
        world.speak('a', 'hello')
        assert world.questions[0].key in world.values

    def test_silence_counts_as_a_miss(self):
        world = World(use_cache=True, cache_timeout=0.05)
        world.worker()
        world.speak()
        world.wait(0.06)
        assert len(world.grants) == 1
        world.cache_says(said('Too late.'))
        world.answer(world.grants[0], 'In time.')
        assert world.texts == ['In time.']

    @pytest.mark.parametrize('value', ['', 'null', '{}', '[1', '{"status": "DONE"}', '{"a": NaN}'])
    def test_a_damaged_value_counts_as_a_miss(self, value, caplog):
        world = World(use_cache=True)
        world.worker()
        world.speak()
        world.cache_says(value)
        assert len(world.grants) == 1
        assert 'not believed' in caplog.text

    def test_failures_are_not_stored(self):
        world = World(use_cache=True, attempts=1)
        world.worker()
        world.speak()
        world.cache_says(None)
        world.fail(world.grants[0])
        assert world.values == {}

    def test_is_not_asked_when_switched_off(self):
        world = World(use_cache=False)
        world.worker()
        world.speak()
        world.answer(world.grants[0])
        assert world.questions == []
        assert world.values == {}
