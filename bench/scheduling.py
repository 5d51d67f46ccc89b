"""What the scheduler's decisions cost, and what they are worth under three times the load.

    python bench/scheduling.py [--json FILE]

Cost: jobs through the deques (queued, taken, over) and segments through the whole dispatcher
(announced, granted, answered, told and acknowledged) by one thread, nothing else being done. Each
of these is one decision; a job has three of them, and so has a segment. Beside it the same for
asyncio.PriorityQueue, which has neither streams, workers, deadlines nor withdrawal.

Worth: a load of three times what the workers can do, in virtual time, for the same arrivals, once
with the dispatcher and twice first come first served. A segment counts that is told in time; the
peak is what the workers could do if all their time went into those.
"""

import argparse
import asyncio
import functools
import gc
import hashlib
import heapq
import itertools
import math
import random
import statistics
import time
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import report

from xlerobot_asr_opt.core.dispatch import Dispatcher, Publish, Send
from xlerobot_asr_opt.core.work_stealing import WorkStealingDeques
from xlerobot_asr_opt.parameters import SchedulerParameters
from xlerobot_asr_opt.records import (
    SAMPLE_RATE,
    Recognition,
    RecognitionStatus,
    Ticket,
    TranscriptStatus,
    WorkerStatus,
)

ROUNDS, JOBS = 7, 10_000
WORKERS = 8
STREAMS = [f'stream {number}' for number in range(1000)]
DECISIONS = 3
"""Of one job: it is queued, it is taken, it is over."""

OVERLOAD, LASTS_S, BUDGET_S = 3, 120.0, 1.0
TICK_S = 0.01
RECOGNISER = bytes(32)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--json', help='write the figures there')
    args = parser.parse_args()
    figures = cost() + worth()
    for row in figures:
        peer = f'   {row["peer"]} {row["peer_value"]:.4g}' if 'peer' in row else ''
        print('{name:68} {value:10.4g} {unit}'.format(**row) + peer)
    if args.json:
        report.write(args.json, figures)


# Cost


def cost():
    """Decisions a second of one core's time, measured in turns."""
    kinds = {
        'deques, 100 wait': lambda: through_deques(100),
        'deques, 10000 wait': lambda: through_deques(10_000),
        'asyncio.PriorityQueue, 100 wait': lambda: asyncio.run(through_queue(100)),
        'dispatcher, 100 wait': lambda: through_dispatcher(100, budget_s=0.0),
        'dispatcher, 100 wait, each with a budget': lambda: through_dispatcher(100, budget_s=1e6),
    }
    times = {name: [] for name in kinds}
    for _ in range(ROUNDS):
        for name, work in kinds.items():
            gc.collect()
            times[name].append(work())
    found = {name: DECISIONS * JOBS / statistics.median(values) for name, values in times.items()}
    goals = {'deques, 100 wait': '>= 50000', 'deques, 10000 wait': '>= 50000'}
    figures = [{'name': f'decisions a second: {name}', 'unit': '1/s', 'value': value}
               | ({'goal': goals[name]} if name in goals else {})
               for name, value in found.items() if not name.startswith('asyncio')]
    peer = found['asyncio.PriorityQueue, 100 wait']
    figures[0] |= {'peer': 'asyncio.PriorityQueue', 'peer_value': peer,
                   'ratio': found['deques, 100 wait'] / peer}
    return figures


@dataclass(eq=False)
class Waiting:
    """A job of the deques."""

    order: int
    stream: str
    deadline: float
    length: int = SAMPLE_RATE
    priority: int = 0


def drawn_jobs():
    chance = random.Random(1)
    return [Waiting(order, chance.choice(STREAMS), chance.random()) for order in range(JOBS)]


def through_deques(waiting):
    """Seconds for JOBS jobs, while so many wait; all workers take in turn."""
    deques = WorkStealingDeques(random.Random(2), SAMPLE_RATE)
    jobs = drawn_jobs()
    homes = [hash(job.stream) % WORKERS for job in jobs]
    over = 0
    begin = time.process_time()
    for job, home in zip(jobs, homes, strict=True):
        deques.push(job, home, preferred=True)
        if len(deques) > waiting:
            over += deques.take(over % WORKERS, fits_all) is not None
    while deques:
        over += deques.take(over % WORKERS, fits_all) is not None
    took = time.process_time() - begin
    assert over == JOBS
    return took


def fits_all(_demand):
    return True


async def through_queue(waiting):
    queue = asyncio.PriorityQueue()
    jobs = drawn_jobs()
    begin = time.process_time()
    for job in jobs:
        queue.put_nowait((job.priority, job.deadline, job.order, job))
        if queue.qsize() > waiting:
            queue.get_nowait()
            queue.task_done()
    while not queue.empty():
        queue.get_nowait()
        queue.task_done()
    return time.process_time() - begin


def through_dispatcher(waiting, budget_s):
    """Seconds for JOBS segments, while so many wait for eight workers."""
    now = 0.0
    dispatcher = Dispatcher(SchedulerParameters(use_cache=False), lambda: now)
    for number in range(WORKERS):
        dispatcher.on_worker(WorkerStatus(
            f'w{number}', 1, active=True, capacity=2, longest=480_000, recogniser=RECOGNISER))
    tickets = announced(JOBS, budget_s)
    granted, told = deque(), 0
    begin = time.process_time()
    for count, ticket in enumerate(tickets, start=1):
        now += 1e-4
        told += carry_out(dispatcher.on_ticket(ticket), granted)
        if count - told - len(granted) > waiting:
            told += carry_out(dispatcher.on_recognition(answer(granted.popleft())), granted)
    while granted:
        now += 1e-4
        told += carry_out(dispatcher.on_recognition(answer(granted.popleft())), granted)
    took = time.process_time() - begin
    assert told == JOBS
    return took


def announced(count, budget_s):
    chance = random.Random(1)
    sequences = dict.fromkeys(STREAMS, 0)
    tickets = []
    for number in range(1, count + 1):
        stream = chance.choice(STREAMS)
        tickets.append(ticket_of(number, stream, sequences[stream], SAMPLE_RATE, budget_s))
        sequences[stream] += 1
    return tickets


def ticket_of(number, stream, sequence, length, budget_s):
    digest = hashlib.blake2b(number.to_bytes(8, 'little'), digest_size=32).digest()
    return Ticket(segment=number, stream=stream, sequence=sequence, oldest_kept=0, begin_ns=0,
                  length=length, digest=digest, priority=1, budget_s=budget_s)


def answer(grant):
    return Recognition(grant.segment, grant.attempt, grant.worker, RecognitionStatus.DONE,
                       text='go', recogniser=RECOGNISER)


def carry_out(actions, granted):
    """Hand on what was granted; return how many transcripts were published."""
    granted.extend(action.grant for action in actions if type(action) is Send)
    return sum(type(action) is Publish for action in actions)


# Worth


class Spoken(NamedTuple):
    """One segment of the load."""

    at: float
    stream: str
    service_s: float


def worth():
    """What is told in time of three times the load, by the dispatcher and by FIFO."""
    figures = []
    for workers in (2, WORKERS):
        load = drawn_load(workers)
        own = Overload(workers).run(load)
        plain, fifo = (first_come(load, workers, expires=expires) for expires in (False, True))
        name = f'at {OVERLOAD} times the load of {workers} workers'
        figures += [
            {'name': f'goodput {name}, share of the peak', 'unit': '1', 'value': own.goodput,
             'goal': '>= 0.9', 'peer': 'FIFO with expiry', 'peer_value': fifo,
             'ratio': own.goodput / fifo if fifo else math.inf},
            {'name': f'goodput {name}, FIFO without expiry', 'unit': '1', 'value': plain},
            {'name': f'late results told as in time {name}', 'unit': 'segments',
             'value': own.late, 'goal': 0},
            {'name': f'p100 of certainty to refusal {name}', 'unit': 'ms',
             'value': 1e3 * own.slowest_refusal_s, 'goal': 10},
            {'name': f'refused when announced {name}, of all refused', 'unit': '1',
             'value': own.at_once},
            {'name': f'work done in vain {name}, share of all', 'unit': '1', 'value': own.vain},
        ]
    return figures


def drawn_load(workers):
    """Poisson arrivals of 0.1 to 0.5 s of work each, with the form of a share and a slope."""
    chance = random.Random(workers)
    load, at = [], 0.0
    while at < LASTS_S:
        at += chance.expovariate(OVERLOAD * workers / 0.3)
        load.append(Spoken(at, chance.choice(STREAMS), 0.1 + 0.4 * chance.random()))
    return load


@dataclass
class Outcome:
    """What became of an overload."""

    goodput: float
    late: int
    slowest_refusal_s: float
    at_once: float
    vain: float


class Overload:
    """Plays a load before one dispatcher; workers take as long as the load says."""

    def __init__(self, workers):
        self.now = 0.0
        self.dispatcher = Dispatcher(SchedulerParameters(use_cache=False, worker_timeout=60.0),
                                     lambda: self.now)
        self.workers = [f'w{number}' for number in range(workers)]
        self.free_at = dict.fromkeys(self.workers, 0.0)
        self.events, self.numbers = [], itertools.count()
        self.spoken, self.told = {}, {}
        self.busy_s = self.last_tick = 0.0

    def run(self, load):
        self.report()
        sequences = dict.fromkeys(STREAMS, 0)
        for number, spoken in enumerate(load, start=1):
            self.spoken[number] = spoken
            # 0.1 s are the share of each segment, the rest goes by its length.
            length = round(SAMPLE_RATE * 10 * (spoken.service_s - 0.1)) + 1
            ticket = ticket_of(number, spoken.stream, sequences[spoken.stream], length, BUDGET_S)
            sequences[spoken.stream] += 1
            self.at(spoken.at, functools.partial(self.dispatcher.on_ticket, ticket))
        while self.events:
            at, _, event = heapq.heappop(self.events)
            while self.last_tick + TICK_S < at:
                self.last_tick = self.now = self.last_tick + TICK_S
                self.carry_out(self.dispatcher.on_tick())
                if int(self.now / TICK_S) % 100 == 0:
                    self.report()
            self.now = at
            self.carry_out(event())
        return self.outcome(load[-1].at)

    def at(self, at, event):
        heapq.heappush(self.events, (at, next(self.numbers), event))

    def report(self):
        for name in self.workers:
            self.carry_out(self.dispatcher.on_worker(WorkerStatus(
                name, 1, active=True, capacity=2, longest=480_000, recogniser=RECOGNISER)))

    def carry_out(self, actions):
        for action in actions:
            if type(action) is Send:
                grant = action.grant
                took = self.spoken[grant.segment].service_s
                begin = max(self.now, self.free_at[grant.worker])
                self.free_at[grant.worker] = begin + took
                self.busy_s += took
                self.at(begin + took,
                        functools.partial(self.dispatcher.on_recognition, answer(grant)))
            elif type(action) is Publish:
                self.told[action.transcript.segment] = self.now, action.transcript

    def told_before(self, segment):
        """When the last segment of its stream was told: before that it is not this one's turn."""
        stream = self.spoken[segment].stream
        before = next((other for other in range(segment - 1, 0, -1)
                       if self.spoken[other].stream == stream), None)
        return self.told[before][0] if before else 0.0

    def outcome(self, lasted_s):
        done = {segment for segment, (_, said) in self.told.items()
                if said.status is TranscriptStatus.DONE}
        refused = {segment: at for segment, (at, said) in self.told.items()
                   if said.status is TranscriptStatus.REJECTED}
        useful_s = sum(self.spoken[segment].service_s for segment in done)
        end = {segment: self.spoken[segment].at + BUDGET_S for segment in self.told}
        certain = [at - max(self.spoken[segment].at,
                            end[segment] - self.spoken[segment].service_s,
                            self.told_before(segment))
                   for segment, at in refused.items()]
        at_once = sum(at == self.spoken[segment].at for segment, at in refused.items())
        return Outcome(
            goodput=useful_s / (len(self.workers) * (lasted_s + BUDGET_S)),
            late=sum(self.told[segment][0] > end[segment] for segment in done),
            slowest_refusal_s=max(0.0, *certain),
            at_once=at_once / len(refused),
            vain=1.0 - useful_s / self.busy_s)


def first_come(load, workers, *, expires):
    """Share of the workers' time that reached somebody in time, first come first served.

    With expiry nobody begins with what is past its budget.
    """
    free_at, useful_s = [0.0] * workers, 0.0
    for spoken in load:
        begin = max(free_at[0], spoken.at)
        if expires and begin > spoken.at + BUDGET_S:
            continue
        heapq.heapreplace(free_at, begin + spoken.service_s)
        if begin + spoken.service_s <= spoken.at + BUDGET_S:
            useful_s += spoken.service_s
    return useful_s / (workers * (load[-1].at + BUDGET_S))


if __name__ == '__main__':
    main()
