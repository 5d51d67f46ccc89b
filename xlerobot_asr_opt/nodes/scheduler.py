"""The scheduler node: decides by tickets who recognises what, and publishes what was said."""

from __future__ import annotations

import functools
import sys
import time

import numpy as np
from std_msgs.msg import String

from xlerobot_asr_interfaces import msg
from xlerobot_asr_opt.core import dispatch
from xlerobot_asr_opt.core.outcome_log import OutcomeLog
from xlerobot_asr_opt.parameters import SchedulerParameters
from xlerobot_asr_opt.records import TranscriptStatus
from xlerobot_asr_opt.ros import conversions, names
from xlerobot_asr_opt.ros.cache_client import CacheClient
from xlerobot_asr_opt.ros.heeding import heeding
from xlerobot_asr_opt.ros.level_watch import LevelWatch
from xlerobot_asr_opt.ros.live_speech import LiveSpeechPublisher
from xlerobot_asr_opt.ros.loans import LoanedPublisher, LoanedSubscription
from xlerobot_asr_opt.ros.managed import ManagedNode
from xlerobot_asr_opt.ros.run import run
from xlerobot_asr_opt.ros.timers import steady_timer

TICK_PERIOD_S = 0.01
STATUS_PERIOD_S = 1.0


class SchedulerNode(ManagedNode):
    """Carries out what core/dispatch decides.

    in:   speech/tickets, workers, speech/recognitions, level
    out:  speech/grants, speech/acknowledgements, transcript, partial, text, scheduler/status,
          LiveSpeech
    asks: cache/lookup, cache/store
    """

    def __init__(self) -> None:
        super().__init__('scheduler', SchedulerParameters)
        self._dispatcher = dispatch.Dispatcher(self.parameters, clock=time.monotonic)
        self._grants = LoanedPublisher(self, msg.Grant, names.GRANTS, names.CONTROL_QOS)
        self._settled = LoanedPublisher(
            self, msg.Acknowledgement, names.ACKNOWLEDGEMENTS, names.CONTROL_QOS)
        self._statuses = LoanedPublisher(
            self, msg.SchedulerStatus, names.SCHEDULER, names.LATCHED_QOS)
        self._transcripts = self.create_publisher(
            msg.Transcript, names.TRANSCRIPT, names.KEPT_TRANSCRIPT_QOS)
        self._partials = self.create_publisher(
            msg.Transcript, names.PARTIAL, names.TRANSCRIPT_QOS)
        self._texts = self.create_publisher(String, names.TEXT, names.TRANSCRIPT_QOS)
        self._live_speech = LiveSpeechPublisher(self)
        self._outcomes = OutcomeLog(time.monotonic)
        self._cache = CacheClient(self)
        self._do = {
            dispatch.LookUp: self._look_up,
            dispatch.Store: lambda action: self._cache.store(action.key, action.value),
            dispatch.Send: self._send,
            dispatch.Publish: self._publish,
            dispatch.Show: self._show,
            dispatch.Settle: self._settle,
        }
        self._level = LevelWatch(self, self._dispatcher.heed)
        self._activation = 0
        self._inputs: list[LoanedSubscription] = []
        self._recognitions = None
        self._tickers = []

    def activate(self) -> None:
        """Begin with no segment: ingest announces what it keeps when it sees the new status."""
        self._dispatcher.reset()
        self._activation = time.time_ns()
        self._inputs = [
            LoanedSubscription(
                self, msg.SpeechTicket, names.TICKETS, heeding(names.TICKETS, self._on_ticket),
                names.CONTROL_QOS),
            LoanedSubscription(
                self, msg.WorkerStatus, names.WORKERS, heeding(names.WORKERS, self._on_worker),
                names.LATCHED_QOS),
        ]
        self._recognitions = self.create_subscription(
            msg.Recognition, names.RECOGNITIONS,
            heeding(names.RECOGNITIONS, self._on_recognition), names.CONTROL_QOS)
        self._tickers = [
            steady_timer(self, TICK_PERIOD_S, self._on_tick),
            steady_timer(self, STATUS_PERIOD_S, self._publish_status),
        ]
        self._publish_status(active=True)

    def deactivate(self) -> None:
        """Stop deciding; ingest keeps every segment that is open."""
        self._publish_status(active=False)
        self.cleanup()

    def cleanup(self) -> None:
        """Give back what activation took."""
        for timer in self._tickers:
            self.destroy_timer(timer)
        for subscription in self._inputs:
            subscription.destroy()
        if self._recognitions is not None:
            self.destroy_subscription(self._recognitions)
        self._tickers, self._inputs, self._recognitions = [], [], None

    def _on_ticket(self, view: np.ndarray) -> None:
        self._carry_out(self._dispatcher.on_ticket(conversions.read_ticket(view)))

    def _on_worker(self, view: np.ndarray) -> None:
        self._carry_out(self._dispatcher.on_worker(conversions.read_worker(view)))

    def _on_recognition(self, message: msg.Recognition) -> None:
        self._carry_out(self._dispatcher.on_recognition(conversions.read_recognition(message)))

    def _on_tick(self) -> None:
        self._carry_out(self._dispatcher.on_tick())

    def _on_cache(self, segment: int, value: str | None, level: str) -> None:
        self._carry_out(self._dispatcher.on_cache(segment, value, level))

    def _carry_out(self, actions: list[dispatch.Action]) -> None:
        for action in actions:
            self._do[type(action)](action)

    def _look_up(self, action: dispatch.LookUp) -> None:
        self._cache.look_up(action.key, functools.partial(self._on_cache, action.segment))

    def _send(self, action: dispatch.Send) -> None:
        with self._grants.loan() as view:
            conversions.write_grant(view, action.grant)

    def _settle(self, action: dispatch.Settle) -> None:
        with self._settled.loan() as view:
            conversions.write_acknowledgement(view, action.acknowledgement)

    def _publish(self, action: dispatch.Publish) -> None:
        transcript = action.transcript
        self._transcripts.publish(conversions.transcript_message(transcript))
        if transcript.status is TranscriptStatus.DONE:
            self._texts.publish(String(data=transcript.text))
            self._live_speech.publish(transcript)
        # Somebody waits for the words, and nobody for the log.
        self._outcomes.tell(transcript)

    def _show(self, action: dispatch.Show) -> None:
        self._partials.publish(conversions.transcript_message(action.transcript))
        self._live_speech.publish(action.transcript)

    def _publish_status(self, *, active: bool = True) -> None:
        with self._statuses.loan() as view:
            conversions.write_scheduler(
                view, self._activation, active, self._dispatcher.statistics())


def main() -> int:
    """Run the node as a process."""
    return run(SchedulerNode)


if __name__ == '__main__':
    sys.exit(main())
