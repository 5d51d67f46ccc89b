"""GraphClient, as the commands use it, in a graph that the test plays."""

import time

import numpy as np
import pytest

from xlerobot_asr_interfaces import msg, srv
from xlerobot_asr_opt.errors import SourceError, TransportError
from xlerobot_asr_opt.records import Chunk, StreamState, StreamStatus, Transcript, TranscriptStatus
from xlerobot_asr_opt.ros import client as client_module
from xlerobot_asr_opt.ros import conversions, names
from xlerobot_asr_opt.ros.client import GraphClient
from xlerobot_asr_opt.sources import wire

DOMAIN = 49
CHUNK = Chunk('mic', 7, 10**9, 16_000, 1, np.arange(160, dtype=np.int16))
SAID = Transcript(5, 'mic', 2, TranscriptStatus.DONE, 10**9, 2 * 10**9, text='hello')


class Graph:
    """What a client sees of a graph; it works while the client waits.

    Attributes:
        active: what the manager says.
        opened: the requests to open a stream.
    """

    def __init__(self, world):
        self.world = world
        self.active = True
        self.opened = []
        player = world.player
        player.create_service(srv.IsActive, names.IS_ACTIVE, self._is_active)
        player.create_service(srv.OpenStream, names.OPEN_STREAM, self._open_stream)
        self.transcripts = player.create_publisher(
            msg.Transcript, names.TRANSCRIPT, names.TRANSCRIPT_QOS)
        self.statuses = world.voice(
            msg.StreamStatus, names.STREAMS, conversions.write_status, names.STREAMS_QOS)

    def _is_active(self, _request, response):
        response.active = self.active
        return response

    def _open_stream(self, request, response):
        self.opened.append(request)
        if request.source == '/gone.wav':
            response.message = 'no file /gone.wav'
            return response
        response.success, response.stream, response.duration = True, 'clause', 2.5
        response.begin = conversions.time_message(3 * 10**9 + 1)
        return response


class Together(GraphClient):
    """A client whose waits have the graph work too."""

    def __init__(self, graph):
        super().__init__(graph.world.namespace)
        self._graph = graph

    def spin(self, seconds):
        self._graph.world.executor.spin_once(0.0)
        super().spin(min(seconds, 0.01))


@pytest.fixture
def graph(open_world, monkeypatch):
    monkeypatch.setenv('ROS_DOMAIN_ID', str(DOMAIN))
    return Graph(open_world())


@pytest.fixture
def client(graph):
    with Together(graph) as client:
        yield client


def until(client, condition):
    assert client.spin_until(condition, 20.0), 'not within 20 s'


def test_a_graph_runs_if_its_manager_says_so(client, graph):
    assert client.is_running(20.0)
    graph.active = False
    assert not client.is_running(20.0)


def test_no_graph_runs_in_an_empty_namespace(graph):
    with GraphClient('/nobody') as client:
        assert not client.is_running(0.1)


def test_a_stream_is_opened_as_asked_for(client, graph):
    opened = client.open_stream('/clause.wav', stream='x', language='en', speed=2.0)
    assert (opened.stream, opened.duration_s, opened.begin_ns) == ('clause', 2.5, 3 * 10**9 + 1)
    request = graph.opened[0]
    assert (request.source, request.stream) == ('/clause.wav', 'x')
    assert (request.language, request.speed) == ('en', 2.0)


def test_a_stream_that_cannot_be_opened_is_an_error_with_the_reason(client):
    with pytest.raises(SourceError, match=r'no file /gone\.wav'):
        client.open_stream('/gone.wav')


def test_a_service_that_is_not_there_is_an_error_with_its_name(graph, monkeypatch):
    monkeypatch.setattr(client_module, 'ANSWER_S', 0.1)
    with GraphClient('/nobody') as client, pytest.raises(
            TransportError, match='/nobody/ingest/open_stream is not there'):
        client.open_stream('/clause.wav')


def test_transcripts_and_the_newest_status_of_each_stream_are_kept(client, graph):
    until(client, lambda: graph.transcripts.get_subscription_count() and graph.statuses.matched)
    graph.transcripts.publish(conversions.transcript_message(SAID))
    for kept in (1, 0):
        graph.statuses.say(StreamStatus('mic', StreamState.SILENCE, kept=kept))
    graph.statuses.say(StreamStatus('file', StreamState.ENDED))
    until(client, lambda: client.transcripts and 'file' in client.streams)
    assert [(said.text, said.sequence) for said in client.transcripts] == [('hello', 2)]
    assert client.streams['mic'].kept == 0
    assert client.streams['file'].state is StreamState.ENDED


def test_serialised_chunks_reach_who_reads_the_topic(client, graph):
    heard = graph.world.listen(
        msg.AudioChunk, names.AUDIO, lambda view: int(view['sequence']), names.AUDIO_QOS)
    publisher = client.audio_publisher(names.AUDIO)
    assert client.audio_publisher(names.AUDIO) is publisher
    client.await_readers(20.0)
    publisher.publish(wire.encode(CHUNK))
    until(client, lambda: heard)
    assert heard == [7]


def test_a_topic_that_nobody_reads_is_an_error_that_says_how_to_start_one(client):
    client.audio_publisher('audio_7')
    with pytest.raises(TransportError, match=r'nobody reads audio_7.*--topics audio_7'):
        client.await_readers(0.05)


def test_raw_messages_come_with_the_time_of_their_arrival(client, graph):
    received = []
    client.subscribe_raw(
        client.resolve(names.AUDIO), 'xlerobot_asr_interfaces/msg/AudioChunk',
        lambda time_ns, data: received.append((time_ns, data)))
    voice = graph.world.voice(
        msg.AudioChunk, names.AUDIO, conversions.write_chunk, names.AUDIO_QOS)
    until(client, lambda: voice.matched)
    before = time.time_ns()
    voice.say(CHUNK)
    until(client, lambda: received)
    time_ns, data = received[0]
    assert before <= time_ns <= time.time_ns()
    assert wire.decode(data).sequence == 7
    assert client.topics()[client.resolve(names.AUDIO)] == [
        'xlerobot_asr_interfaces/msg/AudioChunk']


def test_it_can_be_closed_twice(graph):
    client = GraphClient(graph.world.namespace)
    client.close()
    client.close()
