"""Real processes recognise what was said while its speaker pauses."""

import pytest
from talking import NS, SIZE, as_chunks, conversation

from xlerobot_asr_opt.records import SAMPLE_RATE

DOMAIN = 58
PAUSE_S = 1.0
"""Ingest waits for twice as long before it takes a stream without audio for one that paused."""


@pytest.fixture(scope='module')
def talk(tmp_path_factory):
    with conversation(tmp_path_factory.mktemp('graph'), DOMAIN, '/look_ahead',
                      'scheduler.use_cache=false') as talk:
        yield talk


def test_what_was_said_before_a_pause_is_recognised_in_it(talk):
    begin_ns = NS
    talk.publish(as_chunks('known', begin_ns=begin_ns))
    whole = talk.until(lambda: talk.of('known'), 'an answer')[0]
    # Its end is foretold when the samples up to there are heard, and certain 0.3 s later.
    enough = (whole.end_ns - begin_ns) * SAMPLE_RATE // NS // SIZE + 2
    chunks = as_chunks('slow', begin_ns=begin_ns)
    talk.publish(chunks[:enough])
    talk.client.spin_until(lambda: False, PAUSE_S)
    assert not talk.of('slow')
    talk.publish(chunks[enough:])
    said = talk.until(lambda: talk.of('slow'), 'an answer')[0]
    assert (said.text, said.end_ns, said.attempts) == (whole.text, whole.end_ns, 1)
    assert (said.cache, said.worker) == ('none', 'inference_0')
    assert said.latency.ahead > 0.0
