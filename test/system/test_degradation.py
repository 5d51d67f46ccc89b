"""A graph whose first backend fails in every way at random: nothing is lost, doubled or misnamed.

The first backend is the scripted one, with faults by a seed; behind it is a small Whisper, whose
texts cannot be taken for the other's. Seven tenths of a second of speech, again and again, each
time a little quieter, so that no two utterances are equal.
"""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from small_vocabulary import build_small
from talking import SAMPLE_RATE, as_chunks, conversation, utterance

from xlerobot_asr_opt.backends.scripted import WORDS
from xlerobot_asr_opt.records import TranscriptStatus

DOMAIN = 59
NAMESPACE = '/degradation'
STREAMS, ROUNDS = 10, 20
TIMEOUT_S = 0.2
PATIENCE_MS = 1500.0
"""What a loaded machine may take beside the time-out."""
FAULTS = {'seed': 1165, 'share': 0.3, 'hang_s': 0.3, 'hot_s': 0.2, 'busy_s': 0.2}
TOLD = ('an error at random', 'the model gave NaN', 'arrays of another shape',
        f'no answer within {TIMEOUT_S:g} s', 'degrees, allowed are', 'of the time, allowed are')
"""What is said of each way to fail."""


def speech():
    """int16[n]: a person says a word or two, and pauses."""
    said, pause = round(0.7 * SAMPLE_RATE), round(0.5 * SAMPLE_RATE)
    return np.concatenate([utterance()[:said], np.zeros(pause, np.int16)])


@pytest.fixture(scope='module')
def heard(tmp_path_factory):
    """The transcripts of all that was said, and what the graph wrote meanwhile."""
    home = tmp_path_factory.mktemp('degradation')
    script = home / 'script.yaml'
    script.write_text(json.dumps({'faults': FAULTS}))
    model = build_small(home / 'model', multilingual=False, seconds=30.0)
    settings = {
        'backends': 'scripted,onnxruntime', 'script': script, 'model': model, 'capacity': 1,
        'timeout': TIMEOUT_S, 'backoff': 0.02, 'longest_backoff': 0.1, 'good_probes': 2,
        'load_limit': 0.9}
    parameters = [f'inference.{name}={value}' for name, value in settings.items()]
    with conversation(home, DOMAIN, NAMESPACE, 'scheduler.use_cache=false',
                      'ingest.hangover=0.2', *parameters) as talk:
        word, begin_ns = speech(), 1_000_000_000
        for turn in range(ROUNDS):
            for stream in range(STREAMS):
                quieter = word * (1.0 - 0.002 * (turn * STREAMS + stream))
                talk.publish(as_chunks(
                    f'speaker-{stream}', quieter.astype(np.int16), first=turn * 12,
                    begin_ns=begin_ns + turn * len(word) * 1_000_000_000 // SAMPLE_RATE))
            talk.until(lambda: len(of_speakers(talk)) >= (turn + 1) * STREAMS,  # noqa: B023
                       f'{STREAMS} more transcripts')
        talk.ask('last')
        yield talk


def of_speakers(talk):
    return [said for said in talk.heard if said.stream.startswith('speaker')]


def test_each_utterance_has_one_transcript_in_its_turn(heard):
    said = of_speakers(heard)
    assert len(said) == STREAMS * ROUNDS
    assert len({one.segment for one in said}) == len(said)
    assert {one.status for one in said} == {TranscriptStatus.DONE}
    for stream in range(STREAMS):
        assert [one.sequence for one in heard.of(f'speaker-{stream}')] == list(range(ROUNDS))


def test_each_text_is_of_the_backend_that_is_named(heard):
    for said in of_speakers(heard):
        scripted = set(said.text.split()) <= set(WORDS)
        assert said.backend == ('scripted' if scripted else 'onnxruntime'), said
        assert ('scripted: ' in said.reason) == (not scripted), said
        assert ('onnxruntime took over' in said.reason) == (not scripted), said


def test_it_failed_in_every_way_and_came_back_each_time(heard):
    reasons = ' '.join(said.reason for said in heard.heard)
    assert [told for told in TOLD if told not in reasons] == []
    backends = [said.backend for said in heard.heard]
    returns = sum(before != after == 'scripted'
                  for before, after in itertools.pairwise(backends))
    assert returns >= 6
    heard.said('scripted is back')


def test_who_takes_over_costs_no_more_than_the_time_limit(heard):
    for said in of_speakers(heard):
        assert said.latency.wait <= 1e3 * TIMEOUT_S + PATIENCE_MS, said
    timed_out = [said for said in of_speakers(heard)
                 if said.reason.startswith(f'scripted: no answer within {TIMEOUT_S:g} s; ')
                 and said.latency.wait >= 1e3 * TIMEOUT_S]
    assert timed_out
    assert all(said.attempts == 1 for said in of_speakers(heard))
