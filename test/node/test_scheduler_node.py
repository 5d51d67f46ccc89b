"""The scheduler node between an ingest, a cache and workers that the test plays."""

import hashlib
import itertools

import pytest
from rclpy.task import Future
from std_msgs.msg import String

from xlerobot_asr_interfaces import msg, srv
from xlerobot_asr_opt.core.lifecycle import Transition
from xlerobot_asr_opt.nodes.scheduler import SchedulerNode
from xlerobot_asr_opt.records import (
    Recognition,
    RecognitionStatus,
    Ticket,
    TranscriptStatus,
    WorkerStatus,
)
from xlerobot_asr_opt.ros import conversions, live_speech, names

DOMAIN = 44
RECOGNISER = hashlib.blake2b(b'model', digest_size=32).digest()
BEGIN_NS = 1_000_000_000
PATIENT = {'worker_timeout': 60.0, 'grant_timeout': 60.0}
"""Nothing times out but what a test wants to."""


class Players:
    """Ingest and workers, as the scheduler sees them."""

    def __init__(self, world):
        self.world = world
        self.tickets = world.voice(
            msg.SpeechTicket, names.TICKETS, conversions.write_ticket, names.CONTROL_QOS)
        self.workers = world.voice(
            msg.WorkerStatus, names.WORKERS, conversions.write_worker, names.LATCHED_QOS)
        self.recognitions = world.player.create_publisher(
            msg.Recognition, names.RECOGNITIONS, names.CONTROL_QOS)
        self.grants = world.listen(
            msg.Grant, names.GRANTS, conversions.read_grant, names.CONTROL_QOS)
        self.settled = world.listen(
            msg.Acknowledgement, names.ACKNOWLEDGEMENTS, conversions.read_acknowledgement,
            names.CONTROL_QOS)
        self.transcripts = world.listen(
            msg.Transcript, names.TRANSCRIPT, conversions.read_transcript, names.TRANSCRIPT_QOS)
        self.texts = world.listen(
            String, names.TEXT, lambda text: text.data, names.TRANSCRIPT_QOS)
        self._numbers = itertools.count()

    def meet(self):
        """Wait until the active scheduler hears all of them."""
        self.world.spin_until(
            lambda: self.tickets.matched and self.workers.matched
            and self.recognitions.get_subscription_count(), 'a scheduler that listens')

    def offer(self, worker='inference_0', *, incarnation=1, active=True, capacity=1):
        """A worker says what it can take."""
        self.workers.say(WorkerStatus(
            worker, incarnation, active, capacity, 480_000, RECOGNISER))

    def speak(self, samples='', **fields):
        """Ingest announces a segment; samples stands for them."""
        sequence = next(self._numbers)
        digest = hashlib.blake2b((samples or f'{sequence}').encode(), digest_size=32).digest()
        ticket = Ticket(
            segment=100 + sequence, stream='mic', sequence=sequence, oldest_kept=0,
            begin_ns=BEGIN_NS * (1 + sequence), length=16_000, digest=digest, **fields)
        self.tickets.say(ticket)
        return ticket

    def granted(self, count):
        """Wait for that many grants; return the last."""
        self.world.spin_until(lambda: len(self.grants) >= count, f'grant {count}')
        return self.grants[count - 1]

    def answer(self, grant, text='hello', status=RecognitionStatus.DONE, reason=''):
        """A worker answers a grant."""
        self.recognitions.publish(conversions.recognition_message(Recognition(
            grant.segment, grant.attempt, grant.worker, status, text=text, confidence=0.5,
            backend='scripted', reason=reason, recogniser=RECOGNISER)))

    def told(self, count):
        """Wait for that many transcripts and their acknowledgements; return the last."""
        self.world.spin_until(
            lambda: len(self.transcripts) >= count and len(self.settled) >= count,
            f'transcript {count}')
        return self.transcripts[count - 1]


class Cache:
    """The services of a cache node, over a dictionary; a mute one takes questions only."""

    def __init__(self, world, *, mute=False):
        self._mute = mute
        self.values = {}
        self.stored = []
        world.player.create_service(srv.CacheLookup, names.CACHE_LOOKUP, self._look_up)
        world.player.create_service(srv.CacheStore, names.CACHE_STORE, self._store)

    def _look_up(self, request, response):
        if self._mute:
            return Future()
        value = self.values.get(request.key.tobytes())
        if value is not None:
            response.hit, response.level, response.value = True, 'l2', value
        return response

    def _store(self, request, response):
        self.values[request.key.tobytes()] = request.value
        self.stored.append(request.value)
        response.stored = True
        return response


@pytest.fixture
def begin(open_world):
    """Bring a scheduler up with some parameters, and give those who play the others."""
    def begin(**parameters):
        world = open_world(**PATIENT | parameters)
        players = Players(world)
        world.start(SchedulerNode)
        world.bring_up()
        players.meet()
        return players
    return begin


def test_a_ticket_becomes_a_grant_and_its_recognition_a_transcript(begin):
    players = begin()
    players.offer()
    ticket = players.speak(language='en')
    grant = players.granted(1)
    assert (grant.segment, grant.attempt, grant.worker) == (ticket.segment, 1, 'inference_0')
    players.answer(grant, 'go to the kitchen')
    said = players.told(1)
    assert (said.segment, said.stream, said.sequence) == (ticket.segment, 'mic', 0)
    assert (said.status, said.text) == (TranscriptStatus.DONE, 'go to the kitchen')
    assert (said.begin_ns, said.end_ns) == (ticket.begin_ns, ticket.end_ns)
    assert (said.worker, said.backend, said.cache) == ('inference_0', 'scripted', 'none')
    assert (said.attempts, said.confidence) == (1, 0.5)
    assert players.settled[0].segment == ticket.segment
    assert players.settled[0].outcome is TranscriptStatus.DONE
    players.world.spin_until(lambda: players.texts, 'the text alone')
    assert players.texts == ['go to the kitchen']


def test_who_finds_the_scheduler_late_gets_what_he_has_missed_if_he_asks_for_it(begin):
    players = begin()
    players.offer()
    players.speak()
    players.answer(players.granted(1), 'go to the kitchen')
    players.told(1)
    late = [players.world.listen(msg.Transcript, names.TRANSCRIPT, lambda said: said.text, kind)
            for kind in (names.KEPT_TRANSCRIPT_QOS, names.TRANSCRIPT_QOS)]
    players.speak()
    players.answer(players.granted(2), 'stop')
    players.world.spin_until(lambda: all('stop' in heard for heard in late), 'the second')
    assert late == [['go to the kitchen', 'stop'], ['stop']]


def test_silence_has_a_transcript_and_no_text(begin):
    players = begin()
    players.offer()
    players.speak()
    players.answer(players.granted(1), '', RecognitionStatus.NO_SPEECH, 'nobody spoke')
    said = players.told(1)
    assert (said.status, said.reason) == (TranscriptStatus.NO_SPEECH, 'nobody spoke')
    players.speak()
    players.answer(players.granted(2), 'now')
    players.world.spin_until(lambda: players.texts, 'the text of the second')
    assert players.texts == ['now']


def test_transcripts_of_a_stream_come_in_its_order(begin):
    players = begin()
    players.offer(capacity=2)
    players.speak()
    players.speak()
    players.granted(2)
    players.answer(players.grants[1], 'second')
    players.answer(players.grants[0], 'first')
    players.told(2)
    assert [said.text for said in players.transcripts] == ['first', 'second']


def test_a_worker_that_does_not_answer_is_granted_again(begin):
    players = begin(grant_timeout=0.2)
    players.offer()
    ticket = players.speak()
    again = players.granted(2)
    assert (again.segment, again.attempt) == (ticket.segment, 2)
    players.answer(again, 'at last')
    assert players.told(1).attempts >= 2


def test_a_worker_that_died_is_replaced_by_another(begin):
    players = begin(worker_timeout=0.5)
    players.offer('inference_0')
    players.speak()
    assert players.granted(1).worker == 'inference_0'
    # Nothing more is heard of that one.
    others = players.world.player.create_timer(0.1, lambda: players.offer('inference_1'))
    again = players.granted(2)
    assert again.worker == 'inference_1'
    players.answer(again)
    assert players.told(1).worker == 'inference_1'
    others.cancel()


def test_a_worker_that_came_back_gets_again_what_it_lost(begin):
    players = begin()
    players.offer(incarnation=1)
    players.speak()
    players.granted(1)
    players.offer(incarnation=2)
    again = players.granted(2)
    assert (again.worker, again.attempt) == ('inference_0', 2)


def test_a_segment_that_fails_everywhere_is_rejected_with_the_reason(begin):
    players = begin(attempts=2)
    players.offer()
    players.speak()
    for attempt in (1, 2):
        players.answer(players.granted(attempt), '', RecognitionStatus.FAILED, 'out of memory')
    said = players.told(1)
    assert (said.status, said.attempts) == (TranscriptStatus.REJECTED, 2)
    assert 'out of memory' in said.reason
    assert players.settled[0].outcome is TranscriptStatus.REJECTED


def test_a_segment_past_its_budget_expires(begin):
    players = begin()
    players.speak(budget_s=0.1)
    said = players.told(1)
    assert said.status is TranscriptStatus.EXPIRED
    assert players.settled[0].outcome is TranscriptStatus.EXPIRED
    assert not players.grants


def test_what_was_heard_before_comes_from_the_cache_without_a_grant(begin):
    players = begin(cache_timeout=10.0)
    cache = Cache(players.world)
    players.offer()
    players.speak('the same')
    players.answer(players.granted(1), 'hello again')
    players.told(1)
    players.world.spin_until(lambda: cache.stored, 'a value in the cache')
    players.speak('the same')
    said = players.told(2)
    assert (said.text, said.cache, said.attempts) == ('hello again', 'l2', 0)
    assert len(players.grants) == 1


def test_a_value_of_the_cache_that_is_no_recognition_counts_as_a_miss(begin):
    players = begin(cache_timeout=10.0)
    cache = Cache(players.world)
    players.offer()
    players.speak('the same')
    players.answer(players.granted(1), 'hello')
    players.told(1)
    players.world.spin_until(lambda: cache.stored, 'a value in the cache')
    cache.values = dict.fromkeys(cache.values, '{"status": 7}')
    players.speak('the same')
    players.answer(players.granted(2), 'asked again')
    assert players.told(2).text == 'asked again'


def test_a_cache_that_does_not_answer_is_not_waited_for(begin):
    players = begin(cache_timeout=0.05)
    Cache(players.world, mute=True)
    players.offer()
    ticket = players.speak()
    assert players.granted(1).segment == ticket.segment


def status_of(view):
    return {name: int(view[name]) for name in view.dtype.names}


def test_who_comes_late_gets_the_status(begin):
    players = begin()
    late = players.world.listen(
        msg.SchedulerStatus, names.SCHEDULER, status_of, names.LATCHED_QOS)
    players.world.spin_until(lambda: late, 'the newest status')
    assert late[0]['active'] == 1
    assert late[0]['incarnation'] > 0
    players.offer()
    players.speak()
    players.answer(players.granted(1))
    players.told(1)
    players.world.spin_until(lambda: late[-1]['done'] == 1, 'a status that counts')
    assert (late[-1]['admitted'], late[-1]['granted'], late[-1]['open']) == (1, 1, 0)


def test_a_new_activation_is_another_incarnation_and_asks_for_what_is_kept(begin):
    players = begin()
    statuses = players.world.listen(
        msg.SchedulerStatus, names.SCHEDULER, status_of, names.LATCHED_QOS)
    players.world.spin_until(lambda: statuses, 'a status')
    first = statuses[0]['incarnation']
    ticket = players.speak()
    players.world.spin_until(lambda: statuses[-1]['open'] == 1, 'a segment that is open')
    assert players.world.transit(Transition.DEACTIVATE)
    players.world.spin_until(lambda: not statuses[-1]['active'], 'the status of its end')
    assert players.world.transit(Transition.ACTIVATE)
    players.world.spin_until(lambda: statuses[-1]['active'], 'the status of its begin')
    assert statuses[-1]['incarnation'] != first
    assert statuses[-1]['open'] == 0
    players.meet()
    players.offer()
    players.tickets.say(ticket)
    assert players.granted(1).segment == ticket.segment


def test_without_hri_msgs_texts_come_all_the_same(begin, monkeypatch, capfd):
    monkeypatch.setattr(live_speech, 'LiveSpeech', None)
    players = begin()
    players.offer()
    players.speak()
    players.answer(players.granted(1), 'hello')
    players.world.spin_until(lambda: players.texts, 'the text')
    assert 'hri_msgs is not installed' in capfd.readouterr().err
    topics = [topic for topic, _ in players.world.player.get_topic_names_and_types()]
    assert not [topic for topic in topics if topic.startswith('/humans')]


@pytest.mark.parametrize(('stream', 'voice'), [
    ('kitchen', 'kitchen'), ('front-left mic', 'front_left_mic'), ('7', 'voice_7'),
    ('厨房', 'voice___'),
])
def test_a_voice_is_named_after_its_stream_as_a_topic_can_be(stream, voice):
    assert live_speech.voice_id(stream) == voice
