"""The stand-ins for the board's libraries do what the libraries are documented to do, and worse.

A runner that is careless would pass on a kinder stand-in: what they do to careless callers is the
recorded contract.
"""

import threading

import numpy as np
import pytest
from board_stand_ins import EASY_DNN, HBM, installed
from onnx import TensorProto, helper

PORT = ((1, 2, 1, 5), np.float32)


@pytest.fixture
def path(tmp_path):
    """y = x + x; rows of 5 floats, which are padded to 16."""
    def value(name):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, PORT[0])
    graph = helper.make_graph(
        [helper.make_node('Add', ['x', 'x'], ['y'])], 'test', [value('x')], [value('y')])
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8).SerializeToString()
    with installed(HBM) as compiled_model:
        return str(compiled_model.write(
            tmp_path / 'm.bin', 'm', model, {'x': PORT}, {'y': PORT}))


@pytest.fixture
def hbm(path):
    with installed(HBM):
        import hbm_runtime
        yield hbm_runtime.HB_HBMRuntime(path)


@pytest.fixture
def easy():
    with installed(EASY_DNN):
        from hobot_dnn import pyeasy_dnn
        yield pyeasy_dnn


X = np.arange(10, dtype=np.float32).reshape(PORT[0])


def test_hbm_runtime_tells_names_shapes_and_types_by_model(hbm):
    assert hbm.model_names == ['m']
    assert (hbm.input_names, hbm.output_names) == ({'m': ['x']}, {'m': ['y']})
    assert hbm.input_shapes == {'m': {'x': [1, 2, 1, 5]}}
    assert hbm.output_dtypes['m']['y'].name == 'F32'


@pytest.mark.parametrize(('array', 'told'), [
    (X[..., :4], 'Mismatch in tensor dimensions'), (X.astype(np.float64), 'Data type mismatch')])
def test_hbm_runtime_refuses_what_does_not_fit(hbm, array, told):
    with pytest.raises(ValueError, match=told):
        hbm.run({'m': {'x': array}})


def test_hbm_runtime_uses_the_memory_of_its_outputs_again(hbm):
    first = hbm.run({'m': {'x': X}})['m']['y']
    np.testing.assert_array_equal(first, 2 * X)
    assert not first.flags.c_contiguous
    hbm.run({'m': {'x': -X}})
    np.testing.assert_array_equal(first, -2 * X)


def test_hbm_runtime_knows_priorities_and_files(hbm, tmp_path):
    import hbm_runtime
    hbm.set_scheduling_params(priority={'m': 255}, bpu_cores={'m': [0]})
    with pytest.raises(ValueError, match='Priority value'):
        hbm.set_scheduling_params(priority={'m': 256})
    with pytest.raises(ValueError, match='Invalid model file extension'):
        hbm_runtime.HB_HBMRuntime(str(tmp_path / 'm.onnx'))
    with pytest.raises(TypeError):
        hbm_runtime.HB_HBMRuntime(tmp_path / 'm.bin')


def test_pyeasy_dnn_counts_elements_as_bytes(easy, path):
    (model,) = easy.load(path)
    model.forward(np.zeros(40, np.uint8))
    # The first 10 of 40 bytes: two floats and a half.
    (output,) = model.forward(X)
    assert output.buffer.reshape(-1)[:2].tolist() == [0, 2]
    assert not output.buffer.reshape(-1)[3:].any()
    (output,) = model.forward([X])
    assert (output.buffer < 1e-30).all(), 'cast to uint8, they are no floats any more'
    (output,) = model.forward([X.reshape(-1).view(np.uint8)])
    np.testing.assert_array_equal(output.buffer, 2 * X)


def test_pyeasy_dnn_writes_past_the_end(easy, path):
    (model,) = easy.load(path)
    with pytest.raises(easy.Overrun):
        model.forward(np.zeros(1000, np.uint8))
    with pytest.raises(easy.Overrun):
        model.forward([np.zeros(80, np.uint8)[::2]])


def test_pyeasy_dnn_hides_what_went_wrong(easy, path, tmp_path):
    (tmp_path / 'cut.bin').write_bytes(b'')
    with pytest.raises(SystemError) as caught:
        easy.load(str(tmp_path / 'cut.bin'))
    assert 'hbDNNInitializeFromFiles failed' in str(caught.value.__cause__)
    (model,) = easy.load(path)
    with pytest.raises(SystemError):
        model.forward([np.zeros(40, np.uint8)] * 2)


def test_pyeasy_dnn_must_not_be_entered_twice(easy, path, monkeypatch):
    (model,) = easy.load(path)
    inside, go_on = threading.Event(), threading.Event()

    def slow(inputs):
        inside.set()
        go_on.wait(10)
        return [X]
    monkeypatch.setattr(model._compiled, 'compute', slow)
    thread = threading.Thread(target=model.forward, args=(np.zeros(40, np.uint8),))
    thread.start()
    inside.wait(10)
    with pytest.raises(easy.Reentered):
        model.forward(np.zeros(40, np.uint8))
    go_on.set()
    thread.join()
