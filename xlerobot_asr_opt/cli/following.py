"""Follows one stream through a graph until everything that was said in it has been told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xlerobot_asr_opt.records import StreamState, StreamStatus

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xlerobot_asr_opt.records import Transcript

__all__ = ['Follower']

_QUIET = {StreamState.WAITING, StreamState.SILENCE, StreamState.ENDED, StreamState.FAILED}
_OVER = {StreamState.ENDED, StreamState.FAILED}


class Follower:
    """Collects what one stream's status and transcripts tell.

    Attributes:
        stream: its name.
        status: the newest one; None before the first.
    """

    def __init__(self, stream: str, before: StreamStatus | None = None) -> None:
        """Follow a stream.

        Args:
            stream: its name.
            before: its status before it is followed, where it existed; counters start from it.
        """
        self.stream = stream
        self.status: StreamStatus | None = None
        self._before = before or StreamStatus(stream, StreamState.WAITING)
        self._told: set[int] = set()

    @property
    def chunks(self) -> int:
        """Chunks that ingest has received, refused ones included."""
        return self._since('chunks')

    @property
    def missing(self) -> int:
        """Chunks that the sequence numbers show as lost."""
        return self._since('missing')

    @property
    def settled(self) -> bool:
        """Nobody speaks, and every segment that was announced has its transcript."""
        return (self.status is not None and self.status.state in _QUIET
                and self.status.kept == 0 and len(self._told) >= self._since('segments'))

    @property
    def ended(self) -> bool:
        """The source came to its end, or broke, and everything in it has been told."""
        return self.settled and self.status is not None and self.status.state in _OVER

    @property
    def failed(self) -> bool:
        """The source broke."""
        return self.status is not None and self.status.state is StreamState.FAILED

    def take(self, status: StreamStatus | None, transcripts: Iterable[Transcript],
             ) -> list[Transcript]:
        """Take what has arrived; return the transcripts of this stream that are new."""
        if status is not None:
            self.status = status
        new = []
        for transcript in transcripts:
            if transcript.stream == self.stream and transcript.segment not in self._told:
                self._told.add(transcript.segment)
                new.append(transcript)
        return new

    def _since(self, counter: str) -> int:
        if self.status is None:
            return 0
        return int(getattr(self.status, counter) - getattr(self._before, counter))
