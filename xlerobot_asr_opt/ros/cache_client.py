"""Asks the cache node without waiting for it."""

from __future__ import annotations

import collections
import functools
import time
from collections.abc import Callable

import numpy as np
from rclpy.client import Client
from rclpy.node import Node
from rclpy.task import Future

from xlerobot_asr_interfaces import srv
from xlerobot_asr_opt.ros import names

__all__ = ['CacheClient']

FORGOTTEN_AFTER_S = 5.0
"""A request without an answer for this long: its cache node died, and rclpy would keep it."""


class CacheClient:
    """Requests to cache/lookup and cache/store; none of them blocks."""

    def __init__(self, node: Node) -> None:
        """Make the clients of the two services on node."""
        self._lookups = node.create_client(srv.CacheLookup, names.CACHE_LOOKUP)
        self._stores = node.create_client(srv.CacheStore, names.CACHE_STORE)
        self._pending: collections.deque[tuple[float, Client, Future]] = collections.deque()

    def look_up(self, key: bytes, answer: Callable[[str | None, str], None]) -> None:
        """Ask for a value; answer(value, level) is called with None for a miss.

        Where no cache runs, that is at once; where it dies with the request, never.
        """
        if not self._lookups.service_is_ready():
            answer(None, '')
            return
        request = srv.CacheLookup.Request(key=np.frombuffer(key, np.uint8))
        self._ask(self._lookups, request, functools.partial(_tell, answer))

    def store(self, key: bytes, value: str) -> None:
        """Hand over a value; the cache node says itself what it could not keep."""
        if self._stores.service_is_ready():
            request = srv.CacheStore.Request(key=np.frombuffer(key, np.uint8), value=value)
            self._ask(self._stores, request, None)

    def _ask(self, client: Client, request: object, done: Callable[[Future], None] | None) -> None:
        now = time.monotonic()
        while self._pending and (
                self._pending[0][2].done() or now - self._pending[0][0] > FORGOTTEN_AFTER_S):
            _, asked, future = self._pending.popleft()
            asked.remove_pending_request(future)
        future = client.call_async(request)
        if done is not None:
            future.add_done_callback(done)
        self._pending.append((now, client, future))


def _tell(answer: Callable[[str | None, str], None], future: Future) -> None:
    response = future.result()
    answer(response.value if response.hit else None, response.level)
