"""The reader of rows in TOML: what it accepts, and that every mistake is told with its file and line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bertworks.datasets.schema import DataSet, KnownModel, KnownTask, PublishedSettings, RemoteFile, TaskFile
from bertworks.datasets.toml_rows import read_rows
from bertworks.errors import InputError

TASKS = """\
[settings.mine]
train_batch_size = 16
learning_rate = 2e-5
num_train_epochs = 3
max_seq_length = 64
source = "my paper"

# My tasks.
[[task]]
name = "Weather"
aliases = ["forecast"]
folder = "weather"
labels = ["rain", "sun"]
settings = "mine"
counts = { train = 2_000 }
home = "https://example.org/"
files = [
    { split = "train", name = "train.tsv", text = 1, label = "sky", only = [0, "en"] },
]

[[task]]
name = "Mood"
folder = "mood"
settings = "mine"
counts = {}
home = "https://example.org/"
[[task.files]]
split = "dev"
name = "dev.json"
text = "said"
"""


def read(text: str) -> tuple[KnownTask, ...]:
    return read_rows(text, "tasks.toml", "task", KnownTask, settings=PublishedSettings)


def test_a_row_of_somebody_elses_is_read() -> None:
    weather, mood = read(TASKS)
    assert weather == KnownTask(
        name="Weather",
        aliases=("forecast",),
        folder="weather",
        files=(TaskFile("train", "train.tsv", 1, label="sky", only=(0, "en")),),
        labels=("rain", "sun"),
        settings=PublishedSettings(16, 2e-5, 3.0, 64, "my paper"),
        counts={"train": 2000},
        home="https://example.org/",
    )
    assert mood.files == (TaskFile("dev", "dev.json", "said"),)
    assert mood.settings is weather.settings
    assert isinstance(weather.settings.num_train_epochs, float)


def test_a_row_may_have_settings_of_its_own() -> None:
    own = "{ train_batch_size = 8, learning_rate = 1e-5, num_train_epochs = 1, max_seq_length = 32, source = 'me' }"
    (_, mood) = read(TASKS.replace('"mine"\ncounts = {}', f"{own}\ncounts = {{}}"))
    assert mood.settings == PublishedSettings(8, 1e-5, 1.0, 32, "me")


@pytest.mark.parametrize(
    ("right", "wrong", "problem"),
    [
        ('"Weather"\n', '"Weather"\nlables = ["rain"]\n', "line 9: Weather: unknown key 'lables'; known are name, al"),
        ('folder = "mood"\n', "", "line 21: Mood: has no folder; add it"),
        ('name = "Mood"\n', "", "line 21: task: has no name; add it"),
        ('"mood"', "3", "line 21: Mood: folder: 3 is not a text"),
        ('"mood"', '"mood"\nkind = "poem"', "line 21: Mood: kind: 'poem' is not one of single, multi, regression"),
        ('["rain", "sun"]', '["rain", 1]', "line 9: Weather: labels, number 2: 1 is not a text"),
        ('["rain", "sun"]', '"rain"', "line 9: Weather: labels: 'rain' is not a list"),
        ('"mine"\ncounts = {}', '"mine"\ncounts = 5', "line 21: Mood: counts: 5 is not a table"),
        ("2_000", "true", "line 9: Weather: counts: train: True is not an integer"),
        ("text = 1", "text = 1.5", "line 9: Weather: files, number 1: text: 1.5 is not an integer or a text"),
        ('[0, "en"]', "[0]", r"line 9: Weather: files, number 1: only: [0] is not a list of 2"),
        ('split = "dev"', 'spilt = "dev"', "line 21: Mood: files, number 1: unknown key 'spilt'"),
        ('name = "dev.json"\n', "", "line 21: Mood: files, number 1: has no name; add it"),
        ('"mine"\ncounts = {}', '["mine"]\ncounts = {}', "line 21: Mood: settings: ['mine'] is not a table"),
        ('"mine"\ncounts = {}', '"mein"\ncounts = {}', "line 21: Mood: settings: no 'mein'; known are mine"),
        ("2e-5", '"2e-5"', "line 1: settings.mine: learning_rate: '2e-5' is not a number"),
        ('"Mood"', '"WEATHER"', "line 21: WEATHER: WEATHER is a name of Weather too; give each task its own names"),
        ('"Mood"', '"Mood"\naliases = ["fore-cast"]', "line 21: Mood: fore-cast is a name of Weather too"),
        ("# My", "[tusks]\n#", "line 8: unknown table 'tusks'; known are task, settings"),
        ("[settings.mine]", "[settings.mine", "not TOML: "),
    ],
)
def test_a_wrong_row_is_told_with_its_file_and_line(right: str, wrong: str, problem: str) -> None:
    assert TASKS.count(right) == 1
    with pytest.raises(InputError) as error:
        read(TASKS.replace(right, wrong))
    assert str(error.value).startswith("tasks.toml")
    assert problem in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["task = 5", "task = [5]", '[task]\nname = "x"', "settings = 5", "[settings]\nx = 5"])
def test_what_is_no_table_is_told(text: str) -> None:
    with pytest.raises(InputError, match=r"^tasks\.toml"):
        read(text)


MODELS = """\
[[model]]
for_each = [
    { layers = 2, hidden = 128, heads = 2, aliases = ["tiny"] },
    { layers = 4, hidden = 256, heads = 4, remark = "new" },
]
name = "L-{layers}_A-{heads}"
family = "google"
do_lower_case = true
[[model.files]]
address = "https://example.org/{layers}.zip"
unpack = ["{layers}/x"]
member_checksums = { "{layers}/x" = "sha1:0" }
"""


def test_a_table_stands_for_several_rows() -> None:
    tiny, mini = read_rows(MODELS, "models.toml", "model", KnownModel)
    remote = RemoteFile("https://example.org/2.zip", unpack=("2/x",), member_checksums={"2/x": "sha1:0"})
    assert tiny == KnownModel(
        name="L-2_A-2",
        aliases=("tiny",),
        family="google",
        layers=2,
        hidden=128,
        do_lower_case=True,
        files=(remote,),
    )
    remote = replace(remote, address="https://example.org/4.zip", unpack=("4/x",), member_checksums={"4/x": "sha1:0"})
    assert mini == replace(tiny, name="L-4_A-4", aliases=(), layers=4, hidden=256, files=(remote,), remark="new")


@pytest.mark.parametrize(
    ("right", "wrong", "problem"),
    [
        ("remark", "remarks", "line 1: for_each: unknown key 'remarks'; no text of the row has {remarks}"),
        ("layers = 4, ", "layers = 2, ", None),
        ("heads = 4", "heads = 2", None),
        ("hidden = 256", 'hidden = "256"', "line 1: L-4_A-4: hidden: '256' is not an integer"),
        ('name = "L-{layers}_A-{heads}"', 'name = "x{heads}"\nlayers = 3', None),
    ],
)
def test_a_wrong_entry_is_told(right: str, wrong: str, problem: str | None) -> None:
    text = MODELS.replace(right, wrong)
    if problem is None:
        assert len(read_rows(text, "models.toml", "model", KnownModel)) == 2
        return
    with pytest.raises(InputError) as error:
        read_rows(text, "models.toml", "model", KnownModel)
    assert str(error.value) == f"models.toml, {problem}"


def test_for_each_needs_tables() -> None:
    with pytest.raises(InputError, match=r"models\.toml, line 1: for_each is not a list of tables"):
        read_rows('[[model]]\nfor_each = ["a"]\n', "models.toml", "model", KnownModel)


def test_files_may_be_left_out_of_a_data_set() -> None:
    text = '[[data_set]]\nname = "T"\nfolder = "t"\nhome = "h"\n'
    assert read_rows(text, "downloads.toml", "data_set", DataSet) == (DataSet(name="T", folder="t", home="h"),)
