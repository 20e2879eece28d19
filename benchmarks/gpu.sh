#!/bin/sh
# Everything that waits for a GPU, in one call of at most nine minutes: the GPU tests, then every GPU row; the table
# comes last.
#
#     benchmarks/gpu.sh                 on a GPU
#     DEVICE=cpu benchmarks/gpu.sh      tries the script without one: a tiny model, and only the tests that run on CPU
#
# PYTHON names the Python (.venv/bin/python by default), TABLE the file for the table.
set -u
cd "$(dirname "$0")/.." || exit 1
began=$(date +%s)
device=${DEVICE:-cuda}
python=${PYTHON:-.venv/bin/python}
PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONPATH BERTWORKS_TEST_DEVICE="$device"
if [ "$device" = cpu ]; then
    tests="tests/train/test_on_gpu.py -k gradients" toy=--toy seconds=60
else
    tests="tests/train tests/model tests/data" toy= seconds=0
fi
# shellcheck disable=SC2086  # words on purpose
timeout 200 "$python" -m pytest -q -m gpu -p no:cacheprovider $tests
passed=$?
[ "$seconds" -gt 0 ] || seconds=$((500 - $(date +%s) + began))
echo "GPU tests: exit status $passed; $seconds s are left for the table"
# shellcheck disable=SC2086
timeout -k 30 $((seconds + 5)) "$python" -m benchmarks.gpu --device="$device" $toy --seconds="$seconds" ${TABLE:+--output="$TABLE"}
measured=$?
[ "$passed" -eq 0 ] && [ "$measured" -eq 0 ]
