"""The transcripts that a bag carries, with the time at which they were recorded."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from rosbags.interfaces import MessageDefinitionFormat
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, TypesysError, get_types_from_msg, get_typestore

from xlerobot_asr_opt.errors import SourceError
from xlerobot_asr_opt.sources.bag import DAMAGE, BagTopic, listing, open_bag, reason
from xlerobot_asr_opt.sources.definitions import PACKAGE, definitions_directory, typestore
from xlerobot_asr_opt.sources.messages import read_transcript

if TYPE_CHECKING:
    from rosbags.interfaces import Connection
    from rosbags.interfaces.typing import Typesdict
    from rosbags.typesys.store import Typestore

    from xlerobot_asr_opt.records import Transcript

__all__ = ['TRANSCRIPT_TYPE', 'read_transcripts']

TRANSCRIPT_TYPE = f'{PACKAGE}/msg/Transcript'
LONGEST_DEFINITION = 100_000
"""Characters of the definitions that a bag brings; ours have some thousands."""
LONGEST_ARRAY = 1000
"""Of a field of a fixed size."""

_TYPE = re.compile(rf'{PACKAGE}/msg/[A-Za-z][A-Za-z0-9_]*')
_NUMBER = re.compile(r'\b[0-9]{1,18}\b')


def read_transcripts(path: Path | str) -> list[tuple[int, Transcript]]:
    """Read every transcript of a bag.

    Returns:
        When it was recorded [ns], and what it says; in the order of that time.

    Raises:
        SourceError: no bag, a damaged one, or one without transcripts.
    """
    path = Path(path)
    with contextlib.closing(open_bag(path)) as reader:
        wanted = [item for item in reader.connections if item.msgtype == TRANSCRIPT_TYPE]
        if not sum(item.msgcount for item in wanted):
            topics = [BagTopic(item.topic, item.msgtype, item.msgcount)
                      for item in reader.connections]
            raise SourceError(
                f'{path}: no message of type {TRANSCRIPT_TYPE}; {listing(topics)}; record a '
                'running graph with `xlerobot-asr record -o BAG`, or measure this audio with '
                f'`xlerobot-asr validate {path}`')
        try:
            stores = {item.id: _types(item) for item in wanted}
            return [(time_ns, read_transcript(stores[item.id].deserialize_cdr(data, item.msgtype)))
                    for item, time_ns, data in reader.messages(connections=wanted)]
        except (*DAMAGE, SerdeError, TypesysError, AttributeError, RecursionError) as error:
            raise SourceError(f'{path}: a transcript cannot be read: {reason(error)}') from error


def _types(connection: Connection) -> Typestore:
    """The definitions that the bag brings, which its bytes were written by, else ours."""
    if connection.msgdef.format is not MessageDefinitionFormat.MSG:
        return typestore(definitions_directory())
    if len(connection.msgdef.data) > LONGEST_DEFINITION:
        raise ValueError(f'its definitions have {len(connection.msgdef.data)} characters, '
                         f'expected at most {LONGEST_DEFINITION}')
    store = get_typestore(Stores.ROS2_JAZZY)
    own = get_types_from_msg(connection.msgdef.data, connection.msgtype)
    ours = {name: kind for name, kind in own.items() if name.startswith(PACKAGE)}
    _check_names(ours)
    store.register(ours)
    return store


def _check_names(types: Typesdict) -> None:
    """Let nothing but names and short arrays through: the library makes code of them.

    Raises:
        ValueError: something else.
    """
    for name, (constants, fields) in types.items():
        names = [*(constant[0] for constant in constants), *(field[0] for field in fields)]
        if not _TYPE.fullmatch(name) or not all(map(str.isidentifier, names)):
            raise ValueError(f'its definition of {name!r} has names that are none')
        sizes = [one for one in _NUMBER.findall(repr(fields)) if int(one) > LONGEST_ARRAY]
        if sizes:
            raise ValueError(f'its definition of {name} has an array of {sizes[0]}, expected at '
                             f'most {LONGEST_ARRAY}')
