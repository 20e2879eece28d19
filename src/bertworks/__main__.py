"""`bert` as a program; `python -m bertworks` is the same, and so is `torchrun -m bertworks run_pretraining ...`."""

import signal
import sys


def entry() -> int:
    """Run `bert`; an interrupt at any moment ends in one line at most, never in a traceback."""
    # Until the command table is there an interrupt just ends the program.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from bertworks.cli import main  # noqa: PLC0415
    from bertworks.cores import wait_briefly  # noqa: PLC0415

    wait_briefly()
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
