"""The report of a validation, in Markdown and as a page: every figure names its command."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xlerobot_asr_opt.cli import svg
from xlerobot_asr_opt.cli.page import page, table
from xlerobot_asr_opt.core.validation import FIGURES, figures

if TYPE_CHECKING:
    from xlerobot_asr_opt.cli.revisions import ChangedLines
    from xlerobot_asr_opt.core.validation import Verdict

__all__ = ['Report', 'Row', 'state']


@dataclass(frozen=True)
class Row:
    """One figure of the report, with the command that gives it."""

    stage: str
    figure: str
    before: str
    after: str
    asked: str
    holds: bool
    command: str


@dataclass(frozen=True)
class Report:
    """What a validation found.

    Attributes:
        source: what was played, in words.
        command: that was typed.
        verdicts: of the stages, in order.
        commands: what starts the graph, plays the audio and prints the figures of each
            measurement, by its name.
        additions: what the graph has beside the contract.
        changes: lines that changed since a revision; None: not asked for.
    """

    source: str
    command: str
    verdicts: Sequence[Verdict]
    commands: dict[str, tuple[str, ...]]
    additions: Sequence[str] = ()
    changes: ChangedLines | None = None

    def rows(self) -> Iterator[Row]:
        """Every check of every stage."""
        for verdict in self.verdicts:
            for check in verdict.checks:
                lines = self._told(check.told_by, (*verdict.references, *verdict.names))
                yield Row(verdict.stage.name, check.figure, check.before, check.after,
                          check.asked, check.holds, '; '.join(lines) or self.command)

    def measurements(self) -> Iterator[tuple[str, dict[str, float], str]]:
        """The figures without and with each stage, and the command that gives them."""
        for verdict in self.verdicts:
            name = verdict.stage.name
            for title, measured, names in (
                    (f'before {name}', verdict.before, verdict.references),
                    (name, verdict.after, verdict.names)):
                yield (title, dict(figures(measured)), '; '.join(self._told('analyze', names)))

    def _commands_once(self) -> Iterator[tuple[Row, str]]:
        """Every row with its command as HTML, left out where it is that of the row before."""
        before = ''
        for row in self.rows():
            yield row, ('as above' if row.command == before
                        else f'<code>{html.escape(row.command)}</code>')
            before = row.command

    def _told(self, tool: str, names: Sequence[str]) -> Sequence[str]:
        """The commands of some measurements that tell a kind of figure, each once."""
        return [*dict.fromkeys(line for name in names for line in self.commands[name]
                               if line.startswith(f'xlerobot-asr {tool} '))]

    def summary(self) -> Iterator[str]:
        """The report in a few lines for people."""
        for verdict in self.verdicts:
            yield f'{verdict.stage.name:14} {state(verdict):12} {_change(verdict)}'
            for check in verdict.checks:
                mark = 'holds' if check.holds else 'FAILS'
                yield (f'  {mark}  {check.figure}: {check.before or "-"} to {check.after}, asked '
                       f'{check.asked}')
        yield from self._notes()

    def markdown(self) -> str:
        """The report as Markdown."""
        lines = [f'# Validation of {self.source}', '', f'    {self.command}', '']
        lines += [f'- **{verdict.stage.name}: {state(verdict)}.** {_change(verdict)}: '
                  f'{verdict.stage.criterion}.' for verdict in self.verdicts]
        lines += [f'- {line}' for line in self._notes()]
        lines += ['', '## Checks', '', *_grid(
            ('stage', 'figure', 'before', 'after', 'asked', 'holds', 'command'),
            ((row.stage, row.figure, row.before, row.after, row.asked,
              'yes' if row.holds else '**no**', f'`{row.command}`') for row in self.rows()))]
        lines += ['', '## Measurements', '', *_grid(('', *FIGURES, 'command'), (
            (name, *(f'{value:.2f}' for value in values.values()), f'`{command}`')
            for name, values, command in self.measurements())), '', '## Commands', '']
        for name, commands in self.commands.items():
            lines += [f'{name}:', '', *(f'    {command}' for command in commands), '']
        return '\n'.join(lines)

    def html(self) -> str:
        """The report as a self-contained page."""
        stages = table(('stage', 'verdict', 'switched on', 'criterion'), (
            (html.escape(verdict.stage.name),
             f'<span class="{"good" if verdict.accepted else "bad"}">{state(verdict)}</span>',
             f'<code>{html.escape(_change(verdict))}</code>',
             html.escape(verdict.stage.criterion)) for verdict in self.verdicts))
        notes = ''.join(f'<p class="soft">{html.escape(line)}</p>' for line in self._notes())
        checks = table(('stage', 'figure', 'before', 'after', 'asked', 'holds', 'command'), (
            (row.stage, html.escape(row.figure), row.before, html.escape(row.after), row.asked,
             f'<span class="{"good" if row.holds else "bad"}">{"yes" if row.holds else "no"}'
             '</span>', command) for row, command in self._commands_once()), numbers=(2, 3, 4))
        measured = table(('', *FIGURES, 'command'), (
            (html.escape(name), *(f'{value:.2f}' for value in values.values()),
             f'<code>{html.escape(command)}</code>')
            for name, values, command in self.measurements()),
            numbers=range(1, len(FIGURES) + 1))
        commands = ''.join(
            f'<p>{html.escape(name)}</p>' + ''.join(
                f'<p><code>{html.escape(command)}</code></p>' for command in commands)
            for name, commands in self.commands.items())
        return page(f'Validation of {self.source}', self.command, (
            ('Stages', stages + notes), ('End to end, p50 to p95', self._chart()),
            ('Checks', checks), ('Measurements', measured), ('Commands', commands)))

    def _chart(self) -> str:
        """The latencies without and with each stage."""
        rows = []
        for verdict in self.verdicts:
            name = verdict.stage.name
            style = 'total' if verdict.accepted else 'bad'
            for title, one, colour in ((f'before {name}', verdict.before, 'early'),
                                       (name, verdict.after, style)):
                low, high, most = (one.percentile(rank, 'total') for rank in (50, 95, 100))
                if math.isfinite(most):
                    rows.append(svg.Range(title, low, low, high, most, None, colour))
        return svg.ranges(rows, 'ms')

    def _notes(self) -> Iterator[str]:
        if self.additions:
            yield f'beside the contract: {"; ".join(self.additions)}'
        if (changes := self.changes) is not None:
            yield (f'lines since {changes.since}: {changes.added} added, {changes.removed} '
                   f'removed, of {changes.lines}: {changes.ratio:.1%} changed '
                   f'(git diff --numstat {changes.since} HEAD)')


def state(verdict: Verdict) -> str:
    """What became of a stage, in words."""
    if verdict.stage.name == 'compatibility':
        return 'accepted' if verdict.accepted else 'broken'
    return 'accepted' if verdict.accepted else 'rolled back'


def _change(verdict: Verdict) -> str:
    """What the stage switches on."""
    change = verdict.stage.change
    words = [f'processes={change.processes}'] if change.processes > 1 else []
    return ' '.join([*words, *change.parameters]) or 'nothing'


def _grid(head: Sequence[str], rows: Iterator[Sequence[str]] | Sequence[Sequence[str]],
          ) -> Iterator[str]:
    """A table in Markdown."""
    for cells in (head, ['---'] * len(head), *rows):
        yield '| ' + ' | '.join(cell.replace('|', '\\|') for cell in cells) + ' |'
