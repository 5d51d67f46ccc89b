"""What the cache tells: a value that was found, and its counters."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ['LEVELS', 'CacheStatistics', 'Hit']

LEVELS = ('l1', 'l2', 'l3')


@dataclass(frozen=True)
class Hit:
    """A value that was found, and the level it was found in: l1, l2 or l3."""

    value: str
    level: str


@dataclass(frozen=True)
class CacheStatistics:
    """Counters since the cache was opened; fields as in CacheStatistics.srv.

    Attributes:
        hits: by level.
        misses: lookups that found nothing.
        stores: values that were put.
        evictions: by level, for size or age.
        entries: held now, by level.
        disk_bytes: size of the third level's database [bytes].
        write_failures: values that could not be written to disk.
        hit_rate: hits / lookups, 0 to 1; NaN before the first lookup.
    """

    hits: tuple[int, int, int]
    misses: int
    stores: int
    evictions: tuple[int, int, int]
    entries: tuple[int, int, int]
    disk_bytes: int
    write_failures: int
    hit_rate: float
