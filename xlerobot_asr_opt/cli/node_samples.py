"""Samples what the nodes of a graph use: processor time and memory, of this machine alone."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Mapping

import psutil

from xlerobot_asr_opt.core.performance_records import ResourceSample

__all__ = ['NodeSampler', 'find_nodes', 'sampling']

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
def sampling(pids: Mapping[str, int]) -> Iterator[list[ResourceSample]]:
    """Sample processes in a thread of its own while the block runs; yields the growing list."""
    sampler = NodeSampler(pids)
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
    """Samples a set of processes whenever its owner asks it to.

    Attributes:
        samples: taken so far.
    """

    def __init__(self, pids: Mapping[str, int]) -> None:
        """Begin to measure; pids by name of the node."""
        self.samples: list[ResourceSample] = []
        self._processes: dict[str, psutil.Process] = {}
        for node, pid in pids.items():
            with contextlib.suppress(psutil.NoSuchProcess):
                self._processes[node] = psutil.Process(pid)
        self._used_s = dict(self._use())
        self._at = time.monotonic()

    def sample(self) -> None:
        """Take a sample of every node that still runs, over the time since the one before."""
        now = time.monotonic()
        elapsed = now - self._at
        time_ns = time.time_ns()
        for node, used_s in self._use():
            # A node that another process has taken over since has no share of this interval.
            with contextlib.suppress(psutil.Error):
                memory = self._processes[node].memory_full_info()
                self.samples.append(ResourceSample(
                    time_ns, node, max(0.0, used_s - self._used_s[node]) / elapsed,
                    memory.pss / 1e6))
            self._used_s[node] = used_s
        self._at = now

    def _use(self) -> Iterator[tuple[str, float]]:
        """Processor time that each node has used since its start [s]."""
        for node, process in self._processes.items():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                times = process.cpu_times()
                yield node, times.user + times.system
