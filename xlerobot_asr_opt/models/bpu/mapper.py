"""One run of the vendor's compiler, hb_mapper: from an ONNX graph to a .bin, in its own words."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xlerobot_asr_opt.errors import ModelError
from xlerobot_asr_opt.models.bpu.environment import VendorEnvironment
from xlerobot_asr_opt.models.bpu.precision import ALL_INT8, Precision
from xlerobot_asr_opt.models.bpu.report import (
    Placement,
    read_estimate,
    read_placement,
    read_reason,
)
from xlerobot_asr_opt.models.bundle import Estimate

__all__ = ['Compiled', 'Job', 'compile_graph']

_PROGRAM = Path(__file__).with_name('mapper_with_limits.py')
_TIMEOUT_S = 3 * 3600
_NICE = 10


@dataclass(frozen=True)
class Job:
    """What is compiled, and how.

    Attributes:
        graph: ONNX of opset 11, one input, all shapes fixed.
        input_name: of its input.
        input_shape: of its input.
        name: of the model inside the .bin.
        march: the BPU.
        calibration: directory with an array of the input's shape, float32, in each file.
        optimisation: the compiler's own names of what is asked of it.
        precision: of single nodes and values, where it is another than int8.
    """

    graph: Path
    input_name: str
    input_shape: Sequence[int]
    name: str
    march: str
    calibration: Path
    optimisation: Sequence[str] = ('set_Softmax_input_int8', 'set_Softmax_output_int8')
    precision: Precision = ALL_INT8


@dataclass(frozen=True)
class Compiled:
    """What the compiler made: its files, and what it says of them."""

    binary: Path
    quantised: Path
    estimate: Estimate
    placement: Placement


def compile_graph(
    environment: VendorEnvironment, job: Job, work: Path, report: Callable[[str], None],
) -> Compiled:
    """Compile a graph.

    Args:
        environment: the vendor's.
        job: what is compiled.
        work: an empty directory, where the compiler's log stays.
        report: told of the compiler's progress.

    Raises:
        ModelError: the compiler failed, in its own words and with the path of its log; or it wrote
            something else than expected.
    """
    settings = work / 'settings.yaml'
    # A JSON text is YAML, and needs no writer of YAML.
    settings.write_text(json.dumps(_settings(job, work / 'made'), indent=1))
    limits = work / 'limits.json'
    limits.write_text(json.dumps(dict(job.precision.limits), indent=1))
    log = work / 'hb_mapper.log'
    status = _run([str(environment.python), str(_PROGRAM), str(limits.resolve()), 'makertbin',
                   '--config', str(settings.resolve()), '--model-type', 'onnx'],
                  environment, work, log, report)
    text = log.read_text(errors='replace')
    made = work / 'made'
    binary, quantised = made / f'{job.name}.bin', made / f'{job.name}_quantized_model.onnx'
    if status or not binary.is_file() or not quantised.is_file():
        raise ModelError(
            f"the vendor's compiler ended with {status}:\n{read_reason(text)}\n"
            f'The whole is in {log}')
    return Compiled(
        binary, quantised, read_estimate(sorted(made.glob('*_subgraph_*.json'))),
        read_placement(text))


def _settings(job: Job, made: Path) -> dict[str, Any]:
    return {
        'model_parameters': {
            'onnx_model': str(job.graph.resolve()), 'march': job.march,
            'output_model_file_prefix': job.name, 'working_dir': str(made.resolve()),
            **({'node_info': _wide(job)} if job.precision.wide else {})},
        'input_parameters': {
            'input_name': job.input_name,
            'input_shape': 'x'.join(map(str, job.input_shape)),
            'input_type_rt': 'featuremap', 'input_layout_rt': 'NCHW',
            'input_type_train': 'featuremap', 'input_layout_train': 'NCHW',
            'norm_type': 'no_preprocess'},
        'calibration_parameters': {
            'cal_data_dir': str(job.calibration.resolve()), 'cal_data_type': 'float32',
            'calibration_type': 'max', 'optimization': ';'.join(job.optimisation)},
        'compiler_parameters': {'compile_mode': 'latency', 'optimize_level': 'O3'},
    }


def _wide(job: Job) -> dict[str, dict[str, str]]:
    return {node: {'InputType': 'int16'} for node in job.precision.wide}


def _run(
    command: Sequence[str], environment: VendorEnvironment, work: Path, log: Path,
    report: Callable[[str], None],
) -> int:
    """Run it to its end; its output goes to the log, line by line, and its bar to the report."""
    # A person's machine stays usable while it works.
    with log.open('w') as file, subprocess.Popen(
        command, cwd=work, env=environment.variables, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace',
        preexec_fn=_be_nice,  # noqa: PLW1509 - no thread of ours holds a lock that it takes
    ) as process:
        try:
            for line in process.stdout or ():
                file.write(line)
                file.flush()
                if told := _progress(line):
                    report(told)
            return process.wait(_TIMEOUT_S)
        except BaseException:
            process.kill()
            raise


def _be_nice() -> None:
    os.nice(_NICE)


def _progress(line: str) -> str:
    """What a line of the log says of the progress; empty for nothing."""
    for mark, told in (('Start to calibrate', 'calibrating'),
                       ('Start to precompile', 'quantising'),
                       ('Compile submodel', 'compiling')):
        if mark in line:
            return told
    if line.startswith('[') and line.rstrip().endswith('0%'):
        return f'compiling {line.rpartition("]")[2].strip()}'
    return ''
