"""The account of a step's memory against the tensors of steps on a GPU that is not there."""

from __future__ import annotations

import json
import shutil
import sys

import pytest

from bertworks.model.memory import step_bytes
from tests.gpu_without_gpu.memory import STEPS
from tests.gpu_without_gpu.test_programs import output_of


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
@pytest.mark.skipif(sys.platform != "linux", reason="the library is built for Linux")
def test_bytes_are_those_of_a_step_on_a_gpu(request: pytest.FixtureRequest) -> None:
    found = json.loads(output_of("memory", request))
    assert len(found) == len(STEPS)
    for step, counted in zip(STEPS, found, strict=True):
        account = step_bytes(
            step.config,
            counted["tokens"],
            step.sequences,
            head=step.head,
            rows=step.masked * step.sequences if step.head == "pretraining" else None,
            precision=step.precision,
            gradient_checkpointing=step.again,
            device="cuda",
        )
        assert account.total - account.fixed == pytest.approx(counted["peak"], rel=0.04), step
