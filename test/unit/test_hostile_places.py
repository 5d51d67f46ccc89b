"""Links, pipes and other people's files that were planted where we keep things."""

import logging
import os
import stat
from pathlib import Path

import numpy as np
import pytest

from xlerobot_asr_opt.core.cache import CacheTiers
from xlerobot_asr_opt.core.segment_store import SegmentStore
from xlerobot_asr_opt.errors import SourceError, StoreError
from xlerobot_asr_opt.models.paths import private_directory
from xlerobot_asr_opt.parameters import CacheParameters
from xlerobot_asr_opt.private_files import open_private
from xlerobot_asr_opt.sources.file import AudioFile
from xlerobot_asr_opt.sources.transcripts import read_transcripts

STORE = 2 << 20
KEY = bytes(32)


@pytest.fixture
def secret(tmp_path):
    """A file that nobody may write over."""
    path = tmp_path / 'secret'
    path.write_bytes(b'secret')
    yield path
    assert path.read_bytes() == b'secret'


def work(directory):
    """Put a value into a cache there, and get it; whether the disk took part."""
    tiers = CacheTiers(CacheParameters(), directory, lambda: 0.0)
    tiers.put(KEY, '{}')
    tiers.drain()
    assert tiers.get(KEY).value == '{}'
    fault = tiers.disk_fault
    tiers.close()
    return fault


class TestCache:
    @pytest.mark.parametrize('name', ['owner', 'heat.new', 'heat.json'])
    def test_a_link_is_not_followed(self, tmp_path, secret, name):
        directory = tmp_path / 'cache'
        directory.mkdir(mode=0o700)
        (directory / name).symlink_to(secret)
        fault = work(directory)
        assert bool(fault) is (name == 'owner')

    def test_a_pipe_in_place_of_the_list_is_not_waited_for(self, tmp_path, caplog):
        directory = tmp_path / 'cache'
        directory.mkdir(mode=0o700)
        os.mkfifo(directory / 'heat.json')
        assert work(directory) == ''
        assert 'is no regular file' in caplog.text

    def test_a_link_in_place_of_the_database_is_moved_aside(self, tmp_path):
        elsewhere = tmp_path / 'elsewhere'
        elsewhere.mkdir()
        directory = tmp_path / 'cache'
        directory.mkdir(mode=0o700)
        (directory / 'l3').symlink_to(elsewhere)
        assert work(directory) == ''
        assert list(elsewhere.iterdir()) == []
        assert not (directory / 'l3').is_symlink()

    def test_a_database_that_is_a_link_is_moved_aside(self, tmp_path, secret):
        (tmp_path / 'cache' / 'l3').mkdir(parents=True, mode=0o700)
        (tmp_path / 'cache' / 'l3' / 'cache.db').symlink_to(secret)
        assert work(tmp_path / 'cache') == ''
        assert not (tmp_path / 'cache' / 'l3' / 'cache.db').is_symlink()

    def test_everything_it_makes_is_private(self, tmp_path):
        work(tmp_path / 'cache')
        for path in (tmp_path / 'cache').rglob('*'):
            assert stat.S_IMODE(path.stat().st_mode) & (
                0o077 if path.is_dir() or path.suffix == '.json' else 0o022) == 0, path


class TestSegmentStore:
    @pytest.mark.parametrize('name', ['a.store', 'a.store.new'])
    def test_a_link_is_not_followed(self, tmp_path, secret, name):
        directory = tmp_path / 'segments'
        directory.mkdir(mode=0o700)
        (directory / name).symlink_to(secret)
        store = SegmentStore(directory / 'a.store', STORE)
        store.close()
        assert stat.S_ISREG((directory / 'a.store').lstat().st_mode)

    def test_a_lock_that_is_a_link_is_refused(self, tmp_path, secret):
        (tmp_path / 'a.store.lock').symlink_to(secret)
        with pytest.raises(StoreError, match='cannot be made'):
            SegmentStore(tmp_path / 'a.store', STORE)

    def test_a_pipe_is_not_waited_for(self, tmp_path, caplog):
        caplog.set_level(logging.WARNING)
        os.mkfifo(tmp_path / 'a.store')
        SegmentStore(tmp_path / 'a.store', STORE).close()
        assert 'is no regular file' in caplog.text

    def test_names_that_are_no_text_are_dropped(self, tmp_path):
        from hostile_disk import mend

        from xlerobot_asr_opt.core import segment_store

        path = tmp_path / 'a.store'
        store = SegmentStore(path, STORE)
        segment = store.open('hall', 0)
        store.append(segment, np.ones(100, np.int16))
        store.seal(segment)
        store.close()
        content = bytearray(path.read_bytes())
        at = content.index(b'hall')
        content[at:at + 4] = b'\xff\xfe\xff\xfe'
        table = content[:segment_store._PAGE + 8 * segment_store._ENTRY.itemsize]
        mend(table)
        path.write_bytes(table + content[len(table):])
        store = SegmentStore(path, STORE)
        assert 'not UTF-8' in store.damage[0]
        store.close()


class TestPrivate:
    def test_a_second_name_is_refused(self, tmp_path, secret):
        os.link(secret, tmp_path / 'other')
        with pytest.raises(PermissionError, match='second name'):
            open_private(tmp_path / 'other', os.O_RDWR)
        (tmp_path / 'other').unlink()

    def test_a_directory_that_others_write_into_is_closed_to_them(self, tmp_path):
        (tmp_path / 'a').mkdir()
        (tmp_path / 'a').chmod(0o777)
        assert stat.S_IMODE(private_directory(tmp_path / 'a').stat().st_mode) == 0o755

    def test_a_directory_that_all_share_is_refused(self, tmp_path):
        (tmp_path / 'a').mkdir()
        (tmp_path / 'a').chmod(0o1777)
        with pytest.raises(StoreError, match='others write into it'):
            private_directory(tmp_path / 'a')


def test_a_path_that_is_none_is_told():
    with pytest.raises(SourceError, match='null byte'):
        AudioFile(Path('a\0b'))


def test_a_definition_in_a_bag_becomes_no_code(tmp_path):
    """The library makes Python of the definitions that a bag brings; ours are all it may make."""
    from hostile_disk import a_bag, definitions

    bag = a_bag(tmp_path, 'mcap')
    file = bag / 'mcap.mcap'
    content = file.read_bytes()
    field = b'uint32 attempts\n'
    for harm, told in ((b'uint32 att-mpts\n', 'parse'), (b'string[99999] a\n', 'array of 99999'),
                       (b'int8[999999] ab\n', 'array of 999999')):
        assert len(harm) == len(field)
        file.write_bytes(content.replace(field, harm))
        with definitions(), pytest.raises(SourceError, match=told):
            read_transcripts(bag)


@pytest.mark.parametrize('harm', ['../secret/mcap.mcap', '{}/secret/mcap.mcap'])
def test_a_bag_reads_no_file_from_outside(tmp_path, harm):
    from hostile_disk import a_bag, definitions

    from xlerobot_asr_opt.sources.bag import BagReader

    (tmp_path / 'secret').mkdir()
    secret = a_bag(tmp_path, 'mcap')
    (secret / 'mcap.mcap').rename(tmp_path / 'secret' / 'mcap.mcap')
    index = secret / 'metadata.yaml'
    index.write_text(index.read_text().replace('mcap.mcap', harm.format(tmp_path)))
    with definitions(), pytest.raises(SourceError, match='missing'):
        BagReader(secret)
