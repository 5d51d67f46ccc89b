"""What a model takes of memory, beside the size of its files.

    python bench/model_memory.py [MODEL ...] [--json FILE]

Each model, by name or directory, is opened in a process of its own, warmed up, and given two
seconds and the longest segment that it takes: its memory at the most (VmHWM) and after that (USS),
less what the process had before. The estimate that admission goes by (models/footprint.py) has to
be no less than either; its goal is to be no more than 1.5 times the most.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import report

from xlerobot_asr_opt.backends.base import candidate
from xlerobot_asr_opt.models.footprint import footprint, graph_bytes
from xlerobot_asr_opt.models.layout import open_model
from xlerobot_asr_opt.parameters import InferenceParameters
from xlerobot_asr_opt.process_memory import own_uss

MB = 1e6
MOST_ABOVE = 1.5
QUIET = 300


def main():
    """Run the bench, print a table and end with 1 where the estimate is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('models', nargs='*', default=['whisper-tiny.en'])
    parser.add_argument('--json', type=Path, metavar='FILE')
    parser.add_argument('--one', metavar='MODEL', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.one)))
        return 0
    figures = []
    print(f'{"":20}{"files":>10}{"most":>10}{"after":>10}{"estimate":>10}')
    for model in args.models:
        told = subprocess.run(
            [sys.executable, __file__, '--one', model], check=True, capture_output=True)
        row = json.loads(told.stdout)
        name = Path(model).name
        print(f'{name:20}' + ''.join(
            f'{row[key] / MB:7.1f} MB' for key in ('files', 'most', 'after', 'estimate')))
        share = row['estimate'] / max(row['most'], row['after'])
        figures += [
            {'name': f'{name}: {key}', 'value': round(row[key] / MB, 1), 'unit': 'MB'}
            for key in ('files', 'most', 'after')]
        figures += [
            {'name': f'{name}: estimate', 'value': round(share, 3), 'unit': 'of the most',
             'goal': MOST_ABOVE},
            {'name': f'{name}: not below', 'value': round(share, 3), 'unit': 'of the most',
             'goal': '>= 1'}]
    if args.json:
        report.write(args.json, figures)
    return int(any(report.held(figure) is False for figure in figures))


def measure(model):
    """Open one model in this process, and return its sizes [bytes]."""
    files = open_model(model)
    backend = candidate('onnxruntime', InferenceParameters(model=model)).backend
    # Only what comes from here on is the model's.
    Path('/proc/self/clear_refs').write_text('5')
    before, begun = own_uss(), resident('VmRSS')
    backend.load()
    backend.warm_up()
    noise = np.random.default_rng(1).normal(0, QUIET, backend.longest).astype(np.int16)
    for samples in (noise[:32000], noise):
        backend.recognise(backend.prepare(samples, ''))
    return {'files': graph_bytes(files), 'most': resident('VmHWM') - begun,
            'after': own_uss() - before, 'estimate': footprint(files)}


def resident(field):
    """A field of this process's status [bytes]."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


if __name__ == '__main__':
    sys.exit(main())
