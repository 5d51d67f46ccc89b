"""What is wrong with streams, logged without letting a bad one flood the log."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ['Complaints']

_TELL_S = 1.0
"""The same is said of one stream at most once in this time; what is left out is counted."""

_log = logging.getLogger(__name__)


@dataclass
class _Told:
    """When a kind of complaint was logged last, and how many were left out since."""

    at: float
    left_out: int = 0


class Complaints:
    """Logs warnings about streams."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._told: dict[str, dict[str, _Told]] = {}

    def forget(self, about: str) -> None:
        """Forget a stream that is gone."""
        self._told.pop(about, None)

    def tell(self, about: str, kind: str, text: str) -> None:
        """Log a warning, unless one of its kind was logged of the same stream a moment ago."""
        now = self._clock()
        told = self._told.setdefault(about, {}).setdefault(kind, _Told(-math.inf))
        if now - told.at < _TELL_S:
            told.left_out += 1
            return
        _log.warning('%s%s', text, f' ({told.left_out} more like it)' if told.left_out else '')
        told.at, told.left_out = now, 0
