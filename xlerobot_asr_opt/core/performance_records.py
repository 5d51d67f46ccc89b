"""What a performance analysis reads and what it holds that against: runs, samples, targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xlerobot_asr_opt.errors import ConfigurationError
from xlerobot_asr_opt.records import Transcript

__all__ = [
    'RESOURCE_TARGETS', 'STAGE_TARGETS', 'RecordedRun', 'ResourceSample', 'Utterance',
    'read_targets',
]

STAGE_TARGETS: Mapping[str, float] = {
    'ingest': 1.0,
    'cache': 1.0,
    'queue': 1.0,
    'transport': 3.0,
    'wait': 1.0,
    'features': 3.0,
    'encode': 20.0,
    'decode': 19.0,
    'other': 1.0,
    'total': 50.0,
}
"""What the 95th percentile of each stage may be [ms]; the stages add up to the total."""

RESOURCE_TARGETS: Mapping[str, float] = {
    'busy': 0.7,
    'cores': 0.7,
    'machine': 0.8,
    'PSS': 500.0,
}
"""The share of its time that a worker, the share of a core that a node and the share of all cores
that the graph may use, above which queues grow fast; the memory of the graph [MB]."""


@dataclass(frozen=True)
class Utterance:
    """One transcript of a run.

    Attributes:
        transcript: as it was published.
        published_ns: when whoever recorded it received it, on one clock for the whole run [ns];
            0: not known.
    """

    transcript: Transcript
    published_ns: int = 0


@dataclass(frozen=True)
class ResourceSample:
    """What one node used at one time.

    Attributes:
        time_ns: of the sample, on the clock of Utterance.published_ns [ns].
        node: name of the node, for example inference_0.
        cores: processor time per time since the sample before.
        pss_mb: proportional set size [MB].
    """

    time_ns: int
    node: str
    cores: float
    pss_mb: float


@dataclass(frozen=True)
class RecordedRun:
    """What was measured while a graph worked.

    Attributes:
        utterances: in the order in which they were published.
        resources: in the order of time; empty: not sampled.
        processors: cores of the machine; 0: not known.
    """

    utterances: tuple[Utterance, ...]
    resources: tuple[ResourceSample, ...] = ()
    processors: int = 0


def read_targets(texts: list[str]) -> dict[str, float]:
    """Read targets given as ``stage=ms``; those that are not given keep their default.

    Raises:
        ConfigurationError: no such stage, or no number of 0 or more.
    """
    targets = dict(STAGE_TARGETS)
    for text in texts:
        name, _, value = text.partition('=')
        if name not in targets:
            raise ConfigurationError(
                f'target {text}: no stage {name}; known: {", ".join(targets)}')
        try:
            targets[name] = float(value)
        except ValueError:
            targets[name] = -1.0
        if not 0.0 <= targets[name] < float('inf'):
            raise ConfigurationError(
                f'target {text}: got {value!r}, expected milliseconds of 0 or more')
    return targets
