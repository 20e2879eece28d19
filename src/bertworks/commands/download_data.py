"""`bert download_data`: list the data sets known by name, or download some from their authors or from GLUE."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bertworks.errors import InputError
from bertworks.flags import CommandFlags, flag


@dataclass(frozen=True, kw_only=True)
class Flags(CommandFlags):
    """Download data sets: bert download_data mrpc, or several, mrpc,cola; without a name, list them.

    Each data set gets its own folder in --data_dir, with its files as they were released. Files that are there already
    are kept. A download is checked (SHA-256) if a checksum was published. Mind the licences.
    """

    names: str | None = flag(None, "Data sets, with commas between; if none is given, list them.", positional=True)
    data_dir: str = flag("data", "Each data set gets a folder in this one.", path="written folder")


def main(flags: Flags) -> None:
    """Download the named data sets, or print the list."""
    from bertworks.datasets.registry import find_data_set
    from bertworks.datasets.released_data import fetch

    if flags.names is None:
        print(_list(Path(flags.data_dir)))
        return
    wanted = [find_data_set(name.strip()) for name in flags.names.split(",") if name.strip()]
    if not wanted:
        raise InputError("names: give at least one; `bert download_data` lists them")
    for data in wanted:
        folder = fetch(data, Path(flags.data_dir))
        print(f"{folder}\n  licence: {data.licence}\n  {data.home}")
        if data.remark:
            print(f"  {data.remark}")


def _list(data_dir: Path) -> str:
    """Return a table of the data sets; "there" means that all files are below `data_dir`."""
    from bertworks.datasets.registry import data_sets

    lines = [("name", "to fetch", "licence", "there")]
    for data in data_sets():
        if data.name.startswith("XNLI-"):
            continue
        size = f"{max(0.1, sum(file.size or 0 for file in data.files) / 1e6):,.1f} MB"
        if not any(file.size for file in data.files):
            size = "unknown" if data.files else "by hand"
        there = bool(data.files) and all(file.is_in(data_dir / data.folder) for file in data.files)
        lines.append((data.name.lower(), size, data.licence, "yes" if there else ""))
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    rows = [
        f"{name:{widths[0]}}  {size:>{widths[1]}}  {licence:{widths[2]}}  {there}".rstrip()
        for name, size, licence, there in lines
    ]
    return "\n".join([*rows, "", "xnli-de and so on unpack one language of XNLI; bert download_data NAME fetches one"])
