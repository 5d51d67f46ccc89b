"""Compares the exact backend with the vendor's simulator of the BPU's instructions.

The simulator runs what the compiler made for the board, instruction by instruction; the quantised
ONNX model, which the exact backend runs, is what the compiler read. Both take the same integers:
where they give the same, the one stands for the other.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from xlerobot_asr_opt.backends.bpu_exact import ExactRunner
from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.bpu.environment import VendorEnvironment

__all__ = ['Comparison', 'compare']

_TIMEOUT_S = 1800


@dataclass(frozen=True)
class Comparison:
    """How many integers of the output were compared, and how many of them differ."""

    integers: int
    different: int


def compare(
    environment: VendorEnvironment, binary: Path, quantised: Path,
    window: npt.NDArray[np.float32], work: Path,
) -> Comparison:
    """Run one window through both.

    Args:
        environment: the vendor's.
        binary: the .bin, whose whole graph must be on the BPU.
        quantised: the quantised ONNX model of the same compilation, of one input and one output.
        window: the input.
        work: an empty directory.

    Raises:
        ModelError: a file is of another form, or one of the vendor's programs failed.
        BackendError: the exact backend failed.
    """
    shown = _show_integers(quantised, work / 'shown.onnx')
    runner = ExactRunner(environment)
    runner.load({'shown': shown.path})
    try:
        arrays = runner.run('shown', {shown.input: window})
    finally:
        runner.close()
    arrays[shown.integer_input].tofile(work / 'input.bin')
    _run(environment, work, 'hb_extract_hbm', str(binary.resolve()))
    simulated = work / 'simulated'
    simulated.mkdir()
    _run(environment, work, 'hbdk-sim', '-f', f'{binary.stem}.hbm', '-n', shown.subgraph,
         '-i', 'input.bin', '-o', simulated.name)
    expected = arrays[shown.integer_output].ravel()
    found = _read_integers(simulated)
    if found.size != expected.size:
        raise ModelError(
            f'{binary}: the simulator gave {found.size} integers, expected {expected.size}')
    return Comparison(expected.size, int((found != expected).sum()))


@dataclass(frozen=True)
class _Shown:
    """A quantised model that shows the integers at its ends."""

    path: Path
    input: str
    integer_input: str
    integer_output: str
    subgraph: str


def _show_integers(quantised: Path, path: Path) -> _Shown:
    """Make outputs of what lies behind the first node and before the last one."""
    model = onnx.load(str(quantised))
    nodes = model.graph.node
    first, last = nodes[0], nodes[-1]
    kinds = first.op_type, last.op_type
    if kinds != ('HzQuantize', 'HzDequantize'):
        raise ModelError(
            f'{quantised}: begins with {kinds[0]} and ends with {kinds[1]}, expected HzQuantize '
            'and HzDequantize: not the whole graph is on the BPU')
    for name, kind in ((first.output[0], onnx.TensorProto.INT8),
                       (last.input[0], onnx.TensorProto.INT32)):
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, kind, None))
    onnx.save(model, str(path))
    return _Shown(path, first.input[0], first.output[0], last.input[0],
                  f'{model.graph.name}_subgraph_0')


def _read_integers(directory: Path) -> npt.NDArray[np.int64]:
    """The simulator's output: a text of integers, with a head of lines that begin with #."""
    (path,) = directory.glob('*_elem_int.txt')
    numbers = [number for line in path.read_text().splitlines() if not line.startswith('#')
               for number in line.split()]
    return np.array(numbers, np.int64)


def _run(environment: VendorEnvironment, work: Path, name: str, *arguments: str) -> None:
    command = [str(environment.program(name)), *arguments]
    options: Mapping[str, Any] = {
        'cwd': work, 'env': environment.variables, 'stdin': subprocess.DEVNULL,
        'stdout': subprocess.PIPE, 'stderr': subprocess.STDOUT, 'timeout': _TIMEOUT_S}
    try:
        done = subprocess.run(command, check=False, text=True, **options)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ModelError(f'{name} could not be run: {error}') from error
    if done.returncode:
        said = '\n'.join(done.stdout.strip().splitlines()[-3:]) or 'nothing was said'
        raise ModelError(f'{name} ended with {done.returncode}:\n{said}')
