"""The programs run on a GPU that is not there, and the host waits for it only where we know."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gpu_without_gpu.programs import PROGRAMS

# A batch of outputs is waited for after the next one was launched.
OUTPUTS = {"model/predict.py: Event.synchronize": 1}
KNOWN_WAITS = {
    **{name: OUTPUTS for name in PROGRAMS if name.startswith(("predict", "features", "fill"))},
    "evaluate pre-training fp32": {"tasks/pretraining.py: item": 4},
    "predict tags bf16, CRF": OUTPUTS | {"tasks/ner/task.py: copy to cuda": 1, "tasks/ner/task.py: copy to cpu": 1},
}


def output_of(program: str, request: pytest.FixtureRequest) -> str:
    """What a program of this folder prints, in a process of its own."""
    folder = request.config.cache.mkdir("gpu_without_gpu")
    command = [sys.executable, "-m", f"tests.gpu_without_gpu.{program}", str(folder)]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
@pytest.mark.skipif(sys.platform != "linux", reason="the library is built for Linux")
def test_programs_run_and_wait_only_where_we_know(request: pytest.FixtureRequest) -> None:
    found = json.loads(output_of("programs", request))
    assert found == {name: KNOWN_WAITS.get(name, {}) for name in PROGRAMS}
