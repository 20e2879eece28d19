"""The table of the tasks that are known by name: their files, columns, labels, metrics and settings.

Sources. Columns and labels: `run_classifier.py` of google-research/bert (CoLA, MNLI, MRPC, XNLI), GluonNLP 0.10's
`data/glue.py`, `data/baidu_ernie_data.py` and `scripts/bert/data/classification.py` (the rest of GLUE, LCQMC,
ChnSentiCorp), `baselines/models/classifier_utils.py` of CLUE (AFQMC, CMNLI, TNEWS), transformers'
`examples/multiple-choice/utils_multiple_choice.py` (SWAG). Where two of them order labels differently, Google's order
stands, then GluonNLP's. Counts and home pages: the dataset cards of Hugging Face's `datasets`, and the papers.
"""

from __future__ import annotations

from bertworks.datasets.known_task import Column, File, KnownTask, Settings

_Columns = tuple[Column] | tuple[Column, Column] | tuple[Column, Column | None, Column]

XNLI_LANGUAGES = ("ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh")

_BINARY = ("0", "1")
_NLI = ("contradiction", "entailment", "neutral")
_ENDINGS = ("ending0", "ending1", "ending2", "ending3")
_ENTAILMENT = ("not_entailment", "entailment")

# GLUE and XNLI: for those who ask; the flags keep the defaults of the original's run_classifier.py.
_README = Settings(32, 2e-5, 3.0, 128, "README of google-research/bert", applied=False)
_RUN_CLASSIFIER = Settings(
    32, 5e-5, 3.0, 128, "the flags' defaults in run_classifier.py of google-research/bert", applied=False
)
_MULTILINGUAL = Settings(32, 5e-5, 2.0, 128, "multilingual.md of google-research/bert", applied=False)
_RUN_GLUE = Settings(32, 2e-5, 3.0, 128, "README of run_glue.py in transformers", applied=False)
_RUN_GLUE_WNLI = Settings(32, 2e-5, 5.0, 128, "README of run_glue.py in transformers", applied=False)
# The rest: what is trained with where the flags do not say.
_CLUE_SHORT = Settings(16, 3e-5, 2.0, 128, "baselines/models/bert of CLUE")
_CLUE = Settings(32, 2e-5, 3.0, 128, "baselines/models/bert of CLUE")
_ERNIE = Settings(24, 5e-5, 10.0, 256, "script/run_ChnSentiCorp.sh of ERNIE 1.0")
_SWAG = Settings(16, 2e-5, 3.0, 80, "the BERT paper; length: README of run_multiple_choice.py in transformers")
_GLUON_NER = Settings(32, 5e-5, 4.0, 180, "the flags' defaults in scripts/ner/finetune_bert.py of GluonNLP")
_MINDSPORE_NER = Settings(32, 2e-5, 5.0, 128, "task_ner_config.yaml of MindSpore's BERT")


def _tsv(columns: _Columns, test: _Columns, id: Column | None = None) -> tuple[File, ...]:
    """train.tsv, dev.tsv and test.tsv with a header; the columns of the text, its pair and the label."""
    labelled = [File(split, f"{split}.tsv", *columns, id=id) for split in ("train", "dev")]
    return (*labelled, File("test", "test.tsv", *test, id=id))


def _json_lines(text: str, pair: str | None = None) -> tuple[File, ...]:
    """train.json, dev.json and test.json of CLUE."""
    labelled = [File(split, f"{split}.json", text, pair, "label") for split in ("train", "dev")]
    # Newer archives of TNEWS have two test sets.
    return (*labelled, *(File("test", name, text, pair) for name in ("test.json", "test1.0.json")))


def _tags(**names: str) -> tuple[File, ...]:
    """For each split the names that its file has, with blanks between."""
    return tuple(File(split, name) for split, several in names.items() for name in several.split())


def _xnli(language: str) -> KnownTask:
    files = [
        File("train", f"multinli/multinli.train.{language}.tsv", 0, 1, 2),
        File("dev", "xnli.dev.tsv", 6, 7, 1, only=(0, language)),
        File("test", "xnli.test.tsv", 6, 7, 1, only=(0, language)),
    ]
    if language == "zh":
        # As Baidu released it with ERNIE, which is what GluonNLP downloads.
        files += _tsv((0, 1, 2), (0, 1))
    return KnownTask(
        name=f"XNLI-{language}",
        # The original knows no other language.
        aliases=("XNLI",) if language == "zh" else (),
        folder="XNLI",
        files=tuple(files),
        labels=_NLI,
        spellings={"contradictory": "contradiction"},
        settings=_MULTILINGUAL,
        counts={"train": 392_702, "dev": 2_490, "test": 5_010},
        languages=language,
        home="https://github.com/facebookresearch/XNLI",
    )


_MNLI_FILES = (
    File("train", "train.tsv", 8, 9, -1, id=0),
    File("dev_matched", "dev_matched.tsv", 8, 9, -1, id=0),
    File("dev_mismatched", "dev_mismatched.tsv", 8, 9, -1, id=0),
    File("test_matched", "test_matched.tsv", 8, 9, id=0),
    File("test_mismatched", "test_mismatched.tsv", 8, 9, id=0),
)
_MNLI_SUBMISSIONS = {"test_matched": "MNLI-m.tsv", "test_mismatched": "MNLI-mm.tsv"}
_MNLI_COUNTS = {
    "train": 392_702, "dev_matched": 9_815, "dev_mismatched": 9_832, "test_matched": 9_796, "test_mismatched": 9_847
}  # fmt: skip
_MNLI_HOME = "https://www.nyu.edu/projects/bowman/multinli/"

TASKS: tuple[KnownTask, ...] = (
    KnownTask(
        name="CoLA",
        folder="CoLA",
        files=(
            File("train", "train.tsv", 3, None, 1, header=False),
            File("dev", "dev.tsv", 3, None, 1, header=False),
            File("test", "test.tsv", 1),
        ),
        labels=_BINARY,
        metrics=("matthews", "accuracy"),
        settings=_RUN_CLASSIFIER,
        submissions={"test": "CoLA.tsv"},
        counts={"train": 8_551, "dev": 1_043, "test": 1_063},
        home="https://nyu-mll.github.io/CoLA/",
        verified=True,
    ),
    KnownTask(
        name="SST-2",
        aliases=("SST",),
        folder="SST-2",
        files=_tsv((0, None, 1), (1,)),
        labels=_BINARY,
        settings=_RUN_GLUE,
        submissions={"test": "SST-2.tsv"},
        counts={"train": 67_349, "dev": 872, "test": 1_821},
        home="https://nlp.stanford.edu/sentiment/index.html",
        verified=True,
    ),
    KnownTask(
        name="MRPC",
        folder="MRPC",
        files=_tsv((3, 4, 0), (3, 4)),
        labels=_BINARY,
        metrics=("accuracy", "f1"),
        settings=_README,
        submissions={"test": "MRPC.tsv"},
        counts={"train": 3_668, "dev": 408, "test": 1_725},
        home="https://www.microsoft.com/en-us/download/details.aspx?id=52398",
        verified=True,
    ),
    KnownTask(
        name="STS-B",
        aliases=("STS",),
        folder="STS-B",
        kind="regression",
        files=_tsv((7, 8, -1), (7, 8), id=0),
        metrics=("pearson", "spearman"),
        settings=_RUN_GLUE,
        submissions={"test": "STS-B.tsv"},
        counts={"train": 5_749, "dev": 1_500, "test": 1_379},
        home="https://ixa2.si.ehu.eus/stswiki/index.php/STSbenchmark",
        verified=True,
    ),
    KnownTask(
        name="QQP",
        folder="QQP",
        files=_tsv((3, 4, 5), (1, 2), id=0),
        labels=_BINARY,
        incomplete_rows=True,
        metrics=("accuracy", "f1"),
        settings=_RUN_GLUE,
        submissions={"test": "QQP.tsv"},
        counts={"train": 363_846, "dev": 40_430, "test": 390_965},
        home="https://data.quora.com/First-Quora-Dataset-Release-Question-Pairs",
    ),
    KnownTask(
        name="MNLI",
        aliases=("MultiNLI",),
        folder="MNLI",
        files=_MNLI_FILES,
        labels=_NLI,
        settings=_RUN_CLASSIFIER,
        submissions=_MNLI_SUBMISSIONS,
        counts=_MNLI_COUNTS,
        home=_MNLI_HOME,
    ),
    KnownTask(
        name="MNLI-mm",
        aliases=("MNLI-mismatched",),
        folder="MNLI",
        files=tuple(file for file in _MNLI_FILES if not file.split.endswith("_matched")),
        labels=_NLI,
        settings=_RUN_CLASSIFIER,
        submissions={"test_mismatched": "MNLI-mm.tsv"},
        counts={split: count for split, count in _MNLI_COUNTS.items() if not split.endswith("_matched")},
        home=_MNLI_HOME,
    ),
    KnownTask(
        name="QNLI",
        folder="QNLI",
        files=_tsv((1, 2, -1), (1, 2), id=0),
        labels=_ENTAILMENT,
        settings=_RUN_GLUE,
        submissions={"test": "QNLI.tsv"},
        counts={"train": 104_743, "dev": 5_463, "test": 5_463},
        home="https://rajpurkar.github.io/SQuAD-explorer/",
    ),
    KnownTask(
        name="RTE",
        folder="RTE",
        files=_tsv((1, 2, -1), (1, 2), id=0),
        labels=_ENTAILMENT,
        settings=_RUN_GLUE,
        submissions={"test": "RTE.tsv"},
        counts={"train": 2_490, "dev": 277, "test": 3_000},
        home="https://aclweb.org/aclwiki/Recognizing_Textual_Entailment",
        verified=True,
    ),
    KnownTask(
        name="WNLI",
        folder="WNLI",
        files=_tsv((1, 2, -1), (1, 2), id=0),
        labels=_BINARY,
        settings=_RUN_GLUE_WNLI,
        submissions={"test": "WNLI.tsv"},
        counts={"train": 635, "dev": 71, "test": 146},
        home="https://cs.nyu.edu/faculty/davise/papers/WinogradSchemas/WS.html",
    ),
    KnownTask(
        name="AX",
        aliases=("diagnostic", "GLUE diagnostic"),
        folder="AX",
        # The download script of GLUE puts it into MNLI's folder, under another name.
        files=tuple(File("test", name, 1, 2, id=0) for name in ("AX.tsv", "diagnostic.tsv", "MNLI/diagnostic.tsv")),
        labels=_NLI,
        metrics=("matthews",),
        settings=_RUN_CLASSIFIER,
        submissions={"test": "AX.tsv"},
        counts={"test": 1_104},
        home="https://gluebenchmark.com/diagnostics",
    ),
    *map(_xnli, XNLI_LANGUAGES),
    KnownTask(
        name="LCQMC",
        folder="LCQMC",
        files=_tsv((0, 1, 2), (0, 1, 2)),
        labels=_BINARY,
        settings=_CLUE,
        counts={"train": 238_766, "dev": 8_802, "test": 12_500},
        languages="zh",
        home="http://icrc.hitsz.edu.cn/Article/show/171.html",
    ),
    KnownTask(
        name="ChnSentiCorp",
        aliases=("chnsenti",),
        folder="ChnSentiCorp",
        files=(
            # With a header as Baidu released it with ERNIE; without one, and with words for labels, elsewhere.
            File("train", "train.tsv", 1, None, 0, begins="label\ttext_a"),
            File("train", "train.tsv", 0, None, 1, header=False),
            File("dev", "dev.tsv", 1, None, 0, begins="label\ttext_a"),
            File("dev", "dev.tsv", 0, None, 1, header=False),
            File("test", "test.tsv", 1),
        ),
        labels=("negative", "positive"),
        spellings={"0": "negative", "1": "positive"},
        settings=_ERNIE,
        counts={"train": 9_600, "dev": 1_200, "test": 1_200},
        languages="zh",
        home="https://github.com/PaddlePaddle/ERNIE",
        verified=True,
    ),
    KnownTask(
        name="TNEWS",
        folder="TNEWS",
        files=_json_lines("sentence"),
        # 105 and 111 do not occur.
        labels=tuple(str(number) for number in range(100, 117) if number not in (105, 111)),
        settings=_CLUE_SHORT,
        counts={"train": 53_360, "dev": 10_000, "test": 10_000},
        languages="zh",
        home="https://github.com/CLUEbenchmark/CLUE",
    ),
    KnownTask(
        name="AFQMC",
        folder="AFQMC",
        files=_json_lines("sentence1", "sentence2"),
        labels=_BINARY,
        settings=_CLUE_SHORT,
        counts={"train": 34_334, "dev": 4_316, "test": 3_861},
        languages="zh",
        home="https://github.com/CLUEbenchmark/CLUE",
    ),
    KnownTask(
        name="CMNLI",
        folder="CMNLI",
        files=_json_lines("sentence1", "sentence2"),
        labels=_NLI,
        left_out=("-",),
        settings=_CLUE,
        counts={"train": 391_783, "dev": 12_241, "test": 13_880},
        languages="zh",
        home="https://github.com/CLUEbenchmark/CLUE",
    ),
    KnownTask(
        name="SWAG",
        aliases=("swagaf",),
        folder="SWAG",
        kind="choice",
        files=(
            File("train", "train.csv", "sent1", "sent2", "label", choices=_ENDINGS, id="fold-ind"),
            File("dev", "val.csv", "sent1", "sent2", "label", choices=_ENDINGS, id="fold-ind"),
            File("test", "test.csv", "sent1", "sent2", choices=_ENDINGS, id="fold-ind"),
        ),
        settings=_SWAG,
        counts={"train": 73_546, "dev": 20_006, "test": 20_005},
        home="https://rowanzellers.com/swag/",
    ),
    KnownTask(
        name="CLUENER",
        aliases=("CLUENER2020",),
        folder="CLUENER",
        kind="tags",
        files=_tags(train="train.json", dev="dev.json", test="test.json"),
        metrics=("cluener", "entity_f1"),
        settings=_MINDSPORE_NER,
        submissions={"test": "cluener_predict.json"},
        counts={"train": 10_748, "dev": 1_343, "test": 1_345},
        languages="zh",
        home="https://github.com/CLUEbenchmark/CLUENER2020",
        verified=True,
    ),
    KnownTask(
        name="CoNLL-2003",
        aliases=("CoNLL", "CoNLL03"),
        folder="CoNLL-2003",
        kind="tags",
        files=_tags(train="train.txt eng.train", dev="valid.txt dev.txt eng.testa", test="test.txt eng.testb"),
        metrics=("entity_f1",),
        settings=_GLUON_NER,
        counts={"train": 14_041, "dev": 3_250, "test": 3_453},
        home="https://www.clips.uantwerpen.be/conll2003/ner/",
    ),
    KnownTask(
        name="MSRA",
        aliases=("MSRA-NER",),
        folder="MSRA",
        kind="tags",
        files=_tags(
            train="msra_train_bio.txt train.txt train.tsv",
            # The release has no dev set; then its test set is evaluated on.
            dev="msra_dev_bio.txt dev.txt dev.tsv msra_test_bio.txt test.txt test.tsv",
            test="msra_test_bio.txt test.txt test.tsv",
        ),
        metrics=("entity_f1",),
        settings=_MINDSPORE_NER,
        counts={"train": 45_000},
        languages="zh",
        home="https://aclanthology.org/W06-0115/",
    ),
    KnownTask(
        name="ChineseNER",
        folder="ChineseNER",
        kind="tags",
        files=_tags(train="example.train", dev="example.dev", test="example.test"),
        metrics=("entity_f1",),
        settings=_MINDSPORE_NER,
        counts={},
        languages="zh",
        home="https://github.com/zjy-ucas/ChineseNER",
    ),
)
