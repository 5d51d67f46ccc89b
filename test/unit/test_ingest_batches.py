"""Batches of chunks: what comes of them is what comes of each chunk judged on its own."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scripted_speech import BEGIN_NS, LoudnessDetector, chunks, dialogue, rows

from xlerobot_asr_opt.core.ingest import Ingest
from xlerobot_asr_opt.core.segment_store import SegmentStore
from xlerobot_asr_opt.core.stream_arrays import StreamArrays
from xlerobot_asr_opt.parameters import IngestParameters

SECOND = 1_000_000_000
STREAMS = 200
BAD = 10
"""Of the streams, as 50 of 1000."""


class House:
    """Ingest with a store of its own."""

    def __init__(self, path, name, streams=8):
        self.store = SegmentStore(path / f'{name}.store', 64 << 20)
        self.ingest = Ingest(
            IngestParameters(streams=streams), self.store, LoudnessDetector(), lambda: 100.0)
        self.tickets = []

    def hear(self, batch):
        self.tickets += self.ingest.accept_all(batch)

    def outcome(self):
        """End all; return tickets with their samples, and statuses, by stream."""
        names = [status.stream for status in self.ingest.statuses()]
        for name in names:
            self.tickets += self.ingest.finish(name)
        said = {name: [] for name in names}
        for ticket in self.tickets:
            said[ticket.stream].append((
                dataclasses.replace(ticket, segment=0), self.ingest.samples(
                    ticket.segment).tolist()))
        statuses = {status.stream: status for status in self.ingest.statuses()}
        self.store.close()
        return said, statuses


def talk(stream, seed):
    """Chunks of a dialogue."""
    rng = np.random.default_rng(seed)
    return chunks(dialogue(*rng.uniform(0.2, 1.5, 5), seed=seed), stream)


def late(some, at):
    return [*some[:at], *some[at + 1:at + 3], some[at], *some[at + 3:]]


SPOILS = {
    'well': lambda some, at: some,
    'lost': lambda some, at: some[:at] + some[at + 2:],
    'lost much': lambda some, at: some[:at] + some[at + 9:],
    'late': late,
    'twice': lambda some, at: [*some[:at], some[at], *some[at:]],
    'again': lambda some, at: some[:at] + chunks(
        dialogue(0.1, 1.0, 1.0), some[0].stream, begin_ns=BEGIN_NS + 60 * SECOND),
    'wrong': lambda some, at: [*some[:at], dataclasses.replace(some[at], rate=1), *some[at + 1:]],
    'empty': lambda some, at: [*some[:at], dataclasses.replace(
        some[at], samples=some[at].samples[:0]), *some[at + 1:]],
    'short': lambda some, at: [*some[:at], dataclasses.replace(
        some[at], samples=some[at].samples[:99]), *some[at + 1:]],
    'other form': lambda some, at: [*some[:at], dataclasses.replace(
        some[at], channels=2), *some[at + 1:]],
    'no stamps': lambda some, at: some[:at] + [
        dataclasses.replace(chunk, stamp_ns=0) for chunk in some[at:]],
    'set back': lambda some, at: some[:at] + [
        dataclasses.replace(chunk, stamp_ns=chunk.stamp_ns - 50 * SECOND) for chunk in some[at:]],
    'drifting': lambda some, at: [
        dataclasses.replace(chunk, stamp_ns=chunk.stamp_ns + index * 1_700_000)
        for index, chunk in enumerate(some)],
}


def mixed(streams, random):
    """Mix the chunks of streams, those of each in order."""
    turns = [index for index, some in enumerate(streams) for _ in some]
    random.shuffle(turns)
    waiting = [iter(some) for some in streams]
    return [next(waiting[index]) for index in turns]


@settings(max_examples=12, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.sampled_from(sorted(SPOILS)), st.integers(1, 15)),
             min_size=1, max_size=4),
    st.lists(st.integers(1, 40), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_batches_of_any_size_are_heard_as_each_chunk_on_its_own(
        tmp_path, monkeypatch, spoils, sizes, random):
    streams = [SPOILS[spoil](talk(f'stream {index}', index), at)
               for index, (spoil, at) in enumerate(spoils)]
    all_of_them = rows(mixed(streams, random))
    together = House(tmp_path, 'together')
    begin, turn = 0, 0
    while begin < len(all_of_them):
        size = sizes[turn % len(sizes)]
        together.hear(all_of_them[begin:begin + size])
        begin, turn = begin + size, turn + 1
    apart = House(tmp_path, 'apart')
    with monkeypatch.context() as patch:
        patch.setattr(StreamArrays, 'follows',
                      lambda self, rows, chunks, which: np.zeros(which.size, np.bool_))
        for chunk in all_of_them:
            apart.hear(chunk[None])
    for one, other in zip(together.outcome(), apart.outcome(), strict=True):
        assert one == other
    for path in tmp_path.iterdir():
        path.unlink()


# Bad input at scale


def garbage(some):
    """Random bytes under the stream's name."""
    made = rows(some)
    noise = np.random.default_rng(len(some)).integers(0, 256, made.nbytes, np.uint8)
    noise = noise.view(made.dtype)
    noise['stream'] = made['stream']
    return noise


def flood(some):
    """Every chunk ten times, each with the next number."""
    made = np.repeat(rows(some), 10)
    made['sequence'] = np.arange(made.size)
    return made


MISCHIEF = [
    garbage,
    lambda some: rows(some[:len(some) // 2]),
    lambda some: rows([*some[:15], *[dataclasses.replace(
        chunk, sequence=index) for index, chunk in enumerate(some[15:])]]),
    flood,
]
"""Garbage; a stop in mid-word; a restart with sequence 0; a flood."""


@pytest.fixture(scope='module')
def speech():
    """Chunks of somebody who speaks twice."""
    return chunks(dialogue(0.5, 1.0, 0.8, 0.7, 0.8))


def named(some, index):
    return [dataclasses.replace(chunk, stream=f's{index}') for chunk in some]


def test_what_some_streams_do_costs_the_others_nothing(tmp_path, speech):
    house = House(tmp_path, 'a', STREAMS)
    wanted = House(tmp_path, 'b')
    wanted.hear(rows(speech))
    (wanted_said,), (wanted_status,) = (list(part.values()) for part in wanted.outcome())
    streams = [
        MISCHIEF[index % len(MISCHIEF)](named(speech, index)) if index < BAD
        else rows(named(speech, index)) for index in range(STREAMS)]
    for tick in range(len(speech)):
        parts = [stream[len(stream) * tick // len(speech):len(stream) * (tick + 1) // len(speech)]
                 for stream in streams]
        house.hear(np.concatenate(parts))
    said, statuses = house.outcome()
    assert len(wanted_said) == 2
    for index in range(BAD, STREAMS):
        name = f's{index}'
        assert [(ticket.length, ticket.begin_ns, ticket.missing_chunks, samples)
                for ticket, samples in said[name]] == [
            (ticket.length, ticket.begin_ns, ticket.missing_chunks, samples)
            for ticket, samples in wanted_said]
        assert statuses[name] == dataclasses.replace(wanted_status, stream=name)
