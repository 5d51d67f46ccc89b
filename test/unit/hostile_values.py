"""Bytes that mean harm, for the targets of hostile_targets.py: how they are drawn and spoiled."""

from __future__ import annotations

import json
import struct

from hypothesis import strategies as st

NASTY_TEXTS = (
    '', '..', '.', '/etc/passwd', '../../../etc/passwd', 'a/b', '\0', 'a\0b', '\ud800', '\ufffd',
    '\u202e', 'nan', 'inf', '1e999', 'x' * 5000, '~', '$HOME', '%s%n', '{0}', '\r\n')
NASTY_NUMBERS = (
    0, -1, 1, 2**31, 2**32 - 1, 2**63, -2**63 - 1, 2**64, 10**400, 0.0, -0.0, 1e308, -1e308,
    5e-324, float('nan'), float('inf'), float('-inf'))
NASTY_TOKENS = (
    b'&a ', b'*a', b'<<: *a', b'!!python/object/apply:os.system ', b'!!binary ', b'? ', b'- ',
    b': ', b'|\n', b'---\n', b'...\n', b'%YAML 9.9\n', b'[' * 600, b'{"a":' * 600, b'9' * 5000,
    b'\xff\xfe', b'\xef\xbb\xbf', b'\xed\xa0\x80', b'1e999', b'2020-13-45', b'0x', b'NaN',
    b'\\ud800', b'../../etc/passwd', b'\0' * 9, b'\xff' * 9)

scalars = st.one_of(
    st.none(), st.booleans(), st.sampled_from(NASTY_NUMBERS), st.sampled_from(NASTY_TEXTS),
    st.integers(), st.floats(), st.text(max_size=20))
values = st.recursive(
    scalars, lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(max_size=8), inner, max_size=4)), max_leaves=8)


def binary(*seeds: bytes) -> st.SearchStrategy[bytes]:
    """Seeds that are flipped, cut, stretched and joined, and bytes of no kind at all."""
    edit = st.tuples(
        st.integers(0, 1 << 20), st.sampled_from(('set', 'insert', 'cut', 'number')),
        st.one_of(st.binary(min_size=1, max_size=8), st.sampled_from(NASTY_TOKENS)))
    spoiled = st.builds(_edited, st.sampled_from(seeds), st.lists(edit, min_size=1, max_size=6))
    return st.one_of(st.binary(max_size=300), spoiled, spoiled, spoiled)


def documents(*seeds: object) -> st.SearchStrategy[bytes]:
    """JSON documents with some of their values replaced, doubled or taken away."""
    change = st.tuples(
        st.lists(st.integers(0, 1 << 16), min_size=1, max_size=8),
        st.sampled_from(('replace', 'replace', 'remove', 'add')), values)
    changed = st.builds(_changed, st.sampled_from([json.dumps(seed) for seed in seeds]),
                        st.lists(change, min_size=1, max_size=4))
    texts = [json.dumps(seed).encode() for seed in seeds]
    return st.one_of(changed, changed, changed, st.builds(_dumped, values), binary(*texts))


def _edited(seed: bytes, edits: list[tuple[int, str, bytes]]) -> bytes:
    data = bytearray(seed)
    for number, kind, piece in edits:
        at = number % (len(data) + 1)
        if kind == 'set':
            data[at:at + len(piece)] = piece
        elif kind == 'insert':
            data[at:at] = piece
        elif kind == 'cut':
            del data[at:at + 1 + number % 97]
        else:
            data[at:at + 4] = struct.pack('<I', (0, 1, 2**31, 2**32 - 1)[number % 4])
    return bytes(data)


def _changed(text: str, changes: list[tuple[list[int], str, object]]) -> bytes:
    document = json.loads(text)
    for steps, kind, value in changes:
        parent, key, node = None, None, document
        for step in steps:
            if not isinstance(node, (dict, list)) or not node:
                break
            parent = node
            key = list(node)[step % len(node)] if isinstance(node, dict) else step % len(node)
            node = node[key]
        if parent is None:
            document = value
        elif kind == 'remove':
            del parent[key]
        elif kind == 'add' and isinstance(parent, list):
            parent.append(value)
        elif kind == 'add':
            parent[str(value)[:20]] = value
        else:
            parent[key] = value
    return _dumped(document)


def _dumped(value: object) -> bytes:
    return json.dumps(value).encode()


class Script:
    """Reads what a target is to do from bytes; behind their end there are zeros.

    Attributes:
        left: how many bytes were not read.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return max(0, len(self._data) - self._at)

    def take(self, size: int) -> bytes:
        piece = self._data[self._at:self._at + size]
        self._at += size
        return piece + bytes(size - len(piece))

    def number(self, size: int = 1) -> int:
        return int.from_bytes(self.take(size), 'little')

    def pick(self, choices: tuple) -> object:
        return choices[self.number() % len(choices)]

    def float32(self) -> float:
        return struct.unpack('<f', self.take(4))[0]
