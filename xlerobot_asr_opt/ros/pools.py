"""A second mapping of the memory that data-sharing writers publish in.

Fast DDS unmaps a writer's pool the moment it learns that the writer has gone, though a message of
it is on loan, and returning such a loan follows a dangling pointer: the reader crashes. A mapping
of our own stays for as long as an array uses it. So a message is found in ours and its loan goes
back at once; the array stays readable whatever becomes of the writer. Nothing is lost by that: a
loan does not keep a writer from overwriting a data-shared message (docs/loans.md).
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

__all__ = ['SharedPools']


class _Region(NamedTuple):
    """One line of /proc/self/maps: where a part of a file lies in this process."""

    start: int
    end: int
    offset: int
    inode: int
    path: Path


class _Pool(NamedTuple):
    """Where Fast DDS has a writer's pool, and where we have it."""

    region: _Region
    memory: mmap.mmap


class SharedPools:
    """The pools of the data-sharing writers that one subscription has heard of."""

    def __init__(self, dtype: np.dtype) -> None:
        """Start with no pool; dtype is the messages' (plain.dtype_of)."""
        self._dtype = dtype
        self._pools: dict[bytes, _Pool | None] = {}

    def view(self, writer: bytes, address: int) -> np.ndarray | None:
        """Find the message that the middleware has at an address in our mapping of it.

        Args:
            writer: Identity of the message's publisher.
            address: Where the middleware has the message.

        Returns:
            A read-only 0-d structured array that stays valid, or None if the message is not
            data-shared.
        """
        if writer not in self._pools:
            self._meet(writer, address)
        pool = self._pools[writer]
        if pool is None:
            return None
        offset = address - pool.region.start + pool.region.offset
        return np.ndarray((), self._dtype, pool.memory, offset)

    def _meet(self, writer: bytes, address: int) -> None:
        """Map the pool of a new writer, and drop those of writers that have gone."""
        regions = _regions()
        self._pools = {
            known: pool
            for known, pool in self._pools.items()
            if pool is not None and pool.region in regions
        }
        region = next((each for each in regions if each.start <= address < each.end), None)
        self._pools[writer] = _map(region) if region else None


def _regions() -> list[_Region]:
    """Give the regions of this process in which data-sharing writers publish."""
    regions = []
    for line in Path('/proc/self/maps').read_text().splitlines():
        # start-end permissions offset device inode path
        if '/fast_datasharing_' not in line:
            continue
        span, _, offset, _, inode, path = line.split(maxsplit=5)
        start, end = span.split('-')
        regions.append(
            _Region(int(start, 16), int(end, 16), int(offset, 16), int(inode), Path(path))
        )
    return regions


def _map(region: _Region) -> _Pool | None:
    """Map a region's file once more; None if the writer has removed it by now."""
    try:
        with region.path.open('rb') as file:
            if os.fstat(file.fileno()).st_ino != region.inode:
                return None
            return _Pool(region, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except FileNotFoundError:
        return None
