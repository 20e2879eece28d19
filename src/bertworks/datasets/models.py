"""From a name to files: a known model, or a name of the Hugging Face hub, downloaded to the cache when first asked for.

The cache is the folder `models` in BERTWORKS_HOME (by default `bertworks` in the user's cache folder). Files in it are
used without the network. What was downloaded was checked when it came. What a person put there by hand is used as it
is, but the checksums of GluonNLP's archives are compared when they are unpacked. Archives stay as they are, because
checkpoints are read inside them; only GluonNLP's are unpacked, because weights and vocabulary come in two archives.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from bertworks.addresses import home
from bertworks.datasets import registry
from bertworks.datasets.archives import check_zip, unpack
from bertworks.datasets.download import OFFLINE, download_file, is_offline
from bertworks.datasets.schema import KnownModel, RemoteFile
from bertworks.errors import InputError, one_line

# Weights and two slots of an optimizer in float32 for each parameter, and the other files of a checkpoint.
_BYTES_PER_PARAMETER, _OTHER_BYTES = 16, 64 << 20

_HUB_NAME = r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*"
# A name that ends like a file of a checkpoint, or like the original's prefixes, is a path, even if nothing is there.
_FILE = r".*(\.(ckpt|zip|index|bin|safetensors|params|json|pt|pth|txt)|\.data-\d{5}-of-\d{5})"
# A handle of TensorFlow Hub, or its address at Kaggle. It ends with the name that the weights have in Google's release.
_TF_HUB = re.compile(
    r"(?:https?://)?(?:www\.)?(?:tfhub\.dev|kaggle\.com/models)/(?P<folder>(?:[\w-]+/)*)"
    r"bert[_-](?:en[_-])?(?P<name>[\w-]+[_-]l-\d+[_-]h-\d+[_-]a-\d+)(?:/\d+)?/?",
    re.IGNORECASE,
)
# The original's flag, which names a file.
_NEVER_THE_HUB = "--init_checkpoint"
# The configuration, how text is cut, and, of sentence-transformers, how a vector is made of a text.
_HUB_TEXTS = (
    r"config\.json|vocab\.txt|tokenizer(_config)?\.json|special_tokens_map\.json|added_tokens\.json"
    r"|modules\.json|config_sentence_transformers\.json|sentence_\w+_config\.json"
    r"|\d+_\w+/(config\.json|model\.safetensors|pytorch_model\.bin)"
)
# Weights, in one file or in several with an index; safetensors are preferred.
_HUB_WEIGHTS = (
    r"model(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json",
    r"pytorch_model(-\d+-of-\d+)?\.bin|pytorch_model\.bin\.index\.json",
)


# How long to wait for the first answer of the hub.
_HUB_SECONDS = 10.0


def cache() -> Path:
    """Return the folder of downloaded models."""
    return home() / "models"


def locate(name: str, flag: str) -> Path:
    """Return the path of a model: the path that was given, or the files of a name, downloaded if they are not cached.

    Args:
        name: a path; the name of a known model, or `NAME/MEMBER` for one model in an archive of several; a handle of
            TensorFlow Hub; or `owner/name` on the Hugging Face hub. A path that exists comes first. A name that ends
            like a file of a checkpoint is never looked for on the hub.
        flag: the flag it was given with, for messages; --init_checkpoint never means the hub.

    Raises:
        InputError: there is no such name, or it cannot be downloaded.
    """
    name = _of_handle(name)
    path = Path(name)
    leads_into_a_folder = len(path.parts) > 1 and (path.is_absolute() or Path(path.parts[0]).exists())
    if path.exists() or leads_into_a_folder or Path(f"{name}.index").exists():
        return path
    head, _, inside = name.partition("/")
    if model := registry.find_model(head):
        return fetch(model) / inside
    if flag != _NEVER_THE_HUB and is_hub_name(name):
        return _from_hub(name, flag)
    if len(path.parts) > 1:
        return path
    hint = registry.did_you_mean(registry.models(), name, 3) or "`bert models` lists the names"
    raise InputError(f"{flag}={name}: no such file or folder, and no model of that name; {hint}")


def is_hub_name(name: str) -> bool:
    """Tell whether a name that is no path here may be one of the Hugging Face hub, `owner/name`."""
    return re.fullmatch(_HUB_NAME, name) is not None and not re.fullmatch(_FILE, name)


def is_handle(name: str) -> bool:
    """Tell whether a name is a handle of TensorFlow Hub."""
    return _TF_HUB.fullmatch(name) is not None


def _of_handle(name: str) -> str:
    """Return the name of the model that a handle of TensorFlow Hub names; any other name as it is."""
    handle = _TF_HUB.fullmatch(name)
    if handle is None:
        return name
    found = re.sub(r"^zh(?=[_-])", "chinese", handle["name"])
    # One of the small models of 2020 has the name of a model of 2018.
    small = registry.find_model(f"{found}-2020") if "small_bert" in handle["folder"] else None
    return small.name if small else found


def cached_path(model: KnownModel, root: Path | None = None) -> Path:
    """Return the path of a model's file or folder in the cache, or in the folder `root`."""
    folder = (root or cache()) / model.family
    if model.family != "google":
        return folder / model.name
    # With the date, because two archives have the same name; the name stays, because it tells the casing.
    date, archive = PurePosixPath(urlsplit(model.files[0].address).path).parts[-2:]
    return folder / date / archive


def is_cached(model: KnownModel) -> bool:
    """Tell whether all files of a model are in the cache."""
    folder = _folder(model, None)
    return all(remote.is_in(folder) for remote in model.files)


def fetch(model: KnownModel, root: Path | None = None, files: Sequence[RemoteFile] | None = None) -> Path:
    """Download those of a model's files, of all or of some, that are missing; return its file or folder.

    Raises:
        InputError: one cannot be downloaded, or another one came. The message tells what to download by hand: all that
            is missing.
    """
    folder, most = _folder(model, root), _most_bytes(model)
    missing = [remote for remote in (model.files if files is None else files) if not remote.is_in(folder)]
    for number, remote in enumerate(missing):
        check = partial(check_zip, remote=remote, most=most) if remote.file_name.endswith(".zip") else None
        try:
            path = download_file(remote, folder, model.name, most, check)
        except InputError as error:
            paths = {other.address: folder / other.file_name for other in missing[number + 1 :]}
            also = "".join(f"; and {address} at {to}" for address, to in paths.items() if not to.exists())
            raise InputError(f"{error}{also}") from None
        if remote.unpack:
            try:
                unpack(path, remote, most)
            except InputError as error:
                raise InputError(f"{path}: {error}; remove it") from None
    return cached_path(model, root)


def _folder(model: KnownModel, root: Path | None) -> Path:
    """Return the folder of a model's files."""
    path = cached_path(model, root)
    return path.parent if model.family == "google" else path


def _most_bytes(model: KnownModel) -> int:
    """Return the most bytes that the files of a model may have; of an archive, those of all models of its date."""
    of_its_date = sum(other.parameters or 0 for other in registry.models() if other.date == model.date)
    return _BYTES_PER_PARAMETER * (model.parameters or of_its_date) + _OTHER_BYTES


def _from_hub(name: str, flag: str) -> Path:
    """Return the cached folder of a model of the Hugging Face hub; it appears when all files have been downloaded."""
    folder = cache() / "hub" / name
    if folder.is_dir():
        return folder
    if is_offline():
        raise InputError(
            f"{flag}={name}: no such file or folder, and not taken from the hub because {OFFLINE}=1 is set"
        )
    try:
        import huggingface_hub  # noqa: PLC0415  (an extra)
    except ImportError:
        raise InputError(
            f'{flag}={name}: no such file or folder; to take it from the Hugging Face hub: pip install "bertworks[hub]"'
        ) from None
    unfinished = folder.with_name(f"{folder.name}.partial")
    try:
        # `list_repo_files` tries again for half a minute where there is no network.
        files = [entry.rfilename for entry in huggingface_hub.model_info(name, timeout=_HUB_SECONDS).siblings or ()]
        weights = next((found for form in _HUB_WEIGHTS if (found := [f for f in files if re.fullmatch(form, f)])), None)
        if weights is None:
            raise InputError("it has no model.safetensors and no pytorch_model.bin")
        wanted = [*weights, *(file for file in files if re.fullmatch(_HUB_TEXTS, file))]
        huggingface_hub.snapshot_download(name, local_dir=unfinished, allow_patterns=wanted)
        shutil.rmtree(unfinished / ".cache", ignore_errors=True)
        unfinished.rename(folder)
    # The library passes on the errors of all libraries that it uses.
    except Exception as error:
        if folder.is_dir():  # another process was faster
            return folder
        raise InputError(
            f"{flag}={name}: no such file or folder, and no download from the Hugging Face hub ({one_line(error)}); "
            f"if it is a model there, put its files into {folder}"
        ) from None
    return folder
