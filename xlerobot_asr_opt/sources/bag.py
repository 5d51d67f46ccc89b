"""Bags of rosbag2, sqlite3 and mcap, read and written without ROS."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import apsw
from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import Reader, ReaderError, StoragePlugin, Writer, WriterError
from rosbags.rosbag2.reader import zstd

from xlerobot_asr_opt.errors import SourceError
from xlerobot_asr_opt.sources.definitions import (
    AUDIO_CHUNK_TYPE,
    definitions_directory,
    typestore,
)
from xlerobot_asr_opt.sources.wire import decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from typing_extensions import Self

    from xlerobot_asr_opt.records import Chunk

__all__ = [
    'DAMAGE', 'STORAGES', 'BagMessage', 'BagReader', 'BagTopic', 'BagWriter', 'listing',
    'open_bag', 'reason',
]

STORAGES = ('mcap', 'sqlite3')
"""The storages of a bag, the default first."""

DAMAGE = (ReaderError, apsw.Error, zstd.ZstdError, OSError, struct.error, ValueError,
          LookupError, TypeError, AssertionError, EOFError, MemoryError, OverflowError)
"""What the reading library lets through when a bag is damaged, found by flipping and cutting
bytes."""

_FOREVER = QosTime(0x7FFFFFFF_FFFFFFFF // 1_000_000_000, 0x7FFFFFFF_FFFFFFFF % 1_000_000_000)


class BagTopic(NamedTuple):
    """One topic of a bag."""

    name: str
    type: str
    messages: int


class BagMessage(NamedTuple):
    """One message as it lies in the bag: data is CDR, time_ns when it was recorded [ns]."""

    topic: str
    time_ns: int
    data: bytes


class BagReader:
    """Reads the AudioChunk messages of one bag: a directory, or a single .mcap or .db3 file.

    Attributes:
        path: what was opened.
        topics: everything in the bag, other types included.
        audio_topics: the topics that messages() reads.
        start_ns: time of the first message [ns].
        duration_s: first to last message [s].
    """

    def __init__(self, path: Path | str, topics: Sequence[str] = ()) -> None:
        """Open a bag.

        Args:
            path: the bag.
            topics: the AudioChunk topics wanted; empty: all of them.

        Raises:
            SourceError: no bag, a damaged bag, or one without AudioChunk messages on these topics.
        """
        self.path = Path(path)
        self._reader = open_bag(self.path)
        try:
            self.topics = self._list()
            self.audio_topics = tuple(item.name for item in self._choose(topics))
            self.start_ns = self._reader.start_time
            self.duration_s = self._reader.duration / 1e9
        except BaseException:
            self.close()
            raise

    @property
    def count(self) -> int:
        """AudioChunk messages that messages() gives."""
        return sum(item.messages for item in self.topics if item.name in self.audio_topics)

    def messages(self) -> Iterator[BagMessage]:
        """Give the serialised messages in the order in which they were recorded.

        Raises:
            SourceError: the bag breaks off.
        """
        wanted = [item for item in self._reader.connections
                  if item.topic in self.audio_topics and item.msgtype == AUDIO_CHUNK_TYPE]
        given = 0
        try:
            for connection, time_ns, data in self._reader.messages(connections=wanted):
                yield BagMessage(connection.topic, time_ns, bytes(data))
                given += 1
        except DAMAGE as error:
            raise SourceError(f'{self.path}: breaks off after {given} of {self.count} chunks: '
                              f'{reason(error)}') from error
        if given != self.count:
            raise SourceError(f'{self.path}: holds {given} chunks where its index says '
                              f'{self.count}; `ros2 bag reindex` makes a new index')

    def chunks(self) -> Iterator[tuple[BagMessage, Chunk]]:
        """Give every message with what it says.

        Raises:
            SourceError: the bag breaks off.
            AudioError: a message that is no AudioChunk.
        """
        for message in self.messages():
            yield message, decode(message.data)

    def close(self) -> None:
        """Close the files; a second call does nothing."""
        if self._reader.is_open:
            self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def _list(self) -> tuple[BagTopic, ...]:
        """The topics by name."""
        for item in self._reader.connections:
            if not (isinstance(item.topic, str) and isinstance(item.msgtype, str)):
                raise SourceError(f'{self.path}: a damaged bag: its index names a topic '
                                  f'{item.topic!r} of type {item.msgtype!r}')
        return tuple(BagTopic(item.topic, item.msgtype, item.msgcount) for item in sorted(
            self._reader.connections, key=lambda item: item.topic))

    def _choose(self, names: Sequence[str]) -> list[BagTopic]:
        """Pick the topics to read, or say what the bag holds instead."""
        known = {item.name: item for item in self.topics}
        audio = [item for item in self.topics if item.type == AUDIO_CHUNK_TYPE]
        for name in names:
            if name not in known:
                raise SourceError(f'{self.path}: no topic {name}; {listing(self.topics)}')
            if known[name].type != AUDIO_CHUNK_TYPE:
                raise SourceError(f'{self.path}: {name} carries {known[name].type}, expected '
                                  f'{AUDIO_CHUNK_TYPE}')
        if not audio:
            raise SourceError(
                f'{self.path}: no topic of type {AUDIO_CHUNK_TYPE}; {listing(self.topics)}')
        chosen = [item for item in audio if not names or item.name in names]
        if not any(item.messages for item in chosen):
            raise SourceError(f'{self.path}: no message on {", ".join(i.name for i in chosen)}: '
                              'nothing was recorded')
        return chosen


class BagWriter:
    """Writes a bag that ``ros2 bag`` reads: version 9, with the definitions of its types."""

    def __init__(self, path: Path | str, storage: str = STORAGES[0]) -> None:
        """Create the bag's directory.

        Args:
            path: the directory; it must not exist.
            storage: one of STORAGES.

        Raises:
            SourceError: the directory exists or cannot be made.
            ConfigurationError: the definitions of our messages are not installed.
        """
        self.path = Path(path)
        self._types = typestore(definitions_directory())
        self._topics: dict[str, Connection] = {}
        try:
            self._writer = Writer(
                self.path, version=9, storage_plugin=StoragePlugin[storage.upper()])
            self._writer.open()
        except (OSError, WriterError) as error:
            raise SourceError(f'{self.path}: cannot write a bag here: {reason(error)}') from error

    @property
    def counts(self) -> dict[str, int]:
        """Messages written so far, by topic."""
        return {name: self._writer.counts[item.id] for name, item in self._topics.items()}

    def add_topic(self, name: str, kind: str = AUDIO_CHUNK_TYPE, depth: int = 100) -> None:
        """Add a topic; its history depth tells a player how many messages it may send at once."""
        self._topics[name] = self._writer.add_connection(
            name, kind, typestore=self._types, offered_qos_profiles=[_reliable(depth)])

    def write(self, topic: str, time_ns: int, data: bytes) -> None:
        """Write one serialised message.

        Raises:
            SourceError: the disk is full or gone.
        """
        try:
            self._writer.write(self._topics[topic], time_ns, data)
        except (OSError, apsw.Error) as error:
            raise SourceError(f'{self.path}: cannot go on writing: {reason(error)}') from error

    def write_chunk(self, topic: str, chunk: Chunk) -> None:
        """Write one chunk at the time at which its last sample was heard."""
        frames = chunk.samples.size // chunk.channels
        self.write(topic, chunk.stamp_ns + frames * 1_000_000_000 // chunk.rate, encode(chunk))

    def close(self) -> None:
        """Write the index; without it the bag is not whole.

        Raises:
            SourceError: the disk is full or gone.
        """
        try:
            self._writer.close()
        except OSError as error:
            raise SourceError(f'{self.path}: cannot finish the bag: {reason(error)}') from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


def open_bag(path: Path) -> Reader:
    """Open a bag, and say in one line what is wrong with it if that fails."""
    if not path.exists():
        raise SourceError(f'{path}: no such file or directory')
    if path.is_dir() and not (path / 'metadata.yaml').exists():
        parts = sorted(item.name for item in path.glob('*') if item.suffix in {'.mcap', '.db3'})
        hint = (f'open {path / parts[0]}, or make the index with `ros2 bag reindex`' if parts
                else 'expected a directory that `ros2 bag record` or `xlerobot-asr record` made')
        raise SourceError(f'{path}: not a bag: no metadata.yaml; {hint}')
    try:
        reader = Reader(path)
        reader.open()
    except DAMAGE as error:
        raise SourceError(f'{path}: not a bag, or a damaged one: {reason(error)}') from error
    return reader


def reason(error: BaseException) -> str:
    """What a library's error says, in one line and without a full stop."""
    text = ' '.join(str(error).split()) or type(error).__name__
    return text.removesuffix('.')


def listing(topics: Sequence[BagTopic]) -> str:
    """What a bag holds, in words."""
    if not topics:
        return 'the bag is empty'
    return 'it holds ' + ', '.join(
        f'{item.name} ({item.type}, {item.messages} messages)' for item in topics)


def _reliable(depth: int) -> Qos:
    """A reliable, volatile profile with a history of depth messages."""
    return Qos(QosHistory.KEEP_LAST, depth, QosReliability.RELIABLE, QosDurability.VOLATILE,
               _FOREVER, _FOREVER, QosLiveliness.AUTOMATIC, _FOREVER,
               avoid_ros_namespace_conventions=False)
