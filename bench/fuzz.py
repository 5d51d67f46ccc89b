"""Hostile inputs for everything that reads what others wrote: none may crash or hang it.

    python bench/fuzz.py [--inputs 100000] [--seconds S] [--seed N] [--target NAME] [--json FILE]

Half of the inputs are drawn by hypothesis, with the structure of what is read (documents with
values replaced, messages in any order); half by a coverage-guided fuzzer, which keeps what reaches
new lines. That is atheris where the package index has it for this Python (installed once, into
build/bench), else fuzz_coverage.py. Each target (test/unit/hostile_targets.py) runs in a process
of its own, with a limit on time for each input and on memory.

Ends with 1 where anything but an error of xlerobot_asr_opt/errors.py left, or nothing came back in
time; the input is then saved, and the command that repeats it is told.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import report
from peers import environment

ROOT = Path(__file__).resolve().parents[1]
LANE = Path(__file__).with_name('fuzz_lane.py')
PEER = ROOT / 'build' / 'bench' / 'atheris'
WANTED = ROOT / 'requirements' / 'locked' / 'fuzz.txt'
FOUND = ROOT / 'build' / 'fuzz'
MEMORY = Path('/dev/shm') if os.access('/dev/shm', os.W_OK) else None
"""Where the files of inputs lie: some hundred thousand are made and removed."""
MOST_LINES = 60
"""Shown of what a lane says that has failed."""
TARGETS = ('manifest', 'bundle', 'tokens', 'onnx', 'wheel', 'http', 'yaml', 'contract', 'cache',
           'store', 'bag', 'audio', 'wire', 'chunks', 'messages', 'value')


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--inputs', type=int, default=100_000, help='of all targets together')
    parser.add_argument('--seconds', type=float, default=0, help='for each target; 0: no limit')
    parser.add_argument('--seed', type=int, default=1, help='the same gives the same inputs')
    parser.add_argument('--target', choices=TARGETS, action='append', help='these alone')
    parser.add_argument('--repeat', type=Path, metavar='FILE', help='one saved input, in --target')
    parser.add_argument('--json', help='write the figures there')
    args = parser.parse_args()
    targets = args.target or TARGETS
    if args.repeat:
        return lane(sys.executable, targets[0], 'repeat', args.repeat)
    engine, python = fuzzer()
    share = -(-args.inputs // (2 * len(targets)))
    FOUND.mkdir(parents=True, exist_ok=True)
    begin, rows = time.monotonic(), []
    for name in targets:
        for which, interpreter in (('hypothesis', sys.executable), (engine, python)):
            rows.append(run(name, which, interpreter, share, args))
            print('{target:10} {engine:10} {inputs:8} inputs {taken:7} taken {seconds:7.1f} s  '
                  '{outcome}'.format(**rows[-1]), flush=True)
    failed = [row for row in rows if row['outcome'] != 'ok']
    total = sum(row['inputs'] for row in rows)
    print(f'{total} inputs in {time.monotonic() - begin:.0f} s, {len(failed)} findings')
    if args.json:
        report.write(args.json, [
            *({'name': f'{row["target"]}, {row["engine"]}', 'unit': 'inputs',
               'value': row['inputs']} for row in rows),
            {'name': 'inputs', 'unit': 'inputs', 'value': total, 'goal': f'>= {args.inputs}'},
            {'name': 'crashes and hangs', 'unit': 'inputs', 'value': len(failed), 'goal': 0}])
    return int(bool(failed) or (total < args.inputs and not args.seconds))


def fuzzer():
    """Name the coverage-guided fuzzer that there is, and the Python that has it."""
    try:
        return 'atheris', environment(PEER, WANTED.read_text(), '--require-hashes', '-r', WANTED)
    except subprocess.CalledProcessError:
        print('atheris is not there for this Python: fuzz_coverage.py takes its place',
              file=sys.stderr)
        return 'coverage', sys.executable


def run(name, engine, python, inputs, args):
    """Fuzz one target with one engine; return a row of the table."""
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix='fuzz-', dir=MEMORY) as scratch:
        told, current = Path(scratch, 'told.json'), Path(scratch, 'current')
        status = lane(python, name, engine, told, current, inputs, args.seconds, args.seed)
        row = json.loads(told.read_text()) if told.is_file() else {'inputs': 0, 'taken': 0}
        row |= {'target': name, 'engine': engine, 'seconds': time.monotonic() - begin}
        row['outcome'] = 'ok'
        if status != 0 or not row['inputs']:
            saved = FOUND / f'{name}-{int(time.time())}'
            if current.is_file():
                saved.write_bytes(current.read_bytes())
            row['outcome'] = (f'ended with {status}: python bench/fuzz.py --target {name} '
                              f'--repeat {saved.relative_to(ROOT)}')
    return row


def lane(python, *arguments):
    """Run a lane; return its exit status."""
    paths = [ROOT / 'test' / 'unit', *filter(None, [os.environ.get('PYTHONPATH')])]
    with tempfile.TemporaryDirectory(prefix='fuzz-', dir=MEMORY) as scratch:
        done = subprocess.run(
            [str(part) for part in (python, LANE, *arguments)], check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=os.environ | {'PYTHONPATH': os.pathsep.join(map(str, paths)), 'TMPDIR': scratch})
    said = done.stdout.decode(errors='replace').splitlines()
    if done.returncode != 0 or 'repeat' in arguments:
        print('\n'.join(said[-MOST_LINES:]), file=sys.stderr)
    return done.returncode


if __name__ == '__main__':
    sys.exit(main())
