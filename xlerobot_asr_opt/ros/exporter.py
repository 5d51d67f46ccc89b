"""Shows metrics to Prometheus over HTTP."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from xlerobot_asr_opt.core.monitor.catalog import METRICS
from xlerobot_asr_opt.core.monitor.metrics import BUCKETS_S, Family, Histogram, Kind

if TYPE_CHECKING:
    from prometheus_client.core import Metric as PrometheusMetric

__all__ = ['Exporter']

BOUNDS = (*map(str, BUCKETS_S), '+Inf')


class Exporter(Collector):
    """Serves the newest snapshot, in threads of prometheus-client's own.

    Args:
        port: TCP port; 0: any that is free.
        address: of the port.

    Attributes:
        port: the one that it serves at.

    Raises:
        OSError: the port is taken, or the address is not of this machine.
    """

    def __init__(self, port: int, address: str) -> None:
        self._families: Sequence[Family] = ()
        registry = CollectorRegistry()
        registry.register(self)
        self._server, self._thread = start_http_server(port, address, registry)
        self.port = self._server.server_port

    def show(self, families: Sequence[Family]) -> None:
        """Serve this snapshot from now on; it must not change any more."""
        self._families = families

    def collect(self) -> Iterable[PrometheusMetric]:
        """The snapshot as prometheus-client writes it; called by its threads."""
        return [_written(family) for family in self._families]

    def describe(self) -> Iterable[PrometheusMetric]:
        """The names, by which a scrape may ask for some metrics alone."""
        return [_written(Family(metric, {})) for metric in METRICS]

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _written(family: Family) -> PrometheusMetric:
    metric = family.metric
    if metric.kind is Kind.HISTOGRAM:
        histograms = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, value in family.series.items():
            if isinstance(value, Histogram):
                reached = itertools.accumulate(value.counts)
                histograms.add_metric(
                    labels, list(zip(BOUNDS, map(float, reached), strict=True)), value.total)
        return histograms
    kind = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    plain = kind(metric.name, metric.help, labels=metric.labels)
    for labels, value in family.series.items():
        plain.add_metric(labels, value)
    return plain
