"""Speech segments in a memory-mapped file, kept until they are acknowledged.

The file is the only copy, and outlives its process, killed at any instruction: the page cache
belongs to the kernel. Nothing is synced to the disk on purpose; a loss of power may cost what was
not acknowledged, and the checks below find what it damaged.

Layout: a page of geometry; a table with one entry for each block; the blocks. A segment owns the
entry that has the number of its first block, and any further blocks, which the entry lists.

Order of writes: everything that an entry says is written before the one aligned 64-bit store that
makes it true (``state``, or ``length`` of a segment that is being written). A kill between two
stores leaves the entry as it was before, never half of it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import logging
import mmap
import os
import stat
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xlerobot_asr_opt.core.block_map import BlockMap
from xlerobot_asr_opt.errors import StoreError, StoreFullError
from xlerobot_asr_opt.private_files import make_private, open_private
from xlerobot_asr_opt.records import SAMPLE_RATE, Flag, Ticket

__all__ = ['BLOCK', 'LONGEST', 'OpenSegment', 'SegmentStore']

LONGEST = 480_000
"""Samples that a segment can have: 30 s, SpeechSegment.CAPACITY."""

BLOCK = 8192
"""Samples of a block: 0.5 s, 16 KiB."""

_PER_SEGMENT = -(-LONGEST // BLOCK)
_PAGE = 4096
_MAGIC = b'XASRSEGS'
_FORMAT = 1
_FREE, _OPEN, _SEALED = 0, 1, 2
_COUNT = 0xFFFF_FFFF
"""The part of an identity that counts; the other half is the store's origin."""

_HEADER = np.dtype([
    ('magic', 'S8'), ('format', '<u4'), ('block', '<u4'), ('blocks', '<u8'), ('origin', '<u8'),
    ('check', '<u8'), ('count', '<u8')], align=True)

_ENTRY = np.dtype([
    ('state', '<u8'), ('length', '<u8'), ('horizon', '<u8'),
    # Written before state becomes OPEN, covered by head_check:
    ('segment', '<u8'), ('follows', '<u8'), ('follows_at', '<u8'), ('begin_ns', '<i8'),
    ('budget_s', '<f8'), ('priority', '<u8'), ('stream', 'S64'), ('language', 'S16'),
    ('head_check', '<u8'),
    # Written before state becomes SEALED, covered by seal_check:
    ('sequence', '<u8'), ('sealed_length', '<u8'), ('latency_ms', '<f8'), ('flags', '<u4'),
    ('missing', '<u4'), ('digest', 'u1', (32,)),
    ('seal_check', '<u8'),
    # While the segment is written, length says how many of these count; then seal_check:
    ('blocks', '<u4', (_PER_SEGMENT,))], align=True)


def _offset(record: np.dtype[np.void], name: str) -> int:
    fields: Any = record.fields
    return int(fields[name][1])


_SEALING = struct.Struct('<QQdII32s')
"""The fields from sequence to digest, written at once."""
_HEAD = slice(_offset(_ENTRY, 'segment'), _offset(_ENTRY, 'head_check'))
_SEAL = slice(_offset(_ENTRY, 'sequence'), _offset(_ENTRY, 'seal_check'))
_BLOCKS = slice(_offset(_ENTRY, 'blocks'), _ENTRY.itemsize)

_log = logging.getLogger(__name__)


@dataclass
class OpenSegment:
    """A segment that is being written; a handle for the store that gave it."""

    segment: int
    stream: str
    begin_ns: int
    language: str
    priority: int
    budget_s: float
    entry: int
    blocks: list[int]
    length: int = 0
    previewed: tuple[int, bytes] = (0, b'')
    """Length and digest of what was shown last."""


@dataclass
class _Kept:
    ticket: Ticket
    entry: int
    blocks: list[int]


class _DamagedError(Exception):
    pass


class SegmentStore:
    """Keeps segments of many streams. Not for more than one thread.

    Attributes:
        damage: what was found damaged and dropped when the store was opened, in words.
    """

    def __init__(
        self, path: Path, size_bytes: int, entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """Open a store, or make it.

        Args:
            path: the file; its directory is made if need be, for this user alone.
            size_bytes: size of a new file. A store that still holds segments keeps its size.
            entropy: gives that many random bytes; makes the identities of a new store its own.

        Raises:
            StoreError: another process has it, or the file cannot be made.
        """
        self.damage: tuple[str, ...] = ()
        self._kept: dict[int, _Kept] = {}
        self._previews: dict[int, _Kept] = {}
        self._by_stream: dict[str, dict[int, int]] = {}
        self._next: dict[str, int] = {}
        self._writing: dict[int, OpenSegment] = {}
        self._lock = _locked(path)
        try:
            self._map_file(path, size_bytes, entropy)
        except BaseException:
            os.close(self._lock)
            raise

    @property
    def room_samples(self) -> int:
        """Samples for which there is room in free blocks."""
        return self._map.free * BLOCK

    def open(
        self, stream: str, begin_ns: int, *,
        language: str = '', priority: int = 0, budget_s: float = 0.0,
    ) -> OpenSegment:
        """Begin a segment, the only open one of its stream.

        Args:
            stream: 1 to 63 bytes of UTF-8.
            begin_ns: ROS time of the first sample [ns].
            language: at most 15 bytes of UTF-8.
            priority: 0 is served first.
            budget_s: see SpeechTicket.msg [s].

        Raises:
            StoreError: the stream has an open one already: the order of what is found after a
                restart is that in which segments were opened.
            StoreFullError: no block is free.
        """
        if any(segment.stream == stream for segment in self._writing.values()):
            raise StoreError(f'stream {stream} has an open segment; seal or discard it first')
        segment = self._prepare(stream, begin_ns, language, priority, budget_s)
        self._state[segment.entry] = _OPEN
        return segment

    def append(self, segment: OpenSegment, samples: npt.NDArray[np.int16]) -> None:
        """Write the next int16[n] of an open segment: all of them or, on an error, none.

        Raises:
            StoreFullError: not enough blocks are free.
            StoreError: the segment would become longer than LONGEST.
        """
        end = segment.length + samples.size
        if end > LONGEST:
            raise StoreError(
                f'segment of {segment.stream}: {end} samples, expected at most {LONGEST}')
        needed = _blocks(end) - len(segment.blocks)
        if needed > self._map.free:
            raise self._full(segment.stream)
        for _ in range(needed):
            block = self._map.take_after(segment.blocks[-1])
            self._entries['blocks'][segment.entry, len(segment.blocks)] = block
            segment.blocks.append(block)
        written = 0
        for piece in self._pieces(segment.blocks, segment.length, end):
            piece[:] = samples[written:written + piece.size]
            written += piece.size
        segment.length = end
        self._length[segment.entry] = end

    def preview(
        self, segment: OpenSegment, length: int, flags: Flag = Flag.PROVISIONAL,
    ) -> Ticket:
        """Show the first ``length`` samples of an open segment under an identity of their own.

        They can be read until the segment is released, or ends without them.
        """
        blocks = segment.blocks[:_blocks(length)]
        segment.previewed = length, self._digest(blocks, length)
        ticket = self._ticket(
            segment, self._new_identity(), length, segment.previewed[1], flags)
        self._previews[ticket.segment] = _Kept(ticket, segment.entry, blocks)
        return ticket

    def seal(
        self, segment: OpenSegment, length: int | None = None, *,
        flags: Flag = Flag.NONE, missing_chunks: int = 0, latency_ms: float = 0.0,
    ) -> Ticket:
        """End a segment after its first ``length`` samples; it is kept until it is released.

        Args:
            segment: handle, which ends with this.
            length: 1 to segment.length; None for all.
            flags: for the ticket.
            missing_chunks: for the ticket.
            latency_ms: ingest_latency_ms for the ticket.
        """
        length = segment.length if length is None else length
        shown, digest = segment.previewed
        if shown != length:
            digest = self._digest(segment.blocks, length)
        ticket = self._ticket(
            segment, segment.segment, length, digest, flags, missing_chunks, latency_ms)
        index = segment.entry
        self._raw[index, _SEAL] = np.frombuffer(_SEALING.pack(
            ticket.sequence, length, latency_ms, flags, missing_chunks, digest), np.uint8)
        self._horizon[index] = ticket.sequence + 1
        self._entries['seal_check'][index] = self._seal_check(index)
        self._state[index] = _SEALED
        self._forget_previews(index, longest=length)
        self._map.give(segment.blocks[_blocks(length):])
        self._writing.pop(index, None)
        self._keep(ticket, index, segment.blocks[:_blocks(length)])
        return ticket

    def split(
        self, segment: OpenSegment, at: int, *,
        flags: Flag = Flag.SPLIT, missing_chunks: int = 0, latency_ms: float = 0.0,
    ) -> tuple[Ticket, OpenSegment]:
        """Seal the first ``at`` samples and go on with the others as a segment of its own.

        Killed in between, the store gives each sample once: the new segment says what it
        continues, and where.

        Raises:
            StoreFullError: no room to copy the others; nothing has changed.
        """
        rest = self._gather(segment.blocks, at, segment.length)
        if _blocks(rest.size) > self._map.free:
            raise self._full(segment.stream)
        begin_ns = segment.begin_ns + at * 1_000_000_000 // SAMPLE_RATE
        following = self._prepare(
            segment.stream, begin_ns, segment.language, segment.priority, segment.budget_s,
            follows=segment.segment, follows_at=at)
        self.append(following, rest)
        self._state[following.entry] = _OPEN
        ticket = self.seal(
            segment, at, flags=flags, missing_chunks=missing_chunks, latency_ms=latency_ms)
        return ticket, following

    def discard(self, segment: OpenSegment) -> None:
        """Forget a segment that is being written."""
        self._forget_previews(segment.entry)
        self._state[segment.entry] = _FREE
        self._map.give(segment.blocks)
        self._writing.pop(segment.entry, None)

    def release(self, segment: int) -> bool:
        """Let go of a sealed segment; views of its samples must not be used any more.

        Returns:
            Whether there was such a segment.
        """
        kept = self._kept.pop(segment, None)
        if kept is None:
            return False
        of_stream = self._by_stream[kept.ticket.stream]
        del of_stream[kept.ticket.sequence]
        if of_stream:
            self._pass_horizon(kept, self._kept[next(iter(of_stream.values()))])
        else:
            del self._by_stream[kept.ticket.stream]
        self._forget_previews(kept.entry)
        self._state[kept.entry] = _FREE
        self._map.give(kept.blocks)
        return True

    def samples(self, segment: int) -> npt.NDArray[np.int16]:
        """Return the int16[n] of a sealed segment or a preview, read-only, valid until released.

        A view of the file where the segment lies in one piece, which is the rule as long as the
        store is not nearly full; otherwise a copy.

        Raises:
            StoreError: no such segment is kept.
        """
        kept = self._find(segment)
        return self._gather(kept.blocks, 0, kept.ticket.length)

    def ticket(self, segment: int) -> Ticket:
        """Return the ticket of a sealed segment or a preview.

        Raises:
            StoreError: no such segment is kept.
        """
        ticket = self._find(segment).ticket
        return ticket if ticket.provisional else self._refreshed(ticket)

    def tickets(self) -> list[Ticket]:
        """List the sealed segments, oldest first."""
        return [self._refreshed(kept.ticket) for kept in self._kept.values()]

    def kept(self, stream: str) -> int:
        """Count the sealed segments of one stream."""
        return len(self._by_stream.get(stream, ()))

    def close(self) -> None:
        """Unmap the file and unlock it; what it holds stays."""
        self._unmap()
        os.close(self._lock)

    # Writing

    def _prepare(
        self, stream: str, begin_ns: int, language: str, priority: int, budget_s: float,
        follows: int = 0, follows_at: int = 0,
    ) -> OpenSegment:
        """Fill an entry but for its state."""
        try:
            first = self._map.take_first(_PER_SEGMENT, self._writing)
        except LookupError:
            raise self._full(stream) from None
        entry = self._entries[first]
        identity = self._new_identity()
        entry['length'] = 0
        entry['horizon'] = 0
        entry['segment'] = identity
        entry['follows'] = follows
        entry['follows_at'] = follows_at
        entry['begin_ns'] = begin_ns
        entry['budget_s'] = budget_s
        entry['priority'] = priority
        entry['stream'] = stream.encode()
        entry['language'] = language.encode()
        entry['head_check'] = zlib.crc32(self._raw[first, _HEAD].data)
        entry['blocks'][0] = first
        segment = OpenSegment(
            identity, stream, begin_ns, language, priority, budget_s, first, [first])
        self._writing[first] = segment
        return segment

    def _new_identity(self) -> int:
        count = int(self._header['count'][0]) + 1
        self._header['count'][0] = count
        return int(self._header['origin'][0]) << 32 | count & _COUNT

    def _ticket(
        self, segment: OpenSegment, identity: int, length: int, digest: bytes, flags: Flag,
        missing_chunks: int = 0, latency_ms: float = 0.0,
    ) -> Ticket:
        """Announce the first ``length`` samples of an open segment as the next of its stream."""
        sequence = self._next.get(segment.stream, 0)
        return Ticket(
            segment=identity, stream=segment.stream, sequence=sequence,
            oldest_kept=next(iter(self._by_stream.get(segment.stream, ())), sequence),
            begin_ns=segment.begin_ns, length=length, digest=digest, language=segment.language,
            priority=segment.priority, flags=flags, missing_chunks=missing_chunks,
            budget_s=segment.budget_s, ingest_latency_ms=latency_ms)

    def _keep(self, ticket: Ticket, index: int, blocks: list[int]) -> None:
        """Note a sealed entry as kept."""
        self._kept[ticket.segment] = _Kept(ticket, index, blocks)
        self._by_stream.setdefault(ticket.stream, {})[ticket.sequence] = ticket.segment
        self._next[ticket.stream] = max(
            self._next.get(ticket.stream, 0), int(self._horizon[index]))

    def _refreshed(self, ticket: Ticket) -> Ticket:
        return dataclasses.replace(
            ticket, oldest_kept=next(iter(self._by_stream[ticket.stream])))

    def _find(self, segment: int) -> _Kept:
        kept = self._kept.get(segment) or self._previews.get(segment)
        if kept is None:
            raise StoreError(
                f'segment {segment:#x} is not kept: it was acknowledged, or never announced')
        return kept

    def _forget_previews(self, entry: int, longest: int = 0) -> None:
        """Forget what was shown of a segment, but for what lies within its final length."""
        stale = [name for name, shown in self._previews.items()
                 if shown.entry == entry and shown.ticket.length > longest]
        for name in stale:
            del self._previews[name]

    def _pass_horizon(self, released: _Kept, heir: _Kept) -> None:
        """Let the oldest kept one remember how far the stream's sequence has come."""
        horizon = self._horizon
        horizon[heir.entry] = max(horizon[heir.entry], horizon[released.entry])

    def _full(self, stream: str) -> StoreFullError:
        return StoreFullError(
            f'segment store full: {len(self._kept)} segments wait for an acknowledgement, no room '
            f'for {stream}; start a worker, or raise store_size')

    # Samples

    def _pieces(
        self, blocks: list[int], begin: int, end: int,
    ) -> Iterator[npt.NDArray[np.int16]]:
        """Give the parts of the file that hold samples begin to end, joined where they touch."""
        at = begin
        while at < end:
            index = at // BLOCK
            last = index
            while (last + 1) * BLOCK < end and blocks[last + 1] == blocks[last] + 1:
                last += 1
            stop = min((last + 1) * BLOCK, end)
            start = blocks[index] * BLOCK + at % BLOCK
            yield self._data[start:start + stop - at]
            at = stop

    def _gather(self, blocks: list[int], begin: int, end: int) -> npt.NDArray[np.int16]:
        pieces = list(self._pieces(blocks, begin, end))
        whole = pieces[0] if len(pieces) == 1 else np.concatenate([*pieces, self._data[:0]])
        whole.flags.writeable = False
        return whole

    def _digest(self, blocks: list[int], length: int) -> bytes:
        digest = hashlib.blake2b(digest_size=32)
        for piece in self._pieces(blocks, 0, length):
            digest.update(piece.data)
        return digest.digest()

    def _seal_check(self, entry: int) -> int:
        raw = self._raw[entry]
        check = zlib.crc32(raw[_HEAD].data)
        check = zlib.crc32(raw[_SEAL].data, check)
        return zlib.crc32(raw[_BLOCKS].data, check)

    # Opening

    def _map_file(
        self, path: Path, size_bytes: int, entropy: Callable[[int], bytes],
    ) -> None:
        blocks = (size_bytes - _PAGE) // (_ENTRY.itemsize + 2 * BLOCK)
        if path.is_symlink() or path.exists():
            fault = _fault(path)
            if fault:
                _move_aside(path, fault)
        if not path.exists():
            _create(path, blocks, int.from_bytes(entropy(4), 'little'), 0)
        self._attach(path)
        self._recover()
        if self._state.size != blocks:
            self._resize(path, blocks)

    def _attach(self, path: Path) -> None:
        try:
            descriptor = open_private(path, os.O_RDWR)
        except OSError as error:
            raise StoreError(
                f'segment store {path} cannot be opened: {error.strerror or error}') from error
        try:
            self._memory = mmap.mmap(descriptor, 0)
        finally:
            os.close(descriptor)
        memory = self._memory
        self._header = np.frombuffer(memory, _HEADER, 1)
        blocks = int(self._header['blocks'][0])
        self._entries: npt.NDArray[Any] = np.frombuffer(memory, _ENTRY, blocks, _PAGE)
        self._raw = np.frombuffer(
            memory, np.uint8, blocks * _ENTRY.itemsize, _PAGE).reshape(blocks, -1)
        self._state = self._entries['state']
        self._length = self._entries['length']
        self._horizon = self._entries['horizon']
        self._data = np.frombuffer(memory, '<i2', blocks * BLOCK, _data_offset(blocks))
        self._map = BlockMap(blocks)

    def _resize(self, path: Path, blocks: int) -> None:
        if self._kept:
            _log.warning(
                'segment store %s keeps its size of %d bytes: %d segments in it wait for an '
                'acknowledgement', path, _size(self._state.size), len(self._kept))
            return
        origin, count = int(self._header['origin'][0]), int(self._header['count'][0])
        self._unmap()
        _create(path, blocks, origin, count)
        self._attach(path)

    def _recover(self) -> None:
        """Find what an earlier process has left: what is sealed first, then what was written."""
        used: list[int] = np.flatnonzero(self._state).tolist()
        used.sort(key=lambda index: (
            self._state[index] != _SEALED, int(self._entries['segment'][index])))
        splits = {
            int(entry['follows']): int(entry['follows_at'])
            for entry in self._entries[used] if entry['follows']}
        self.damage = tuple(
            damage for damage in (self._recover_entry(index, splits) for index in used) if damage)
        # After a loss of power the header may be older than the table.
        counts = [segment & _COUNT for segment in self._kept]
        self._header['count'][0] = max(int(self._header['count'][0]), *counts, 0)

    def _recover_entry(self, index: int, splits: dict[int, int]) -> str:
        """Keep one entry, or free it and say what is wrong with it."""
        try:
            if self._state[index] == _SEALED:
                self._recover_sealed(index)
            else:
                self._recover_open(index, splits)
        except _DamagedError as error:
            self._state[index] = _FREE
            _log.error('segment store: dropped a damaged segment, entry %d: %s', index, error)
            return f'entry {index}: {error}'
        return ''

    def _recover_sealed(self, index: int) -> None:
        entry = self._entries[index]
        if entry['seal_check'] != self._seal_check(index):
            raise _DamagedError('checksum of the entry is wrong')
        length = int(entry['sealed_length'])
        blocks = self._claim(index, length)
        if self._digest(blocks, length) != entry['digest'].tobytes():
            self._map.give(blocks)
            raise _DamagedError('digest of the samples is wrong')
        ticket = self._sealed_ticket(entry)
        if ticket.segment in self._kept or ticket.sequence in self._by_stream.get(
                ticket.stream, ()):
            self._map.give(blocks)
            raise _DamagedError('its identity is that of another segment')
        self._keep(ticket, index, blocks)

    @staticmethod
    def _sealed_ticket(entry: Any) -> Ticket:
        """The ticket of an entry that an earlier life has sealed."""
        return Ticket(
            segment=int(entry['segment']), stream=_text(entry['stream']),
            sequence=int(entry['sequence']), oldest_kept=0, begin_ns=int(entry['begin_ns']),
            length=int(entry['sealed_length']), digest=entry['digest'].tobytes(),
            language=_text(entry['language']), priority=int(entry['priority']),
            flags=Flag(int(entry['flags'])) | Flag.RECOVERED,
            missing_chunks=int(entry['missing']), budget_s=float(entry['budget_s']),
            ingest_latency_ms=float(entry['latency_ms']))

    def _recover_open(self, index: int, splits: dict[int, int]) -> None:
        """Seal what was being written, as it is."""
        entry = self._entries[index]
        if self._state[index] != _OPEN:
            raise _DamagedError(f'state {self._state[index]}')
        if entry['head_check'] != zlib.crc32(self._raw[index, _HEAD].data):
            raise _DamagedError('checksum of the entry is wrong')
        length = int(entry['length'])
        flags = Flag.RECOVERED | Flag.INTERRUPTED
        if int(entry['segment']) in splits:
            length = min(length, splits[int(entry['segment'])])
            flags = Flag.RECOVERED | Flag.SPLIT
        segment = OpenSegment(
            int(entry['segment']), _text(entry['stream']), int(entry['begin_ns']),
            _text(entry['language']), int(entry['priority']), float(entry['budget_s']), index,
            self._claim(index, length), length)
        if length:
            self.seal(segment, flags=flags)
        else:
            self.discard(segment)

    def _claim(self, index: int, length: int) -> list[int]:
        """Take the blocks of an entry that was found."""
        if length > LONGEST:
            raise _DamagedError(f'{length} samples')
        blocks: list[int] = self._entries['blocks'][index, :_blocks(length)].tolist()
        taken: list[int] = []
        for block in blocks:
            if block >= self._state.size or not self._map.take(block):
                self._map.give(taken)
                raise _DamagedError(f'block {block} does not exist or is of another segment')
            taken.append(block)
        return taken

    def _unmap(self) -> None:
        for name in ('_entries', '_state', '_length', '_horizon', '_raw', '_data', '_header'):
            delattr(self, name)
        # A view that somebody still holds keeps the mapping alive until it is let go.
        with contextlib.suppress(BufferError):
            self._memory.close()


def _text(field: bytes) -> str:
    try:
        return field.decode()
    except UnicodeDecodeError:
        raise _DamagedError(f'the name {field!r} is not UTF-8') from None


def _blocks(length: int) -> int:
    """Return how many blocks hold that many samples; a segment has at least one."""
    return max(1, -(-length // BLOCK))


def _data_offset(blocks: int) -> int:
    table = _PAGE + blocks * _ENTRY.itemsize
    return -(-table // _PAGE) * _PAGE


def _size(blocks: int) -> int:
    return _data_offset(blocks) + blocks * BLOCK * 2


def _locked(path: Path) -> int:
    """Make the directory, and lock the store for this process; returns the lock's descriptor.

    The kernel gives the lock back however the process ends.
    """
    try:
        make_private(path.parent)
        lock = open_private(path.with_name(path.name + '.lock'), os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise StoreError(
            f'segment store {path} cannot be made ({error.strerror or error}): choose another '
            f'store_directory') from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise StoreError(
            f'segment store {path} is used by another process: end the other ingest, or give this '
            f'one a store_directory of its own') from error
    return lock


def _fault(path: Path) -> str:
    """Say what is wrong with an existing file, empty for nothing."""
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            return 'is a directory' if stat.S_ISDIR(found.st_mode) else 'is no regular file'
        with os.fdopen(open_private(path, os.O_RDONLY), 'rb') as file:
            page = file.read(_PAGE)
    except OSError as error:
        raise StoreError(
            f'segment store {path} cannot be read: {error.strerror or error}') from error
    if len(page) < _PAGE or page[:len(_MAGIC)] != _MAGIC:
        return 'is no segment store'
    header = np.frombuffer(page, _HEADER, 1)[0]
    if header['format'] != _FORMAT or header['block'] != BLOCK:
        return f'has format {header["format"]}, expected {_FORMAT}'
    if header['check'] != _header_check(header):
        return 'has a damaged header'
    expected = _size(int(header['blocks']))
    if path.stat().st_size != expected:
        return f'has {path.stat().st_size} bytes, expected {expected}'
    return ''


def _move_aside(path: Path, fault: str) -> None:
    """Keep what is in the way under another name; only the newest, so that no disk fills up."""
    aside = path.with_name(path.name + '.aside')
    try:
        path.replace(aside)
    except OSError as error:
        raise StoreError(
            f'segment store {path} {fault}, and cannot be moved to {aside} ({error.strerror}): '
            f'move it away') from error
    _log.warning('segment store %s %s; moved to %s, begun anew', path, fault, aside)


def _header_check(header: Any) -> int:
    return zlib.crc32(header.tobytes()[:_offset(_HEADER, 'check')])


def _create(path: Path, blocks: int, origin: int, count: int) -> None:
    """Make an empty store under another name, then give it its name in one step.

    Every block is allocated now: a full disk must not show as a SIGBUS later.
    """
    if blocks < 2 * _PER_SEGMENT:
        raise StoreError(
            f'segment store {path}: {_size(max(blocks, 0))} bytes are too few, expected at least '
            f'{_size(2 * _PER_SEGMENT)}; raise store_size')
    header = np.zeros(1, _HEADER)[0]
    header['magic'], header['format'], header['block'] = _MAGIC, _FORMAT, BLOCK
    header['blocks'], header['origin'], header['count'] = blocks, origin, count
    header['check'] = _header_check(header)
    fresh = path.with_name(path.name + '.new')
    try:
        fresh.unlink(missing_ok=True)
        descriptor = open_private(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        try:
            os.posix_fallocate(descriptor, 0, _size(blocks))
            os.pwrite(descriptor, header.tobytes(), 0)
        finally:
            os.close(descriptor)
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise StoreError(
            f'segment store {path}: no room for {_size(blocks)} bytes, or not writable '
            f'({error.strerror}); lower store_size or choose another store_directory') from error
