"""A stand-in for D-Robotics' hbm_runtime, made from its documentation; nothing here is theirs.

Names, shapes, dtypes, errors and scheduling parameters are those of "BPU algorithm interface
manual" of the RDK documentation (RDK OS 3.5) and of the type stub in hobot-spdev; the wording of
errors is from the messages in that library. What the documentation leaves open is the worst that
it allows: outputs have the strides of padded rows, and their memory is used again by the next
call. It runs what compiled_model.py writes.
"""

import enum
import threading

import numpy as np
from compiled_model import Compiled

__all__ = ['HB_HBMRuntime', 'SchedParam', 'hbDNNDataType']


class hbDNNDataType(enum.Enum):
    """Type of a tensor's elements."""

    NV12 = 'nv12'
    S8 = 'int8'
    U8 = 'uint8'
    F16 = 'float16'
    S16 = 'int16'
    U16 = 'uint16'
    F32 = 'float32'
    S32 = 'int32'
    U32 = 'uint32'
    F64 = 'float64'
    S64 = 'int64'
    U64 = 'uint64'


class SchedParam:
    """How a model is scheduled on the BPU."""

    def __init__(self):
        self.priority, self.customId, self.bpu_cores, self.deviceId = 0, 0, [-1], 0


class HB_HBMRuntime:
    """Holds the models of one file, or of several."""

    def __init__(self, model_file):
        files = [model_file] if isinstance(model_file, str) else model_file
        if not all(isinstance(file, str) for file in files):
            raise TypeError('__init__(): incompatible constructor arguments')
        for file in files:
            if not file.endswith(('.bin', '.hbm')):
                raise ValueError(f'Invalid model file extension: {file}')
        self._open = {model.name: model for model in map(Compiled, files)}
        self._memory = {}
        self._lock = threading.Lock()
        self.model_names = list(self._open)
        self.model_count = len(self._open)
        for side in ('input', 'output'):
            tensors = {name: getattr(model, f'{side}s') for name, model in self._open.items()}
            self._tell(side, tensors)
        self.sched_params = {name: SchedParam() for name in self._open}

    def _tell(self, side, tensors):
        setattr(self, f'{side}_names', {
            name: [key for key, *_ in one] for name, one in tensors.items()})
        setattr(self, f'{side}_shapes', {
            name: {key: list(shape) for key, shape, _ in one} for name, one in tensors.items()})
        setattr(self, f'{side}_dtypes', {
            name: {key: hbDNNDataType(str(kind)) for key, _, kind in one}
            for name, one in tensors.items()})

    def set_scheduling_params(self, priority=None, bpu_cores=None, custom_id=None, device_id=None):
        for field, values in (('priority', priority), ('bpu_cores', bpu_cores),
                              ('customId', custom_id), ('deviceId', device_id)):
            for name, value in (values or {}).items():
                if field == 'priority' and not 0 <= value <= 255:
                    raise ValueError(f'Priority value for model "{name}" is out of range')
                setattr(self.sched_params[name], field, value)

    def run(self, inputs):
        """Run models by their names; each array must fit exactly."""
        with self._lock:
            return {name: self._run(self._open[name], arrays) for name, arrays in inputs.items()}

    def _run(self, model, arrays):
        for key, shape, kind in model.inputs:
            array = arrays[key]
            if array.shape != shape:
                raise ValueError(f'Mismatch in tensor dimensions for model: {model.name}')
            if array.dtype != kind:
                raise ValueError(f"Data type mismatch for input tensor '{key}'")
        computed = model.compute({key: np.ascontiguousarray(arrays[key]) for key in arrays})
        return {key: self._padded(model.name, key, array)
                for (key, *_), array in zip(model.outputs, computed, strict=True)}

    def _padded(self, model, key, array):
        """The output in memory whose rows are padded to 64 bytes, as output_strides may say."""
        row = -(-array.shape[-1] * array.itemsize // 64) * 64 // array.itemsize
        memory = self._memory.setdefault(
            (model, key), np.full((*array.shape[:-1], row), -1, array.dtype))
        memory[..., :array.shape[-1]] = array
        return memory[..., :array.shape[-1]]
