"""JSON and YAML that others wrote: what the libraries let through, and we do not."""

import os
import time

import pytest

from xlerobot_asr_opt.configuration import read_yaml
from xlerobot_asr_opt.core.cache_values import from_json
from xlerobot_asr_opt.errors import ConfigurationError, ModelError, StoreError
from xlerobot_asr_opt.models.bundle import Bundle
from xlerobot_asr_opt.models.ctc_tokens import read_pieces
from xlerobot_asr_opt.models.layout import open_model
from xlerobot_asr_opt.models.tokens import read_json
from xlerobot_asr_opt.untrusted import parse_json, parse_yaml, plain_name


@pytest.mark.parametrize('text', [
    '[' * 100_000, '{"a":' * 50_000, '"\\ud800"', '{"\\udfff": 1}', '[NaN]', '-Infinity',
    '9' * 5000, b'\xff', b'"\xed\xa0\x80"', '\ud800'])
def test_json_that_breaks_others_is_refused(text):
    with pytest.raises(ValueError, match=r'.'):
        parse_json(text)


def test_json_in_any_language_is_taken():
    assert parse_json('{"a": "\\ud83d\\ude00 你好"}') == {'a': '😀 你好'}


LAUGHS = 'a: &a {x: 1, y: 1}\n' + ''.join(
    f'{chr(98 + number)}: &{chr(98 + number)} {{x: *{chr(97 + number)}, y: *{chr(97 + number)}}}\n'
    for number in range(24))


@pytest.mark.parametrize('text', [
    LAUGHS, 'a: &a [*a]', 'a: &a {b: *a}', 'a: {<<: {b: 1}}', '{[1]: 2}', '? {a: 1}\n: 2',
    '{a: 1, a: 2}', '[' * 3000, '"\\ud800"', '!!python/object/apply:os.system [id]',
    '!!binary "x"', '9' * 5000, '2020-13-45', 'a: b: c', '\0'])
def test_yaml_that_breaks_others_is_refused(text):
    with pytest.raises(ValueError, match=r'.'):
        parse_yaml(text)


def test_a_billion_laughs_take_no_time(tmp_path):
    (tmp_path / 'a.yaml').write_text(LAUGHS)
    begin = time.process_time()
    with pytest.raises(ConfigurationError, match='an alias'):
        read_yaml(tmp_path / 'a.yaml')
    assert time.process_time() - begin < 1


@pytest.mark.parametrize('name', ['..', '.', '', 'a/b', '/etc/passwd', '../a', 'a\0b', 7, None])
def test_a_name_that_leads_elsewhere_is_none(name):
    with pytest.raises(ValueError, match='without a folder'):
        plain_name(name)


@pytest.mark.parametrize('name', ['../secret', '/etc/passwd', '..'])
@pytest.mark.parametrize('kind', ['manifest', 'bundle'])
def test_a_model_names_no_file_outside_of_its_directory(tmp_path, monkeypatch, kind, name):
    import json

    from hostile_models import bundle, manifest

    (tmp_path / 'secret').write_bytes(b'abcd')
    place = tmp_path / 'model'
    place.mkdir()
    for file in ('encoder.onnx', 'decoder.onnx', 'tokenizer.json', 'a.bin', 'a.onnx'):
        (place / file).write_bytes(b'abcd')
    content = manifest() if kind == 'manifest' else bundle()
    content['files'][name] = next(iter(content['files'].values()))
    (place / f'{kind}.json').write_text(json.dumps(content))
    with pytest.raises(ModelError, match='without a folder'):
        open_model(str(place)) if kind == 'manifest' else Bundle.read(place)


def test_a_token_of_thousands_of_digits_is_told(tmp_path):
    (tmp_path / 'tokens.txt').write_text(f'a {"9" * 5000}\n')
    with pytest.raises(ModelError, match='line 1'):
        read_pieces(tmp_path / 'tokens.txt')


def test_a_json_file_without_an_end_to_its_nesting_is_told(tmp_path):
    (tmp_path / 'config.json').write_text('[' * 100_000)
    with pytest.raises(ModelError, match='nested too deeply'):
        read_json(tmp_path / 'config.json')


@pytest.mark.parametrize('field', [
    '"words": [["a", 1e999, 2, null]]', f'"words": [["a", {"9" * 400}, 2, null]]',
    f'"confidence": {"9" * 400}', '"text": "\\ud800"', '"words": [["a", -1, 2, null]]'])
def test_a_cached_value_that_no_message_can_carry_is_not_believed(field):
    fields = {'status': '"DONE"', 'text': '"a"', 'language': '""', 'confidence': 'null',
              'words': '[]', 'emotion': '""', 'event': '""', 'backend': '""', 'reason': '""'}
    fields[field.partition('"')[2].partition('"')[0]] = field.partition(': ')[2]
    value = '{' + ', '.join(f'"{name}": {text}' for name, text in fields.items()) + '}'
    with pytest.raises(StoreError, match='cached value'):
        from_json(value)


def test_the_test_itself_reads_what_is_good():
    assert parse_yaml('a: [1, 2.5, true, x]') == {'a': [1, 2.5, True, 'x']}
    assert os.sep not in plain_name('encoder.onnx')
