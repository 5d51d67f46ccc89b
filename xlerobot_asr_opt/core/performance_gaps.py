"""Percentiles of every stage and resource, beside their targets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.core.critical_path import STAGES, CriticalPaths
from xlerobot_asr_opt.core.performance_records import RESOURCE_TARGETS, RecordedRun
from xlerobot_asr_opt.records import TranscriptStatus

if TYPE_CHECKING:
    from xlerobot_asr_opt.core.run_load import Load

__all__ = ['PERCENTILES', 'outcomes', 'resource_gaps', 'stage_gaps']

PERCENTILES = (50, 90, 95, 99)
SUMS = {'waiting': ('queue', 'wait'), 'recognition': ('features', 'encode', 'decode')}
"""Stages that are told together as well."""
JUDGED = 'p95'
"""The percentile that a target is for."""


def stage_gaps(paths: CriticalPaths, targets: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    """Row of every stage, of some sums and of the total.

    Each also has after: the mean of what delayed the transcript [ms].
    """
    gaps = {}
    for name, stages in {**{name: (name,) for name in STAGES}, **SUMS}.items():
        values = sum((paths.stages[stage] for stage in stages), np.zeros(len(paths)))
        delay = paths.total - paths.capped(dict.fromkeys(stages, 0.0))
        gaps[name] = _stage(values, delay, sum(targets[stage] for stage in stages))
    gaps['total'] = _stage(paths.total, paths.total, targets['total'])
    return gaps


def resource_gaps(load: Load, run: RecordedRun) -> dict[str, dict[str, Any]]:
    """Row of every worker's busy time, every node's cores and memory, and of all together."""
    gaps = {f'{worker} busy': _row(np.array([share]), RESOURCE_TARGETS['busy'], 'share')
            for worker, share in load.busy.items()}
    nodes = sorted({sample.node for sample in run.resources})
    for node in nodes:
        samples = [sample for sample in run.resources if sample.node == node]
        cores = np.array([sample.cores for sample in samples])
        # The model may use many cores, the loop of another node one.
        target = None if node.startswith('inference') else RESOURCE_TARGETS['cores']
        gaps[f'{node} cores'] = _row(cores, target, 'cores')
        gaps[f'{node} PSS'] = _row(np.array([sample.pss_mb for sample in samples]), None, 'MB')
    if nodes:
        cores, memory = _together(run)
        target = RESOURCE_TARGETS['machine'] * run.processors if run.processors else None
        gaps['all cores'] = _row(cores, target, 'cores')
        gaps['all PSS'] = _row(memory, RESOURCE_TARGETS['PSS'], 'MB')
    return gaps


def outcomes(run: RecordedRun, usable: int) -> dict[str, Any]:
    """Count what became of the utterances: by status, by cache level, granted again, unusable."""
    transcripts = [one.transcript for one in run.utterances]
    answered = [one for one in transcripts if has_answer(one.status)]
    status = Counter(one.status for one in transcripts)
    return {
        'count': len(transcripts),
        **{item.name.lower(): status[item] for item in TranscriptStatus},
        'unusable': len(answered) - usable,
        'cache': dict(sorted(Counter(one.cache for one in answered).items())),
        'backends': dict(sorted(Counter(one.backend for one in answered if one.backend).items())),
        'granted_again': sum(one.attempts > 1 for one in transcripts),
    }


def has_answer(status: TranscriptStatus) -> bool:
    """Whether somebody recognised the segment: the other ones have no stages."""
    return status in (TranscriptStatus.DONE, TranscriptStatus.NO_SPEECH)


def _stage(values: npt.NDArray[np.float64], delay: npt.NDArray[np.float64], target: float,
           ) -> dict[str, Any]:
    after = float(np.mean(delay)) if delay.size else None
    return {**_row(values, target, 'ms'), 'after': after}


def _together(run: RecordedRun) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Cores and memory of all nodes, at each time at which they were sampled."""
    times = sorted({sample.time_ns for sample in run.resources})
    row = {time_ns: index for index, time_ns in enumerate(times)}
    cores, memory = np.zeros(len(times)), np.zeros(len(times))
    for sample in run.resources:
        cores[row[sample.time_ns]] += sample.cores
        memory[row[sample.time_ns]] += sample.pss_mb
    return cores, memory


def _row(
    values: npt.NDArray[np.float64], target: float | None, unit: str,
) -> dict[str, Any]:
    """One row; a positive gap misses the target, None: nothing to compare."""
    row: dict[str, Any] = {'target': target, 'unit': unit, 'count': int(values.size)}
    row.update(_percentiles(values, (f'p{rank}' for rank in PERCENTILES)))
    row['gap'] = None if target is None or not values.size else row[JUDGED] - target
    return row


def _percentiles(values: npt.NDArray[np.float64], names: Iterable[str]) -> dict[str, float | None]:
    if not values.size:
        return {**dict.fromkeys(names), 'max': None}
    found = np.percentile(values, PERCENTILES)
    return {**dict(zip(names, map(float, found), strict=True)), 'max': float(values.max())}
