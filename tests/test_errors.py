"""What a person is told: one line, which names the file."""

from pathlib import Path

import pytest

from bertworks.errors import InputError, damage_named, printable, told


@pytest.mark.parametrize(
    "error", [ValueError("a\nb"), KeyError("step"), TypeError(), IndexError("x"), RecursionError("y")]
)
def test_what_damaged_contents_cause_becomes_one_line(error: Exception) -> None:
    with pytest.raises(InputError) as found, damage_named(Path("run.json"), "restore it"):
        raise error
    assert str(found.value).startswith(f"run.json: damaged ({type(error).__name__}")
    assert str(found.value).endswith("); restore it")
    assert "\n" not in str(found.value)


def test_other_errors_pass() -> None:
    with pytest.raises(InputError, match=r"^a better line$"), damage_named(Path("a"), "b"):
        raise InputError("a better line")
    with pytest.raises(OSError, match=r"^gone$"), damage_named(Path("a"), "b"):
        raise OSError("gone")


def test_errors_of_the_system_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as found:
        (tmp_path / "absent").read_text()
    assert told(found.value) == f"{tmp_path / 'absent'}: No such file or directory"
    assert told(RuntimeError("x")) is None


def test_what_a_terminal_would_obey_is_not_shown() -> None:
    assert printable("a\x1b[2Jb\nc") == "a?[2Jb\nc"
