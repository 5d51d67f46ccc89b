"""What becomes of the segmenter's events in the store, one that is full included."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from full_store import fill

from xlerobot_asr_opt.core.segment_store import BLOCK, SegmentStore
from xlerobot_asr_opt.core.segment_writer import Request, SegmentWriter
from xlerobot_asr_opt.core.segmenter import Audio, Begin, Click, End, Pause, Split
from xlerobot_asr_opt.records import Flag

SIZE = 2 << 20
BEGIN_NS = 1_700_000_000_000_000_000
SECOND = 1_000_000_000


@pytest.fixture
def store(tmp_path):
    store = SegmentStore(tmp_path / 'a.store', SIZE)
    yield store
    store.close()


@pytest.fixture
def writer(store):
    return made(store)


def made(store, **request):
    writer = SegmentWriter('hall', store, Request(**request), lambda: 12.5)
    writer.origin_ns = BEGIN_NS
    return writer


def sound(count, seed=0):
    return np.random.default_rng(seed).integers(-9000, 9000, count, np.int16)


def test_an_utterance_becomes_a_ticket_when_it_ends(store):
    writer = made(store, language='en', priority=2, budget_s=3.0)
    samples = sound(4000)
    assert not writer.write([Begin(8000), Audio(samples[:1000]), Audio(samples[1000:])])
    (ticket,) = writer.write([End(8000 + 3500, interrupted=False)])
    assert (ticket.stream, ticket.begin_ns) == ('hall', BEGIN_NS + SECOND // 2)
    assert (ticket.length, ticket.flags, ticket.missing_chunks) == (3500, Flag.NONE, 0)
    assert (ticket.language, ticket.priority, ticket.budget_s) == ('en', 2, 3.0)
    assert ticket.ingest_latency_ms == 12.5
    np.testing.assert_array_equal(store.samples(ticket.segment), samples[:3500])
    assert (writer.segments, writer.clicks, writer.dropped) == (1, 0, 0)


def test_a_pause_foretells_the_segment_that_ends_with_it(store):
    writer = made(store, language='en', priority=2)
    samples = sound(4000)
    assert not writer.write([Begin(8000), Audio(samples), Pause(8000 + 3500)])
    preview = writer.preview
    assert preview.provisional
    np.testing.assert_array_equal(store.samples(preview.segment), samples[:3500])
    (ticket,) = writer.write([End(8000 + 3500, interrupted=False)])
    assert writer.preview is None
    assert preview.segment != ticket.segment
    for name in ('stream', 'sequence', 'begin_ns', 'length', 'digest', 'language', 'priority'):
        assert getattr(preview, name) == getattr(ticket, name)
    assert not ticket.provisional


def test_what_was_said_so_far_is_shown_again_and_again(store):
    writer = SegmentWriter('hall', store, Request(language='en'), lambda: 12.5, partials=1000)
    samples = sound(4000)
    shown = []
    for begin in range(0, 4000, 400):
        writer.write([*([Begin(0)] if not begin else []), Audio(samples[begin:begin + 400])])
        if writer.preview is not None and writer.preview not in shown:
            shown.append(writer.preview)
    assert [one.length for one in shown] == [1200, 2400, 3600]
    assert all(one.partial and one.provisional and one.sequence == 0 for one in shown)
    np.testing.assert_array_equal(store.samples(shown[1].segment), samples[:2400])
    writer.write([End(4000, interrupted=False), Begin(5000), Audio(samples[:900])])
    assert writer.preview is None


def test_speech_that_goes_on_is_another_segment_than_was_foretold(store, writer):
    samples = sound(4000)
    writer.write([Begin(0), Audio(samples[:2000]), Pause(1500)])
    early = writer.preview
    writer.write([Audio(samples[2000:]), Pause(3800)])
    assert writer.preview.digest != early.digest
    (ticket,) = writer.write([End(3800, interrupted=False)])
    assert ticket.digest == hashlib.blake2b(samples[:3800].tobytes(), digest_size=32).digest()
    np.testing.assert_array_equal(store.samples(early.segment), samples[:1500])


def test_speech_that_is_cut_off_is_flagged(writer):
    (ticket,) = writer.write([Begin(0), Audio(sound(600)), End(600, interrupted=True)])
    assert ticket.flags is Flag.INTERRUPTED


def test_a_split_gives_two_segments_that_join(store, writer):
    samples = sound(3000)
    first, second = writer.write([
        Begin(100), Audio(samples[:2000]), Split(1600), Audio(samples[2000:]),
        End(3100, interrupted=False)])
    assert (first.flags, second.flags) == (Flag.SPLIT, Flag.NONE)
    assert second.begin_ns == first.end_ns
    np.testing.assert_array_equal(
        np.concatenate([store.samples(ticket.segment) for ticket in (first, second)]), samples)
    assert writer.segments == 2


def test_a_click_is_forgotten_and_counted(store, writer):
    room = store.room_samples
    assert not writer.write([Begin(0), Audio(sound(500)), Click()])
    assert (writer.clicks, writer.segments, store.room_samples) == (1, 0, room)


def test_the_begin_is_told_by_the_clock_of_its_time(writer):
    """The stream's clock is corrected while somebody speaks; what has begun has begun."""
    writer.write([Begin(0), Audio(sound(600))])
    writer.origin_ns += SECOND
    (ticket,) = writer.write([End(600, interrupted=False)])
    assert ticket.begin_ns == BEGIN_NS


@pytest.mark.parametrize(('at', 'missing'), [
    (99, 0), (100, 3), (600, 3), (1100, 3), (1101, 0),
], ids=['before', 'at-the-begin', 'within', 'at-the-end', 'behind'])
def test_missing_chunks_belong_to_the_segment_that_they_lie_in(writer, at, missing):
    writer.note_hole(at, 3)
    (ticket,) = writer.write([Begin(100), Audio(sound(1000)), End(1100, interrupted=False)])
    assert ticket.missing_chunks == missing


def test_a_split_shares_the_missing_chunks_out(writer):
    writer.note_hole(500, 1)
    writer.note_hole(1500, 2)
    writer.note_hole(1800, 4)
    tickets = writer.write([
        Begin(0), Audio(sound(2000)), Split(1000), End(2000, interrupted=False)])
    assert [ticket.missing_chunks for ticket in tickets] == [1, 6]


def test_holes_of_another_stretch_are_forgotten(writer):
    writer.note_hole(500, 7)
    writer.forget_holes()
    (ticket,) = writer.write([Begin(0), Audio(sound(1000)), End(1000, interrupted=False)])
    assert ticket.missing_chunks == 0


# A store that is full


def test_an_utterance_without_room_is_dropped_and_told_once(store, writer):
    fill(store)
    assert not writer.write([
        Begin(0), Audio(sound(500)), Split(300), Audio(sound(500)), End(900, interrupted=False)])
    assert (writer.dropped, writer.segments) == (1, 0)
    (remark,) = writer.remarks
    assert 'speech is lost: segment store full' in remark
    assert 'raise store_size' in remark


def test_speech_that_outgrows_the_room_is_kept_as_far_as_it_was_heard(store, writer):
    fill(store, leave=1)
    samples = sound(BLOCK + 512)
    (ticket,) = writer.write([Begin(0), Audio(samples[:BLOCK]), Audio(samples[BLOCK:])])
    assert (ticket.length, ticket.flags) == (BLOCK, Flag.INTERRUPTED)
    np.testing.assert_array_equal(store.samples(ticket.segment), samples[:BLOCK])
    assert not writer.write([Audio(sound(512)), End(BLOCK + 1024, interrupted=False)])
    assert (writer.dropped, writer.segments) == (1, 1)


def test_a_split_without_room_keeps_its_first_part(store, writer):
    fill(store, leave=1)
    samples = sound(BLOCK)
    (ticket,) = writer.write([Begin(0), Audio(samples), Split(BLOCK - 100)])
    assert (ticket.length, ticket.flags) == (BLOCK - 100, Flag.SPLIT | Flag.INTERRUPTED)
    assert not writer.write([Audio(sound(512)), End(BLOCK + 512, interrupted=False)])
    assert (writer.dropped, writer.segments) == (1, 1)


def test_a_pre_roll_without_room_leaves_no_segment_without_samples(store, writer):
    kept = len(fill(store, leave=1))
    assert not writer.write([Begin(0), Audio(sound(BLOCK + 1))])
    assert len(store.tickets()) == kept
    assert store.room_samples == BLOCK
    assert (writer.dropped, writer.segments) == (1, 0)


def test_after_an_acknowledgement_there_is_room_for_what_follows(store, writer):
    taken = fill(store)
    utterance = [Begin(0), Audio(sound(500)), End(500, interrupted=False)]
    assert not writer.write(utterance)
    store.release(taken[0])
    (ticket,) = writer.write(utterance)
    assert ticket.length == 500
    assert (writer.dropped, writer.segments) == (1, 1)
