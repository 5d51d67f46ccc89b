"""Where utterances are cut: scripted speech probabilities, invented samples."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_speech import SILENCE, SPEECH

from xlerobot_asr_opt.core.segmenter import (
    Audio,
    Begin,
    Click,
    Cutting,
    End,
    Pause,
    Segmenter,
    Split,
)
from xlerobot_asr_opt.core.vad import WINDOW

CUTTING = Cutting(
    threshold=0.5, pre_roll=3 * WINDOW, hangover=8 * WINDOW, shortest=2 * WINDOW,
    longest=64 * WINDOW)


@dataclass
class Cut:
    """One utterance or a part of it, as somebody who follows the events would write it down."""

    begin: int
    end: int = -1
    split: bool = False
    interrupted: bool = False
    samples: list[int] = field(default_factory=list)
    foretold: list[int] = field(default_factory=list)


@dataclass
class Cuts:
    segments: list[Cut] = field(default_factory=list)
    clicks: list[Cut] = field(default_factory=list)


def follow(events):
    """Carry out events the way they are documented."""
    cuts, running = Cuts(), None
    for event in events:
        if isinstance(event, Begin):
            assert running is None
            running = Cut(event.at)
        elif isinstance(event, Audio):
            running.samples += event.samples.tolist()
        elif isinstance(event, Split):
            at = event.at - running.begin
            rest = Cut(event.at, samples=running.samples[at:])
            running.end, running.split = event.at, True
            running.samples = running.samples[:at]
            cuts.segments.append(running)
            running = rest
        elif isinstance(event, Pause):
            assert running.begin < event.at <= running.begin + len(running.samples)
            running.foretold.append(event.at)
        elif isinstance(event, End):
            running.end, running.interrupted = event.at, event.interrupted
            running.samples = running.samples[:event.at - running.begin]
            cuts.segments.append(running)
            running = None
        elif isinstance(event, Click):
            running.end = running.begin + len(running.samples)
            cuts.clicks.append(running)
            running = None
    assert running is None
    return cuts


class Told:
    """A segmenter that is told whole windows, with the probabilities of a script in turn.

    Its audio is overwritten as soon as it is taken.
    """

    def __init__(self, script, cutting=CUTTING):
        self._script = iter(script)
        self._samples = np.zeros(0, np.int16)
        self._heard = 0
        self.segmenter = Segmenter(cutting, lambda begin, end: self._samples[begin:end].copy())

    def push(self, samples):
        self._samples = np.concatenate((self._samples, samples))
        whole = (self._samples.size - self._heard) // WINDOW
        if not whole:
            return []
        at, self._heard = self._heard, self._heard + whole * WINDOW
        windows = self._samples[at:self._heard].copy().reshape(-1, WINDOW)
        events = [Audio(event.samples.copy()) if isinstance(event, Audio) else event
                  for event in self.segmenter.hear(
                      at, windows, [next(self._script) for _ in windows])]
        windows[:] = 12345
        return events

    def finish(self):
        rest = self._samples[self._heard:]
        return self.segmenter.finish(
            self._heard, rest, next(self._script) if rest.size else SILENCE)


def cut(script, samples, cutting=CUTTING, sizes=()):
    """Run a segmenter over samples, in chunks of the sizes given and the rest in one."""
    told = Told(script, cutting)
    events, at = [], 0
    for size in (*sizes, samples.size):
        events += told.push(samples[at:at + size])
        at += size
    return follow(events + told.finish())


def noise(windows, seed=0):
    return np.random.default_rng(seed).integers(
        -9000, 9000, windows * WINDOW, dtype=np.int16)


def windows(*runs):
    """Write a script as runs of (how many windows, speech or not)."""
    return [SPEECH if speech else SILENCE for count, speech in runs for _ in range(count)]


def test_an_utterance_has_its_pre_roll_and_a_tail_of_silence():
    samples = noise(30)
    cuts = cut(windows((10, False), (5, True), (15, False)), samples)
    (segment,) = cuts.segments
    assert segment.begin == 7 * WINDOW
    assert segment.end == 15 * WINDOW + 3200  # 200 ms
    assert not segment.split
    assert not segment.interrupted
    assert segment.samples == samples[segment.begin:segment.end].tolist()


def test_pre_roll_begins_with_the_stretch_at_the_earliest():
    cuts = cut(windows((1, False), (5, True), (15, False)), noise(21))
    assert cuts.segments[0].begin == 0


def test_no_pre_roll_when_none_is_wanted():
    cutting = Cutting(pre_roll=0, hangover=8 * WINDOW, longest=64 * WINDOW)
    cuts = cut(windows((10, False), (5, True), (15, False)), noise(30), cutting)
    assert cuts.segments[0].begin == 10 * WINDOW


def test_pre_roll_does_not_reach_into_the_segment_before():
    script = windows((10, False), (5, True), (8, False), (5, True), (9, False))
    first, second = cut(script, noise(37)).segments
    assert second.begin == max(first.end, 20 * WINDOW)


@pytest.mark.parametrize(('pause', 'segments'), [(7, 1), (8, 2)])
def test_a_pause_of_the_hangover_ends_an_utterance(pause, segments):
    script = windows((5, False), (5, True), (pause, False), (5, True), (10, False))
    assert len(cut(script, noise(len(script))).segments) == segments


def test_the_end_is_foretold_once_the_tail_is_there():
    segmenter = Told(windows((5, True), (8, False)))
    assert not any(isinstance(event, Pause) for event in segmenter.push(noise(11)))
    assert segmenter.push(noise(1))[-1] == Pause(5 * WINDOW + 3200)
    end = segmenter.push(noise(1))[-1]
    assert end == End(5 * WINDOW + 3200, interrupted=False)


def test_each_pause_foretells_an_end_and_the_last_one_is_right():
    script = windows((5, True), (7, False), (3, True), (6, False), (2, True), (20, False))
    (segment,) = cut(script, noise(len(script))).segments
    assert segment.foretold == [5 * WINDOW + 3200, segment.end]
    assert segment.end == 23 * WINDOW + 3200


def test_a_click_foretells_nothing():
    cuts = cut(windows((5, False), (1, True), (10, False)), noise(16))
    assert cuts.clicks[0].foretold == []


def test_a_hangover_as_short_as_the_tail_foretells_nothing():
    cutting = Cutting(hangover=3 * WINDOW, longest=64 * WINDOW)
    (segment,) = cut(windows((5, True), (9, False)), noise(14), cutting).segments
    assert segment.foretold == []


@pytest.mark.parametrize(('length', 'clicks'), [(1, 1), (2, 0)])
def test_what_is_shorter_than_shortest_is_a_click(length, clicks):
    script = windows((5, False), (length, True), (10, False))
    cuts = cut(script, noise(len(script)))
    assert (len(cuts.clicks), len(cuts.segments)) == (clicks, 1 - clicks)


def test_a_click_leaves_its_samples_to_the_pre_roll_of_what_follows():
    script = windows((5, False), (1, True), (8, False), (5, True), (10, False))
    cuts = cut(script, noise(len(script)))
    assert cuts.segments[0].begin == (14 - 3) * WINDOW


@pytest.mark.parametrize(('probability', 'segments'), [(0.4, 1), (0.3, 2)])
def test_speech_ends_at_a_lower_probability_than_it_begins(probability, segments):
    script = [*windows((5, True)), *[probability] * 9, *windows((5, True), (10, False))]
    assert len(cut(script, noise(len(script))).segments) == segments


def test_in_a_pause_the_lower_probability_is_not_enough_to_go_on():
    script = [*windows((5, True), (1, False)), *[0.4] * 20]
    (segment,) = cut(script, noise(len(script))).segments
    assert segment.end == 5 * WINDOW + 3200


def test_speech_that_the_stretch_cuts_off_is_interrupted():
    samples = noise(15)[:-100]
    (segment,) = cut(windows((10, False), (5, True)), samples).segments
    assert segment.interrupted
    assert segment.end == samples.size


def test_a_stretch_that_ends_in_a_pause_does_not_interrupt():
    (segment,) = cut(windows((10, False), (5, True), (3, False)), noise(18)).segments
    assert not segment.interrupted
    assert segment.end == 18 * WINDOW


def test_long_speech_is_split_where_it_is_quietest():
    samples = noise(120)
    samples[45 * WINDOW:47 * WINDOW] = 0
    cuts = cut(windows((120, True)), samples)
    first, second = cuts.segments[:2]
    assert first.split
    assert 45 * WINDOW < first.end < 47 * WINDOW
    assert second.begin == first.end


def test_even_loudness_is_split_as_late_as_possible():
    samples = np.full(120 * WINDOW, 500, np.int16)
    first = cut(windows((120, True)), samples).segments[0]
    assert CUTTING.longest - 3 * WINDOW <= first.end <= CUTTING.longest


def test_a_pause_at_the_longest_length_ends_instead_of_splitting():
    script = windows((56, True), (20, False))
    (segment,) = cut(script, noise(len(script))).segments
    assert not segment.split
    assert segment.end == 56 * WINDOW + 3200


def test_the_rest_of_a_split_is_kept_however_short_it_is():
    samples = noise(90)
    samples[62 * WINDOW + 256:] = 0
    cuts = cut(windows((65, True), (25, False)), samples)
    assert [segment.split for segment in cuts.segments] == [True, False]
    assert not cuts.clicks


def test_speaking_counts_from_the_pre_roll():
    told = Told(windows((5, False), (3, True), (8, False)))
    told.push(noise(5))
    assert told.segmenter.speaking == 0
    told.push(noise(3))
    assert told.segmenter.speaking == 6 * WINDOW
    told.push(noise(8))
    assert told.segmenter.speaking == 0


PROBABILITIES = st.lists(
    st.tuples(st.sampled_from([0.0, 0.2, 0.34, 0.36, 0.49, 0.5, 0.9]), st.integers(1, 40)),
    min_size=1, max_size=12,
).map(lambda runs: [probability for probability, count in runs for _ in range(count)][:200])

CUTTINGS = st.builds(
    Cutting, threshold=st.sampled_from([0.05, 0.5, 0.95]),
    pre_roll=st.sampled_from([0, 100, 4000, 32_000]),
    hangover=st.sampled_from([1600, 8000, 20_000]),
    shortest=st.sampled_from([0, 1600, 8000]), longest=st.sampled_from([32_000, 50_000]))


@settings(max_examples=60, deadline=None)
@given(PROBABILITIES, CUTTINGS, st.integers(0, WINDOW - 1), st.integers(0, 9))
def test_whatever_is_said(script, cutting, cut_off, seed):
    """No segment is too long, too empty or out of place, and no speech is lost."""
    samples = noise(len(script), seed)[:len(script) * WINDOW - cut_off]
    cuts = cut(script, samples, cutting)
    heard = np.zeros(samples.size, np.bool_)
    before = 0
    for segment in cuts.segments:
        assert before <= segment.begin < segment.end <= samples.size
        assert segment.end - segment.begin <= cutting.longest
        assert segment.samples == samples[segment.begin:segment.end].tolist()
        heard[segment.begin:segment.end] = True
        before = segment.end
    for first, second in zip(cuts.segments, cuts.segments[1:], strict=False):
        assert not first.split or second.begin == first.end
    assert not cuts.segments or not cuts.segments[-1].split
    for click in cuts.clicks:
        heard[click.begin:click.end] = True
    for index, probability in enumerate(script):
        if probability >= cutting.threshold:
            assert heard[index * WINDOW:(index + 1) * WINDOW].all()


@settings(max_examples=60, deadline=None)
@given(PROBABILITIES, st.lists(st.integers(0, 4000), max_size=40), st.integers(0, WINDOW - 1))
def test_chunks_of_any_size_give_the_same_segments(script, sizes, cut_off):
    samples = noise(len(script))[:len(script) * WINDOW - cut_off]
    assert cut(script, samples, sizes=sizes) == cut(script, samples)
