"""Worker processes leave interrupts to their parent."""

import os
import signal

from bertworks.workers import start_pool


def test_workers_have_interrupts_blocked_and_the_parent_has_not() -> None:
    with start_pool(2) as pool:
        blocked = pool.submit(signal.pthread_sigmask, signal.SIG_BLOCK, ()).result()
        assert pool.submit(os.getppid).result() == os.getpid()
    assert signal.SIGINT in blocked
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
