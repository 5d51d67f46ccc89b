"""A graph of real processes whose recogniser is scripted, and somebody who talks to it."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from xlerobot_asr_opt.cli.graph import Graph
from xlerobot_asr_opt.core.audio import Resampler
from xlerobot_asr_opt.models.layout import asset_path
from xlerobot_asr_opt.processes import GraphArguments
from xlerobot_asr_opt.records import SAMPLE_RATE, Chunk
from xlerobot_asr_opt.ros import names
from xlerobot_asr_opt.ros.client import GraphClient
from xlerobot_asr_opt.sources import wire

PATIENCE_S = 30.0
NS = 1_000_000_000
SIZE = 1600
SPEECH_S = (20.9, 23.3)
"""One clause of the recording, with a pause on either side [s]."""
PAUSE_S = 1.0


@functools.cache
def utterance():
    """int16[n] at 16 kHz: a person says a clause, and pauses."""
    with soundfile.SoundFile(asset_path('two_cities')) as recording:
        rate = recording.samplerate
        recording.seek(int(SPEECH_S[0] * rate))
        samples = recording.read(int((SPEECH_S[1] - SPEECH_S[0]) * rate), dtype='int16')
    resampler = Resampler(rate, 1)
    pause = np.zeros(int(PAUSE_S * SAMPLE_RATE), np.int16)
    return np.concatenate([resampler.push(samples), resampler.flush(), pause])


def as_chunks(stream, samples=None, *, first=0, begin_ns=None):
    """Cut int16[n] at 16 kHz, by default the utterance, into chunks that begin now."""
    samples = utterance() if samples is None else samples
    begin_ns = time.time_ns() if begin_ns is None else begin_ns
    return [
        Chunk(stream, first + index, begin_ns + at * NS // SAMPLE_RATE, SAMPLE_RATE, 1,
              samples[at:at + SIZE])
        for index, at in enumerate(range(0, samples.size, SIZE))]


class Conversation:
    """A running graph, a client of it, and what the graph's processes have written.

    Attributes:
        graph: the graph.
        client: of it.
        lines: written by its processes, in order.
        heard: transcripts, in order.
    """

    def __init__(self, graph, client, lines):
        self.graph = graph
        self.client = client
        self.lines = lines
        self.heard = []
        self._names = itertools.count()
        self.publisher = client.audio_publisher(names.AUDIO)
        client.await_scheduler()
        client.await_readers(PATIENCE_S)
        self.text = self.ask('first').text

    def until(self, condition, expected):
        """Work until the condition holds, and return what it gave."""
        deadline = time.monotonic() + PATIENCE_S
        while not (value := condition()):
            assert time.monotonic() < deadline, (
                f'not within {PATIENCE_S:g} s: {expected}; {self.heard[-3:]}\n'
                + '\n'.join(self.lines[-20:]))
            self.client.spin(0.05)
            while self.client.transcripts:
                self.heard.append(self.client.transcripts.popleft())
        return value

    def publish(self, chunks):
        """Publish chunks, or messages that are serialised already."""
        for item in chunks:
            self.publisher.publish(item if isinstance(item, bytes) else wire.encode(item))

    def of(self, stream):
        """Transcripts of one stream."""
        return [transcript for transcript in self.heard if transcript.stream == stream]

    def status(self, stream):
        """Wait for a status of the stream, and return the newest one."""
        return self.until(lambda: self.client.streams.get(stream), f'a status of {stream}')

    def ask(self, stream=''):
        """Say the utterance, as a publisher that begins anew; return its transcript."""
        stream = stream or f'good-{next(self._names)}'
        before = len(self.of(stream))
        self.publish(as_chunks(stream))
        self.until(lambda: len(self.of(stream)) > before, f'an answer on {stream}')
        return self.of(stream)[-1]

    def said(self, *words):
        """Wait until a line that holds all of these words has been written; return it."""
        def line():
            return next((one for one in list(self.lines) if all(word in one for word in words)),
                        '')
        return self.until(line, f'a line with {words}')


@contextlib.contextmanager
def conversation(directory, domain, namespace, *parameters):
    """Start a graph with what it keeps in directory, and talk to it."""
    lines = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('ROS_DOMAIN_ID', str(domain))
        patch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
        patch.setenv('XDG_STATE_HOME', str(directory / 'state'))
        arguments = GraphArguments(
            namespace=namespace, backends=('scripted',),
            parameters=(f'cache.directory={directory / "cache"}', *parameters))
        with Graph(arguments, write=lambda _name, line: lines.append(line)) as graph:
            graph.wait_active()
            with GraphClient(namespace) as client:
                yield Conversation(graph, client, lines)


def command(*arguments, patience_s=PATIENCE_S):
    """Run xlerobot-asr; return what became of it."""
    return subprocess.run(
        [sys.executable, '-m', 'xlerobot_asr_opt.cli.main', *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=patience_s, env=os.environ.copy())
