"""Libraries of exports: what they leave in the process."""

import subprocess
import sys
from pathlib import Path

import pytest

from bertworks.export.write import export
from bertworks.pretrained import load
from tests.export.builders import save

SIGNAL_AFTER_TWO_MODELS = """
import gc, os, signal, sys
from pathlib import Path
from bertworks.export.opened import open_export
models = [open_export(sys.argv[1], "openvino", "fp32", 1) for _ in range(2)]
while models:
    del models[0]  # the first one goes first
    gc.collect()
signal.signal(signal.SIGTERM, lambda *_: print("handled"))
os.kill(os.getpid(), signal.SIGTERM)
"""


def test_a_signal_does_not_end_a_process_that_gave_models_of_openvino_back(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    export(load(save(tmp_path / "model", "encoder"), device="cpu"), tmp_path / "export", "openvino")
    words = [sys.executable, "-c", SIGNAL_AFTER_TWO_MODELS, str(tmp_path / "export")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr
