"""What config import makes of a cloud recogniser's settings, and what it says of the rest."""

import json

import pytest

from xlerobot_asr_opt.cli import main as entry
from xlerobot_asr_opt.cloud_configuration import RULES, as_parameter_file, translate
from xlerobot_asr_opt.cloud_settings import LEFT_OUT
from xlerobot_asr_opt.configuration import read_file
from xlerobot_asr_opt.errors import ConfigurationError

OLD = """
log_level: INFO
asr:
  provider: aliyun
  aliyun:
    appkey: 7xKEYx
    token: sEcReT
    url: wss://nls-gateway.example/ws/v1
    format: pcm
    sample_rate: 16000
    enable_intermediate_result: true
    enable_punctuation_prediction: true
    enable_inverse_text_normalization: false
    max_sentence_silence: 800
    vocabulary_id: 93fa
    language: zh-CN
    hotwords: {小猫: 5, "at: ease": 2}
audio:
  device_index: 2
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs config import on a file of that text."""
    monkeypatch.setattr(entry.signal, 'signal', lambda *_: None)

    def run(text, *arguments, name='old.yaml'):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return entry.main(['config', 'import', str(path), *arguments])
    return run


def test_what_has_an_equivalent_is_read_back_by_the_graph(run, tmp_path):
    new = tmp_path / 'new.yaml'
    assert run(OLD, '-o', str(new)) == 0
    nodes = {'/asr/ingest': 'ingest', '/asr/inference_0': 'inference', '/asr/cache': 'cache'}
    assert read_file(new, nodes) == {
        '/asr/ingest': {'hangover': 0.8, 'partials': 1.0, 'device': '2'},
        '/asr/inference_0': {
            'digits': False, 'language': 'zh', 'hotwords': ('小猫', 'at  ease'), 'beam': 8},
        '/asr/cache': {}}


def test_every_other_key_is_named_with_its_reason_and_without_its_value(run, capsys):
    assert run(OLD) == 0
    said = capsys.readouterr()
    lines = dict(line.split(': left out: ') for line in said.err.splitlines()
                 if ': left out: ' in line)
    assert set(lines) == {
        'log_level', 'asr.provider', *(f'asr.aliyun.{key}' for key in (
            'appkey', 'token', 'url', 'format', 'sample_rate', 'enable_punctuation_prediction',
            'vocabulary_id'))}
    assert all(lines.values())
    assert lines['log_level'] == 'it is not known here'
    assert 'sEcReT' not in said.err + said.out
    assert '7xKEYx' not in said.err + said.out


def test_every_setting_is_either_mapped_or_left():
    content = {'a': {'appkey': 1, 'max_sentence_silence': 500}, 'b': [{'token': 2}], 'c': None}
    outcome = translate(content)
    assert [item.key for item in outcome.mapped] == ['a.max_sentence_silence']
    assert [item.key for item in outcome.left] == ['a.appkey', 'b', 'c']


def test_no_key_is_both_mapped_and_left():
    assert not set(RULES) & set(LEFT_OUT)


@pytest.mark.parametrize('key', [
    'max_sentence_silence', 'maxSentenceSilence', 'MAX_SENTENCE_SILENCE', 'max-sentence-silence',
    'max_end_silence',
])
@pytest.mark.parametrize('value', [800, 800.0, '800'])
def test_the_spelling_of_a_key_and_of_a_number_does_not_matter(key, value):
    assert translate({key: value}).parameters == {'ingest': {'hangover': 0.8}}


@pytest.mark.parametrize(('key', 'value', 'node', 'parameters'), [
    ('enable_itn', 'true', 'inference', {'digits': True}),
    ('enableInverseTextNormalization', 0, 'inference', {'digits': False}),
    ('language', 'yue', 'inference', {'language': 'yue'}),
    ('language_hints', ['en_US'], 'inference', {'language': 'en'}),
    ('language', 'auto', 'inference', {'language': ''}),
    ('hot_words', 'left, right\nstop', 'inference',
     {'hotwords': ('left', 'right', 'stop'), 'beam': 8}),
    ('vocabulary', [{'text': 'stop', 'weight': 4}], 'inference',
     {'hotwords': ('stop',), 'beam': 8}),
    ('input_device', 'USB', 'ingest', {'device': 'USB'}),
])
def test_values_become_those_of_the_parameter(key, value, node, parameters):
    assert translate({key: value}).parameters == {node: parameters}


@pytest.mark.parametrize(('key', 'value', 'why'), [
    ('max_sentence_silence', 6000, 'ingest.hangover: got 6.0, expected 0.1 to 5 s'),
    ('max_sentence_silence', 'nan', 'ingest.hangover: got nan, expected 0.1 to 5 s'),
    ('language', '', 'it is empty'),
    ('hotwords', None, 'it is empty'),
])
def test_a_value_that_the_parameter_cannot_take_is_left(key, value, why):
    outcome = translate({key: value})
    assert outcome.mapped == ()
    assert [(item.key, item.why) for item in outcome.left] == [(key, why)]


@pytest.mark.parametrize(('text', 'complaint'), [
    ('max_sentence_silence: soon', "max_sentence_silence: got 'soon', expected milliseconds"),
    ('max_sentence_silence: true', 'max_sentence_silence: got True, expected milliseconds'),
    ('enable_itn: maybe', "enable_itn: got 'maybe', expected true or false"),
    ('hotwords: 7', 'hotwords: got 7, expected a list of phrases'),
    ('hotwords: [1, 2]', 'hotwords: got [1, 2], expected a list of phrases'),
    ('language: [zh, en]', "language: got ['zh', 'en'], expected one language, such as zh"),
    ('device: [1]', 'device: got [1], expected a name or a number'),
    ('a: {max_end_silence: 500}\nb: {max_end_silence: 600}',
     'a.max_end_silence and b.max_end_silence are both ingest.hangover, and differ'),
    ('appkey:7x\nformat:pcm', 'got a str, expected settings by name'),
    ('', 'got nothing, expected settings by name'),
    ('- a\n- b', 'got a list, expected settings by name'),
    ('{"a": [', 'not valid YAML'),
    ('a: 1\na: 2', 'a is given twice'),
    ('a: ' + '[' * 2000, 'not valid YAML'),
    (b'\xff\xfe\x00', 'not valid YAML'),
    ('a: "' + 'x' * 1_000_001 + '"', 'larger than 1000000 bytes'),
], ids=lambda value: str(value)[:40])
def test_bad_input_ends_with_2_and_says_what_is_wrong(run, capsys, tmp_path, text, complaint):
    assert run(text) == 2
    said = capsys.readouterr()
    assert complaint in said.err
    assert said.err.count(f'{tmp_path / "old.yaml"}: ') == 1
    assert said.out == ''


def test_a_file_that_grows_by_its_aliases_is_refused():
    level = {'appkey': 1}
    for _ in range(40):
        level = {'a': level, 'b': level}
    with pytest.raises(ConfigurationError, match='more than 10000 keys'):
        translate(level)


def test_one_section_alone_is_read(run, capsys):
    text = 'a: {max_end_silence: 500}\nb: {c: {max_end_silence: 600, appkey: x}}\n'
    assert run(text, '--section', 'b.c') == 0
    said = capsys.readouterr()
    assert 'hangover: 0.6' in said.out
    assert 'b.c.appkey: left out' in said.err
    assert run(text, '--section', 'b.d') == 2
    assert 'there is no section b.d' in capsys.readouterr().err


def test_json_is_read_too(run, capsys):
    assert run(json.dumps({'asr': {'maxSentenceSilence': 700}}), name='old.json') == 0
    assert 'hangover: 0.7' in capsys.readouterr().out


def test_a_file_without_an_equivalent_ends_with_1(run, capsys, tmp_path):
    assert run('appkey: x', '-o', str(tmp_path / 'new.yaml')) == 1
    assert 'nothing of it has an equivalent' in capsys.readouterr().err
    assert not (tmp_path / 'new.yaml').exists()


def test_a_file_that_is_there_stays(run, capsys, tmp_path):
    new = tmp_path / 'new.yaml'
    new.write_text('mine')
    assert run(OLD, '-o', str(new)) == 2
    assert 'is there already' in capsys.readouterr().err
    assert new.read_text() == 'mine'


def test_no_text_of_the_old_file_breaks_out_of_the_new_one(tmp_path):
    path = tmp_path / 'new.yaml'
    evil = 'x"\n/**/cache:\n  ros__parameters:\n    l1_entries: 1'
    path.write_text(as_parameter_file(translate({'device': evil}), 'a\nb: c'))
    assert read_file(path, {'/asr/ingest': 'ingest', '/asr/cache': 'cache'}) == {
        '/asr/ingest': {'device': evil}, '/asr/cache': {}}
