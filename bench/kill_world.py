"""A graph under `xlerobot-asr up`, people who speak into it, and what is seen of it from outside.

What bench/kills.py and bench/false_alarms.py share. One thread speaks, listens and looks, whenever
its owner calls World.work().
"""

import contextlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import rclpy
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from voices import CHUNK_S, NOISE, NOISE_S, Crowd, Voice, name_of

from xlerobot_asr_interfaces import msg, srv
from xlerobot_asr_opt.core.lifecycle import State
from xlerobot_asr_opt.models.speech import two_cities
from xlerobot_asr_opt.records import CHUNK_CAPACITY, SAMPLE_RATE
from xlerobot_asr_opt.ros import conversions, names
from xlerobot_asr_opt.ros.activity import Activity
from xlerobot_asr_opt.ros.executor import DirectExecutor
from xlerobot_asr_opt.ros.loans import LoanedPublisher, LoanedSubscription

__all__ = ['NAMESPACE', 'Up', 'World', 'descriptors', 'running', 'shared_files']

NAMESPACE = 'asr_kills'
COMMANDS_S = (0.7, 3.0)
LONGEST_S = 4 * 3600.0
"""What the crowd has to say lasts longer than any run [s]."""
ASK_S = 0.05
"""Between two questions whether all are active [s]."""
PATIENCE_S = 120.0
LISTENING = QoSProfile(
    reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.VOLATILE,
    history=HistoryPolicy.KEEP_LAST, depth=10_000)


class Up:
    """A process that runs xlerobot-asr up.

    Attributes:
        lines: when each line was read [s, monotonic], and what it said.
        pid: of the command itself.
    """

    def __init__(self, *arguments):
        """Start it; arguments are the command's."""
        self._process = subprocess.Popen(
            [sys.executable, '-m', 'xlerobot_asr_opt.cli.main', 'up', '--namespace', NAMESPACE,
             *arguments],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors='replace')
        self.pid = self._process.pid
        self.lines = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        for line in self._process.stderr:
            self.lines.append((time.monotonic(), line.rstrip('\n')))

    @property
    def children(self):
        """The running processes, by the name of their node."""
        found = {}
        for path in Path(f'/proc/{self.pid}/task').glob('*/children'):
            with contextlib.suppress(OSError):
                for pid in path.read_text().split():
                    words = Path(f'/proc/{pid}/cmdline').read_text().split('\0')
                    for word in words:
                        if word.startswith('__node:='):
                            found[word.removeprefix('__node:=')] = int(pid)
        return found

    def said(self, pattern, since):
        """When a line was first said after a time; None: it was not."""
        return next((at for at, line in list(self.lines)
                     if at >= since and re.search(pattern, line)), None)

    def stop(self):
        """End it; return its exit status."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        status = self._process.wait(PATIENCE_S)
        self._thread.join(PATIENCE_S)
        return status


def descriptors(pid):
    """Number of open file descriptors of a process; 0: it has gone."""
    with contextlib.suppress(OSError):
        return sum(1 for _ in Path(f'/proc/{pid}/fd').iterdir())
    return 0


def shared_files(pid):
    """Names of the middleware's files in /dev/shm that a process has mapped."""
    with contextlib.suppress(OSError):
        return set(re.findall(r'/dev/shm/((?:sem\.)?fast\S+)',
                              Path(f'/proc/{pid}/maps').read_text()))
    return set()


class World:
    """Speaks into the graph and takes down what comes of it.

    Attributes:
        up: the command.
        tickets: (stream, sequence) of every segment that was announced, by its identity.
        transcripts: (time, Transcript message), in the order of their arrival.
        heard_live: segments whose transcript reached a subscriber with the usual durability, too.
        schedulers: every SchedulerStatus, as a dict.
        chunks: chunks that ingest says it received, by stream.
        kept: segments that ingest says it keeps, by stream.
        heard_anew: by stream: when an ingest was first heard of that has counted from 0 [s].
        beats: (pid, state) of the last heartbeat, by node.
    """

    def __init__(self, up, crowd):
        """Join the graph; nobody speaks before speak()."""
        self.up, self.crowd = up, crowd
        self.tickets, self.transcripts, self.schedulers = {}, [], []
        self.heard_live = set()
        self.chunks, self.kept, self.heard_anew = defaultdict(int), {}, {}
        self.beats = {}
        self._node = rclpy.create_node('witness', namespace=NAMESPACE)
        self._publisher = LoanedPublisher(
            self._node, msg.AudioChunk, names.AUDIO, names.AUDIO_QOS)
        self._node.create_subscription(
            msg.Transcript, names.TRANSCRIPT, self._on_transcript, names.KEPT_TRANSCRIPT_QOS)
        self._node.create_subscription(
            msg.Transcript, names.TRANSCRIPT, lambda one: self.heard_live.add(one.segment),
            LISTENING)
        self._loaned = [
            LoanedSubscription(self._node, kind, topic, on, qos) for kind, topic, on, qos in (
                (msg.SpeechTicket, names.TICKETS, self._on_ticket, LISTENING),
                (msg.StreamStatus, names.STREAMS, self._on_stream, names.STREAMS_QOS),
                (msg.SchedulerStatus, names.SCHEDULER, self._on_scheduler, names.LATCHED_QOS),
                (msg.Heartbeat, names.HEARTBEATS, self._on_beat, LISTENING))]
        self._commands = self._node.create_client(srv.ManageNodes, names.MANAGE_NODES)
        self._executor = DirectExecutor()
        self._executor.add_node(self._node)
        self._activity = Activity(f'/{NAMESPACE}')
        self._asked, self._answer = 0.0, None
        noise = np.random.default_rng(crowd.seed).normal(0.0, NOISE, NOISE_S * SAMPLE_RATE)
        noise = np.round(noise).astype(np.int16)
        self._voices = [Voice(crowd, stream, noise) for stream in range(crowd.streams)]
        self._next = [0] * crowd.streams
        self._speaks = False

    # Work

    def speak(self, speaks=True):
        """Have everybody speak from now on in real time, or fall silent for good."""
        self._speaks = speaks
        if speaks:
            self.crowd = replace(self.crowd, begin=time.monotonic())

    def work(self, seconds, enough=lambda: False):
        """Speak and listen for so long, or until it is enough; return whether it was."""
        until = time.monotonic() + seconds
        while not enough():
            left = min(until, self._publish()) - time.monotonic()
            if time.monotonic() >= until:
                return False
            self._executor.spin_once(timeout_sec=max(0.0, min(left, ASK_S)))
        return True

    def until(self, condition, expected, seconds=PATIENCE_S):
        """Work until a condition holds.

        Raises:
            TimeoutError: it did not; with what was expected, and what the graph said last.
        """
        if not self.work(seconds, condition):
            said = '\n'.join(line for _, line in self.up.lines[-30:])
            raise TimeoutError(f'not within {seconds:g} s: '
                               f'{expected() if callable(expected) else expected}\n{said}')

    def is_active(self):
        """Whether the manager says that all are active, now or a moment ago."""
        if time.monotonic() - self._asked >= ASK_S:
            self._asked = time.monotonic()
            self._answer = self._activity.poll(ASK_S)
        return self._answer is not None and self._answer[0]

    def forget_answer(self):
        """Believe nobody who answered before."""
        self._answer = None

    def forgive(self):
        """Have the manager begin anew to count failures, as the next command does."""
        self.until(self._commands.service_is_ready, 'the service manage_nodes')
        future = self._commands.call_async(
            srv.ManageNodes.Request(command=srv.ManageNodes.Request.STARTUP))
        # An answer may be lost if the manager has just come; the command itself is idempotent.
        if not self.work(2.0, future.done):
            self._commands.remove_pending_request(future)

    def close(self):
        """Leave the graph."""
        for one in self._loaned:
            one.destroy()
        self._activity.close()
        self._node.destroy_node()

    def _publish(self):
        """Publish what is due; return when the next chunk is [s]."""
        if not self._speaks:
            return float('inf')
        now, soonest = time.monotonic(), float('inf')
        for stream, voice in enumerate(self._voices):
            while (due := self.spoken_at(stream, self._next[stream] + 1)) <= now:
                self._send(stream, voice, self._next[stream])
                self._next[stream] += 1
            soonest = min(soonest, due)
        return soonest

    def _send(self, stream, voice, chunk):
        with self._publisher.loan() as view:
            conversions.write_text(view['stream'], name_of(stream))
            conversions.write_time(view['stamp'], int(self.spoken_at(stream, chunk) * 1e9))
            view['sequence'], view['rate'], view['channels'] = chunk, SAMPLE_RATE, 1
            view['length'] = CHUNK_CAPACITY
            voice.write(chunk, view['samples'])

    def spoken_at(self, stream, chunk):
        """When a chunk of a stream begins [s]."""
        return self.crowd.begins(stream) + chunk * CHUNK_S

    def spoken(self):
        """(stream, begin [s], end [s]) of every command that has been published to its end."""
        for stream in range(self.crowd.streams):
            for first, number in self.crowd.sequence(stream):
                length = self.crowd.spoken[number].size / SAMPLE_RATE
                begin = self.spoken_at(stream, first)
                if begin + length > self.spoken_at(stream, self._next[stream]):
                    break
                yield stream, begin, begin + length

    # What is heard

    def _on_transcript(self, transcript):
        self.transcripts.append((time.monotonic(), transcript))

    def _on_ticket(self, view):
        if not int(view['flags']) & msg.SpeechTicket.FLAG_PROVISIONAL:
            self.tickets[int(view['segment'])] = (
                conversions.read_text(view['stream']), int(view['sequence']))

    def _on_stream(self, view):
        stream, chunks = conversions.read_text(view['stream']), int(view['chunks'])
        if 0 < chunks < self.chunks[stream] or (chunks and stream not in self.heard_anew):
            self.heard_anew[stream] = time.monotonic()
        self.chunks[stream] = chunks
        self.kept[stream] = int(view['kept'])

    def _on_scheduler(self, view):
        self.schedulers.append({name: int(view[name]) for name in (
            'incarnation', 'active', 'open', 'admitted', 'done', 'rejected', 'expired',
            'cancelled')})

    def _on_beat(self, view):
        self.beats[conversions.read_text(view['node'])] = (
            int(view['pid']), State(int(view['state'])))


@contextlib.contextmanager
def running(streams, duty, seed, *arguments):
    """A World whose graph is active and to which everybody's microphone is open."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'commands.npz'
        np.savez(path, *(one.samples for one in two_cities(COMMANDS_S)))
        up = Up('--source', 'topic', '--parameters', f'ingest.store_directory={folder}/store',
                f'cache.directory={folder}/cache', *arguments)
        world = World(up, Crowd(str(path), streams, duty, LONGEST_S, begin=0.0, seed=seed))
        try:
            world.until(world.is_active, 'a graph that is active')
            world.work(2.0)
            world.speak()
            yield world
        finally:
            world.close()
            up.stop()
            rclpy.shutdown()
