"""Which stage is kept: judged on measurements that are known."""

import dataclasses
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from recorded_runs import latency, transcript

from xlerobot_asr_opt.cli import main as entry
from xlerobot_asr_opt.cli import validate
from xlerobot_asr_opt.cli.revisions import changed_lines
from xlerobot_asr_opt.cli.validation_audio import QUIETER, prepare
from xlerobot_asr_opt.cli.validation_report import Report
from xlerobot_asr_opt.core.validation import (
    BASELINE,
    STAGES,
    Measurement,
    Setting,
    Verdict,
    judged,
)
from xlerobot_asr_opt.errors import ConfigurationError, SourceError
from xlerobot_asr_opt.processes import GraphArguments, process_table
from xlerobot_asr_opt.records import Chunk, TranscriptStatus
from xlerobot_asr_opt.sources.bag import BagReader, BagWriter

ROOT = Path(__file__).resolve().parents[2]
BY_NAME = {stage.name: stage for stage in STAGES}
SLOW = latency(encode=200.0, queue=100.0)


def measured(stages=SLOW, *more, count=4, cache='none', **given):
    """Of a graph that did the same with every utterance, in each of its passes."""
    passes = [tuple(transcript(number, stages=one, cache=cache if turn else 'none')
                    for number in range(count)) for turn, one in enumerate([stages, *more])]
    return Measurement(tuple(passes), **given)


def verdict(name, before, after):
    stage = BY_NAME[name]
    return judged(Verdict(stage, BASELINE.plus(stage.change), (f'{name}_before_1',),
                          (f'{name}_1',), before, after))


def failed(one):
    return [check.figure for check in one.checks if not check.holds]


@pytest.mark.parametrize(('name', 'after'), [
    ('performance', measured(latency(encode=100.0, queue=100.0))),
    ('concurrency', measured(latency(encode=200.0, queue=1.0))),
    ('cache', measured(SLOW, latency(encode=0.0, decode=0.0, features=0.0), cache='l1')),
    ('latency', measured(latency(encode=200.0, queue=100.0, ahead=90.0))),
    ('compatibility', measured()),
])
def test_a_stage_that_brings_what_it_should_is_accepted(name, after):
    one = verdict(name, measured(), after)
    assert failed(one) == []
    assert one.accepted


@pytest.mark.parametrize(('name', 'figure'), [
    ('performance', 'recognition p50 [ms]'), ('concurrency', 'queue and wait p95 [ms]'),
    ('latency', 'end to end p50 [ms]')])
def test_a_stage_that_changes_nothing_is_rolled_back(name, figure):
    assert failed(verdict(name, measured(), measured())) == [figure]


def test_a_faster_recogniser_that_makes_people_wait_is_rolled_back():
    after = measured(latency(encode=100.0, queue=900.0))
    assert failed(verdict('performance', measured(), after)) == ['end to end p95 [ms]']


def test_a_cache_that_does_not_answer_is_rolled_back():
    assert failed(verdict('cache', measured(), measured(SLOW, SLOW))) == [
        'answered by the cache when heard again', 'end to end p95 when heard again [ms]']


def test_a_cache_that_costs_too_much_is_rolled_back():
    after = measured(latency(encode=200.0, queue=100.0, cache=80.0),
                     latency(encode=0.0, decode=0.0), cache='l1')
    assert failed(verdict('cache', measured(), after)) == ['end to end p95 when heard first [ms]']


def test_a_break_of_the_contract_is_told():
    one = verdict('compatibility', measured(), measured(problems=('topics: text is gone',)))
    assert failed(one) == ['breaks of the contract']
    assert one.checks[0].after == 'topics: text is gone'


def test_nothing_may_be_lost_and_no_text_may_change():
    after = measured(latency(encode=100.0, queue=100.0), lost=3)
    other = dataclasses.replace(after.passes[0][0], text='another word')
    silent = dataclasses.replace(after.passes[0][1], status=TranscriptStatus.EXPIRED)
    after = dataclasses.replace(after, passes=((other, silent, *after.passes[0][2:]),))
    one = verdict('performance', measured(), after)
    assert failed(one) == ['chunks lost and utterances without an answer',
                           'utterances with another text']
    assert [check.after for check in one.checks if not check.holds] == ['4', '1 of 4']


def test_a_measurement_without_an_utterance_holds_nothing():
    assert not verdict('performance', measured(count=0), measured(count=0)).accepted


def test_rounds_are_judged_together():
    both = measured(latency(encode=100.0)).plus(measured(latency(encode=300.0), lost=2))
    assert both.percentile(50, 'encode') == pytest.approx(200.0)
    assert (len(both.passes), len(both.passes[0]), both.lost) == (1, 8, 2)


@pytest.mark.parametrize('stage', STAGES, ids=lambda stage: stage.name)
def test_every_stage_is_a_graph_that_can_be_started(stage):
    setting = BASELINE.plus(stage.change)
    table = process_table(GraphArguments(
        processes=setting.processes, parameters=setting.parameters))
    assert sum(process.executable == 'inference' for process in table) == setting.processes


def test_a_change_replaces_what_it_changes():
    changed = BASELINE.plus(Setting(('scheduler.use_cache=true', 'ingest.hangover=0.3'), 2))
    assert changed.parameters == (
        'inference.threads=1', 'inference.capacity=1', 'scheduler.look_ahead=false',
        'scheduler.use_cache=true', 'ingest.hangover=0.3')
    assert changed.processes == 2
    assert changed.plus(Setting()) == changed


@pytest.fixture
def report():
    verdicts = [verdict('performance', measured(), measured(latency(encode=100.0, queue=100.0))),
                verdict('latency', measured(), measured()),
                verdict('compatibility', measured(), measured(problems=('a | b <gone>',)))]
    commands = {name: ('xlerobot-asr up', 'xlerobot-asr replay bag',
                       f'xlerobot-asr analyze {name}.json')
                for one in verdicts for name in (*one.references, *one.names)}
    return Report('speech', 'xlerobot-asr validate speech', verdicts, commands)


def test_every_figure_names_its_command(report):
    rows = list(report.rows())
    assert len(rows) == sum(len(one.checks) for one in report.verdicts)
    assert all(row.command.startswith('xlerobot-asr ') for row in rows)
    assert rows[0].command == ('xlerobot-asr analyze performance_before_1.json; '
                               'xlerobot-asr analyze performance_1.json')
    text = report.markdown()
    assert '- **performance: accepted.** inference.threads=0' in text
    assert '- **latency: rolled back.**' in text
    assert '- **compatibility: broken.**' in text
    checks = text.partition('## Checks')[2].partition('## Measurements')[0].splitlines()
    table = [line for line in checks if line.startswith('| ')][2:]
    assert len(table) == len(rows)
    assert all('`xlerobot-asr ' in line for line in table)
    figures = [line for line in text.splitlines() if line.startswith('| before performance |')]
    assert len(figures) == 1
    assert figures[0].endswith('| `xlerobot-asr analyze performance_before_1.json` |')


def test_the_page_of_the_report_is_well_formed(report):
    text = report.html()
    ET.fromstring(text)
    assert 'http' not in text
    assert 'rolled back' in text
    assert 'a | b &lt;gone&gt;' in text


def test_the_audio_is_heard_several_times_at_once(tmp_path):
    rng = np.random.default_rng(1)
    with BagWriter(tmp_path / 'long') as bag:
        bag.add_topic('/hall/audio')
        for number in range(40):
            samples = rng.integers(-9000, 9000, 1600).astype(np.int16)
            bag.write_chunk('/hall/audio', Chunk(
                'hall', number, 10**18 + number * 100_000_000, 16_000, 1, samples))
    assert prepare(tmp_path / 'long', tmp_path / 'bag', '/v/audio', 2, 2.0) == pytest.approx(2.0)
    with BagReader(tmp_path / 'bag') as bag:
        assert bag.audio_topics == ('/v/audio',)
        heard = {}
        for _, chunk in bag.chunks():
            heard.setdefault(chunk.stream, []).append(chunk)
    assert set(heard) == {'hall', 'hall_1'}
    for chunks in heard.values():
        assert [chunk.sequence for chunk in chunks] == list(range(30))
        assert np.all(np.diff([chunk.stamp_ns for chunk in chunks]) == 100_000_000)
        # The last second is the pause that ends the last word.
        assert not any(chunk.samples.any() for chunk in chunks[20:])
    np.testing.assert_array_equal(
        heard['hall_1'][3].samples, np.rint(heard['hall'][3].samples * QUIETER))


def test_audio_that_is_not_there(tmp_path):
    with pytest.raises(SourceError, match='nowhere'):
        prepare(tmp_path / 'nowhere', tmp_path / 'bag', '/v/audio', 1, 2.0)


@pytest.mark.parametrize(('arguments', 'said'), [
    (['--streams', '0'], '--streams: got 0, expected 1 to 16'),
    (['--rounds', '101'], '--rounds: got 101, expected 1 to 100'),
    (['--contract', 'nowhere.json'], 'nowhere.json: cannot be read'),
    (['--since', 'no-such-revision'], 'expected a revision of the work tree'),
])
def test_wrong_arguments(monkeypatch, capsys, tmp_path, arguments, said):
    monkeypatch.setattr(entry.signal, 'signal', lambda *_: None)
    monkeypatch.setattr(validate, 'require_ros', lambda: None)
    monkeypatch.setattr(validate, 'contract_path', lambda: ROOT / 'config' / 'contract.json')
    output = tmp_path / 'out'
    assert entry.main(['validate', 'speech.wav', '-o', str(output), *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not output.exists()


def test_a_recording_that_cannot_be_read_leaves_nothing_behind(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(entry.signal, 'signal', lambda *_: None)
    monkeypatch.setattr(validate, 'require_ros', lambda: None)
    monkeypatch.setattr(validate, 'contract_path', lambda: ROOT / 'config' / 'contract.json')
    output = tmp_path / 'out'
    assert entry.main(['validate', str(tmp_path / 'nowhere'), '-o', str(output)]) == 1
    assert 'nowhere: no such file' in capsys.readouterr().err
    assert not output.exists()
    output.mkdir()
    assert entry.main(['validate', 'speech.wav', '-o', str(output)]) == 1
    assert 'cannot be made: File exists; name another one with --output' in capsys.readouterr().err


def test_changed_lines(tmp_path):
    def git(*words):
        person = ('-c', 'user.name=n', '-c', 'user.email=n@example.org')
        subprocess.run(['git', '-C', str(tmp_path), *person, *words], check=True,
                       capture_output=True)
    git('init', '-q')
    (tmp_path / 'a.txt').write_text('1\n2\n3\n4\n')
    git('add', '.')
    git('commit', '-qm', 'first')
    (tmp_path / 'a.txt').write_text('1\n2\n3\n5\n6\n')
    (tmp_path / 'b.bin').write_bytes(bytes(range(256)))
    git('add', '.')
    git('commit', '-qm', 'second')
    changes = changed_lines('HEAD~1', tmp_path)
    assert (changes.added, changes.removed, changes.lines, changes.ratio) == (2, 1, 4, 0.75)
    assert changed_lines('HEAD', tmp_path).ratio == 0.0
    for revision in ('no-such', '--output=stolen'):
        with pytest.raises(ConfigurationError, match='expected a revision of the work tree'):
            changed_lines(revision, tmp_path)
    assert not (tmp_path / 'stolen').exists()


def test_no_work_tree(tmp_path):
    with pytest.raises(ConfigurationError, match='Not a git repository'):
        changed_lines('HEAD', tmp_path)
