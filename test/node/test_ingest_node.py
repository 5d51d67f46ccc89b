"""The ingest node hears a person, between a scheduler and a worker that the test plays."""

import hashlib

import numpy as np
import pytest
import rclpy
import soundfile
from rclpy.qos import QoSProfile, ReliabilityPolicy
from small_machine import Machine
from std_msgs.msg import Bool, String

from xlerobot_asr_interfaces import msg, srv
from xlerobot_asr_opt import memory
from xlerobot_asr_opt.core.dispatch import DispatchStatistics
from xlerobot_asr_opt.core.lifecycle import State, Transition
from xlerobot_asr_opt.models.layout import asset_path
from xlerobot_asr_opt.nodes.ingest import IngestNode
from xlerobot_asr_opt.records import (
    Acknowledgement,
    Chunk,
    Flag,
    Grant,
    StreamState,
    Transcript,
    TranscriptStatus,
    WorkerStatus,
)
from xlerobot_asr_opt.ros import conversions, names

DOMAIN = 46
WORKER = 'inference_0'
NS = 1_000_000_000
CLAUSE_S = (24.2, 26.2)
"""One clause of the recording, with its pauses [s]."""
COUNTS = DispatchStatistics(**dict.fromkeys(DispatchStatistics.__dataclass_fields__, 0))


@pytest.fixture(scope='module')
def clause():
    """int16[n] of a person who says a clause, and its rate."""
    samples, rate = soundfile.read(asset_path('two_cities'), dtype='int16', always_2d=True)
    begin, end = (int(seconds * rate) for seconds in CLAUSE_S)
    spoken = samples[begin:end, 0]
    return np.concatenate([spoken, np.zeros(rate, np.int16)]), rate


class Players:
    """Scheduler, worker and a person who listens, as ingest sees them."""

    def __init__(self, world):
        self.world = world
        self.grants = world.voice(
            msg.Grant, names.GRANTS, conversions.write_grant, names.CONTROL_QOS)
        self.acknowledgements = world.voice(
            msg.Acknowledgement, names.ACKNOWLEDGEMENTS, conversions.write_acknowledgement,
            names.CONTROL_QOS)
        self.workers = world.voice(
            msg.WorkerStatus, names.WORKERS, conversions.write_worker, names.LATCHED_QOS)
        self.schedulers = world.voice(
            msg.SchedulerStatus, names.SCHEDULER, conversions.write_scheduler, names.LATCHED_QOS)
        self.transcripts = world.player.create_publisher(
            msg.Transcript, names.TRANSCRIPT, names.KEPT_TRANSCRIPT_QOS)
        self.tickets, self.previews = [], []
        world.listen(msg.SpeechTicket, names.TICKETS, self._on_ticket, names.CONTROL_QOS)
        self.segments = world.listen(
            msg.SpeechSegment, names.segments(WORKER), np.copy, names.SEGMENTS_QOS)
        self.statuses = {}
        world.listen(msg.StreamStatus, names.STREAMS, self._on_status, names.STREAMS_QOS)

    def _on_ticket(self, view):
        ticket = conversions.read_ticket(view)
        (self.previews if ticket.provisional else self.tickets).append(ticket)

    def _on_status(self, view):
        self.statuses[conversions.read_text(view['stream'])] = view.copy()

    def meet(self):
        """Wait until the active node hears all of them."""
        self.world.spin_until(
            lambda: self.grants.matched and self.acknowledgements.matched
            and self.workers.matched and self.schedulers.matched, 'an ingest that listens')

    def heard(self, count=1):
        """Wait for that many tickets; return the last."""
        self.world.spin_until(
            lambda: len(self.tickets) >= count, lambda: f'ticket {count}: {self.statuses}')
        return self.tickets[count - 1]

    def grant(self, ticket, attempt=1):
        """Grant a worker that says that it is there, and wait for the segment."""
        self.workers.say(WorkerStatus(WORKER, 1, True, 2, 480_000, bytes(32)))
        before = len(self.segments)
        self.grants.say(Grant(ticket.segment, attempt, WORKER))
        self.world.spin_until(lambda: len(self.segments) > before, 'the segment')
        return self.segments[-1]

    def settle(self, ticket):
        """Acknowledge a segment, and wait until it is let go of."""
        self.acknowledgements.say(Acknowledgement(ticket.segment, TranscriptStatus.DONE))
        self.until(ticket.stream, lambda status: status['kept'] == 0)

    def schedule(self, incarnation):
        """A scheduler says that it is active."""
        self.schedulers.say(incarnation, True, COUNTS)

    def until(self, stream, condition):
        """Wait for a status of a stream."""
        self.world.spin_until(
            lambda: stream in self.statuses and condition(self.statuses[stream]),
            lambda: f'a status of {stream}: {self.statuses.get(stream)}')


@pytest.fixture
def begin(open_world, tmp_path):
    """Bring an ingest node up, and give those who play the others."""
    def begin(**parameters):
        world = open_world(
            **{'source': 'none', 'store_directory': str(tmp_path / 'store'), **parameters})
        players = Players(world)
        world.start(IngestNode)
        world.bring_up()
        players.meet()
        return players
    return begin


@pytest.fixture
def recording(clause, tmp_path):
    """A file of the clause."""
    path = tmp_path / 'clause.wav'
    soundfile.write(path, *clause)
    return path


class Speaker:
    """Publishes chunks on the audio topic."""

    def __init__(self, players, clause, qos=names.AUDIO_QOS):
        self._samples, self._rate = clause
        self._voice = players.world.voice(
            msg.AudioChunk, names.AUDIO, conversions.write_chunk, qos)
        self._world = players.world
        self._sequence = 0
        self._world.spin_until(lambda: self._voice.matched, 'an ingest that hears')

    @property
    def sent(self):
        """Chunks so far."""
        return self._sequence

    def chunk(self, samples, **fields):
        """Publish one chunk."""
        known = {'stream': 'mic', 'sequence': self._sequence, 'rate': self._rate, 'channels': 1,
                 'stamp_ns': NS + self._sequence * NS // 10}
        self._voice.say(Chunk(**known | fields, samples=samples))
        self._sequence += 1

    def say(self, pace_s=0.0):
        """Publish the clause, a chunk each so many seconds."""
        first, sent = self._sequence, 0
        for part in np.array_split(self._samples, -(-len(self._samples) // 1600)):
            self.chunk(part, stamp_ns=NS * (1 + first) + sent * NS // self._rate)
            sent += len(part)
            self._world.spin_for(pace_s)


def test_a_file_is_announced_granted_and_let_go_of(begin, recording):
    players = begin(source='file', files=[str(recording)], speed=0.0, language='en')
    ticket = players.heard()
    assert (ticket.stream, ticket.sequence, ticket.language) == ('clause', 0, 'en')
    segment = players.grant(ticket, attempt=2)
    assert int(segment['segment']) == ticket.segment
    assert int(segment['attempt']) == 2
    assert int(segment['head']) == int(segment['tail']) != 0
    assert conversions.read_text(segment['language']) == 'en'
    samples = segment['samples'][:int(segment['length'])]
    assert len(samples) == ticket.length
    assert hashlib.blake2b(samples.tobytes(), digest_size=32).digest() == ticket.digest
    players.settle(ticket)
    players.until('clause', lambda status: status['state'] == StreamState.ENDED)
    assert int(players.statuses['clause']['segments']) == 1


def test_a_topic_is_heard_and_a_repeated_grant_is_served(begin, clause):
    players = begin(source='topic')
    Speaker(players, clause).say()
    ticket = players.heard()
    assert ticket.stream == 'mic'
    assert NS <= ticket.begin_ns < ticket.end_ns <= 5 * NS
    first = players.grant(ticket)
    again = players.grant(ticket, attempt=2)
    assert np.array_equal(first['samples'], again['samples'])
    assert int(again['head']) != int(first['head'])


def test_a_pause_is_foretold_and_can_be_granted(begin, clause):
    players = begin(source='topic')
    Speaker(players, clause).say(pace_s=0.012)
    ticket = players.heard()
    preview = players.previews[-1]
    assert (preview.stream, preview.length, preview.digest) == (
        ticket.stream, ticket.length, ticket.digest)
    assert preview.segment != ticket.segment
    segment = players.grant(preview)
    assert int(segment['segment']) == preview.segment
    samples = segment['samples'][:int(segment['length'])]
    assert hashlib.blake2b(samples.tobytes(), digest_size=32).digest() == ticket.digest


def test_a_best_effort_publisher_is_heard(begin, clause, capfd):
    players = begin(source='topic')
    qos = QoSProfile(depth=500, reliability=ReliabilityPolicy.BEST_EFFORT)
    Speaker(players, clause, qos).say()
    players.heard()
    assert 'has a best-effort publisher' in capfd.readouterr().err


def test_wrong_chunks_are_counted_and_the_next_one_is_heard(begin, clause):
    players = begin(source='topic')
    speaker = Speaker(players, clause)
    quiet = np.zeros(1600, np.int16)
    speaker.chunk(quiet, rate=1)
    speaker.chunk(quiet, channels=0)
    speaker.chunk(quiet[:0])
    players.until('mic', lambda status: status['refused'] == 3)
    speaker.say()
    players.heard()


def test_a_new_scheduler_is_told_what_is_kept_and_no_more(begin, clause):
    players = begin(source='topic')
    speaker = Speaker(players, clause)
    players.schedule(1)
    speaker.say()
    speaker.say()
    first, second = players.heard(1), players.heard(2)
    players.acknowledgements.say(Acknowledgement(first.segment, TranscriptStatus.DONE))
    players.until('mic', lambda status: status['kept'] == 1)
    players.tickets.clear()
    players.schedule(2)
    again = players.heard()
    assert (again.segment, again.digest) == (second.segment, second.digest)
    assert again.oldest_kept == second.sequence
    assert {ticket.segment for ticket in players.tickets} == {second.segment}


def test_what_is_kept_outlives_the_node(begin, clause):
    players = begin(source='topic')
    Speaker(players, clause).say()
    ticket = players.heard()
    players.world.stop()
    players.tickets.clear()
    players.world.start(IngestNode)
    players.world.bring_up()
    players.meet()
    players.schedule(1)
    again = players.heard()
    assert (again.segment, again.digest) == (ticket.segment, ticket.digest)
    assert again.flags & Flag.RECOVERED
    assert int(players.grant(again)['length']) == ticket.length


def test_a_grant_for_what_is_not_kept_is_passed_by(begin, clause):
    players = begin(source='topic')
    speaker = Speaker(players, clause)
    speaker.say()
    ticket = players.heard()
    players.grant(ticket)
    players.settle(ticket)
    players.grants.say(Grant(ticket.segment, 2, WORKER))
    speaker.say()
    segment = players.grant(players.heard(2))
    assert int(segment['segment']) != ticket.segment


def test_open_stream_reads_a_file_and_says_what_it_is(begin, recording, clause):
    players = begin()
    opened = players.world.call(
        srv.OpenStream, names.OPEN_STREAM, source=str(recording), language='en')
    assert (opened.success, opened.stream) == (True, 'clause')
    assert opened.duration == pytest.approx(len(clause[0]) / clause[1], abs=1e-3)
    assert conversions.nanoseconds(opened.begin) > 0
    assert players.heard().language == 'en'
    second = players.world.call(srv.OpenStream, names.OPEN_STREAM, source=str(recording))
    assert second.stream == 'clause-2'
    assert players.heard(2).stream == 'clause-2'


@pytest.mark.parametrize(('fields', 'complaint'), [
    ({'source': '/nonexistent.wav'}, '/nonexistent.wav'),
    ({'source': 'CLAUSE', 'speed': -1.0}, 'expected 0 to 1000'),
    ({'source': 'CLAUSE', 'stream': 'x' * 64}, 'as the name of a stream'),
], ids=['missing', 'speed', 'name'])
def test_open_stream_refuses_with_the_reason(begin, recording, fields, complaint):
    players = begin()
    fields['source'] = fields['source'].replace('CLAUSE', str(recording))
    refused = players.world.call(srv.OpenStream, names.OPEN_STREAM, **fields)
    assert not refused.success
    assert complaint in refused.message


def test_a_stream_that_does_not_fit_into_memory_is_refused_with_the_numbers(
        begin, recording, tmp_path, monkeypatch):
    machine = Machine(tmp_path / 'machine')
    monkeypatch.setattr(memory, 'MemoryReader', lambda: machine.reader)
    machine.write('proc/meminfo', 'MemTotal: 8000000 kB\nMemAvailable: 5600100 kB\n')
    players = begin(memory_share=0.3)
    refused = players.world.call(srv.OpenStream, names.OPEN_STREAM, source=str(recording))
    assert not refused.success
    assert refused.message == (
        'stream clause needs 0.1 MB, but 0.1 MB are left: 2457.5 of 2457.6 MB (100 %) of the '
        'machine are used; free memory')


def transcribe(players, clause):
    samples, rate = clause
    return players.world.ask(
        srv.Transcribe, names.TRANSCRIBE, samples=samples, rate=rate, channels=1)


def test_transcribe_answers_when_the_transcripts_have_come(begin, clause):
    players = begin()
    answer = transcribe(players, clause)
    ticket = players.heard()
    assert not answer.done()
    assert ticket.begin_ns < NS
    players.transcripts.publish(conversions.transcript_message(Transcript(
        ticket.segment, ticket.stream, ticket.sequence, TranscriptStatus.DONE, ticket.begin_ns,
        ticket.end_ns, text='hello')))
    players.world.spin_until(answer.done, 'the answer')
    assert answer.result().success
    assert [one.text for one in answer.result().transcripts] == ['hello']


def test_transcribe_of_silence_is_answered_at_once(begin):
    players = begin()
    answer = transcribe(players, (np.zeros(16_000, np.int16), 16_000))
    players.world.spin_until(answer.done, 'the answer')
    assert (answer.result().success, len(answer.result().transcripts)) == (True, 0)


@pytest.mark.parametrize(('fields', 'complaint'), [
    ({'rate': 1}, 'rate: got 1 Hz'),
    ({'channels': 0}, 'channels: got 0'),
    ({'samples': np.zeros(0, np.int16)}, 'got 0 samples'),
    ({'samples': np.zeros(3, np.int16), 'channels': 2}, 'expected whole'),
], ids=['rate', 'channels', 'empty', 'half a frame'])
def test_transcribe_refuses_what_is_no_recording(begin, fields, complaint):
    players = begin()
    known = {'samples': np.zeros(160, np.int16), 'rate': 16_000, 'channels': 1}
    refused = players.world.call(srv.Transcribe, names.TRANSCRIBE, **known | fields)
    assert not refused.success
    assert complaint in refused.message


def test_transcribe_is_answered_when_ingest_is_deactivated(begin, clause):
    players = begin()
    answer = transcribe(players, clause)
    players.heard()
    assert players.world.transit(Transition.DEACTIVATE)
    players.world.spin_until(answer.done, 'the answer')
    assert not answer.result().success
    assert 'deactivated' in answer.result().message


def test_a_file_that_is_not_there_fails_activation_with_its_name(open_world, tmp_path, capfd):
    world = open_world(source='file', files=[str(tmp_path / 'gone.wav')],
                       store_directory=str(tmp_path / 'store'))
    world.start(IngestNode)
    assert world.transit(Transition.CONFIGURE)
    assert not world.transit(Transition.ACTIVATE)
    assert world.node.state is State.INACTIVE
    assert 'gone.wav' in capfd.readouterr().err


@pytest.mark.parametrize(('topic', 'said'), [
    ('/smart:audio_msg/AudioFrame', 'install audio_msg of TogetheROS.Bot, or source'),
    ('/front:sensor_msgs/Image', 'got messages of sensor_msgs/msg/Image, expected one of'),
    ('/audio:audio_common_msgs/AudioData:mp3', "got audio in the format 'mp3', expected raw"),
], ids=['package', 'type', 'encoding'])
def test_a_topic_that_cannot_be_read_fails_configuration_with_the_reason(
        open_world, tmp_path, capfd, topic, said):
    world = open_world(source='topic', topics=[topic], store_directory=str(tmp_path / 'store'))
    world.start(IngestNode)
    assert not world.transit(Transition.CONFIGURE)
    assert said in capfd.readouterr().err


def test_a_topic_of_a_type_that_cannot_be_read_is_told_once(begin, context, capfd):
    node = rclpy.create_node('stranger', context=context)
    try:
        players = begin(source='topic')
        node.create_publisher(String, f'{players.world.namespace}/{names.AUDIO}', 1)
        players.world.spin_until(
            lambda: 'audio is not heard: got messages of std_msgs/msg/String'
            in capfd.readouterr().err, 'the reason')
        players.world.spin_for(1.2)
        assert 'is not heard' not in capfd.readouterr().err
    finally:
        node.destroy_node()


class Robot:
    """Says on a topic whether the robot speaks, and hears who cuts in."""

    def __init__(self, players, qos=10):
        self._world = players.world
        self._says = self._world.player.create_publisher(Bool, 'robot', qos)
        self.cut_in = []
        self._world.player.create_subscription(
            String, names.BARGE_IN, lambda heard: self.cut_in.append(heard.data), 10)
        self._world.spin_until(
            lambda: self._says.get_subscription_count()
            and self._world.player.count_publishers(names.BARGE_IN), 'an ingest that minds it')

    def says(self, speaking):
        self._says.publish(Bool(data=speaking))
        self._world.spin_for(0.1)


@pytest.mark.parametrize('reliability', ['RELIABLE', 'BEST_EFFORT'])
def test_the_robot_does_not_hear_itself(begin, clause, reliability):
    players = begin(source='topic', robot_speaking='robot', robot_speaking_tail=0.0)
    robot = Robot(players, QoSProfile(depth=1, reliability=ReliabilityPolicy[reliability]))
    speaker = Speaker(players, clause)
    robot.says(True)
    speaker.say()
    players.until('mic', lambda status: status['muted'] == speaker.sent)
    assert not players.tickets
    robot.says(False)
    speaker.say()
    assert players.heard().sequence == 0
    assert int(players.statuses['mic']['muted']) == speaker.sent // 2
    assert robot.cut_in == []


def test_who_cuts_in_is_told(begin, clause):
    players = begin(source='topic', robot_speaking='robot', while_robot_speaks='barge_in')
    robot, speaker = Robot(players), Speaker(players, clause)
    robot.says(True)
    speaker.say(pace_s=0.012)
    players.world.spin_until(lambda: robot.cut_in, 'who cuts in')
    players.heard()
    assert robot.cut_in == ['mic']
