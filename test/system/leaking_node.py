"""A managed node that leaks while it is active, for tests of those that watch its memory.

What it can drop when it is asked to release memory is a small part of it.
"""

import sys

from xlerobot_asr_opt.parameters import CacheParameters
from xlerobot_asr_opt.ros.managed import ManagedNode
from xlerobot_asr_opt.ros.run import run
from xlerobot_asr_opt.ros.timers import steady_timer

PERIOD_S = 0.05
LEAK_BYTES = 500_000
CACHED_BYTES = 20_000_000


class LeakingNode(ManagedNode):
    def __init__(self):
        super().__init__('leaking', CacheParameters)
        self._cached = b''
        self._leaked = []
        steady_timer(self, PERIOD_S, self._leak)

    def configure(self):
        self._cached = b'x' * CACHED_BYTES

    def release(self):
        self._cached = b''

    def _leak(self):
        if self.is_active:
            self._leaked.append(b'x' * LEAK_BYTES)


if __name__ == '__main__':
    sys.exit(run(LeakingNode))
