"""docs/monitoring.md tells of every diagnostic, metric and alert, and of no other."""

from pathlib import Path

import yaml
from monitored_world import MonitoredWorld

from xlerobot_asr_opt.core.monitor.catalog import METRICS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / 'docs' / 'monitoring.md').read_text('utf-8')
RULES = yaml.safe_load((ROOT / 'config' / 'prometheus-rules.yml').read_text('utf-8'))


def rows(heading):
    """The cells of the rows of a section that begin with a name."""
    section = PAGE.partition(f'\n## {heading}\n')[2].partition('\n## ')[0]
    return [[cell.strip() for cell in line.split('|')[1:-1]]
            for line in section.splitlines() if line.startswith('| `')]


def test_every_metric_is_told_of():
    assert rows('Prometheus') == [
        [f'`{metric.name}`', metric.kind.value, ', '.join(metric.labels), metric.help,
         metric.also] for metric in METRICS]


def test_every_side_of_the_diagnostics_is_told_of_with_what_to_do():
    told = rows('Diagnostics')
    assert [row[0].strip('`') for row in told] == list(MonitoredWorld().live(1))
    assert all(row[-1] for row in told)


def test_every_alert_is_told_of_with_what_to_do():
    alerts = [rule['alert'] for group in RULES['groups'] for rule in group['rules']]
    told = rows('Alerts')
    assert [row[0].strip('`') for row in told] == alerts
    assert all(row[-1] for row in told)


def test_every_alert_has_a_severity_and_a_summary():
    for group in RULES['groups']:
        for rule in group['rules']:
            assert rule['labels']['severity'] in ('warning', 'critical')
            assert rule['annotations']['summary']
