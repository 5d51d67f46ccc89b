"""Parameter files and overrides: which node they reach, and what is refused with which words."""

import pytest

from xlerobot_asr_opt.configuration import parse_override, read_file
from xlerobot_asr_opt.errors import ConfigurationError

NODES = {
    '/home/asr/cache': 'cache',
    '/home/asr/inference_0': 'inference',
    '/home/asr/inference_1': 'inference',
    '/home/asr/ingest': 'ingest',
}
INFERENCE = ('/home/asr/inference_0', '/home/asr/inference_1')


@pytest.fixture
def read(tmp_path):
    """Reads a file of that text; returns what it sets."""
    def read(text):
        path = tmp_path / 'my.yaml'
        path.write_text(text)
        return {node: some for node, some in read_file(path, NODES).items() if some}
    return read


@pytest.fixture
def complaint(read, tmp_path):
    """What is said of a file of that text, without its name, which must come first."""
    def complaint(text):
        with pytest.raises(ConfigurationError) as caught:
            read(text)
        path, said = str(tmp_path / 'my.yaml'), str(caught.value)
        assert said.startswith(f'{path}: ')
        return said.removeprefix(f'{path}: ')
    return complaint


def section(name, *lines):
    return '\n'.join([f'{name}:', '  ros__parameters:', *(f'    {line}' for line in lines), ''])


@pytest.mark.parametrize(('name', 'reached'), [
    ('/home/asr/inference_1', INFERENCE[1:]),
    ('/**/inference_0', INFERENCE[:1]),
    ('/home/*/inference_0', INFERENCE[:1]),
    ('/*/*/inference_0', INFERENCE[:1]),
    ('inference_0', INFERENCE[:1]),
    ('/home/asr/inference', INFERENCE),
    ('/**/inference', INFERENCE),
    ('inference', INFERENCE),
])
def test_a_section_reaches_the_nodes_of_its_name(read, name, reached):
    assert read(section(name, 'threads: 2')) == {node: {'threads': 2} for node in reached}


@pytest.mark.parametrize('name', ['/**', '"**"', '/home/asr/*', '/home/**'])
def test_a_wildcard_gives_each_node_what_it_has(read, name):
    # The cache has no language, the ingest no threads.
    assert read(section(name, 'threads: 2', 'language: "de"', 'l1_entries: 7')) == {
        '/home/asr/cache': {'l1_entries': 7},
        '/home/asr/inference_0': {'threads': 2, 'language': 'de'},
        '/home/asr/inference_1': {'threads': 2, 'language': 'de'},
        '/home/asr/ingest': {'language': 'de'},
    }


def test_namespaces_may_be_nested(read):
    assert read('home:\n  asr:\n    cache:\n      ros__parameters:\n        l1_entries: 7\n') == {
        '/home/asr/cache': {'l1_entries': 7}}


def test_the_later_section_wins(read):
    text = section('/**/inference', 'threads: 2', 'digits: false') + section(
        '/**/inference_1', 'threads: 3')
    assert read(text) == {
        INFERENCE[0]: {'threads': 2, 'digits': False},
        INFERENCE[1]: {'threads': 3, 'digits': False}}


def test_every_node_may_be_given_the_time_of_a_simulation(read):
    assert read(section('/**', 'use_sim_time: true')) == {
        node: {'use_sim_time': True} for node in NODES}


def test_a_section_may_be_empty(read):
    assert read('ingest:\n  ros__parameters:\n') == {}


@pytest.mark.parametrize(('text', 'said'), [
    (section('ingest', 'hangovr: 0.3'),
     'ingest: unknown parameter hangovr; did you mean hangover?'),
    (section('cache', 'colour: 3'),
     'cache: unknown parameter colour; known: directory, l1_entries, l1_ttl, l2_entries, l2_ttl, '
     'l3_entries'),
    (section('ingest', 'hangover: 9'), 'ingest: hangover: got 9.0, expected 0.1 to 5 s'),
    (section('ingest', 'hangover: .nan'), 'ingest: hangover: got nan, expected 0.1 to 5 s'),
    (section('ingest', 'hangover: long'),
     "ingest: hangover: got 'long' (str), expected a float"),
    (section('ingest', 'source: radio'),
     "ingest: source: got 'radio', expected topic, file, mic, none"),
    (section('ingest', 'files: speech.wav'),
     "ingest: files: got 'speech.wav' (str), expected a list of strings"),
    (section('inference', 'digits: 1'), 'inference: digits: got 1 (int), expected a bool'),
    (section('cache', 'use_sim_time: 1'), 'cache: use_sim_time: got 1, expected a bool'),
    (section('/**/ingset', 'hangover: 1.0'),
     'section /**/ingset is for no node of this graph; did you mean ingest?'),
    (section('/kitchen/sink', 'hangover: 1.0'),
     'section /kitchen/sink is for no node of this graph; its nodes are ' + ', '.join(NODES)),
    (section('cache', 'l1_entries: 7', 'l1_entries: 8'),
     'not valid YAML: l1_entries is given twice'),
    ('cache: [', 'not valid YAML: while parsing a flow node'),
    ('\x00', 'not valid YAML:'),
    ('', 'got nothing, expected sections like "/**/ingest:", each with "ros__parameters:"'),
    ('hangover: 0.3\n', 'got 0.3 in hangover, expected sections like'),
    ('ingest:\n  hangover: 0.3\n', 'got 0.3 in ingest/hangover, expected sections like'),
    ('ingest:\n  ros__parameters: [hangover]\n',
     "ingest: got ['hangover'] under ros__parameters, expected a mapping"),
])
def test_what_does_not_fit_is_told(complaint, text, said):
    assert complaint(text).startswith(said)


def test_a_file_that_is_not_there_is_told(tmp_path):
    path = tmp_path / 'none.yaml'
    with pytest.raises(ConfigurationError) as caught:
        read_file(path, NODES)
    assert str(caught.value) == f'{path}: cannot be read: No such file or directory'


def test_a_file_that_is_no_text_is_told(tmp_path):
    path = tmp_path / 'speech.wav'
    path.write_bytes(b'RIFF\xff\xfe')
    with pytest.raises(ConfigurationError, match='not valid YAML'):
        read_file(path, NODES)


def test_yaml_runs_no_code(complaint):
    assert 'could not determine a constructor' in complaint(
        'ingest: !!python/object/apply:os.getcwd []\n')


@pytest.mark.parametrize(('text', 'values'), [
    ('ingest.hangover=0.3', {'/home/asr/ingest': {'hangover': 0.3}}),
    ('/home/asr/ingest.hangover=1', {'/home/asr/ingest': {'hangover': 1.0}}),
    ('inference.threads=2', {node: {'threads': 2} for node in INFERENCE}),
    ('inference_1.digits=false', {INFERENCE[1]: {'digits': False}}),
    # A string is taken as it is, whatever YAML would make of it.
    ('inference_0.model=7', {INFERENCE[0]: {'model': '7'}}),
    ('cache.directory=/a=b', {'/home/asr/cache': {'directory': '/a=b'}}),
    ('ingest.files=a.wav,b.wav', {'/home/asr/ingest': {'files': ('a.wav', 'b.wav')}}),
    ('ingest.files=["a,b.wav"]', {'/home/asr/ingest': {'files': ('a,b.wav',)}}),
    ('ingest.files=', {'/home/asr/ingest': {'files': ()}}),
])
def test_an_override_is_read_as_its_type(text, values):
    assert parse_override(text, NODES) == values


@pytest.mark.parametrize(('text', 'said'), [
    ('hangover=0.3', "got 'hangover=0.3', expected node.parameter=value"),
    ('ingest.hangover', "got 'ingest.hangover', expected node.parameter=value"),
    ('ingest.=1', "got 'ingest.=1', expected node.parameter=value"),
    ('ingset.hangover=1', 'ingset.hangover=1: no node ingset; did you mean ingest?'),
    ('ingest.hangovr=1',
     'ingest.hangovr=1: unknown parameter hangovr; did you mean hangover?'),
    ('ingest.hangover=9', 'ingest.hangover=9: hangover: got 9.0, expected 0.1 to 5 s'),
    ('inference.threads=2.5', 'inference.threads=2.5: threads: got 2.5 (float), expected a'),
    ('inference.threads=', 'inference.threads=: threads: got None (NoneType), expected a'),
    ('inference.threads=[', "threads: got '[': while parsing"),
])
def test_an_override_that_does_not_fit_is_told(text, said):
    with pytest.raises(ConfigurationError) as caught:
        parse_override(text, NODES)
    assert str(caught.value).startswith(said)
