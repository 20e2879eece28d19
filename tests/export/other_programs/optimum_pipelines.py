"""Run exports in sentence-transformers and optimum, from the disk alone: JSON in, JSON out.

`python optimum_pipelines.py ROOT REQUESTS`; a request is [task, folder in ROOT, file, inputs].
"""

import json
import sys
from pathlib import Path

import numpy as np
from optimum import onnxruntime
from sentence_transformers import SentenceTransformer
from transformers import AutoTokenizer

CLASSES = {
    "text-classification": onnxruntime.ORTModelForSequenceClassification,
    "token-classification": onnxruntime.ORTModelForTokenClassification,
    "question-answering": onnxruntime.ORTModelForQuestionAnswering,
    "fill-mask": onnxruntime.ORTModelForMaskedLM,
    "multiple-choice": onnxruntime.ORTModelForMultipleChoice,
}


def run(task: str, folder: Path, file: str, inputs: list) -> list:
    """Return the vectors, or the logits of the one sequence that the inputs are."""
    if task == "sentence-similarity":
        model = SentenceTransformer(
            str(folder), backend="onnx", model_kwargs={"file_name": file}, device="cpu", local_files_only=True
        )
        return model.encode(inputs).tolist()
    model = CLASSES[task].from_pretrained(folder, subfolder="onnx", file_name=file, local_files_only=True)
    tokens = AutoTokenizer.from_pretrained(folder)(*inputs, return_tensors="np", padding=True)
    arrays = {name: np.array(values)[None] if task == "multiple-choice" else values for name, values in tokens.items()}
    found = model(**arrays)
    names = ("start_logits", "end_logits") if task == "question-answering" else ("logits",)
    return [np.array(found[name])[0].tolist() for name in names]


root, requests = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
print(json.dumps([run(task, root / folder, file, inputs) for task, folder, file, inputs in requests]))
