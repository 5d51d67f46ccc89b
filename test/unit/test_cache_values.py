"""What the cache keeps of a recognition comes back whole, and is checked."""

import json

import pytest

from xlerobot_asr_opt.core.cache_values import from_json, to_json
from xlerobot_asr_opt.errors import StoreError
from xlerobot_asr_opt.records import Recognition, RecognitionStatus, Word

SAID = Recognition(
    segment=0, attempt=0, worker='', status=RecognitionStatus.DONE, text='打开灯', language='yue',
    confidence=0.5, words=(Word('打', 0.0, 0.06, 0.5),), backend='onnxruntime', emotion='happy',
    event='speech')


def test_a_recognition_comes_back_whole():
    assert from_json(to_json(SAID)) == SAID


@pytest.mark.parametrize('field', ['emotion', 'event'])
@pytest.mark.parametrize('value', [None, 3, ['happy']])
def test_a_tag_that_is_no_text_is_refused(field, value):
    fields = json.loads(to_json(SAID)) | {field: value}
    with pytest.raises(StoreError, match=f'got {field} .*, expected a str'):
        from_json(json.dumps(fields))
