"""Traces of lookups for bench/cache.py, and what ours, a textbook policy and the optimum find.

A trace is a list of numbers, each the name of a key. All are drawn from a fixed seed.
"""

import hashlib
import heapq
import math
from collections import OrderedDict

import numpy as np

from xlerobot_asr_opt.core.cache_admission import Admission
from xlerobot_asr_opt.core.cache_levels import MemoryLevels
from xlerobot_asr_opt.core.frequency_sketch import FrequencySketch

ENTRIES = (100, 1000)
"""Of the levels in memory, by default."""
ROOM = sum(ENTRIES)
LOOKUPS = 60_000
FOREVER = (math.inf, math.inf)


def traces():
    """Name to trace: what the literature compares on, then what robots do."""
    return {name: [int(number) for number in numbers] for name, numbers in {
        'Zipf 0.9': zipf(LOOKUPS, 20_000, 0.9),
        'Zipf 1.1': zipf(LOOKUPS, 20_000, 1.1),
        'Zipf and scans': in_turns(zipf(LOOKUPS * 2 // 3, 2000, 0.9), 2000, 1000),
        'loop of 1500': np.arange(LOOKUPS) % 1500,
        'favourites change at once': np.concatenate([
            zipf(6000, 4000, 1.0, seed) + 4000 * seed for seed in range(LOOKUPS // 6000)]),
        'favourites drift': zipf(LOOKUPS, 4000, 1.0) + np.arange(LOOKUPS) // 20,
        'bag of 800 utterances, replayed': np.arange(LOOKUPS) % 800,
        'bag of 2000 utterances, replayed': np.arange(LOOKUPS) % 2000,
        '300 announcements among live speech': among_live(zipf(LOOKUPS // 3, 300, 0.7), 2),
        'new announcements every day, live speech': among_live(np.concatenate([
            zipf(2000, 200, 0.7, day) + 150 * day for day in range(LOOKUPS // 6000)]), 2),
    }.items()}


def zipf(lookups, keys, exponent, seed=0):
    """Draw keys whose popularity falls as 1 / rank ** exponent."""
    weights = 1.0 / np.arange(1, keys + 1) ** exponent
    return np.random.default_rng(seed).choice(keys, lookups, p=weights / weights.sum())


def in_turns(numbers, run, scan):
    """After every run of lookups, scan as many keys that never come again."""
    pieces = []
    for turn, begin in enumerate(range(0, len(numbers), run)):
        fresh = 10_000_000 + turn * scan
        pieces += [numbers[begin:begin + run], np.arange(fresh, fresh + scan)]
    return np.concatenate(pieces)


def among_live(numbers, live):
    """Between two lookups, as many as live that never come again."""
    trace = np.arange(10_000_000, 10_000_000 + len(numbers) * (1 + live))
    trace[::1 + live] = numbers
    return trace


def key(number):
    """The key of a number: a digest, as keys are."""
    return hashlib.blake2b(number.to_bytes(8, 'big'), digest_size=32).digest()


def ours(trace):
    """Hit rate of the levels in memory that the node has."""
    admission = Admission(ENTRIES)
    levels = MemoryLevels(
        ENTRIES, FOREVER, float, admission.wins, lambda _key, _value: None)
    found = 0
    for name in map(key, trace):
        admission.asked(name)
        if levels.get(name) is not None:
            found += 1
        else:
            levels.put(name, '')
    return found / len(trace)


def w_tiny_lfu(trace):
    """Hit rate of W-TinyLFU as published: a window of 1 %, the rest a segmented LRU."""
    sketch, window, probation, protected = (
        FrequencySketch(ROOM), OrderedDict(), OrderedDict(), OrderedDict())
    most_window = ROOM // 100
    most_main = ROOM - most_window
    found = 0
    for name in map(key, trace):
        sketch.add(name)
        if name in window:
            window.move_to_end(name)
        elif name in protected:
            protected.move_to_end(name)
        elif name in probation:
            del probation[name]
            protected[name] = None
            if len(protected) > most_main * 4 // 5:
                probation[protected.popitem(last=False)[0]] = None
        else:
            found -= 1
            window[name] = None
            if len(window) > most_window:
                enter(window.popitem(last=False)[0], probation, protected, most_main, sketch)
        found += 1
    return found / len(trace)


def enter(candidate, probation, protected, most, sketch):
    """Give what leaves the window a place in the main part, if it is worth it."""
    if len(probation) + len(protected) >= most:
        segment = probation or protected
        victim = next(iter(segment))
        if sketch.count(candidate) <= sketch.count(victim):
            return
        del segment[victim]
    probation[candidate] = None


def optimum(trace):
    """Hit rate of Belady's: what is asked for again latest leaves."""
    following, last = [0] * len(trace), {}
    for at in range(len(trace) - 1, -1, -1):
        following[at] = last.get(trace[at], math.inf)
        last[trace[at]] = at
    held, latest, found = {}, [], 0
    for number, again in zip(trace, following, strict=True):
        found += number in held
        held[number] = again
        heapq.heappush(latest, (-again, number))
        while len(held) > ROOM:
            negated, farthest = heapq.heappop(latest)
            if held.get(farthest) == -negated:
                del held[farthest]
    return found / len(trace)
