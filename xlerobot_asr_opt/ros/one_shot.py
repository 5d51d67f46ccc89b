"""The transcribe service: one recording in, its transcripts out."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator

import numpy as np
from rclpy.node import Node
from rclpy.task import Future

from xlerobot_asr_interfaces import msg, srv
from xlerobot_asr_opt.core.service_limits import (
    LONGEST_RECORDING_S,
    MOST_RECORDINGS,
    ServiceLimits,
)
from xlerobot_asr_opt.errors import AsrError, AudioError, RefusedError
from xlerobot_asr_opt.records import CHANNELS, RATES, Chunk
from xlerobot_asr_opt.ros import names
from xlerobot_asr_opt.ros.conversions import NANOSECONDS

__all__ = ['OneShot']

Push = Callable[[str, str, Iterator[Chunk]], tuple[list[int], int]]
"""Takes a new stream: its name, language and chunks. Announces its segments and returns them, and
how many utterances were lost because the store had no room for them.

An AsrError says why it cannot be done.
"""


class Pending:
    """One request: the segments it waits for, and what has come.

    Attributes:
        answer: is done with the response when every transcript has come.
    """

    def __init__(
        self, response: srv.Transcribe.Response, segments: list[int], dropped: int,
    ) -> None:
        """Wait for the transcripts of segments; dropped: utterances that never became one."""
        self.answer = Future()
        self._dropped = dropped
        self._response = response
        self._transcripts: list[msg.Transcript] = []
        self._missing = set(segments)
        if not segments:
            self._complete()

    def take(self, transcript: msg.Transcript) -> None:
        """Take a transcript if it is of this request."""
        if transcript.segment in self._missing:
            self._missing.discard(transcript.segment)
            self._transcripts.append(transcript)
            if not self._missing:
                self._complete()

    def fail(self, message: str) -> None:
        """Answer with what has come until now."""
        self._response.message = message
        self._answer(success=False)

    def _complete(self) -> None:
        if self._dropped:
            self.fail(f'{self._dropped} utterances are missing: the segment store had no room for '
                      f'them; send a shorter recording, or its file by open_stream')
        else:
            self._answer(success=True)

    def _answer(self, *, success: bool) -> None:
        self._response.success = success
        self._response.transcripts = self._transcripts
        self.answer.set_result(self._response)


class OneShot:
    """Answers requests when their transcripts have come, without blocking the executor."""

    def __init__(self, node: Node, push: Push) -> None:
        """Serve from node."""
        self._node = node
        self._push = push
        self._pending: list[Pending] = []
        self._limits = ServiceLimits(time.monotonic)
        self._numbers = itertools.count(1)
        self._service = node.create_service(srv.Transcribe, names.TRANSCRIBE, self._transcribe)
        self._transcripts = node.create_subscription(
            msg.Transcript, names.TRANSCRIPT, self._on_transcript, names.KEPT_TRANSCRIPT_QOS)

    def destroy(self) -> None:
        """Stop serving; requests that wait are answered as failed."""
        for pending in self._pending:
            pending.fail('ingest was deactivated before every transcript had come')
        self._pending.clear()
        self._node.destroy_subscription(self._transcripts)
        self._node.destroy_service(self._service)

    def _on_transcript(self, transcript: msg.Transcript) -> None:
        for pending in self._pending:
            pending.take(transcript)
        self._pending = [one for one in self._pending if not one.answer.done()]

    def _admit(self) -> None:
        """Refuse what comes too often, or beside too many that wait.

        Raises:
            RefusedError: why.
        """
        refusal = self._limits.refusal(names.TRANSCRIBE)
        if not refusal and len(self._pending) >= MOST_RECORDINGS:
            refusal = f'{len(self._pending)} requests wait for their transcripts; ask again later'
        if refusal:
            raise RefusedError(refusal)

    def _transcribe(
        self, request: srv.Transcribe.Request, response: srv.Transcribe.Response,
    ) -> srv.Transcribe.Response | Future:
        try:
            self._admit()
            check(request)
            stream = f'request-{next(self._numbers)}'
            segments, dropped = self._push(
                stream, request.language, chunks_of(request, stream))
        except AsrError as error:
            response.message = str(error)
            return response
        pending = Pending(response, segments, dropped)
        if segments:
            self._pending.append(pending)
        return pending.answer


def chunks_of(request: srv.Transcribe.Request, stream: str) -> Iterator[Chunk]:
    """Cut the samples of a request into chunks of one stream whose time begins at 0."""
    samples = np.asarray(request.samples, np.int16)
    length = msg.AudioChunk.CAPACITY // request.channels * request.channels
    for sequence, at in enumerate(range(0, samples.size, length)):
        stamp_ns = at // request.channels * NANOSECONDS // request.rate
        yield Chunk(
            stream, sequence, stamp_ns, request.rate, request.channels, samples[at:at + length])


def check(request: srv.Transcribe.Request) -> None:
    """Refuse what cannot be a recording.

    Raises:
        AudioError: what was got and what was expected.
    """
    if request.channels not in CHANNELS:
        raise AudioError(f'channels: got {request.channels}, expected 1 to {CHANNELS[-1]}')
    if request.rate not in RATES:
        raise AudioError(f'rate: got {request.rate} Hz, expected {RATES[0]} to {RATES[-1]} Hz')
    seconds = len(request.samples) / (request.rate * request.channels)
    if seconds > LONGEST_RECORDING_S:
        raise AudioError(f'got {seconds:.0f} s, expected at most {LONGEST_RECORDING_S:.0f}; '
                         'have its file read by open_stream')
    if not len(request.samples) or len(request.samples) % request.channels:
        raise AudioError(
            f'got {len(request.samples)} samples of {request.channels} channels, expected whole '
            'frames, at least one')
