"""The known tasks: every layout of the table is read from a small file of our own, as the originals read theirs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from bertworks.data.bad_rows import BadRows
from bertworks.datasets import registry
from bertworks.datasets.registry import find_task
from bertworks.errors import InputError
from bertworks.names import plain_name
from bertworks.tasks import known_tasks
from bertworks.tasks.classification.rows import ChoiceRow, Row
from bertworks.tasks.metrics import METRICS
from bertworks.tasks.ner.tag_files import TaggedRow

FIXTURES = Path(__file__).parents[1] / "fixtures" / "tasks"

# What each task's files say, split by split: a list of (id, text, pair, label).
EXPECTED: dict[str, dict[str, list[tuple[Any, ...]]]] = {
    "CoLA": {
        "train": [
            ("train-0", "The miller sang while the wheel turned.", None, "1"),
            ("train-1", "The miller sang while the wheel turn.", None, "0"),
        ],
        "dev": [("dev-0", "Boats the left pier at dawn.", None, "0")],
        "test": [("test-1", "The cat read the map upside down.", None, None)],
    },
    "SST-2": {
        "dev": [("dev-1", "it 's a film to sleep through . ", None, "0")],
        "test": [("test-1", "a quiet joy .", None, None)],
    },
    "MRPC": {
        "train": [
            (
                "train-1",
                'The mill, which he called "the giant", stands on a hill.',
                '"The giant stands on a hill, he said.',
                "1",
            ),
            ("train-2", "Rain fell on the harbour for three days.", "The harbour was dry all week.", "0"),
        ],
        "test": [
            ("test-1", "The baker closed early.", "The bakery shut before noon.", None),
            ("test-2", "Snow is white.", "Coal is black.", None),
        ],
    },
    "STS-B": {
        "train": [
            ("train-0", "A boy feeds a goat.", "A child feeds an animal.", 3.8),
            ("train-1", "A ship sails.", "A cook peels onions.", 0.0),
        ],
        "test": [("test-0", "A dog barks.", "A dog is barking.", None)],
    },
    "QQP": {
        "train": [
            ("train-7", "How do I mend a kettle?", "How can a kettle be mended?", "1"),
            ("train-9", "Where do storks winter?", "What do storks eat?", "0"),
        ],
        "test": [("test-0", "Who built the mill?", "When was the mill built?", None)],
    },
    "MNLI": {
        "train": [
            ("train-0", "The door was locked.", "Nobody could walk in.", "entailment"),
            ("train-1", "He sold the farm.", "He still owns the farm.", "contradiction"),
        ],
        "dev_matched": [("dev_matched-5", "She waved.", "She was happy.", "neutral")],
        "dev_mismatched": [("dev_mismatched-6", "All lamps were lit.", "It was not dark.", "entailment")],
        "dev": [("dev_matched-5", "She waved.", "She was happy.", "neutral")],
        "test_matched": [("test_matched-0", "The well is deep.", "The well is dry.", None)],
        "test_mismatched": [("test_mismatched-0", "He whistled.", "He made a sound.", None)],
    },
    "MNLI-mm": {"dev": [("dev_mismatched-6", "All lamps were lit.", "It was not dark.", "entailment")]},
    "QNLI": {
        "dev": [("dev-0", "When did it rain?", "It rained in May.", "entailment")],
        "test": [("test-0", "Why?", "Because.", None)],
    },
    "RTE": {
        "dev": [("dev-0", "It rained all night.", "The roads are dry.", "not_entailment")],
        "test": [("test-0", "A.", "B.", None)],
    },
    "WNLI": {
        "dev": [("dev-0", "The key broke in the lock because it was old.", "The lock was old.", "0")],
        "test": [("test-0", "A.", "B.", None)],
    },
    "AX": {"test": [("test-0", "The dog did not bark.", "The dog barked.", None)]},
    "XNLI": {
        "train": [
            ("train-1", "门 锁 着 。", "没有 人 能 进来 。", "entailment"),
            ("train-2", "他 卖 了 农场 。", "农场 还是 他 的 。", "contradiction"),
        ],
        "dev": [
            ("dev-2", "她挥了挥手。", "她很高兴。", "neutral"),
            ("dev-3", "灯都亮着。", "一片漆黑。", "contradiction"),
        ],
        "test": [("test-1", "她挥了挥手。", "她很高兴。", "neutral")],
    },
    "XNLI-de": {
        "train": [("train-1", "Die Tür war zu .", "Niemand kam herein .", "entailment")],
        "dev": [("dev-1", "Sie winkte.", "Sie war froh.", "neutral")],
    },
    "LCQMC": {
        "dev": [("dev-1", "几点开门？", "什么时候开门？", "1")],
        "test": [("test-1", "茶好喝吗？", "咖啡好喝吗？", "0")],
    },
    "ChnSentiCorp": {
        "train": [
            ("train-0", "房间干净，窗外能看到河。", None, "positive"),
            ("train-1", "等了两个小时，饭是凉的。", None, "negative"),
        ],
        "test": [("test-1", "早餐不错。", None, None)],
    },
    "TNEWS": {
        "train": [
            ("train-0", "新戏今晚在河边的老剧院首演", None, "102"),
            ("train-1", "棋手连赢三局", None, "116"),
        ],
        "test": [("test-0", "小城的桥明天通车", None, None)],
    },
    "AFQMC": {
        "dev": [("dev-0", "额度是多少", "我有多少额度", "1")],
        "test": [("test-0", "能退款吗", "可以退货吗", None)],
    },
    "CMNLI": {
        # Number 1 has the label "-", which is left out.
        "train": [
            ("train-0", "门锁着。", "没有人能进来。", "entailment"),
            ("train-2", "水很深。", "水很浅。", "contradiction"),
        ],
        "test": [("test-0", "他吹口哨。", "有声音。", None)],
    },
    "SWAG": {
        "train": [
            (
                "train-17",
                "The miller opens the gate, bowing.",
                (
                    "He lets the cart in, then waves.",
                    "He eats the cart.",
                    "He sleeps on the water.",
                    "He becomes a song.",
                ),
                0,
            ),
            (
                "train-18",
                "A girl lifts the net.",
                (
                    "She paints it in the sky.",
                    'She says "look" to her brother.',
                    "She turns into rain.",
                    "She sells the moon.",
                ),
                1,
            ),
        ],
        "test": [
            (
                "test-20",
                "He lights a lamp.",
                ("It glows.", "It runs away.", "It sings.", "It melts the house."),
                None,
            )
        ],
    },
    "CLUENER": {
        "dev": [("0", tuple("她住在桥南路。"), ("O", "O", "O", "B-address", "I-address", "I-address", "O"))],
        "test": [("0", tuple("王芳来了。"), None)],
    },
    "CoNLL-2003": {
        "train": [("0", ("Anna", "lives", "in", "Newbridge", "."), ("B-PER", "O", "O", "B-LOC", "O"))],
        "dev": [("0", ("Bob", "left"), ("B-PER", "O"))],
    },
    "MSRA": {"test": [("0", ("江", "城"), ("B-LOC", "I-LOC"))]},
    "ChineseNER": {"dev": [("0", tuple("李明走"), ("B-PER", "I-PER", "O")), ("1", ("江", "城"), ("B-LOC", "I-LOC"))]},
}


def read(name: str, split: str, data_dir: Path = FIXTURES, bad: BadRows | None = None) -> list[tuple[Any, ...]]:
    found = known_tasks.rows(find_task(name), data_dir, split, bad)
    return [row[1:4] if isinstance(row, TaggedRow) else row[1:] for row in found]


@pytest.mark.parametrize(("name", "split"), [(name, split) for name, splits in EXPECTED.items() for split in splits])
def test_a_task_is_read_as_released(name: str, split: str) -> None:
    assert read(name, split) == EXPECTED[name][split]


def test_every_task_has_a_fixture() -> None:
    assert {find_task(name).name for name in EXPECTED} >= {
        t.name for t in registry.tasks() if not t.name.startswith("XNLI-")
    }


def test_rows_are_of_the_kind_of_the_task() -> None:
    for name, kind in (("mrpc", Row), ("swag", ChoiceRow), ("cluener", TaggedRow)):
        assert {type(row) for row in known_tasks.rows(find_task(name), FIXTURES, "train")} == {kind}


def test_the_place_of_a_row_is_its_line() -> None:
    places = [row.location for row in known_tasks.rows(find_task("QQP"), FIXTURES, "train")]
    assert places == [f"{FIXTURES / 'QQP' / 'train.tsv'}, line {line}" for line in (2, 4)]


def test_the_layout_is_seen_in_the_first_line() -> None:
    for split in ("train", "dev", "test"):
        other = read("chnsenticorp", split, FIXTURES / "ChnSentiCorp-ERNIE")
        assert [row[1:] for row in other] == [row[1:] for row in read("chnsenticorp", split)]


def test_xnli_as_baidu_released_it(tmp_path: Path) -> None:
    for split in ("train", "dev", "test"):
        rows = "" if split == "test" else "\tcontradictory"
        (tmp_path / f"{split}.tsv").write_text(f"text_a\ttext_b\tlabel\n门锁着。\t门开着。{rows}\n", encoding="utf-8")
    assert read("xnli", "dev", tmp_path) == [("dev-1", "门锁着。", "门开着。", "contradiction")]
    assert read("xnli", "test", tmp_path) == [("test-1", "门锁着。", "门开着。", None)]


def test_the_data_folder_may_be_that_of_the_task_or_the_one_above() -> None:
    assert read("mrpc", "dev") == read("mrpc", "dev", FIXTURES / "MRPC")


@pytest.mark.parametrize(
    ("spelled", "name"),
    [
        ("mrpc", "MRPC"),
        ("sst", "SST-2"),
        ("SST2", "SST-2"),
        ("stsb", "STS-B"),
        ("sts_b", "STS-B"),
        ("mnli-mm", "MNLI-mm"),
        ("xnli", "XNLI-zh"),
        ("xnli_de", "XNLI-de"),
        ("chnsenticorp", "ChnSentiCorp"),
        ("conll2003", "CoNLL-2003"),
        ("cluener", "CLUENER"),
        ("diagnostic", "AX"),
    ],
)
def test_names_are_found_however_they_are_spelled(spelled: str, name: str) -> None:
    assert find_task(spelled).name == name


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"--task_name=mprc: no task of this name; did you mean MRPC\?"):
        find_task("mprc")
    with pytest.raises(InputError, match="known are CoLA, SST-2"):
        find_task("???")


def test_one_word_may_mean_several_splits() -> None:
    assert registry.split_names(find_task("mnli"), "dev") == ["dev_matched", "dev_mismatched"]
    assert registry.split_names(find_task("mrpc"), "dev") == ["dev"]
    assert registry.split_names(find_task("ax"), "train") == []


def test_a_task_without_a_dev_set_is_evaluated_on_its_test_set() -> None:
    assert read("msra", "dev") == read("msra", "test")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no valid\.txt or dev\.txt or eng\.testa, the dev set of CoNLL-2003"):
        read("conll", "dev", tmp_path)
    with pytest.raises(InputError, match="AX: has no train set, only test"):
        read("ax", "train")


@pytest.mark.parametrize(
    ("task", "lines", "problem"),
    [
        ("mrpc", ["h", "2\t1\t2\ta\tb"], "line 2: '2' is no label; known are 0, 1"),
        ("mrpc", ["h", "1\t1\t2\ta"], "line 2: has 4 columns, and number 5 is needed; is this the task's file?"),
        ("rte", ["h", "0\ta\tb\tentailmnt"], "line 2: 'entailmnt' is no label; did you mean entailment?"),
        ("sts-b", ["h", *["\t".join("0123456ab5"), "\t".join("0123456abx")]], "line 3: the score 'x' is not a number"),
        ("sts-b", ["h", "\t".join([*"0123456ab", "nan"])], "line 2: the score is nan; give a number"),
        ("sst-2", ["sentence\tlabel"], "has no rows"),
        ("sst-2", [], "has no rows"),
        ("xnli-ar", ["h", "de\tneutral\t\t\t\t\ta\tb"], "has no rows with ar in column 0"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, task: str, lines: list[str], problem: str) -> None:
    path = tmp_path / ("xnli.dev.tsv" if task.startswith("xnli") else "dev.tsv")
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    with pytest.raises(InputError) as error:
        read(task, "dev", tmp_path)
    assert str(error.value).startswith(str(path))
    assert problem in str(error.value)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"label": "102"}', "line 1: has no sentence"),
        ('{"label": "102", "sentence": 5}', "line 1: sentence is not a text but 5"),
        ('{"sentence": "a"}', "line 1: has no label"),
        ('{"sentence": "a", "label": 105}', "line 1: '105' is no label; did you mean"),
    ],
)
def test_what_is_wrong_in_an_object_is_told(tmp_path: Path, content: str, problem: str) -> None:
    (tmp_path / "dev.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=problem.replace("?", r"\?")):
        read("tnews", "dev", tmp_path)


def test_a_choice_that_is_none_is_told(tmp_path: Path) -> None:
    content = (FIXTURES / "SWAG" / "val.csv").read_text(encoding="utf-8").replace("soup.,2", "soup.,4")
    (tmp_path / "val.csv").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"line 2: '4' is not a choice; choices are 0 to 3"):
        read("swag", "dev", tmp_path)


def test_bad_rows_can_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "dev.tsv").write_text("sentence\tlabel\nfine\t1\nbad\t7\nfine too\t0\n", encoding="utf-8")
    bad = BadRows("skip")
    assert [row[1] for row in read("sst-2", "dev", tmp_path, bad)] == ["fine", "fine too"]
    assert bad.notes == [f"{tmp_path / 'dev.tsv'}, line 3: '7' is no label; known are 0, 1"]
    assert bad.summary()[0] == "WARNING: 1 of 3 rows (33.3%) are bad and left out:"


def test_a_bad_header_is_not_left_out(tmp_path: Path) -> None:
    (tmp_path / "dev.tsv").write_bytes(b"sentence\xe9\tlabel\nfine\t1\nbad\t0\n")
    with pytest.raises(InputError, match=r"dev\.tsv, line 1, byte 9: e9 \(hexadecimal\) is not UTF-8"):
        read("sst-2", "dev", tmp_path, BadRows("skip"))


@pytest.mark.parametrize("content", ["sentence\tlabel\nbad\t7\nworse\t8\n", "sentence\tlabel\nbad\n"])
def test_a_file_of_bad_rows_alone_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "dev.tsv").write_text(content, encoding="utf-8")
    bad = BadRows("skip")
    bad.notes.append("another file, line 1: is bad")
    with pytest.raises(InputError, match=r"dev\.tsv: no row can be used; the first: .*dev\.tsv, line 2: "):
        read("sst-2", "dev", tmp_path, bad)


def test_incomplete_rows_of_a_release_are_left_out_and_noted() -> None:
    bad = BadRows()
    assert len(read("qqp", "train", bad=bad)) == 2
    assert len(bad.notes) == 1


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    shutil.copy(FIXTURES / "CoLA" / "train.tsv", tmp_path)
    content = (tmp_path / "train.tsv").read_bytes()
    (tmp_path / "train.tsv").write_bytes(b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n"))
    assert read("cola", "train", tmp_path) == EXPECTED["CoLA"]["train"]


# --------------------------------------------------------------------------------------------------------- the table
def test_the_table_holds_together() -> None:
    known = [plain_name(name) for task in registry.tasks() for name in (task.name, *task.aliases)]
    assert len(set(known)) == len(known)
    for task in registry.tasks():
        assert set(task.counts) <= set(task.splits)
        assert set(task.submissions) <= set(task.splits)
        assert set(task.spellings.values()) <= set(task.labels)
        assert bool(task.labels) == (task.kind == "single")
        assert task.kind == "tags" or set(task.metrics) <= set(METRICS)
        assert task.settings.source
        assert task.home.startswith("http")


REAL = os.environ.get("BERTWORKS_TASK_DATA")


@pytest.mark.skipif(not REAL, reason="BERTWORKS_TASK_DATA names no folder with the real files")
def test_the_counts_of_real_files_are_right() -> None:
    checked = 0
    for task in registry.tasks():
        for split, count in task.counts.items():
            for folder in Path(REAL or "").glob(f"**/{task.folder}"):
                try:
                    registry.locate_split(task, folder, split)
                except InputError:
                    continue
                assert sum(1 for _ in known_tasks.rows(task, folder, split)) == count, (task.name, split)
                checked += 1
    assert checked
