"""A graph reads no weights from outside of its own directory."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.onnx_external import check_external
from xlerobot_asr_opt.models.onnx_session import open_session


def weights(location):
    tensor = TensorProto(name='w', data_type=TensorProto.FLOAT, dims=[4])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (('location', location), ('offset', '0'), ('length', '16')):
        tensor.external_data.add(key=key, value=value)
    return tensor


def value(name):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [4])


def write(directory, location, where='graph'):
    """Write y = x + w, with w in another file, known to the graph or to a branch of an If."""
    add = helper.make_node('Add', ['x', 'w'], ['y'])
    if where == 'graph':
        graph = helper.make_graph([add], 'g', [value('x')], [value('y')], [weights(location)])
    elif where == 'branch':
        branch = helper.make_graph([add], 'b', [], [value('y')], [weights(location)])
        choice = helper.make_node('If', ['c'], ['y'], then_branch=branch, else_branch=branch)
        wish = helper.make_tensor_value_info('c', TensorProto.BOOL, [])
        graph = helper.make_graph([choice], 'g', [value('x'), wish], [value('y')])
    else:
        constant = helper.make_node('Constant', [], ['w'], value=weights(location))
        graph = helper.make_graph([constant, add], 'g', [value('x')], [value('y')])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)])
    model.ir_version = 8
    path = directory / 'model.onnx'
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def place(tmp_path):
    (tmp_path / 'secret.bin').write_bytes(np.arange(4, dtype=np.float32).tobytes())
    (tmp_path / 'model' / 'inner').mkdir(parents=True)
    return tmp_path / 'model'


@pytest.mark.parametrize('where', ['graph', 'branch', 'constant'])
@pytest.mark.parametrize('location', ['../secret.bin', 'inner/../../secret.bin', '{}/secret.bin'])
def test_a_file_outside_is_refused(place, location, where):
    path = write(place, location.format(place.parent), where)
    with pytest.raises(ModelError, match='expected a file beside it'):
        open_session(path, 1)


@pytest.mark.parametrize('location', ['weights.bin', 'inner/weights.bin'])
def test_a_file_beside_it_is_read(place, location):
    (place / location).write_bytes(np.arange(4, dtype=np.float32).tobytes())
    session = open_session(write(place, location), 1)
    assert session.run(None, {'x': np.ones(4, np.float32)})[0].tolist() == [1, 2, 3, 4]


def test_what_is_no_graph_is_told(place):
    path = place / 'model.onnx'
    path.write_bytes(b'\xff location')
    with pytest.raises(ModelError, match='not an ONNX model'):
        check_external(path)


def test_the_fields_are_those_of_onnx():
    numbers = {name: onnx.AttributeProto.DESCRIPTOR.fields_by_name[name].number
               for name in ('t', 'g', 'tensors', 'graphs', 'sparse_tensor', 'sparse_tensors')}
    assert numbers == {'t': 5, 'g': 6, 'tensors': 10, 'graphs': 11, 'sparse_tensor': 22,
                       'sparse_tensors': 23}
    assert onnx.TensorProto.DESCRIPTOR.fields_by_name['external_data'].number == 13
    assert onnx.ModelProto.DESCRIPTOR.fields_by_name['functions'].number == 25
