"""Which changes to a graph are kept: each stage is judged by what was measured before and after.

A stage is a set of parameters, and a criterion. It is switched on beside what was accepted before,
the same audio is played without it and with it, in turn, and its checks compare the two. Where one
fails, the stage is rolled back: the next one is measured without it.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from xlerobot_asr_opt.records import Transcript

__all__ = [
    'BASELINE', 'FIGURES', 'STAGES', 'Check', 'Measurement', 'Setting', 'Stage', 'Verdict',
    'figures', 'judged',
]

GAIN = 0.05
"""Share by which a figure must fall to count as better: twice what equal runs differ by."""
SLACK_MS = 2.0
"""A figure may rise by this and a tenth before it counts as worse [ms]."""
HITS = 0.95
"""Share of the utterances that the cache answers when they are heard again."""


@dataclass(frozen=True)
class Setting:
    """How a graph is started.

    Attributes:
        parameters: as node.parameter=value; the later wins.
        processes: inference processes.
    """

    parameters: tuple[str, ...] = ()
    processes: int = 1

    def plus(self, other: Setting) -> Setting:
        """The same with the changes of another one."""
        changed = {text.partition('=')[0] for text in other.parameters}
        kept = tuple(text for text in self.parameters if text.partition('=')[0] not in changed)
        return Setting(kept + other.parameters, max(self.processes, other.processes))


@dataclass(frozen=True)
class Measurement:
    """What one graph did with the audio.

    Attributes:
        passes: the transcripts of each time that it was played.
        lost: chunks that were lost on the way.
        memory_mb: proportional set size of all nodes at the end [MB].
        problems: where the running graph breaks the contract; of the last stage alone.
    """

    passes: tuple[tuple[Transcript, ...], ...]
    lost: int = 0
    memory_mb: float = 0.0
    problems: tuple[str, ...] = ()

    def percentile(self, rank: float, *stages: str, turn: int = 0) -> float:
        """Percentile of the sum of some stages in one pass [ms]; NaN without an utterance."""
        sums = [sum(getattr(one.latency, stage) for stage in stages) for one in self.passes[turn]]
        return float(np.percentile(sums, rank)) if sums else float('nan')

    def hit_share(self, turn: int) -> float:
        """Share of the utterances of a pass that the cache answered."""
        hits = [one.cache in ('l1', 'l2', 'l3') for one in self.passes[turn]]
        return float(np.mean(hits)) if hits else 0.0

    def plus(self, other: Measurement) -> Measurement:
        """Both together: more utterances in each pass."""
        return Measurement(
            tuple(one + two for one, two in zip(self.passes, other.passes, strict=True)),
            self.lost + other.lost, max(self.memory_mb, other.memory_mb),
            self.problems + other.problems)

    @property
    def texts(self) -> dict[tuple[str, int], frozenset[str]]:
        """What was understood, in any pass, by stream and begin."""
        texts: dict[tuple[str, int], frozenset[str]] = {}
        for one in itertools.chain(*self.passes):
            name = one.stream, one.begin_ns
            texts[name] = texts.get(name, frozenset()) | {one.text}
        return texts

    @property
    def unanswered(self) -> int:
        """Utterances that nobody recognised, in all passes."""
        return sum(one.status.name not in ('DONE', 'NO_SPEECH')
                   for turn in self.passes for one in turn)


@dataclass(frozen=True)
class Check:
    """One comparison.

    Attributes:
        figure: that is compared.
        before: without the stage.
        after: with it.
        asked: what it has to be.
        holds: whether it is.
        told_by: the command that tells the figure: analyze, replay or validate.
    """

    figure: str
    before: str
    after: str
    asked: str
    holds: bool
    told_by: str = 'analyze'


@dataclass(frozen=True)
class Stage:
    """What is switched on together, and by what it is judged.

    Attributes:
        name: of the stage.
        change: to the graph.
        criterion: in words.
        checks: compare the measurement before with the one after.
        passes: how often the audio is played.
        recorded_pace: whether it is played as it was spoken, before and after: played faster, a
            pause is shorter than the work that is done in it.
    """

    name: str
    change: Setting
    criterion: str
    checks: Callable[[Measurement, Measurement], Sequence[Check]]
    passes: int = 1
    recorded_pace: bool = False


@dataclass(frozen=True)
class Verdict:
    """What became of one stage.

    Attributes:
        stage: that was judged.
        setting: of the graph with it.
        references: names of the measurements before, one a round.
        names: names of the measurements with it, one a round.
        before: measured without the stage.
        after: measured with it.
        checks: its own, and those of every stage.
    """

    stage: Stage
    setting: Setting
    references: tuple[str, ...]
    names: tuple[str, ...]
    before: Measurement
    after: Measurement
    checks: tuple[Check, ...] = field(default=())

    @property
    def accepted(self) -> bool:
        """Whether every check holds."""
        return all(check.holds for check in self.checks)


def judged(verdict: Verdict) -> Verdict:
    """Judge one stage: nothing may be lost, no text may change, and its own criterion holds."""
    before, after = verdict.before, verdict.after
    common = (_nothing_lost(before, after), _same_texts(before, after))
    return dataclasses.replace(verdict, checks=(*verdict.stage.checks(before, after), *common))


def _nothing_lost(before: Measurement, after: Measurement) -> Check:
    lost = after.lost + after.unanswered
    return Check('chunks lost and utterances without an answer',
                 str(before.lost + before.unanswered), str(lost), '0', lost == 0, 'replay')


def _same_texts(before: Measurement, after: Measurement) -> Check:
    names = before.texts.keys() | after.texts.keys()
    other = sum(before.texts.get(name) != after.texts.get(name) for name in names)
    return Check('utterances with another text', f'of {len(before.texts)}',
                 f'{other} of {len(after.texts)}', '0', other == 0 and bool(names), 'replay')


def _falls(figure: str, before: float, after: float) -> Check:
    limit = before * (1.0 - GAIN)
    return Check(f'{figure} [ms]', f'{before:.2f}', f'{after:.2f}', f'at most {limit:.2f}',
                 after <= limit)


def _does_not_rise(figure: str, before: float, after: float) -> Check:
    limit = before * 1.1 + SLACK_MS
    return Check(f'{figure} [ms]', f'{before:.2f}', f'{after:.2f}', f'at most {limit:.2f}',
                 after <= limit)


def _performance(before: Measurement, after: Measurement) -> Sequence[Check]:
    work = ('features', 'encode', 'decode')
    return (_falls('recognition p50', before.percentile(50, *work), after.percentile(50, *work)),
            _does_not_rise('end to end p95', before.percentile(95, 'total'),
                           after.percentile(95, 'total')))


def _concurrency(before: Measurement, after: Measurement) -> Sequence[Check]:
    return (_falls('queue and wait p95', before.percentile(95, 'queue', 'wait'),
                   after.percentile(95, 'queue', 'wait')),
            _does_not_rise('end to end p95', before.percentile(95, 'total'),
                           after.percentile(95, 'total')))


def _cache(before: Measurement, after: Measurement) -> Sequence[Check]:
    hits = after.hit_share(1)
    return (Check('answered by the cache when heard again', '0%', f'{hits:.0%}',
                  f'at least {HITS:.0%}', hits >= HITS),
            _falls('end to end p95 when heard again', before.percentile(95, 'total'),
                   after.percentile(95, 'total', turn=1)),
            _does_not_rise('end to end p95 when heard first', before.percentile(95, 'total'),
                           after.percentile(95, 'total')))


def _latency(before: Measurement, after: Measurement) -> Sequence[Check]:
    return (_falls('end to end p50', before.percentile(50, 'total'),
                   after.percentile(50, 'total')),
            _does_not_rise('end to end p95', before.percentile(95, 'total'),
                           after.percentile(95, 'total')))


def _compatibility(_before: Measurement, after: Measurement) -> Sequence[Check]:
    said = '; '.join(after.problems) or 'none'
    return (Check('breaks of the contract', '', said, 'none', not after.problems, 'validate'),)


BASELINE = Setting((
    'inference.threads=1', 'inference.capacity=1', 'scheduler.use_cache=false',
    'scheduler.look_ahead=false'))
"""Everything that a stage switches on, switched off."""

STAGES: tuple[Stage, ...] = (
    Stage('performance', Setting(('inference.threads=0',)),
          'the recogniser is faster in the median, and the transcripts come no later',
          _performance),
    Stage('concurrency', Setting(('inference.capacity=2',), processes=2),
          'utterances wait less for a worker, and the transcripts come no later', _concurrency),
    Stage('cache', Setting(('scheduler.use_cache=true',)),
          'what is heard again is answered by the cache and comes earlier, what is heard first '
          'comes no later', _cache, passes=2),
    Stage('latency', Setting(('scheduler.look_ahead=true',)),
          'the transcripts come earlier in the median, and the late ones no later', _latency,
          recorded_pace=True),
    Stage('compatibility', Setting(),
          'topics, services, parameters and public names of the running graph are those of the '
          'contract', _compatibility),
)
"""In the order in which they are switched on."""


FIGURES = ('utterances', 'recognition p50 [ms]', 'queue and wait p95 [ms]',
           'end to end p50 [ms]', 'end to end p95 [ms]', 'memory [MB]')
"""What every report shows of a measurement."""


def figures(measured: Measurement) -> Mapping[str, float]:
    """The figures of the first pass of a measurement, by FIGURES."""
    return dict(zip(FIGURES, (
        float(len(measured.passes[0])),
        measured.percentile(50, 'features', 'encode', 'decode'),
        measured.percentile(95, 'queue', 'wait'),
        measured.percentile(50, 'total'),
        measured.percentile(95, 'total'),
        measured.memory_mb), strict=True))
