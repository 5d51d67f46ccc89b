import numpy as np
import pytest

from xlerobot_asr_opt.core.playback import Playback
from xlerobot_asr_opt.errors import SourceError
from xlerobot_asr_opt.records import Chunk


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def chunks(count):
    for index in range(count):
        yield Chunk('s', index, index * 100_000_000, 16000, 1, np.zeros(1600, np.int16))


def drain(playback):
    taken = []
    while (chunk := playback.due()) is not None:
        taken.append(chunk.sequence)
    return taken


def test_speed_zero_gives_everything_at_once_and_ends():
    playback = Playback(chunks(7), 0.0, Clock())
    assert drain(playback) == list(range(7))
    assert playback.ended


@pytest.mark.parametrize('speed', [1.0, 4.0])
def test_a_chunk_is_due_when_its_last_sample_was_spoken(speed):
    clock = Clock()
    playback = Playback(chunks(10), speed, clock)
    assert drain(playback) == []
    clock.now += 0.35 / speed
    assert drain(playback) == [0, 1, 2]
    assert not playback.ended
    clock.now += 10.0
    assert drain(playback) == [3, 4, 5, 6, 7, 8, 9]
    assert playback.ended


def test_a_recording_that_breaks_off_says_so_and_ends():
    def broken():
        yield from chunks(1)
        raise SourceError('cut')

    playback = Playback(broken(), 0.0, Clock())
    assert playback.due().sequence == 0
    with pytest.raises(SourceError):
        playback.due()
    assert playback.ended
    assert playback.due() is None
