"""`sentence-transformers` behind FastAPI: `python fastapi_app.py MODEL PORT torch|onnx DEVICE`.

It runs in an environment of its own and imports nothing of ours. `onnx` is its own export to ONNX Runtime, made dynamic
int8 for AVX512-VNNI as its documentation says.
"""

from __future__ import annotations

import sys
import tempfile
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import SentenceTransformer, export_dynamic_quantized_onnx_model


class Body(BaseModel):
    """What is asked."""

    input: str | list[str]
    model: str = ""


def _int8(folder: str) -> SentenceTransformer:
    exported = SentenceTransformer(folder, device="cpu", backend="onnx", model_kwargs={"export": True})
    with tempfile.TemporaryDirectory() as made:
        exported.save_pretrained(made)
        export_dynamic_quantized_onnx_model(exported, "avx512_vnni", made)
        file = {"file_name": "onnx/model_qint8_avx512_vnni.onnx"}
        return SentenceTransformer(made, device="cpu", backend="onnx", model_kwargs=file)


def main(folder: str, port: int, backend: str, device: str) -> None:
    """Load the model and serve it."""
    model = _int8(folder) if backend == "onnx" else SentenceTransformer(folder, device=device)
    app = FastAPI()

    def embeddings(body: Body) -> dict[str, Any]:
        texts = [body.input] if isinstance(body.input, str) else body.input
        vectors = model.encode(texts).tolist()
        return {"data": [{"index": i, "embedding": vector} for i, vector in enumerate(vectors)]}

    app.add_api_route("/v1/embeddings", embeddings, methods=["POST"])
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4])
