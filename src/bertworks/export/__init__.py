"""Write models for other programs, ONNX and OpenVINO, with a certificate; and run what was written.

`runtime.session(folder, runtime)` computes padded batches, and `opened.open_export(folder, runtime)` is a model that
classifies, tags and answers as one that `load` gave does.
"""

from bertworks.export.runtime import session

__all__ = ["session"]
