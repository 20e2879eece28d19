"""The pixels of the pictures that tests look at."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np


def pixels(path: Path) -> np.ndarray:
    from matplotlib.image import imread

    return np.asarray(imread(BytesIO(path.read_bytes()), format="png"))
