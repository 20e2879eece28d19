"""Fonts for the texts of pictures: Matplotlib's own, and those of this machine that have Chinese characters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_CHINESE_FONTS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei"),
    *("Droid Sans Fallback", "Microsoft YaHei", "SimHei", "PingFang SC", "PingFang HK", "Arial Unicode MS"),
)


def installed_fonts() -> list[Any]:
    """Return Matplotlib's own font, and the fonts of this machine that have Chinese characters."""
    from matplotlib import font_manager  # noqa: PLC0415  (slow to import; only when a picture is drawn)

    installed = {font.name for font in font_manager.fontManager.ttflist}
    families = ["DejaVu Sans", *(name for name in _CHINESE_FONTS if name in installed)]
    return [font_manager.get_font(font_manager.findfont(name)) for name in families]


def can_show(fonts: Sequence[Any], text: str) -> bool:
    """Tell whether these fonts have every character."""
    return all(character == " " or any(font.get_char_index(ord(character)) for font in fonts) for character in text)


def shown(fonts: Sequence[Any], text: str) -> str:
    """Return a text with "?" for what the fonts do not have, and no formula in it."""
    return plain("".join(character if can_show(fonts, character) else "?" for character in text))


def plain(text: str) -> str:
    """Return a text in which "$" does not begin a formula."""
    return text.replace("$", r"\$")


def set_fonts(figure: Any, fonts: Sequence[Any]) -> None:
    """Use the fonts for all texts of a figure."""
    from matplotlib.text import Text  # noqa: PLC0415

    for drawn in figure.findobj(Text):
        drawn.set_fontfamily([font.family_name for font in fonts])
