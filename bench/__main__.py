"""Runs every bench, one after the other, and tells at the end which goals held.

    python -m bench [NAME...] [--json DIR]

Each bench is a program of its own and is run as one: what it leaves behind cannot change the next
one's figures. A bench that fails to run counts as not held. Ends with 1 if anything does not hold.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.report import held

FOLDER = Path(__file__).resolve().parent
BENCHES = ('transport', 'recogniser', 'ctc', 'graph', 'replay', 'memory_pool', 'confidence',
           'chain', 'noise', 'second_looks', 'quantizer', 'cache', 'memory_trend', 'model_memory',
           'scheduling', 'batching', 'ingest')
COLUMNS = '{:42} {:>6} {:>10} {:>10} {:>26} {:>7}  {}'


def main():
    """Run the benches that are asked for, print the table."""
    parser = argparse.ArgumentParser(prog='bench', description=__doc__.partition('\n')[0])
    parser.add_argument('names', nargs='*', metavar='NAME', help=', '.join(BENCHES))
    parser.add_argument('--json', type=Path, metavar='DIR', help="keep every bench's figures")
    args = parser.parse_args()
    for name in args.names:
        if name not in BENCHES:
            parser.error(f'no bench {name!r}: there are {", ".join(BENCHES)}')
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.json or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        outcomes = [run(name, folder / f'{name}.json') for name in args.names or BENCHES]
    print(COLUMNS.format('figure', 'unit', 'value', 'goal', 'peer', 'ratio', ''))
    for name, status, figures in outcomes:
        for figure in figures:
            print(row(name, figure))
        if status != 0:
            print(f'{name}: ended with {status}')
    return int(any(status != 0 for _, status, _ in outcomes))


def run(name, path):
    """Run one bench; return its name, its exit status and the figures that have a goal."""
    print(f'\n== {name}', flush=True)
    path.unlink(missing_ok=True)  # the figures of an earlier run are not this one's
    command = [sys.executable, FOLDER / f'{name}.py', '--json', path.resolve()]
    status = subprocess.run(command, check=False).returncode
    if not path.is_file():
        return name, status or 'no figures', []
    figures = json.loads(path.read_text())['figures']
    return name, status, [figure for figure in figures if figure.get('goal') is not None]


def row(name, figure):
    """Write one line of the table."""
    peer = figure.get('peer', '')
    if peer and (value := figure.get('peer_value')) is not None:
        peer = f'{peer} {value:.4g}'
    ratio = figure.get('ratio')
    return COLUMNS.format(
        f'{name}: {figure["name"]}', figure['unit'], f'{figure["value"]:.4g}', str(figure['goal']),
        peer, '' if ratio is None else f'{ratio:.3g}',
        'held' if held(figure) else 'NOT HELD')


if __name__ == '__main__':
    sys.exit(main())
