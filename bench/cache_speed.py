"""How long lookups take, for bench/cache.py: in the process, and through the node's service.

Run as a program it is one of the two processes of the service: node DIRECTORY, or ask COUNT.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np
from cache_traces import key

from xlerobot_asr_opt.cache_system import MultiLevelCacheSystem
from xlerobot_asr_opt.parameters import CacheParameters

NAMESPACE = '/asr_bench'
ON_DISK = 5000
IN_MEMORY = 100
WARM_UP = 200
GAP_S = 0.001
"""After which another process has had the core, and what a lookup needs is in no cache of it."""
STORE_GAP_S = 0.005
PATIENCE_S = 20.0
VALUE = json.dumps({
    'status': 'DONE', 'text': 'it was the best of times', 'language': 'en', 'confidence': 0.9,
    'words': [], 'emotion': '', 'event': '', 'backend': 'onnxruntime', 'reason': ''})


def in_process(rounds, lookups):
    """Times of each lookup: {name: [columns of one round]}; all names take turns."""
    times = {}
    with tempfile.TemporaryDirectory() as directory:
        fill(directory)
        order = [key(int(number)) for number in np.random.default_rng(0).permutation(ON_DISK)]
        turns = iter(np.array_split(np.arange(ON_DISK), 3 * rounds))  # no key comes again
        with MultiLevelCacheSystem(CacheParameters(directory=directory)) as disk, \
                MultiLevelCacheSystem(CacheParameters(l3_entries=0)) as memory:
            for name in order[:IN_MEMORY]:
                memory.store(name, VALUE)
            for _ in range(rounds):
                for gap_s, paced in ((0.0, ''), (GAP_S, ', once a millisecond')):
                    names = np.resize(np.arange(IN_MEMORY), lookups)
                    times.setdefault(f'l1{paced}', []).append(
                        timed(memory, [order[at] for at in names], 'l1', gap_s))
                    names = next(turns)[:lookups]
                    times.setdefault(f'l3{paced}', []).append(
                        timed(disk, [order[at] for at in names], 'l3', gap_s))
                with writing(disk):
                    names = next(turns)[:lookups]
                    times.setdefault('l3, the same while it is written', []).append(
                        timed(disk, [order[at] for at in names], 'l3', GAP_S))
    return times


def fill(directory):
    """Put ON_DISK values on the disk, half of what it has room for; none is known to be hot."""
    with MultiLevelCacheSystem(CacheParameters(directory=directory)) as cache:
        for number in range(ON_DISK):
            cache.store(key(number), VALUE)
            if number % 500 == 499:  # no more than may wait
                while cache.statistics().entries[2] < number - 2:
                    time.sleep(0.005)


def timed(cache, names, level, gap_s):
    """Look up keys; give the times of those that were found in this level, as of Watch."""
    watch = Watch()
    for name in names:
        if gap_s:
            time.sleep(gap_s)
        hit = watch.time(cache.look_up, name)
        if hit is None:
            raise RuntimeError(f'{name.hex()} is not in the cache')
        if hit.level != level:
            watch.taken.pop()
    return np.array(watch.taken)


class Watch:
    """Times calls: float[calls, 2], by the clock and of the processor [us].

    On a machine that does other things as well, a call is interrupted now and then; what the
    processor spent on it tells that apart. It leaves out waiting for the disk or a lock.
    """

    def __init__(self):
        """Begin with no call."""
        self.taken = []

    def time(self, call, *arguments):
        """Call, and note how long it took."""
        processor = time.thread_time_ns()
        begin = time.perf_counter_ns()
        result = call(*arguments)
        end = time.perf_counter_ns()
        self.taken.append(((end - begin) / 1e3, (time.thread_time_ns() - processor) / 1e3))
        return result


@contextlib.contextmanager
def writing(cache):
    """Store values all the while, 200 in a second."""
    end = threading.Event()

    def write():
        number = 0
        while not end.wait(STORE_GAP_S):
            cache.store(key(ON_DISK + number % ON_DISK), VALUE)
            number += 1
    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        end.set()
        writer.join()


def through_the_service(lookups):
    """Times of each lookup through the graph: {name: columns}, own is the node's own time."""
    with tempfile.TemporaryDirectory() as directory:
        fill(directory)
        node = role('node', directory)
        try:
            if not node.stdout.readline():
                raise RuntimeError(f'the node has ended with {node.wait()}')
            asking = role('ask', str(lookups))
            trips = json.loads(last(asking.communicate(timeout=300)[0]))
            own = json.loads(last(node.communicate(input='end\n', timeout=PATIENCE_S)[0]))
        finally:
            node.kill()
    columns = {}
    for number, level in enumerate(('l1', 'l3', 'miss')):
        columns[f'own, {level}'] = np.array(own[WARM_UP * 3 + number::3])
        columns[f'round trip, {level}'] = np.array(trips[WARM_UP * 3 + number::3])
    return columns


def role(*words):
    """Start one of the two processes."""
    return subprocess.Popen(
        [sys.executable, __file__, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, env=os.environ | {'ROS_LOCALHOST_ONLY': '1'})


def last(text):
    return text.strip().splitlines()[-1]


def serve(directory):
    """Be the node until a line comes; print how long it took over each request, as of Watch."""
    import rclpy

    from xlerobot_asr_opt.nodes.cache import CacheNode
    from xlerobot_asr_opt.ros.executor import DirectExecutor

    rclpy.init(args=['--ros-args', '-r', f'__ns:={NAMESPACE}', '-p', f'directory:={directory}'])
    node = CacheNode()
    node.configure()
    node.activate()
    watch = Watch()
    answer = DirectExecutor._on_service
    DirectExecutor._on_service = lambda executor, service: watch.time(answer, executor, service)
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), ended.set()), daemon=True).start()
    executor = DirectExecutor()
    executor.add_node(node)
    print('ready', flush=True)
    while not ended.is_set():
        executor.spin_once(0.1)
    node.cleanup()
    print(json.dumps(watch.taken))


def ask(lookups):
    """Ask for a value in memory, one on disk and one that is nowhere, in turn."""
    import rclpy

    from xlerobot_asr_interfaces import srv
    from xlerobot_asr_opt.ros import names
    from xlerobot_asr_opt.ros.executor import DirectExecutor

    rclpy.init()
    node = rclpy.create_node('asking', namespace=NAMESPACE)
    client = node.create_client(srv.CacheLookup, names.CACHE_LOOKUP)
    executor = DirectExecutor()
    executor.add_node(node)
    deadline = time.monotonic() + PATIENCE_S
    while not client.service_is_ready():
        if time.monotonic() > deadline:
            raise RuntimeError(f'no service {names.CACHE_LOOKUP} within {PATIENCE_S:g} s')
        executor.spin_once(0.05)
    watch = Watch()
    for turn in range(WARM_UP + lookups):
        # The first key is asked for every time and stays in l1; the second one only once.
        for number in (0, 1 + turn % (ON_DISK - 1), ON_DISK + turn):
            request = srv.CacheLookup.Request(key=np.frombuffer(key(number), np.uint8))
            watch.time(wait_for_answer, client, request, executor)
            time.sleep(GAP_S)
    print(json.dumps(watch.taken))


def wait_for_answer(client, request, executor):
    """Send a request, and spin until its answer is here."""
    future = client.call_async(request)
    while not future.done():
        executor.spin_once(1.0)


if __name__ == '__main__':
    {'node': serve, 'ask': lambda count: ask(int(count))}[sys.argv[1]](*sys.argv[2:])
