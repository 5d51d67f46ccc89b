"""What ingest does while the robot itself speaks: it hears nothing, or who cuts in is told."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable

from xlerobot_asr_opt.parameters import IngestParameters

__all__ = ['RobotSpeech']

_log = logging.getLogger(__name__)


class RobotSpeech:
    """Whether the robot speaks, and who has begun to speak since it does."""

    def __init__(self, parameters: IngestParameters, clock: Callable[[], float]) -> None:
        """Begin with a robot that is silent; clock: monotonic [s]."""
        self._parameters = parameters
        self._clock = clock
        self._speaking = False
        self._said_at = -math.inf
        self._speakers: dict[str, float | None] = {}

    def hear(self, speaking: bool) -> None:
        """Take what the robot says of itself; true may be repeated."""
        if self.speaking or speaking:
            self._said_at = self._clock()
        if speaking != self._speaking:
            self._speakers.clear()
        self._speaking = speaking

    @property
    def speaking(self) -> bool:
        """Whether the robot speaks now; a true of long ago is not believed any more."""
        limit_s = self._parameters.robot_speaking_limit
        if self._speaking and self._clock() - self._said_at >= limit_s:
            self._speaking = False
            self._said_at = -math.inf
            self._speakers.clear()
            _log.warning(
                '%s said that the robot speaks, and nothing since for %g s: it counts as silent; '
                'what publishes it must say false at the end, or true again in between',
                self._parameters.robot_speaking, limit_s)
        return self._speaking

    @property
    def muting(self) -> bool:
        """Whether streams are to be deaf now: while it speaks, and while the room still rings."""
        if self._parameters.while_robot_speaks != 'mute':
            return False
        tail_s = self._parameters.robot_speaking_tail
        return self.speaking or self._clock() - self._said_at < tail_s

    def begins(self, stream: str, spoken_s: float) -> None:
        """Somebody has begun to speak on a stream; spoken_s: how long his utterance is so far."""
        if self._parameters.while_robot_speaks == 'barge_in' and self.speaking:
            self._speakers[stream] = spoken_s

    def ends(self, stream: str) -> None:
        """Nobody speaks on a stream any more."""
        self._speakers.pop(stream, None)

    def cutting_in(self, spoken_s: Callable[[str], float]) -> list[str]:
        """Return the streams on which somebody is cutting in, each utterance once.

        Args:
            spoken_s: gives the length of the running utterance of a stream [s].
        """
        if not self._speakers or not self.speaking:
            return []
        after_s = self._parameters.barge_in_after
        found = [stream for stream, begun_s in self._waiting()
                 if spoken_s(stream) - begun_s >= after_s]
        self._speakers.update(dict.fromkeys(found))
        return found

    def _waiting(self) -> Iterable[tuple[str, float]]:
        """The streams of which nothing was told yet, and how long each utterance was at first."""
        return [(stream, begun_s) for stream, begun_s in self._speakers.items()
                if begun_s is not None]
