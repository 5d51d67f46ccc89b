"""A file that the stand-ins take for a compiled model: what it is called, and a float ONNX.

It is no .bin of the vendor's. Its first line is JSON: march, size of the rest, and for each model
in it name, inputs and outputs; behind it lies the ONNX that computes the outputs. The rest of the
file is needed whole, as the vendor's is.
"""

import json

import numpy as np
import onnxruntime

MARCH = 'bayes-e'


def write(path, name, graph, inputs, outputs, march=MARCH):
    """Write one.

    Args:
        path: of the file.
        name: of the model in it.
        graph: bytes of an ONNX model.
        inputs: name to (shape, dtype of NumPy), in order.
        outputs: the same.
        march: that it is for.
    """
    head = {'march': march, 'bytes': len(graph), 'name': name,
            'inputs': [(key, list(shape), str(np.dtype(kind)))
                       for key, (shape, kind) in inputs.items()],
            'outputs': [(key, list(shape), str(np.dtype(kind)))
                        for key, (shape, kind) in outputs.items()]}
    path.write_bytes(json.dumps(head).encode() + b'\n' + graph)
    return path


class Compiled:
    """What a library knows of an open file; raises RuntimeError for one that it cannot open."""

    def __init__(self, path):
        with open(path, 'rb') as file:  # noqa: PTH123 - as the vendor's library takes a string
            line, graph = file.readline(), file.read()
        try:
            head = json.loads(line)
        except ValueError:
            raise RuntimeError('hbDNNInitializeFromFiles failed') from None
        if head['march'] != MARCH or len(graph) != head['bytes']:
            raise RuntimeError('hbDNNInitializeFromFiles failed')
        self.name = head['name']
        self.inputs = [(key, tuple(shape), np.dtype(kind)) for key, shape, kind in head['inputs']]
        self.outputs = [(key, tuple(shape), np.dtype(kind))
                        for key, shape, kind in head['outputs']]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            graph, options, providers=['CPUExecutionProvider'])

    def compute(self, inputs):
        """Arrays of the inputs by name to arrays of the outputs, in order."""
        return self._session.run([key for key, *_ in self.outputs], inputs)
