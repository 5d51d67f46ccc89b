"""Whether a graph whose processes are all well is left alone while the machine has no time for it.

    python bench/false_alarms.py [--minutes 30] [--busy 0] [--streams 4] [--duty 0.2] [--json FILE]

Beside a graph under `xlerobot-asr up`, which recognises scripted answers, as many processes as the
machine has cores compute without a pause (--busy: another number), at the same priority. An alarm
is a line in which the manager, or `up`, takes a process for dead, gone or hung, or a process that
is another one than at the start. Goals: no alarm; and every segment that was announced has its
transcript. The processor time of the manager, all that it does included, and of `up` is told.
"""

import argparse
import contextlib
import multiprocessing
import os
import re
import sys
import tempfile
import time
from pathlib import Path

import psutil
import report
from kill_world import running

ALARM = re.compile(
    r'\]: \w+: .*; (?:attempt \d|given up)| has left$|does not answer|ended with|not started')
SLICE_S = 10.0
SCRIPT = 'answers: [{text: go to the kitchen, delay_s: 0.1}]\n'


def main():
    """Run the bench, print what was found; end with 1 if there was an alarm or a loss."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--minutes', type=float, default=30.0)
    parser.add_argument('--busy', type=int, default=0, help='processes; 0: one for each core')
    parser.add_argument('--streams', type=int, default=4)
    parser.add_argument('--duty', type=float, default=0.2)
    parser.add_argument('--json', type=Path, metavar='FILE')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / 'script.yaml'
        script.write_text(SCRIPT)
        with running(args.streams, args.duty, 1, '--backends', 'scripted', '--script',
                     str(script)) as world:
            before = world.up.children
            with busy(args.busy or os.cpu_count()):
                cores = watch(world, 60.0 * args.minutes)
            world.work(5.0)
            world.speak(False)
            told = set()
            with contextlib.suppress(TimeoutError):
                world.until(lambda: not missing(world), 'all transcripts')
            told = missing(world)
            alarms = [line for _, line in world.up.lines if ALARM.search(line)]
            replaced = [name for name, pid in world.up.children.items() if before[name] != pid]
    for line in alarms:
        print(f'ALARM: {line}')
    figures = [
        {'name': f'alarms in {args.minutes:g} min', 'unit': '1', 'value': len(alarms), 'goal': 0},
        {'name': 'processes replaced', 'unit': '1', 'value': len(replaced), 'goal': 0},
        {'name': f'lost of {len(world.tickets)} segments', 'unit': '1', 'value': len(told),
         'goal': 0},
        *({'name': f'processor time of {name}', 'unit': '% of a core', 'value': 100.0 * share}
          for name, share in cores.items())]
    for figure in figures:
        print(f'{figure["name"]:40}{figure["value"]:8.2f} {figure["unit"]}')
    if args.json:
        report.write(args.json, figures)
    return int(any(report.held(figure) is False for figure in figures))


@contextlib.contextmanager
def busy(number):
    """Keep so many processes computing while the block runs."""
    context = multiprocessing.get_context('spawn')
    workers = [context.Process(target=compute, daemon=True) for _ in range(number)]
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        for worker in workers:
            worker.kill()
            worker.join()


def compute():
    """Compute for ever."""
    while True:
        sum(range(100_000))


def watch(world, seconds):
    """Speak and listen for so long; return the processor time of manager and up [cores]."""
    watched = {'manager': psutil.Process(world.up.children['manager']),
               'up': psutil.Process(world.up.pid)}
    begin = time.monotonic()
    times = {name: sum(one.cpu_times()[:2]) for name, one in watched.items()}
    while (left := begin + seconds - time.monotonic()) > 0.0:
        world.work(min(left, SLICE_S))
    return {name: (sum(one.cpu_times()[:2]) - times[name]) / (time.monotonic() - begin)
            for name, one in watched.items() if one.is_running()}


def missing(world):
    """Segments that were announced and have no transcript."""
    return world.tickets.keys() - {one.segment for _, one in world.transcripts}


if __name__ == '__main__':
    sys.exit(main())
