"""For all tests: one thread each, and no time limits."""

import os

# Before torch is imported: tests run side by side, and small models gain nothing from more threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import settings

settings.register_profile("bertworks", deadline=None)  # machines are busy; a slow example is not a wrong one
settings.load_profile("bertworks")
