"""Replays traces on the caches of cachetools, for bench/cache.py; runs in their environment.

The parent sends a line of JSON: entries, the age limit of TLRU in lookups, and a trace. A line
with the hit rate of each cache comes back.
"""

import json
import sys

import cachetools


def main():
    """Answer line by line."""
    print('ready', flush=True)
    for line in sys.stdin:
        print(json.dumps(hit_rates(**json.loads(line))), flush=True)


def hit_rates(entries, ttl, trace):
    """Replay a trace on each cache, one lookup in a unit of time."""
    now = [0]
    caches = {
        'LRU': cachetools.LRUCache(entries),
        'LFU': cachetools.LFUCache(entries),
        'TLRU': cachetools.TLRUCache(
            entries, lambda _key, _value, begin: begin + ttl, lambda: now[0]),
    }
    return {name: replay(cache, trace, now) for name, cache in caches.items()}


def replay(cache, trace, now):
    """Look every key up, and put it where it is missing; return the hit rate."""
    found = 0
    for at, key in enumerate(trace):
        now[0] = at
        if cache.get(key) is not None:
            found += 1
        else:
            cache[key] = True
    return found / len(trace)


if __name__ == '__main__':
    main()
