"""Which bytes of an arena are free: found by size, merged by address."""

from __future__ import annotations

__all__ = ['CACHE_LINE', 'PAGE', 'FreeSpace', 'RoomIndex', 'round_up']

CACHE_LINE = 64
"""Blocks begin at multiples of it, and have such sizes [bytes]."""
PAGE = 4096
"""The other alignment that can be asked for [bytes]."""

_WORD = 1024
"""Bits of one word: two levels of it cover a million sizes."""


class FreeSpace:
    """Free blocks of an arena, never two side by side.

    Args:
        size: of the arena, all free [bytes].
    """

    def __init__(self, size: int) -> None:
        self._sizes: dict[int, int] = {}
        self._starts: dict[int, int] = {}
        # A block has less room for what begins at a page: each alignment has an index of its own,
        # so that best fit is one look for either.
        self._rooms = {alignment: RoomIndex(size // CACHE_LINE)
                       for alignment in (CACHE_LINE, PAGE)}
        self._add(0, size)

    @property
    def largest(self) -> int:
        """Bytes of the largest block; 0: nothing is free."""
        return self._rooms[CACHE_LINE].largest * CACHE_LINE

    def take(self, size: int, alignment: int) -> int | None:
        """Take bytes out of the block that they fit best; None: they fit nowhere.

        Args:
            size: a multiple of CACHE_LINE.
            alignment: of the address, CACHE_LINE or PAGE.
        """
        block = self._rooms[alignment].best(size // CACHE_LINE)
        if block is None:
            return None
        start = round_up(block, alignment)
        self.cut(block, start, size)
        return start

    def give(self, start: int, size: int) -> None:
        """Give bytes back, and merge them with the free ones on either side."""
        end = start + size
        before = self._starts.get(start)
        if before is not None:
            self._remove(before)
            start = before
        if end in self._sizes:
            end += self._remove(end)
        self._add(start, end - start)

    def cut(self, block: int, start: int, size: int) -> None:
        """Take these very bytes out of the free block that begins at ``block``."""
        end = block + self._remove(block)
        if start > block:
            self._add(block, start - block)
        if end > start + size:
            self._add(start + size, end - start - size)

    def _add(self, start: int, size: int) -> None:
        self._sizes[start] = size
        self._starts[start + size] = start
        for alignment, rooms in self._rooms.items():
            rooms.add(_room(start, size, alignment), start)

    def _remove(self, start: int) -> int:
        """Take out a whole block and return its size."""
        size = self._sizes.pop(start)
        del self._starts[start + size]
        for alignment, rooms in self._rooms.items():
            rooms.remove(_room(start, size, alignment), start)
        return size


class RoomIndex:
    """Free blocks by their room, in units that the caller chooses.

    A bit says whether any block has exactly that room, and a bit above it whether any of a word's
    bits is set. The next larger room is therefore two looks away, however many blocks there are.

    Args:
        most: largest room that a block can have.
    """

    def __init__(self, most: int) -> None:
        self._starts: dict[int, dict[int, None]] = {}
        self._words = [0] * (most // _WORD + 1)
        self._summary = 0

    def add(self, room: int, start: int) -> None:
        """Enter a block; a room of 0 is of no use to anybody and is not kept."""
        if room <= 0:
            return
        starts = self._starts.get(room)
        if starts is None:
            starts = self._starts[room] = {}
            word, bit = divmod(room, _WORD)
            self._words[word] |= 1 << bit
            self._summary |= 1 << word
        starts[start] = None

    def remove(self, room: int, start: int) -> None:
        """Take out a block that was entered with this room."""
        if room <= 0:
            return
        starts = self._starts[room]
        del starts[start]
        if not starts:
            self._forget(room)

    def best(self, room: int) -> int | None:
        """Start of a block with the least room that is enough; None: there is none.

        Of equal ones it is the block that was entered last, which the processor's cache is
        likeliest to hold.
        """
        word, bit = divmod(room, _WORD)
        if word >= len(self._words):
            return None
        rest = self._words[word] >> bit
        if rest:
            found = room + _lowest(rest)
        else:
            above = self._summary >> (word + 1)
            if not above:
                return None
            word += 1 + _lowest(above)
            found = word * _WORD + _lowest(self._words[word])
        starts = self._starts[found]
        # popitem is what finds the last key in constant time.
        start, _ = starts.popitem()
        starts[start] = None
        return start

    @property
    def largest(self) -> int:
        """The largest room of all; 0: no block."""
        if not self._summary:
            return 0
        word = self._summary.bit_length() - 1
        return word * _WORD + self._words[word].bit_length() - 1

    def _forget(self, room: int) -> None:
        del self._starts[room]
        word, bit = divmod(room, _WORD)
        self._words[word] &= ~(1 << bit)
        if not self._words[word]:
            self._summary &= ~(1 << word)


def _lowest(bits: int) -> int:
    """Number of the lowest bit that is set."""
    return (bits & -bits).bit_length() - 1


def _room(start: int, size: int, alignment: int) -> int:
    """What fits into a block from its first aligned address on [CACHE_LINE]."""
    return (start + size - round_up(start, alignment)) // CACHE_LINE


def round_up(value: int, multiple: int) -> int:
    """The least multiple that is not below value."""
    return -(-value // multiple) * multiple
