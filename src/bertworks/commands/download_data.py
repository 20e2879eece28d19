"""`bert download_data`: the data sets of the known tasks, fetched from where their authors or GLUE keep them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bertworks.flags import CommandFlags, flag

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Flags(CommandFlags):
    """Fetch data sets: bert download_data mrpc, or several, mrpc,cola; without a name, list them.

    Each goes into a folder of its own below --data_dir, with the files as they were released; what is there already is
    kept. What is fetched is checked (SHA-256) where a checksum was published. Mind the licences.
    """

    names: str | None = flag(None, "Data sets, with commas between; none: list them.", positional=True)
    data_dir: str = flag("data", "Where their folders go.", path=True)


def main(flags: Flags) -> None:
    """Fetch what is named, or print the list."""
    from pathlib import Path

    from bertworks.datasets.released_data import fetch, find
    from bertworks.errors import InputError

    if flags.names is None:
        print(_list(Path(flags.data_dir)))
        return
    wanted = [find(name.strip()) for name in flags.names.split(",") if name.strip()]
    if not wanted:
        raise InputError("names: none is given; `bert download_data` lists them")
    for data in wanted:
        folder = fetch(data, Path(flags.data_dir))
        print(f"{folder}\n  licence: {data.licence}\n  {data.home}")
        if data.remark:
            print(f"  {data.remark}")


def _list(data_dir: Path) -> str:
    """A table of the data sets."""
    from bertworks.datasets.addresses import DATA_SETS
    from bertworks.datasets.released_data import is_there

    lines = [("name", "to fetch", "licence", "there")]
    for data in DATA_SETS:
        if data.name.startswith("XNLI-"):
            continue
        sizes = [source.size for source in data.sources]
        known = sum(size or 0 for size in sizes)
        more = "" if all(sizes) else "unknown"
        size = f"{max(0.1, known / 1e6):,.1f} MB" if known else more or "by hand"
        there = bool(data.sources) and all(is_there(source, data_dir / data.folder) for source in data.sources)
        lines.append((data.name.lower(), size, data.licence, "yes" if there else ""))
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    rows = [
        f"{name:{widths[0]}}  {size:>{widths[1]}}  {licence:{widths[2]}}  {there}".rstrip()
        for name, size, licence, there in lines
    ]
    return "\n".join([*rows, "", "xnli-de and so on unpack one language of XNLI; bert download_data NAME fetches one"])
