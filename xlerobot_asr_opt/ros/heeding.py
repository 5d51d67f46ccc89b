"""Keeps a message of another node that cannot be right from ending this one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from xlerobot_asr_opt.core.complaints import Complaints
from xlerobot_asr_opt.errors import MessageError

__all__ = ['heeding']

_complaints = Complaints(time.monotonic)


def heeding(topic: str, hear: Callable[[Any], None]) -> Callable[[Any], None]:
    """Give a callback that drops what conversions.py refuses to read, and tells so once a second.

    Args:
        topic: that the messages come by.
        hear: the callback proper.
    """
    def heed(message: Any) -> None:
        try:
            hear(message)
        except MessageError as error:
            _complaints.tell(topic, 'dropped', f'{topic}: a message is dropped: {error}')

    return heed
