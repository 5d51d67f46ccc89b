"""The cache node: its services, and what becomes of them with its state and its directory."""

import json
import math

import numpy as np
import pytest
from std_srvs.srv import Trigger

from xlerobot_asr_interfaces import srv
from xlerobot_asr_opt.core.lifecycle import State, Transition
from xlerobot_asr_opt.nodes.cache import CacheNode
from xlerobot_asr_opt.ros import names

DOMAIN = 43
KEY, OTHER_KEY = (np.full(32, byte, np.uint8) for byte in (1, 2))
VALUE = '{"text": "go to the kitchen"}'


@pytest.fixture
def world(open_world, tmp_path):
    """A cache node that has not been configured."""
    world = open_world(directory=str(tmp_path / 'cache'))
    world.start(CacheNode)
    return world


@pytest.fixture
def active(world):
    world.bring_up()
    return world


def store(world, key=KEY, value=VALUE):
    return world.call(srv.CacheStore, names.CACHE_STORE, key=key, value=value)


def look_up(world, key=KEY):
    found = world.call(srv.CacheLookup, names.CACHE_LOOKUP, key=key)
    return found.hit, found.level, found.value


def trim(world, keep=0.0, *, disk):
    return world.call(srv.CacheTrim, names.CACHE_TRIM, keep=keep, disk=disk)


def statistics(world):
    return world.call(srv.CacheStatistics, names.CACHE_STATISTICS)


def test_what_was_stored_is_found_under_its_key_alone(active):
    assert store(active).stored
    assert look_up(active) == (True, 'l1', VALUE)
    assert look_up(active, OTHER_KEY) == (False, '', '')


def test_statistics_count_what_was_asked(active):
    assert math.isnan(statistics(active).hit_rate)
    store(active)
    for key in (KEY, KEY, KEY, OTHER_KEY):
        look_up(active, key)
    counted = statistics(active)
    assert list(counted.hits) == [3, 0, 0]
    assert (counted.misses, counted.stores) == (1, 1)
    assert list(counted.entries)[:2] == [1, 0]
    assert counted.hit_rate == 0.75


def test_a_value_that_is_too_long_is_refused_with_the_reason(active):
    refused = store(active, value='x' * (2 << 20))
    assert not refused.stored
    assert 'expected at most 1048576' in refused.message
    assert look_up(active) == (False, '', '')


def test_trimming_memory_leaves_the_disk(active):
    store(active)
    assert trim(active, disk=False).removed == 1
    assert look_up(active) == (True, 'l3', VALUE)


def test_trimming_everything_leaves_nothing(active):
    store(active)
    assert trim(active, disk=True).removed >= 1
    assert look_up(active) == (False, '', '')


def test_trimming_to_an_impossible_share_removes_nothing_and_says_why(active):
    store(active)
    answer = trim(active, keep=1.5, disk=True)
    assert answer.removed == 0
    assert 'keep: got 1.5, expected 0 to 1' in answer.message
    assert look_up(active) == (True, 'l1', VALUE)


def test_releasing_memory_loses_nothing(active):
    store(active)
    released = active.call(srv.ReleaseMemory, 'cache/release_memory')
    assert released.before > 0
    assert released.after > 0
    assert look_up(active) == (True, 'l3', VALUE)


def test_what_was_stored_outlives_the_node(active):
    store(active)
    active.stop()
    active.start(CacheNode)
    active.bring_up()
    assert look_up(active) == (True, 'l3', VALUE)


def test_what_was_asked_for_is_in_memory_after_a_restart(active):
    store(active)
    look_up(active)
    active.stop()
    active.start(CacheNode)
    active.bring_up()
    active.spin_until(lambda: statistics(active).entries[0] == 1, 'the value in l1')
    assert look_up(active) == (True, 'l1', VALUE)


def test_patterns_tell_what_was_asked_for(active):
    for _ in range(3):
        look_up(active)
    answer = active.call(Trigger, names.CACHE_PATTERNS)
    assert answer.success
    found = json.loads(answer.message)
    assert (found['lookups'], found['distinct_keys']) == (3, 1)
    assert found['hottest'] == [[KEY.tobytes().hex(), 3]]


def test_an_inactive_node_does_not_serve_and_keeps_what_it_has(active):
    store(active)
    assert active.transit(Transition.DEACTIVATE)
    active.spin_until(
        lambda: not active.has_service(srv.CacheLookup, names.CACHE_LOOKUP), 'no service')
    assert active.transit(Transition.ACTIVATE)
    assert look_up(active) == (True, 'l1', VALUE)


def test_a_node_that_is_cleaned_up_reads_its_directory_again(active):
    store(active)
    assert active.transit(Transition.DEACTIVATE, Transition.CLEANUP)
    active.bring_up()
    assert look_up(active) == (True, 'l3', VALUE)


def test_a_damaged_directory_begins_anew(world, tmp_path):
    directory = tmp_path / 'cache'
    directory.mkdir(mode=0o700)
    (directory / 'cache.db').write_bytes(b'no database at all' * 1000)
    world.bring_up()
    assert look_up(world) == (False, '', '')
    assert store(world).stored
    trim(world, disk=False)
    assert look_up(world) == (True, 'l3', VALUE)


def test_a_file_in_the_place_of_the_directory_fails_and_is_tried_again(world, tmp_path, capfd):
    (tmp_path / 'cache').write_text('in the way')
    assert not world.transit(Transition.CONFIGURE)
    assert world.node.state is State.UNCONFIGURED
    assert f'cannot make the directory {tmp_path / "cache"}' in capfd.readouterr().err
    (tmp_path / 'cache').unlink()
    world.bring_up()
    assert store(world).stored
