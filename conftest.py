"""Settings of the test-suite itself. The plugin comes by its entry point and must not be named here."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

# Deadlines measure the machine, not the code. CI draws fresh examples every time: any seed must pass, and one
# that does not is printed as a blob to be replayed.
settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, database=None, derandomize=False, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

# A job started in the background ignores Ctrl-C, and so would every process that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
