"""The monitor as the manager hosts it: /diagnostics, and the metrics for Prometheus."""

from __future__ import annotations

import functools
import logging
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from std_msgs.msg import Header

from xlerobot_asr_opt.core.monitor.judgement import Judgement, Level
from xlerobot_asr_opt.core.monitor.monitor import Monitor
from xlerobot_asr_opt.ros import names
from xlerobot_asr_opt.ros.monitor_feed import MonitorFeed
from xlerobot_asr_opt.ros.timers import steady_timer

try:
    from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
except ImportError:  # a robot may do without
    DiagnosticArray = None

if TYPE_CHECKING:
    from rclpy.node import Node

    from xlerobot_asr_opt.parameters import ManagerParameters
    from xlerobot_asr_opt.ros.exporter import Exporter

__all__ = ['GraphMonitor', 'diagnostic', 'subscribe_judgements']

TELL_S = 10.0
"""Time between two lines in the log about one side at least [s]."""

logger = logging.getLogger(__name__)


class GraphMonitor:
    """Hears the graph on a node, judges it every monitor_period, and tells.

    It never stops its host: a fault of its own is logged, and the graph goes on without it.

    Args:
        node: the manager.
        parameters: its own.

    Attributes:
        heard: takes a Heartbeat of the core: the manager hears them anyway.
    """

    def __init__(self, node: Node, parameters: ManagerParameters) -> None:
        self._node = node
        self._source = node.get_fully_qualified_name().lstrip('/')
        self._monitor = Monitor(parameters, time.monotonic)
        self._told: dict[str, tuple[bool, float]] = {}
        self._closed = False
        self.heard = self._guarded(self._monitor.on_heartbeat)
        self._feed = MonitorFeed(node, self._monitor, self._guarded, hosted=True)
        self._publisher = None
        if DiagnosticArray is None:
            logger.info('diagnostic_msgs is not installed: nothing is told on %s',
                        names.DIAGNOSTICS)
        else:
            self._publisher = node.create_publisher(
                DiagnosticArray, names.DIAGNOSTICS, names.DIAGNOSTICS_QOS)
        self._exporter = _exporter(parameters)
        self._timer = steady_timer(node, parameters.monitor_period, self._guarded(self._turn))

    def close(self) -> None:
        """Watch no more; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._node.destroy_timer(self._timer)
        self._feed.close()
        if self._exporter is not None:
            self._exporter.close()

    def _turn(self) -> None:
        self._feed.poll()
        judgements = self._monitor.judge()
        self._log(judgements)
        if self._publisher is not None:
            self._publisher.publish(DiagnosticArray(
                header=self._header(),
                status=[diagnostic(judgement, self._source) for judgement in judgements]))
        if self._exporter is not None:
            self._exporter.show(self._monitor.families(judgements))

    def _log(self, judgements: list[Judgement]) -> None:
        """Say when something has become an error, and when it has ceased to be one."""
        now = time.monotonic()
        for judgement in judgements:
            is_error = judgement.level is Level.ERROR
            was_error, told = self._told.get(judgement.name, (False, -math.inf))
            if is_error is not was_error and now - told >= TELL_S:
                self._told[judgement.name] = is_error, now
                logger.log(logging.WARNING if is_error else logging.INFO, '%s: %s',
                           judgement.name, judgement.message)

    def _header(self) -> Header:
        return Header(stamp=self._node.get_clock().now().to_msg())

    def _guarded(self, work: Callable[..., None]) -> Callable[..., None]:
        """Wrap a callback: what it raises ends the monitor, and nothing else."""
        @functools.wraps(work)
        def guarded(*arguments: object) -> None:
            try:
                if not self._closed:
                    work(*arguments)
            except Exception:
                logger.exception('the monitor failed, and the graph goes on without it')
                self.close()
        return guarded


def diagnostic(judgement: Judgement, source: str) -> DiagnosticStatus:
    """Return a judgement as a message.

    Args:
        judgement: what is told.
        source: full name of the node that tells it, without its leading slash.
    """
    return DiagnosticStatus(
        level=bytes([judgement.level]), name=f'{source}: {judgement.name}',
        message=judgement.message, hardware_id=source.partition('/')[0],
        values=[KeyValue(key=key, value=value if isinstance(value, str) else f'{value:.6g}')
                for key, value in judgement.values.items()])


def subscribe_judgements(
    node: Node, source: str, callback: Callable[[Judgement], None],
) -> None:
    """Call back with every judgement of one manager; never, where diagnostic_msgs is missing.

    Args:
        node: who subscribes.
        source: full name of the manager's node.
        callback: takes one judgement.
    """
    prefix = f'{source.lstrip("/")}: '

    def heard(message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.startswith(prefix):
                callback(Judgement(
                    status.name.removeprefix(prefix), Level(status.level[0]), status.message,
                    {pair.key: _value(pair.value) for pair in status.values}))
    if DiagnosticArray is not None:
        node.create_subscription(
            DiagnosticArray, names.DIAGNOSTICS, heard, names.DIAGNOSTICS_QOS)


def _value(text: str) -> float | str:
    """Return what diagnostic() made a text of."""
    try:
        return float(text)
    except ValueError:
        return text


def _exporter(parameters: ManagerParameters) -> Exporter | None:
    """Begin to serve metrics, if a port is set; where that cannot be done, say so and go on."""
    port, address = parameters.monitor_port, parameters.monitor_address
    if not port:
        return None
    try:
        # What it takes of memory is spent only where it is used.
        from xlerobot_asr_opt.ros.exporter import Exporter  # noqa: PLC0415
        exporter = Exporter(port, address)
    except (ImportError, OSError, ValueError) as error:
        logger.warning(
            'no metrics for Prometheus at %s:%d: %s. Install prometheus-client where that is '
            'missing, choose another manager.monitor_port where it is taken', address, port, error)
        return None
    logger.info('metrics for Prometheus at http://%s:%d/metrics', address, exporter.port)
    return exporter
