"""`bert card`: renew the card of a trained model, README.md in its folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bertworks.errors import InputError
from bertworks.flags import REQUIRED, CommandFlags, flag


@dataclass(frozen=True, kw_only=True)
class Flags(CommandFlags):
    """Renew the card of a trained model, README.md in its folder, from what the training left there.

    bert card out

    Every training writes it. What you write outside of the lines that mark our part is kept, also in the front matter.
    """

    model: str = flag(REQUIRED, "The folder of the model.", group="Input", positional=True)


def main(flags: Flags) -> None:
    """Write the card."""
    from bertworks.card.write import write_card

    folder = Path(flags.model)
    if not folder.is_dir():
        raise InputError(f"--model={flags.model}: is no folder")
    print(f"The card: {write_card(folder)}")
