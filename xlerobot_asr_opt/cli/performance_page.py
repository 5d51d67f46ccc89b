"""The picture of a run: waterfall, percentiles, cores and memory, and what to do next."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xlerobot_asr_opt.cli import svg
from xlerobot_asr_opt.cli.page import page, table
from xlerobot_asr_opt.core.critical_path import SERIAL, WORK

if TYPE_CHECKING:
    from xlerobot_asr_opt.core.performance import PerformanceIntegrator
    from xlerobot_asr_opt.core.performance_records import RecordedRun
    from xlerobot_asr_opt.records import Latency, Transcript

__all__ = ['performance_page', 'waterfall_bars']

_SPEECH = {'features', 'encode', 'decode'}
_KEY = '<div class="key">{}</div>'


def performance_page(integrator: PerformanceIntegrator, source: str) -> str:
    """Draw a run.

    Args:
        integrator: of the run.
        source: where it came from, for the reader.
    """
    gaps = integrator.analyze_performance_gaps()
    outcomes, load = gaps['outcomes'], gaps['load']
    subtitle = f'{source}: {outcomes["count"]} utterances, {len(integrator.usable)} analysed'
    if load['window_s']:
        subtitle += f', {load["window_s"]:.1f} s, {load["rate"]:.2f} utterances/s'
    sections = [('What to do next', _remedies(integrator.identify_optimization_paths()))]
    if integrator.usable:
        sections += [('One utterance', _waterfalls(integrator)),
                     ('Stages', _percentiles(gaps['stages']))]
    if integrator.run.resources:
        sections += [('Cores', _over_time(integrator.run, 'cores', 'cores')),
                     ('Memory', _over_time(integrator.run, 'pss_mb', 'MB'))]
    sections.append(('Every figure', _figures(gaps)))
    return page('Where the time went', subtitle, sections)


def waterfall_bars(latency: Latency) -> tuple[list[svg.Bar], float]:
    """Lay the stages of one utterance out in time.

    Returns:
        The bars from the last chunk received on [ms], and when its ticket was published: what is
        over by then delays nobody. Where that work was over earlier, it ends at the ticket here.
    """
    at, bars = 0.0, []
    for name in SERIAL:
        bars.append(svg.Bar(name, at, at + getattr(latency, name), at, 'own'))
        at = bars[-1].end
    ticket = latency.ingest
    at -= latency.ahead
    for name in WORK:
        end = at + getattr(latency, name)
        bars.append(svg.Bar(name, at, end, min(max(at, ticket), end),
                            'speech' if name in _SPEECH else 'own'))
        at = end
    at = max(at, ticket)
    bars.append(svg.Bar('other', at, max(at, latency.total), at, 'own'))
    return bars, ticket


def _waterfalls(integrator: PerformanceIntegrator) -> str:
    """The median, the p95 and the slowest utterance, one to be chosen."""
    order = np.argsort(integrator.paths.total, kind='stable')
    count = len(order)
    chosen = {'median': order[(count - 1) // 2], 'p95': order[min(count - 1, int(0.95 * count))],
              'slowest': order[-1]}
    inputs, figures = [], []
    for number, (name, index) in enumerate(chosen.items()):
        transcript = integrator.usable[index].transcript
        checked = ' checked="checked"' if number == 0 else ''
        inputs.append(
            f'<input type="radio" name="utterance" id="t{number}"{checked}/><label '
            f'for="t{number}">{name} {transcript.latency.total:.1f} ms</label>')
        figures.append(f'<figure id="f{number}">{_utterance(transcript)}</figure>')
    return f'<div class="tabs">{"".join(inputs)}{"".join(figures)}</div>'


def _utterance(transcript: Transcript) -> str:
    """The waterfall of one utterance, with what was said."""
    bars, ticket = waterfall_bars(transcript.latency)
    keys = _keys(('own', 'the graph'), ('speech', 'the recogniser'),
                 ('early', 'over before the endpoint'))
    marks = [(ticket, 'endpoint'), (transcript.latency.total, 'transcript')]
    seconds = (transcript.end_ns - transcript.begin_ns) / 1e9
    told = (f'“{transcript.text}” of {transcript.stream}, {seconds:.1f} s, by '
            f'{transcript.backend or "nobody"} on {transcript.worker or "no worker"}, cache '
            f'{transcript.cache}; 0 is the last chunk received.')
    return (f'{keys}{svg.waterfall(bars, marks, "ms")}'
            f'<figcaption>{html.escape(told)}</figcaption>')


def _percentiles(stages: dict[str, dict[str, Any]]) -> str:
    rows = [svg.Range(name, row['p50'], row['p50'], row['p95'], row['max'], row['target'],
                      'total' if name == 'total' else 'speech' if name in _SPEECH else 'own')
            for name, row in stages.items() if name in (*SERIAL, *WORK, 'other', 'total')]
    keys = _keys(('own', 'p50 to p95, the graph'), ('speech', 'the recogniser'),
                 ('total', 'end to end'), ('target', 'target of the p95; on the right: p95'))
    return keys + svg.ranges(rows, 'ms')


def _over_time(run: RecordedRun, attribute: str, unit: str) -> str:
    """Layers of every node that was sampled, over the seconds of the run."""
    times = sorted({sample.time_ns for sample in run.resources})
    nodes = sorted({sample.node for sample in run.resources})
    found = {(sample.node, sample.time_ns): getattr(sample, attribute)
             for sample in run.resources}
    series = [svg.Series(node, [found.get((node, at), 0.0) for at in times]) for node in nodes]
    keys = _keys(*((f'c{index % 6}', node) for index, node in enumerate(nodes)))
    return keys + svg.stacked([(at - times[0]) / 1e9 for at in times], series, unit)


def _remedies(paths: Sequence[dict[str, Any]]) -> str:
    if not paths:
        return '<p>Nothing brings anything: no utterance was analysed, or none was delayed.</p>'
    return table(
        ('', 'bottleneck', 'what to do', 'at its target', 'of the mean', 'at zero'),
        ((str(rank), html.escape(path['bottleneck']),
          f'{html.escape(path["advice"])}{_commands(path)}'
          f'<div class="soft">{html.escape(path["evidence"])}</div>', *_gain(path))
         for rank, path in enumerate(paths, 1)), numbers=(3, 4, 5))


def _commands(path: dict[str, Any]) -> str:
    """The command that does it, and the alternatives."""
    commands = [path['command'], *path['alternatives']]
    return ''.join(
        f'<br/><span class="soft">{"or " if number else ""}</span>'
        f'<code>{html.escape(command)}</code>' for number, command in enumerate(commands))


def _gain(path: dict[str, Any]) -> tuple[str, str, str]:
    if path['kind'] == 'capacity':
        return f'{path["capacity_percent"]:.0f}&#160;%', 'more utterances/s', ''
    if not path['gain_ms']:
        return '0&#160;ms', '', f'{path["limit_ms"]:.2f}&#160;ms'
    return (f'{path["gain_ms"]:.2f}&#160;ms', f'{path["gain_percent"]:.0f}&#160;%',
            f'{path["limit_ms"]:.2f}&#160;ms')


def _figures(gaps: dict[str, Any]) -> str:
    columns = ('target', 'p50', 'p90', 'p95', 'p99', 'max', 'gap')
    rows = {**gaps['stages'], **gaps['resources']}
    return table(('', 'unit', *columns, 'count'), (
        (html.escape(name), row['unit'], *(_number(row[column]) for column in columns[:-1]),
         _judged(row['gap']), str(row['count'])) for name, row in rows.items()),
        numbers=range(2, 10))


def _judged(gap: float | None) -> str:
    if gap is None:
        return ''
    return f'<span class="{"bad" if gap > 0 else "good"}">{gap:+.2f}</span>'


def _number(value: float | None) -> str:
    return '' if value is None else f'{value:.2f}'


def _keys(*entries: tuple[str, str]) -> str:
    return _KEY.format(''.join(f'<span><i class="{style}"></i>{html.escape(text)}</span>'
                               for style, text in entries))
