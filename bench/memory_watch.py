"""What watching the memory of the nodes costs the manager.

    python bench/memory_watch.py [--rounds 3] [--seconds 30] [--json FILE]

Graphs that are up and idle, by turns with the readings of memory (manager.memory_period at its
default) and without (0): CPU time of the manager, as a share of one core. The difference of the
medians is the price; the goal is 1 % of a core. Beside it the time that one reading of each
process takes, and one look at a full window of its samples.
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

import psutil
import report

from xlerobot_asr_opt.cli.graph import Graph
from xlerobot_asr_opt.core.memory_trend import MemoryTrend
from xlerobot_asr_opt.process_memory import MemoryReader
from xlerobot_asr_opt.processes import GraphArguments

NAMESPACE = 'asr_watch'
GOAL = 0.01
REPEATS = 20


def main():
    """Run the bench, print a table and end with 1 where the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--seconds', type=float, default=30.0)
    parser.add_argument('--model', default='')
    parser.add_argument('--json', type=Path, metavar='FILE')
    args = parser.parse_args()
    with_it, without, readings = [], [], {}
    for _ in range(args.rounds):
        for parameters, shares in (((), with_it), (('manager.memory_period=0.0',), without)):
            arguments = GraphArguments(
                model=args.model, namespace=NAMESPACE, source='none', log_level='warn',
                parameters=(*parameters, 'cache.l3_entries=0'))
            with Graph(arguments) as graph:
                graph.wait_active()
                shares.append(cpu_share(graph.pids['manager'], args.seconds))
                readings = {name: reading_ms(pid) for name, pid in graph.pids.items()}
    price = statistics.median(with_it) - statistics.median(without)
    look = look_ms()
    print(f'manager with readings: {percent(with_it)} of a core; without: {percent(without)}; '
          f'price {100 * price:.2f} %')
    print('one reading [ms]: ' + ', '.join(
        f'{name} {value:.2f}' for name, value in readings.items()) + f'; one look: {look:.2f}')
    figures = [
        {'name': 'price of watching', 'value': round(price, 5), 'unit': 'of a core', 'goal': GOAL},
        {'name': 'one look', 'value': round(look, 3), 'unit': 'ms'},
        *({'name': f'one reading of {name}', 'value': round(value, 3), 'unit': 'ms'}
          for name, value in readings.items())]
    if args.json:
        report.write(args.json, figures)
    return int(any(report.held(figure) is False for figure in figures))


def cpu_share(pid, seconds):
    """Share of a core that a process uses for so long."""
    process = psutil.Process(pid)
    before = process.cpu_times()
    begin = time.monotonic()
    time.sleep(seconds)
    after = process.cpu_times()
    return (sum(after[:2]) - sum(before[:2])) / (time.monotonic() - begin)


def reading_ms(pid):
    """CPU time of one reading of a process [ms]."""
    reader = MemoryReader()
    begin = time.process_time()
    for _ in range(REPEATS):
        reader.process(pid)
    return 1e3 * (time.process_time() - begin) / REPEATS


def look_ms():
    """CPU time of one look at a full window, of this process's own memory [ms]."""
    window, reader = MemoryTrend(300.0), MemoryReader()
    for index in range(150):
        window.add(2.0 * index, reader.process(os.getpid()).uss + 1000.0 * (index % 7))
    begin = time.process_time()
    for _ in range(REPEATS):
        window.trend()
    return 1e3 * (time.process_time() - begin) / REPEATS


def percent(shares):
    """The median and the range of shares."""
    low, high = 100 * min(shares), 100 * max(shares)
    return f'{100 * statistics.median(shares):.2f} % ({low:.2f} to {high:.2f})'


if __name__ == '__main__':
    sys.exit(main())
