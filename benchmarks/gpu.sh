#!/bin/sh
# Everything that waits for a GPU, in one call of at most nine minutes: the GPU tests, then `bert benchmark` on every
# GPU row; the tables come last. What the time does not reach stands there as not measured.
#
#     benchmarks/gpu.sh                 on a GPU
#     DEVICE=cpu benchmarks/gpu.sh      tries the script without one: a tiny model, and only the tests that run on CPU
#
# PYTHON names the Python (.venv/bin/python by default), TABLES the folder for the tables.
set -u
cd "$(dirname "$0")/.." || exit 1
began=$(date +%s)
limit=520
device=${DEVICE:-cuda}
python=${PYTHON:-.venv/bin/python}
tables=${TABLES:-$(mktemp -d)}
PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONPATH BERTWORKS_TEST_DEVICE="$device"
if [ "$device" = cpu ]; then
    tests="tests/train/test_on_gpu.py -k gradients" base=tiny large=tiny toy="--batch_size=2 --texts=8 --steps=1 --rounds=1"
else
    tests="tests/train tests/model tests/data" base=base large=large toy="--batch_size=128 --texts=4096 --rounds=2"
fi
# shellcheck disable=SC2086  # words on purpose
timeout 200 "$python" -m pytest -q -m gpu -p no:cacheprovider $tests
status=$?
echo "GPU tests: exit status $status"

# row NAME KIND FLAG...: measure one table, if there is time for it.
row() {
    name=$1 && shift
    left=$((limit - $(date +%s) + began))
    if [ "$left" -lt 20 ]; then
        echo "$name: not measured, the time is over" >>"$tables/left"
        return
    fi
    # shellcheck disable=SC2086
    if ! timeout -k 10 "$left" "$python" -m bertworks benchmark "$@" $toy --device="$device" --output_dir="$tables/$name"; then
        echo "$name: not measured, see its error above" >>"$tables/left"
        status=1
    fi
}

mkdir -p "$tables" && : >"$tables/left"
row 1-base train --size=$base --lengths=dense --against=transformers --steps=20
row 2-large train --size=$large --lengths=dense --against=none --steps=10
row 3-large-512 train --size=$large --lengths=squad --max_seq_length=512 --against=none --steps=10
row 4-answers finetune --size=$base --lengths=squad --against=none --steps=20
row 5-answers-large finetune --size=$large --lengths=squad --against=none --steps=10
row 6-compiled train --size=$base --lengths=dense --against=none --steps=20 --compile
row 7-vectors encode --size=$base --precision=bf16,fp32 --against=sentence-transformers
row 8-moments train --size=$base --lengths=dense --against=none --steps=20 --optimizer_bits=8
row 9-checkpointing train --size=$large --lengths=dense --against=none --steps=5 --gradient_checkpointing
cat "$tables"/*/*.md "$tables/left"
echo "The tables are in $tables; GPU tests and rows: exit status $status"
exit $status
