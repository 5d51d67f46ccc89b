"""What an operator sees of a graph of real processes."""

import itertools
import json
import socket
import urllib.request

import numpy as np
import pytest
from rcl_interfaces.msg import LoggerLevel
from rcl_interfaces.srv import SetLoggerLevels
from talking import as_chunks, conversation, utterance

from xlerobot_asr_interfaces.msg import Transcript
from xlerobot_asr_interfaces.srv import ForceLevel
from xlerobot_asr_opt.cli.main import main
from xlerobot_asr_opt.records import TranscriptStatus
from xlerobot_asr_opt.ros import names

DOMAIN = 66
NAMESPACE = 'watched'
NODES = ['cache', 'inference_0', 'scheduler', 'ingest']


@pytest.fixture(scope='module')
def port():
    with socket.create_server(('127.0.0.1', 0)) as server:
        return server.getsockname()[1]


@pytest.fixture(scope='module')
def talk(tmp_path_factory, port):
    with conversation(tmp_path_factory.mktemp('top'), DOMAIN, NAMESPACE,
                      f'manager.monitor_port={port}', 'manager.memory_period=0.5',
                      'ingest.partials=0.5', 'scheduler.longest_command=1.0') as talk:
        yield talk


@pytest.fixture
def seen(talk, capsys):
    """Runs xlerobot-asr top --once; gives its exit status and what it wrote."""
    def seen(*arguments):
        status = main(['top', '--once', *arguments])
        return status, *capsys.readouterr()
    return seen


def test_top_shows_what_the_graph_did(talk, seen):
    talk.ask()

    def after_it():
        """What top shows, once the scheduler has told of what was said."""
        status, text, _ = seen('--namespace', NAMESPACE, '--json')
        assert status == 0
        told = json.loads(text)
        sides = {one['name']: one['level'] for one in told['judgements']}
        heard = told['losses'].get('utterances') and told['requests']['done'] > 1
        # The first report of memory may come before every process was found.
        measured = all(one['pss_bytes'] for one in told['nodes'])
        return told if heard and measured and sides['memory'] != 'STALE' else None
    told = talk.until(after_it, 'a frame with an utterance')
    assert told['judged_by'] == 'manager'
    sides = {one['name']: one['level'] for one in told['judgements']}
    assert sides['nodes'] == sides['losses'] == sides['memory'] == 'OK'
    assert {one['node']: one['state'] for one in told['nodes']} == {
        **dict.fromkeys(NODES, 'active'), 'manager': 'running'}
    assert all(one['pss_bytes'] > 10_000_000 for one in told['nodes'])
    assert told['requests']['workers'] == 1
    assert 0 < told['latency']['p50 [s]'] <= told['latency']['p95 [s]']
    assert {'first'} <= {one['stream'] for one in told['streams']}


def test_top_is_readable(talk, seen):
    status, text, _ = seen('--namespace', NAMESPACE)
    assert status == 0
    for word in (f'/{NAMESPACE}', *NODES, 'active', 'losses', 'first'):
        assert word in text


def test_the_metrics_agree_with_the_graph(talk, port):
    said = len(talk.heard)
    talk.ask()

    def scraped():
        with urllib.request.urlopen(f'http://127.0.0.1:{port}/metrics', timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        values = dict(line.rsplit(' ', 1) for line in lines if not line.startswith('#'))
        return values if float(
            values.get('asr_requests_total{outcome="success"}', 0)) > said else None
    values = talk.until(scraped, 'metrics of one utterance more')
    assert float(values['asr_workers']) == 1
    assert all(float(values[f'asr_node_active{{node="{node}"}}']) == 1 for node in NODES)
    transcripts = float(values['asr_transcripts_total{status="done"}'])
    assert transcripts == float(values['asr_request_duration_seconds_count'])
    assert float(values['asr_stream_segments_total{stream="first"}']) == 1


def test_a_log_level_changes_while_the_graph_runs(talk):
    client = talk.client._node.create_client(SetLoggerLevels, 'scheduler/set_logger_levels')
    talk.until(client.service_is_ready, 'the service of the levels')

    def set_level(level):
        answer = client.call_async(SetLoggerLevels.Request(levels=[
            LoggerLevel(name=f'{NAMESPACE}.scheduler', level=level)]))
        talk.until(answer.done, 'an answer')
        assert answer.result().results[0].successful

    def told():
        return [line for line in talk.lines if 'event=transcript' in line]
    assert told() == []
    set_level(LoggerLevel.LOG_LEVEL_DEBUG)
    talk.ask('loud')
    line = talk.said('event=transcript', 'stream=loud')
    assert 'status=done' in line
    assert talk.text not in line
    set_level(LoggerLevel.LOG_LEVEL_INFO)
    talk.ask('quiet')
    talk.ask('quiet')
    assert not any('stream=quiet' in line for line in told())


@pytest.fixture(scope='module')
def hold(talk):
    """Holds the graph at a level, or releases it, and waits until the nodes heed that."""
    client = talk.client._node.create_client(ForceLevel, names.FORCE_LEVEL)
    talk.until(client.service_is_ready, 'the service of the levels')

    def hold(level, heeded=''):
        answer = client.call_async(ForceLevel.Request(level=level))
        talk.until(answer.done, 'an answer')
        if answer.result().success:
            for node in ('scheduler', 'ingest', 'inference_0'):
                talk.said(f'{NAMESPACE}.{node}', f'level {heeded or level}: ')
        return answer.result()
    return hold


@pytest.fixture(scope='module')
def partials(talk):
    heard = []
    talk.client._node.create_subscription(
        Transcript, names.PARTIAL, heard.append, names.TRANSCRIPT_QOS)
    talk.until(lambda: talk.client._node.count_publishers(names.PARTIAL), 'who publishes partials')
    return heard


LOUDNESS = itertools.count(90, -1)
"""Of what is said slowly [%]: an answer that is known of equal samples is not shown again."""


def say_slowly(talk, stream):
    """Say a second of the utterance, wait for another one, and say the rest."""
    chunks = as_chunks(stream, (utterance() * (next(LOUDNESS) / 100)).astype(np.int16))
    before = len(talk.of(stream))
    talk.publish(chunks[:12])
    talk.client.spin_until(lambda: False, 1.0)
    talk.publish(chunks[12:])
    talk.until(lambda: len(talk.of(stream)) > before, f'an answer on {stream}')
    return talk.of(stream)[-1]


def test_a_level_that_is_held_takes_effect_and_ends(talk, hold, partials, seen, capsys):
    def eager():
        """Whether a partial text was heard; its reader may be discovered late."""
        assert say_slowly(talk, 'eager').status is TranscriptStatus.DONE
        return [one for one in partials if one.stream == 'eager']
    talk.until(eager, 'a partial text')

    assert hold('finals').success
    assert say_slowly(talk, 'calm').status is TranscriptStatus.DONE
    assert not [one for one in partials if one.stream == 'calm']

    assert hold('commands').success
    said = talk.ask('long')
    assert said.status is TranscriptStatus.REJECTED
    assert 'at the level commands the longest is 1 s: held by hand' in said.reason

    assert hold('refuse').success
    said = talk.ask('refused')
    assert said.status is TranscriptStatus.REJECTED
    assert said.reason.startswith('the graph is at the level refuse: held by hand; it would be')
    assert main(['status', '--namespace', NAMESPACE]) == 0
    assert 'level refuse: held by hand' in capsys.readouterr().out
    _, text, _ = seen('--namespace', NAMESPACE, '--json')
    assert json.loads(text)['level']['forced'] == 'yes'

    refused = hold('cpu_small')
    assert not refused.success
    assert 'no smaller model answers (inference.small_model)' in refused.message
    assert hold('', heeded='bpu').success
    assert talk.ask('released').status is TranscriptStatus.DONE


def test_no_graph_is_told(seen):
    status, _, complaint = seen('--namespace', 'nobody')
    assert status == 1
    assert complaint == 'no graph is active in /nobody. This starts one: xlerobot-asr up\n'
