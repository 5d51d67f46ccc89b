"""Decides the level of degradation on the manager: hears the graph, tells the level, is forced."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from xlerobot_asr_interfaces import msg, srv
from xlerobot_asr_opt.core.degradation import DegradationPolicy, level_of
from xlerobot_asr_opt.core.degradation_signals import DegradationSignals
from xlerobot_asr_opt.core.service_limits import ServiceLimits
from xlerobot_asr_opt.errors import ConfigurationError
from xlerobot_asr_opt.ros import names
from xlerobot_asr_opt.ros.conversions import level_message
from xlerobot_asr_opt.ros.limiting import limited
from xlerobot_asr_opt.ros.monitor_feed import polled
from xlerobot_asr_opt.ros.timers import steady_timer

if TYPE_CHECKING:
    from rclpy.node import Node

    from xlerobot_asr_opt.core.monitor.judgement import (
        BackendReport,
        MemoryReport,
        SchedulerReport,
    )
    from xlerobot_asr_opt.parameters import ManagerParameters
    from xlerobot_asr_opt.records import Degradation, WorkerStatus

__all__ = ['LevelKeeper']

HEARD = (names.SCHEDULER, names.WORKERS, names.BACKENDS, names.MEMORY)
HEAT_EVERY = 5
"""Looks between two readings of the sensors: heat is slow, and some sensors are, too."""

logger = logging.getLogger(__name__)


class LevelKeeper:
    """Looks every level_period, publishes on level, serves force_level.

    Args:
        node: the manager.
        parameters: its own.
        heat: reads the hottest sensor of this machine [degrees Celsius]; NaN: there is none.

    Raises:
        ConfigurationError: a signal that ends before it begins.
    """

    def __init__(
        self, node: Node, parameters: ManagerParameters, heat: Callable[[], float],
    ) -> None:
        self._node = node
        self._heat = heat if parameters.level_heat_begin else None
        self._signals = DegradationSignals(parameters, time.monotonic)
        self._policy = DegradationPolicy(parameters, time.monotonic)
        self._told = self._policy.degradation
        self._since_ns = node.get_clock().now().nanoseconds
        self._looks = 0
        self._heard = polled(node, self, HEARD)
        self._publisher = node.create_publisher(
            msg.DegradationLevel, names.LEVEL, names.LATCHED_QOS)
        node.create_service(
            srv.ForceLevel, names.FORCE_LEVEL,
            limited(ServiceLimits(time.monotonic), names.FORCE_LEVEL, self._force))
        steady_timer(node, parameters.level_period, self._look)

    # What monitor_feed hands on

    def on_scheduler(self, report: SchedulerReport) -> None:
        """Take a SchedulerStatus."""
        self._signals.on_scheduler(report)

    def on_worker(self, status: WorkerStatus) -> None:
        """Take the status of a worker."""
        self._signals.on_worker(status)

    def on_backends(self, worker: str, reports: list[BackendReport]) -> None:
        """Take the state of a worker's backends."""
        self._signals.on_backends(worker, reports)

    def on_memory(self, report: MemoryReport) -> None:
        """Take a MemoryReport, if it is of this machine: another one may lend to the graph."""
        if any(process.node == self._node.get_name() for process in report.processes):
            self._signals.on_memory(report)

    def _look(self) -> None:
        for subscription in self._heard:
            subscription.poll()
        if self._heat is not None and self._looks % HEAT_EVERY == 0:
            self._signals.on_heat(self._heat())
        self._looks += 1
        self._tell(self._policy.look(self._signals.situation()))

    def _force(
        self, request: srv.ForceLevel.Request, response: srv.ForceLevel.Response,
    ) -> srv.ForceLevel.Response:
        try:
            if request.level:
                self._policy.force(level_of(request.level))
            else:
                self._policy.release()
        except ConfigurationError as error:
            response.message = str(error)
        else:
            response.success = True
            self._tell(self._policy.degradation)
        return response

    def _tell(self, now: Degradation) -> None:
        before, self._told = self._told, now
        if (now.level, now.forced) != (before.level, before.forced):
            self._since_ns = self._node.get_clock().now().nanoseconds
            usual = now.level <= now.best and not now.forced
            logger.log(logging.INFO if usual else logging.WARNING, 'level %s after %s: %s',
                       now.level.word, before.level.word, now.reason)
        self._publisher.publish(level_message(
            dataclasses.replace(now, since_ns=self._since_ns),
            self._node.get_clock().now().to_msg()))
