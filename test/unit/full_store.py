"""Fills a segment store, for tests of what happens then."""

from __future__ import annotations

import numpy as np

from xlerobot_asr_opt.core.segment_store import BLOCK, LONGEST, SegmentStore


def fill(store: SegmentStore, *, leave: int = 0) -> list[int]:
    """Take all blocks but so many; return the segments that took them, the smallest last."""
    taken = []
    while store.room_samples > leave * BLOCK:
        segment = store.open('filler', 0)
        more = min(store.room_samples + (1 - leave) * BLOCK, LONGEST // BLOCK * BLOCK)
        store.append(segment, np.zeros(more, np.int16))
        taken.append(store.seal(segment).segment)
    return taken
