"""Paces the chunks of a recording: in real time, faster, or as fast as they are taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from xlerobot_asr_opt.records import Chunk

__all__ = ['Playback']


class Playback:
    """Hands out the chunks of one recording when they are due."""

    def __init__(
        self, chunks: Iterator[Chunk], speed: float, clock: Callable[[], float],
    ) -> None:
        """Start the recording now.

        Args:
            chunks: of one stream, in order.
            speed: 1: a chunk is due when its last sample would have been spoken; 4: in a quarter
                of the time; 0: at once.
            clock: monotonic seconds.
        """
        self._chunks = chunks
        self._speed = speed
        self._clock = clock
        self._begin = clock()
        self._played_s = 0.0
        self._next: Chunk | None = None
        self.ended = False

    def due(self) -> Chunk | None:
        """Return the next chunk if it is due, or None; sets ended behind the last one.

        Raises:
            SourceError: the recording breaks off; ended is set.
        """
        if self._next is None and not self.ended:
            self._fetch()
        chunk = self._next
        if chunk is None or self._wait(chunk) > 0.0:
            return None
        self._played_s += _length_s(chunk)
        self._next = None
        return chunk

    def _fetch(self) -> None:
        try:
            self._next = next(self._chunks, None)
        except BaseException:
            self.ended = True
            raise
        self.ended = self._next is None

    def _wait(self, chunk: Chunk) -> float:
        if self._speed == 0.0:
            return 0.0
        return self._begin + (self._played_s + _length_s(chunk)) / self._speed - self._clock()


def _length_s(chunk: Chunk) -> float:
    return chunk.samples.size / (chunk.rate * chunk.channels)
