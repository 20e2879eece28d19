"""An explanation to look at: a page (HTML, one file, no scripts) and pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

import numpy as np

from bertworks.files import written_whole
from bertworks.tasks.attentions import Attentions
from bertworks.tasks.explain.explanation import Contribution, Explanation
from bertworks.tasks.fonts import installed_fonts, set_fonts, shown

_STYLE = """
:root { color-scheme: light dark; --for: 0 130 80; --against: 200 40 40; }
body { font: 1rem/1.8 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem; }
.text { padding: .5rem 0; overflow-wrap: anywhere; white-space: pre-wrap; }
mark { color: inherit; border-radius: .2em; padding: .1em 0; }
mark.for { background: rgb(var(--for) / var(--share)); }
mark.against { background: rgb(var(--against) / var(--share)); text-decoration: underline dotted; }
.note { font-size: .875rem; opacity: .8; }
table { border-collapse: collapse; } td, th { padding: 0 1rem 0 0; text-align: left; } td.number { text-align: right; }
""".strip()

_MOST_WORDS = 20

# The strength of the strongest word's colour; more would hide the word.
_STRONGEST = 0.6


def as_html(explanations: Sequence[Explanation]) -> str:
    """Return a page of explanations: each text with its words coloured, and the strongest words as a table."""
    parts = "\n".join(line for explanation in explanations for line in _section(explanation))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>Explanations</title>\n'
        f"<style>\n{_STYLE}\n</style>\n</head>\n<body>\n<h1>Which words decided</h1>\n{parts}\n</body>\n</html>\n"
    )


def _section(explanation: Explanation) -> Iterator[str]:
    yield f"<h2>{escape(explanation.decision)}</h2>"
    largest = max((abs(word.value) for word in explanation.contributions), default=0.0) or 1.0
    for number, text in enumerate(explanation.texts):
        words = [word for word in explanation.contributions if word.part == number]
        yield f'<p class="text">{"".join(_marked(text, words, largest))}</p>'
    cut = " The model did not read the whole text at once." if explanation.cut else ""
    yield (
        f'<p class="note">{escape(explanation.meaning)}: {explanation.score:.3f}; with all words hidden '
        f"{explanation.baseline:.3f}. The words make up the difference, but for {explanation.error:.2%}.{cut} Green "
        "speaks for the decision; red, underlined, against it.</p>"
    )
    yield "<table><tr><th>word</th><th>contribution</th></tr>"
    for word in explanation.strongest[:_MOST_WORDS]:
        yield f'<tr><td>{escape(word.text)}</td><td class="number">{word.value:+.3f}</td></tr>'
    yield "</table>"


def _marked(text: str, words: Sequence[Contribution], largest: float) -> Iterator[str]:
    """Yield a text as HTML, every word on its colour."""
    done = 0
    for word in words:
        begin = max(done, word.begin)
        yield escape(text[done:begin])
        kind = "for" if word.value >= 0 else "against"
        share = _STRONGEST * abs(word.value) / largest
        yield f'<mark class="{kind}" style="--share: {share:.2f}" title="{word.value:+.3f}">'
        yield f"{escape(text[begin : word.end])}</mark>"
        done = max(done, word.end)
    yield escape(text[done:])


def draw_explanation(path: Path, explanation: Explanation) -> Path:
    """Draw the strongest words as bars, the strongest above, into a PNG file."""
    from matplotlib.figure import Figure  # noqa: PLC0415  (slow to import; only when a picture is drawn)

    fonts = installed_fonts()
    words = explanation.strongest[:_MOST_WORDS][::-1]
    figure = Figure(figsize=(7, 1.2 + 0.28 * max(1, len(words))), layout="constrained")
    axes = figure.subplots()
    colours = ["#00824f" if word.value >= 0 else "#c82828" for word in words]
    axes.barh(np.arange(len(words)), [word.value for word in words], color=colours)
    axes.set_yticks(np.arange(len(words)), [shown(fonts, word.text) for word in words])
    axes.axvline(0, color="gray", linewidth=0.8)
    axes.set_xlabel(f"contribution to the {explanation.meaning}")
    axes.set_title(shown(fonts, explanation.decision), loc="left")
    set_fonts(figure, fonts)
    with written_whole(path) as stream:
        figure.savefig(stream, format="png", dpi=120)
    return path


def draw_attentions(path: Path, attentions: Attentions, layer: int) -> Path:
    """Draw the attention of a layer (from 0), a square for each head: rows attend to columns. Into a PNG file."""
    from matplotlib.figure import Figure  # noqa: PLC0415

    heads = attentions.attentions[layer]
    columns = min(4, len(heads))
    rows = -(-len(heads) // columns)
    figure = Figure(figsize=(3 * columns, 3.4 * rows), layout="constrained")
    fonts = installed_fonts()
    names = [shown(fonts, token) for token in attentions.tokens]
    every = max(1, len(names) // 16)
    ticks = np.arange(0, len(names), every)
    for number, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        if number >= len(heads):
            axes.set_axis_off()
            continue
        axes.imshow(heads[number], cmap="Blues", vmin=0, vmax=1)
        axes.set_title(f"layer {layer + 1}, head {number + 1}", fontsize=9)
        axes.set_xticks(ticks, names[::every], rotation=90, fontsize=6)
        axes.set_yticks(ticks, names[::every], fontsize=6)
    set_fonts(figure, fonts)
    with written_whole(path) as stream:
        figure.savefig(stream, format="png", dpi=120, bbox_inches="tight")
    return path
