"""The cache: who stays in memory, how long a lookup takes, what a restart costs, who profits.

    python bench/cache.py [--parts policy speed restart workloads] [--rounds 5] [--lookups 1000]
                          [--json FILE]

Policy: hit rates of the levels in memory on traces (cache_traces.py), beside cachetools' LRU, LFU
and TLRU (in an environment of its own, made on the first run), W-TinyLFU as published, and
Belady's optimum; all have room for as many entries, and no age limit but TLRU's. Speed: of a
lookup in the process, and through the node's service from a second process; the node's own time is
that from taking a request to having sent its answer. Percentiles are the median over the rounds;
beside the time by the clock stands what the processor spent, which a busy machine does not change.
Restart: the same workload goes on after a restart, with memory preloaded and without. Workloads:
the share of transcripts that real speech gets from the cache (cache_workloads.py).
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import cache_speed
import cache_traces
import cache_workloads
import numpy as np
import report
from peers import environment, process

from xlerobot_asr_opt.cache_system import MultiLevelCacheSystem
from xlerobot_asr_opt.parameters import CacheParameters

ROOT = Path(__file__).resolve().parents[1]
LANE = Path(__file__).with_name('cache_lane.py')
PEER = ROOT / 'build' / 'bench' / 'cachetools'
REQUIREMENTS = ROOT / 'requirements' / 'bench.txt'
TTL = 18_000
"""Of TLRU [lookups]: half an hour at ten lookups a second."""
NO_LOSS = 0.01
"""Hit rate by which LRU may be better on any trace."""
GOALS_US = {
    ('l1', 99): 10.0, ('l3', 99): 200.0, ('l3, once a millisecond', 99): 200.0,
    ('l3, the same while it is written', 99): 200.0,
    **{(f'own, {level}', share): goal for level in ('l1', 'l3', 'miss')
       for share, goal in ((50, 500.0), (99, 1000.0))}}


def main():
    """Run the parts that are asked for, print tables, and end with 1 if a goal is missed."""
    parts = {'policy': policy, 'speed': speed, 'restart': restart, 'workloads': workloads}
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--parts', nargs='+', choices=list(parts), default=list(parts))
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--lookups', type=int, default=1000, help='in each round')
    parser.add_argument('--json', type=Path, metavar='FILE')
    args = parser.parse_args()
    print(f'load {os.getloadavg()[0]:.1f}')
    figures = [figure for part in args.parts for figure in parts[part](args)]
    if args.json:
        report.write(args.json, figures)
    missed = [figure['name'] for figure in figures if report.held(figure) is False]
    print(f'not held: {"; ".join(missed) or "none"}')
    return int(bool(missed))


def policy(_args):
    """Compare hit rates on every trace."""
    columns = ('ours', 'LRU', 'LFU', 'TLRU', 'W-TinyLFU', 'optimum')
    print(f'\n{"hit rate with 1100 entries":42}' + ''.join(f'{name:>10}' for name in columns))
    lines = REQUIREMENTS.read_text().splitlines()
    (wanted,) = (line for line in lines if line.startswith('cachetools=='))
    table = {}
    with process([environment(PEER, wanted, wanted)], LANE, 'peer') as peer:
        for name, trace in cache_traces.traces().items():
            request = {'entries': cache_traces.ROOM, 'ttl': TTL, 'trace': trace}
            peer.stdin.write(json.dumps(request) + '\n')
            peer.stdin.flush()
            rates = {
                'ours': cache_traces.ours(trace), 'W-TinyLFU': cache_traces.w_tiny_lfu(trace),
                'optimum': cache_traces.optimum(trace)} | json.loads(peer.stdout.readline())
            table[name] = rates
            print(f'{name:42}' + ''.join(f'{rates[column]:10.3f}' for column in columns))
    table['mean of the traces'] = mean = {
        column: statistics.mean(rates[column] for rates in table.values()) for column in columns}
    print(f'{"mean":42}' + ''.join(f'{mean[column]:10.3f}' for column in columns))
    return [{
        'name': f'hit rate, {name}', 'value': round(rates['ours'], 4), 'unit': '1',
        'goal': f'>= {rates["LRU"] - NO_LOSS:.4f}', 'peer': f'{wanted} LRU',
        'peer_value': round(rates['LRU'], 4),
        'ratio': round(rates['ours'] / rates['LRU'], 3) if rates['LRU'] else None,
        'all': {column: round(rate, 4) for column, rate in rates.items()},
    } for name, rates in table.items()]


def speed(args):
    """Time lookups in the process and through the service."""
    times = cache_speed.in_process(args.rounds, args.lookups)
    for _ in range(args.rounds):
        for name, column in cache_speed.through_the_service(args.lookups).items():
            times.setdefault(name, []).append(column)
    print(f'\n{"lookup [us]":42}{"p50":>10}{"p99":>10}{"p99, CPU":>10}{"goals":>16}')
    figures = []
    for name, rounds in times.items():
        columns = {}
        for label, share, column in (('p50', 50, 0), ('p99', 99, 0), ('p99 of CPU', 99, 1)):
            value = statistics.median(np.percentile(one[:, column], share) for one in rounds)
            columns[label] = round(float(value), 2)
        goals = {f'p{share}': GOALS_US.get((name, share)) for share in (50, 99)}
        told = ', '.join(f'{goal or "none"}' for goal in goals.values())
        print(f'{name:42}' + ''.join(f'{value:10.1f}' for value in columns.values())
              + f'{told:>16}')
        figures += [
            {'name': f'{name} {label}', 'value': value, 'unit': 'us'}
            | ({'goal': goals[label]} if goals.get(label) else {})
            for label, value in columns.items()]
    return figures


def restart(args):
    """Go on with announcements among live speech after a restart, with preloading and without."""
    trace = cache_traces.among_live(cache_traces.zipf(8000, 1500, 0.9), 1)
    before, after = trace[:-1000], trace[-1000:]
    shares, waits = {}, {}
    for turn in range(args.rounds):
        for name in ('with', 'without') if turn % 2 else ('without', 'with'):
            with tempfile.TemporaryDirectory() as directory:
                parameters = CacheParameters(directory=directory)
                with MultiLevelCacheSystem(parameters) as cache:
                    replay(cache, before)
                with MultiLevelCacheSystem(parameters) as cache:
                    begin = time.perf_counter()
                    preloaded = cache.preload() if name == 'with' else 0
                    took_ms = 1e3 * (time.perf_counter() - begin)
                    waits.setdefault(name, []).append(replay(cache, after))
                    shares[name] = (cache.statistics(), preloaded, took_ms)
    figures = []
    print(f'\n{"1000 lookups after a restart":42}{"hits":>10}{"in memory":>10}{"p50 [us]":>10}')
    for name in ('without', 'with'):
        counted, preloaded, took_ms = shares[name]
        in_memory = sum(counted.hits[:2]) / sum(counted.hits)
        p50 = statistics.median(float(np.median(one)) for one in waits[name])
        print(f'{name + " preloading":42}{counted.hit_rate:10.3f}{in_memory:10.3f}{p50:10.1f}'
              + (f'  {preloaded} values in {took_ms:.0f} ms' if preloaded else ''))
        figures += [
            {'name': f'hits {name} preloading', 'value': round(counted.hit_rate, 4), 'unit': '1'},
            {'name': f'share of hits in memory {name} preloading', 'value': round(in_memory, 4),
             'unit': '1'} | ({'goal': '>= 0.8'} if name == 'with' else {}),
            {'name': f'hit p50 {name} preloading', 'value': round(p50, 2), 'unit': 'us'}]
    return figures


def replay(cache, trace):
    """Look every key up, and store it where it is missing; return the times of the hits [us]."""
    taken = []
    for at, number in enumerate(trace):
        name = cache_traces.key(int(number))
        begin = time.perf_counter_ns()
        hit = cache.look_up(name)
        if hit is not None:
            taken.append((time.perf_counter_ns() - begin) / 1e3)
        else:
            cache.store(name, cache_speed.VALUE)
        if at % 200 == 199:  # no more than may wait to be written
            time.sleep(0.05)
    return taken


def workloads(_args):
    """Play real speech; tell where the transcripts come from."""
    print(f'\n{"real speech: transcripts":52}{"all":>6}{"cached":>8}{"shared":>8}{"rate":>8}')
    digest = cache_workloads.recogniser()
    figures = []
    for name, lives in cache_workloads.workloads().items():
        counts = cache_workloads.answered(lives, digest)
        total, shared = counts.total(), counts['shared']
        cached = total - shared - counts['none']
        rate = (cached + shared) / total
        print(f'{name:52}{total:6}{cached:8}{shared:8}{rate:8.3f}')
        figures.append({'name': f'no inference, {name}', 'value': round(rate, 4), 'unit': '1'})
    return figures


if __name__ == '__main__':
    sys.exit(main())
