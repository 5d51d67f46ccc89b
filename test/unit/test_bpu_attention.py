import numpy as np
import onnx
import onnxruntime
import pytest

from xlerobot_asr_opt.models.bpu.attention_graph import HeadBuilder
from xlerobot_asr_opt.models.bpu.mapper_with_limits import limited
from xlerobot_asr_opt.models.onnx_graph import Graph

SIZE, TIME = 8, 40


def attention(query, key, value):
    scores = query @ key
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True) @ value


@pytest.fixture
def head(tmp_path):
    """A head of one graph, and the builder that made it."""
    graph = Graph('head', opset=11)
    builder = HeadBuilder(graph)
    query = graph.input('query', np.float32, [1, 1, TIME, SIZE])
    key = graph.input('key', np.float32, [1, 1, SIZE, TIME])
    value = graph.input('value', np.float32, [1, 1, TIME, SIZE])
    graph.output(builder.attend(query, key, value), 'mixed', np.float32, [1, SIZE, 1, TIME])
    graph.write_whole(tmp_path / 'head.onnx')
    return onnxruntime.InferenceSession(str(tmp_path / 'head.onnx')), builder


@pytest.mark.parametrize('spread', [0.01, 1.0, 20.0])
def test_a_head_is_attention(head, spread):
    """Weights that are all alike, and rows where one takes all; scores that overflow an exp."""
    random = np.random.default_rng(0)
    query, value = (random.normal(size=(TIME, SIZE)).astype(np.float32) for _ in 'qv')
    key = (spread * random.normal(size=(SIZE, TIME))).astype(np.float32)
    (found,) = head[0].run(None, {
        'query': query[None, None], 'key': key[None, None], 'value': value[None, None]})
    np.testing.assert_allclose(found[0, :, 0].T, attention(query, key, value), atol=2e-5)


def test_the_division_has_16_bits_and_the_exponent_a_limit(head, tmp_path):
    """The names are those of nodes and values that are in the graph."""
    _, builder = head
    nodes = {node.name: node for node in onnx.load(tmp_path / 'head.onnx').graph.node}
    assert [nodes[name].op_type for name in builder.wide] == ['Reciprocal', 'Mul']
    (limit,) = builder.limits.items()
    assert nodes[limit[0]].op_type == 'Sub'
    # What is cut off has less than half of int8's smallest step.
    assert np.exp(-limit[1]) < 0.5 / 127


class Range:
    def __init__(self, name, *thresholds):
        self.name, self.thresholds = f'{name}_HzCalibration', thresholds


class Calibrated:
    def __init__(self, *ranges):
        self.graph = self
        self.type2nodes = {'HzCalibration': ranges}


def test_ranges_are_cut_and_others_left():
    ranges = Range('far', 60.0), Range('near', 2.0), Range('other', 60.0)
    wrapped = limited(lambda *given: (Calibrated(*ranges), given), {'far': 5.0, 'near': 5.0})
    _, given = wrapped('self', 'model')
    assert given == ('self', 'model')
    assert [list(one.thresholds) for one in ranges] == [[5.0], [2.0], [60.0]]


def test_a_limit_without_a_value_is_an_error():
    with pytest.raises(ValueError, match='no value to limit is called gone'):
        limited(lambda: (Calibrated(Range('there', 1.0)),), {'gone': 5.0})()
