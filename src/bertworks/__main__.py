"""`python -m bertworks` is `bert`; also what torchrun starts (`torchrun -m bertworks run_pretraining ...`)."""

import sys

from bertworks.cli import entry

if __name__ == "__main__":
    sys.exit(entry())
