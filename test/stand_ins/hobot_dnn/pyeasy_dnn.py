"""A stand-in for D-Robotics' hobot_dnn.pyeasy_dnn; nothing here is theirs.

Names, shapes and errors are those of "Model inference interface" of the RDK documentation and of
what its source, dnn_python.cpp of x5-hobot-spdev, does with them:

- an array goes over as many bytes as it has elements, from its first one on; the arrays of a list
  are cast to uint8 before;
- where the library would write or read past the end of memory, this raises Overrun;
- where it would work on what another thread is working on, this raises Reentered;
- an error is a SystemError with the exception as its cause;
- a buffer has four axes, is copied as if its rows were not padded, and belongs to the last call.

It runs what compiled_model.py writes.
"""

import contextlib
import math
import threading

import numpy as np
from compiled_model import Compiled


class Overrun(BaseException):
    """The library would have touched memory that is not its own: no Exception, to be noticed."""


class Reentered(BaseException):
    """Two threads were inside of one model."""


@contextlib.contextmanager
def _as_cpython():
    """What CPython makes of a function that sets an exception and returns a value."""
    try:
        yield
    except Exception as error:
        raise SystemError('returned a result with an exception set') from error


def load(model_file):
    """Open files; one Model each."""
    with _as_cpython():
        if isinstance(model_file, str):
            model_file = [model_file]
        if not isinstance(model_file, list):
            raise TypeError('model_file must be a string or a list')
        return [Model(Compiled(file)) for file in model_file]


class TensorProperties:
    def __init__(self, shape, kind):
        self.shape, self.tensor_type, self.layout = shape, str(kind), 'NCHW'
        self.dtype = self.tensor_type


class pyDNNTensor:
    def __init__(self, name, shape, kind, memory):
        self.name, self.properties, self._memory = name, TensorProperties(shape, kind), memory

    @property
    def buffer(self):
        """A copy of the tensor's first bytes, as many as it has without padding, on four axes."""
        shape, kind = self.properties.shape, np.dtype(self.properties.dtype)
        four = (*shape, *[1] * (4 - len(shape)))
        return self._memory[:math.prod(shape) * kind.itemsize].copy().view(kind).reshape(four)


class Model:
    def __init__(self, compiled):
        self._compiled = compiled
        self.name = compiled.name
        self._inside = threading.Lock()
        self._in = [_memory(shape, kind) for _, shape, kind in compiled.inputs]
        self._out = [_memory(shape, kind) for _, shape, kind in compiled.outputs]
        self.calls = []

    @property
    def inputs(self):
        return [pyDNNTensor(*one, memory)
                for one, memory in zip(self._compiled.inputs, self._in, strict=True)]

    @property
    def outputs(self):
        return [pyDNNTensor(*one, memory)
                for one, memory in zip(self._compiled.outputs, self._out, strict=True)]

    def forward(self, arg, core_id=0, priority=0):
        """Copy the inputs to the device, run, and return the outputs."""
        with _as_cpython():
            if not self._inside.acquire(blocking=False):
                raise Reentered
            try:
                self.calls.append((core_id, priority))
                self._copy(arg)
                self._infer()
            finally:
                self._inside.release()
            return self.outputs

    def _copy(self, arg):
        arrays = [arg] if isinstance(arg, np.ndarray) else [
            one.astype(np.uint8, copy=False) for one in arg]
        if len(arrays) > len(self._in):
            raise RuntimeError('forward execution failed.')
        for array, memory in zip(arrays, self._in, strict=False):
            if array.size > memory.size or not array.flags.c_contiguous:
                raise Overrun
            memory[:array.size] = array.reshape(-1).view(np.uint8)[:array.size]

    def _infer(self):
        inputs = {
            key: memory[:math.prod(shape) * kind.itemsize].view(kind).reshape(shape)
            for (key, shape, kind), memory in zip(self._compiled.inputs, self._in, strict=True)}
        for memory, array in zip(self._out, self._compiled.compute(inputs), strict=True):
            if array.dtype.kind == 'f':
                memory[:array.nbytes] = array.reshape(-1).view(np.uint8)
            else:
                # Integers are what the BPU wrote: rows are padded to 64 bytes.
                memory.reshape(math.prod(array.shape[:-1]), -1)[:, :array.shape[-1] * (
                    array.itemsize)] = array.reshape(-1, array.shape[-1]).view(np.uint8)


def _memory(shape, kind):
    """Memory of the device, with room for rows that are padded to 64 bytes."""
    row = -(-shape[-1] * kind.itemsize // 64) * 64
    return np.zeros(math.prod(shape[:-1]) * row, np.uint8)
