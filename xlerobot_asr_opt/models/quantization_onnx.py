"""ONNX graphs in fewer bits, by onnxruntime's own tools.

int8 quantises activations as they come, int8-static by ranges that were calibrated; weights have
one scale for each output channel in both. fp16 halves every number, and keeps the types of inputs
and outputs.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper
from onnxruntime import quantization
from onnxruntime.tools.symbolic_shape_infer import SymbolicShapeInference
from onnxruntime.transformers.float16 import convert_float_to_float16

from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.onnx_signature import read_signature
from xlerobot_asr_opt.models.quantization import Change, Inputs

__all__ = ['check_graph', 'graph_files', 'weights_change', 'write_fp16', 'write_int8',
           'write_int8_static']

_LARGEST = 2**31 - 2**20
"""A file in protocol buffers holds 2 GiB, and the graph needs some of it."""
_DYNAMIC = ['MatMul', 'Gather', 'LSTM', 'Attention']
"""Convolutions stay float: onnxruntime's ConvInteger is slower than they are."""
_STATIC = ['MatMul', 'Gemm', 'Conv']
_QUANTISED = frozenset({
    'DequantizeLinear', 'DynamicQuantizeLSTM', 'DynamicQuantizeLinear', 'DynamicQuantizeMatMul',
    'MatMulInteger', 'MatMulIntegerToFloat', 'MatMulNBits', 'QLinearConv', 'QLinearMatMul'})


def check_graph(path: Path) -> None:
    """See that a file is a float graph that can be quantised, with all its weights.

    Raises:
        ModelError: missing, not ONNX, without its external data, too large, or quantised already.
    """
    read_signature(path)
    model = _load(path, weights=False)
    done = sorted({node.op_type for node in model.graph.node} & _QUANTISED)
    if done:
        raise ModelError(
            f'{path}: is quantised already (it has {", ".join(done)}); quantise the float model '
            'that it was made from')
    tensors = _tensors(model)
    floats = sum(size for kind, size in tensors.values() if kind == TensorProto.FLOAT)
    if not floats:
        raise ModelError(f'{path}: has no float32 weights; there is nothing to quantise')
    if floats > _LARGEST:
        raise ModelError(
            f'{path}: has {floats / 1e9:.1f} GB of weights, expected at most 2 GB, which is what '
            'one ONNX file holds')
    missing = [file for file in graph_files(path) if not file.is_file()]
    if missing:
        raise ModelError(
            f'{path}: its weights lie in {", ".join(file.name for file in missing)}, which is not '
            f'in {path.parent}; put it there')


def graph_files(path: Path) -> list[Path]:
    """The file of a graph, and those of its external data."""
    model = _load(path, weights=False)
    names = {entry.value for tensor in model.graph.initializer for entry in tensor.external_data
             if entry.key == 'location'}
    return [path, *(path.parent / name for name in sorted(names))]


def weights_change(before: Path, after: Path) -> Change:
    """Bytes of the weights that differ in name, type or size; scales and zero points count.

    Raises:
        ModelError: one of them cannot be read.
    """
    old, new = (_tensors(_load(path, weights=False)) for path in (before, after))
    return Change(sum(size for name, (kind, size) in old.items() if new.get(name) != (kind, size)),
                  sum(size for name, (kind, size) in new.items() if old.get(name) != (kind, size)))


def write_int8(source: Path, target: Path) -> None:
    """Quantise weights to uint8, activations when they come.

    uint8, because int8 products saturate on x86 without VNNI (docs/recogniser.md).

    Raises:
        ModelError: nothing in it can be quantised, or onnxruntime cannot do it.
    """
    with _by_onnxruntime(source):
        quantization.quantize_dynamic(
            _load(source), target, per_channel=True, op_types_to_quantize=_DYNAMIC,
            weight_type=quantization.QuantType.QUInt8,
            extra_options={'MatMulConstBOnly': True, 'DefaultTensorType': TensorProto.FLOAT})
    _expect_change(source, target, _DYNAMIC)


def write_int8_static(source: Path, target: Path, inputs: Sequence[Inputs]) -> None:
    """Quantise weights and activations, these by the ranges that they have for inputs.

    Raises:
        ModelError: nothing in it can be quantised, or onnxruntime cannot do it.
    """
    with _by_onnxruntime(source):
        quantization.quantize_static(
            _with_types(_load(source)), target, _Calibration(inputs),
            quant_format=quantization.QuantFormat.QDQ, per_channel=True,
            op_types_to_quantize=_STATIC, activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            extra_options={'MatMulConstBOnly': True, 'DefaultTensorType': TensorProto.FLOAT})
    _expect_change(source, target, _STATIC)


def write_fp16(source: Path, target: Path) -> None:
    """Convert weights and arithmetic to float16; inputs and outputs keep their types.

    Raises:
        ModelError: onnxruntime cannot do it.
    """
    with _by_onnxruntime(source):
        model = _with_types(_load(source))
        onnx.save(convert_float_to_float16(
            model, keep_io_types=True, disable_shape_infer=_has_own_operators(model)), target)


class _Calibration(quantization.CalibrationDataReader):  # type: ignore[misc]
    """Hands inputs to onnxruntime one after the other."""

    def __init__(self, inputs: Sequence[Inputs]) -> None:
        self._inputs = iter(inputs)

    def get_next(self) -> Inputs | None:
        """The next inputs, or None at the end."""
        return next(self._inputs, None)


def _load(path: Path, *, weights: bool = True) -> Any:
    try:
        return onnx.load(path, load_external_data=weights)
    # Errors of onnx and of protobuf have no common root but Exception.
    except Exception as error:
        raise ModelError(f'{path}: cannot be read as an ONNX model: {error}') from error


def _with_types(model: Any) -> Any:
    """The model, with the type of every value where ONNX alone cannot infer it.

    onnxruntime's inference knows its own operators, and stumbles over branches that return
    nothing, which ONNX's takes.
    """
    if not _has_own_operators(model):
        return model
    return SymbolicShapeInference.infer_shapes(model, auto_merge=True)


def _has_own_operators(model: Any) -> bool:
    return any(node.domain for node in model.graph.node)


def _tensors(model: Any) -> dict[str, tuple[int, int]]:
    """Element type and bytes of every weight, by name."""
    return {
        tensor.name: (
            tensor.data_type,
            math.prod(tensor.dims) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
        for tensor in model.graph.initializer}


def _expect_change(source: Path, target: Path, kinds: Sequence[str]) -> None:
    if not weights_change(source, target).before:
        raise ModelError(
            f'{source}: nothing in it can be quantised this way: it has no {", ".join(kinds)} '
            'with weights of its own; try another type')


@contextlib.contextmanager
def _by_onnxruntime(source: Path) -> Iterator[None]:
    """Let onnxruntime's tools work: their remarks, made for their authors, are not passed on."""
    def ours(record: logging.LogRecord) -> bool:
        return 'onnxruntime' not in record.pathname

    root = logging.getLogger()
    root.addFilter(ours)
    try:
        yield
    except (ModelError, OSError):
        raise
    # Its errors have no common root but Exception.
    except Exception as error:
        raise ModelError(f'{source}: onnxruntime cannot quantise it: {error}') from error
    finally:
        root.removeFilter(ours)
