"""The cache node: answers that were given before, by the digest of what they answer."""

from __future__ import annotations

import dataclasses
import json
import sys

from std_srvs.srv import Trigger

from xlerobot_asr_interfaces import srv
from xlerobot_asr_opt.cache_system import MultiLevelCacheSystem
from xlerobot_asr_opt.errors import AsrError
from xlerobot_asr_opt.parameters import CacheParameters
from xlerobot_asr_opt.ros import names
from xlerobot_asr_opt.ros.limiting import limited
from xlerobot_asr_opt.ros.managed import ManagedNode
from xlerobot_asr_opt.ros.run import run


class CacheNode(ManagedNode):
    """Serves cache/lookup, store, statistics, trim and patterns, while it is active."""

    def __init__(self) -> None:
        super().__init__('cache', CacheParameters)
        self._cache: MultiLevelCacheSystem | None = None
        self._serving = []

    def configure(self) -> None:
        """Open the levels; a third one that cannot be used is left out, and said."""
        self._cache = MultiLevelCacheSystem(self.parameters)
        if self._cache.disk_fault:
            self.get_logger().warning(f'nothing is cached on disk: {self._cache.disk_fault}')

    def activate(self) -> None:
        """Serve, and bring what was asked for most from disk into memory meanwhile."""
        self._serving = [
            self.create_service(srv.CacheLookup, names.CACHE_LOOKUP, self._look_up),
            self.create_service(
                srv.CacheStore, names.CACHE_STORE,
                limited(self.limits, names.CACHE_STORE, self._store)),
            self.create_service(srv.CacheStatistics, names.CACHE_STATISTICS, self._count),
            self.create_service(
                srv.CacheTrim, names.CACHE_TRIM,
                limited(self.limits, names.CACHE_TRIM, self._trim)),
            self.create_service(
                Trigger, names.CACHE_PATTERNS,
                limited(self.limits, names.CACHE_PATTERNS, self._analyse)),
        ]
        self._cache.preload_soon()

    def deactivate(self) -> None:
        """Stop serving; the scheduler goes on without."""
        for service in self._serving:
            self.destroy_service(service)
        self._serving = []

    def cleanup(self) -> None:
        """Write what waits, and close."""
        self.deactivate()
        if self._cache is not None:
            self._cache.close()
            self._cache = None

    def release(self) -> None:
        """Empty the levels in memory; what they hold is on disk as well."""
        if self._cache is not None:
            self._cache.trim(0.0, disk=False)

    def _look_up(
        self, request: srv.CacheLookup.Request, response: srv.CacheLookup.Response,
    ) -> srv.CacheLookup.Response:
        refusal = self.limits.refusal(names.CACHE_LOOKUP)
        if refusal:  # for the scheduler it is a miss
            self.get_logger().warning(refusal, throttle_duration_sec=1.0)
            return response
        hit = self._cache.look_up(request.key.tobytes())
        if hit is not None:
            response.hit, response.level, response.value = True, hit.level, hit.value
        return response

    def _store(
        self, request: srv.CacheStore.Request, response: srv.CacheStore.Response,
    ) -> srv.CacheStore.Response:
        try:
            self._cache.store(request.key.tobytes(), request.value)
        except AsrError as error:
            response.message = str(error)
            self.get_logger().warning(f'not stored: {error}')
        else:
            response.stored = True
        return response

    def _count(
        self, request: srv.CacheStatistics.Request, response: srv.CacheStatistics.Response,
    ) -> srv.CacheStatistics.Response:
        statistics = self._cache.statistics()
        for field in dataclasses.fields(statistics):
            setattr(response, field.name, getattr(statistics, field.name))
        return response

    def _trim(
        self, request: srv.CacheTrim.Request, response: srv.CacheTrim.Response,
    ) -> srv.CacheTrim.Response:
        try:
            response.removed = self._cache.trim(request.keep, disk=request.disk)
        except AsrError as error:
            response.message = str(error)
        return response

    def _analyse(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.message = json.dumps(self._cache.analyze_access_patterns())
        response.success = True
        return response


def main() -> int:
    """Run the node as a process."""
    return run(CacheNode)


if __name__ == '__main__':
    sys.exit(main())
