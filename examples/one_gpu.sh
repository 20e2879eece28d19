#!/bin/sh
# One GPU. The token budget of a micro-batch follows its memory; a checkpoint keeps it.
exec bert run_pretraining --config=examples/base.toml --device=cuda "$@"
