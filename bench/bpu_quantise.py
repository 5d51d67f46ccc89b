"""Quantises one graph and compiles nothing: the vendor's side of bench/bpu_sensitivity.py.

    python bpu_quantise.py JOB.json

The job names the graph, a folder of calibration arrays, the march, the begin of the names of the
files to write, limits, nodes in 16 bits, what is asked of the vendor in its own names, and the
file of this package that sets limits. Started by path in the vendor's environment.
"""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import onnx
from horizon_nn.api import build_onnx
from horizon_nn.builder.model_builder import ModelBuilder


def main():
    job = json.loads(Path(sys.argv[1]).read_text())
    spec = importlib.util.spec_from_file_location('limits', job['limited_by'])
    limits = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(limits)
    ModelBuilder.calibrate = limits.limited(ModelBuilder.calibrate, job['limits'])
    (taken,) = onnx.load(job['graph']).graph.input
    shape = [size.dim_value for size in taken.type.tensor_type.shape.dim]
    arrays = [np.fromfile(path, np.float32).reshape(shape)
              for path in sorted(Path(job['windows']).iterdir())]
    build_onnx(
        job['graph'], job['march'], name_prefix=job['output'], optimization=job['optimisation'],
        cali_dict={'calibration_type': 'max', 'calibration_data': {taken.name: arrays}},
        node_dict={node: {'InputType': 'int16'} for node in job['wide']},
        skip_step=['skip_compiler'])


if __name__ == '__main__':
    main()
