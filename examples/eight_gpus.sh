#!/bin/sh
# Eight GPUs of one machine. A process that is lost brings all of them back from the newest checkpoint, three times.
exec torchrun --standalone --nproc_per_node=8 --max-restarts=3 \
  -m bertworks run_pretraining --config=examples/base.toml "$@"
