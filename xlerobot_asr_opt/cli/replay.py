"""xlerobot-asr replay: plays the audio of a bag into a graph and shows its transcripts."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xlerobot_asr_opt.cli.arguments import add_json, add_namespace, non_negative
from xlerobot_asr_opt.cli.following import Follower
from xlerobot_asr_opt.cli.output import complain, show
from xlerobot_asr_opt.cli.session import a_graph
from xlerobot_asr_opt.errors import TransportError
from xlerobot_asr_opt.processes import GraphArguments
from xlerobot_asr_opt.sources.bag import BagReader

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from xlerobot_asr_opt.records import StreamStatus, Transcript
    from xlerobot_asr_opt.ros.client import GraphClient

__all__ = ['Outcome', 'Player', 'add_parser', 'run']

_DISCOVERY_S = 1.0
_MATCHING_S = 10.0
_STATUS_S = 1.5
"""Within this time every stream that is open has sent its status."""
_STALL_S = 15.0
"""A graph that takes nothing and tells nothing for this long is dead."""
_LOST_S = 5.0
"""A chunk that was not counted within this time, though the graph lives, was lost."""
_WINDOW = 250
"""Chunks on their way at once: half of what the reader's history holds."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    parser = subparsers.add_parser(
        'replay', help='play a bag into the graph and show its transcripts',
        description='Publishes the AudioChunk messages of a bag on their own topics and writes '
        'begin, end and text of every utterance, the begin of the bag being 0. Uses the graph '
        'that runs in the namespace; without one, it starts one and ends it.')
    parser.add_argument('bag', type=Path, metavar='BAG', help='directory, .mcap or .db3 file')
    parser.add_argument(
        '--rate', type=non_negative, default=1.0, metavar='FACTOR',
        help='1: the recorded pace (default); 4: four times faster; 0: as fast as nothing is lost')
    add_json(parser)
    parser.add_argument('--topic', action='append', default=[], dest='topics', metavar='TOPIC',
                        help='play this topic only; may be given again (default: all AudioChunks)')
    parser.add_argument('--model', default='', help='of the graph, if one is started')
    add_namespace(parser)


def run(args: argparse.Namespace) -> int:
    """Play the bag; return 1 where a chunk or a segment was lost."""
    with BagReader(args.bag, args.topics) as bag:
        arguments = GraphArguments(model=args.model, source='topic', topics=bag.audio_topics,
                                   namespace=args.namespace, log_level='warn')
        with a_graph(args.namespace, arguments, _DISCOVERY_S) as (client, ran_before):
            if ran_before:
                client.spin_until(lambda: False, _STATUS_S)
            outcome = Player(client, bag, args.rate, lambda transcript, origin_ns: show(
                transcript, origin_ns, str(args.bag), as_json=args.json)).play()
    if outcome.lost:
        complain(f'{args.bag}: {outcome.lost} of {outcome.sent} chunks were lost on the way')
    return 1 if outcome.lost or outcome.unsuccessful else 0


@dataclass(frozen=True)
class Outcome:
    """What became of a replay.

    Attributes:
        sent: chunks published.
        lost: of these, not received by ingest, or missing by their sequence numbers.
        unsuccessful: segments that were not recognised.
    """

    sent: int
    lost: int
    unsuccessful: int


class Player:
    """Publishes the chunks of a bag when they are due, and waits for their transcripts."""

    def __init__(
        self, client: GraphClient, bag: BagReader, rate: float,
        tell: Callable[[Transcript, int], bool], clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare a replay.

        Args:
            client: of the graph to play into.
            bag: what to play.
            rate: 1: the recorded pace; 4: four times faster; 0: as fast as it is taken.
            tell: called with each transcript and the ROS time of the bag's first sample [ns];
                returns whether the segment was dealt with.
            clock: monotonic seconds.
        """
        self._clock = clock
        self._client = client
        self._bag = bag
        self._rate = rate
        self._tell = tell
        self._followers: dict[str, Follower] = {}
        self._before: dict[str, StreamStatus] = dict(client.streams)
        self._sent = 0
        self._origin_ns: int | None = None
        self._unsuccessful = 0

    def play(self) -> Outcome:
        """Play the bag to its end.

        Raises:
            SourceError: the bag breaks off.
            TransportError: nobody listens, or the graph has died.
        """
        publishers = {topic: self._client.audio_publisher(topic)
                      for topic in self._bag.audio_topics}
        self._client.await_readers(_MATCHING_S)
        begin = self._clock()
        for message, chunk in self._bag.chunks():
            if self._origin_ns is None:
                self._origin_ns = chunk.stamp_ns
            self._follow(chunk.stream)
            since_ns = message.time_ns - self._bag.start_ns
            self._wait(begin + since_ns / 1e9 / self._rate if self._rate else begin)
            publishers[message.topic].publish(message.data)
            self._sent += 1
        self._until(lambda: self._settled and not self._lost)
        return Outcome(self._sent, self._lost, self._unsuccessful)

    @property
    def _received(self) -> int:
        return sum(item.chunks for item in self._followers.values())

    @property
    def _lost(self) -> int:
        return max(0, self._sent - self._received)

    @property
    def _settled(self) -> bool:
        return all(item.settled for item in self._followers.values())

    def _follow(self, stream: str) -> None:
        if stream not in self._followers:
            self._followers[stream] = Follower(stream, self._before.get(stream))

    def _wait(self, due: float) -> None:
        """Work until the next chunk is due, and at full speed until there is room for it."""
        self._turn(0.0)
        while self._rate and (left := due - self._clock()) > 0:
            self._turn(min(left, 0.05))
        if not self._rate:
            self._until(lambda: self._sent - self._received < _WINDOW)

    def _until(self, condition: Callable[[], bool]) -> None:
        """Work until the condition holds, or until what is lost will not come any more.

        Raises:
            TransportError: the graph tells nothing any more.
        """
        heard = moved = self._clock()
        received = -1
        while not condition():
            now = self._clock()
            if self._turn(0.05):
                heard = now
            if received != self._received or not self._settled:
                received, moved = self._received, now
            if now - moved > _LOST_S:
                return
            if now - heard > _STALL_S:
                raise TransportError(
                    f'no news of {", ".join(self._followers)} for {_STALL_S:g} s: the graph in '
                    f'{self._client.namespace} has died, or listens to other topics')

    def _turn(self, seconds: float) -> bool:
        """Work for that long at most, and tell what was said; return whether there was news."""
        self._client.spin(seconds)
        transcripts = list(self._client.transcripts)
        self._client.transcripts.clear()
        news = False
        for name, follower in self._followers.items():
            status = self._client.streams.pop(name, None)
            news = news or status is not None
            for transcript in follower.take(status, transcripts):
                if not self._tell(transcript, self._origin_ns or 0):
                    self._unsuccessful += 1
        return news
