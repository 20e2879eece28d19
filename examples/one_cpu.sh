#!/bin/sh
# One CPU: from a text file to a model. Words behind the script go to run_pretraining: examples/one_cpu.sh --plan
set -e
text=${TEXT:-examples/sample_text.txt}
bert learn_vocab --input_file="$text" --output_file=vocab.txt --vocab_size=${VOCAB_SIZE:-8000}
bert create_pretraining_data --input_file="$text" --vocab_file=vocab.txt --output_dir=shards
bert run_pretraining --config=examples/mini.toml --device=cpu "$@"
