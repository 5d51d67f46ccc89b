"""Feeds files and the microphone into ingest, in the executor's own thread."""

from __future__ import annotations

import contextlib
import itertools
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from builtin_interfaces.msg import Time
from rclpy.node import Node

from xlerobot_asr_interfaces import srv
from xlerobot_asr_opt.core.ingest import Ingest
from xlerobot_asr_opt.core.playback import Playback
from xlerobot_asr_opt.core.service_limits import LONGEST_PATH, ServiceLimits
from xlerobot_asr_opt.errors import AsrError, AudioError, ConfigurationError, RefusedError
from xlerobot_asr_opt.parameters import IngestParameters
from xlerobot_asr_opt.records import LONGEST_NAME, Chunk, Ticket
from xlerobot_asr_opt.ros import names
from xlerobot_asr_opt.ros.timers import steady_timer
from xlerobot_asr_opt.sources.file import AudioFile
from xlerobot_asr_opt.sources.microphone import Microphone

__all__ = ['SourcePlayer']

PERIOD_S = 0.005
FASTEST = 1000.0
"""Highest speed that is not as fast as possible."""
SLICE_S = 0.02
"""Time that one turn of the executor spends on files; topics and grants come in between."""
RESERVE_S = 60.0
"""Room that a file read at full speed leaves in the store for live streams."""
MICROPHONE = 'mic:'


class SourcePlayer:
    """The files and the microphones that ingest reads itself."""

    def __init__(
        self, node: Node, ingest: Ingest, announce: Callable[[Iterable[Ticket]], None],
    ) -> None:
        """Serve ingest/open_stream from node.

        Args:
            node: the ingest node; its clock stamps the streams.
            ingest: takes the chunks.
            announce: publishes the tickets that come of them.
        """
        self._node = node
        self._ingest = ingest
        self._announce = announce
        self._files: dict[str, Playback] = {}
        self._microphones: dict[str, Microphone] = {}
        self._open = contextlib.ExitStack()
        self._limits = ServiceLimits(time.monotonic)
        self._timer = steady_timer(node, PERIOD_S, self._turn)
        self._timer.cancel()
        self._service = node.create_service(
            srv.OpenStream, names.OPEN_STREAM, self._open_stream)

    def open_configured(self, parameters: IngestParameters) -> None:
        """Open what the parameters name.

        Raises:
            ConfigurationError: source is file, and no file is named.
            AudioError: a file or a microphone that cannot be opened.
        """
        if parameters.source == 'file':
            if not parameters.files:
                raise ConfigurationError('source is file, but files is empty; name at least one')
            for path in parameters.files:
                self._open_file(srv.OpenStream.Request(source=path, speed=parameters.speed))
        elif parameters.source == 'mic':
            self._open_microphone(parameters.device, srv.OpenStream.Request())

    def destroy(self) -> None:
        """Close every source; what it has not given yet is not read any more."""
        self._node.destroy_service(self._service)
        self._node.destroy_timer(self._timer)
        for name in (*self._files, *self._microphones):
            self._announce(self._ingest.fail(name))
        self._open.close()

    def _open_stream(
        self, request: srv.OpenStream.Request, response: srv.OpenStream.Response,
    ) -> srv.OpenStream.Response:
        try:
            self._admit(request)
            if request.source.startswith(MICROPHONE):
                response.stream = self._open_microphone(
                    request.source[len(MICROPHONE):], request)
            else:
                response.stream, response.duration, response.begin = self._open_file(request)
        except AsrError as error:
            response.message = str(error)
            self._node.get_logger().error(f'open_stream: {error}')
        else:
            response.success = True
        return response

    def _admit(self, request: srv.OpenStream.Request) -> None:
        """Refuse what comes too often, or is no path.

        Raises:
            RefusedError, ConfigurationError: why.
        """
        refusal = self._limits.refusal(names.OPEN_STREAM)
        if refusal:
            raise RefusedError(refusal)
        if len(request.source) > LONGEST_PATH:
            raise ConfigurationError(
                f'source: got {len(request.source)} characters, expected at most {LONGEST_PATH}')

    def _open_file(self, request: srv.OpenStream.Request) -> tuple[str, float, Time]:
        """Begin to play a file; return the stream's name, its length [s] and its begin."""
        if not 0.0 <= request.speed <= FASTEST:
            raise ConfigurationError(f'speed: got {request.speed}, expected 0 to {FASTEST:g}')
        path = Path(request.source)
        recording = AudioFile(path)
        try:
            name = self._ingest.open(
                request.stream or self._free_name(path.stem), duration_s=recording.duration_s,
                language=request.language)
        except AsrError:
            recording.close()
            raise
        self._open.callback(recording.close)
        begin = self._node.get_clock().now()
        self._files[name] = Playback(
            recording.chunks(name, begin.nanoseconds), request.speed, time.monotonic)
        self._timer.reset()
        return name, recording.duration_s, begin.to_msg()

    def _open_microphone(self, device: str, request: srv.OpenStream.Request) -> str:
        """Begin to listen to a microphone; return the stream's name."""
        name = self._ingest.open(
            request.stream or self._free_name('mic'), language=request.language, live=True)
        clock = self._node.get_clock()
        try:
            microphone = Microphone(device, name, lambda: clock.now().nanoseconds)
        except AudioError:
            self._announce(self._ingest.fail(name))
            raise
        self._open.callback(microphone.close)
        self._microphones[name] = microphone
        self._node.get_logger().info(f'listening to {microphone.device.name}')
        self._timer.reset()
        return name

    def _free_name(self, wish: str) -> str:
        """Return a name for a stream that is none of the known ones."""
        wish = re.sub(r'[^\w.-]', '_', wish).encode()[:LONGEST_NAME - 8].decode(errors='ignore')
        taken = {status.stream for status in self._ingest.statuses()}
        wishes = itertools.chain([wish], (f'{wish}-{number}' for number in itertools.count(2)))
        return next(name for name in wishes if name and name not in taken)

    def _turn(self) -> None:
        """Take what has come from the microphones, and what is due of the files."""
        for name, microphone in list(self._microphones.items()):
            self._drain(name, microphone)
        self._play()
        if not self._files and not self._microphones:
            self._timer.cancel()
            self._open.close()

    def _drain(self, name: str, microphone: Microphone) -> None:
        try:
            chunks = microphone.take()
        except AudioError as error:
            self._fail(name, error)
        else:
            for chunk in chunks:
                self._accept(chunk)

    def _play(self) -> None:
        """Take what is due of every file, in turns, for one slice of time."""
        until = time.monotonic() + SLICE_S
        waiting = list(self._files.items())
        while waiting and time.monotonic() < until:
            waiting = [(name, one) for name, one in waiting if self._step(name, one)]

    def _step(self, name: str, playback: Playback) -> bool:
        """Take one chunk; return whether more of this file may be due now."""
        if self._ingest.room_s() < RESERVE_S:
            return False
        try:
            chunk = playback.due()
        except AudioError as error:
            self._fail(name, error)
            return False
        if chunk is not None:
            self._accept(chunk)
        elif playback.ended:
            self._announce(self._ingest.finish(name))
            del self._files[name]
        return chunk is not None

    def _accept(self, chunk: Chunk) -> None:
        self._announce(self._ingest.accept(chunk))

    def _fail(self, name: str, error: AudioError) -> None:
        """End a stream whose source broke; what it gave until then is recognised."""
        self._node.get_logger().error(f'{name}: {error}')
        self._announce(self._ingest.fail(name))
        self._files.pop(name, None)
        self._microphones.pop(name, None)
