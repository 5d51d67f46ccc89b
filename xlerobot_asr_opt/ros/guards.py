"""The guards of a SpeechSegment: they tell a reader that it has read one message and not two."""

from __future__ import annotations

import numpy as np

__all__ = ['segment_is_whole']


def segment_is_whole(view: np.ndarray, head: int) -> bool:
    """Say, after a segment was read, whether everything that was read is one message.

    A writer that runs ahead overwrites a shared segment under its reader. It writes head first and
    tail last, so a message is whole if both are still what head was before anything else was read.

    Args:
        view: The 0-d structured array of the segment.
        head: view['head'], read before everything else.
    """
    return int(view['tail']) == head == int(view['head'])
