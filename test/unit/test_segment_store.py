"""What is spoken outlives the process that heard it."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from xlerobot_asr_opt.core import segment_store
from xlerobot_asr_opt.core.segment_store import BLOCK, LONGEST, SegmentStore
from xlerobot_asr_opt.errors import StoreError, StoreFullError
from xlerobot_asr_opt.records import SAMPLE_RATE, Flag

SMALL = 2 << 20
"""A store of this size holds little more than two of the longest segments."""

FOUND = Flag.RECOVERED | Flag.INTERRUPTED


def sound(count, seed=0):
    return np.random.default_rng(seed).integers(-32768, 32768, count).astype(np.int16)


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'a.store'


@pytest.fixture
def store(path):
    store = SegmentStore(path, SMALL)
    yield store
    store.close()


def keep(store, samples, stream='a', begin_ns=0, **seal):
    segment = store.open(stream, begin_ns)
    store.append(segment, samples)
    return store.seal(segment, **seal)


def reopened(path, size=SMALL):
    store = SegmentStore(path, size)
    store.close()
    return store


# One life


def test_a_sealed_segment_is_what_was_written(store):
    samples = sound(20_000)
    segment = store.open('kitchen', 5_000, language='en', priority=3, budget_s=1.5)
    store.append(segment, samples[:7])
    store.append(segment, samples[7:])
    ticket = store.seal(
        segment, 19_000, flags=Flag.SPLIT, missing_chunks=4, latency_ms=12.5)
    assert ticket.stream == 'kitchen'
    assert ticket.begin_ns == 5_000
    assert (ticket.sequence, ticket.oldest_kept, ticket.length) == (0, 0, 19_000)
    assert (ticket.language, ticket.priority, ticket.budget_s) == ('en', 3, 1.5)
    assert (ticket.flags, ticket.missing_chunks) == (Flag.SPLIT, 4)
    assert ticket.ingest_latency_ms == 12.5
    kept = store.samples(ticket.segment)
    assert kept.tobytes() == samples[:19_000].tobytes()
    assert hashlib.blake2b(kept.tobytes(), digest_size=32).digest() == ticket.digest


def test_samples_cannot_be_written_through_the_view(store):
    ticket = keep(store, sound(100))
    with pytest.raises(ValueError, match='read-only'):
        store.samples(ticket.segment)[0] = 1


def test_samples_are_not_copied_out(store):
    ticket = keep(store, sound(3 * BLOCK))
    first, second = store.samples(ticket.segment), store.samples(ticket.segment)
    assert np.shares_memory(first, second)


def test_streams_count_their_own_segments(store):
    tickets = [keep(store, sound(10), stream) for stream in 'aba']
    assert [ticket.sequence for ticket in tickets] == [0, 0, 1]
    assert [store.kept('a'), store.kept('b'), store.kept('c')] == [2, 1, 0]


def test_oldest_kept_follows_the_acknowledgements(store):
    tickets = [keep(store, sound(10)) for _ in range(3)]
    store.release(tickets[0].segment)
    assert [ticket.oldest_kept for ticket in store.tickets()] == [1, 1]
    store.release(tickets[2].segment)
    assert store.ticket(tickets[1].segment).oldest_kept == 1


def test_a_released_segment_is_gone(store):
    ticket = keep(store, sound(10))
    assert store.release(ticket.segment)
    assert not store.release(ticket.segment)
    with pytest.raises(StoreError, match='not kept'):
        store.samples(ticket.segment)
    with pytest.raises(StoreError, match='not kept'):
        store.ticket(ticket.segment)


def test_room_comes_back(store):
    room = store.room_samples
    released = keep(store, sound(5 * BLOCK))
    discarded = store.open('b', 0)
    store.append(discarded, sound(3 * BLOCK))
    assert store.room_samples == room - 8 * BLOCK
    store.discard(discarded)
    store.release(released.segment)
    assert store.room_samples == room


def test_the_surplus_of_a_segment_is_free_at_once(store):
    room = store.room_samples
    keep(store, sound(5 * BLOCK), length=BLOCK + 1)
    assert store.room_samples == room - 2 * BLOCK


def test_a_split_goes_on_behind_the_cut(store):
    samples = sound(3 * SAMPLE_RATE)
    segment = store.open('a', 7, language='de', priority=2, budget_s=3.0)
    store.append(segment, samples)
    first, rest = store.split(segment, 2 * SAMPLE_RATE, missing_chunks=1)
    store.append(rest, samples[:100])
    second = store.seal(rest)
    assert (first.flags, first.missing_chunks, first.length) == (Flag.SPLIT, 1, 32_000)
    assert second.begin_ns == 2_000_000_007
    assert (second.language, second.priority, second.budget_s) == ('de', 2, 3.0)
    assert store.samples(second.segment).tolist() == [*samples[32_000:], *samples[:100]]


def test_a_preview_is_read_until_its_segment_is_released(store):
    samples = sound(20_000)
    segment = store.open('a', 5_000, language='en', priority=3)
    store.append(segment, samples[:12_000])
    preview = store.preview(segment, 10_000)
    assert (preview.flags, preview.length, preview.language) == (Flag.PROVISIONAL, 10_000, 'en')
    assert preview.digest == hashlib.blake2b(samples[:10_000].tobytes(), digest_size=32).digest()
    assert store.ticket(preview.segment) == preview
    store.append(segment, samples[12_000:])
    ticket = store.seal(segment)
    assert [kept.segment for kept in store.tickets()] == [ticket.segment]
    np.testing.assert_array_equal(store.samples(preview.segment), samples[:10_000])
    store.release(ticket.segment)
    with pytest.raises(StoreError, match='is not kept'):
        store.samples(preview.segment)


def test_a_segment_that_ends_earlier_takes_its_preview_back(store):
    segment = store.open('a', 0)
    store.append(segment, sound(20_000))
    preview = store.preview(segment, 15_000)
    store.seal(segment, 10_000)
    with pytest.raises(StoreError, match='is not kept'):
        store.samples(preview.segment)


def test_segments_are_30_s_at_most(store):
    segment = store.open('a', 0)
    store.append(segment, sound(LONGEST))
    with pytest.raises(StoreError, match='at most 480000'):
        store.append(segment, sound(1))
    assert store.seal(segment).length == LONGEST


def fill(store):
    tickets = []
    while store.room_samples >= BLOCK:
        tickets.append(keep(store, sound(min(store.room_samples, LONGEST), len(tickets))))
    return tickets


def test_a_full_store_takes_nothing_and_keeps_everything(store):
    opened = store.open('b', 0)
    tickets = fill(store)
    with pytest.raises(StoreFullError, match='store full'):
        store.open('c', 0)
    with pytest.raises(StoreFullError, match='store full'):
        store.append(opened, sound(BLOCK + 1))
    store.append(opened, sound(BLOCK))
    with pytest.raises(StoreFullError, match='store full'):
        store.split(opened, 100)
    assert store.seal(opened).length == BLOCK
    for index, ticket in enumerate(tickets):
        assert store.samples(ticket.segment).tobytes() == sound(ticket.length, index).tobytes()


def test_a_full_store_has_room_after_an_acknowledgement(store):
    tickets = fill(store)
    store.release(tickets[0].segment)
    assert keep(store, sound(BLOCK)).sequence == len(tickets)


def test_scattered_blocks_are_put_together(store):
    tickets = [keep(store, sound(BLOCK, seed)) for seed in range(store.room_samples // BLOCK)]
    for ticket in tickets[::2]:
        store.release(ticket.segment)
    samples = sound(10 * BLOCK + 5)
    assert np.array_equal(store.samples(keep(store, samples).segment), samples)


# The next life


def test_sealed_segments_are_found_again(path, store):
    tickets = [keep(store, sound(9_000, seed), stream) for seed, stream in enumerate('abab')]
    store.release(tickets[0].segment)
    store.close()
    store.__init__(path, SMALL)
    assert [ticket.segment for ticket in store.tickets()] == [
        ticket.segment for ticket in tickets[1:]]
    assert all(ticket.flags is Flag.RECOVERED for ticket in store.tickets())
    for seed in (1, 2, 3):
        assert np.array_equal(store.samples(tickets[seed].segment), sound(9_000, seed))


def test_sequences_go_on_after_a_restart(path, store):
    for _ in range(3):
        last = keep(store, sound(10))
    for ticket in store.tickets()[1:]:
        store.release(ticket.segment)
    store.close()
    store.__init__(path, SMALL)
    following = keep(store, sound(10))
    assert following.sequence == last.sequence + 1
    assert following.oldest_kept == 0


def test_identities_are_never_given_twice(path, store):
    before = keep(store, sound(10)).segment
    store.release(before)
    store.close()
    store.__init__(path, SMALL)
    assert keep(store, sound(10)).segment != before


def test_a_preview_does_not_outlive_its_process(path, store):
    segment = store.open('a', 0)
    store.append(segment, sound(20_000))
    preview = store.preview(segment, 15_000)
    store.close()
    store.__init__(path, SMALL)
    (found,) = store.tickets()
    assert (found.length, found.segment != preview.segment) == (20_000, True)
    with pytest.raises(StoreError, match='is not kept'):
        store.samples(preview.segment)
    assert keep(store, sound(10)).segment != preview.segment


def test_an_old_count_of_identities_is_put_right(path, store):
    """After a loss of power the page of the header may be older than the segments."""
    ticket = keep(store, sound(10))
    store.close()
    content = bytearray(path.read_bytes())
    offset = segment_store._HEADER.fields['count'][1]
    content[offset:offset + 8] = bytes(8)
    path.write_bytes(content)
    store.__init__(path, SMALL)
    assert keep(store, sound(10)).segment != ticket.segment


def test_two_new_stores_do_not_share_identities(tmp_path):
    stores = [SegmentStore(tmp_path / name, SMALL) for name in 'ab']
    tickets = [keep(store, sound(10)) for store in stores]
    for store in stores:
        store.close()
    assert tickets[0].segment != tickets[1].segment


def test_an_open_segment_comes_back_interrupted(path, store):
    store.append(store.open('a', 9), sound(10_000))
    store.close()
    store.__init__(path, SMALL)
    (ticket,) = store.tickets()
    assert (ticket.flags, ticket.begin_ns, ticket.length) == (FOUND, 9, 10_000)
    assert np.array_equal(store.samples(ticket.segment), sound(10_000))


def test_an_open_segment_without_samples_is_forgotten(path, store):
    store.open('a', 0)
    store.close()
    store.__init__(path, SMALL)
    assert store.tickets() == []


def test_an_empty_store_takes_on_another_size(path, store):
    before = store.room_samples
    store.release(keep(store, sound(10)).segment)
    store.close()
    store.__init__(path, 2 * SMALL)
    assert store.room_samples > before


def test_a_store_that_keeps_segments_keeps_its_size(path, store, caplog):
    before = path.stat().st_size
    keep(store, sound(10))
    store.close()
    store.__init__(path, 2 * SMALL)
    assert path.stat().st_size == before
    assert 'keeps its size' in caplog.text


def test_the_file_is_for_its_user_alone(tmp_path):
    path = tmp_path / 'deep' / 'er' / 'a.store'
    reopened(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


# Killed at any instruction


def outcome(opened, sealed):
    """What a new life must find: begin -> bytes, of everything that has samples."""
    return {begin: content.tobytes() for begin, content in (opened | sealed).items()
            if content.size}


class Scenario:
    """Carries out operations on a store, and knows what a kill may leave before and after."""

    def __init__(self, store):
        self.store = store
        self.handles, self.opened, self.sealed, self.tickets = {}, {}, {}, {}
        self.content = sound(4 * LONGEST)

    def expected(self):
        return outcome(self.opened, self.sealed)

    def open(self, begin):
        self.handles[begin] = self.store.open(f'stream {begin}', begin)
        self.opened[begin] = np.zeros(0, np.int16)

    def append(self, begin, count):
        piece = self.content[begin % 1000:begin % 1000 + count]
        self.store.append(self.handles[begin], piece)
        self.opened[begin] = np.concatenate((self.opened[begin], piece))

    def seal(self, begin, length):
        self.tickets[begin] = self.store.seal(self.handles.pop(begin), length)
        self.sealed[begin] = self.opened.pop(begin)[:length]

    def split(self, begin, at):
        self.tickets[begin], rest = self.store.split(self.handles.pop(begin), at)
        content = self.opened.pop(begin)
        self.sealed[begin] = content[:at]
        self.opened[rest.begin_ns], self.handles[rest.begin_ns] = content[at:], rest

    def discard(self, begin):
        self.store.discard(self.handles.pop(begin))
        del self.opened[begin]

    def release(self, begin):
        self.store.release(self.tickets.pop(begin).segment)
        del self.sealed[begin]


def snapshots(path, operation):
    """Carry out an operation; return every state that its stores give the file, in order."""
    states = [path.read_bytes()]

    def look(frame, event, argument):
        if frame.f_code.co_filename != segment_store.__file__:
            return None
        content = path.read_bytes()
        if content != states[-1]:
            states.append(content)
        return look

    before = sys.gettrace()
    sys.settrace(look)
    try:
        operation()
    finally:
        sys.settrace(before)
    return states


def found(path):
    store = SegmentStore(path, SMALL)
    try:
        assert store.damage == ()
        return {ticket.begin_ns: store.samples(ticket.segment).tobytes()
                for ticket in store.tickets()}
    finally:
        store.close()


SECOND = 1_000_000_000
OPERATIONS = [
    ('open', 0), ('append', 0, 20_000), ('append', 0, 9_000), ('open', 5 * SECOND),
    ('append', 5 * SECOND, 100), ('seal', 0, 21_000), ('split', 5 * SECOND, 40),
    ('open', 9 * SECOND), ('append', 9 * SECOND, 3), ('release', 0),
    ('discard', 9 * SECOND), ('append', 5 * SECOND + 2_500_000, 8_192),
    ('release', 5 * SECOND), ('seal', 5 * SECOND + 2_500_000, None),
]


def test_killed_between_any_two_stores_each_operation_has_happened_or_not(path, tmp_path):
    store = SegmentStore(path, SMALL)
    scenario = Scenario(store)
    copy = tmp_path / 'copy.store'
    states = 0
    for name, *arguments in OPERATIONS:
        before = scenario.expected()
        contents = snapshots(path, lambda: getattr(scenario, name)(*arguments))  # noqa: B023
        after = scenario.expected()
        for content in contents:
            copy.write_bytes(content)
            left = found(copy)
            assert left in (before, after), f'{name} {arguments}'
            # What recovery has sealed is sealed: the life after that finds the same.
            assert found(copy) == left
        states += len(contents)
    store.close()
    assert states > 3 * len(OPERATIONS)


def test_killed_while_it_recovers(path, tmp_path):
    """A first life is killed in a split; the second one at any store of its recovery."""
    store = SegmentStore(path, SMALL)
    scenario = Scenario(store)
    scenario.open(0)
    scenario.append(0, 20_000)
    contents = snapshots(path, lambda: scenario.split(0, 15_000))
    expected = scenario.expected()
    store.close()
    left = [path.write_bytes(content) and found(path) for content in contents]
    torn = contents[left.index(expected)]
    path.write_bytes(torn)
    copy = tmp_path / 'copy.store'
    for content in snapshots(path, lambda: found(path)):
        copy.write_bytes(content)
        assert found(copy) == expected


CHILD = """
import sys
import numpy as np
from pathlib import Path
from xlerobot_asr_opt.core.segment_store import SegmentStore
store = SegmentStore(Path(sys.argv[1]), 2 << 20)
kept = []
for number in range(1_000_000):
    segment = store.open('a', number)
    store.append(segment, np.full(number % 9_000 + 1, number % 30_000, np.int16))
    kept.append(store.seal(segment).segment)
    print(f'kept {number}', flush=True)
    if len(kept) > 20:
        print(f'released {number - 20}', flush=True)
        store.release(kept.pop(0))
"""


def test_a_killed_process_leaves_what_it_had_announced(path):
    with subprocess.Popen(
        [sys.executable, '-c', CHILD, path], stdout=subprocess.PIPE, text=True,
    ) as child:
        said = ''.join(child.stdout.readline() for _ in range(500))
        child.send_signal(signal.SIGKILL)
        said += child.stdout.read()
    # The last line may have been cut by the kill.
    lines = [line.split() for line in said[:said.rfind('\n')].splitlines()]
    announced = {int(number) for word, number in lines if word == 'kept'}
    released = {int(number) for word, number in lines if word == 'released'}
    store = SegmentStore(path, SMALL)
    assert store.damage == ()
    found = {ticket.begin_ns: store.samples(ticket.segment) for ticket in store.tickets()}
    assert announced - released <= found.keys() <= {*announced, max(announced) + 1}
    for number, samples in found.items():
        assert set(samples.tolist()) == {number % 30_000}
        assert number not in announced or samples.size == number % 9_000 + 1
    store.close()


# Files that are not what they should be


def with_two_segments(path):
    store = SegmentStore(path, SMALL)
    for begin in (1, 2):
        keep(store, sound(9_000, begin), begin_ns=begin)
    store.close()


@pytest.mark.parametrize(('content', 'told'), [
    (b'', 'no segment store'),
    (b'RIFF' + bytes(9_000), 'no segment store'),
    (b'XASRSEGS' + bytes(20), 'no segment store'),
    (b'XASRSEGS\x09' + bytes(9_000), 'format'),
    (b'XASRSEGS\x01\x00\x00\x00\x00\x20\x00\x00' + bytes(9_000), 'damaged header'),
])
def test_a_foreign_file_is_moved_aside(path, caplog, content, told):
    path.write_bytes(content)
    assert reopened(path).tickets() == []
    assert path.with_name('a.store.aside').read_bytes() == content
    assert told in caplog.text


def test_a_cut_file_is_moved_aside(path, caplog):
    with_two_segments(path)
    os.truncate(path, path.stat().st_size - 1)
    assert reopened(path).tickets() == []
    assert 'bytes, expected' in caplog.text


def test_a_directory_in_its_place_is_moved_aside(path, caplog):
    (path / 'deep').mkdir(parents=True)
    assert reopened(path).tickets() == []
    assert (path.with_name('a.store.aside') / 'deep').is_dir()
    assert 'is a directory' in caplog.text


def test_what_cannot_be_moved_aside_is_told(path):
    path.mkdir()
    (path.with_name('a.store.aside') / 'deep').mkdir(parents=True)
    with pytest.raises(StoreError, match='move it away'):
        SegmentStore(path, SMALL)
    path.rmdir()
    reopened(path)


def test_damaged_samples_cost_their_segment_only(path, caplog):
    with_two_segments(path)
    content = bytearray(path.read_bytes())
    at = content.index(sound(9_000, 1).tobytes())
    content[at + 10_000] ^= 1
    path.write_bytes(content)
    store = reopened(path)
    assert [ticket.begin_ns for ticket in store.tickets()] == [2]
    assert 'digest of the samples is wrong' in store.damage[0]
    assert 'dropped a damaged segment' in caplog.text


@pytest.fixture(scope='module')
def busy_content(tmp_path_factory):
    """The bytes of a store with two sealed segments and one that is written."""
    path = tmp_path_factory.mktemp('busy') / 'a.store'
    with_two_segments(path)
    store = SegmentStore(path, SMALL)
    store.append(store.open('b', 3), sound(9_000, 3))
    store.close()
    return path.read_bytes()


TABLE = segment_store._PAGE + 3 * 2 * segment_store._ENTRY.itemsize


@settings(max_examples=100, deadline=None)
@given(st.lists(
    st.tuples(st.integers(8, TABLE), st.binary(min_size=1, max_size=12)), min_size=1, max_size=4))
def test_whatever_is_damaged_intact_segments_are_whole(busy_content, patches):
    content = bytearray(busy_content)
    for offset, patch in patches:
        content[offset:offset + len(patch)] = patch
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / 'a.store'
        path.write_bytes(content)
        store = SegmentStore(path, SMALL)
        for ticket in store.tickets():
            whole = sound(9_000, ticket.begin_ns)[:ticket.length]
            assert ticket.begin_ns in (1, 2, 3)
            if ticket.begin_ns != 3:
                assert np.array_equal(store.samples(ticket.segment), whole)
        fresh = keep(store, sound(100))
        assert len({ticket.segment for ticket in store.tickets()}) == len(store.tickets())
        assert store.ticket(fresh.segment) == fresh
        store.close()


# Where it cannot be


def test_a_second_process_is_refused(path, store):
    with pytest.raises(StoreError, match='used by another process'):
        SegmentStore(path, SMALL)


def test_a_directory_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(StoreError, match='choose another store_directory'):
        SegmentStore(tmp_path / 'file' / 'a.store', SMALL)


READ_ONLY = """
import os, sys
from pathlib import Path
from xlerobot_asr_opt.core.segment_store import SegmentStore
from xlerobot_asr_opt.errors import StoreError
if os.geteuid() == 0:
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
try:
    SegmentStore(Path(sys.argv[1]), 2 << 20)
except StoreError as error:
    print(error)
"""


def test_a_read_only_directory_is_told():
    """Root may write everywhere: the store is opened by a process that is not root."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with_two_segments(directory / 'a.store')
        (directory / 'a.store').chmod(0o444)
        (directory / 'a.store.lock').chmod(0o444)
        directory.chmod(0o555)
        told = subprocess.run(
            [sys.executable, '-c', READ_ONLY, directory / 'a.store'],
            capture_output=True, text=True, check=True)
        directory.chmod(0o755)
    assert 'choose another store_directory' in told.stdout


def test_a_store_too_small_for_two_segments_is_refused(path):
    with pytest.raises(StoreError, match='raise store_size'):
        SegmentStore(path, 1 << 20)
    assert not path.exists()


def test_a_full_disk_is_told_and_leaves_nothing(path, monkeypatch):
    def no_space(*arguments):
        raise OSError(28, 'No space left on device')
    monkeypatch.setattr(os, 'posix_fallocate', no_space)
    with pytest.raises(StoreError, match='lower store_size'):
        SegmentStore(path, SMALL)
    assert [item.name for item in path.parent.iterdir()] == ['a.store.lock']


# Any order of operations


class StoreMachine(RuleBasedStateMachine):
    """Plays streams, acknowledgements and restarts against dictionaries of arrays."""

    @initialize()
    def begin(self):
        self.directory = Path(tempfile.mkdtemp())
        self.store = SegmentStore(self.directory / 'a.store', SMALL)
        self.room = self.store.room_samples
        self.opened, self.sealed, self.count = [], {}, 0
        self.shown, self.entries = {}, {}

    @rule(stream=st.sampled_from('ab'))
    def open(self, stream):
        if any(segment.stream == stream for segment, _ in self.opened):
            with pytest.raises(StoreError, match='has an open segment'):
                self.store.open(stream, 0)
            return
        try:
            self.opened.append((self.store.open(stream, 0), np.zeros(0, np.int16)))
        except StoreFullError:
            assert self.store.room_samples == 0

    @rule(which=st.integers(0, 9), count=st.sampled_from([1, 511, 8_192, 50_000, 300_000]))
    def append(self, which, count):
        if not self.opened:
            return
        segment, content = self.opened.pop(which % len(self.opened))
        self.count += 1
        samples = sound(count, self.count)
        try:
            self.store.append(segment, samples)
        except StoreError:
            assert content.size + count > LONGEST or self.store.room_samples < count
        else:
            content = np.concatenate((content, samples))
        assert segment.length == content.size
        self.opened.append((segment, content))

    @rule(which=st.integers(0, 9), part=st.floats(0.01, 1))
    def preview(self, which, part):
        if not self.opened:
            return
        segment, content = self.opened[which % len(self.opened)]
        if content.size:
            content = content[:max(1, int(content.size * part))]
            ticket = self.store.preview(segment, content.size)
            assert ticket.segment not in self.sealed | self.shown
            self.shown[ticket.segment] = segment.entry, content

    def withdraw(self, entry, longest=0):
        """What is shown of an entry beyond this length is not there any more."""
        self.shown = {name: (owner, content) for name, (owner, content) in self.shown.items()
                      if owner != entry or content.size <= longest}

    @rule(which=st.integers(0, 9), part=st.floats(0.01, 1))
    def seal(self, which, part):
        if not self.opened:
            return
        segment, content = self.opened.pop(which % len(self.opened))
        if content.size:
            content = content[:max(1, int(content.size * part))]
            ticket = self.store.seal(segment, content.size)
            assert ticket.digest == hashlib.blake2b(content, digest_size=32).digest()
            self.sealed[ticket.segment] = content
            self.entries[ticket.segment] = segment.entry
        else:
            self.store.discard(segment)
        self.withdraw(segment.entry, content.size)

    @rule(which=st.integers(0, 9), part=st.floats(0.01, 0.99))
    def split(self, which, part):
        if not self.opened:
            return
        segment, content = self.opened[which % len(self.opened)]
        at = max(1, int(content.size * part))
        if content.size <= at:
            return
        try:
            ticket, rest = self.store.split(segment, at)
        except StoreFullError:
            assert self.store.room_samples < content.size - at
            return
        self.sealed[ticket.segment] = content[:at]
        self.entries[ticket.segment] = segment.entry
        self.withdraw(segment.entry, at)
        self.opened[which % len(self.opened)] = (rest, content[at:])

    @rule(which=st.integers(0, 9))
    def discard(self, which):
        if self.opened:
            segment, _ = self.opened.pop(which % len(self.opened))
            self.store.discard(segment)
            self.withdraw(segment.entry)

    @rule(which=st.integers(0, 9))
    def release(self, which):
        if self.sealed:
            ticket = sorted(self.sealed)[which % len(self.sealed)]
            assert self.store.release(ticket)
            del self.sealed[ticket]
            self.withdraw(self.entries.pop(ticket, None))

    @rule()
    def restart(self):
        self.store.close()
        self.store = SegmentStore(self.directory / 'a.store', SMALL)
        recovered = {ticket.segment: ticket for ticket in self.store.tickets()
                     if ticket.segment not in self.sealed}
        samples = {segment: self.store.samples(segment).copy() for segment in recovered}
        left = [content.tobytes() for _, content in self.opened if content.size]
        assert sorted(content.tobytes() for content in samples.values()) == sorted(left)
        assert all(ticket.flags == FOUND for ticket in recovered.values())
        self.sealed |= samples
        self.opened, self.shown = [], {}

    @invariant()
    def keeps_what_it_should(self):
        tickets = self.store.tickets()
        assert {ticket.segment for ticket in tickets} == self.sealed.keys()
        sequences = {}
        for ticket in tickets:
            assert np.array_equal(self.store.samples(ticket.segment), self.sealed[ticket.segment])
            sequences.setdefault(ticket.stream, []).append(ticket.sequence)
            assert ticket.oldest_kept == sequences[ticket.stream][0]
        for name, (_, content) in self.shown.items():
            assert np.array_equal(self.store.samples(name), content)
        for of_stream in sequences.values():
            assert of_stream == sorted(set(of_stream))

    @invariant()
    def has_the_room_that_is_left(self):
        used = [*self.sealed.values(), *(content for _, content in self.opened)]
        blocks = sum(max(1, -(-content.size // BLOCK)) for content in used)
        assert self.store.room_samples == self.room - blocks * BLOCK

    def teardown(self):
        self.store.close()
        shutil.rmtree(self.directory)


TestAnyOrder = StoreMachine.TestCase
TestAnyOrder.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
