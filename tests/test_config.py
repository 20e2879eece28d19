"""Shapes of models, and the two dialects of their files."""

import json
import math
from pathlib import Path

import pytest

from bertworks.config import BertConfig
from bertworks.errors import InputError

GOOGLE = Path(__file__).parent / "fixtures" / "google_tiny" / "bert_config.json"


def test_gelu_means_the_tanh_form_in_googles_files_and_the_erf_form_in_hugging_faces() -> None:
    assert BertConfig.from_google_file(GOOGLE).hidden_act == "gelu_new"
    assert BertConfig.from_huggingface_file(GOOGLE).hidden_act == "gelu"


def test_a_written_config_reads_back_with_what_we_do_not_use(tmp_path: Path) -> None:
    config = BertConfig(vocab_size=7, hidden_size=8, num_attention_heads=2, extra={"directionality": "bidi"})
    path = tmp_path / "config.json"
    path.write_text(config.to_json())
    again = BertConfig.from_huggingface_file(path)
    assert again == config
    assert again.extra["directionality"] == "bidi"
    assert json.loads(path.read_text())["architectures"] == ["BertForPreTraining"]


@pytest.mark.parametrize(
    ("size", "layers", "hidden", "heads"),
    [
        ("tiny", 2, 128, 2),
        ("BASE", 12, 768, 12),
        ("large", 24, 1024, 16),
        ("4/256", 4, 256, 4),
        ("L-6_H-512_A-8", 6, 512, 8),
    ],
)
def test_sizes_by_name(size: str, layers: int, hidden: int, heads: int) -> None:
    config = BertConfig.from_size(size, 30522)
    found = (config.num_hidden_layers, config.hidden_size, config.num_attention_heads, config.intermediate_size)
    assert found == (layers, hidden, heads, 4 * hidden)
    assert config.hidden_act == "gelu_new"
    assert config.head_size == 64


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a JSON file"),
        ("[]", "no vocab_size"),
        ('{"vocab_size": "many"}', "vocab_size is 'many', not int"),
        ('{"vocab_size": 5, "hidden_size": 10, "num_attention_heads": 3}', "not a multiple"),
        ('{"vocab_size": 5, "hidden_act": "swish"}', "hidden_act 'swish' is not one of"),
        ('{"vocab_size": 0}', "vocab_size is 0"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bert_config.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        BertConfig.from_google_file(path)
    assert str(path) in str(error.value)


def test_unknown_sizes_list_the_known() -> None:
    with pytest.raises(InputError, match="tiny, mini, small, medium, base, large"):
        BertConfig.from_size("giant", 100)


@pytest.mark.parametrize(
    ("name", "meant"), [("gelu_python", "gelu"), ("gelu_fast", "gelu_new"), ("gelu_pytorch_tanh", "gelu_new")]
)
def test_other_names_of_the_library_for_the_same_activations(name: str, meant: str) -> None:
    assert BertConfig.from_huggingface({"vocab_size": 9, "hidden_act": name}, "config.json").hidden_act == meant


@pytest.mark.parametrize(
    ("name", "value"), [("type_vocab_size", -1), ("max_position_embeddings", 0), ("layer_norm_eps", -1e-5)]
)
def test_numbers_that_no_model_has(name: str, value: float) -> None:
    with pytest.raises(InputError, match=rf"config\.json: {name} is {value}"):
        BertConfig.from_huggingface({"vocab_size": 9, name: value}, "config.json")


@pytest.mark.parametrize(
    ("kind", "good", "bad", "expected"),
    [
        (int, [0, 384], ["abc", 64.5, None, True, -1, [1]], "a whole number from 0 on"),
        (float, [0, -1.5], ["abc", None, False, math.inf, math.nan, 10**400], "a number"),
        (bool, [True, False], [0, "true", None], "true or false"),
        (str, ["a", "b"], [1, None, ["a"]], "a text"),
    ],
)
def test_what_a_flag_was_in_training_is_checked(kind: type, good: list, bad: list, expected: str) -> None:
    for value in good:
        found = BertConfig(vocab_size=9, extra={"fine_tuning": {"flag": value}}).fine_tuned("flag", kind)
        assert found == value
        assert type(found) is kind
    for value in bad:
        config = BertConfig(vocab_size=9, extra={"fine_tuning": {"flag": value}})
        with pytest.raises(InputError) as error:
            config.fine_tuned("flag", kind)
        message = f"config.json: fine_tuning: flag is {value!r:.60}, not {expected}; fix it or remove it"
        assert str(error.value) == message
    assert BertConfig(vocab_size=9).fine_tuned("flag", kind) is None
    assert BertConfig(vocab_size=9, extra={"fine_tuning": {}}).fine_tuned("flag", kind) is None


def test_what_a_flag_was_in_training_is_one_of_its_choices() -> None:
    config = BertConfig(vocab_size=9, extra={"fine_tuning": {"long_text": "fold"}})
    assert config.fine_tuned("long_text", str, ["cut", "fold"]) == "fold"
    with pytest.raises(InputError, match=r"config.json: fine_tuning: long_text is 'fold', not one of cut, window; fix"):
        config.fine_tuned("long_text", str, ["cut", "window"])


@pytest.mark.parametrize("odd", [None, [], "text", 3])
def test_settings_of_the_training_are_an_object(odd: object) -> None:
    with pytest.raises(InputError, match=r"config.json: fine_tuning is .*, not an object of flags; fix it or remove"):
        _ = BertConfig(vocab_size=9, extra={"fine_tuning": odd}).longest_sequence
