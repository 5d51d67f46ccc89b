"""Hears what a graph tells of itself, for a monitor."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from xlerobot_asr_interfaces import msg, srv
from xlerobot_asr_opt.core.cache_records import CacheStatistics
from xlerobot_asr_opt.core.dispatch_records import DispatchStatistics
from xlerobot_asr_opt.core.memory_ladder import Rung
from xlerobot_asr_opt.core.monitor.judgement import (
    BackendReport,
    MemoryReport,
    ProcessMemory,
    SchedulerReport,
)
from xlerobot_asr_opt.errors import MessageError
from xlerobot_asr_opt.records import WorkerStatus
from xlerobot_asr_opt.ros import names
from xlerobot_asr_opt.ros.conversions import (
    BREAKER_STATES,
    known,
    read_heartbeat,
    read_level,
    read_status,
    read_text,
    read_transcript,
)
from xlerobot_asr_opt.ros.heeding import heeding
from xlerobot_asr_opt.ros.polled import PolledSubscription
from xlerobot_asr_opt.ros.timers import steady_timer

if TYPE_CHECKING:
    from rclpy.node import Node
    from rclpy.qos import QoSProfile
    from rclpy.task import Future

    from xlerobot_asr_opt.core.monitor.monitor import Monitor

__all__ = ['MonitorFeed', 'polled']

CACHE_PERIOD_S = 5.0
"""Between two questions to the cache."""
BREAKERS = {number: state for state, number in BREAKER_STATES.items()}
COUNTERS = tuple(field.name for field in dataclasses.fields(DispatchStatistics))


class MonitorFeed:
    """Subscribes on a node, and hands the monitor the records of what comes.

    Args:
        node: any node in the namespace of the graph.
        monitor: what is fed.
        guard: wraps every callback, for what is to become of its exceptions.
        hosted: the node is the manager's, which hands the monitor the heartbeats that it hears
            anyway, and calls poll() before each judgement: most of what comes waits for that.
    """

    def __init__(
        self, node: Node, monitor: Monitor,
        guard: Callable[[Callable[..., None]], Callable[..., None]] = lambda callback: callback,
        *, hosted: bool = False,
    ) -> None:
        self._node = node
        self._monitor = monitor
        self._guard = guard
        self._polled = polled(node, monitor, PATIENT) if hosted else []
        ours = {*PATIENT, names.HEARTBEATS} if hosted else set()
        self._subscriptions = [
            node.create_subscription(
                kind, topic, guard(heeding(topic, functools.partial(take, monitor))), qos)
            for topic, (kind, take, qos) in FEEDS.items() if topic not in ours]
        self._cache = node.create_client(srv.CacheStatistics, names.CACHE_STATISTICS)
        self._question: Future | None = None
        self._timer = steady_timer(node, CACHE_PERIOD_S, guard(self._ask))

    def poll(self) -> None:
        """Hand over what has come since; its exceptions are the caller's."""
        for subscription in self._polled:
            subscription.poll()

    def close(self) -> None:
        """Hear no more."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_client(self._cache)
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        for waiting in self._polled:
            waiting.destroy()

    def _ask(self) -> None:
        """Ask the cache; a question without an answer is given up at the next one."""
        if self._question is not None:
            self._cache.remove_pending_request(self._question)
        self._question = None
        if self._cache.service_is_ready():
            self._question = self._cache.call_async(srv.CacheStatistics.Request())
            self._question.add_done_callback(self._guard(self._answered))

    def _answered(self, future: Future) -> None:
        self._question = None
        told = future.result()
        self._monitor.on_cache(CacheStatistics(
            hits=_integers(told.hits), misses=told.misses, stores=told.stores,
            evictions=_integers(told.evictions), entries=_integers(told.entries),
            disk_bytes=told.disk_bytes, write_failures=told.write_failures,
            hit_rate=told.hit_rate))


def _integers(array: Any) -> tuple[int, int, int]:
    first, second, third = map(int, array)
    return first, second, third


def _scheduler(monitor: Monitor, message: msg.SchedulerStatus) -> None:
    monitor.on_scheduler(SchedulerReport(
        message.active,
        DispatchStatistics(**{name: getattr(message, name) for name in COUNTERS})))


def _transcript(monitor: Monitor, message: msg.Transcript) -> None:
    monitor.on_transcript(read_transcript(message))


def _stream(monitor: Monitor, message: msg.StreamStatus) -> None:
    monitor.on_stream(read_status(message))


def _heartbeat(monitor: Monitor, message: msg.Heartbeat) -> None:
    monitor.on_heartbeat(read_heartbeat(message))


def _worker(monitor: Monitor, message: msg.WorkerStatus) -> None:
    monitor.on_worker(WorkerStatus(
        worker=read_text(message.worker), incarnation=message.incarnation,
        active=message.active, capacity=message.capacity, longest=message.longest,
        recogniser=message.recogniser.tobytes()))


def _backends(monitor: Monitor, message: msg.BackendStates) -> None:
    for told in message.backends:
        if told.state not in BREAKERS:
            raise MessageError(f'got the state {told.state} of {told.backend!r}, expected one of '
                               f'{sorted(BREAKERS)}')
    monitor.on_backends(message.worker, [
        BackendReport(
            backend=told.backend, state=BREAKERS[told.state], forced=told.forced,
            reason=told.reason, good=told.good, failures=told.failures, opened=told.opened,
            abandoned=told.abandoned)
        for told in message.backends])


def _memory(monitor: Monitor, message: msg.MemoryReport) -> None:
    monitor.on_memory(MemoryReport(
        ceiling=message.ceiling, used=message.used, limit=message.limit,
        available=message.available, stalled=message.stalled, rung=known(Rung, message.rung),
        processes=tuple(
            ProcessMemory(
                node=told.node, uss=told.uss, pss=told.pss, slope=told.slope,
                growing=told.verdict == msg.ProcessMemory.VERDICT_GROWING)
            for told in message.processes)))


def _level(monitor: Monitor, message: msg.DegradationLevel) -> None:
    monitor.on_level(read_level(message))


FEEDS: dict[str, tuple[type, Callable[[Any, Any], None], QoSProfile]] = {
    names.SCHEDULER: (msg.SchedulerStatus, _scheduler, names.LATCHED_QOS),
    names.TRANSCRIPT: (msg.Transcript, _transcript, names.TRANSCRIPT_QOS),
    names.STREAMS: (msg.StreamStatus, _stream, names.STREAMS_QOS),
    names.HEARTBEATS: (msg.Heartbeat, _heartbeat, names.CONTROL_QOS),
    names.WORKERS: (msg.WorkerStatus, _worker, names.LATCHED_QOS),
    names.BACKENDS: (msg.BackendStates, _backends, names.LATCHED_QOS),
    names.MEMORY: (msg.MemoryReport, _memory, names.LATCHED_QOS),
    names.LEVEL: (msg.DegradationLevel, _level, names.LATCHED_QOS),
}
"""What a graph tells of itself, by topic: its type, what takes it, and how it is carried."""
PATIENT = (names.SCHEDULER, names.TRANSCRIPT, names.WORKERS, names.BACKENDS, names.MEMORY,
           names.LEVEL)
"""What may wait for a second. The pace of a stream is told by when its states come."""


def polled(node: Node, listener: object, topics: Iterable[str]) -> list[PolledSubscription]:
    """Have a listener handed the records of some topics whenever they are polled.

    Args:
        node: who subscribes.
        listener: has the methods on_... of Monitor that belong to the topics.
        topics: keys of FEEDS.
    """
    return [
        PolledSubscription(
            node, kind, topic, heeding(topic, functools.partial(take, listener)), qos)
        for topic, (kind, take, qos) in FEEDS.items() if topic in topics]
