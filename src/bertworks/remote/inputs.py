"""An input that is an address -> local paths of copies: files, folders, patterns, zips, prefixes of checkpoints."""

from __future__ import annotations

import glob
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from bertworks import addresses, files
from bertworks.datasets.download import OFFLINE, is_offline
from bertworks.errors import InputError
from bertworks.progress import say
from bertworks.remote import cache, http
from bertworks.remote.stores import Listed, Store, store_of

# Folders of a run that no command reads from another one.
_NEVER = ("checkpoints", "tensorboard")

# Of a model: other forms of it, which are not read where there are safetensors; and its small files.
_OTHER_FORMS = ("onnx", "openvino", "coreml")
_OTHER_WEIGHTS = (".bin", ".h5", ".msgpack", ".ot", ".pt", ".pth", ".gguf", ".onnx")
_SMALL, _SMALL_BYTES = (".json", ".txt", ".model", ".toml"), 64 << 20

# The index of a folder of token shards (`data/corpus.py`).
_INDEX = "index.json"

_AT_ONCE = 8


def bring(address: str, flag: str, *, is_model: bool) -> list[Path]:
    """Return the local paths that an address names.

    Args:
        flag: for messages, with its dashes.
        is_model: whether the small files beside weights belong to them.

    Raises:
        InputError: nothing is there, or it cannot be read.
    """
    place = addresses.place(addresses.inputs(), address)
    if is_offline():
        if there := _there(place):
            return there
        raise InputError(f"{flag}={address}: not fetched, because {OFFLINE}=1 is set")
    scheme = address.partition("://")[0]
    if scheme in addresses.HTTP:
        found = http.find(address)
        if found is None:
            raise InputError(f"{flag}={address}: no such file")
        return _copies([found])
    store = store_of(address)
    if glob.has_magic(address):
        matches = store.matching(address)
        if not matches:
            raise InputError(f"{flag}: no file matches {address}")
        return [_one(store, match, flag, is_model=is_model) for match in matches]
    return [_one(store, address, flag, is_model=is_model)]


def _there(place: Path) -> list[Path]:
    """Return the copies that are there already: one, those that match a pattern, or those of a prefix or in a zip."""
    if place.exists():
        return [place]
    root = addresses.inputs()
    named = str(place.relative_to(root))
    if named.startswith("http"):  # of the web, only files are read
        return []
    if glob.has_magic(named):
        return [root / match for match in sorted(glob.glob(named, root_dir=root))]  # noqa: PTH207
    has_more = any(path.name.startswith(f"{place.name}.") for path in place.parent.glob("*"))
    in_zip = any(outer.suffix.lower() == ".zip" and outer.is_file() for outer in place.parents)
    return [place] if has_more or in_zip else []


def _one(store: Store, address: str, flag: str, *, is_model: bool) -> Path:
    address = address.rstrip("/")
    place = addresses.place(addresses.inputs(), address)
    parent = address.rpartition("/")[0]
    if (file := store.find(address)) is not None:
        beside = _small(store, parent) if is_model and not address.endswith((".zip", ".txt")) else []
        return _copies([file, *(each for each in beside if each.address != file.address)])[0]
    if inside := store.inside(address):
        _folder(store, address, place, _of_model(inside, address) if is_model else inside)
        return place
    for outer in PurePosixPath(address).parents:
        if outer.suffix.lower() == ".zip" and (zipped := store.find(f"{outer}".replace(":/", "://", 1))) is not None:
            return _copies([zipped])[0] / PurePosixPath(address).relative_to(outer)
    # The prefix of a checkpoint's files, as the original names it.
    if parts := [file for file in store.inside(parent, deep=False) if file.address.startswith(f"{address}.")]:
        _copies([*parts, *_small(store, parent)])
        return place
    raise InputError(f"{flag}={address}: no such file or folder")


def _small(store: Store, folder: str) -> list[Listed]:
    """Return the small text files directly in a folder."""
    there = store.inside(folder, deep=False)
    return [file for file in there if file.address.endswith(_SMALL) and file.size <= _SMALL_BYTES]


def _of_model(inside: Sequence[Listed], address: str) -> list[Listed]:
    """Leave out the forms of a model's weights that are not read."""
    relative = {file: PurePosixPath(file.address.removeprefix(f"{address}/")) for file in inside}
    # Each folder by itself: a dense layer of sentence-transformers may be in the older form beside a newer model.
    has_safetensors = {path.parent for path in relative.values() if path.suffix == ".safetensors"}
    return [
        file
        for file, path in relative.items()
        if path.parts[0] not in _OTHER_FORMS
        and path.name != "optimizer.safetensors"
        and not (path.parent in has_safetensors and path.suffix in _OTHER_WEIGHTS)
    ]


def _folder(store: Store, address: str, place: Path, inside: Sequence[Listed]) -> None:
    """Make the local folder the same as the one elsewhere; shards become stubs."""
    wanted = []
    for file in inside:
        parts = file.address.removeprefix(f"{address}/").split("/")
        if not (parts[0] in _NEVER or any(part.startswith(".") for part in parts)):
            wanted.append(file)
    by_name = {file.address.removeprefix(f"{address}/"): file for file in wanted}
    shards: list[Listed] = []
    if _INDEX in by_name:
        index = _copies([by_name[_INDEX]])[0]
        shards = [by_name[name] for name in _shard_names(index) if name in by_name]
    _copies([file for file in wanted if file not in shards])
    _at_once(cache.stub, shards)
    kept = {place / name for name in by_name}
    for path in place.rglob("*"):
        if path.is_file() and path not in kept and not path.name.startswith("."):
            files.remove(path)


def _shard_names(index: Path) -> list[str]:
    """Return the names of the shards in an index; none if it is the index of something else."""
    try:
        return [str(row["name"]) for row in json.loads(index.read_bytes())["shards"]]
    except (ValueError, KeyError, TypeError):
        return []


def _copies(wanted: Sequence[Listed]) -> list[Path]:
    """Return whole copies of files; say what is fetched."""
    missing = [file for file in wanted if cache.version(addresses.place(addresses.inputs(), file.address))[1] is None]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        size = sum(file.size for file in missing) / 1e6
        say(f"Fetching {missing[0].address}{more} ({size:,.1f} MB) into {addresses.home() / 'remote'}")
    return _at_once(cache.copied, wanted)


def _at_once(call: Callable[[Listed], Path], wanted: Sequence[Listed]) -> list[Path]:
    """Call for several files at once; the results are in order."""
    with ThreadPoolExecutor(_AT_ONCE, "fetch") as pool:
        return list(pool.map(call, wanted))
