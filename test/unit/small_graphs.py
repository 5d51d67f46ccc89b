"""ONNX graphs small enough to be made in a test, with inputs that fit them."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

INPUTS, HIDDEN, OUTPUTS = 256, 128, 32


def weights(seed=0):
    """Two layers, float32[in, out] by name."""
    random = np.random.default_rng(seed)
    return {name: (random.normal(0, shape[0] ** -0.5, shape)).astype(np.float32)
            for name, shape in (('first', (INPUTS, HIDDEN)), ('second', (HIDDEN, OUTPUTS)))}


def write_perceptron(path, content=None, *, opset=17, external=''):
    """Two products with a ReLU between: x float32[n, INPUTS] to y float32[n, OUTPUTS].

    Args:
        path: where.
        content: the weights, instead of those of weights().
        opset: of the graph.
        external: name of a file beside it for the weights; empty: inside.
    """
    nodes = [helper.make_node('MatMul', ['x', 'first'], ['a']),
             helper.make_node('Relu', ['a'], ['b']),
             helper.make_node('MatMul', ['b', 'second'], ['y'])]
    initializers = [numpy_helper.from_array(array, name)
                    for name, array in (content or weights()).items()]
    graph = helper.make_graph(
        nodes, 'perceptron',
        [helper.make_tensor_value_info('x', TensorProto.FLOAT, ['n', INPUTS])],
        [helper.make_tensor_value_info('y', TensorProto.FLOAT, ['n', OUTPUTS])], initializers)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', opset)], ir_version=8)
    onnx.save(model, path, save_as_external_data=bool(external), location=external or None,
              size_threshold=0)
    return path


def waves(count=6, loudness=1.0):
    """Inputs of the perceptron: tones, those of the second half a little higher."""
    times = np.arange(3 * INPUTS, dtype=np.float32).reshape(3, INPUTS)
    pitches = [0.01 + 0.02 * (one % 3) + 0.001 * (one // 3) for one in range(count)]
    return [{'x': (loudness * np.sin(times * pitch)).astype(np.float32)} for pitch in pitches]
