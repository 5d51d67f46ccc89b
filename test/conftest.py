"""What holds for every test."""

import os

from hypothesis import settings

# The same code gives the same result. HYPOTHESIS_PROFILE=search looks for new examples each time.
settings.register_profile('same', derandomize=True)
settings.register_profile('search', derandomize=False)
settings.load_profile(os.environ.get('HYPOTHESIS_PROFILE', 'same'))
