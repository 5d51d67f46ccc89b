"""What was kept on disk as targets: caches, segment stores, bags, recordings."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np
import soundfile
from hostile_reading import each, written
from hostile_values import Script

from xlerobot_asr_opt.core import segment_store
from xlerobot_asr_opt.core.cache import CacheTiers
from xlerobot_asr_opt.core.segment_store import SegmentStore
from xlerobot_asr_opt.parameters import CacheParameters
from xlerobot_asr_opt.records import Chunk
from xlerobot_asr_opt.sources import wire
from xlerobot_asr_opt.sources.bag import BagReader, BagWriter
from xlerobot_asr_opt.sources.definitions import PACKAGE
from xlerobot_asr_opt.sources.file import AudioFile
from xlerobot_asr_opt.sources.transcripts import read_transcripts

ROOT = Path(__file__).resolve().parents[2]
START_NS = 1_700_000_000_000_000_000



def read_cache(data: bytes, place: Path) -> None:
    """A database, or the list of what is asked for most, that somebody wrote."""
    parameters = CacheParameters(l1_entries=2, l2_entries=2, l3_entries=2)
    directory = place / 'cache'
    (directory / 'l3').mkdir(parents=True)
    kind, content = data[:1], data[1:]
    names = ('l3/cache.db', 'heat.json', 'l3/cache.db-wal', 'owner')
    written(directory, names[kind[0] % len(names) if kind else 0], content)
    tiers = CacheTiers(parameters, directory, lambda: 0.0)
    try:
        for number in range(4):
            tiers.get(bytes(31) + bytes([number]))
            tiers.put(bytes(31) + bytes([number]), '{}')
            tiers.drain()
        tiers.hottest_absent()
        tiers.statistics()
        tiers.trim(0.5, disk=True)
        assert tiers.get(bytes(31) + b'\3') is not None
    finally:
        tiers.close()


def cache_seeds() -> tuple[bytes, ...]:
    with tempfile.TemporaryDirectory() as place:
        tiers = CacheTiers(CacheParameters(), Path(place), lambda: 0.0)
        for number in range(3):
            tiers.put(bytes(31) + bytes([number]), '{"text":"hello"}')
            tiers.get(bytes(31) + bytes([number]))
        tiers.close()
        heat = Path(place, 'heat.json').read_bytes()
        database = Path(place, 'l3', 'cache.db').read_bytes()
    return b'\1' + heat, b'\0' + database


STORE_BYTES = 2 << 20


def read_store(data: bytes, place: Path) -> None:
    """A segment store whose table somebody has edited, with checksums that are right again."""
    path = place / 'a.store'
    store = a_store(path)
    store.close()
    script = Script(data)
    with path.open('r+b') as file:
        table = file.read(segment_store._PAGE + 8 * segment_store._ENTRY.itemsize)
        content = bytearray(table)
        mends = script.number()
        while script.left >= 4:
            at = script.number(2) % len(content)
            piece = script.take(1 + script.number() % 8)
            content[at:at + len(piece)] = piece
        content = content[:len(table)]
        if mends & 1:
            mend(content)
        file.seek(0)
        file.write(content)
        if mends & 2:
            file.truncate(script.number(4) % STORE_BYTES)
    store = SegmentStore(path, STORE_BYTES)
    try:
        for ticket in store.tickets():
            assert store.samples(ticket.segment).size == ticket.length
            ticket.stream.encode()
        for ticket in store.tickets()[::2]:
            store.release(ticket.segment)
        segment = store.open('hall', START_NS)
        store.append(segment, np.ones(9000, np.int16))
        kept = store.seal(segment)
        assert store.samples(kept.segment).size == 9000
        for ticket in store.tickets():
            store.release(ticket.segment)
    finally:
        store.close()
    SegmentStore(path, STORE_BYTES).close()


def a_store(path: Path) -> SegmentStore:
    store = SegmentStore(path, STORE_BYTES, lambda size: bytes(size))
    for number, stream in enumerate(('hall', 'hall', 'kitchen')):
        segment = store.open(stream, START_NS + number, language='en', budget_s=1.0)
        store.append(segment, np.full(20_000, number, np.int16))
        store.seal(segment)
    store.append(store.open('hall', START_NS), np.ones(100, np.int16))
    return store


def mend(content: bytearray) -> None:
    """Make the checksums of the entries those of what they say."""
    page, entry = segment_store._PAGE, segment_store._ENTRY
    head, seal, blocks = segment_store._HEAD, segment_store._SEAL, segment_store._BLOCKS
    for at in range(page, len(content), entry.itemsize):
        row = content[at:at + entry.itemsize]
        check = zlib.crc32(row[head])
        struct.pack_into('<Q', content, at + head.stop, check)
        check = zlib.crc32(row[blocks], zlib.crc32(row[seal], check))
        struct.pack_into('<Q', content, at + seal.stop, check)


# Recordings


@contextlib.contextmanager
def definitions():
    """The message definitions of the source tree, found as installed ones are."""
    with tempfile.TemporaryDirectory() as prefix:
        share = Path(prefix, 'share')
        share.mkdir()
        (share / PACKAGE).symlink_to(ROOT / PACKAGE)
        before = os.environ.get('AMENT_PREFIX_PATH')
        os.environ['AMENT_PREFIX_PATH'] = prefix
        try:
            yield
        finally:
            os.environ.pop('AMENT_PREFIX_PATH')
            if before is not None:
                os.environ['AMENT_PREFIX_PATH'] = before


def a_bag(place: Path, storage: str) -> Path:
    with definitions(), BagWriter(place / storage, storage) as bag:
        bag.add_topic('/asr/audio')
        bag.add_topic('/asr/transcript', f'{PACKAGE}/msg/Transcript')
        for number in range(3):
            chunk = Chunk('hall', number, START_NS + number, 16_000, 1, np.ones(16, np.int16))
            bag.write_chunk('/asr/audio', chunk)
        bag.write('/asr/transcript', START_NS, b'\0\1\0\0' + bytes(400))
    return place / storage


BAG_FILES = ('mcap/mcap.mcap', 'sqlite3/sqlite3.db3', 'mcap/metadata.yaml',
             'sqlite3/metadata.yaml')


def bag_seeds() -> tuple[bytes, ...]:
    with tempfile.TemporaryDirectory() as place:
        for storage in ('mcap', 'sqlite3'):
            a_bag(Path(place), storage)
        return tuple(bytes([kind]) + Path(place, name).read_bytes()
                     for kind, name in enumerate(BAG_FILES))


def read_bag(data: bytes, place: Path) -> None:
    kind = data[0] % len(BAG_FILES) if data else 0
    name = Path(BAG_FILES[kind])
    for file, seed in zip(BAG_FILES, BAG_SEEDS, strict=True):
        if Path(file).parent == name.parent:
            (place / file).parent.mkdir(exist_ok=True)
            written(place, file, seed[1:])
    written(place, str(name), data[1:])
    bag = place / name.parent

    def chunks(path: Path) -> None:
        with BagReader(path) as reader:
            for _ in itertools.islice(reader.chunks(), 100):
                pass

    with definitions():
        each(lambda: chunks(bag), lambda: read_transcripts(bag),
             lambda: chunks(place / BAG_FILES[kind % 2]))


def audio_seeds() -> tuple[bytes, ...]:
    seeds = []
    samples = (np.sin(np.arange(4000) / 9) * 8000).astype(np.int16)
    for form, subtype in (('WAV', 'PCM_16'), ('WAV', 'FLOAT'), ('WAV', 'MS_ADPCM'),
                          ('FLAC', 'PCM_16'), ('OGG', 'VORBIS'), ('AIFF', 'PCM_24'),
                          ('W64', 'PCM_16'), ('CAF', 'ALAC_16')):
        file = io.BytesIO()
        soundfile.write(file, samples, 16_000, format=form, subtype=subtype)
        seeds.append(file.getvalue())
    return tuple(seeds)


def read_audio(data: bytes, place: Path) -> None:
    with AudioFile(written(place, 'a.wav', data)) as recording:
        for chunk in itertools.islice(recording.chunks('hall', START_NS), 2000):
            assert chunk.samples.size <= wire.CAPACITY


def read_wire(data: bytes, place: Path) -> None:
    chunk = wire.decode(data)
    assert chunk.samples.size <= wire.CAPACITY
    chunk.stream.encode()


CACHE_SEEDS, BAG_SEEDS, AUDIO_SEEDS = cache_seeds(), bag_seeds(), audio_seeds()
WIRE = wire.encode(Chunk('hall', 1, START_NS, 16_000, 1, np.ones(1600, np.int16)))
