"""The table of the zoo: the BERTs that people call by name, what they are and where they lie.

Sources: the README and multilingual.md of google-research/bert; `model/bert.py` and `data/utils.py` of GluonNLP 0.6 to
0.10 (names, addresses, SHA-1 of the files in the archives); the README of MindSpore's BERT and its hub's page for the
base model. The SHA-256 of Google's weights are those that NVIDIA's DeepLearningExamples publish for them. What nobody
has published is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Literal

Family = Literal["google", "gluonnlp", "mindspore"]

POSITIONS, SEGMENTS = 512, 2

_GOOGLE = "https://storage.googleapis.com/bert_models"
_GLUONNLP = "https://apache-mxnet.s3-accelerate.dualstack.amazonaws.com/gluon"
_MINDSPORE = "https://download.mindspore.cn/model_zoo/r1.3"


@dataclass(frozen=True)
class Source:
    """One file of a row, on the web.

    Attributes:
        address: where it is.
        checksum: of the file, such as `sha256:0123...`; None if unknown.
        members: files of the archive -> their checksums, those that are known.
        unpacked: whether the members are kept instead of the archive.
    """

    address: str
    checksum: str | None = None
    members: Mapping[str, str] = field(default_factory=dict)
    unpacked: bool = False


@dataclass(frozen=True, kw_only=True)
class Row:
    """A model, or an archive of several.

    Attributes:
        name: what people call it, once in the table.
        aliases: what else they call it.
        family: whose format it is in.
        layers, hidden, vocab_size: its numbers; None for an archive of several models. It has hidden / 64 heads.
        do_lower_case: whether its vocabulary wants lower-cased text.
        languages: what it was trained on.
        date: of publication, as far as known.
        sources: the files that make it up.
        remark: what else a person should know.
    """

    name: str
    aliases: tuple[str, ...] = ()
    family: Family
    layers: int | None
    hidden: int | None
    vocab_size: int | None
    do_lower_case: bool
    languages: str = "English"
    licence: str = "Apache 2.0"
    date: str | None = None
    sources: tuple[Source, ...]
    remark: str = ""

    @property
    def heads(self) -> int | None:
        """Attention heads of a layer."""
        return None if self.hidden is None else self.hidden // 64

    @property
    def parameters(self) -> int | None:
        """Of the encoder and the pooler; None for an archive of several models."""
        if self.layers is None or self.hidden is None or self.vocab_size is None:
            return None
        h = self.hidden
        embeddings = (self.vocab_size + POSITIONS + SEGMENTS) * h + 2 * h
        attention, feed_forward = 4 * (h * h + h) + 2 * h, 2 * 4 * h * h + 4 * h + h + 2 * h
        return embeddings + self.layers * (attention + feed_forward) + h * h + h


# Vocabularies: pieces, and whether text is lower-cased.
_UNCASED, _CASED, _CHINESE = (30522, True), (28996, False), (21128, True)
_MULTI_CASED, _MULTI_UNCASED = (119547, False), (105879, True)

_WEIGHTS = "bert_model.ckpt.data-00000-of-00001"

_WEIGHTS_SHA256 = {
    "2018_10_18/uncased_L-12_H-768_A-12": "58580dc5e0bf0ae0d2efd51d0e8272b2f808857f0a43a88aaf7549da6d7a8a84",
    "2018_10_18/uncased_L-24_H-1024_A-16": "bc6b3363e3be458c99ecf64b7f472d2b7c67534fd8f564c0556a678f90f4eea1",
    "2018_10_18/cased_L-12_H-768_A-12": "734d5a1b68bf98d4e9cb6b6692725d00842a1937af73902e51776905d8f760ea",
    "2018_10_18/cased_L-24_H-1024_A-16": "6ff33640f40d472f7a16af0c17b1179ca9dcc0373155fb05335b6a4dd1657ef0",
    "2018_11_23/multi_cased_L-12_H-768_A-12": "55b8a2df41f69c60c5180e50a7c31b7cdf6238909390c4ddf05fbc0d37aa1ac5",
    "2018_11_03/multilingual_L-12_H-768_A-12": "3cd83912ebeb0efe2abf35c9f1d5a515d8e80295e61c49b75c8853f756658429",
    "2018_11_03/chinese_L-12_H-768_A-12": "756699356b78ad0ef1ca9ba6528297bcb3dd1aef5feadd31f4775d7c7fc989ba",
}


def _google(
    file: str,
    size: tuple[int, int],
    vocabulary: tuple[int, bool],
    alias: str = "",
    languages: str = "English",
    remark: str = "",
    name: str = "",
) -> Row:
    """An archive at `DATE/NAME`."""
    date, archive = file.split("/")
    members = {_WEIGHTS: f"sha256:{_WEIGHTS_SHA256[file]}"} if file in _WEIGHTS_SHA256 else {}
    return Row(
        name=name or archive,
        aliases=(alias,) if alias else (),
        family="google",
        layers=size[0],
        hidden=size[1],
        vocab_size=vocabulary[0],
        do_lower_case=vocabulary[1],
        languages=languages,
        date=date.replace("_", "-"),
        sources=(Source(f"{_GOOGLE}/{file}.zip", members=members),),
        remark=remark,
    )


_BASE, _LARGE = (12, 768), (24, 1024)
_WHOLE_WORD = "trained with whole word masking"
_SHORT_WHOLE_WORD = "bert-large-{}-whole-word-masking"
_OLD = "its authors recommend multi_cased_L-12_H-768_A-12 instead"

_GOOGLE_ROWS = (
    _google("2018_10_18/uncased_L-12_H-768_A-12", _BASE, _UNCASED, "bert-base-uncased"),
    _google("2018_10_18/uncased_L-24_H-1024_A-16", _LARGE, _UNCASED, "bert-large-uncased"),
    _google("2018_10_18/cased_L-12_H-768_A-12", _BASE, _CASED, "bert-base-cased"),
    _google("2018_10_18/cased_L-24_H-1024_A-16", _LARGE, _CASED, "bert-large-cased"),
    _google(
        "2019_05_30/wwm_uncased_L-24_H-1024_A-16",
        _LARGE,
        _UNCASED,
        _SHORT_WHOLE_WORD.format("uncased"),
        remark=_WHOLE_WORD,
    ),
    _google(
        "2019_05_30/wwm_cased_L-24_H-1024_A-16",
        _LARGE,
        _CASED,
        _SHORT_WHOLE_WORD.format("cased"),
        remark=_WHOLE_WORD,
    ),
    _google(
        "2018_11_23/multi_cased_L-12_H-768_A-12",
        _BASE,
        _MULTI_CASED,
        "bert-base-multilingual-cased",
        "104 languages",
    ),
    _google(
        "2018_11_03/multilingual_L-12_H-768_A-12",
        _BASE,
        _MULTI_UNCASED,
        "bert-base-multilingual-uncased",
        "102 languages",
        _OLD,
    ),
    _google("2018_11_03/chinese_L-12_H-768_A-12", _BASE, _CHINESE, "bert-base-chinese", "Chinese"),
)

_SMALL_DATE = "2020_02_20"
_SMALL_NAMES = {(2, 128): "bert-tiny", (4, 256): "bert-mini", (4, 512): "bert-small", (8, 512): "bert-medium"}


def _small(layers: int, hidden: int) -> Row:
    file = f"{_SMALL_DATE}/uncased_L-{layers}_H-{hidden}_A-{hidden // 64}"
    if (layers, hidden) == _BASE:
        # The archive has the name of the one of 2018, which is what people mean by it.
        remark = "BERT-Base trained anew, to compare the small models with"
        return _google(file, _BASE, _UNCASED, remark=remark, name="uncased_L-12_H-768_A-12-2020")
    return _google(file, (layers, hidden), _UNCASED, _SMALL_NAMES.get((layers, hidden), ""))


_SMALL_ROWS = (
    *(_small(layers, hidden) for layers, hidden in product((2, 4, 6, 8, 10, 12), (128, 256, 512, 768))),
    Row(
        name="all_bert_models",
        family="google",
        layers=None,
        hidden=None,
        vocab_size=None,
        do_lower_case=True,
        date=_SMALL_DATE.replace("_", "-"),
        sources=(Source(f"{_GOOGLE}/{_SMALL_DATE}/all_bert_models.zip"),),
        remark="the 24 small models of 2020 in one archive; all_bert_models/NAME is one of them",
    ),
)


# Datasets of GluonNLP: size of the vocabulary and casing, SHA-1 of its file, languages.
_GLUONNLP_DATASETS = {
    "book_corpus_wiki_en_uncased": (_UNCASED, "a66073971aa0b1a262453fe51342e57166a8abcf", "English"),
    "book_corpus_wiki_en_cased": (_CASED, "2d62af22535ed51f35cc8e2abb607723c89c2636", "English"),
    "wiki_multilingual_uncased": (_MULTI_UNCASED, "2b2514cc539047b9179e9d98a4e68c36db05c97a", "102 languages"),
    "wiki_multilingual_cased": (_MULTI_CASED, "0247cb442074237c38c62021f36b7a4dbd2e55f7", "104 languages"),
    # Google's model saw lower-cased text; GluonNLP takes it for a cased one, and a model here is used as it was there.
    "wiki_cn_cased": ((21128, False), "ddebd8f3867bca5a61023f73326fb125cf12b4f5", "Chinese"),
}


def _gluonnlp(model: str, dataset: str, params_sha1: str, first_name: str = "") -> Row:
    """A model on a dataset, whose name was another one in the first versions."""
    vocabulary, vocab_sha1, languages = _GLUONNLP_DATASETS[dataset]
    layers, hidden = (int(number) for number in model.split("_")[1:3])
    params, vocab = f"{model}_{dataset}-{params_sha1[:8]}", f"{dataset}-{vocab_sha1[:8]}"
    params_member, vocab_member = {f"{params}.params": f"sha1:{params_sha1}"}, {f"{vocab}.vocab": f"sha1:{vocab_sha1}"}
    return Row(
        name=f"{model}_{first_name or dataset}",
        aliases=(f"{model}_{dataset}",) if first_name else (),
        family="gluonnlp",
        layers=layers,
        hidden=hidden,
        vocab_size=vocabulary[0],
        do_lower_case=vocabulary[1],
        languages=languages,
        sources=(
            Source(f"{_GLUONNLP}/models/{params}.zip", members=params_member, unpacked=True),
            Source(f"{_GLUONNLP}/dataset/vocab/{vocab}.zip", members=vocab_member, unpacked=True),
        ),
        remark="Google's weights, computed with the erf form of GELU",
    )


_B, _L = "bert_12_768_12", "bert_24_1024_16"

_GLUONNLP_ROWS = (
    _gluonnlp(_B, "book_corpus_wiki_en_uncased", "75cc780f085e8007b3bf6769c6348bb1ff9a3074"),
    _gluonnlp(_B, "book_corpus_wiki_en_cased", "5656dac6965b5054147b0375337d5a6a7a2ff832"),
    _gluonnlp(_B, "wiki_multilingual_uncased", "237f39851b24f0b56d70aa20efd50095e3926e26", "wiki_multilingual"),
    _gluonnlp(_B, "wiki_multilingual_cased", "b0f57a207f85a7d361bb79de80756a8c9a4276f7"),
    _gluonnlp(_B, "wiki_cn_cased", "885ebb9adc249a170c5576e90e88cfd1bbd98da6", "wiki_cn"),
    _gluonnlp(_L, "book_corpus_wiki_en_uncased", "24551e1446180e045019a87fc4ffbf714d99c0b5"),
    _gluonnlp(_L, "book_corpus_wiki_en_cased", "4e685a966f8bf07d533bd6b0e06c04136f23f620"),
)


def _mindspore(
    name: str, file: str, size: tuple[int, int], vocabulary: tuple[int, bool], sha256: str | None, remark: str
) -> Row:
    # Every file lies in a folder of its own name.
    source = Source(f"{_MINDSPORE}/{file}/{file}.ckpt", checksum=f"sha256:{sha256}" if sha256 else None)
    return Row(
        name=name,
        family="mindspore",
        layers=size[0],
        hidden=size[1],
        vocab_size=vocabulary[0],
        do_lower_case=vocabulary[1],
        languages="Chinese" if name.endswith("zh") else "English",
        date="2021-09-27" if sha256 else None,
        sources=(source,),
        remark=remark,
    )


_NO_VOCABULARY = "no vocabulary comes with it; give the one of {} as --vocab_file"

_MINDSPORE_ROWS = (
    _mindspore(
        "Bert-base-zh",
        "bert_base_ascend_v130_zhwiki_official_nlp_bs256_acc91.72_recall95.06_F1score93.36",
        _BASE,
        _CHINESE,
        "83d56308422e7dbb10dad3382f1422ba97054f77df639ea81ad86585ee11b942",
        _NO_VOCABULARY.format("chinese_L-12_H-768_A-12"),
    ),
    _mindspore(
        "Bert-large-zh",
        "bert_large_ascend_v130_zhwiki_official_nlp_bs3072_loss0.8",
        _LARGE,
        _CHINESE,
        None,
        _NO_VOCABULARY.format("chinese_L-12_H-768_A-12"),
    ),
    _mindspore(
        "Bert-large-en",
        "bert_large_ascend_v130_enwiki_official_nlp_bs768_loss1.1",
        _LARGE,
        _UNCASED,
        None,
        _NO_VOCABULARY.format("uncased_L-24_H-1024_A-16"),
    ),
)

ROWS: tuple[Row, ...] = (*_GOOGLE_ROWS, *_SMALL_ROWS, *_GLUONNLP_ROWS, *_MINDSPORE_ROWS)
