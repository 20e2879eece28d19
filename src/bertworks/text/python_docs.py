"""English text that comes with every Python: its reference documentation, and the docstrings of its standard library.

These are about two megabytes, read without importing the modules. `bert demo` trains on them and needs no download.
"""

from __future__ import annotations

import ast
import re
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

# A sentence ends at a full stop, question or exclamation mark before white space and the beginning of a sentence.
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]?[A-Z])")
_PARAGRAPH = re.compile(r"\n\s*\n")
# Lines that are code, tables, rules or grammar rather than prose.
_NOT_PROSE = re.compile(r"^\s*(>>>|\.\.\.|\||\+[-=+]|[-=*~^#]{3,}|\.\. |:\w+|@|def |class |import |from |return\b)|::=")
_LETTERS = re.compile(r"[A-Za-z]")

_SKIPPED_FOLDERS = {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__", "lib2to3", "idlelib"}


def python_docs() -> Iterator[list[str]]:
    """Return documents of sentences in a fixed order: one for each topic of the reference, one for each module."""
    for _, text in sorted(_topics().items()):
        yield from document(text)
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py")):
        if not _SKIPPED_FOLDERS.intersection(path.relative_to(root).parts):
            yield from document("\n\n".join(_docstrings(path)))


def _topics() -> dict[str, str]:
    try:
        from pydoc_data.topics import topics  # noqa: PLC0415  (400 kB that only the demo reads)
    except ImportError:  # some distributions ship Python without its documentation
        return {}
    return topics


def _docstrings(path: Path) -> Iterator[str]:
    """Return all docstrings of a source file, outermost first; none if this Python cannot parse the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            if docstring:
                yield docstring


def document(text: str) -> Iterator[list[str]]:
    """Return the prose of a text as one document, if it has at least two sentences."""
    sentences = [s for paragraph in _PARAGRAPH.split(text) for s in _sentences(paragraph)]
    if len(sentences) >= 2:
        yield sentences


def _sentences(paragraph: str) -> list[str]:
    lines = paragraph.splitlines()
    if any(_NOT_PROSE.search(line) for line in lines):
        return []
    whole = " ".join(" ".join(lines).split())
    sentences = [sentence for sentence in _SENTENCE_END.split(whole) if len(sentence.split()) >= 4]
    return [s for s in sentences if len(_LETTERS.findall(s)) >= 0.7 * len(s.replace(" ", ""))]
