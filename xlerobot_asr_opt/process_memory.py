"""Reads the memory of processes, of the machine and of its control group; gives memory back."""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from xlerobot_asr_opt.core.memory_budget import ProcessMemory, SystemMemory

__all__ = ['MemoryGauge', 'MemoryReader', 'own_uss', 'trim_heap']

KIB = 1024
PAGE = os.sysconf('SC_PAGE_SIZE')
IN_FULL_S = 30.0
"""A process is read in full after this long, whatever it does [s]."""
MOVED_SHARE = 0.01
"""Of its resident memory: a process that has moved by more since then is read in full."""


def own_uss() -> int:
    """Return the unique set size of this process [bytes]."""
    return int(psutil.Process().memory_full_info().uss)


def trim_heap() -> None:
    """Collect garbage, and give the freed memory of all arenas of the heap to the kernel."""
    gc.collect()
    # glibc keeps freed memory until it is asked; another C library has no such call.
    trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)
    if trim is not None:
        trim(0)


class MemoryReader:
    """Reads what the kernel tells.

    Args:
        root: directory in which proc and sys are.
    """

    def __init__(self, root: Path = Path('/')) -> None:
        self._root = root

    def process(self, pid: int) -> ProcessMemory | None:
        """Return the memory of a process; None: it is gone, or another user's."""
        try:
            kernel = _fields(self._root / f'proc/{pid}/smaps_rollup')
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return None
        if 'Rss' not in kernel:
            return None  # It has ended, and nobody has waited for it yet.
        return ProcessMemory(
            uss=kernel['Private_Clean'] + kernel['Private_Dirty']
            + kernel.get('Private_Hugetlb', 0),
            pss=kernel['Pss'], rss=kernel['Rss'])

    def resident(self, pid: int) -> int | None:
        """Return the kernel's counter of resident memory [bytes]; None: the process is gone."""
        try:
            with (self._root / f'proc/{pid}/statm').open('rb', buffering=0) as file:
                fields = file.read(PAGE).split()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return None
        return int(fields[1]) * PAGE

    def system(self) -> SystemMemory:
        """Return the memory of the machine, and of the control group that this process is in."""
        machine = _fields(self._root / 'proc/meminfo')
        groups = [group for group in self._groups() if group[0] < machine['MemTotal']]
        limit, used = min(groups, key=lambda group: group[0] - group[1], default=(None, 0))
        return SystemMemory(
            total=machine['MemTotal'], available=machine['MemAvailable'],
            stalled=self._stalled(), group_limit=limit, group_used=used)

    def _stalled(self) -> float | None:
        try:
            line = (self._root / 'proc/pressure/memory').read_text('ascii').splitlines()[0]
        except (OSError, IndexError):
            return None  # The kernel was built, or started, without it.
        words = dict(word.split('=') for word in line.split()[1:])
        return float(words['avg10']) / 100

    def _groups(self) -> Iterator[tuple[int, int]]:
        """Yield limit and use of the control group and those above it, where they are told."""
        try:
            lines = (self._root / 'proc/self/cgroup').read_text('utf-8').splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            _, controllers, path = line.split(':', 2)
            if not controllers:
                yield from self._group_and_above('sys/fs/cgroup', path, 'memory.max',
                                                 'memory.current', 'inactive_file')
            elif 'memory' in controllers.split(','):
                yield from self._group_and_above(
                    'sys/fs/cgroup/memory', path, 'memory.limit_in_bytes',
                    'memory.usage_in_bytes', 'total_inactive_file')

    def _group_and_above(
        self, mount: str, path: str, limit: str, used: str, droppable: str,
    ) -> Iterator[tuple[int, int]]:
        top = self._root / mount
        own = top / path.strip('/')
        # In a container the path may be that of the host, which is not to be seen from inside.
        for group in (own, *own.parents) if own.is_dir() else (top,):
            if top not in (group, *group.parents):
                return
            try:
                most = (group / limit).read_text('ascii').strip()
                current = int((group / used).read_text('ascii'))
                lines = (group / 'memory.stat').read_text('ascii').splitlines()
            except FileNotFoundError:
                continue  # The root group has no limit.
            if most != 'max':
                statistics = dict(line.split() for line in lines)
                yield int(most), max(0, current - int(statistics.get(droppable, 0)))


@dataclass(frozen=True)
class _Full:
    """A reading in full: when [s], what, and the counter of resident memory then [bytes]."""

    at: float
    memory: ProcessMemory
    resident: int


class MemoryGauge:
    """Tells the memory of processes again and again, at a small price.

    What is unique to a process is told by its page tables alone, which take a millisecond to walk.
    So a process is read in full when it is new, every IN_FULL_S, and when the kernel's counter of
    its resident memory has moved by more than MOVED_SHARE. In between, what that counter has moved
    counts as the process's own: as long as it has moved less, no figure is further off than that.

    Args:
        reader: of the kernel's figures.
        clock: monotonic time [s].
    """

    def __init__(self, reader: MemoryReader, clock: Callable[[], float]) -> None:
        self._reader = reader
        self._clock = clock
        self._full: dict[int, _Full] = {}

    def read(self, pids: Mapping[str, int]) -> dict[str, ProcessMemory]:
        """Return the memory of processes by name, and forget all others.

        Args:
            pids: by name; what is gone, or another user's, is left out of the answer.
        """
        self._full = {pid: self._full[pid] for pid in pids.values() if pid in self._full}
        told = {name: self._read(pid) for name, pid in pids.items()}
        return {name: memory for name, memory in told.items() if memory is not None}

    def _read(self, pid: int) -> ProcessMemory | None:
        resident, now = self._reader.resident(pid), self._clock()
        if resident is None:
            return None
        full = self._full.get(pid)
        moved = 0 if full is None else resident - full.resident
        if full is not None and now - full.at < IN_FULL_S and (
                abs(moved) <= MOVED_SHARE * full.resident):
            told = full.memory
            return ProcessMemory(
                max(0, told.uss + moved), max(0, told.pss + moved), max(0, told.rss + moved))
        memory = self._reader.process(pid)
        if memory is not None:
            self._full[pid] = _Full(now, memory, resident)
        return memory


def _fields(path: Path) -> Mapping[str, int]:
    """Return the fields of a file of the form "Name:  number kB" [bytes]."""
    fields = {}
    for line in path.read_text('ascii', 'replace').splitlines():
        name, _, value = line.partition(':')
        words = value.split()
        if len(words) == 2 and words[1] == 'kB':
            fields[name] = int(words[0]) * KIB
    return fields
