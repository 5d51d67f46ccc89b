"""Bags: what is written is read again, and what is no good says so."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from ruamel.yaml import YAML

from xlerobot_asr_opt.errors import AsrError, AudioError, ConfigurationError, SourceError
from xlerobot_asr_opt.records import Chunk
from xlerobot_asr_opt.sources.bag import STORAGES, BagReader, BagWriter
from xlerobot_asr_opt.sources.definitions import (
    AUDIO_CHUNK_TYPE,
    PACKAGE,
    definitions_directory,
    typestore,
)
from xlerobot_asr_opt.sources.wire import AUDIO_CHUNK, decode, encode

ROOT = Path(__file__).parents[2]
START = 1_700_000_000_000_000_000


@pytest.fixture(autouse=True, scope='module')
def installed(tmp_path_factory):
    """Installs the message definitions of the source tree."""
    prefix = tmp_path_factory.mktemp('prefix')
    (prefix / 'share').mkdir()
    (prefix / 'share' / PACKAGE).symlink_to(ROOT / PACKAGE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('AMENT_PREFIX_PATH', str(prefix))
        yield prefix


def make_chunk(sequence: int, stream: str = 'kitchen') -> Chunk:
    samples = np.arange(sequence, sequence + 1600, dtype=np.int16)
    return Chunk(stream, sequence, START + sequence * 100_000_000, 16_000, 1, samples)


def write_bag(path: Path, storage: str = 'mcap', chunks: int = 20) -> Path:
    with BagWriter(path, storage) as bag:
        bag.add_topic('/asr/audio')
        for sequence in range(chunks):
            bag.write_chunk('/asr/audio', make_chunk(sequence))
    return path


def test_structure_is_the_message():
    store = typestore(definitions_directory())
    kind, time_kind = store.types[AUDIO_CHUNK_TYPE], store.types['builtin_interfaces/msg/Time']
    samples = np.arange(1600, dtype=np.int16)
    name = np.zeros(64, np.uint8)
    name[:7] = list(b'kitchen')
    message = kind(
        stamp=time_kind(sec=1_700_000_000, nanosec=500_000_000), stream=name, sequence=5,
        rate=16_000, channels=1, length=1600, samples=samples)
    expected = bytes(store.serialize_cdr(message, AUDIO_CHUNK_TYPE))
    chunk = Chunk('kitchen', 5, START + 500_000_000, 16_000, 1, samples)
    assert encode(chunk) == expected
    assert len(expected) == 4 + AUDIO_CHUNK.itemsize


@pytest.mark.parametrize('storage', STORAGES)
def test_what_is_written_is_read(tmp_path, storage):
    with BagReader(write_bag(tmp_path / 'bag', storage)) as bag:
        assert bag.topics == (('/asr/audio', AUDIO_CHUNK_TYPE, 20),)
        assert bag.audio_topics == ('/asr/audio',)
        assert bag.count == 20
        assert bag.duration_s == pytest.approx(1.9)
        assert bag.start_ns == START + 100_000_000
        for sequence, (message, chunk) in enumerate(bag.chunks()):
            expected = make_chunk(sequence)
            np.testing.assert_array_equal(chunk.samples, expected.samples)
            assert message.time_ns == expected.stamp_ns + 100_000_000
            assert (chunk.stream, chunk.sequence, chunk.stamp_ns, chunk.rate, chunk.channels) == (
                'kitchen', sequence, expected.stamp_ns, 16_000, 1)
        assert sequence == 19


@pytest.mark.parametrize('storage', STORAGES)
def test_topics_are_chosen(tmp_path, storage):
    with BagWriter(tmp_path / 'bag', storage) as bag:
        for name in ('/a', '/b', '/c'):
            bag.add_topic(name)
            bag.write_chunk(name, make_chunk(0, name))
        assert bag.counts == {'/a': 1, '/b': 1, '/c': 1}
    with BagReader(tmp_path / 'bag', ['/c', '/a']) as bag:
        assert sorted(chunk.stream for _, chunk in bag.chunks()) == ['/a', '/c']
    with pytest.raises(SourceError, match=r'no topic /d; it holds /a \(.*AudioChunk, 1 mess'):
        BagReader(tmp_path / 'bag', ['/d'])


@pytest.mark.parametrize('name', ['bag_0.mcap', 'bag.mcap'])
def test_a_single_file_is_a_bag(tmp_path, name):
    path = next(write_bag(tmp_path / 'bag').glob('*.mcap')).rename(tmp_path / name)
    with BagReader(path) as bag:
        assert sum(1 for _ in bag.messages()) == 20


@pytest.mark.parametrize('storage', STORAGES)
def test_other_types_are_named(tmp_path, storage):
    store = get_typestore(Stores.ROS2_JAZZY)
    with Writer(tmp_path / 'bag', version=9, storage_plugin=StoragePlugin[storage.upper()]) as bag:
        topic = bag.add_connection('/audio', 'std_msgs/msg/String', typestore=store)
        text = store.types['std_msgs/msg/String'](data='hello')
        bag.write(topic, START, store.serialize_cdr(text, 'std_msgs/msg/String'))
    with pytest.raises(SourceError, match=r'it holds /audio \(std_msgs/msg/String, 1 messages\)'):
        BagReader(tmp_path / 'bag')
    with pytest.raises(SourceError, match=r'/audio carries std_msgs/msg/String, expected .*Chunk'):
        BagReader(tmp_path / 'bag', ['/audio'])


@pytest.mark.parametrize('storage', STORAGES)
def test_nothing_recorded(tmp_path, storage):
    write_bag(tmp_path / 'bag', storage, chunks=0)
    with pytest.raises(SourceError, match='no message on /asr/audio: nothing was recorded'):
        BagReader(tmp_path / 'bag')
    with BagWriter(tmp_path / 'bare', storage):
        pass
    with pytest.raises(SourceError, match='the bag is empty'):
        BagReader(tmp_path / 'bare')


def test_not_a_bag(tmp_path):
    with pytest.raises(SourceError, match='no such file'):
        BagReader(tmp_path / 'nowhere')
    with pytest.raises(SourceError, match=r'no metadata.yaml; expected a directory that'):
        BagReader(tmp_path)
    path = tmp_path / 'speech.wav'
    path.write_bytes(b'RIFF')
    with pytest.raises(SourceError, match='not a bag'):
        BagReader(path)


def test_a_bag_without_its_index(tmp_path):
    path = write_bag(tmp_path / 'bag')
    (path / 'metadata.yaml').unlink()
    with pytest.raises(SourceError, match=r'no metadata.yaml; open .*bag\.mcap, or .* reindex'):
        BagReader(path)


@pytest.mark.parametrize('text', ['', '[', 'a: 1', 'rosbag2_bagfile_information: 3'])
def test_a_broken_index(tmp_path, text):
    path = write_bag(tmp_path / 'bag')
    (path / 'metadata.yaml').write_text(text)
    with pytest.raises(SourceError, match='not a bag, or a damaged one'):
        BagReader(path)


@pytest.mark.parametrize('storage', STORAGES)
@pytest.mark.parametrize('keep', [0.0, 0.3, 0.9])
def test_a_cut_bag(tmp_path, storage, keep):
    path = write_bag(tmp_path / 'bag', storage)
    data = next(item for item in path.iterdir() if item.suffix != '.yaml')
    data.write_bytes(data.read_bytes()[:int(data.stat().st_size * keep)])
    with pytest.raises(SourceError, match=r'damaged|breaks off|empty'), BagReader(path) as bag:
        list(bag.messages())


def test_an_index_that_promises_more(tmp_path):
    path = write_bag(tmp_path / 'bag')
    yaml = YAML(typ='safe')
    index = yaml.load(path / 'metadata.yaml')
    topic = index['rosbag2_bagfile_information']['topics_with_message_count'][0]
    topic['message_count'] = 30
    yaml.dump(index, path / 'metadata.yaml')
    with (pytest.raises(SourceError, match='holds 20 chunks where its index says 30'),
          BagReader(path) as bag):
        list(bag.messages())


@pytest.fixture(scope='module', params=STORAGES)
def whole(request, tmp_path_factory):
    return write_bag(tmp_path_factory.mktemp('whole') / 'bag', request.param, chunks=5)


@given(data=st.data())
@settings(max_examples=60, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_never_escapes(whole, tmp_path, data):
    """Any flipped byte gives our own error, or still a readable bag."""
    source = next(item for item in whole.iterdir() if item.suffix != '.yaml')
    raw = bytearray(source.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    damaged = tmp_path / source.name
    damaged.write_bytes(raw)
    with contextlib.suppress(AsrError), BagReader(damaged) as bag:
        assert sum(1 for _ in bag.chunks()) == bag.count


def test_a_message_that_is_no_chunk():
    data = bytearray(encode(make_chunk(0)))
    with pytest.raises(AudioError, match='expected an AudioChunk of 3292 bytes'):
        decode(bytes(data[:-1]))
    data[4 + AUDIO_CHUNK.fields['length'][1] + 1] = 0xff
    with pytest.raises(AudioError, match='length 65'):
        decode(bytes(data))


def test_what_does_not_fit_is_refused():
    samples = np.zeros(1601, np.int16)
    with pytest.raises(AudioError, match='1601 int16 values, expected at most 1600'):
        encode(Chunk('a', 0, 0, 16_000, 1, samples))
    with pytest.raises(AudioError, match='64 bytes, expected at most 63'):
        encode(Chunk('x' * 64, 0, 0, 16_000, 1, samples[:1]))


def test_a_bag_is_not_overwritten(tmp_path):
    write_bag(tmp_path / 'bag')
    with pytest.raises(SourceError, match='exists already'):
        BagWriter(tmp_path / 'bag')


def test_definitions_that_are_not_installed(tmp_path):
    with pytest.raises(ConfigurationError, match='build the workspace'):
        definitions_directory(str(tmp_path))
