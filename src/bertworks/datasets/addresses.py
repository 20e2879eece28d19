"""Where the data sets lie that `bert download_data` fetches: addresses, sizes, checksums, licences.

Sources: GLUE's `download_glue_data.py` and torchtext's datasets (addresses), CLUE's scripts, GluonNLP's
`baidu_ernie_data.py`; bytes and SHA-256 are those that Hugging Face's `datasets` published with its loaders, of
TriviaQA those of `datasets` and ParlAI, and of XQuAD, DRCD and CMRC 2018 those of the files in their repositories. What
nobody has published is None. A licence is named only where the authors state one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bertworks.datasets.task_table import XNLI_LANGUAGES

_GLUE = "https://dl.fbaipublicfiles.com/glue/data"
_SENTEVAL = "https://dl.fbaipublicfiles.com/senteval/senteval_data"
_XNLI = "https://dl.fbaipublicfiles.com/XNLI"
_CLUE = "https://storage.googleapis.com/cluebenchmark/tasks"
_SQUAD = "https://rajpurkar.github.io/SQuAD-explorer/dataset"
_SWAG = "https://raw.githubusercontent.com/rowanz/swagaf/master/data"
_TRIVIAQA = "https://nlp.cs.washington.edu/triviaqa"
_XQUAD = "https://raw.githubusercontent.com/google-deepmind/xquad/master"
_DRCD = "https://raw.githubusercontent.com/DRCKnowledgeTeam/DRCD/master"
_CMRC = "https://raw.githubusercontent.com/ymcui/cmrc2018/master/squad-style-data"
_CHNSENTICORP = "https://ernie.bj.bcebos.com"

# Of each language's file: its bytes and SHA-256.
_XQUAD_FILES = {
    "ar": (1_582_988, "abdabd7afed5c635d99cca0f3f0d0c9d9ed0bc77451e963c2e4e0638c29e486d"),
    "de": (669_810, "990b5d746746ed65ed4702ea5f35f99ffa4e2f1c390c07d003642acd937916f9"),
    "el": (1_918_889, "821cf0f88e73fa258fd2f548b19b6ec39f7025059e16f6f9fc8cd797c9c3663e"),
    "en": (609_383, "e4c57d1c9143aaa1c5d265ba5987a65f4e69528d2a98f29d6e75019b10344f29"),
    "es": (684_322, "dcbae93ec3a9f4b9e78fd834a171d6f96c1a875e10e15b7530b7e4ef4971e37e"),
    "hi": (1_680_538, "df2cce3532b37e9beb8979704b5c9a4bf874358f105395a298b89427b43b9d24"),
    "ro": (661_158, "94f8d54e93ad2b7dd2e76dd921a666b5b8eff2d4379df9f179c42b445f09643f"),
    "ru": (1_896_368, "208d5b1aa154c52b1b5c5eda16281e455e8fd198cdb9af3f469f0d6037d973bf"),
    "th": (1_809_143, "5cdda11d0e1e075f7872abf4e6ae830388ce7f617964d542308e9ae4257e0f43"),
    "tr": (729_506, "92179a564774b7696100d144c1e10870d0a966b6fccbdd254a65b9d2ab1971cc"),
    "vi": (911_401, "f619a1eb11fb42d3ab0834259e488a65f585447ef6154437bfb7199d85161a04"),
    "zh": (808_652, "691d0b3359bc6b8faa8de931dfdfe21d50a65861ae348e32a0d1a0190b0c8835"),
}

_UNSTATED = "not stated; see the home page"


@dataclass(frozen=True)
class Source:
    """One file on the web.

    Attributes:
        address: where it is.
        size: its bytes; None if unknown.
        checksum: such as `sha256:0123...`; None if unknown.
        members: of an archive, what its path ends with -> the name that it gets; an archive is not kept.
        name: of a file that is none, the name that it gets.
    """

    address: str
    size: int | None = None
    checksum: str | None = None
    members: Mapping[str, str] = field(default_factory=dict)
    name: str = ""

    @property
    def files(self) -> tuple[str, ...]:
        """The names of what stays of it."""
        return tuple(self.members.values()) or (self.name,)


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """A data set.

    Attributes:
        name: what the command calls it; case, dashes, underscores and dots do not matter.
        aliases: what else it is called.
        folder: where its files go, below the data folder.
        sources: what is fetched; nothing where no address is known that may be fetched from.
        licence: what its authors allow, as far as they say it.
        home: a page about it.
        remark: what else a person should know; where there are no sources, what to do.
    """

    name: str
    aliases: tuple[str, ...] = ()
    folder: str
    sources: tuple[Source, ...] = ()
    licence: str = _UNSTATED
    home: str
    remark: str = ""


def _split(folder: str, *names: str) -> dict[str, str]:
    """Members of a folder in an archive that keep their names."""
    return {f"{folder}{name}": name for name in names}


def _glue(name: str, archive: str, size: int, sha256: str, *, licence: str, home: str, files: str = "") -> DataSet:
    """A zip with a folder of the name of the task in it."""
    members = _split(f"{name}/", *(files or "train.tsv dev.tsv test.tsv").split())
    source = Source(f"{_GLUE}/{archive}", size, f"sha256:{sha256}", members)
    return DataSet(name=name, folder=name, sources=(source,), licence=licence, home=home)


def _clue(name: str, archive: str, size: int | None, sha256: str | None) -> DataSet:
    checksum = sha256 and f"sha256:{sha256}"
    source = Source(f"{_CLUE}/{archive}", size, checksum, _split("", "train.json", "dev.json", "test.json"))
    home = "https://github.com/CLUEbenchmark/" + ("CLUENER2020" if name == "CLUENER" else "CLUE")
    return DataSet(name=name, folder=name, sources=(source,), home=home)


def _plain(address: str, size: int, sha256: str, name: str) -> Source:
    return Source(address, size, f"sha256:{sha256}", name=name)


def _xnli(name: str, languages: tuple[str, ...]) -> DataSet:
    train = {f"multinli.train.{language}.tsv": f"multinli/multinli.train.{language}.tsv" for language in languages}
    return DataSet(
        name=name,
        folder="XNLI",
        sources=(
            Source(
                f"{_XNLI}/XNLI-1.0.zip",
                17_865_352,
                "sha256:4ba1d5e1afdb7161f0f23c66dc787802ccfa8a25a3ddd3b165a35e50df346ab1",
                _split("XNLI-1.0/", "xnli.dev.tsv", "xnli.test.tsv"),
            ),
            Source(
                f"{_XNLI}/XNLI-MT-1.0.zip",
                466_098_360,
                "sha256:f732517ba2fb1d550e9f3c2aabaef6017c91ee2dcec90e878f138764d224db05",
                train,
            ),
        ),
        licence="CC BY-NC 4.0",
        home="https://github.com/facebookresearch/XNLI",
        remark="xnli-zh (or another language) unpacks the training file of one language alone",
    )


DATA_SETS: tuple[DataSet, ...] = (
    DataSet(
        name="MRPC",
        folder="MRPC",
        sources=(
            _plain(
                f"{_SENTEVAL}/msr_paraphrase_train.txt",
                1_047_044,
                "60a9b09084528f0673eedee2b69cb941920f0b8cd0eeccefc464a98768457f89",
                "msr_paraphrase_train.txt",
            ),
            _plain(
                f"{_SENTEVAL}/msr_paraphrase_test.txt",
                441_275,
                "a04e271090879aaba6423d65b94950c089298587d9c084bf9cd7439bd785f784",
                "msr_paraphrase_test.txt",
            ),
            _plain(
                f"{_GLUE}/mrpc_dev_ids.tsv",
                6_222,
                "971d7767d81b997fd9060ade0ec23c4fc31cbb226a55d1bd4a1bac474eb81dc7",
                "dev_ids.tsv",
            ),
        ),
        home="https://www.microsoft.com/en-us/download/details.aspx?id=52398",
        remark="train.tsv, dev.tsv and test.tsv are made of these three files as GLUE's script makes them",
    ),
    _glue(
        "CoLA",
        "CoLA.zip",
        376_971,
        "f212fcd832b8f7b435fb991f101abf89f96b933ab400603bf198960dfc32cbff",
        licence=_UNSTATED,
        home="https://nyu-mll.github.io/CoLA/",
    ),
    _glue(
        "SST-2",
        "SST-2.zip",
        7_439_277,
        "d67e16fb55739c1b32cdce9877596db1c127dc322d93c082281f64057c16deaa",
        licence=_UNSTATED,
        home="https://nlp.stanford.edu/sentiment/index.html",
    ),
    _glue(
        "STS-B",
        "STS-B.zip",
        802_872,
        "e60a6393de5a8b5b9bac5020a1554b54e3691f9d600b775bd131e613ac179c85",
        licence=_UNSTATED,
        home="https://ixa2.si.ehu.eus/stswiki/index.php/STSbenchmark",
    ),
    _glue(
        "QQP",
        "QQP-clean.zip",
        41_696_084,
        "40e7c862c04eb26ee04b67fd900e76c45c6ba8e6d8fab4f8f1f8072a1a3fbae0",
        licence=_UNSTATED,
        home="https://data.quora.com/First-Quora-Dataset-Release-Question-Pairs",
    ),
    _glue(
        "MNLI",
        "MNLI.zip",
        312_783_507,
        "e7c1d896d26ed6caf700110645df426cc2d8ebf02a5ab743d5a5c68ac1c83633",
        files="train.tsv dev_matched.tsv dev_mismatched.tsv test_matched.tsv test_mismatched.tsv",
        licence=_UNSTATED,
        home="https://www.nyu.edu/projects/bowman/multinli/",
    ),
    _glue(
        "QNLI",
        "QNLIv2.zip",
        10_627_589,
        "e634e78627a29adaecd4f955359b22bf5e70f2cbd93b493f2d624138a0c0e5f5",
        licence="CC BY-SA 4.0 (made of SQuAD)",
        home="https://rajpurkar.github.io/SQuAD-explorer/",
    ),
    _glue(
        "RTE",
        "RTE.zip",
        697_150,
        "6bf86de103ecd335f3441bd43574d23fef87ecc695977a63b82d5efb206556ee",
        licence=_UNSTATED,
        home="https://aclweb.org/aclwiki/Recognizing_Textual_Entailment",
    ),
    _glue(
        "WNLI",
        "WNLI.zip",
        28_999,
        "ae0e8e4d16f4d46d4a0a566ec7ecceccfd3fbfaa4a7a4b4e02848c0f2561ac46",
        licence=_UNSTATED,
        home="https://cs.nyu.edu/faculty/davise/papers/WinogradSchemas/WS.html",
    ),
    DataSet(
        name="AX",
        aliases=("diagnostic",),
        folder="AX",
        sources=(
            _plain(
                f"{_GLUE}/AX.tsv",
                222_257,
                "0e13510b1bb14436ff7e2ee82338f0efb0133ecf2e73507a697dc210db3f05fd",
                "AX.tsv",
            ),
        ),
        home="https://gluebenchmark.com/diagnostics",
    ),
    DataSet(
        name="SQuAD1.1",
        aliases=("SQuAD", "SQuAD1"),
        folder="SQuAD",
        sources=(
            _plain(
                f"{_SQUAD}/train-v1.1.json",
                30_288_272,
                "3527663986b8295af4f7fcdff1ba1ff3f72d07d61a20f487cb238a6ef92fd955",
                "train-v1.1.json",
            ),
            _plain(
                f"{_SQUAD}/dev-v1.1.json",
                4_854_279,
                "95aa6a52d5d6a735563366753ca50492a658031da74f301ac5238b03966972c9",
                "dev-v1.1.json",
            ),
        ),
        licence="CC BY-SA 4.0",
        home="https://rajpurkar.github.io/SQuAD-explorer/",
    ),
    DataSet(
        name="SQuAD2.0",
        aliases=("SQuAD2",),
        folder="SQuAD",
        sources=(
            _plain(
                f"{_SQUAD}/train-v2.0.json",
                42_123_633,
                "68dcfbb971bd3e96d5b46c7177b16c1a4e7d4bdef19fb204502738552dede002",
                "train-v2.0.json",
            ),
            _plain(
                f"{_SQUAD}/dev-v2.0.json",
                4_370_528,
                "80a5225e94905956a6446d296ca1093975c4d3b3260f1d6c8f68bc2ab77182d8",
                "dev-v2.0.json",
            ),
        ),
        licence="CC BY-SA 4.0",
        home="https://rajpurkar.github.io/SQuAD-explorer/",
    ),
    DataSet(
        name="TriviaQA",
        folder="TriviaQA",
        sources=(
            _plain(
                f"{_TRIVIAQA}/data/triviaqa-rc.tar.gz",
                2_665_779_500,
                "ef94fac6db0541e5bb5b27020d067a8b13b1c1ffc52717e836832e02aaed87b9",
                "triviaqa-rc.tar.gz",
            ),
        ),
        licence="Apache 2.0",
        home=f"{_TRIVIAQA}/",
        remark="unpack it (7.3 GB, 487,254 files) with tar -xzf, and make SQuAD's form with bert convert_triviaqa",
    ),
    DataSet(
        name="XQuAD",
        folder="XQuAD",
        sources=tuple(
            _plain(f"{_XQUAD}/xquad.{language}.json", size, sha256, f"xquad.{language}.json")
            for language, (size, sha256) in _XQUAD_FILES.items()
        ),
        licence="CC BY-SA 4.0",
        home="https://github.com/google-deepmind/xquad",
    ),
    DataSet(
        name="DRCD",
        folder="DRCD",
        sources=(
            Source(f"{_DRCD}/DRCD_training.json", name="DRCD_training.json"),
            _plain(
                f"{_DRCD}/DRCD_dev.json",
                2_184_379,
                "e236df03861ba241bd7b29628cd48b3b8e339c60137e041a4358b5320ed61928",
                "DRCD_dev.json",
            ),
            _plain(
                f"{_DRCD}/DRCD_test.json",
                2_125_600,
                "d9de0b4d247a8391ac8daee6c02c2c8272b75562a1e2377b50ae04ecc09a7438",
                "DRCD_test.json",
            ),
        ),
        licence="CC BY-SA 3.0",
        home="https://github.com/DRCKnowledgeTeam/DRCD",
    ),
    DataSet(
        name="CMRC2018",
        aliases=("CMRC",),
        folder="CMRC2018",
        sources=(
            _plain(
                f"{_CMRC}/cmrc2018_train.json",
                7_408_757,
                "5497aa2f81908e31d6b0e27d99b1f90ab63a8f58fa92fffe5d17cf62eba0c212",
                "cmrc2018_train.json",
            ),
            _plain(
                f"{_CMRC}/cmrc2018_dev.json",
                3_299_139,
                "e9ff74231f05c230c6fa88b84441ee334d97234cbb610991cd94b82db00c7f1f",
                "cmrc2018_dev.json",
            ),
            _plain(
                f"{_CMRC}/cmrc2018_trial.json",
                800_221,
                "f3fae95b57da8e03afb2b57467dd221417060ef4d82db13bf22fc88589f3a6f3",
                "cmrc2018_trial.json",
            ),
        ),
        licence="CC BY-SA 4.0",
        home="https://github.com/ymcui/cmrc2018",
    ),
    _xnli("XNLI", XNLI_LANGUAGES),
    *(_xnli(f"XNLI-{language}", (language,)) for language in XNLI_LANGUAGES),
    _clue("CLUENER", "cluener_public.zip", None, None),
    _clue("TNEWS", "tnews_public.zip", 5_123_575, "77c476e70cfe0b014a81b84c6e1db2142a8a2f52f4ae0a8216aa75e673933462"),
    _clue("AFQMC", "afqmc_public.zip", 1_195_044, "5a4cb1556b833010c329fa2ad2207d9e98fc94071b7e474015e9dd7c385db4dc"),
    _clue("CMNLI", "cmnli_public.zip", 31_404_066, "3a3f3b1d3d27134cf11e585156f07fa050bd0a0836821c02696af0dbaa14513b"),
    DataSet(
        name="ChnSentiCorp",
        folder="ChnSentiCorp",
        sources=(
            Source(
                f"{_CHNSENTICORP}/task_data_zh.tgz",
                members=_split("chnsenticorp/", "train.tsv", "dev.tsv", "test.tsv"),
            ),
        ),
        home="https://github.com/PaddlePaddle/ERNIE",
    ),
    DataSet(
        name="LCQMC",
        folder="LCQMC",
        licence="on request from its authors",
        home="http://icrc.hitsz.edu.cn/Article/show/171.html",
        remark="ask its authors for it, and put train.tsv, dev.tsv and test.tsv (text_a, text_b, label; with a header) "
        "into the folder",
    ),
    DataSet(
        name="SWAG",
        folder="SWAG",
        sources=(
            _plain(
                f"{_SWAG}/train.csv",
                28_243_333,
                "5748b51126ac255c5a6f26e1ba473b51116d6c822aeb25e63ecba282c9d0e610",
                "train.csv",
            ),
            _plain(
                f"{_SWAG}/val.csv",
                7_893_588,
                "c0497b2cd7f3e6b7df995524b1853f62285d60d110d659b19545ca80b2903234",
                "val.csv",
            ),
            _plain(
                f"{_SWAG}/test.csv",
                7_817_885,
                "a689a1a4e892a65ca625c1f0fcf77bcce004b59ad1caeb134ca5ec080a711cb6",
                "test.csv",
            ),
        ),
        licence="MIT",
        home="https://rowanzellers.com/swag/",
    ),
    DataSet(
        name="CoNLL-2003",
        folder="CoNLL-2003",
        sources=(
            Source(
                "https://data.deepai.org/conll2003.zip",
                checksum="sha256:96a104d174ddae7558bab603f19382c5fe02ff1da5c077a7f3ce2ced1578a2c3",
                members=_split("", "train.txt", "valid.txt", "test.txt"),
            ),
        ),
        licence="the texts are Reuters', for research only; see the home page",
        home="https://www.clips.uantwerpen.be/conll2003/ner/",
    ),
    DataSet(
        name="MSRA",
        folder="MSRA",
        home="https://aclanthology.org/W06-0115/",
        remark="get it from its authors, and put msra_train_bio.txt and msra_test_bio.txt (a character, a tab and its "
        "tag a line) into the folder",
    ),
    DataSet(
        name="ChineseNER",
        folder="ChineseNER",
        home="https://github.com/zjy-ucas/ChineseNER",
        remark="clone its repository, and put data/example.train, data/example.dev and data/example.test of it into "
        "the folder",
    ),
)
