"""A picture of what a classifier took for what."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertworks import files

# Up to so many classes a cell has room for its count and its share; up to so many, for its share alone.
_BOTH, _SHARES = 12, 60
_LARGEST_SIDE = 18.0  # inches; more classes are drawn, but not all of them named

_CHINESE_FONTS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei"),
    *("Droid Sans Fallback", "Microsoft YaHei", "SimHei", "PingFang SC", "PingFang HK", "Arial Unicode MS"),
)


def confusion_matrix(path: Path, counts: NDArray[np.int64], names: Sequence[str], title: str = "") -> Path:
    """Draw how many examples of each class (rows) were taken for which (columns), the colour being the row's share.

    Args:
        path: the PNG file.
        counts: [C, C], of `metrics.confusion_matrix`.
        names: what the classes are called; long ones are wrapped or cut, those that no font here has are numbered.
        title: what stands above it, such as the data and its accuracy.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415  (slow to import; only when a picture is drawn)
    from matplotlib.text import Text  # noqa: PLC0415

    classes = len(names)
    fonts = _fonts()
    names = [name if _has(fonts, name) else f"class {i}" for i, name in enumerate(names)]
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    roomy = classes <= _BOTH
    size = 10 if roomy else 8 if classes <= 25 else 6
    side = min(max(3.0, classes * (0.95 if roomy else 0.5 if classes <= 25 else 0.3)), _LARGEST_SIDE)
    figure = Figure(figsize=(side + 4, side + 2), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, shrink=0.8, label="share of the row", format=lambda share, _: f"{share:.0%}")
    named = range(0, classes, math.ceil(classes * 0.15 / side))
    labels = [_wrapped(names[i]) if roomy else _shortened(names[i]) for i in named]
    totals = [f"{label} ({counts[i].sum():,})" for i, label in zip(named, labels, strict=True)]
    slanted: dict[str, Any] = {"rotation": 60, "ha": "right", "rotation_mode": "anchor"} if classes > 4 else {}
    axes.set_xticks(named, labels, fontsize=size, **slanted)
    axes.set_yticks(named, totals, fontsize=size)
    axes.set(xlabel="predicted", ylabel="actual (examples)", title=_plain(title))
    axes.set_xticks(np.arange(1, classes) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, classes) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1 if classes <= _SHARES else 0)
    axes.tick_params(which="minor", length=0)
    # With little room, what is less than one per cent is left out.
    for i, j in np.argwhere(shares > (0 if roomy else 0.01)).tolist() if classes <= _SHARES else []:
        text = f"{counts[i, j]:,}\n{_percent(shares[i, j])}" if roomy else _percent(shares[i, j]).removesuffix("%")
        colour = "white" if shares[i, j] > 0.55 else "black"
        axes.text(j, i, text, ha="center", va="center", fontsize=size - (size > 6), color=colour)
    for drawn in figure.findobj(Text):
        drawn.set_fontfamily([font.family_name for font in fonts])
    return _saved(figure, path)


def _fonts() -> list[Any]:
    """The font that matplotlib brings, and those of this machine that have Chinese characters."""
    from matplotlib import font_manager  # noqa: PLC0415

    here = {font.name for font in font_manager.fontManager.ttflist}
    families = ["DejaVu Sans", *(name for name in _CHINESE_FONTS if name in here)]
    return [font_manager.get_font(font_manager.findfont(name)) for name in families]


def _has(fonts: Sequence[Any], text: str) -> bool:
    """Whether every character can be drawn."""
    return all(character == " " or any(font.get_char_index(ord(character)) for font in fonts) for character in text)


def _saved(figure: Any, path: Path) -> Path:
    with files.written_whole(path) as stream:
        figure.savefig(stream, format="png", dpi=120, bbox_inches="tight")
    return path


def _wrapped(name: str) -> str:
    """A name in at most two lines."""
    return _plain("\n".join(textwrap.wrap(name, 16, max_lines=2, placeholder="…")))


def _shortened(name: str) -> str:
    """A name in one line; of a long one the beginning and the end."""
    return _plain(name if len(name) <= 24 else f"{name[:13]}…{name[-10:]}")


def _plain(text: str) -> str:
    """Text in which "$" begins no formula."""
    return text.replace("$", r"\$")


def _percent(share: float) -> str:
    """A share in whole per cent; what is there but less than one, or not quite all, is not rounded away."""
    if 0 < share < 0.01:
        return "<1%"
    return f"{min(share, 0.99):.0%}" if share < 1 else "100%"
