"""`sentence-transformers` behind FastAPI, as many people write it: `python serving_peer.py MODEL PORT torch|onnx`.

It runs in an environment of its own and imports nothing of ours. `onnx` is its export to ONNX
Runtime with dynamic int8.
"""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import SentenceTransformer


class Body(BaseModel):
    """What is asked."""

    input: str | list[str]
    model: str = ""


def main(folder: str, port: int, backend: str) -> None:
    """Load the model and serve it."""
    options = {"model_kwargs": {"file_name": "onnx/model_quint8_avx2.onnx"}} if backend == "onnx" else {}
    model = SentenceTransformer(folder, device="cpu", backend=backend, **options)
    app = FastAPI()

    @app.post("/v1/embeddings")
    def embeddings(body: Body) -> dict:
        texts = [body.input] if isinstance(body.input, str) else body.input
        vectors = model.encode(texts).tolist()
        return {"data": [{"index": i, "embedding": vector} for i, vector in enumerate(vectors)]}

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
