"""The rules and the dashboard against a real Prometheus that scrapes real graphs' metrics."""

import json
import os
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
import yaml
from monitored_world import MonitoredWorld

from xlerobot_asr_opt.core.monitor.catalog import METRICS
from xlerobot_asr_opt.ros.exporter import Exporter

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / 'config' / 'prometheus-rules.yml'
DASHBOARD = json.loads((ROOT / 'config' / 'grafana-dashboard.json').read_text('utf-8'))
ALERTS = [rule for group in yaml.safe_load(RULES.read_text('utf-8'))['groups']
          for rule in group['rules']]
PANELS = [panel for panel in DASHBOARD['panels'] if panel['type'] != 'row']
PATIENCE_S = 60.0
SCRAPES = 3
ABSENT = 'AsrNotMonitored'
"""It is about there being no metrics at all."""


def program(name):
    """Find a program of the Debian package prometheus, or skip; REQUIRE_PROMETHEUS=1: fail."""
    found = shutil.which(name)
    if found is None:
        reason = f'{name} is not installed: apt-get install prometheus'
        if os.environ.get('REQUIRE_PROMETHEUS') == '1':
            pytest.fail(reason)
        pytest.skip(reason)
    return found


class Server:
    """A Prometheus that scrapes a healthy graph and a broken one."""

    def __init__(self, directory):
        self._worlds = {'healthy': MonitoredWorld(), 'broken': MonitoredWorld(broken=True)}
        self._exporters = {name: Exporter(0, '127.0.0.1') for name in self._worlds}
        self._live()
        config = directory / 'prometheus.yml'
        config.write_text(json.dumps({
            'global': {'scrape_interval': '200ms', 'scrape_timeout': '200ms'},
            'scrape_configs': [
                {'job_name': name, 'static_configs': [{'targets': [f'127.0.0.1:{one.port}']}]}
                for name, one in self._exporters.items()]}))
        self._log = (directory / 'log').open('w+')
        self._process = subprocess.Popen(
            [program('prometheus'), f'--config.file={config}', '--web.listen-address=127.0.0.1:0',
             f'--storage.tsdb.path={directory / "data"}'],
            stdout=subprocess.DEVNULL, stderr=self._log, cwd=directory)
        self._url = f'http://{self._await(self._address)}'

    def scrape(self):
        """Let the graphs live on until each was scraped some times."""
        counted = 'min(count_over_time(up[5m])) by ()'

        def scraped():
            self._live()
            answer = self.query(counted)
            return answer and float(answer[0]['value'][1]) >= SCRAPES
        self._await(scraped)

    def query(self, expression, at=None):
        """Return the result of an instant query."""
        asked = {'query': expression} | ({} if at is None else {'time': at})
        url = f'{self._url}/api/v1/query?{urllib.parse.urlencode(asked)}'
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
            told = json.load(answer)
        assert told['status'] == 'success'
        return told['data']['result']

    def names(self):
        """Names of all metrics that were scraped."""
        url = f'{self._url}/api/v1/label/__name__/values'
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
            return set(json.load(answer)['data'])

    def close(self):
        self._process.terminate()
        self._process.wait(PATIENCE_S)
        self._log.close()
        for exporter in self._exporters.values():
            exporter.close()

    def _live(self):
        for name, world in self._worlds.items():
            world.live(7)
            exporter = self._exporters[name]
            exporter.show(world.monitor.families(world.monitor.judge()))

    def _address(self):
        """The address that Prometheus has chosen, as its log tells it."""
        told = (Path(self._log.name)).read_text()
        found = re.search(r'msg="Listening on" address=(\S+)', told)
        return found and 'ready to receive' in told and found[1]

    def _await(self, condition):
        deadline = time.monotonic() + PATIENCE_S
        while not (value := condition()):
            assert self._process.poll() is None, Path(self._log.name).read_text()
            assert time.monotonic() < deadline, Path(self._log.name).read_text()
            time.sleep(0.1)
        return value


@pytest.fixture(scope='module')
def server(tmp_path_factory):
    program('prometheus')
    server = Server(tmp_path_factory.mktemp('prometheus'))
    try:
        server.scrape()
        yield server
    finally:
        server.close()


def asked(expression):
    """A query of the dashboard with Grafana's variables filled in."""
    return expression.replace('$__rate_interval', '5m').replace('$instance', '.*')


def test_prometheus_takes_the_rules():
    done = subprocess.run([program('promtool'), 'check', 'rules', RULES], capture_output=True,
                          text=True, check=False, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f'{len(ALERTS)} rules found' in done.stdout


def test_every_metric_of_the_catalogue_is_scraped(server):
    suffix = {'histogram': '_bucket'}
    expected = {metric.name + suffix.get(metric.kind.value, '') for metric in METRICS}
    assert expected - server.names() == set()


@pytest.mark.parametrize('rule', [rule for rule in ALERTS if rule['alert'] != ABSENT],
                         ids=lambda rule: rule['alert'])
def test_an_alert_fires_for_the_broken_graph_alone(server, rule):
    assert {found['metric']['job'] for found in server.query(rule['expr'])} == {'broken'}


def test_the_absence_of_metrics_is_noticed(server):
    rule, = (rule for rule in ALERTS if rule['alert'] == ABSENT)
    assert server.query(rule['expr']) == []
    assert server.query(rule['expr'], at=1) != []


@pytest.mark.parametrize('panel', PANELS, ids=lambda panel: panel['title'])
def test_every_query_of_the_dashboard_has_an_answer(server, panel):
    assert panel['targets']
    for target in panel['targets']:
        answer = server.query(asked(target['expr']))
        assert answer, target['expr']
        assert any(found['value'][1] != 'NaN' for found in answer), target['expr']


def test_the_dashboard_is_one_that_grafana_takes():
    identities = [panel['id'] for panel in DASHBOARD['panels']]
    assert len(set(identities)) == len(identities)
    cells = set()
    for panel in DASHBOARD['panels']:
        place = panel['gridPos']
        own = {(x, y) for x in range(place['x'], place['x'] + place['w'])
               for y in range(place['y'], place['y'] + place['h'])}
        assert place['x'] + place['w'] <= 24
        assert not own & cells, f'{panel["title"]} lies over another panel'
        cells |= own
    variables = {item['name'] for item in DASHBOARD['templating']['list']}
    used = set(re.findall(r'\$\{?(\w+)', json.dumps(DASHBOARD['panels'])))
    assert used - {'__rate_interval'} <= variables


def test_every_label_of_a_legend_is_one_of_its_query(server):
    for panel in PANELS:
        for target in panel['targets']:
            wanted = set(re.findall(r'{{(\w+)}}', target['legendFormat']))
            for found in server.query(asked(target['expr'])):
                assert wanted <= set(found['metric']), (panel['title'], target['expr'])
