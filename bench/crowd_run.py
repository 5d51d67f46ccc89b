"""What came of a crowd's commands: who was understood, how soon, and what it took."""

import contextlib
import threading
import time
from dataclasses import dataclass

import numpy as np
import psutil
import rclpy
from rclpy.signals import SignalHandlerOptions
from voices import CHUNK_S, NAMESPACE

from xlerobot_asr_interfaces.msg import StreamStatus, Transcript
from xlerobot_asr_opt.records import SAMPLE_RATE
from xlerobot_asr_opt.ros import conversions, names
from xlerobot_asr_opt.ros.executor import DirectExecutor
from xlerobot_asr_opt.ros.loans import LoanedSubscription

OWN_GOAL_MS = 50.0
STAGES = ('ingest', 'queue', 'transport', 'wait', 'total')
QUIET_S = 15.0
"""Without a transcript for this long, a backlog is over; longer than a grant's time-out [s]."""
SETTLE_S = 1.0
"""For what comes twice [s]."""
ENDPOINT_S = 4992 / SAMPLE_RATE
"""From the end of a segment to the sample that tells so: the rest of the hangover, in windows."""


@dataclass
class Run:
    """What came of one run."""

    streams: int
    duty: float
    lane: str
    spoken: int
    lost: int
    doubled: int
    missing: int
    latencies: np.ndarray
    own: np.ndarray
    stages: dict
    busy: float
    cores: dict
    pss: dict
    speakers: list

    @property
    def held(self):
        """Whether nothing is lost and the graph's own part is quick enough."""
        return self.lost == 0 and percentile(self.own, 95) <= OWN_GOAL_MS


class Listener:
    """Takes every transcript, with the time at which it came."""

    def __init__(self):
        """Join the graph."""
        self.node = rclpy.create_node('listener', namespace=NAMESPACE)
        self.node.create_subscription(
            Transcript, names.TRANSCRIPT, self._on_transcript, 10_000)
        self._states = LoanedSubscription(
            self.node, StreamStatus, names.STREAMS, self._on_status, 10_000)
        self.received = []
        self.missing = {}
        self._closing = False
        self._thread = threading.Thread(target=self._spin)
        self._thread.start()

    def _on_transcript(self, transcript):
        self.received.append((time.monotonic(), transcript))

    def _on_status(self, view):
        self.missing[conversions.read_text(view['stream'])] = int(view['missing'])

    def _spin(self):
        executor = DirectExecutor()
        executor.add_node(self.node)
        while not self._closing:
            executor.spin_once(timeout_sec=0.1)

    def wait(self, expected):
        """Wait until as many transcripts are here, or none has come for QUIET_S."""
        known, since = 0, time.monotonic()
        while len(self.received) < expected and time.monotonic() - since < QUIET_S:
            if len(self.received) > known:
                known, since = len(self.received), time.monotonic()
            time.sleep(0.5)
        time.sleep(SETTLE_S)

    def close(self):
        """Leave."""
        self._closing = True
        self._thread.join()
        self._states.destroy()
        self.node.destroy_node()


@contextlib.contextmanager
def listening():
    """A Listener, for as long as the block runs."""
    # Ctrl-C is for this program, which ends the graph, and not for the middleware alone.
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    listener = Listener()
    try:
        yield listener
    finally:
        listener.close()
        rclpy.shutdown()


class Meter:
    """Processor time and memory of the graph's processes."""

    def __init__(self, pids):
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}

    def start(self):
        """Begin to measure."""
        self._begin = time.monotonic()
        self._times = self._read()

    def stop(self):
        """Return {node: cores} and {node: PSS [MB]}."""
        seconds = time.monotonic() - self._begin
        now = self._read()
        return ({name: (now[name] - self._times[name]) / seconds for name in now},
                {name: one.memory_full_info().pss / 1e6
                 for name, one in self._processes.items()})

    def _read(self):
        return {name: sum(one.cpu_times()[:2]) for name, one in self._processes.items()}


def judge(crowd, lane, listener, cores, pss, told):
    """Compare what was spoken with what was understood."""
    heard = {}
    latencies, own, segments, busy = [], [], set(), 0.0
    stages = {name: [] for name in STAGES}
    for received, transcript in listener.received:
        stream = int(transcript.stream.rpartition('_')[2])
        begin, end = (stamp.sec + stamp.nanosec * 1e-9 - crowd.begins(stream)
                      for stamp in (transcript.begin, transcript.end))
        if transcript.status in (Transcript.STATUS_DONE, Transcript.STATUS_NO_SPEECH):
            heard.setdefault(stream, []).append((begin, end))
        segments.add(transcript.segment)
        due = crowd.begins(stream) + CHUNK_S * np.ceil((end + ENDPOINT_S) / CHUNK_S - 1e-6)
        latency = transcript.latency
        recognition = latency.features + latency.encode + latency.decode
        busy += recognition / 1e3
        latencies.append(1e3 * (received - due))
        own.append(latencies[-1] - max(0.0, recognition - latency.ahead))
        for name, values in stages.items():
            values.append(getattr(latency, name))
    spoken = lost = 0
    for stream in range(crowd.streams):
        for first, number in crowd.sequence(stream):
            begin = first * CHUNK_S
            end = begin + crowd.spoken[number].size / SAMPLE_RATE
            spoken += 1
            lost += not any(b < end and e > begin for b, e in heard.get(stream, ()))
    return Run(
        crowd.streams, crowd.duty, lane, spoken, lost,
        len(listener.received) - len(segments), sum(listener.missing.values()),
        np.array(latencies), np.array(own), stages, busy / crowd.seconds, cores, pss, told)


def percentile(values, percent):
    """A percentile; NaN of nothing."""
    return float(np.percentile(values, percent)) if len(values) else float('nan')
