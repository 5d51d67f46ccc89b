"""Reads the memory of processes, of the machine and of its control group; gives memory back."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

from xlerobot_asr_opt.core.memory_budget import ProcessMemory, SystemMemory

__all__ = ['MemoryReader', 'own_uss', 'trim_heap']

KIB = 1024


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


def _fields(path: Path) -> Mapping[str, int]:
    """Return the fields of a file of the form "Name:  number kB" [bytes]."""
    fields = {}
    for line in path.read_text('ascii', 'replace').splitlines():
        name, _, value = line.partition(':')
        words = value.split()
        if len(words) == 2 and words[1] == 'kB':
            fields[name] = int(words[0]) * KIB
    return fields
