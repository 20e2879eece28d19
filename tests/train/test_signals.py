"""What signals do to a process: the first is noted, a second one ends it at once."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from bertworks.train import signals

PROGRAM = """
import os, signal, time
from bertworks.train import signals
signals.TOGETHER = 0.0
listening = signals.Listening()
with listening.here():
    os.kill(os.getpid(), signal.{first})
    print(signal.Signals(listening.number).name, flush=True)
    time.sleep(0.01)
    os.kill(os.getpid(), signal.{second})
    print("still here")
"""


@pytest.mark.parametrize("second", ["SIGTERM", "SIGINT", "SIGUSR1"])
def test_a_second_signal_leaves_at_once(second: str) -> None:
    program = PROGRAM.format(first="SIGUSR1", second=second)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "SIGUSR1\n"
    assert done.returncode == -getattr(signal, second)


def test_outside_of_training_a_request_for_a_requeue_is_granted_at_once() -> None:
    with pytest.raises(signals.Stopped) as stop, signals.requeued_at_once():
        os.kill(os.getpid(), signal.SIGUSR1)
    assert stop.value.code == signals.REQUEUE == 75


def test_handlers_are_put_back() -> None:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
    before = [signal.getsignal(number) for number in numbers]
    with signals.requeued_at_once(), signals.Listening().here():
        pass
    assert [signal.getsignal(number) for number in numbers] == before


def test_another_thread_than_the_main_one_trains_without_listening() -> None:
    before = signal.getsignal(signal.SIGTERM)

    def listen() -> object:
        with signals.Listening().here():
            return signal.getsignal(signal.SIGTERM)

    with ThreadPoolExecutor(1) as other:
        assert other.submit(listen).result() == before
