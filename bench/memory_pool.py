"""What a staging buffer costs: one allocation and its return, beside NumPy's own.

    python bench/memory_pool.py [--json FILE]

The arena is filled with blocks of many sizes and every other one is given back: what is measured
works on free blocks that do not merge. The figure must hardly grow with their number.
"""

import argparse
import random
import statistics
import time

import numpy as np
import report

from xlerobot_asr_opt.core.memory_pool import BPUMemoryPool

FEW, MANY = 100, 20_000
ROUNDS, TURNS = 15, 2000
STAGING = 80 * 400 * 4
"""float32 log-mel features of 4 s [bytes]."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--json', help='write the figures there')
    args = parser.parse_args()
    few, many = fragmented(FEW), fragmented(MANY)
    sizes = [random.Random(1).randrange(64, 6400) for _ in range(TURNS)]
    times = {'few': [], 'many': [], 'staging': [], 'numpy': []}
    # In turns: the load of the machine is then the same for all.
    for _ in range(ROUNDS):
        times['few'].append(pair_ns(few, sizes))
        times['many'].append(pair_ns(many, sizes))
        times['staging'].append(staging_ns(few))
        times['numpy'].append(numpy_ns())
    found = {name: statistics.median(values) for name, values in times.items()}
    figures = [
        figure(f'allocate and give back, {FEW} free blocks', found['few']),
        figure(f'allocate and give back, {MANY} free blocks', found['many']),
        figure('features of 4 s: allocate, write each page, give back', found['staging']) | {
            'peer': 'numpy.empty, written', 'peer_value': found['numpy'],
            'ratio': found['staging'] / found['numpy']},
        {'name': f'{MANY} free blocks : {FEW}', 'unit': 'times',
         'value': found['many'] / found['few'], 'goal': 2},
    ]
    for row in figures:
        print('{name:56} {value:10.4g} {unit}'.format(**row))
    if args.json:
        report.write(args.json, figures)


def figure(name, value):
    return {'name': name, 'unit': 'ns', 'value': value}


def fragmented(count):
    """A pool with so many free blocks that have a neighbour in use on either side."""
    drawn = random.Random(0)
    pool = BPUMemoryPool()
    blocks = [pool.allocate(drawn.randrange(64, 1600), 'bench') for _ in range(2 * count)]
    for block in blocks[::2]:
        pool.deallocate('bench', block.start_addr)
    return pool


def pair_ns(pool, sizes):
    begin = time.perf_counter_ns()
    for size in sizes:
        pool.deallocate('bench', pool.allocate(size, 'bench').start_addr)
    return (time.perf_counter_ns() - begin) / len(sizes)


def staging_ns(pool):
    begin = time.perf_counter_ns()
    for _ in range(TURNS):
        allocation = pool.allocate(STAGING, 'bench')
        pool.view(allocation, np.uint8, (STAGING,))[::4096] = 0
        pool.deallocate('bench', allocation.start_addr)
    return (time.perf_counter_ns() - begin) / TURNS


def numpy_ns():
    """New memory costs its pages: a byte of each is written, as features would be."""
    begin = time.perf_counter_ns()
    for _ in range(TURNS):
        np.empty(STAGING, np.uint8)[::4096] = 0
    return (time.perf_counter_ns() - begin) / TURNS


if __name__ == '__main__':
    main()
