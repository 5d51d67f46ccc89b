import json

import pytest

from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.bpu.mapper import _progress
from xlerobot_asr_opt.models.bpu.report import (
    Placement,
    read_estimate,
    read_placement,
    read_reason,
)

LOG = """\
2026-01-01 10:00:00,000 \x1b[92mINFO\x1b[0m Start to compile the model with march bayes-e.
Node           ON   Subgraph  Type                    Cosine Similarity  Threshold  DataType
--------------------------------------------------------------------------------------------
Conv_0         BPU  id(0)     HzSQuantizedConv        0.999774           1.4098     int8
Softmax_29     CPU  --        Softmax                 0.999774           --         float
Div_3_mul      BPU  id(1)     HzSElementwiseMul       0.97               4.3        int16
2026-01-01 10:00:01,000 \x1b[92mINFO\x1b[0m The quantized model output:
"""


def summary(path, **changes):
    content = {'latency (us)': 1000.5, 'FPS': 999.5, 'DDR bytes per frame': 2000,
               'BPU OPs per frame (effective)': 3000, **changes}
    path.write_text(json.dumps({'summary': content}))
    return path


def test_the_nodes_of_each_side_are_told():
    assert read_placement(LOG) == Placement(2, ('Softmax_29',))


def test_a_log_without_a_table_is_told():
    with pytest.raises(ModelError, match='no table of nodes'):
        read_placement('INFO all is well')


def test_the_estimate_is_the_sum_of_the_parts(tmp_path):
    parts = [summary(tmp_path / 'a.json'),
             summary(tmp_path / 'b.json', **{'latency (us)': '999.5'})]
    found = read_estimate(parts)
    assert (found.latency_us, found.fps, found.ddr_bytes, found.ops) == (2000.0, 500.0, 4000, 6000)


def test_no_estimate_is_told(tmp_path):
    with pytest.raises(ModelError, match='no part of the model is on the BPU'):
        read_estimate([])
    path = tmp_path / 'a.json'
    for content in ('{"summary": {}}', '{}', '{"summary": 3}'):
        path.write_text(content)
        with pytest.raises(ModelError, match='no estimate of the form that is known'):
            read_estimate([path])
    path.write_text('no JSON')
    with pytest.raises(ModelError, match='cannot be read as JSON'):
        read_estimate([path])


@pytest.mark.parametrize(('log', 'reason'), [
    ('', 'nothing was said'),
    ('a\n\nb\nc\nd\n', 'b\nc\nd'),
    ('begin\n\x1b[91mERROR\x1b[0m model is wrong\nTraceback\nend\n', 'ERROR model is wrong'),
    ('ValueError: one\nValueError: two\nValueError: three\nValueError: four\n',
     'ValueError: two\nValueError: three\nValueError: four')])
def test_the_reason_is_the_last_error_or_the_end(log, reason):
    assert read_reason(log) == reason


@pytest.mark.parametrize(('line', 'told'), [
    ('INFO Start to calibrate the model.', 'calibrating'),
    ('[==========      ]  40%\n', 'compiling 40%'), ('[=====     ]  41%\n', ''), ('INFO', '')])
def test_the_progress_is_what_the_compiler_tells(line, told):
    assert _progress(line) == told
