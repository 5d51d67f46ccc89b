"""What a person writes about an audio topic."""

import pytest

from xlerobot_asr_opt.core.topic_entries import Form, TopicEntry, topic_entry
from xlerobot_asr_opt.errors import ConfigurationError


@pytest.mark.parametrize(('text', 'entry'), [
    ('audio', TopicEntry('audio')),
    ('/audio/in:audio_common_msgs/AudioStamped',
     TopicEntry('/audio/in', 'audio_common_msgs/msg/AudioStamped')),
    ('/audio:audio_common_msgs/msg/AudioData',
     TopicEntry('/audio', 'audio_common_msgs/msg/AudioData')),
    ('/audio:audio_common_msgs/AudioData:S24_3LE:48000:2',
     TopicEntry('/audio', 'audio_common_msgs/msg/AudioData', Form('S24LE', 48_000, 2))),
    ('/audio::float32', TopicEntry('/audio', '', Form('F32LE', 16_000, 1))),
    ('/audio:::48000', TopicEntry('/audio', '', Form('S16LE', 48_000, 1))),
])
def test_is_read(text, entry):
    assert topic_entry(text) == entry


@pytest.mark.parametrize(('text', 'said'), [
    ('', 'expected TOPIC, TOPIC:PACKAGE/TYPE or'),
    ('/au dio', 'expected TOPIC, TOPIC:PACKAGE/TYPE or'),
    ('/audio:AudioData', "got the type 'AudioData'"),
    ('/audio:a/srv/B', "got the type 'a/srv/B'"),
    ('/audio:a/B:mp3', "got audio in the format 'mp3', expected raw samples"),
    ('/audio:a/B:S16LE:300', "got the rate '300' in '/audio:a/B:S16LE:300', expected 4000 to"),
    ('/audio:a/B:S16LE:fast', "got the rate 'fast'"),
    ('/audio:a/B:S16LE:16000:0', "got the channels '0'"),
    ('/audio:a/B:S16LE:16000:1:7', 'expected TOPIC, TOPIC:PACKAGE/TYPE or'),
])
def test_what_cannot_be_read_is_told_with_what_was_expected(text, said):
    with pytest.raises(ConfigurationError) as caught:
        topic_entry(text)
    assert said in str(caught.value)


@pytest.mark.parametrize(('topic', 'stream'), [
    ('audio', 'audio'), ('/audio/in', 'audio/in'),
    ('/humans/voices/anonymous_speaker/audio', 'anonymous_speaker'),
    ('/' + 'a' * 70 + '/b', 'a' * 61 + '/b'),
])
def test_the_stream_has_the_name_of_the_topic_or_of_the_voice(topic, stream):
    assert TopicEntry(topic).stream == stream
