"""xlerobot-asr analyze: what it reads, prints and draws, and what it says of bad input."""

import contextlib
import json
import os
import re
import xml.etree.ElementTree as ET
from collections import deque
from pathlib import Path

import pytest
from recorded_runs import START_NS, latency, run, samples, transcript
from rosbags.rosbag2 import StoragePlugin, Writer

from xlerobot_asr_opt.cli import main as entry
from xlerobot_asr_opt.cli import session
from xlerobot_asr_opt.cli.performance_page import performance_page, waterfall_bars
from xlerobot_asr_opt.cli.run_file import read_run, write_run
from xlerobot_asr_opt.core.performance import PerformanceIntegrator
from xlerobot_asr_opt.core.performance_records import RecordedRun
from xlerobot_asr_opt.errors import SourceError
from xlerobot_asr_opt.records import Latency, TranscriptStatus, Word
from xlerobot_asr_opt.sources.bag import STORAGES
from xlerobot_asr_opt.sources.definitions import PACKAGE, typestore
from xlerobot_asr_opt.sources.transcripts import TRANSCRIPT_TYPE, read_transcripts

ROOT = Path(__file__).resolve().parents[2]
STORE = typestore(ROOT / PACKAGE / 'msg')
SVG = '{http://www.w3.org/2000/svg}'


@pytest.fixture
def asr(monkeypatch, capsys):
    """Runs the command; returns exit code, standard output and standard error."""
    monkeypatch.setattr(entry.signal, 'signal', lambda *_: None)

    def call(*arguments):
        code = entry.main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()
    return call


@pytest.fixture
def recorded():
    slow = latency(ahead=1.0, decode=90.0)
    return run([*(transcript(number, stages=slow) for number in range(4)),
                transcript(4, TranscriptStatus.REJECTED, reason='too long')],
               resources=samples(ingest=0.2, inference_0=0.5), processors=2)


def message(name, **fields):
    return STORE.types[f'{PACKAGE}/msg/{name}'](**fields)


def stamp(time_ns):
    sec, nanosec = divmod(time_ns, 1_000_000_000)
    return STORE.types['builtin_interfaces/msg/Time'](sec=sec, nanosec=nanosec)


def serialised(one):
    """A transcript as ROS serialises it."""
    fields = {name: getattr(one, name) for name in (
        'stream', 'segment', 'sequence', 'text', 'language', 'emotion', 'event', 'confidence',
        'worker', 'backend', 'reason', 'cache', 'attempts', 'missing_chunks')}
    header = STORE.types['std_msgs/msg/Header'](stamp=stamp(one.begin_ns), frame_id=one.stream)
    words = [message('Word', text=word.text, begin=word.begin_s, end=word.end_s,
                     confidence=word.confidence) for word in one.words]
    return STORE.serialize_cdr(message(
        'Transcript', header=header, status=int(one.status), flags=int(one.flags), words=words,
        begin=stamp(one.begin_ns), end=stamp(one.end_ns),
        latency=message('Latency', **vars(one.latency)), **fields), TRANSCRIPT_TYPE)


def write_bag(path, transcripts, storage='mcap'):
    with Writer(path, version=9, storage_plugin=StoragePlugin[storage.upper()]) as bag:
        topic = bag.add_connection('/asr/transcript', TRANSCRIPT_TYPE, typestore=STORE)
        for number, one in enumerate(transcripts):
            bag.write(topic, START_NS + number * 1_000_000_000, serialised(one))
    return path


@pytest.mark.parametrize('storage', STORAGES)
def test_transcripts_of_a_bag_are_read(tmp_path, storage):
    stages = Latency(ingest=0.5, encode=30.5, total=31.0)
    one = transcript(3, stages=stages, confidence=0.5, words=(Word('word', 0.25, 0.5, 0.75),))
    bag = write_bag(tmp_path / 'bag', [one, transcript(4)], storage)
    (first_ns, first), (second_ns, second) = read_transcripts(bag)
    assert first == one
    assert (first_ns, second_ns) == (START_NS, START_NS + 1_000_000_000)
    assert second.text == 'word 4'


def test_a_bag_is_analysed(asr, tmp_path):
    slow = latency(ahead=1.0, encode=120.0)
    bag = write_bag(tmp_path / 'bag', [transcript(n, stages=slow) for n in range(3)])
    code, out, _ = asr('analyze', bag)
    assert code == 0
    assert re.search(r'encode +20\.00 +120\.00', out)
    assert '3 utterances: 3 done' in out
    assert '1. encode: let the model use every core; 100.00 ms' in out
    assert 'xlerobot-asr up --parameters inference.threads=0' in out
    assert 'not sampled' in out


def test_a_run_is_kept_and_read_again(tmp_path, recorded):
    path = tmp_path / 'run.json'
    write_run(path, recorded)
    # Two runs with NaN are not equal, so they are compared as they are written.
    again = tmp_path / 'again.json'
    write_run(again, read_run(path))
    assert again.read_text() == path.read_text()
    assert 'NaN' not in path.read_text()
    assert read_run(path).resources == recorded.resources


def test_rows_for_programs(asr, tmp_path, recorded):
    write_run(tmp_path / 'run.json', recorded)
    code, out, _ = asr('analyze', tmp_path / 'run.json', '--json', '--target', 'decode=10')
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    decode = next(row for row in rows if row['row'] == 'stage' and row['name'] == 'decode')
    assert (decode['target'], decode['gap']) == (10.0, 80.0)
    paths = [row for row in rows if row['row'] == 'path']
    assert paths[0]['bottleneck'] == 'decode'
    assert [row['rank'] for row in paths] == list(range(1, len(paths) + 1))
    assert next(row for row in rows if row['row'] == 'outcomes')['rejected'] == 1
    assert any(row['name'] == 'all PSS' for row in rows if row['row'] == 'resource')


def test_the_page_is_well_formed_and_self_contained(asr, tmp_path, recorded):
    write_run(tmp_path / 'run.json', recorded)
    page = tmp_path / 'page.html'
    assert asr('analyze', tmp_path / 'run.json', '--html', page)[0] == 0
    text = page.read_text('utf-8')
    root = ET.fromstring(text)
    # Three waterfalls, the percentiles, cores and memory.
    assert len(list(root.iter('svg'))) == 6
    assert not re.search(r'https?:|//|<script|@import|url\(|\bsrc=|\bhref=', text)
    assert 'word 1' in text
    assert 'inference.retry_confidence=0.0' in text


def test_what_was_said_cannot_break_the_page(recorded):
    wild = transcript(0, text='</svg><script>"&\'', stages=latency())
    text = performance_page(PerformanceIntegrator([wild]), '<b>"run"')
    ET.fromstring(text)
    assert '<script>' not in text
    assert '<b>' not in text


@pytest.mark.parametrize('stages', [Latency(), latency(encode=1e5), latency(ahead=1e4)])
@pytest.mark.parametrize('count', [1, 2])
def test_a_page_of_extremes(stages, count):
    recorded = run([transcript(stages=stages)], resources=samples(count, ingest=0.0))
    text = performance_page(PerformanceIntegrator(recorded), 'one')
    ET.fromstring(text)
    assert not re.search(r'[ ",>](nan|-?inf)[ ",<]', text)


def test_a_page_without_an_utterance():
    ET.fromstring(performance_page(PerformanceIntegrator(RecordedRun(())), 'nothing'))


def test_the_waterfall_ends_with_the_transcript():
    one = latency(ahead=40.0, encode=100.0, other=3.0)
    bars, ticket = waterfall_bars(one)
    assert ticket == one.ingest
    assert bars[-1].end == pytest.approx(one.total)
    assert bars[-1].end - bars[-1].begin == pytest.approx(3.0)
    assert all(bar.begin <= bar.end for bar in bars)
    # The encoder begins before the ticket and ends after it: a part of its bar is pale.
    early = {bar.name: bar.early - bar.begin for bar in bars if bar.early > bar.begin}
    assert list(early) == ['transport', 'wait', 'features', 'encode']
    assert sum(early.values()) == pytest.approx(40.0 - one.cache - one.queue)


@pytest.mark.parametrize('arguments', [[], ['run.json', '--live']])
def test_one_source_is_named(asr, arguments):
    code, _, err = asr('analyze', *arguments)
    assert code == 2
    assert 'expected either a BAG or RUN.json, or --live' in err


def test_a_file_that_is_not_there(asr, tmp_path):
    code, _, err = asr('analyze', tmp_path / 'nowhere')
    assert (code, 'no such file' in err) == (1, True)
    code, _, err = asr('analyze', tmp_path / 'nowhere.json')
    assert (code, 'cannot be read: No such file' in err) == (1, True)


@pytest.mark.parametrize('text', [
    '', '{}', '[]', '{"format": "another"}',
    '{"format": "xlerobot-asr run 1", "utterances": [{}], "resources": [], "processors": 2}'])
def test_a_file_that_is_no_run(asr, tmp_path, text):
    (tmp_path / 'run.json').write_text(text)
    code, _, err = asr('analyze', tmp_path / 'run.json')
    assert code == 1
    assert 'not a recorded run' in err
    assert 'analyze --save FILE' in err


def test_a_bag_without_transcripts(tmp_path):
    with Writer(tmp_path / 'bag', version=9) as bag:
        topic = bag.add_connection('/chat', 'std_msgs/msg/String', typestore=STORE)
        text = STORE.types['std_msgs/msg/String'](data='hello')
        bag.write(topic, START_NS, STORE.serialize_cdr(text, 'std_msgs/msg/String'))
    with pytest.raises(SourceError, match=(
            r'no message of type .*Transcript; it holds /chat \(std_msgs/msg/String, 1 messages\);'
            r' record a running graph with `xlerobot-asr record')):
        read_transcripts(tmp_path / 'bag')


def test_a_damaged_transcript(tmp_path):
    with Writer(tmp_path / 'bag', version=9) as bag:
        topic = bag.add_connection('/asr/transcript', TRANSCRIPT_TYPE, typestore=STORE)
        bag.write(topic, START_NS, serialised(transcript())[:40])
    with pytest.raises(SourceError, match='a transcript cannot be read'):
        read_transcripts(tmp_path / 'bag')


def test_nothing_was_recognised(asr, tmp_path):
    bag = write_bag(tmp_path / 'bag', [transcript(0, TranscriptStatus.EXPIRED)])
    code, out, err = asr('analyze', bag)
    assert code == 1
    assert '1 utterances: 1 expired' in out
    assert 'no utterance was recognised in this run' in err


class Client:
    """The client of a graph in which one utterance is heard with every turn, then Ctrl-C."""

    namespace = '/hall'

    def __init__(self, heard=()):
        self.transcripts = deque()
        self._heard = deque(heard)

    def spin(self, seconds):
        if self._heard:
            self.transcripts.append(self._heard.popleft())
        else:
            raise KeyboardInterrupt


@pytest.fixture
def graph(monkeypatch):
    """Lets a graph run, or none; returns what sets it."""
    def set_client(client):
        @contextlib.contextmanager
        def running(namespace, _discovery_s):
            assert namespace == 'hall'
            yield client
        monkeypatch.setattr(session, 'running_graph', running)
    return set_client


def test_the_graph_that_runs_is_analysed(asr, graph, tmp_path):
    graph(Client([transcript(number, stages=latency(ahead=1.0, decode=90.0))
                  for number in range(3)]))
    code, out, err = asr('analyze', '--live', '--namespace', 'hall', '--seconds', '60', '--save',
                         tmp_path / 'run.json')
    assert code == 0
    assert '3 utterances: 3 done' in out
    assert 'decode: decode nothing twice' in out
    assert 'listening to /hall for 60 s' in err
    assert 'ended early' in err
    saved = read_run(tmp_path / 'run.json')
    assert [one.transcript.text for one in saved.utterances] == ['word 0', 'word 1', 'word 2']
    assert all(one.published_ns > START_NS for one in saved.utterances)
    assert saved.processors == os.cpu_count()


def test_no_graph_runs(asr, graph):
    graph(None)
    code, _, err = asr('analyze', '--live', '--namespace', 'hall')
    assert code == 1
    assert 'no active graph in /hall: start one with `xlerobot-asr up`' in err


def test_nobody_speaks(asr, graph):
    graph(Client())
    code, _, err = asr('analyze', '--live', '--namespace', 'hall')
    assert code == 1
    assert 'no transcript within 30 s: somebody has to speak' in err


def test_a_page_that_cannot_be_written(asr, tmp_path, recorded):
    write_run(tmp_path / 'run.json', recorded)
    code, _, err = asr('analyze', tmp_path / 'run.json', '--html', tmp_path / 'no' / 'page.html')
    assert (code, 'cannot be written' in err) == (1, True)
