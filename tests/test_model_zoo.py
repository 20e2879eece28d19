"""get_model: GluonNLP's names, arguments and outputs; its numbers against the original's."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from bertworks import model_zoo
from bertworks.addresses import HOME
from bertworks.datasets import download, registry
from bertworks.datasets import models as zoo
from bertworks.datasets.schema import KnownModel, RemoteFile
from bertworks.errors import InputError
from bertworks.model_zoo import BERTModel, BERTVocab, get_model

FIXTURES = Path(__file__).parent / "fixtures"
TOKENS = (FIXTURES / "vocab.txt").read_text(encoding="utf-8").split("\n")[:-1]
TINY = {
    "num_hidden_layers": 3,
    "hidden_size": 32,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 128,
}


@pytest.fixture(autouse=True)
def _cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tiny model in the zoo, downloaded already; the network is not used."""
    params = (FIXTURES / "gluonnlp_tiny.params").read_bytes()
    vocab = json.dumps({"idx_to_token": TOKENS, "unknown_token": "[UNK]"}).encode()
    checksums = {"m.params": f"sha1:{hashlib.sha1(params).hexdigest()}", "v.vocab": "sha1:0"}
    row = KnownModel(
        name="bert_3_32_4_made_up",
        family="gluonnlp",
        layers=3,
        hidden=32,
        vocab_size=900,
        do_lower_case=True,
        files=tuple(
            RemoteFile("https://nowhere.invalid/x.zip", unpack=(name,), member_checksums={name: checksum})
            for name, checksum in checksums.items()
        ),
    )
    models = (*registry.models(), row)
    monkeypatch.setattr(registry, "models", lambda: models)
    monkeypatch.setitem(model_zoo.MODELS, "bert_3_32_4", TINY)
    monkeypatch.setenv(HOME, str(tmp_path))
    monkeypatch.setenv(download.OFFLINE, "1")
    place = zoo.cached_path(row)
    place.mkdir(parents=True)
    (place / "m.params").write_bytes(params)
    (place / "v.vocab").write_bytes(vocab)


@pytest.fixture(scope="module")
def golden() -> dict[str, NDArray[Any]]:
    with np.load(FIXTURES / "google_tiny" / "forward.npz") as file:
        return dict(file)


def tiny(**options: Any) -> tuple[BERTModel, BERTVocab]:
    return get_model("bert_3_32_4", "made_up", ctx="cpu", **options)


def close(ours: Tensor, theirs: NDArray[Any]) -> None:
    assert ours.dtype == torch.float32
    assert ours.shape == theirs.shape
    assert np.abs(ours.numpy() - theirs).max() <= 1e-5


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor, np.float32])
def test_it_computes_what_the_original_does(golden: dict[str, NDArray[Any]], kind: Any) -> None:
    model, vocab = tiny(hidden_act="gelu_new")
    assert len(vocab) == 900
    valid_length = golden["input_mask"].sum(1)
    given = (golden["input_ids"], golden["segment_ids"], valid_length, golden["masked_lm_positions"])
    sequence, pooled, next_sentence, words = model(*map(kind, given))
    close(sequence, golden["layer_3"] * golden["input_mask"][:, :, None])
    close(pooled, golden["pooled_output"])
    close(next_sentence.log_softmax(-1), golden["next_sentence_log_probs"])
    close(words.log_softmax(-1), golden["masked_lm_log_probs"].reshape(6, 7, 900))


def test_by_default_it_computes_the_erf_gelu(golden: dict[str, NDArray[Any]]) -> None:
    model, _ = tiny(use_decoder=False)
    assert model.network.config.hidden_act == "gelu"
    lengths = golden["input_mask"].sum(1)
    sequence = model(golden["input_ids"], golden["segment_ids"], lengths)[0]
    difference = np.abs(sequence.numpy() - golden["layer_3"] * golden["input_mask"][:, :, None]).max()
    assert 1e-5 < difference < 1e-2


def test_what_is_returned_depends_on_what_is_asked_for() -> None:
    ids, types, positions = np.full((2, 5), 7), np.zeros((2, 5), int), np.array([[1], [4]])
    shapes = {"sequence": (2, 5, 32), "pooled": (2, 32), "next": (2, 2), "words": (2, 1, 900)}
    for pooler, classifier, decoder in ((1, 1, 1), (1, 1, 0), (1, 0, 1), (1, 0, 0), (0, 0, 1)):
        model, _ = tiny(use_pooler=bool(pooler), use_classifier=bool(classifier), use_decoder=bool(decoder))
        outputs = model(ids, types, None, positions)
        asked = {"sequence": 1, "pooled": pooler, "next": classifier, "words": decoder}
        assert [tuple(output.shape) for output in outputs] == [shapes[name] for name, wanted in asked.items() if wanted]
    model, _ = tiny(use_pooler=False, use_classifier=False, use_decoder=False)
    alone = model(ids, types)
    assert isinstance(alone, Tensor)
    assert alone.shape == (2, 5, 32)


def test_padding_changes_nothing() -> None:
    model, _ = tiny(use_decoder=False)
    ids, types = np.arange(5, 15)[None], np.zeros((1, 10), int)
    short = model(ids[:, :4], types[:, :4])
    padded = model(ids, types, [4])
    assert torch.equal(padded[0][:, :4], short[0])
    assert torch.equal(padded[1], short[1])
    assert not padded[0][:, 4:].any()


def test_gradients_are_recorded_after_train() -> None:
    model, _ = tiny(use_decoder=False, use_classifier=False)
    ids, types = np.full((1, 3), 7), np.zeros((1, 3), int)
    assert not model(ids, types)[1].requires_grad
    model.train()(ids, types)[1].sum().backward()
    weight = model.network.bert.embeddings.word_embeddings.weight
    assert weight.grad is not None
    assert weight.grad[7].any()


def test_fresh_weights_need_only_the_vocabulary() -> None:
    place = zoo.cached_path(registry.models()[-1])
    (place / "m.params").unlink()
    model, vocab = tiny(pretrained=False)
    again, _ = get_model("bert_3_32_4", None, vocab, False, "cpu(0)", use_pooler=True, dropout=0.1, ignore_extra=True)
    for one, other in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
        assert torch.isfinite(one).all()


def test_the_folder_can_be_another_one(tmp_path: Path) -> None:
    (tmp_path / "models" / "gluonnlp").rename(tmp_path / "gluonnlp")
    assert len(tiny(root=str(tmp_path))[1]) == 900
    with pytest.raises(InputError, match="because BERTWORKS_OFFLINE=1 is set"):
        tiny()


def test_the_vocabulary_behaves_as_gluonnlps() -> None:
    _, vocab = tiny()
    assert len(vocab) == len(vocab.idx_to_token) == len(vocab.token_to_idx) == 900
    assert (vocab.unknown_token, vocab.padding_token, vocab.mask_token) == ("[UNK]", "[PAD]", "[MASK]")
    assert (vocab.cls_token, vocab.sep_token) == ("[CLS]", "[SEP]")
    assert vocab["[CLS]"] == 2
    assert vocab[["[SEP]", "no such word"]] == [3, 1] == vocab.to_indices(["[SEP]", "no such word"])
    assert vocab.to_indices("[MASK]") == 4
    assert vocab.to_tokens(4) == "[MASK]"
    assert vocab.to_tokens([0, 1]) == ["[PAD]", "[UNK]"]
    assert "[PAD]" in vocab
    assert "no such word" not in vocab
    with pytest.raises(InputError, match="no token 900, only 0 to 899"):
        vocab.to_tokens(900)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"idx_to_token": [1]}', '{"idx_to_token": ["a"]}', "[" * 100_000])
def test_a_bad_vocabulary(text: str) -> None:
    with pytest.raises(InputError, match=r"^vocab: "):
        BERTVocab.from_json(text)


def test_a_bad_file_of_a_vocabulary_is_named() -> None:
    words = zoo.cached_path(registry.models()[-1]) / "v.vocab"
    for data in (b"\xff\xfe\xfa", b"[]", b'{"idx_to_token": [1]}'):
        words.write_bytes(data)
        with pytest.raises(InputError, match=rf"^{words}: not a vocabulary of GluonNLP"):
            tiny()


def test_a_vocabulary_is_an_object_and_no_file_or_list() -> None:
    fresh = {"name": "bert_3_32_4", "pretrained": False, "ctx": "cpu"}
    for wrong in ("vocab.txt", TOKENS, {"[UNK]": 0}, 900):
        with pytest.raises(
            InputError, match=f"get_model: vocab needs a BERTVocab.*, not one of {type(wrong).__name__}"
        ):
            get_model(vocab=wrong, **fresh)

    class Other:
        """GluonNLP's own would be like this."""

        idx_to_token, token_to_idx = TOKENS, {token: i for i, token in enumerate(TOKENS)}
        to_indices = to_tokens = None

        def __len__(self) -> int:
            return len(TOKENS)

    other: Any = Other()
    model, vocab = get_model(vocab=other, **fresh)
    assert vocab is other
    assert model.network.config.vocab_size == 900


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "roberta_12_768_12"}, "no model 'roberta_12_768_12'; there are bert_12_768_12, bert_24_1024_16"),
        (
            {"name": "bert_24_1024_16", "dataset_name": "wiki_cn"},
            "no bert_24_1024_16 on 'wiki_cn'; it comes on book_corpus_wiki_en_uncased, book_corpus_wiki_en_cased",
        ),
        (
            {"name": "BERT_12_768_12"},
            "get_model: needs dataset_name, or pretrained=False and vocab; bert_12_768_12 comes on book_corpus",
        ),
        ({"name": "bert_12_768_12", "pretrained": False}, "get_model: needs dataset_name"),
        ({"dataset_name": "made_up", "use_pooler": False}, "use_classifier=True needs use_pooler=True"),
        ({"dataset_name": "made_up", "hparam_allow_override": True}, "hparam_allow_override=True is not supported"),
        ({"dataset_name": "made_up", "num_layers": 6}, "num_layers=6 is not supported"),
        ({"dataset_name": "made_up", "hidden_act": "swish"}, "hidden_act 'swish' is not one of"),
        ({"dataset_name": "made_up", "ctx": "tpu"}, "--device=tpu: give auto"),
    ],
)
def test_what_there_is_not_is_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as raised:
        get_model(**{"name": "bert_3_32_4", **options})
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("dataset", "model"),
    [
        ("book_corpus_wiki_en_uncased", "bert_12_768_12"),
        ("book_corpus_wiki_en_cased", "bert_12_768_12"),
        ("wiki_multilingual", "bert_12_768_12"),
        ("wiki_multilingual_uncased", "bert_12_768_12"),
        ("wiki_multilingual_cased", "bert_12_768_12"),
        ("wiki_cn", "bert_12_768_12"),
        ("wiki_cn_cased", "bert_12_768_12"),
        ("book_corpus_wiki_en_uncased", "bert_24_1024_16"),
        ("book_corpus_wiki_en_cased", "bert_24_1024_16"),
    ],
)
def test_what_there_is_says_where_it_is(model: str, dataset: str) -> None:
    message = rf"gluon/models/{model}_{dataset}[a-z_]*-[0-9a-f]{{8}}\.zip: .* put it at .*/gluonnlp/{model}_"
    with pytest.raises(InputError, match=message):
        get_model(model, dataset_name=dataset)


def test_weights_without_a_head(monkeypatch: pytest.MonkeyPatch) -> None:
    load_into = model_zoo.load_into

    def without_decoder(network: Any, checkpoint: Any, config: Any) -> Any:
        for name in [name for name in checkpoint.weights if name.startswith("cls.predictions.")]:
            del checkpoint.weights[name]
        return load_into(network, checkpoint, config)

    monkeypatch.setattr(model_zoo, "load_into", without_decoder)
    with pytest.raises(InputError, match=r"m\.params: has no weights for use_decoder=True; give use_decoder=False"):
        tiny()
    tiny(use_decoder=False)
    tiny(pretrained_allow_missing=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[900]], [[0]]), "inputs: holds numbers that are not whole, or not from 0 to 899"),
        (([[-1]], [[0]]), "inputs: holds numbers"),
        (([[1.5]], [[0]]), "inputs: holds numbers"),
        (([[float("nan")]], [[0]]), "inputs: holds numbers"),
        (([1, 2], [0, 0]), "inputs: needs numbers with 2 axes, not int64 with 1"),
        (([["a"]], [[0]]), "inputs: needs numbers"),
        (([[1, 2]], [[0]]), r"token_types: has the shape \[1, 1\], but inputs has \[1, 2\]"),
        ((np.zeros((0, 5)), np.zeros((0, 5))), "token_types: has the shape"),
        (([[1, 2]], [[0, 2]]), "token_types: holds numbers"),
        (([[1, 2]], [[0, 0]], [3]), "valid_length: holds numbers"),
        (([[1, 2]], [[0, 0]], [0]), "valid_length: needs 1 numbers from 1 to 2"),
        (([[1, 2]], [[0, 0]], [1, 1]), "valid_length: needs 1 numbers"),
        (([[1, 2]], [[0, 0]], [2]), "masked_positions: needed to predict words"),
        (([[1, 2]], [[0, 0]], [2], [[2]]), "masked_positions: holds numbers"),
        (([[1, 2]], [[0, 0]], [2], [[0], [0]]), "masked_positions: has 2 sequences, but inputs has 1"),
        ((np.ones((1, 129)), np.zeros((1, 129))), "inputs: a sequence has 129 tokens; the model takes at most 128"),
    ],
)
def test_arguments_that_make_no_sense(arguments: tuple[Any, ...], message: str) -> None:
    model, _ = tiny()
    with pytest.raises(InputError, match=message):
        model(*arguments)
