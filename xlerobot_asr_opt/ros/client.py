"""A graph as seen from outside: what the commands of a person read from it and send to it."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from xlerobot_asr_interfaces import msg, srv
from xlerobot_asr_opt.errors import SourceError, TransportError
from xlerobot_asr_opt.ros import names
from xlerobot_asr_opt.ros.conversions import nanoseconds, read_status, read_transcript
from xlerobot_asr_opt.ros.guest import Guest
from xlerobot_asr_opt.ros.heeding import heeding
from xlerobot_asr_opt.ros.instance import runs_here
from xlerobot_asr_opt.ros.monitor import subscribe_judgements
from xlerobot_asr_opt.ros.monitor_feed import MonitorFeed

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.client import Client
    from rclpy.publisher import Publisher

    from xlerobot_asr_opt.core.monitor.judgement import Judgement
    from xlerobot_asr_opt.core.monitor.monitor import Monitor
    from xlerobot_asr_opt.records import StreamStatus, Transcript

__all__ = ['RECORDED', 'GraphClient', 'OpenedStream']

RECORDED = {
    'xlerobot_asr_interfaces/msg/AudioChunk': msg.AudioChunk,
    'xlerobot_asr_interfaces/msg/Transcript': msg.Transcript,
    'xlerobot_asr_interfaces/msg/StreamStatus': msg.StreamStatus,
}
"""The messages that a bag of ours holds, by the name of their type."""

DISCOVERY_S = 1.0
"""A graph is mostly discovered within a fifth of this."""
LOCAL_DISCOVERY_S = 10.0
"""For a graph that is known to run: the first announcement may be lost, the next takes 3 s."""
ANSWER_S = 15.0
"""Longest time that a service of a living graph takes to answer."""
QUESTIONS = 6
"""How often a question is asked in that time."""


class OpenedStream(NamedTuple):
    """A stream that ingest reads.

    Attributes:
        stream: its name.
        duration_s: its length [s]; 0: not known.
        begin_ns: ROS time of its first sample [ns]; 0: not known.
    """

    stream: str
    duration_s: float
    begin_ns: int


class GraphClient(Guest):
    """A node of its own in the graph's namespace; it works while its owner spins it.

    Attributes:
        namespace: of the graph, with its leading slash.
        streams: the newest status of every stream, by name.
        transcripts: received and not yet taken, oldest first.
        judgements: the newest ones of the graph's manager, by name; see watch().
    """

    def __init__(self, namespace: str) -> None:
        """Join the namespace; Ctrl-C stays KeyboardInterrupt."""
        self.namespace = '/' + namespace.strip('/')
        super().__init__('client', self.namespace)
        self.streams: dict[str, StreamStatus] = {}
        self.transcripts: deque[Transcript] = deque()
        self.judgements: dict[str, Judgement] = {}
        self._events = 0
        self._publishers: dict[str, Publisher] = {}
        self._node.create_subscription(
            msg.Transcript, names.TRANSCRIPT, heeding(names.TRANSCRIPT, self._on_transcript),
            names.TRANSCRIPT_QOS)
        self._node.create_subscription(
            msg.StreamStatus, names.STREAMS, heeding(names.STREAMS, self._on_status),
            names.STREAMS_QOS)
        self._activity = self._node.create_client(srv.IsActive, names.IS_ACTIVE)
        self._opening = self._node.create_client(srv.OpenStream, names.OPEN_STREAM)

    def spin(self, seconds: float) -> None:
        """Work until something has arrived, or for that long if nothing does."""
        events = self._events
        self._executor.spin_once(timeout_sec=seconds)
        while events != self._events:
            events = self._events
            self._executor.spin_once(timeout_sec=0)

    def spin_until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Work until the condition holds or the time is over; return whether it holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() >= deadline:
                return False
            self.spin(0.05)
        return True

    def is_running(self, seconds: float = DISCOVERY_S) -> bool:
        """Whether an active graph is in this namespace; one of this machine is waited for.

        Args:
            seconds: longest wait for one of another machine [s].
        """
        if runs_here(f'{self.namespace}/manager'):
            seconds = LOCAL_DISCOVERY_S
        if not self.spin_until(self._activity.service_is_ready, seconds):
            return False
        active = bool(self._ask(self._activity, srv.IsActive.Request()).active)
        if active:
            self.await_scheduler()
        return active

    def await_scheduler(self) -> None:
        """Work until the scheduler is discovered: what it publishes before is not heard.

        Raises:
            TransportError: it is not there.
        """
        if not self.spin_until(lambda: self._node.count_publishers(names.TRANSCRIPT), ANSWER_S):
            raise TransportError(f'nobody publishes {self.resolve(names.TRANSCRIPT)}: does the '
                                 f'graph run?')

    def open_stream(
        self, source: str, *, stream: str = '', language: str = '', speed: float = 0.0,
    ) -> OpenedStream:
        """Have ingest read a file or a microphone.

        Args:
            source: path of a file, absolute, or mic:NAME.
            stream: name of the stream; empty: made from the source.
            language: as in ISO 639-1; empty: the worker's own setting.
            speed: 1: real time; 0: as fast as the graph takes it.

        Raises:
            SourceError: ingest cannot read it.
            TransportError: no answer.
        """
        answer = self._call(self._opening, srv.OpenStream.Request(
            source=source, stream=stream, language=language, speed=speed))
        if not answer.success:
            raise SourceError(answer.message)
        return OpenedStream(answer.stream, answer.duration, nanoseconds(answer.begin))

    def audio_publisher(self, topic: str) -> Publisher:
        """The publisher of AudioChunk on a topic, made on first use; it takes serialised bytes."""
        if topic not in self._publishers:
            self._publishers[topic] = self._node.create_publisher(
                msg.AudioChunk, topic, names.AUDIO_QOS)
        return self._publishers[topic]

    def await_readers(self, seconds: float) -> None:
        """Work until every audio publisher has a reader.

        Raises:
            TransportError: one has none; the message names it.
        """
        def unread() -> list[str]:
            return [topic for topic, publisher in self._publishers.items()
                    if publisher.get_subscription_count() == 0]
        if not self.spin_until(lambda: not unread(), seconds):
            raise TransportError(
                f'nobody reads {", ".join(unread())}: start the graph with these topics, '
                f'xlerobot-asr up --topics {",".join(self._publishers)}')

    def resolve(self, topic: str) -> str:
        """Full name of a topic; a relative one is meant in the graph's namespace."""
        return str(self._node.resolve_topic_name(topic))

    def subscribe_raw(
        self, topic: str, kind: str, callback: Callable[[int, bytes], None],
    ) -> None:
        """Receive the serialised messages of a topic, with the time they arrived [ns].

        Args:
            topic: its name.
            kind: a name of RECORDED.
            callback: called with time and bytes.
        """
        clock = self._node.get_clock()

        def receive(data: bytes) -> None:
            self._events += 1
            callback(clock.now().nanoseconds, data)
        profile = names.AUDIO_QOS if kind.endswith('AudioChunk') else names.TRANSCRIPT_QOS
        self._node.create_subscription(RECORDED[kind], topic, receive, profile, raw=True)

    def watch(self, monitor: Monitor) -> None:
        """Feed a monitor with what the graph tells, and hear what its manager thinks of it."""
        MonitorFeed(self._node, monitor, self._counted)
        subscribe_judgements(
            self._node, f'{self.namespace}/manager', self._counted(self._on_judgement))

    def topics(self) -> dict[str, list[str]]:
        """Names and types of all topics that are discovered so far."""
        return dict(self._node.get_topic_names_and_types())

    def _ask(self, client: Client, request: Any) -> Any:
        """Call a service that changes nothing, again where a question or an answer got lost.

        Both sides must have discovered each other for an answer to arrive, and each of them knows
        of itself alone.
        """
        for _ in range(QUESTIONS - 1):
            with contextlib.suppress(TransportError):
                return self._call(client, request, ANSWER_S / QUESTIONS)
        return self._call(client, request, ANSWER_S / QUESTIONS)

    def _call(self, client: Client, request: Any, answer_s: float = ANSWER_S) -> Any:
        if not self.spin_until(client.service_is_ready, ANSWER_S):
            raise TransportError(f'{client.service_name} is not there: does the graph run?')
        future = client.call_async(request)
        if not self.spin_until(future.done, answer_s):
            client.remove_pending_request(future)
            raise TransportError(f'{client.service_name} did not answer within {answer_s:g} s')
        return future.result()

    def _counted(self, callback: Callable[..., None]) -> Callable[..., None]:
        """Wrap a callback, so that spin() knows that something has arrived."""
        def counted(*arguments: object) -> None:
            self._events += 1
            callback(*arguments)
        return counted

    def _on_judgement(self, judgement: Judgement) -> None:
        self.judgements[judgement.name] = judgement

    def _on_transcript(self, message: msg.Transcript) -> None:
        self._events += 1
        self.transcripts.append(read_transcript(message))

    def _on_status(self, message: msg.StreamStatus) -> None:
        self._events += 1
        status = read_status(message)
        self.streams[status.stream] = status
