"""Which blocks of the segment store are free, and which one to take next."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

__all__ = ['BlockMap']


class BlockMap:
    """Blocks 0 to count - 1 of equal size.

    A segment may own any blocks in any order, so that there is no fragmentation: what is free can
    be used. Blocks are handed out so that segments lie in one piece where there is room for it,
    and as low as possible, so that few pages of the file are ever touched.
    """

    def __init__(self, count: int) -> None:
        self._is_free = np.ones(count, np.bool_)
        self.free = count

    def take(self, block: int) -> bool:
        """Take this very block; False if somebody has it."""
        if not self._is_free[block]:
            return False
        self._is_free[block] = False
        self.free -= 1
        return True

    def take_first(self, room: int, growing: Iterable[int]) -> int:
        """Take the lowest block with room for a whole segment, else the lowest block.

        Args:
            room: blocks that a segment may come to need.
            growing: first blocks of the segments that are being written, whose room is left
                alone as long as there is other room.

        Raises:
            LookupError: no block is free.
        """
        hopeful = self._is_free.copy()
        for first in growing:
            hopeful[first:first + room] = False
        edges = np.flatnonzero(np.diff(hopeful, prepend=False, append=False))
        begins, ends = edges[::2], edges[1::2]
        roomy = begins[ends - begins >= room]
        return self._taken(int(roomy[0]) if roomy.size else self._lowest())

    def take_after(self, block: int) -> int:
        """Take the block behind another one, else the lowest free one.

        Raises:
            LookupError: no block is free.
        """
        following = block + 1
        if following < self._is_free.size and self._is_free[following]:
            return self._taken(following)
        return self._taken(self._lowest())

    def give(self, blocks: Iterable[int]) -> None:
        """Give blocks back."""
        for block in blocks:
            self._is_free[block] = True
            self.free += 1

    def _lowest(self) -> int:
        if not self.free:
            raise LookupError('no free block')
        return int(np.argmax(self._is_free))

    def _taken(self, block: int) -> int:
        self._is_free[block] = False
        self.free -= 1
        return block
