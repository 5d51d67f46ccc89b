"""What holds whatever happens: hypothesis plays ingest, workers, the cache, time and mishap."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from dispatch_world import World
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from xlerobot_asr_opt.core.cache_values import from_json
from xlerobot_asr_opt.records import Grant, RecognitionStatus, TranscriptStatus

STREAMS = st.sampled_from('abc')
SAMPLES = st.sampled_from(['', '', 'stop', 'go'])
WORKERS = ('v', 'w', 'x')
GRANT_TIMEOUT_S = 10.0


@dataclass
class FakeWorker:
    """A worker that really holds what it was granted.

    Attributes:
        capacity: most segments that it may hold.
        incarnation: counts its lives.
        active: whether it takes segments.
        held: grants that it has not answered, and when each was sent [s].
    """

    capacity: int
    incarnation: int = 1
    active: bool = True
    held: dict[Grant, float] = field(default_factory=dict)


class Dispatching(RuleBasedStateMachine):
    """Grants may be lost on the way and workers may hang, die, fail, or be cut off."""

    @initialize(use_cache=st.booleans(), waiting=st.integers(1, 8))
    def begin(self, use_cache: bool, waiting: int) -> None:
        self.world = World(
            use_cache=use_cache, waiting=waiting, attempts=3, worker_timeout=2.0,
            grant_timeout=GRANT_TIMEOUT_S, order_timeout=5.0, cache_timeout=0.05)
        self.workers: dict[str, FakeWorker] = {}
        self.delivered = 0
        self.texts: dict[int, str] = {}
        self.foretold: dict[int, str] = {}
        self.budgets: dict[int, float] = {}

    # Ingest

    @rule(stream=STREAMS, samples=SAMPLES, budget=st.sampled_from([0.0, 0.0, 1.0, 4.0]),
          priority=st.integers(0, 2))
    def speak(self, stream, samples, budget, priority):
        segment = self.world.speak(stream, samples, budget_s=budget, priority=priority)
        self.texts[segment] = samples or f'{segment}'
        self.budgets[segment] = budget or math.inf

    @rule(stream=STREAMS, samples=SAMPLES)
    def pause(self, stream, samples):
        """Perhaps what is said ends like this, perhaps not."""
        preview = self.world.pause(stream, samples)
        self.foretold[preview] = samples or f'preview {preview}'

    @precondition(lambda self: self.world.transcripts)
    @rule(data=st.data())
    def lose_acknowledgement(self, data):
        """Ingest starts anew with a segment that was settled just before."""
        segment = data.draw(st.sampled_from([said.segment for said in self.world.transcripts]))
        self.world.keep_again(segment)
        self.world.announce()

    @rule()
    def restart_scheduler(self):
        """A new scheduler knows of no grants; the guards of SpeechSegment are for what follows."""
        self.world.restart()
        for worker in self.workers.values():
            worker.held.clear()

    # Workers

    @rule(name=st.sampled_from(WORKERS), capacity=st.integers(1, 3))
    def start_worker(self, name, capacity):
        self.workers.setdefault(name, FakeWorker(capacity)).active = True
        self.tell(name)

    @precondition(lambda self: self.workers)
    @rule(data=st.data())
    def restart_worker(self, data):
        name = data.draw(st.sampled_from(sorted(self.workers)))
        worker = self.workers[name]
        self.workers[name] = FakeWorker(worker.capacity, worker.incarnation + 1)
        self.tell(name)

    @precondition(lambda self: self.workers)
    @rule(data=st.data())
    def deactivate_worker(self, data):
        name = data.draw(st.sampled_from(sorted(self.workers)))
        self.workers[name].active = False
        self.workers[name].held.clear()
        self.tell(name)

    def tell(self, name: str) -> None:
        worker = self.workers[name]
        self.world.worker(name, incarnation=worker.incarnation, active=worker.active,
                          capacity=worker.capacity)

    @precondition(lambda self: self.busy())
    @rule(data=st.data(), how=st.sampled_from(list(RecognitionStatus)))
    def answer(self, data, how):
        worker = data.draw(st.sampled_from(self.busy()))
        grant = data.draw(st.sampled_from(list(worker.held)))
        del worker.held[grant]
        self.reply(grant, how)

    @precondition(lambda self: self.busy())
    @rule(data=st.data())
    def lose_grant(self, data):
        """Ingest or the worker never got it: it takes credit until its time is over."""
        worker = data.draw(st.sampled_from(self.busy()))
        del worker.held[data.draw(st.sampled_from(list(worker.held)))]

    @precondition(lambda self: self.world.grants)
    @rule(data=st.data(), how=st.sampled_from(list(RecognitionStatus)))
    def answer_of_an_earlier_life(self, data, how):
        grant = data.draw(st.sampled_from(self.world.grants))
        if not any(grant in worker.held for worker in self.workers.values()):
            self.reply(grant, how)

    def reply(self, grant: Grant, how: RecognitionStatus) -> None:
        texts = self.texts | self.foretold
        text = texts[grant.segment] if how is RecognitionStatus.DONE else ''
        self.world.answer(grant, text, status=how, reason='as drawn')

    def busy(self) -> list[FakeWorker]:
        return [worker for worker in self.workers.values() if worker.held]

    # The cache

    @precondition(lambda self: self.world.questions)
    @rule()
    def cache_answers(self):
        question = self.world.questions[0]
        value = self.world.values.get(question.key)
        granted = len(self.world.grants)
        self.world.cache_says(value)
        if value is not None:
            assert question.segment not in [grant.segment for grant in self.world.grants[granted:]]

    # Time

    @rule(seconds=st.sampled_from([0.02, 0.5, 1.5]))
    def time_passes(self, seconds):
        for name in self.workers:
            self.tell(name)
        self.world.wait(seconds)

    @rule(seconds=st.sampled_from([2.5, 5.5, 9.0]))
    def everybody_is_cut_off(self, seconds):
        """As when the scheduler itself stands still: nobody is heard, nobody has died."""
        self.world.wait(seconds)

    # What holds

    @invariant()
    def grants_arrive_within_credit(self):
        """What was granted since the last step reaches workers that have room for it."""
        world = self.world
        for grant in world.grants[self.delivered:]:
            worker = self.workers[grant.worker]
            assert worker.active
            worker.held[grant] = world.now
        self.delivered = len(world.grants)
        for worker in self.workers.values():
            worker.held = {grant: sent for grant, sent in worker.held.items()
                           if world.now - sent < GRANT_TIMEOUT_S}
            assert len(worker.held) <= worker.capacity

    @invariant()
    def each_segment_is_told_at_most_once(self):
        told = [said.segment for said in self.world.transcripts]
        assert len(told) == len(set(told))
        assert set(told) | set(self.world.kept) == set(self.texts)
        assert set(told).isdisjoint(self.world.kept)

    @invariant()
    def streams_are_in_order(self):
        for stream in 'abc':
            sequences = self.world.sequences(stream)
            assert sequences == list(range(len(sequences)))

    @invariant()
    def texts_are_of_their_own_samples(self):
        for said in self.world.transcripts:
            if said.status is TranscriptStatus.DONE:
                assert said.text == self.texts[said.segment]
            else:
                assert said.status is TranscriptStatus.NO_SPEECH or said.reason

    @invariant()
    def budgets_are_kept(self):
        for said in self.world.transcripts:
            if said.status in (TranscriptStatus.DONE, TranscriptStatus.NO_SPEECH):
                assert said.latency.total <= 1e3 * self.budgets[said.segment] + 1e-6

    def teardown(self):
        """Once sound workers have time, everything is told, in order, and nothing is kept."""
        world = self.world
        for _ in range(200):
            self.workers.setdefault('v', FakeWorker(1)).active = True
            for name in self.workers:
                self.tell(name)
            world.wait(0.06)
            self.grants_arrive_within_credit()
            for worker in self.busy():
                self.reply(worker.held.popitem()[0], RecognitionStatus.DONE)
            if not world.kept:
                break
        self.each_segment_is_told_at_most_once()
        self.streams_are_in_order()
        assert world.kept == {}
        assert world.statistics.open == world.statistics.waiting == 0
        assert world.statistics.ahead_used <= world.statistics.ahead
        for value in world.values.values():
            from_json(value)


Dispatching.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, derandomize=True)
TestDispatching = Dispatching.TestCase
