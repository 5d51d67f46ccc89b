"""How well the memory trend tells a leak from what only looks like one, beside two other rules.

    python bench/memory_trend.py [--hours 24] [--runs 100] [--json FILE]

Synthetic traces of a process of 300 MB, a sample every 2 s: spikes of 20 %, a collector's sawtooth
of 10 % with teeth of 20 to 40 s, single steps of 50 MB, noise that remembers, and, without a goal,
all of it at once. With a leak of 10 MB/min, --runs traces of 5 minutes each: worst error of the
slope after 5 minutes, and the share of them that raise an alarm then. Without one, --hours of
each: false alarms, counted where an alarm begins. An alarm is a lower end of the interval above
1 MB/min. Two other rules see the same samples: mean(diff(last 10)), with an alarm above 5 MB/min
since it has no interval, and least squares with its textbook interval.
"""

import argparse
import math
import sys
import time
from pathlib import Path
from statistics import NormalDist

import numpy as np
import report

from xlerobot_asr_opt.core.memory_trend import CONFIDENCE, MemoryTrend

PERIOD_S = 2.0
WINDOW_S = 300.0
LOOK_S = 10.0
BASE = 300e6
LEAK = 10e6 / 60
ALARM = 1e6 / 60
TWO_SAMPLES_ALARM = 5e6 / 60
RULES = ('trend', 'two samples', 'least squares')


def noise(rng, count, deviation=0.5e6, memory=0.0):
    """Normal noise whose neighbours are correlated by memory [bytes]."""
    fresh = rng.normal(0.0, deviation * math.sqrt(1.0 - memory**2), count)
    series = np.empty(count)
    last = rng.normal(0.0, deviation)
    for index, each in enumerate(fresh):
        last = series[index] = memory * last + each
    return series


def spikes(rng, count):
    """A fifth more for 2 to 15 s, once a minute on average."""
    series = np.zeros(count)
    for begin in np.flatnonzero(rng.random(count) < PERIOD_S / 60.0):
        series[begin:begin + round(rng.uniform(2.0, 15.0) / PERIOD_S)] = 0.2 * BASE
    return series


def sawtooth(rng, count):
    """A tenth more within 20 to 40 s, then collected."""
    series = np.empty(0)
    while series.size < 2 * count:
        series = np.append(series, np.arange(0.0, 1.0, PERIOD_S / rng.uniform(20.0, 40.0)))
    begin = int(rng.integers(count))
    return 0.1 * BASE * series[begin:begin + count]


def steps(rng, count):
    """Up or down by 50 MB, every 10 to 30 minutes, and once at least."""
    series = np.zeros(count)
    at = int(rng.integers(1, min(count, int(1200 / PERIOD_S))))
    while at < count:
        series[at:] += rng.choice((-50e6, 50e6))
        at += round(rng.uniform(600.0, 1800.0) / PERIOD_S)
    # No process is smaller than nothing.
    return series - min(0.0, series.min() + 0.5 * BASE)


EVERYTHING = 'all at once'
KINDS = {
    'clean': lambda rng, count: noise(rng, count),
    'spikes of 20 %': lambda rng, count: noise(rng, count) + spikes(rng, count),
    'sawtooth': lambda rng, count: noise(rng, count) + sawtooth(rng, count),
    'steps': lambda rng, count: noise(rng, count) + steps(rng, count),
    'noise': lambda rng, count: noise(rng, count, 3e6, 0.9),
    EVERYTHING: lambda rng, count: (
        noise(rng, count, 3e6, 0.9) + spikes(rng, count) + sawtooth(rng, count)
        + steps(rng, count)),
}


class Rules:
    """The three rules over one stream of samples."""

    def __init__(self):
        self._trend = MemoryTrend(WINDOW_S)
        self._times, self._sizes = [], []
        self._z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
        self.seconds, self.looks = 0.0, 0

    def add(self, time_s, size):
        self._trend.add(time_s, size)
        self._times.append(time_s)
        self._sizes.append(size)
        if self._times[-1] - self._times[0] > WINDOW_S:
            del self._times[0], self._sizes[0]

    def slopes(self):
        """Slope and lower end by each rule [bytes/s]."""
        begin = time.perf_counter()
        trend = self._trend.trend()
        self.seconds += time.perf_counter() - begin
        self.looks += 1
        two = float(np.mean(np.diff(self._sizes[-10:]))) / PERIOD_S
        return {
            'trend': (trend.slope, trend.low),
            'two samples': (two, two),
            'least squares': self._least_squares(),
        }

    def _least_squares(self):
        times, sizes = np.array(self._times), np.array(self._sizes)
        times = times - times.mean()
        slope = float(times @ sizes / (times @ times))
        residuals = sizes - sizes.mean() - slope * times
        error = math.sqrt(residuals @ residuals / (times.size - 2) / (times @ times))
        return slope, slope - self._z * error


def is_alarm(rule, low):
    """Whether the lower end of a rule's interval [bytes/s] raises an alarm."""
    return low > (TWO_SAMPLES_ALARM if rule == 'two samples' else ALARM)


def leaks(kind, runs):
    """Worst relative error of each rule after 5 minutes, and the share of the leaks found then."""
    worst, found = dict.fromkeys(RULES, 0.0), dict.fromkeys(RULES, 0.0)
    times = np.arange(0.0, WINDOW_S + PERIOD_S / 2, PERIOD_S)
    for seed in range(runs):
        rules = Rules()
        sizes = BASE + LEAK * times + KINDS[kind](np.random.default_rng(seed), times.size)
        for each in zip(times, sizes, strict=True):
            rules.add(*each)
        for rule, (slope, low) in rules.slopes().items():
            worst[rule] = max(worst[rule], abs(slope / LEAK - 1.0))
            found[rule] += is_alarm(rule, low) / runs
    return worst, found


def false_alarms(kind, hours, seed=2026):
    """Alarms of each rule in a trace without a leak, and the time of one look [ms]."""
    count = round(hours * 3600 / PERIOD_S)
    sizes = BASE + KINDS[kind](np.random.default_rng(seed), count)
    rules, alarms, alarmed = Rules(), dict.fromkeys(RULES, 0), dict.fromkeys(RULES, False)
    for index, size in enumerate(sizes):
        now = index * PERIOD_S
        rules.add(now, size)
        if now < WINDOW_S or now % LOOK_S:
            continue
        for rule, (_, low) in rules.slopes().items():
            alarm = is_alarm(rule, low)
            alarms[rule] += alarm and not alarmed[rule]
            alarmed[rule] = alarm
    return alarms, 1e3 * rules.seconds / max(1, rules.looks)


def main():
    """Run the bench, print a table and end with 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--hours', type=float, default=24.0)
    parser.add_argument('--runs', type=int, default=100)
    parser.add_argument('--json', type=Path, metavar='FILE')
    args = parser.parse_args()
    print(f'{"":16}' + ''.join(f'{rule:>28}' for rule in RULES))
    print(f'{"":16}' + f'{"worst error  found  alarms":>28}' * len(RULES))
    figures, total, looks = [], dict.fromkeys(RULES, 0), []
    for kind in KINDS:
        errors, found = leaks(kind, args.runs)
        alarms, look = false_alarms(kind, args.hours)
        looks.append(look)
        print(f'{kind:16}' + ''.join(
            f'{100 * errors[rule]:10.0f} %{100 * found[rule]:6.0f} %{alarms[rule]:8d}'
            for rule in RULES), flush=True)
        for rule in RULES:
            total[rule] += alarms[rule] if kind != EVERYTHING else 0
            is_judged = rule == 'trend' and kind != EVERYTHING
            figures += [
                {'name': f'{kind}, {rule}: worst error', 'value': round(errors[rule], 4),
                 'unit': 'of the slope', **({'goal': 0.2} if is_judged else {})},
                {'name': f'{kind}, {rule}: found', 'value': round(found[rule], 4),
                 'unit': 'of the leaks', **({'goal': '>= 1'} if is_judged else {})},
                {'name': f'{kind}, {rule}: false alarms', 'value': alarms[rule], 'unit': ''}]
    figures.append({
        'name': f'false alarms in {len(KINDS) - 1} x {args.hours:g} h', 'unit': '',
        'value': total['trend'], 'goal': 1, 'peer': 'least squares',
        'peer_value': total['least squares']})
    figures.append({'name': 'one look', 'value': round(max(looks), 3), 'unit': 'ms'})
    print(f'one look at the trend: {max(looks):.2f} ms')
    if args.json:
        report.write(args.json, figures)
    return int(any(report.held(figure) is False for figure in figures))


if __name__ == '__main__':
    sys.exit(main())
