"""The transcripts that a bag carries, with the time at which they were recorded."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from rosbags.interfaces import MessageDefinitionFormat
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from xlerobot_asr_opt.errors import SourceError
from xlerobot_asr_opt.sources.bag import DAMAGE, BagTopic, listing, open_bag, reason
from xlerobot_asr_opt.sources.definitions import PACKAGE, definitions_directory, typestore
from xlerobot_asr_opt.sources.messages import read_transcript

if TYPE_CHECKING:
    from rosbags.interfaces import Connection
    from rosbags.typesys.store import Typestore

    from xlerobot_asr_opt.records import Transcript

__all__ = ['TRANSCRIPT_TYPE', 'read_transcripts']

TRANSCRIPT_TYPE = f'{PACKAGE}/msg/Transcript'


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
        except (*DAMAGE, SerdeError, AttributeError) as error:
            raise SourceError(f'{path}: a transcript cannot be read: {reason(error)}') from error


def _types(connection: Connection) -> Typestore:
    """The definitions that the bag brings, which its bytes were written by, else ours."""
    if connection.msgdef.format is not MessageDefinitionFormat.MSG:
        return typestore(definitions_directory())
    store = get_typestore(Stores.ROS2_JAZZY)
    own = get_types_from_msg(connection.msgdef.data, connection.msgtype)
    store.register({name: kind for name, kind in own.items() if name.startswith(PACKAGE)})
    return store
