"""Samples what the nodes of a graph use: processor time and memory, of this machine alone."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping

import psutil

from xlerobot_asr_opt.core.performance_records import ResourceSample

__all__ = ['NodeSampler', 'find_nodes', 'sampling']

Find = Callable[[], Mapping[str, int]]

DOMAIN = 'ROS_DOMAIN_ID'
INTERVAL_S = 0.5
"""Time between two samples [s]."""


def find_nodes(namespace: str) -> dict[str, int]:
    """Find the processes of a graph in this process's domain; return pids by name of the node."""
    wanted = f'__ns:=/{namespace.strip("/")}'
    nodes = {}
    for process in psutil.process_iter(['cmdline']):
        words = process.info['cmdline'] or []
        names = [word.removeprefix('__node:=') for word in words if word.startswith('__node:=')]
        if names and wanted in words and _domain(process) == (os.environ.get(DOMAIN) or '0'):
            nodes[names[-1]] = process.pid
    return nodes


def _domain(process: psutil.Process) -> str | None:
    """ROS_DOMAIN_ID of a process; None: it has gone, or is not ours."""
    with contextlib.suppress(psutil.Error):
        return process.environ().get(DOMAIN) or '0'
    return None


@contextlib.contextmanager
def sampling(find: Find) -> Iterator[list[ResourceSample]]:
    """Sample processes in a thread of its own while the block runs; yields the growing list."""
    sampler = NodeSampler(find)
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(INTERVAL_S):
            sampler.sample()
    thread = threading.Thread(target=run, name='samples the nodes', daemon=True)
    thread.start()
    try:
        yield sampler.samples
    finally:
        ended.set()
        thread.join()


class NodeSampler:
    """Samples the processes of some nodes whenever its owner asks it to.

    Args:
        find: gives the pids by name of the node; asked again when a process has ended, since
            another one may have its node by then.

    Attributes:
        samples: taken so far.
    """

    def __init__(self, find: Find) -> None:
        self.samples: list[ResourceSample] = []
        self._find = find
        self._processes: dict[str, psutil.Process] = {}
        self._used_s: dict[str, float] = {}
        self._gone: set[str] = set()
        self._at = time.monotonic()
        self._follow()

    def sample(self) -> None:
        """Take a sample of every node that runs, over the time since the one before."""
        now, time_ns = time.monotonic(), time.time_ns()
        elapsed, self._at = now - self._at, now
        for node, process in list(self._processes.items()):
            try:
                used_s, pss = _used_s(process), process.memory_full_info().pss
            except psutil.Error:
                self._gone.add(node)
                del self._processes[node]
                continue
            share = max(0.0, used_s - self._used_s[node]) / elapsed
            self._used_s[node] = used_s
            self.samples.append(ResourceSample(time_ns, node, share, pss / 1e6))
        if self._gone:
            self._follow()

    def _follow(self) -> None:
        """Take in the processes that are not sampled yet."""
        for node, pid in self._find().items():
            if node not in self._processes:
                with contextlib.suppress(psutil.Error):
                    process = psutil.Process(pid)
                    self._used_s[node] = _used_s(process)
                    self._processes[node] = process
                    self._gone.discard(node)


def _used_s(process: psutil.Process) -> float:
    """Processor time that a process has used since its start [s]."""
    times = process.cpu_times()
    return float(times.user + times.system)
