"""What holds under any load: order, fairness, deadlines, and that nobody is idle beside work."""

from __future__ import annotations

import math
import random
from collections import defaultdict

import pytest
from dispatch_clockwork import Clockwork, Spoken
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from xlerobot_asr_opt.core.work_stealing import WorkStealingDeques
from xlerobot_asr_opt.records import TranscriptStatus

# What fails here takes long to shrink, and its seed says enough.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
FEW = settings(max_examples=25, deadline=None, derandomize=True, phases=PHASES)
FAIRNESS = settings(FEW, max_examples=12)
STREAMS = [chr(0x100 + number) for number in range(60)]
SERVICE_S = st.floats(0.05, 3.0)
UTTERANCE_S = st.floats(0.5, 5.0)
LOADS = st.lists(st.builds(
    Spoken, at=st.floats(0.0, 10.0), stream=st.sampled_from(STREAMS[:6]), service_s=SERVICE_S,
    budget_s=st.sampled_from([0.0, 0.0, 1.0, 5.0]), priority=st.integers(0, 2)), max_size=60)


@FEW
@given(LOADS, st.integers(1, 5), st.integers(1, 3))
def test_any_load_is_told_in_order_in_time_and_once(load, workers, capacity):
    clockwork = Clockwork(workers, capacity)
    clockwork.run(load)
    world, count = clockwork.world, clockwork.world.statistics
    assert len(world.transcripts) == count.admitted == len(load)
    assert count.open == count.waiting == 0
    assert count.admitted == count.done + count.rejected + count.expired + count.cancelled
    assert count.foretold == count.rejected
    for stream in STREAMS[:6]:
        assert world.sequences(stream) == sorted(world.sequences(stream))
    for said in world.transcripts:
        budget_s = clockwork.spoken[said.segment].budget_s or math.inf
        assert said.status is not TranscriptStatus.DONE or said.latency.total <= 1e3 * budget_s
    assert sum(clockwork.busy_s.values()) <= workers * clockwork.end_s + 1e-6


@FAIRNESS
@given(st.integers(1, 4), UTTERANCE_S, UTTERANCE_S, st.integers(0, 2**16))
def test_no_stream_waits_over_twice_its_fair_share_beside_a_hog(workers, hogs, lights, seed):
    """50 streams speak again as soon as they are answered, one heaps up 200 segments.

    The fair share of a stream is one segment for one of every other: it waits for as long
    as workers that are never idle, and interrupt nothing, may need for one of each (Graham).
    """
    chance = random.Random(seed)
    clockwork = Clockwork(workers, tick_s=math.inf)
    hog, light = STREAMS[0], STREAMS[1:51]
    lasts_s = 3 * (hogs + 50 * lights) / workers
    clockwork.follows = lambda spoken: (
        [Spoken(0.0, spoken.stream, lights)]
        if spoken.stream != hog and clockwork.end_s < lasts_s else [])
    clockwork.run([*(Spoken(0.0, hog, hogs) for _ in range(200)),
                   *(Spoken(chance.random() * lights, stream, lights) for stream in light)])
    share_s = (hogs + 50 * lights) / workers + (1 - 1 / workers) * max(hogs, lights)
    longest = defaultdict(float)
    for spoken, waited_s in clockwork.waits_s():
        longest[spoken.stream] = max(longest[spoken.stream], waited_s)
    assert set(longest) == {hog, *light}
    assert max(longest[stream] for stream in light) <= 2 * share_s


@settings(FEW, max_examples=40)
@given(st.integers(2, 8), st.integers(0, 2**16))
def test_skewed_jobs_take_hardly_longer_than_they_must(workers, seed):
    """The lower bound of every schedule: the total over the workers, or the longest job.

    All are queued with one worker, and their times are Pareto's: a few take most of it.
    """
    chance = random.Random(seed)
    times = [min(chance.paretovariate(1.2), 20.0) for _ in range(60 * workers)]
    bound = max(sum(times) / workers, *times)
    assert makespan(times, workers, lambda _number: 0, chance) <= 1.15 * bound


@settings(FEW, max_examples=100)
@given(st.lists(st.floats(0.0, 100.0), min_size=1, max_size=80), st.integers(1, 8),
       st.integers(0, 2**16))
def test_nobody_is_idle_while_anything_waits(times, workers, seed):
    """Graham's bound of list scheduling, which any schedule without idle workers keeps."""
    chance = random.Random(seed)
    took = makespan(times, workers, lambda _number: chance.randrange(workers), chance)
    assert took <= sum(times) / workers + (1 - 1 / workers) * max(times) + 1e-6


class Timed:
    """A job of the deques with a time that only the test knows."""

    def __init__(self, order: int, took: float) -> None:
        self.order, self.took = order, took
        self.length, self.priority, self.deadline, self.stream = 1, 0, math.inf, ''


def makespan(times, workers, home, chance) -> float:
    """Have the workers take all jobs from the deques, and return when the last one is done."""
    deques: WorkStealingDeques[Timed] = WorkStealingDeques(chance)
    for number, took in enumerate(times):
        deques.push(Timed(number, took), home(number))
    free_at = [0.0] * workers
    while deques:
        first = min(range(workers), key=free_at.__getitem__)
        job = deques.take(first, lambda _demand: True)
        free_at[first] += job.took
    return max(free_at)


@pytest.mark.parametrize('workers', [1, 2, 4])
def test_three_times_the_load_is_answered_as_much_as_can_be(workers):
    """Nearly all of what the workers do reaches somebody in time."""
    chance = random.Random(workers)
    load, at = [], 0.0
    while at < 60.0:
        at += chance.expovariate(3 * workers / 0.3)
        load.append(Spoken(at, chance.choice(STREAMS), 0.1 + 0.4 * chance.random(), 1.0))
    clockwork = Clockwork(workers, 2)
    clockwork.run(load)
    told = {said.segment for said in clockwork.world.transcripts
            if said.status is TranscriptStatus.DONE}
    useful_s = sum(clockwork.spoken[segment].service_s for segment in told)
    assert useful_s >= 0.9 * workers * clockwork.end_s
    assert clockwork.world.statistics.foretold > len(load) / 2
