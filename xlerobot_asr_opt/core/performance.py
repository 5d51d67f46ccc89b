"""Finds the next bottleneck of a recorded run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from xlerobot_asr_opt.core.critical_path import CriticalPaths, is_usable
from xlerobot_asr_opt.core.performance_gaps import (
    has_answer,
    outcomes,
    resource_gaps,
    stage_gaps,
)
from xlerobot_asr_opt.core.performance_paths import Remedies
from xlerobot_asr_opt.core.performance_records import (
    STAGE_TARGETS,
    RecordedRun,
    Utterance,
)
from xlerobot_asr_opt.core.run_load import Load
from xlerobot_asr_opt.errors import ConfigurationError
from xlerobot_asr_opt.records import Transcript

__all__ = ['PerformanceIntegrator']


class PerformanceIntegrator:
    """Compares a run with its targets, and ranks what would make it faster.

    Utterances that were rejected, expired or cancelled have no stages, and those with a stage
    that is no duration (NaN, negative) cannot be summed up: both are counted and left out.

    Attributes:
        run: what is analysed.
        usable: of its utterances, those that the figures are made of.
        paths: their critical paths.
        load: of the run.
    """

    def __init__(
        self, run: RecordedRun | Iterable[Transcript],
        targets: Mapping[str, float] | None = None,
    ) -> None:
        """Take a run apart.

        Args:
            run: what was measured; transcripts alone tell nothing of the load.
            targets: of the 95th percentile of each stage and of the total [ms]; None:
                STAGE_TARGETS.

        Raises:
            ConfigurationError: a stage has no target.
        """
        targets = STAGE_TARGETS if targets is None else targets
        missing = sorted(set(STAGE_TARGETS) - set(targets))
        if missing:
            raise ConfigurationError(f'no target for {", ".join(missing)}; expected one for each '
                                     f'of {", ".join(STAGE_TARGETS)} [ms]')
        if not isinstance(run, RecordedRun):
            run = RecordedRun(tuple(Utterance(transcript) for transcript in run))
        self.run = run
        self.usable = tuple(
            one for one in run.utterances
            if has_answer(one.transcript.status) and is_usable(one.transcript.latency))
        self.paths = CriticalPaths([one.transcript.latency for one in self.usable])
        self.load = Load(self.usable, run)
        self._targets = targets

    def analyze_performance_gaps(self) -> dict[str, Any]:
        """Hold every stage and resource against its target.

        Returns:
            stages, resources: by name a dictionary of target, unit, count, p50, p90, p95, p99,
            max and gap; the gap is p95 less the target, positive where that is missed, None
            without a target or a value. Of a stage also after: the mean of what delayed the
            transcript, work that was over before the endpoint left out [ms].
            outcomes: how many utterances became what.
            load: window_s, rate (utterances/s), in_system (Little's law), used by resource;
            window_s is 0 where the times of the transcripts are not known.
        """
        return {
            'stages': stage_gaps(self.paths, self._targets),
            'resources': resource_gaps(self.load, self.run),
            'outcomes': outcomes(self.run, len(self.usable)),
            'load': {'window_s': self.load.window_s, 'rate': self.load.rate,
                     'in_system': self.load.in_system, 'used': self.load.used},
        }

    def identify_optimization_paths(self) -> list[dict[str, Any]]:
        """Rank what to do next.

        Returns:
            The resource that limits the capacity first, if it is used above its target; then by
            the gain in the mean end-to-end latency. Each with kind (latency or capacity),
            bottleneck, advice, command, parameters, arguments, alternatives, gain_ms and
            gain_percent (the bottleneck at its target), limit_ms (at zero), p95_before_ms,
            p95_after_ms, capacity_percent and evidence. Empty for a run without a usable
            utterance.
        """
        transcripts = [one.transcript for one in self.usable]
        return Remedies(transcripts, self.paths, self.load, self._targets).ranked()
