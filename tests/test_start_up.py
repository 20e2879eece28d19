"""What is imported before the first answer: nothing heavy but torch."""

import subprocess
import sys

from tests.commands.small_runs import TRAINED

# What torch imports by itself, or a line of Python.
HEAVY = (
    *("torch", "numpy", "rich", "matplotlib", "scipy", "sklearn", "pandas", "pyarrow", "transformers", "tokenizers"),
    *("onnx", "onnxruntime", "openvino", "starlette", "uvicorn", "openpyxl", "tensorboard", "huggingface_hub"),
)
FIRST_ANSWER = """
import sys
import torch
before = set(sys.modules)
import bertworks
model = bertworks.load({model!r}, vocab_file={vocab!r}, bert_config_file={config!r})
model.embed("the cat sat")
added = {{name.partition(".")[0] for name in set(sys.modules) - before if not name.startswith(("torch", "numpy"))}}
print(sorted(added - sys.stdlib_module_names))
print(sorted(name for name in set(sys.modules) - before if name.startswith(("torch._dynamo", "torch._inductor"))))
"""


def printed(code: str) -> list[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()


def test_the_package_imports_nothing_heavy() -> None:
    assert printed(f"import sys, bertworks; print([name for name in {HEAVY} if name in sys.modules])") == ["[]"]


def test_the_first_answer_needs_torch_and_little_else() -> None:
    given = dict(word.lstrip("-").split("=", 1) for word in TRAINED)
    code = FIRST_ANSWER.format(
        model=given["init_checkpoint"], vocab=given["vocab_file"], config=given["bert_config_file"]
    )
    assert printed(code) == ["['bertworks', 'cramjam', 'google_crc32c']", "[]"]
