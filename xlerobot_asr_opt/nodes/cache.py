"""The cache node: answers that were given before, by the digest of what they answer."""

from __future__ import annotations

import dataclasses
import sys
import threading
import time
from pathlib import Path

from xlerobot_asr_interfaces import srv
from xlerobot_asr_opt.core.cache import CacheTiers
from xlerobot_asr_opt.errors import AsrError
from xlerobot_asr_opt.models.paths import cache_root, private_directory
from xlerobot_asr_opt.parameters import CacheParameters
from xlerobot_asr_opt.ros import names
from xlerobot_asr_opt.ros.managed import ManagedNode
from xlerobot_asr_opt.ros.run import run
from xlerobot_asr_opt.ros.timers import steady_timer

EXPIRY_PERIOD_S = 10.0


class CacheNode(ManagedNode):
    """Serves cache/lookup, cache/store, cache/statistics and cache/trim, while it is active.

    A thread of its own writes to disk, so that a lookup never waits for that.
    """

    def __init__(self) -> None:
        super().__init__('cache', CacheParameters)
        self._tiers: CacheTiers | None = None
        self._dirty = threading.Event()
        self._closing = False
        self._writer: threading.Thread | None = None
        self._serving = []
        steady_timer(self, EXPIRY_PERIOD_S, self._expire)

    def configure(self) -> None:
        """Open the levels; a third one that cannot be used is left out, and said."""
        own = self.parameters.directory
        directory = private_directory(Path(own)) if own else cache_root() / 'transcripts'
        self._tiers = CacheTiers(
            self.parameters, directory, clock=time.time, wake=self._dirty.set)
        if self._tiers.disk_fault:
            self.get_logger().warning(f'nothing is cached on disk: {self._tiers.disk_fault}')
        self._closing = False
        self._writer = threading.Thread(target=self._write, name='writer', daemon=True)
        self._writer.start()

    def activate(self) -> None:
        """Serve."""
        self._serving = [
            self.create_service(srv.CacheLookup, names.CACHE_LOOKUP, self._look_up),
            self.create_service(srv.CacheStore, names.CACHE_STORE, self._store),
            self.create_service(srv.CacheStatistics, names.CACHE_STATISTICS, self._count),
            self.create_service(srv.CacheTrim, names.CACHE_TRIM, self._trim),
        ]

    def deactivate(self) -> None:
        """Stop serving; the scheduler goes on without."""
        for service in self._serving:
            self.destroy_service(service)
        self._serving = []

    def cleanup(self) -> None:
        """Write what waits, and close."""
        self.deactivate()
        if self._writer is not None:
            self._closing = True
            self._dirty.set()
            self._writer.join()
            self._writer = None
        if self._tiers is not None:
            self._tiers.close()
            self._tiers = None

    def release(self) -> None:
        """Empty the levels in memory; what they hold is on disk as well."""
        if self._tiers is not None:
            self._tiers.trim(0.0, disk=False)

    def _write(self) -> None:
        while not self._closing:
            self._dirty.wait()
            self._dirty.clear()
            self._tiers.drain()

    def _expire(self) -> None:
        if self._tiers is not None:
            self._tiers.expire()

    def _look_up(
        self, request: srv.CacheLookup.Request, response: srv.CacheLookup.Response,
    ) -> srv.CacheLookup.Response:
        hit = self._tiers.get(request.key.tobytes())
        if hit is not None:
            response.hit, response.level, response.value = True, hit.level, hit.value
        return response

    def _store(
        self, request: srv.CacheStore.Request, response: srv.CacheStore.Response,
    ) -> srv.CacheStore.Response:
        try:
            self._tiers.put(request.key.tobytes(), request.value)
        except AsrError as error:
            response.message = str(error)
            self.get_logger().warning(f'not stored: {error}')
        else:
            response.stored = True
        return response

    def _count(
        self, request: srv.CacheStatistics.Request, response: srv.CacheStatistics.Response,
    ) -> srv.CacheStatistics.Response:
        statistics = self._tiers.statistics()
        for field in dataclasses.fields(statistics):
            setattr(response, field.name, getattr(statistics, field.name))
        return response

    def _trim(
        self, request: srv.CacheTrim.Request, response: srv.CacheTrim.Response,
    ) -> srv.CacheTrim.Response:
        try:
            response.removed = self._tiers.trim(request.keep, disk=request.disk)
        except AsrError as error:
            response.message = str(error)
        return response


def main() -> int:
    """Run the node as a process."""
    return run(CacheNode)


if __name__ == '__main__':
    sys.exit(main())
