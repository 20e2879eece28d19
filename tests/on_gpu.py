"""The device of tests that need a GPU. BERTWORKS_TEST_DEVICE=cpu runs on CPU what can run there."""

from __future__ import annotations

import os

import pytest
import torch

DEVICE = torch.device(os.environ.get("BERTWORKS_TEST_DEVICE", "cuda"))
HAS_DEVICE = DEVICE.type == "cpu" or torch.cuda.is_available()
needs_device = pytest.mark.skipif(not HAS_DEVICE, reason="no CUDA device")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available() or DEVICE.type == "cpu", reason="no CUDA device")
