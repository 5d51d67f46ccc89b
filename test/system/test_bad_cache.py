"""A cache directory that is no good, under a whole graph: told, and every utterance answered.

Root may write anywhere, so that a read-only directory is stood in for by a file in the place of
the directory, and a full disk by a limit on the size of the process's files: SQLite and the node
meet an error of the system's in the same places. test_cache_tiers.py has the cases in full.
"""

from __future__ import annotations

import resource

import pytest
from talking import as_chunks, conversation, utterance

DOMAIN = 56
NAMESPACE = '/bad_cache'
GARBAGE = b'this is not a database' * 500


@pytest.fixture
def home(tmp_path):
    (tmp_path / 'cache').mkdir(mode=0o700)
    return tmp_path


def talking(home):
    """A graph; a loaded machine is to make no miss of a hit."""
    return conversation(home, DOMAIN, NAMESPACE, 'scheduler.cache_timeout=5.0')


def answers_from_memory(talk):
    again = talk.ask()
    assert (again.text, again.cache) == (talk.text, 'l1')


def test_a_damaged_directory_is_moved_aside_and_begun_anew(home):
    database = home / 'cache' / 'l3' / 'cache.db'
    database.parent.mkdir()
    database.write_bytes(GARBAGE)
    with talking(home) as talk:
        talk.said('the cache on disk is damaged', f'moved aside to {database.parent}.damaged')
        answers_from_memory(talk)
    assert database.read_bytes().startswith(b'SQLite format 3')
    assert (home / 'cache' / 'l3.damaged' / 'cache.db').read_bytes() == GARBAGE


def test_a_directory_that_cannot_be_used_leaves_the_levels_in_memory(home):
    place = home / 'cache' / 'l3'
    place.write_text('something else')
    with talking(home) as talk:
        talk.said('nothing is cached on disk', 'File exists')
        answers_from_memory(talk)
    assert place.read_text() == 'something else'


def test_a_full_disk_leaves_the_levels_in_memory(home):
    with talking(home) as talk:
        resource.prlimit(talk.graph.pids['cache'], resource.RLIMIT_FSIZE, (4096, 4096))
        talk.publish(as_chunks('quieter', utterance() // 2))
        (quieter,) = talk.until(lambda: talk.of('quieter'), 'an answer')
        assert quieter.cache == 'none'
        talk.said(f'the cache on disk, {home / "cache" / "l3"}, is off',
                  'values are kept in memory alone')
        answers_from_memory(talk)
