"""The signature of whatever bytes are in an ONNX file: right, or refused with ModelError."""

import contextlib

import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from small_graphs import write_perceptron

from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.onnx_signature import Signature, Value, read_signature

FUZZ = settings(max_examples=100, deadline=None,
                suppress_health_check=[HealthCheck.function_scoped_fixture])
KINDS = st.sampled_from([TensorProto.FLOAT, TensorProto.INT64, TensorProto.FLOAT16])
NAMES = st.text(st.characters(exclude_categories=['Cs']), min_size=1, max_size=20)
SIZES = st.one_of(st.integers(0, 2**31), NAMES)
VALUES = st.dictionaries(NAMES, st.tuples(KINDS, st.lists(SIZES, max_size=5)), max_size=5)


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """The bytes of a model with weights."""
    return write_perceptron(tmp_path_factory.mktemp('whole') / 'model.onnx').read_bytes()


def read(tmp_path, content):
    path = tmp_path / 'model.onnx'
    path.write_bytes(content)
    return read_signature(path)


def graph_end(content):
    """The byte behind the graph; of what lies behind it nothing is read."""
    model = onnx.load_from_string(content)
    graph = model.graph.SerializeToString()
    return content.index(graph) + len(graph)


@FUZZ
@given(inputs=VALUES, outputs=VALUES)
def test_what_onnx_writes_is_read(tmp_path, inputs, outputs):
    def infos(values):
        return [helper.make_tensor_value_info(name, kind, shape)
                for name, (kind, shape) in values.items()]

    def expected(values):
        return {name: Value(name, kind, tuple(shape)) for name, (kind, shape) in values.items()}
    model = helper.make_model(helper.make_graph([], 'graph', infos(inputs), infos(outputs)))
    assert read(tmp_path, model.SerializeToString()) == Signature(
        expected(inputs), expected(outputs))


@FUZZ
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_model_that_is_cut_in_its_graph_is_refused(tmp_path, whole, share):
    with pytest.raises(ModelError):
        read(tmp_path, whole[:int(share * graph_end(whole))])


@FUZZ
@given(data=st.data())
def test_a_model_with_changed_bytes_is_read_or_refused(tmp_path, whole, data):
    content = bytearray(whole)
    # Most bytes are weights, that nobody looks at: the change lies where the structure is.
    places = st.one_of(st.integers(0, 300), st.integers(len(content) - 300, len(content) - 1))
    for at, byte in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1,
                                       max_size=8)):
        content[at] = byte
    with contextlib.suppress(ModelError):
        assert isinstance(read(tmp_path, bytes(content)), Signature)


@FUZZ
@given(content=st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(tmp_path, content):
    with contextlib.suppress(ModelError):
        assert isinstance(read(tmp_path, content), Signature)


@pytest.mark.parametrize('content', [
    b'\x3d\x01\x02', b'\x39\x01\x02\x03\x04', b'\x3a\x03\x61\x01\x02',
], ids=['fixed32', 'fixed64', 'fixed64 in the graph'])
def test_a_number_that_is_cut_is_refused(tmp_path, content):
    with pytest.raises(ModelError, match='cut short'):
        read(tmp_path, content)
