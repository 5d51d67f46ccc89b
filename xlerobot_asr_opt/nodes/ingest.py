"""The ingest node: cuts speech out of every stream, and keeps it until it is acknowledged."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from std_msgs.msg import Bool, String

from xlerobot_asr_interfaces import msg
from xlerobot_asr_opt.core.degradation_effects import is_finals_only
from xlerobot_asr_opt.core.ingest import Ingest
from xlerobot_asr_opt.core.segment_store import SegmentStore
from xlerobot_asr_opt.core.topic_entries import TopicEntry, topic_entry
from xlerobot_asr_opt.core.vad import SileroDetector
from xlerobot_asr_opt.memory import PredictiveMemoryManager
from xlerobot_asr_opt.models.layout import asset_path
from xlerobot_asr_opt.models.paths import private_directory, state_root
from xlerobot_asr_opt.parameters import IngestParameters, ManagerParameters
from xlerobot_asr_opt.records import Chunk, Degradation, Ticket
from xlerobot_asr_opt.ros import conversions, names
from xlerobot_asr_opt.ros.audio_messages import NATIVE, message_class
from xlerobot_asr_opt.ros.audio_subscription import AudioSubscription
from xlerobot_asr_opt.ros.heeding import heeding
from xlerobot_asr_opt.ros.level_watch import LevelWatch
from xlerobot_asr_opt.ros.loans import LoanedPublisher, LoanedSubscription
from xlerobot_asr_opt.ros.managed import ManagedNode
from xlerobot_asr_opt.ros.matching import MatchingSubscription
from xlerobot_asr_opt.ros.one_shot import OneShot
from xlerobot_asr_opt.ros.run import run
from xlerobot_asr_opt.ros.segment_sender import SegmentSender
from xlerobot_asr_opt.ros.source_player import SourcePlayer
from xlerobot_asr_opt.ros.timers import steady_timer
from xlerobot_asr_opt.ros.voices import VoicesPublisher

TICK_PERIOD_S = 0.02
STATUS_PERIOD_S = 1.0
TELLINGS = 2
"""Statuses of a scheduler at which it is told of all that is kept."""
REMIND_EVERY = 5
"""Statuses of the scheduler, one a second, between two reminders of what is kept the longest."""
REMINDED = 100
"""Segments of one reminder."""
STATUSES = 100
"""States without a change that are told in a period; more streams take turns."""


class IngestNode(ManagedNode):
    """Carries audio into core/ingest, and what that announces out.

    in:     audio topics, files, the microphone; speech/grants, speech/acknowledgements, workers,
            scheduler/status, memory, level, what says that the robot speaks
    out:    speech/tickets, WORKER/segments, streams, barge_in, voices of REP-155
    serves: ingest/open_stream, ingest/transcribe
    """

    def __init__(self) -> None:
        super().__init__('ingest', IngestParameters)
        self._ingest: Ingest | None = None
        self._refusing = ''
        self.create_subscription(
            msg.MemoryReport, names.MEMORY, self._on_memory, names.LATCHED_QOS)
        self._level = LevelWatch(self, self._heed)
        self._store: SegmentStore | None = None
        self._scheduler = 0
        self._heard_statuses = 0
        self._untold: list[str] = []
        self._tickets = LoanedPublisher(self, msg.SpeechTicket, names.TICKETS, names.CONTROL_QOS)
        self._statuses = LoanedPublisher(self, msg.StreamStatus, names.STREAMS, names.STREAMS_QOS)
        self._barge_ins = self.create_publisher(String, names.BARGE_IN, names.TRANSCRIPT_QOS)
        self._voices = VoicesPublisher(self)
        self._sender: SegmentSender | None = None
        self._player: SourcePlayer | None = None
        self._active: list[object] = []
        self._entries: list[TopicEntry] = []
        self._topics: list[AudioSubscription | MatchingSubscription] = []
        self._tickers = []

    def configure(self) -> None:
        """Open the store and the voice activity detector; both say what is wrong with them."""
        self._entries = [topic_entry(text) for text in self.parameters.topics]
        for kind in {entry.type for entry in self._entries} - {'', NATIVE}:
            message_class(kind)
        own = self.parameters.store_directory
        directory = private_directory(Path(own) if own else state_root() / 'segments')
        name = self.get_namespace().strip('/').replace('/', '-') or 'root'
        self._store = SegmentStore(
            directory / f'{name}.store', self.parameters.store_size << 20)
        detector = SileroDetector(asset_path('silero-vad'))
        memory = PredictiveMemoryManager(
            ManagerParameters(memory_share=self.parameters.memory_share), processes=dict)
        self._ingest = Ingest(
            self.parameters, self._store, detector, clock=time.monotonic, admit=memory.admit)
        self._ingest.refusing = self._refusing
        self._heed(self._level.degradation)

    def activate(self) -> None:
        """Listen, and announce what an earlier life has left in the store."""
        self._sender = SegmentSender(self, self._ingest.samples, self._ingest.language)
        self._player = SourcePlayer(self, self._ingest, self._announce)
        self._active = [
            LoanedSubscription(self, msg.Grant, names.GRANTS, self._on_grant, names.CONTROL_QOS),
            LoanedSubscription(
                self, msg.Acknowledgement, names.ACKNOWLEDGEMENTS,
                heeding(names.ACKNOWLEDGEMENTS, self._on_acknowledgement), names.CONTROL_QOS),
            LoanedSubscription(
                self, msg.WorkerStatus, names.WORKERS, heeding(names.WORKERS, self._on_worker),
                names.LATCHED_QOS),
            LoanedSubscription(
                self, msg.SchedulerStatus, names.SCHEDULER, self._on_scheduler,
                names.LATCHED_QOS),
            OneShot(self, self._push),
            self._sender,
            self._player,
        ]
        if self.parameters.source == 'topic':
            self._topics = [
                AudioSubscription(self, entry, self._on_chunks, self._on_refused)
                for entry in self._entries]
        if self.parameters.robot_speaking:
            self._topics.append(MatchingSubscription(
                self, Bool, self.parameters.robot_speaking, self._on_robot))
        self._player.open_configured(self.parameters)
        self._tickers = [
            steady_timer(self, TICK_PERIOD_S, self._on_tick),
            steady_timer(self, STATUS_PERIOD_S, self._on_second),
        ]

    def deactivate(self) -> None:
        """Stop listening; what is kept stays in the store."""
        for timer in self._tickers:
            self.destroy_timer(timer)
        for one in (*self._topics, *self._active):
            one.destroy()
        self._tickers, self._topics, self._active = [], [], []
        self._sender = self._player = None
        self._scheduler = 0

    def cleanup(self) -> None:
        """Close the store; its file outlives the process."""
        self.deactivate()
        self._voices.clear()
        if self._store is not None:
            self._store.close()
        self._ingest = self._store = None

    def _on_memory(self, report: msg.MemoryReport) -> None:
        """Open no stream while memory is short."""
        if not self.is_watched_by(report):
            return
        self._refusing = ''
        if report.rung >= msg.MemoryReport.RUNG_REFUSE:
            self._refusing = (
                f'memory is short, {report.used / 1e6:.0f} of {report.limit / 1e6:.0f} MB of '
                f'{report.ceiling} are used')
        if self._ingest is not None:
            self._ingest.refusing = self._refusing

    def _heed(self, degradation: Degradation) -> None:
        """Ask for no text before its speech has ended, where the graph is to do less."""
        if self._ingest is not None:
            self._ingest.show_partials(wanted=not is_finals_only(degradation))

    def _on_chunks(self, chunks: np.ndarray) -> None:
        self._announce(self._ingest.accept_all(chunks))

    def _on_robot(self, speaking: Bool) -> None:
        self._announce(self._ingest.robot_speaks(speaking.data))

    def _on_refused(self, stream: str, wrong: str) -> None:
        self._ingest.refuse(stream, wrong)

    def _on_grant(self, view: np.ndarray) -> None:
        self._sender.on_grant(conversions.read_grant(view))

    def _on_acknowledgement(self, view: np.ndarray) -> None:
        self._ingest.acknowledge(conversions.read_acknowledgement(view))

    def _on_worker(self, view: np.ndarray) -> None:
        self._sender.on_worker(conversions.read_worker(view))

    def _on_scheduler(self, view: np.ndarray) -> None:
        """Announce everything that is kept to a scheduler that has not heard of it.

        Twice, at its first two statuses: the first may come before the writer of the tickets has
        discovered its reader, and a ticket that is told again changes nothing. Later on, what is
        kept the longest now and then: its acknowledgement may have come before this node's reader
        was known.
        """
        if not view['active']:
            return
        if int(view['incarnation']) != self._scheduler:
            self._scheduler = int(view['incarnation'])
            self._heard_statuses = 0
        self._heard_statuses += 1
        if self._heard_statuses <= TELLINGS:
            self._announce(self._ingest.unacknowledged())
        elif self._heard_statuses % REMIND_EVERY == 0:
            self._announce(self._ingest.unacknowledged()[:REMINDED])

    def _on_tick(self) -> None:
        self._announce(self._ingest.tick())
        self._sender.on_tick()
        changed = self._ingest.changed()
        self._voices.tell(changed)
        self._publish_statuses(changed)
        # A thousand states at once would keep the chunks waiting.
        told = min(len(self._ingest.names), STATUSES)
        share = math.ceil(told * TICK_PERIOD_S / STATUS_PERIOD_S)
        some, self._untold = self._untold[:share], self._untold[share:]
        self._publish_statuses(self._ingest.statuses(some))

    def _on_second(self) -> None:
        for topic in self._topics:
            topic.on_tick()
        # Who could not be told of within a second comes first in the next one.
        self._untold = self._untold or self._ingest.names

    def _push(
        self, stream: str, language: str, chunks: Iterable[Chunk],
    ) -> tuple[list[int], int]:
        """Take a whole stream at once; return its segments, and how many had no room."""
        self._ingest.open(stream, language=language)
        tickets = [ticket for chunk in chunks for ticket in self._ingest.accept(chunk)]
        tickets += self._ingest.finish(stream)
        self._announce(tickets)
        return [ticket.segment for ticket in tickets], self._ingest.dropped(stream)

    def _announce(self, tickets: Iterable[Ticket]) -> None:
        for ticket in (*tickets, *self._ingest.previews()):
            with self._tickets.loan() as view:
                conversions.write_ticket(view, ticket)
        for stream in self._ingest.cutting_in():
            self._barge_ins.publish(String(data=stream))

    def _publish_statuses(self, statuses: Iterable) -> None:
        for status in statuses:
            with self._statuses.loan() as view:
                conversions.write_status(view, status)


def main() -> int:
    """Run the node as a process."""
    return run(IngestNode)


if __name__ == '__main__':
    sys.exit(main())
