"""`bert` as a program; `python -m bertworks` is the same, and so is `torchrun -m bertworks run_pretraining ...`."""

import os
import signal
import sys


def entry() -> int:
    """Run `bert`; an interrupt at any moment ends in one line at most, never in a traceback."""
    if "WORLD_SIZE" in os.environ:
        # When a process is lost, torch prints stack traces of its own; we say in one line what happened.
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    # Until the command table is there an interrupt just ends the program.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from bertworks.cli import main  # noqa: PLC0415
    from bertworks.cores import wait_briefly  # noqa: PLC0415

    wait_briefly(answers=sys.argv[1:2] == ["serve"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return main()
    except KeyboardInterrupt:
        print("bert: interrupted", file=sys.stderr)
        return 130
    finally:
        # Nothing is left but to end; an interrupt meanwhile would print a traceback of Python's own.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(entry())
