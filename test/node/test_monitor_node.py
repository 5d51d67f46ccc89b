"""The monitor in the manager's process: what it tells, and what it must not break."""

import contextlib
import re
import socket
import urllib.error
import urllib.request

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from xlerobot_asr_interfaces import msg, srv
from xlerobot_asr_opt.core.dispatch_records import DispatchStatistics
from xlerobot_asr_opt.core.monitor.judgement import Judgement, Level
from xlerobot_asr_opt.nodes.manager import Manager
from xlerobot_asr_opt.records import StreamState, StreamStatus, Transcript, TranscriptStatus
from xlerobot_asr_opt.ros import conversions, names
from xlerobot_asr_opt.ros.loans import LoanedPublisher

DOMAIN = 66
COUNTERS = DispatchStatistics(
    open=1, waiting=1, workers=1, admitted=8, done=5, rejected=2, expired=0, cancelled=0,
    granted=5, regranted=0, cache_hits=0, shared=0, ahead=0, ahead_used=0,
    foretold=0, stolen=0, partials=0)


class Watched:
    """A manager, and whoever else is in its graph.

    Attributes:
        told: the diagnostics of this manager, as they came: name to status.
    """

    def __init__(self, world):
        self.world = world
        self.manager = Manager()
        self._source = self.manager.get_fully_qualified_name().lstrip('/')
        world.executor.add_node(self.manager)
        self.told = []
        world.player.create_subscription(
            DiagnosticArray, names.DIAGNOSTICS, self._heard, names.DIAGNOSTICS_QOS)

    def _heard(self, message):
        own = [status for status in message.status if status.name.startswith(self._source)]
        if own:
            self.told.append({status.name.partition(': ')[2]: status for status in own})

    def publish(self, kind, topic, qos, message):
        publisher = self.world.player.create_publisher(kind, topic, qos)
        self.world.spin_until(publisher.get_subscription_count, f'who hears {topic}')
        publisher.publish(message)

    def until(self, condition):
        def met():
            return bool(self.told) and condition(self.told[-1])
        self.world.spin_until(met, lambda: self.told[-1:])
        return self.told[-1]

    def is_served(self):
        """Whether the manager answers."""
        return not self.world.call(srv.IsActive, names.IS_ACTIVE).active

    def close(self):
        self.manager._monitor.close()
        self.world.executor.remove_node(self.manager)
        self.manager.destroy_node()


@pytest.fixture
def begin(open_world):
    with contextlib.ExitStack() as stack:
        def begin(**parameters):
            world = open_world(node='manager', **{
                'nodes': ['cache'], 'autostart': False, 'memory_period': 0.0,
                'monitor_period': 0.05} | parameters)
            watched = Watched(world)
            stack.callback(watched.close)
            return watched
        yield begin


def free_port():
    with socket.create_server(('127.0.0.1', 0)) as server:
        return server.getsockname()[1]


def scraped(port, query=''):
    with urllib.request.urlopen(f'http://127.0.0.1:{port}/metrics{query}', timeout=5) as answer:
        return answer.read().decode()


def test_diagnostics_have_every_side_and_the_numbers(begin):
    watched = begin(loss_error=0.2)
    told = watched.until(lambda told: True)
    assert list(told) == ['nodes', 'audio', 'latency', 'losses', 'backends', 'memory', 'cache',
                          'level']
    assert told['nodes'].level == DiagnosticStatus.WARN
    assert told['nodes'].message == 'cache was not heard yet'
    assert told['losses'].level == DiagnosticStatus.STALE
    assert told['memory'].message == 'not watched: manager.memory_period is 0'
    statuses = LoanedPublisher(
        watched.world.player, msg.SchedulerStatus, names.SCHEDULER, names.LATCHED_QOS)

    def report(**counters):
        with statuses.loan() as view:
            conversions.write_scheduler(
                view, 1, True, DispatchStatistics(**vars(COUNTERS) | counters))
    report()
    watched.until(lambda told: told['losses'].level == DiagnosticStatus.OK)
    report(rejected=7, admitted=13)
    told = watched.until(lambda told: told['losses'].level == DiagnosticStatus.ERROR)
    assert told['losses'].message.startswith('5 of 5 utterances got no transcript (rejected 5, ')
    assert {pair.key: pair.value for pair in told['losses'].values}['rejected'] == '5'


def test_metrics_are_scraped(begin):
    port = free_port()
    watched = begin(monitor_port=port)
    watched.publish(msg.Transcript, names.TRANSCRIPT, names.TRANSCRIPT_QOS,
                    conversions.transcript_message(Transcript(
                        1, 'hall', 0, TranscriptStatus.DONE, 0, 1, worker='inference_0')))
    status = LoanedPublisher(
        watched.world.player, msg.StreamStatus, names.STREAMS, names.STREAMS_QOS)
    with status.loan() as view:
        conversions.write_status(
            view, StreamStatus('ha"ll\n', StreamState.SPEECH, chunks=7, missing=2))
    watched.until(lambda told: told['audio'].message.startswith('1 open')
                  and told['latency'].values)
    count = len(watched.told)
    watched.until(lambda _: len(watched.told) > count + 1)
    text = scraped(port)
    assert 'asr_transcripts_total{status="done"} 1.0' in text
    assert r'asr_stream_chunks_missing_total{stream="ha\"ll\n"} 2.0' in text
    assert re.search(r'asr_request_duration_seconds_bucket\{le="\+Inf"\} 1.0', text)
    assert 'segment="' not in text
    alone = scraped(port, '?name[]=asr_transcripts_total')
    assert set(re.findall(r'^\w+', alone, re.MULTILINE)) == {'asr_transcripts_total'}


def test_an_error_is_a_line_in_the_log_and_a_flutter_is_not(begin, caplog, monkeypatch):
    watched = begin()
    levels = iter([Level.OK, *[Level.ERROR, Level.OK] * 20])
    judged = []

    def judge():
        judged.append(Judgement('latency', next(levels), f'said {len(judged)}'))
        return judged[-1:]
    monkeypatch.setattr(watched.manager._monitor._monitor, 'judge', judge)
    watched.world.spin_until(lambda: len(judged) > 10, 'judgements')
    assert [line for line in caplog.messages if line.startswith('latency')] == ['latency: said 1']


def test_a_port_that_is_taken_is_told_and_the_manager_goes_on(begin, caplog):
    with socket.create_server(('127.0.0.1', 0)) as server:
        watched = begin(monitor_port=server.getsockname()[1])
        watched.until(lambda told: told)
        assert watched.is_served()
    assert 'no metrics for Prometheus at 127.0.0.1' in caplog.text


@pytest.mark.parametrize('address', ['no such address', 'a..b', '192.0.2.1'])
def test_an_address_that_is_none_of_ours_is_told(begin, caplog, address):
    watched = begin(monitor_port=free_port(), monitor_address=address)
    watched.until(lambda told: told)
    assert f'no metrics for Prometheus at {address}' in caplog.text


def test_no_port_is_opened_unless_one_is_asked_for(begin):
    watched = begin()
    watched.until(lambda told: told)
    assert watched.manager._monitor._exporter is None


def test_a_fault_of_the_monitor_ends_it_alone(begin, caplog, monkeypatch):
    port = free_port()
    watched = begin(monitor_port=port)
    watched.until(lambda told: told)
    monkeypatch.setattr(
        watched.manager._monitor._monitor, 'judge', lambda: 1 / 0)
    watched.world.spin_until(lambda: 'the monitor failed' in caplog.text, 'a line in the log')
    assert watched.is_served()
    count = len(watched.told)
    assert watched.is_served()
    assert len(watched.told) == count
    with pytest.raises(urllib.error.URLError):
        scraped(port)


def test_it_can_be_left_out(open_world):
    open_world(node='manager', nodes=['cache'], autostart=False, monitor_period=0.0)
    manager = Manager()
    try:
        assert names.DIAGNOSTICS not in {
            publisher.topic_name for publisher in manager.publishers}
    finally:
        manager.destroy_node()
