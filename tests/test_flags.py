"""The command line: every spelling people know, and nothing by accident."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from bertworks.errors import InputError
from bertworks.flags import (
    REQUIRED,
    RETIRED,
    CommandFlags,
    absolute_unless_name,
    describe,
    flag,
    help_text,
    normalise,
    parse,
    to_toml,
)


@dataclass(frozen=True, kw_only=True)
class Flags(CommandFlags):
    """Does something."""

    input_file: str = flag(REQUIRED, "What to read.", group="Input", path=True)
    do_train: bool = flag(False, "Whether to train.")
    do_lower_case: bool = flag(True, "Whether to lower-case.", alias="do_lower")
    learning_rate: float = flag(5e-5, "Peak rate; 100% of it.", alias="lr rate")
    layers: str = flag("-1", "Which layers.")
    steps: int | None = flag(None, "How many.")
    size: Literal["tiny", "base"] = flag("base", "Which size.", other_names={"small": "tiny"})
    batch_size: int = flag(32, "How many at a time.", lowest=1, alias=("batch", "per_device_batch_size"))
    share: float = flag(1.0, "A share.", above=0, highest=1)
    use_tpu: bool = flag(False, "", group=RETIRED)


def read(*words: str) -> Flags:
    return parse(Flags, ["--input_file=a", *words], "bert test")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--do_train"], True),
        (["--do_train=true"], True),
        (["--do_train=True"], True),
        (["--do_train", "True"], True),
        (["--do-train", "1"], True),
        (["-do_train"], True),
        (["--do_train=False"], False),
        (["--do_train", "false"], False),
        (["--do_train", "--nodo_train"], False),
        (["--do_train", "--no_do_train"], False),
        (["--do_train", "--no-do-train"], False),
    ],
)
def test_booleans(words: list[str], expected: bool) -> None:
    assert read(*words).do_train is expected


def test_a_boolean_does_not_swallow_the_next_flag() -> None:
    flags = read("--do_train", "--steps", "7")
    assert (flags.do_train, flags.steps) == (True, 7)


def test_values_may_begin_with_a_minus() -> None:
    assert read("--layers", "-1,-2").layers == "-1,-2"
    assert read("--layers=-1,-2").layers == "-1,-2"


def test_the_last_one_counts_and_an_equals_sign_may_be_in_the_value() -> None:
    assert read("--layers=a", "--layers=b=c").layers == "b=c"


def test_types_optionals_and_aliases() -> None:
    flags = read("--learning_rate", "2e-5", "--do_lower=False", "--steps=None", "--size=tiny")
    assert (flags.learning_rate, flags.do_lower_case, flags.steps, flags.size) == (2e-5, False, None, "tiny")


@pytest.mark.parametrize("spelling", ["--learning_rate", "--learning-rate", "--lr", "--rate", "-lr"])
def test_several_spellings_of_a_flag(spelling: str) -> None:
    assert read(f"{spelling}=2e-5").learning_rate == read(spelling, "2e-5").learning_rate == 2e-5
    with pytest.raises(InputError, match="--learning_rate: 'fast' is not a number"):
        read(spelling, "fast")


def test_spellings_as_a_tuple_and_the_last_one_counts() -> None:
    assert read("--batch=4").batch_size == read("--per-device-batch-size", "4").batch_size == 4
    assert read("--batch_size=8", "--batch=4").batch_size == 4
    assert describe(Flags)["batch_size"].aliases == ("batch", "per_device_batch_size")
    assert describe(Flags)["steps"].aliases == ()


def test_what_is_written_are_the_names(tmp_path: Path) -> None:
    text = to_toml(read("--lr=0.25", "--size=small"), "test")
    assert "learning_rate = 0.25" in text
    assert 'size = "tiny"' in text
    assert "lr" not in text
    (tmp_path / "run.toml").write_text('size = "small"\n')
    assert read(f"--config={tmp_path / 'run.toml'}").size == "tiny"
    (tmp_path / "run.toml").write_text("lr = 0.25\n")
    with pytest.raises(InputError, match="lr is not a flag"):
        read(f"--config={tmp_path / 'run.toml'}")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--lerning_rate=1"], "did you mean --learning_rate"),
        (["--learn=1"], "--learn: no such flag"),
        (["--steps=many"], "--steps: 'many' is not a whole number"),
        (["--learning_rate=fast"], "--learning_rate: 'fast' is not a number"),
        (["--do_train=maybe"], "is not true or false"),
        (["--size=huge"], "'huge' is not one of tiny, base"),
        (["--steps"], "--steps: needs a value"),
        (["--batch_size=0"], "--batch_size: 0 must be at least 1"),
        (["--learning_rate=nan"], "--learning_rate: nan must be at most"),
        (["--share=0"], "--share: 0 must be above 0"),
        (["--share=1.5"], "--share: 1.5 must be at most 1"),
        (["--share=nan"], "--share: nan must be at most 1"),
        (["--steps=99999999999999999999"], "--steps: 99999999999999999999 must be at most"),
        (["stray"], "'stray' is not a flag"),
    ],
)
def test_mistakes_are_named(words: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        read(*words)


def test_bytes_that_are_not_utf8_are_told_except_in_paths() -> None:
    latin = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert read(f"--input_file={latin}").input_file == latin
    with pytest.raises(InputError, match=r"--layers: has bytes that are not UTF-8; give them in UTF-8, or in a file"):
        read("--input_file=x", f"--layers={latin}")


def test_a_required_flag_that_is_missing() -> None:
    with pytest.raises(InputError, match="--input_file: must be given"):
        parse(Flags, [], "bert test")


def test_config_file_sits_under_the_command_line(tmp_path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('input_file = "b"\ndo_train = true\nsteps = 3\n')
    flags = parse(Flags, [f"--config={path}", "--steps=4"], "bert test")
    assert (flags.input_file, flags.do_train, flags.steps) == ("b", True, 4)
    path.write_text("stepz = 3\n")
    with pytest.raises(InputError, match="stepz is not a flag; did you mean steps"):
        read(f"--config={path}")
    path.write_text("steps = = 3\n")
    with pytest.raises(InputError, match="not a TOML file"):
        read(f"--config={path}")
    with pytest.raises(InputError, match="no such file"):
        read("--config=absent.toml")


def test_written_flags_read_back(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    flags = parse(Flags, ['--input_file=a,sub/*.txt,gs://x/y"z', "--do_train", "--layers=-1", "--use_tpu"], "bert test")
    text = to_toml(flags, "test")
    assert "use_tpu" not in text
    assert "steps" not in text
    (tmp_path / "flags.toml").write_text(text)
    again = parse(Flags, ["--config=flags.toml"], "bert test")
    assert again.input_file == f'{tmp_path}/a,{tmp_path}/sub/*.txt,gs://x/y"z'
    assert (again.do_train, again.layers, again.learning_rate) == (True, "-1", 5e-5)


def test_help_shows_groups_defaults_and_what_is_retired() -> None:
    text = help_text(Flags, "bert test", everything=True)
    assert "Does something." in text
    assert "Peak rate; 100% of it. (default: 5e-05)" in " ".join(text.split())
    assert text.index("Input:") < text.index("without effect")
    assert "{tiny,base}" in text


def test_help_exits_cleanly(capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        parse(Flags, ["--help"], "bert test")
    assert stop.value.code == 0
    assert "bert test" in capsys.readouterr().out


def test_normalise_gives_pairs() -> None:
    assert normalise(["--steps=1", "--do-train"], describe(Flags)) == [("steps", "1"), ("do_train", "true")]


@dataclass(frozen=True, kw_only=True)
class Positional(CommandFlags):
    """Copies something."""

    verbose: bool = flag(False, "Whether to tell.")
    src: str = flag(REQUIRED, "From where.", positional=True)
    dst: str = flag("here", "Where to.", positional=True)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["a", "b"], ("a", "b", False)),
        (["a"], ("a", "here", False)),
        (["a", "--verbose", "b"], ("a", "b", True)),
        (["--verbose=true", "a", "b"], ("a", "b", True)),
        (["--src=a", "b"], ("a", "b", False)),
        (["--dst", "b", "a"], ("a", "b", False)),
        (["--src=a", "--dst=b"], ("a", "b", False)),
        (["a=b", "c"], ("a=b", "c", False)),
        (["a", "--src=b"], ("b", "here", False)),
    ],
)
def test_words_without_a_flag(words: list[str], expected: tuple[str, str, bool]) -> None:
    flags = parse(Positional, words, "bert test")
    assert (flags.src, flags.dst, flags.verbose) == expected


@dataclass(frozen=True, kw_only=True)
class Models(CommandFlags):
    """Words for one flag."""

    models: str = flag(REQUIRED, "What to load.", positional="several")
    port: int = flag(1, "Where.")


def test_words_without_a_flag_go_on_to_one_that_takes_several() -> None:
    for words in (["a", "b", "--port=2", "c"], ["--models=a", "b", "c", "--port=2"], ["--models=a,b,c", "--port", "2"]):
        found = parse(Models, words, "p")
        assert (found.models, found.port) == ("a,b,c", 2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--src: must be given"),
        (["a", "b", "c"], "'c' is not a flag; flags look like --name=value"),
        (["--", "b"], "'--' is not a flag"),
        (["a", "-b"], "--b: no such flag"),
    ],
)
def test_mistakes_with_words_without_a_flag(words: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse(Positional, words, "bert test")


def test_help_shows_what_needs_no_flag() -> None:
    assert help_text(Positional, "bert test").startswith("usage: bert test SRC DST --flag=value ...\n")
    assert help_text(Flags, "bert test").startswith("usage: bert test --flag=value ...\n")


@dataclass(frozen=True, kw_only=True)
class Several(CommandFlags):
    """Takes any number of words."""

    first: str = flag(REQUIRED, "The first.", positional=True)
    others: str = flag("", "The others.", positional="several")


def test_all_words_that_are_left_go_to_one_flag() -> None:
    found = parse(Several, ["a", "b", "-", "c"], "bert test")
    assert (found.first, found.others) == ("a", "b,-,c")
    assert "FIRST OTHERS ... --flag=value" in help_text(Several, "bert test")


@dataclass(frozen=True, kw_only=True)
class Many(CommandFlags):
    """Has too many flags for a screen."""

    shown_first = "b"

    a: int = flag(REQUIRED, "A number. It is whole.")
    b: int = flag(0, "Another number. " + "It is whole. " * 400)
    c: int = flag(0, "What nobody needs.")
    d: int = flag(0, "", group=RETIRED)


@pytest.mark.parametrize("words", [["--help=all"], ["--help", "all"], ["--helpfull"], ["-h=all"]])
def test_a_long_help_is_cut_to_a_screen(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    short = help_text(Many, "bert test")
    assert "--help=all shows all 4 flags." in short
    assert "A number. (required)" in short
    assert "Another number. (default: 0)" in short
    assert "nobody" not in short
    with pytest.raises(SystemExit):
        parse(Many, words, "bert test")
    everything = capsys.readouterr().out
    assert "nobody" in everything
    assert "--d " in everything
    assert "It is whole." in everything


def test_a_name_is_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "x.ckpt.index").touch()
    for name in ("bert-base-uncased", "google/bert_uncased_L-2_H-128_A-2", None):
        assert absolute_unless_name(name) == name
    for path in ("folder", "folder/inner", "x.ckpt"):
        assert absolute_unless_name(path) == str(tmp_path / path)


@pytest.mark.parametrize("value", ["[" * 100_000, "9" * 5_000])
def test_a_hostile_file_of_flags_is_one_line(tmp_path: Path, value: str) -> None:
    (tmp_path / "flags.toml").write_text(f"steps = {value}")
    with pytest.raises(InputError, match="not a TOML file"):
        read(f"--config={tmp_path / 'flags.toml'}")


@dataclass(frozen=True, kw_only=True)
class Listed(CommandFlags):
    """One number, or several."""

    length: int | tuple[int, ...] = flag(128, "Lengths.", lowest=1, listed=True)
    kind: Literal["one", "two"] | tuple[Literal["one", "two"], ...] = flag("one", "Kinds.", listed=True)


def test_a_flag_may_have_several_values(tmp_path: Path) -> None:
    found = parse(Listed, ["--length=64,128, 512", "--kind=one,two"], "bert test")
    assert (found.length, found.kind) == ((64, 128, 512), ("one", "two"))
    assert parse(Listed, ["--length=64"], "bert test").length == 64
    (tmp_path / "flags.toml").write_text(to_toml(found, "test"))
    assert parse(Listed, [f"--config={tmp_path / 'flags.toml'}"], "bert test") == found
    for words, said in (("--length=64,x", "'x' is not a whole number"), ("--length=0,5", "0 must be at least 1")):
        with pytest.raises(InputError, match=said):
            parse(Listed, [words], "bert test")
    with pytest.raises(InputError, match="is not one of one, two"):
        parse(Listed, ["--kind=one,three"], "bert test")
