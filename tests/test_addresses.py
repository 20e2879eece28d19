"""Addresses, and the local places that stand for them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertworks import addresses
from bertworks.errors import InputError

_NAMES = st.text("abcxyz019._-=", min_size=1).filter(lambda name: name not in (".", ".."))


@given(st.sampled_from(addresses.SCHEMES), st.lists(_NAMES, min_size=1, max_size=4), st.booleans())
def test_a_place_and_its_address_name_each_other(scheme: str, parts: list[str], is_input: bool) -> None:
    address = f"{scheme}://{'/'.join(parts)}"
    root = addresses.inputs() if is_input else addresses.outputs()
    place = addresses.place(root, address)
    assert addresses.address_of(place) == address
    assert addresses.shown(f"{place}: damaged") == f"{address}: damaged"
    assert place.is_relative_to(root / scheme)


def test_a_query_is_kept_and_the_name_keeps_its_ending() -> None:
    address = "https://host/a/b.csv?x=1&y=a/b"
    place = addresses.place(addresses.inputs(), address)
    assert place.name == "b.csv"
    assert addresses.address_of(place) == address


@pytest.mark.parametrize("address", ["gs://", "gs://b/../../etc/passwd", "gs://b/./x", "gs://b/a,b", "s3://b/\0"])
def test_no_place_lies_outside(address: str) -> None:
    with pytest.raises(InputError, match=r"address|comma"):
        addresses.place(addresses.inputs(), address)


def test_other_paths_and_texts_stay() -> None:
    assert addresses.address_of(Path("/etc/passwd")) is None
    assert addresses.shown("Wrote /tmp/x") == "Wrote /tmp/x"
    assert addresses.split("uncased") == ("", "", "uncased")
    assert addresses.split("NAME=gs://b/x") == ("NAME=", "gs", "gs://b/x")


def test_file_addresses_are_paths() -> None:
    assert addresses.of_file("file:///a/b%20c") == "/a/b c"
    assert addresses.of_file("file://localhost/a") == "/a"
    with pytest.raises(InputError, match="another machine"):
        addresses.of_file("file://host/a")
