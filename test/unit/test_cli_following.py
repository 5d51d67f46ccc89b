"""When a stream counts as told to its end."""

from xlerobot_asr_opt.cli.following import Follower
from xlerobot_asr_opt.records import StreamState, StreamStatus, Transcript, TranscriptStatus


def status(state=StreamState.SILENCE, **counters):
    return StreamStatus('hall', state, **counters)


def transcript(segment, stream='hall'):
    return Transcript(segment, stream, segment, TranscriptStatus.DONE, 0, 1)


def test_ends_with_the_last_transcript():
    follower = Follower('hall')
    assert not follower.ended
    follower.take(status(StreamState.SPEECH), [])
    assert not follower.settled
    follower.take(status(StreamState.ENDED, segments=2, kept=2), [])
    assert not follower.ended
    assert follower.take(None, [transcript(0), transcript(1)]) == [transcript(0), transcript(1)]
    assert not follower.ended, 'not acknowledged yet'
    follower.take(status(StreamState.ENDED, segments=2, kept=0), [])
    assert follower.ended
    assert not follower.failed


def test_acknowledged_before_the_transcript_came():
    follower = Follower('hall')
    follower.take(status(StreamState.ENDED, segments=1, kept=0), [])
    assert not follower.ended
    follower.take(None, [transcript(0)])
    assert follower.ended


def test_silence_alone_ends():
    follower = Follower('hall')
    follower.take(status(StreamState.ENDED), [])
    assert follower.ended


def test_a_broken_source_ends_too():
    follower = Follower('hall')
    follower.take(status(StreamState.FAILED, segments=1), [])
    assert follower.failed
    assert not follower.ended
    follower.take(None, [transcript(0)])
    assert follower.ended


def test_other_streams_and_repetitions_are_left_out():
    follower = Follower('hall')
    assert follower.take(None, [transcript(0, 'attic')]) == []
    assert follower.take(None, [transcript(4), transcript(4)]) == [transcript(4)]
    assert follower.take(None, [transcript(4)]) == []


def test_counts_from_where_it_began():
    before = status(chunks=100, missing=3, segments=5)
    follower = Follower('hall', before)
    follower.take(status(chunks=148, missing=4, refused=2, segments=5), [])
    assert follower.settled
    assert (follower.chunks, follower.missing) == (48, 1)
    follower.take(status(chunks=148, segments=6), [])
    assert not follower.settled
