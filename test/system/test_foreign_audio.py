"""Topics of other packages are heard, with packages of their shape that are really built."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.message_packages import NotBuildableError, environment_with

GRAPH = Path(__file__).with_name('foreign_audio_graph.py')
DOMAIN = 61
NS = 1_000_000_000


def run(which, store):
    """Run the graph with one set of packages; return what it tells, and its log."""
    try:
        variables = environment_with(f'test/interfaces/{which}', f'test_interfaces/{which}')
    except NotBuildableError as error:
        pytest.skip(str(error))
    done = subprocess.run(
        [sys.executable, GRAPH, which, store], text=True, capture_output=True, check=False,
        timeout=100, env={
            **os.environ, **variables, 'ROS_DOMAIN_ID': str(DOMAIN), 'ROS_LOCALHOST_ONLY': '1'})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


@pytest.fixture(scope='module')
def drivers(tmp_path_factory):
    return run('drivers', tmp_path_factory.mktemp('drivers'))


@pytest.fixture(scope='module')
def others(tmp_path_factory):
    return run('others', tmp_path_factory.mktemp('others'))


@pytest.fixture(params=['drivers', 'others'])
def told(request):
    return request.getfixturevalue(request.param)[0]


def test_every_topic_gives_the_segment_that_chunks_of_our_own_give(told):
    (ours,) = told['tickets']['audio']
    for stream in told['heard']:
        (theirs,) = told['tickets'][stream]
        assert theirs[:2] == ours[:2], stream
        assert told['statuses'][stream]['refused'] == 0
        assert told['statuses'][stream]['duplicated'] == 0


def test_messages_with_a_stamp_keep_their_time_and_others_have_that_of_their_publication(told):
    ours = told['tickets']['audio'][0][2]
    for stream in told['heard']:
        assert abs(told['tickets'][stream][0][2] - ours) < NS, stream


def test_an_info_a_type_and_a_number_are_used(drivers):
    told, log = drivers
    assert told['heard'] == ['audio', 'bob', 'frames', 'raw', 'smart', 'voice_stamped']
    assert told['statuses']['frames']['missing'] == 2
    assert 'raw carries audio_common_msgs/msg/AudioData of ros-drivers/audio_common' in log
    assert 'raw: nobody says' not in log
    assert 'frames: nobody says what its bytes are, they are heard as S16LE:16000:1' in log
    assert 'events' not in told['statuses']
    assert 'coded has 2 publishers of audio_common_msgs/msg/AudioData' in log
    assert log.count('does not tell them apart') == 1


@pytest.mark.parametrize(('which', 'stream', 'said'), [
    ('drivers', 'coded', 'got bytes of MP3, expected raw samples in S16LE'),
    ('others', 'wide', 'got the sample format 4, expected one of PortAudio'),
])
def test_what_cannot_be_heard_is_counted_and_told(request, which, stream, said):
    told, log = request.getfixturevalue(which)
    assert told['statuses'][stream]['refused'] > 10
    assert f'{stream}: {said}' in log


def test_the_streams_are_voices(drivers):
    told, _ = drivers
    # The first state may have been told before its reader was there.
    assert told['voices']['speaking'][-2:] == [True, False]
    assert told['voices']['tracked'][-2] == [
        'audio', 'bob', 'coded', 'frames', 'raw', 'smart', 'voice_stamped']
    assert told['voices']['tracked'][-1] == []


def test_a_best_effort_publisher_is_heard(others):
    told, log = others
    assert 'in has a best-effort publisher' in log
    assert told['heard'] == ['audio', 'bare', 'in', 'raw']
